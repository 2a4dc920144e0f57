/**
 * The resolved tree as an effect `ConfigProvider`, so that a program's own `Config` reads any part of it.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as ConfigManagement from "./ConfigManagement.ts"
import * as Field from "./Field.ts"
import * as Listing from "./Listing.ts"
import type * as Origin from "./Origin.ts"
import * as Tree from "./Tree.ts"

const words: Readonly<Record<Field.TimeUnit, string>> = { ms: "millis", s: "seconds", m: "minutes", h: "hours" }

/** A time with a unit in effect's words; anything else as it is. */
const inWords = (text: string, path: Origin.Path): string => {
  const time = Listing.keyOf(path)?.unit === "seconds" ? Field.timeOf(text) : undefined
  return time === undefined ? text : `${time.amount} ${words[time.unit]}`
}

/** The default that holds at a path where nothing is stated, below a table that is. */
const defaultAt = (root: Tree.Table, path: Origin.Path): unknown => {
  let length = path.length
  while (length > 0 && Tree.get(root, path.slice(0, length)) === undefined) length--
  let known = Listing.keyOf(path.slice(0, length))
  for (const [i, segment] of path.slice(length).entries()) {
    // An item of a list that is a default as a whole.
    if (Array.isArray(known?.whenAbsent) && i > 0) return known.whenAbsent[Number(segment)]
    known = known?.value._tag === "Table" ? known.value.keys.find(({ name }) => name === segment) : undefined
    if (known?.whenAbsent === undefined) return undefined
  }
  return known?.whenAbsent
}

/** The keys of a table that have defaults. */
const withDefaults = (path: Origin.Path): ReadonlyArray<string> => {
  const value = Listing.keyOf(path)?.value
  return value?._tag === "Table" ? value.keys.flatMap((key) => (key.whenAbsent === undefined ? [] : [key.name])) : []
}

const toDefault = (value: unknown, path: Origin.Path): ConfigProvider.Node | undefined => {
  if (value === undefined) return undefined
  if (Array.isArray(value)) return ConfigProvider.makeArray(value.length)
  if (typeof value === "object") return ConfigProvider.makeRecord(new Set(withDefaults(path)))
  return ConfigProvider.makeValue(inWords(String(value), path))
}

const toNode = (node: Tree.Node | undefined, path: Origin.Path): ConfigProvider.Node | undefined => {
  switch (node?._tag) {
    case undefined:
    case "Unset":
      return undefined
    case "Table":
      return ConfigProvider.makeRecord(new Set([...node.entries.keys(), ...withDefaults(path)]))
    case "List":
      return ConfigProvider.makeArray(node.items.length)
    case "Leaf": {
      const value = Tree.valueOf(node)
      if (value instanceof Date) return ConfigProvider.makeValue(value.toISOString())
      return ConfigProvider.makeValue(typeof value === "string" ? inWords(value, path) : String(value))
    }
  }
}

/**
 * Makes a provider that looks a path up in the tree as it is then, and where nothing is stated gives the default. Keys
 * are those of the files: snake case, and the name of a file without `.toml`.
 *
 * **Details** A time with a unit is handed out in effect's words, `"30s"` as `30 seconds`, for `Config.Duration`; a
 * time without one as the number of seconds that it is, for `Config.Number`. A provider gives one text for a key, and
 * there is none that both read: whoever does not know how a time is stated reads it with `time`.
 *
 * **Gotchas** Credentials are handed out as text; read them with `Config.Redacted`.
 *
 * @example
 * ```ts
 * import { ConfigProviderTree, Resolve } from "@echelon/config"
 * import * as Config from "effect/Config"
 * import * as Effect from "effect/Effect"
 *
 * const { tree } = Resolve.resolve({
 *   root: "configs",
 *   files: { "global.toml": '[routing]\ndefault_pool = "fast_pool"' },
 *   env: undefined,
 *   variables: {}
 * })
 * const pool = Config.String("default_pool").pipe(Config.nested("routing"))
 * const provider = ConfigProviderTree.make(Effect.succeed(tree))
 * console.assert((await Effect.runPromise(pool.parse(provider))) === "fast_pool")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (tree: Effect.Effect<Tree.Table>): ConfigProvider.ConfigProvider =>
  ConfigProvider.make((path: Origin.Path) =>
    Effect.map(tree, (root) => {
      const node = Tree.get(root, path)
      return node === undefined ? toDefault(defaultAt(root, path), path) : toNode(node, path)
    })
  )

const inEffectsWords = Schema.DurationFromString.check(
  Schema.makeFilter((time: Duration.Duration) => Field.isTime(Duration.toMillis(time)), {
    expected: "a time from 0 (at most 24 days)"
  })
)

const stated = Schema.Union([Field.secondsOrZero, inEffectsWords])

/**
 * Reads a time as files state it: a number of seconds, or text such as `"30s"`, `"500ms"`, `"5m"`, `"1h"`. It also reads
 * effect's words, `30 seconds`, and may be used with any provider.
 *
 * @example
 * ```ts
 * import { ConfigProviderTree } from "@echelon/config"
 * import * as Config from "effect/Config"
 * import * as ConfigProvider from "effect/ConfigProvider"
 * import * as Duration from "effect/Duration"
 * import * as Effect from "effect/Effect"
 *
 * const grace = ConfigProviderTree.time("shutdown_grace").pipe(Config.nested("shutdown"))
 * const provider = ConfigProvider.fromUnknown({ shutdown: { shutdown_grace: 30 } })
 * console.assert(Duration.toSeconds(await Effect.runPromise(grace.parse(provider))) === 30)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const time = (name?: string): Config.Config<Duration.Duration> =>
  Config.map(Config.schema(stated, name), (time) => (typeof time === "number" ? Duration.millis(time) : time))

/**
 * Makes the tree in use the `ConfigProvider`; after a reload it reads the new one.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, never, ConfigManagement.ConfigManagement> = ConfigProvider.layer(
  Effect.map(ConfigManagement.ConfigManagement, (config) =>
    make(Effect.map(config.resolved, (resolved) => resolved.tree))
  )
)
