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
import * as ConfigManagement from "./ConfigManagement.ts"
import * as Field from "./Field.ts"
import type * as Origin from "./Origin.ts"
import * as Tree from "./Tree.ts"

const toNode = (node: Tree.Node | undefined): ConfigProvider.Node | undefined => {
  switch (node?._tag) {
    case undefined:
    case "Unset":
      return undefined
    case "Table":
      return ConfigProvider.makeRecord(new Set(node.entries.keys()))
    case "List":
      return ConfigProvider.makeArray(node.items.length)
    case "Leaf": {
      const value = Tree.valueOf(node)
      return ConfigProvider.makeValue(value instanceof Date ? value.toISOString() : String(value))
    }
  }
}

/**
 * Makes a provider that looks a path up in the tree as it is then. Keys are those of the files: snake case, and
 * the name of a file without `.toml`.
 *
 * **Gotchas** Credentials are handed out as text; read them with `Config.Redacted`. Times are handed out as the
 * files state them; read them with `time`, since `Config.Duration` knows neither `30` nor `"30s"`.
 *
 * @example
 * ```ts
 * import { ConfigProviderTree, Resolve } from "@echelon/config"
 * import * as Config from "effect/Config"
 * import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
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
  ConfigProvider.make((path: Origin.Path) => Effect.map(tree, (root) => toNode(Tree.get(root, path))))

/**
 * Reads a time as files state it: a number of seconds, or text such as `"30s"`, `"500ms"`, `"5m"`, `"1h"`.
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
  Config.map(Config.schema(Field.secondsOrZero, name), Duration.millis)

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
