/**
 * Older files of our own shape: keys that had other names or places, and flat files of single clients.
 *
 * A file that needs no change stays as it is, comments and all; one that does is written anew. A tree that needs
 * none is current, and nothing is written.
 *
 * @since 0.1.0
 */
import * as MigrateInstances from "./MigrateInstances.ts"
import type * as MigrateLedger from "./MigrateLedger.ts"
import * as OlderClient from "./MigrateOlderClient.ts"
import * as OlderKeys from "./MigrateOlderKeys.ts"
import * as OlderNames from "./MigrateOlderNames.ts"
import * as Places from "./MigrateOlderPlaces.ts"
import * as OlderSecrets from "./MigrateOlderSecrets.ts"
import * as MigrateProviders from "./MigrateProviders.ts"
import * as Source from "./MigrateSource.ts"
import * as MigrateTree from "./MigrateTree.ts"

const { kinds } = Places
type Entity = Places.Entity
type What = Places.What

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

const modelLists = ["models", "supported_models", "available_models"]

/** Lists of echelons and of models were lists of tables or of names; they are tables now. */
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
    const texts = items.length > 0 && Array.isArray(one.value) && items.every(({ value }) => typeof value === "string")
    if (texts && kind === "provider" && modelLists.includes(OlderKeys.snake(String(one.key)))) {
      // The list is one key of the file, so each name of it has the place of the list.
      return items.map(
        ({ value }) => [{ ...one, value }, ["models", MigrateInstances.aliasOf(String(value)), "model"]] as const
      )
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

/** What a file goes on inheriting: files that were not given would keep the tree from being used. */
const inheritance = (
  stated: Source.Stated,
  isRenamed: boolean,
  layout: Places.Layout,
  ledger: MigrateLedger.Ledger
): ReadonlyArray<Change> => {
  const items: ReadonlyArray<unknown> = Array.isArray(stated.value) ? stated.value : [stated.value]
  const kept = items.flatMap((item) => layout.inheritable(stated.source, item) ?? [])
  if (items.length > 0 && kept.length === 0) {
    const note = "the file that it names was not given"
    ledger.mark(stated, { outcome: "lost", note, todo: "give that file to migrate as well" })
    return []
  }
  const value = Array.isArray(stated.value) ? kept : kept[0]
  const changed = isRenamed || JSON.stringify(value) !== JSON.stringify(stated.value)
  const note = kept.length < items.length ? "a file that was not given is left out" : undefined
  return [{ stated, path: ["inherits_from"], value, changed, note }]
}

const changesOf = (
  source: Source.Source,
  kind: Entity | undefined,
  locate: Locate,
  layout: Places.Layout,
  ledger: MigrateLedger.Ledger
): ReadonlyArray<Change> =>
  unlisted(source, kind).flatMap(([at, start]) =>
    valuesOf(at, start).flatMap(([stated, path]): ReadonlyArray<Change> => {
      const moved = path.join("\n") !== stated.path.join("\n")
      if (path.length === 1 && Places.inheritNames.includes(OlderKeys.snake(path[0] ?? ""))) {
        return inheritance(stated, path[0] !== "inherits_from", layout, ledger)
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
      const named = found.path.at(-1) === "kind" && typeof single === "string" ? kindName(source, single) : single
      const value = OlderKeys.itemsAt(found.path, OlderKeys.valueAt(found.path, named))
      const changed = moved || found.path.join("\n") !== path.join("\n") || value !== stated.value
      const note = scaled ? "as seconds" : undefined
      return [{ stated, path: found.path, value, changed, note }]
    })
  )

const addressKeys = ["base_url", "endpoint", "url", "api_base", "api_url"]

const kindName = ({ value }: Source.Source, name: string): string => {
  const known = MigrateProviders.find(MigrateProviders.older, name)
  const address = Object.entries(value).find(([key]) => addressKeys.includes(OlderKeys.snake(key)))?.[1]
  return known === undefined ? name : MigrateProviders.at(known, address).kind
}

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

const planOf = (
  source: Source.Source,
  what: Plan["what"],
  layout: Places.Layout,
  ledger: MigrateLedger.Ledger
): Plan => {
  const kind = what._tag === "Entity" ? what.kind : undefined
  const changes = changesOf(source, kind, locateBy(what), layout, ledger)
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
  if (source.value["kind"] !== undefined || MigrateProviders.find(MigrateProviders.older, name) === undefined)
    return undefined
  return kindName(source, name)
}

const hasSecret = (plan: Plan): boolean => plan.changes.some(({ path, value }) => OlderSecrets.isIn(path, value))

/** The instance that a name in a group means, and whether it was added because no file of it was given. */
type Rename = (name: string, group: string) => { readonly name: string; readonly added: boolean }

const isModels = (path: ReadonlyArray<string>, value: unknown): value is ReadonlyArray<unknown> =>
  path.at(-1) === "models" && Array.isArray(value)

/** The names in a list of instances as they are now. */
const instanceNames = (
  path: ReadonlyArray<string>,
  value: unknown,
  group: string,
  rename: Rename
): readonly [value: unknown, note: string | undefined] => {
  if (!isModels(path, value)) return [value, undefined]
  const named = value.map((one) => (typeof one === "string" ? rename(one, group) : { name: one, added: false }))
  const note = named.some(({ added }) => added) ? "models of which no file was given were added" : undefined
  return [named.map(({ name }) => name), note]
}

const write = (
  { changes, source, what }: Plan,
  file: MigrateTree.File,
  tree: MigrateTree.MigrateTree,
  rename: Rename
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
    const address = OlderSecrets.bared(path, value)
    const left = address === value ? undefined : OlderKeys.bareAddressNote
    const [names, added] = instanceNames(path, address, file.path, rename)
    const [open, hidden] = OlderSecrets.concealed(tree, file.name, path, names)
    const written = MigrateTree.valueOf(open, (text) => text)
    const notes = [note, left, added, hidden ? "the secret was not copied" : undefined].filter(
      (one) => one !== undefined
    )
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
  const what = Places.whatOf(source)
  if (what._tag === "Client" || Places.kindOf(source.value) !== undefined) return true
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
  const what = Places.whatOf(source)
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

/** What the providers' files and tables say, by the name of the file. */
const statedOf = ({ changes, what }: Plan): ReadonlyArray<OlderNames.Stated> => {
  if (what._tag === "Entity" && what.kind === "provider") {
    const file = what.place.replace(/^.*\/|\.toml$/g, "")
    return changes.map(({ path, value }): OlderNames.Stated => [[file, ...path], value])
  }
  const own = changes.filter(({ path }) => what._tag === "Whole" && path[0] === "llms" && path[1] === "provider")
  return own.map(({ path, value }): OlderNames.Stated => [path.slice(2), value])
}

/** Whether a group names clients, or models by names that instances have no more. */
const mentions = (
  plan: Plan,
  clients: ReadonlyArray<Source.Source>,
  known: ReadonlyArray<OlderNames.Known>
): boolean => {
  const isOld = (name: unknown) =>
    typeof name === "string" &&
    (OlderNames.find(known, name) ?? (OlderNames.addable(name) === undefined ? name : "")) !== name
  return plan.changes.some(({ path, value }) => isModels(path, value) && (clients.length > 0 || value.some(isOld)))
}

const ancestors = (
  source: Source.Source,
  all: ReadonlyArray<Source.Source>,
  ledger: MigrateLedger.Ledger,
  seen: ReadonlyArray<Source.Source> = []
): ReadonlyArray<Source.Source> =>
  [...Places.parentsOf(source, all)].reverse().flatMap(([stated, found]) => {
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
  const layout = Places.layout(sources)
  const clients = sources.filter((source) => layout.whatOf(source)._tag === "Client")
  const inherited = new Set(clients.flatMap((client) => ancestors(client, sources, tree.ledger)))
  const plans = sources.flatMap((source) => {
    const what = layout.whatOf(source)
    const isOver = what._tag === "Fragment" && inherited.has(source) && !layout.isInherited(source)
    return what._tag === "Client" || isOver ? [] : [planOf(source, what, layout, tree.ledger)]
  })
  const known = OlderNames.modelsOf(plans.flatMap(statedOf))
  const named = new Set(plans.filter((plan) => mentions(plan, clients, known)))
  const isSame = (plan: Plan) => !plan.changed && !named.has(plan) && !layout.isMoved(plan.source)
  const current = clients.length === 0 && plans.every(isSame)
  const taken = new Set<string>()
  const copied = plans.filter((plan) => {
    const { place } = plan.what
    if (taken.has(place) || !(current || (!plan.changed && !hasSecret(plan) && !named.has(plan)))) return false
    taken.add(place)
    return true
  })
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
  const models = [...written.flatMap((client) => client.models), ...known]
  const rename: Rename = (name, group) => {
    const found = written.find((client) => client.name === name)?.instance ?? OlderNames.find(models, name)
    if (found !== undefined) return { name: found, added: false }
    const made = OlderNames.addable(name)
    const asked = OlderNames.parts(name)?.provider.toLowerCase()
    // A file of the provider is its whole list of models.
    if (made === undefined || known.some((one) => one.provider.toLowerCase() === asked)) return { name, added: false }
    const client = written.find((one) => one.provider.toLowerCase() === asked)
    const setting = { at: ["model"], value: MigrateTree.literal(made.model), from: [], comment: `${group} names it` }
    const { baseUrl, kind, variable } = made.provider
    const provider: Array<MigrateTree.Setting> = []
    if (baseUrl !== undefined) provider.push({ at: ["base_url"], value: baseUrl, from: [] })
    if (variable !== undefined) provider.push({ at: ["api_key"], value: tree.variable(variable), from: [] })
    const header = [`Made because ${group} names models of it; no file of it was given.`]
    const fresh = { name: MigrateTree.slug(kind), kind: { value: kind, from: [] }, provider, header }
    const wanted = { ...(client?.wanted ?? fresh), alias: made.model, model: [setting] }
    return { name: instances(wanted), added: true }
  }
  for (const [plan, file] of placed) write(plan, file, tree, rename)
  for (const { fallbacks, group } of written) {
    if (fallbacks === undefined || group === undefined) continue
    const names: ReadonlyArray<unknown> = Array.isArray(fallbacks.value) ? fallbacks.value : [fallbacks.value]
    const found = names.map((name) => {
      const client = written.find((one) => one.name === name || one.instance === name)
      return client?.instance ?? models.find(({ alias, wire }) => alias === name || wire === name)?.instance
    })
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
