/**
 * Older files of our own shape: keys that had other names or places, and flat files of single clients.
 *
 * A file that needs no change stays as it is, comments and all; one that does is written anew. A tree that needs
 * none is current, and nothing is written.
 *
 * @since 0.1.0
 */
import type * as MigrateInstances from "./MigrateInstances.ts"
import type * as MigrateLedger from "./MigrateLedger.ts"
import * as OlderClient from "./MigrateOlderClient.ts"
import * as OlderKeys from "./MigrateOlderKeys.ts"
import * as MigrateProviders from "./MigrateProviders.ts"
import * as Source from "./MigrateSource.ts"
import * as MigrateTree from "./MigrateTree.ts"
import * as Tree from "./Tree.ts"

const kinds = ["provider", "groups", "polling_pools", "wrappers"] as const
type Entity = (typeof kinds)[number]

/** What a file holds, by its place, or else by its keys. */
type What =
  | { readonly _tag: "Entity"; readonly kind: Entity; readonly place: string }
  | { readonly _tag: "Whole"; readonly place: string }
  | { readonly _tag: "Fragment"; readonly place: string }
  | { readonly _tag: "Client" }

const place = /(?:^|[\\/])(llms[\\/](provider|groups|polling_pools|wrappers)[\\/][^\\/]+\.toml)$/

const kindOf = (value: Source.Table): Entity | undefined => {
  const keys = Object.keys(value).map(OlderKeys.snake)
  const has = (...names: ReadonlyArray<string>) => names.some((name) => keys.includes(name))
  if (keys.some((key) => /^(echelon|tier|level)_?\d+$/.test(key)) || has("echelons")) return "groups"
  if (has("task_groups", "groups", "rotation_strategy")) return "polling_pools"
  if (has("default_config", "pool_name", "group_name", "performance")) return "wrappers"
  if (Source.isTable(value["models"])) return "provider"
  return has("fallback_config") ? "groups" : undefined
}

const whatOf = (source: Source.Source): What => {
  const found = place.exec(source.place ?? source.file)
  const path = (source.place ?? found?.[1] ?? source.file.split(/[\\/]/).at(-1) ?? "").replaceAll("\\", "/")
  const byPlace = kinds.find((kind) => kind === found?.[2])
  if (byPlace !== undefined && !(byPlace === "provider" && OlderClient.isClient(source.value))) {
    return { _tag: "Entity", kind: byPlace, place: (found?.[1] ?? path).replaceAll("\\", "/") }
  }
  if (path === "global.toml") return { _tag: "Whole", place: path }
  const environment = /(?:^|[\\/])(environments[\\/][^\\/]+\.toml)$/.exec(source.place ?? source.file)?.[1]
  if (environment !== undefined) return { _tag: "Whole", place: environment.replaceAll("\\", "/") }
  if (OlderClient.isClient(source.value)) return { _tag: "Client" }
  const kind = kindOf(source.value)
  if (source.place !== undefined) return { _tag: "Fragment", place: source.place }
  if (kind !== undefined) {
    const name = MigrateTree.slug(path.replace(/\.[^.]*$/, ""))
    return { _tag: "Entity", kind, place: `llms/${kind}/${name}.toml` }
  }
  return { _tag: "Fragment", place: /\.toml$/.test(path) ? path : `${MigrateTree.slug(path)}.toml` }
}

/** A value of a file and where it belongs now. */
interface Change {
  readonly stated: Source.Stated
  readonly path: ReadonlyArray<string>
  readonly value: unknown
  readonly changed: boolean
  readonly note: string | undefined
}

type Locate = (path: ReadonlyArray<string>) => OlderKeys.Found | undefined

const locateIn =
  (kind: MigrateTree.Kind, prefix: ReadonlyArray<string> = []): Locate =>
  (path) => {
    const found = OlderKeys.find(kind, path.slice(prefix.length))
    return found === undefined ? undefined : { ...found, path: [...prefix, ...found.path] }
  }

/** Of a file that addresses the whole tree by path. */
const locateWhole: Locate = (path) => {
  const [llms, kind, name] = path
  const entity = kinds.find((one) => one === kind)
  if (llms !== "llms" || entity === undefined || name === undefined || path.length < 4) return locateIn("global")(path)
  return locateIn(entity, path.slice(0, 3))(path)
}

/** Of a file that others inherit, of whatever kind they are. */
const locateFragment: Locate = (path) => {
  const known = kinds.some((kind) => OlderKeys.isKnown(kind, path))
  if (known) return { path, factor: 1 }
  return ["polling_pools" as const, ...kinds].flatMap((kind) => OlderKeys.find(kind, path) ?? [])[0]
}

const inheritNames = ["inherits_from", "inherits", "extends", "parent", "inherit_from"]

/** Lists of echelons and of models were lists of tables; they are tables now. */
const unlisted = (
  source: Source.Source,
  kind: Entity | undefined
): ReadonlyArray<readonly [Source.Stated, ReadonlyArray<string>]> => {
  const found = Source.below({ source, path: [], value: source.value })
  return found.flatMap((one): ReadonlyArray<readonly [Source.Stated, ReadonlyArray<string>]> => {
    const items = Source.below(one)
    const tables = items.length > 0 && Array.isArray(one.value) && items.every(({ value }) => Source.isTable(value))
    if (tables && kind === "groups" && /^(echelons|tiers|levels)$/.test(OlderKeys.snake(String(one.key)))) {
      return items.map((item, i) => [item, [`echelon${i + 1}`]] as const)
    }
    if (tables && kind === "provider" && one.key === "models") {
      return items.map((item, i) => {
        const named = ["alias", "name", "model"].map((key) =>
          Source.isTable(item.value) ? item.value[key] : undefined
        )
        const alias = named.find((name) => typeof name === "string")
        return [item, ["models", typeof alias === "string" ? alias : `model${i + 1}`]] as const
      })
    }
    return [[one, [String(one.key)]] as const]
  })
}

/** Every value of a file, with its path. Lists, also of tables, are values. */
const valuesOf = (
  at: Source.Stated,
  path: ReadonlyArray<string>
): ReadonlyArray<readonly [Source.Stated, ReadonlyArray<string>]> =>
  Source.isTable(at.value) && Object.keys(at.value).length > 0
    ? Source.below(at).flatMap((inner) => valuesOf(inner, [...path, String(inner.key)]))
    : [[at, path]]

const changesOf = (
  source: Source.Source,
  kind: Entity | undefined,
  locate: Locate,
  ledger: MigrateLedger.Ledger
): ReadonlyArray<Change> =>
  unlisted(source, kind).flatMap(([at, start]) =>
    valuesOf(at, start).flatMap(([stated, path]): ReadonlyArray<Change> => {
      const moved = path.join("\n") !== stated.path.join("\n")
      if (path.length === 1 && inheritNames.includes(OlderKeys.snake(path[0] ?? ""))) {
        const changed = path[0] !== "inherits_from"
        return [{ stated, path: ["inherits_from"], value: stated.value, changed, note: undefined }]
      }
      if (moved && path.length === 3 && path[2] === "alias") {
        ledger.mark(stated, { outcome: "carried", note: "it is the name of the table" })
        return []
      }
      const found = locate(path)
      if (found === undefined) return []
      const scaled = typeof stated.value === "number" && found.factor !== 1
      const number = scaled ? Number((Number(stated.value) * found.factor).toPrecision(12)) : stated.value
      const single = found.path.at(-1) === "task_groups" && typeof number === "string" ? [number] : number
      const named = found.path.at(-1) === "kind" && typeof single === "string" ? kindName(single) : single
      const value = OlderKeys.itemsAt(found.path, OlderKeys.valueAt(found.path, named))
      const changed = moved || found.path.join("\n") !== path.join("\n") || value !== stated.value
      const note = scaled ? "as seconds" : undefined
      return [{ stated, path: found.path, value, changed, note }]
    })
  )

const kindName = (name: string): string => MigrateProviders.find(MigrateProviders.older, name)?.kind ?? name

/** A file with what becomes of it. */
interface Plan {
  readonly source: Source.Source
  readonly what: Exclude<What, { readonly _tag: "Client" }>
  readonly check: MigrateTree.File["check"]
  readonly changes: ReadonlyArray<Change>
  readonly changed: boolean
}

const locateBy = (what: What): Locate =>
  what._tag === "Entity" ? locateIn(what.kind) : what._tag === "Whole" ? locateWhole : locateFragment

const planOf = (source: Source.Source, what: Plan["what"], ledger: MigrateLedger.Ledger): Plan => {
  const kind = what._tag === "Entity" ? what.kind : undefined
  const changes = changesOf(source, kind, locateBy(what), ledger)
  const check: MigrateTree.File["check"] = (at) => {
    if (what._tag === "Fragment" || (at.length === 1 && at[0] === "inherits_from")) return undefined
    if (what._tag === "Entity") return [what.kind, at]
    const entity = kinds.find((one) => at[0] === "llms" && one === at[1])
    return entity === undefined || at.length < 4 ? ["global", at] : [entity, at.slice(3)]
  }
  const covered = Source.keys(source.value).length
  const refused = changes.some(({ path, value }) => {
    const checked = check(path)
    return checked !== undefined && MigrateTree.refusal(...checked, value) !== undefined
  })
  const reached = new Set(
    changes.flatMap(({ stated }) => Source.keys(stated.value, stated.path)).map((path) => JSON.stringify(path))
  )
  const infers = kind === "provider" && inferKind(source, changes, what) !== undefined
  const wrapper = kind === "wrappers" && !changes.some(({ path }) => path.join(".") === "type")
  const changed =
    refused ||
    infers ||
    wrapper ||
    reached.size < covered ||
    changes.some((one) => one.changed) ||
    source.format !== "toml"
  return { source, what, check, changes, changed }
}

/** The kind of a provider that does not say it, by its name. */
const inferKind = (source: Source.Source, changes: ReadonlyArray<Change>, what: Plan["what"]): string | undefined => {
  if (changes.some(({ path }) => path.join(".") === "kind" || path[0] === "inherits_from")) return undefined
  const stated = changes.find(({ path }) => path.join(".") === "name")?.value
  const name = typeof stated === "string" ? stated : what.place.replace(/^.*\/|\.toml$/g, "")
  return source.value["kind"] === undefined ? MigrateProviders.find(MigrateProviders.older, name)?.kind : undefined
}

/** A variable without a default, which may be secret; a header may say the scheme before it. */
const isReference = (value: unknown): boolean =>
  typeof value === "string" && /^((?:Bearer |Basic )?\$\{[A-Za-z_][A-Za-z0-9_]*(:\?[^}]*)?\})?$/.test(value)

/** A value with its secrets replaced by variables; gives whether there were any. */
const concealed = (
  tree: MigrateTree.MigrateTree,
  file: string,
  path: ReadonlyArray<string | number>,
  value: unknown
): readonly [value: unknown, hidden: boolean] => {
  if (Array.isArray(value)) {
    const items = value.map((item, i) => concealed(tree, file, [...path, i], item))
    return [items.map(([item]) => item), items.some(([, hidden]) => hidden)]
  }
  if (Source.isTable(value)) {
    const entries = Object.entries(value).map(
      ([key, item]) => [key, concealed(tree, file, [...path, key], item)] as const
    )
    return [Object.fromEntries(entries.map(([key, [item]]) => [key, item])), entries.some(([, [, hidden]]) => hidden)]
  }
  if (!Tree.isSecret(path) || isReference(value)) return [value, false]
  const named = path
    .filter((segment) => typeof segment === "string")
    .slice(-2)
    .join("_")
  return [
    tree.secret(value, MigrateTree.variableName(path[0] === "llms" ? path.slice(2).join("_") : `${file}_${named}`)),
    true
  ]
}

/** An address without what may be secret in it; any other value as it is. */
const bared = (path: ReadonlyArray<string>, value: unknown): unknown =>
  path.at(-1) === "base_url" && typeof value === "string" ? OlderKeys.bareAddress(value) : value

const hasSecret = (plan: Plan): boolean =>
  plan.changes.some(({ path, value }) => {
    const look = (at: ReadonlyArray<string | number>, one: unknown): boolean =>
      Array.isArray(one)
        ? one.some((item, i) => look([...at, i], item))
        : Source.isTable(one)
          ? Object.entries(one).some(([key, item]) => look([...at, key], item))
          : Tree.isSecret(at) && !isReference(one)
    return look(path, value) || bared(path, value) !== value
  })

/** Clients became instances by other names where theirs were taken; groups name them by the new ones. */
const instanceNames = (path: ReadonlyArray<string>, value: unknown, names: ReadonlyMap<string, string>): unknown =>
  path.at(-1) === "models" && Array.isArray(value)
    ? value.map((name) => (typeof name === "string" ? (names.get(name) ?? name) : name))
    : value

const write = (
  { changes, source, what }: Plan,
  file: MigrateTree.File,
  tree: MigrateTree.MigrateTree,
  names: ReadonlyMap<string, string>
): void => {
  const kind = what._tag === "Entity" && what.kind === "provider" ? inferKind(source, changes, what) : undefined
  const taken = new Set<string>()
  const keyOf = ({ path }: Change): string => path.join("\n")
  // What stands at its place already wins over what is moved there.
  const settled = new Set(changes.filter((one) => !one.changed).map(keyOf))
  for (const change of changes) {
    const { changed, note, path, stated, value } = change
    if (taken.has(keyOf(change)) || (changed && settled.has(keyOf(change)))) {
      tree.ledger.mark(stated, { outcome: "lost", note: "another key says the same, and was taken", todo: "nothing" })
      continue
    }
    const address = bared(path, value)
    const left = address === value ? undefined : OlderKeys.bareAddressNote
    const [open, hidden] = concealed(tree, file.name, path, instanceNames(path, address, names))
    const written = MigrateTree.valueOf(open, (text) => text)
    const notes = [note, left, hidden ? "the secret was not copied" : undefined].filter((one) => one !== undefined)
    const approximated = notes.length === 0 ? undefined : notes.join("; ")
    const plain = !changed && !hidden && left === undefined
    if (tree.set(file, { at: path, value: written, from: [stated], approximated, plain })) taken.add(keyOf(change))
  }
  if (kind !== undefined) tree.set(file, { at: ["kind"], value: kind, from: [], comment: "by the provider's name" })
  if (what._tag === "Entity" && what.kind === "wrappers" && !taken.has("type")) {
    const group = taken.has("default_config\ngroup_name") && !taken.has("default_config\npool_name")
    tree.set(file, { at: ["type"], value: group ? "task_group" : "pool", from: [], comment: "by what it names" })
  }
}

/** Keys that any file may have, whosesoever it is. */
const anybodys = ["name", "description", "type", "version"]

/**
 * Whether anything in a file is known here, by its place or its keys.
 *
 * @since 0.1.0
 * @category guards
 */
export const isKnown = (source: Source.Source): boolean => {
  const what = whatOf(source)
  if (what._tag === "Client" || kindOf(source.value) !== undefined) return true
  const values = valuesOf({ source, path: [], value: source.value }, [])
  return values.some(([, path]) => {
    const [first = ""] = path
    return path.length > 0 && !anybodys.includes(OlderKeys.snake(first)) && locateBy(what)(path) !== undefined
  })
}

/**
 * The key that a misspelt one may have meant.
 *
 * @since 0.1.0
 * @category getters
 */
export const nearest: MigrateLedger.FindNearest = (source, path) => {
  const what = whatOf(source)
  const keys = path.flatMap((segment) => (typeof segment === "string" ? [segment] : []))
  const entity = kinds.find((kind) => keys[0] === "llms" && kind === keys[1])
  switch (what._tag) {
    case "Entity":
      return OlderKeys.nearest(what.kind, keys)
    case "Whole":
      return entity === undefined || keys.length < 4
        ? OlderKeys.nearest("global", keys)
        : OlderKeys.nearest(entity, keys.slice(3))
    case "Fragment":
    case "Client":
      return kinds.flatMap((kind) => OlderKeys.nearest(kind, keys) ?? [])[0]
  }
}

/** Whether a group names clients, whose instances may have other names. */
const mentions = (plan: Plan, clients: ReadonlyArray<Source.Source>): boolean =>
  clients.length > 0 && plan.changes.some(({ path, value }) => path.at(-1) === "models" && Array.isArray(value))

/** The file that a client inherits, relative to it or to the folder of all. */
const parentOf = (
  source: Source.Source,
  all: ReadonlyArray<Source.Source>
): ReadonlyArray<readonly [Source.Stated, Source.Source | undefined]> => {
  const stated = inheritNames.flatMap((name) => Source.get(source, [name]) ?? [])[0]
  const items = Array.isArray(stated?.value) ? stated.value : [stated?.value]
  return items.flatMap((item) => {
    if (stated === undefined || typeof item !== "string") return []
    const tail = item.replace(/^(\.\.?\/)+/, "").replace(/(\.toml)?$/, ".toml")
    const found = all.find((one) => one !== source && (one.place ?? one.file).replaceAll("\\", "/").endsWith(tail))
    return [[stated, found] as const]
  })
}

const ancestors = (
  source: Source.Source,
  all: ReadonlyArray<Source.Source>,
  ledger: MigrateLedger.Ledger,
  seen: ReadonlyArray<Source.Source> = []
): ReadonlyArray<Source.Source> =>
  [...parentOf(source, all)].reverse().flatMap(([stated, found]) => {
    if (found === undefined || seen.includes(found)) {
      const note = found === undefined ? "the file that it names was not given" : "the inheritance is a circle"
      ledger.mark(stated, { outcome: "lost", note, todo: "give that file to migrate as well" })
      return []
    }
    ledger.mark(stated, { outcome: "carried", note: "what it inherits is written out" })
    return [found, ...ancestors(found, all, ledger, [...seen, source])]
  })

/**
 * Writes older files into a tree. Gives whether anything had to change.
 *
 * @since 0.1.0
 * @category constructors
 */
export const migrate = (
  sources: ReadonlyArray<Source.Source>,
  tree: MigrateTree.MigrateTree,
  instances: MigrateInstances.Instances
): boolean => {
  const clients = sources.filter((source) => whatOf(source)._tag === "Client")
  const inherited = new Set(clients.flatMap((client) => ancestors(client, sources, tree.ledger)))
  const plans = sources.flatMap((source) => {
    const what = whatOf(source)
    return what._tag === "Client" || (what._tag === "Fragment" && inherited.has(source))
      ? []
      : [planOf(source, what, tree.ledger)]
  })
  const current = clients.length === 0 && plans.every(({ changed }) => !changed)
  const copied = plans.filter((plan) => current || (!plan.changed && !hasSecret(plan) && !mentions(plan, clients)))
  for (const { source, what } of copied) {
    tree.copy(what.place, source.text)
    tree.ledger.mark({ source, path: [] }, { outcome: "carried", to: what.place })
  }
  const header = (source: Source.Source) => [
    `Migrated from ${source.file}. Comments of that file are not carried over.`
  ]
  // Files keep their places and names, so they come before those that clients make.
  const placed = plans.flatMap((plan) =>
    copied.includes(plan) ? [] : [[plan, tree.place(plan.what.place, plan.check, header(plan.source))] as const]
  )
  const written = clients.flatMap(
    (client) =>
      OlderClient.migrate(tree, instances, client, ancestors(client, sources, tree.ledger), header(client)) ?? []
  )
  const names = new Map(written.map(({ instance, name }) => [name, instance]))
  for (const [plan, file] of placed) write(plan, file, tree, names)
  for (const { fallbacks, group } of written) {
    if (fallbacks === undefined || group === undefined) continue
    const names: ReadonlyArray<unknown> = Array.isArray(fallbacks.value) ? fallbacks.value : [fallbacks.value]
    const found = names.map((name) => written.find((one) => one.name === name || one.instance === name)?.instance)
    found.forEach((instance, i) => {
      if (instance !== undefined)
        tree.set(group, { at: [`echelon${i + 2}`, "models"], value: [instance], from: [fallbacks] })
    })
    if (found.includes(undefined)) {
      const note = "a client that it names was not given"
      tree.ledger.mark(fallbacks, { outcome: "lost", note, todo: "give that file to migrate as well" })
    }
  }
  return !current
}
