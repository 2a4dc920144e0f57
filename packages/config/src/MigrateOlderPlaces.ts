/**
 * Which file of a folder holds what, where it belongs, and which files it inherits.
 *
 * @since 0.1.0
 */
import * as OlderClient from "./MigrateOlderClient.ts"
import * as OlderKeys from "./MigrateOlderKeys.ts"
import * as MigrateProviders from "./MigrateProviders.ts"
import * as Source from "./MigrateSource.ts"
import * as MigrateTree from "./MigrateTree.ts"

/**
 * Folders of files.
 *
 * @since 0.1.0
 * @category models
 */
export const kinds = ["provider", "groups", "polling_pools", "wrappers"] as const

/**
 * One of them.
 *
 * @since 0.1.0
 * @category models
 */
export type Entity = (typeof kinds)[number]

/**
 * What a file holds, by its place, or else by its keys.
 *
 * @since 0.1.0
 * @category models
 */
export type What =
  | { readonly _tag: "Entity"; readonly kind: Entity; readonly place: string }
  | { readonly _tag: "Whole"; readonly place: string }
  | { readonly _tag: "Fragment"; readonly place: string }
  | { readonly _tag: "Client" }

const inTree = /(?:^|[\\/])(llms[\\/](provider|groups|polling_pools|wrappers)[\\/][^\\/]+\.toml)$/

const isKindName = (value: unknown): boolean =>
  typeof value === "string" && MigrateProviders.find(MigrateProviders.older, value) !== undefined

/**
 * What a file holds by its keys.
 *
 * @since 0.1.0
 * @category getters
 */
export const kindOf = (value: Source.Table): Entity | undefined => {
  const entries = Object.entries(value).map(([key, inner]) => [OlderKeys.snake(key), inner] as const)
  const has = (...names: ReadonlyArray<string>) => entries.some(([key]) => names.includes(key))
  if (entries.some(([key]) => /^(echelon|tier|level)_?\d+$/.test(key)) || has("echelons")) return "groups"
  if (has("task_groups", "groups", "rotation_strategy")) return "polling_pools"
  if (has("default_config", "pool_name", "group_name", "performance")) return "wrappers"
  if (Source.isTable(value["models"]) || has("api_key", "base_url", "credentials", "supported_models"))
    return "provider"
  if (entries.some(([key, inner]) => /^(kind|type|provider|provider_type)$/.test(key) && isKindName(inner))) {
    return "provider"
  }
  return has("fallback_config") || Array.isArray(value["models"]) ? "groups" : undefined
}

/**
 * The folder in which a tree stands, when a folder above it was given. It ends in `/`, or is empty.
 *
 * @since 0.1.0
 * @category getters
 */
export const baseOf = (sources: ReadonlyArray<Source.Source>): string => {
  const bases = sources.flatMap(
    ({ place }) => /^(.*\/)?llms\/(?:provider|groups|polling_pools|wrappers)\//.exec(place ?? "")?.slice(1) ?? []
  )
  const [first = ""] = bases
  return bases.every((base) => base === first) ? first : ""
}

/**
 * Says what a file holds. One that others inherit, and that has no name, is theirs alone.
 *
 * @since 0.1.0
 * @category getters
 */
export const whatOf = (
  source: Source.Source,
  options: { readonly base: string; readonly isInherited: boolean } = { base: "", isInherited: false }
): What => {
  const { base, isInherited } = options
  const own = source.place?.startsWith(base) === true ? source.place.slice(base.length) : source.place
  const found = inTree.exec(own ?? source.file)
  const path = (own ?? found?.[1] ?? source.file.split(/[\\/]/).at(-1) ?? "").replaceAll("\\", "/")
  const byPlace = kinds.find((kind) => kind === found?.[2])
  if (byPlace !== undefined && !(byPlace === "provider" && OlderClient.isClient(source.value))) {
    return { _tag: "Entity", kind: byPlace, place: (found?.[1] ?? path).replaceAll("\\", "/") }
  }
  if (path === "global.toml") return { _tag: "Whole", place: path }
  const environment = /(?:^|[\\/])(environments[\\/][^\\/]+\.toml)$/.exec(own ?? source.file)?.[1]
  if (environment !== undefined) return { _tag: "Whole", place: environment.replaceAll("\\", "/") }
  if (OlderClient.isClient(source.value)) return { _tag: "Client" }
  const kind = kindOf(source.value)
  if (kind !== undefined && !(isInherited && source.value["name"] === undefined)) {
    const name = MigrateTree.slug((path.split("/").at(-1) ?? "").replace(/\.[^.]*$/, ""))
    return { _tag: "Entity", kind, place: `llms/${kind}/${name}.toml` }
  }
  return { _tag: "Fragment", place: /\.toml$/.test(path) ? path : `${MigrateTree.slug(path)}.toml` }
}

/**
 * Keys that have named what a file inherits.
 *
 * @since 0.1.0
 * @category models
 */
export const inheritNames: ReadonlyArray<string> = ["inherits_from", "inherits", "extends", "parent", "inherit_from"]

/** A path from the folder of a file, without `.` and `..`. */
const joined = (from: string, to: string): string => {
  const segments = from.replaceAll("\\", "/").split("/").slice(0, -1)
  for (const segment of to.replaceAll("\\", "/").split("/")) {
    if (segment === "" || segment === ".") continue
    if (segment === ".." && segments.length > 0 && segments.at(-1) !== "..") segments.pop()
    else segments.push(segment)
  }
  return segments.join("/")
}

const relative = (from: string, to: string): string => {
  const folder = from.split("/").slice(0, -1)
  const target = to.split("/")
  let shared = 0
  while (shared < folder.length && shared < target.length - 1 && folder[shared] === target[shared]) shared++
  return [...folder.slice(shared).map(() => ".."), ...target.slice(shared)].join("/")
}

const whereOf = ({ file, place }: Source.Source): string => (place ?? file).replaceAll("\\", "/")

/** The file that an entry names, relative to the one that says it; the ending may be left out. */
const findParent = (
  source: Source.Source,
  item: unknown,
  all: ReadonlyArray<Source.Source>
): Source.Source | undefined => {
  if (typeof item !== "string" || item === "") return undefined
  const path = joined(whereOf(source), item).replace(/(\.toml)?$/, ".toml")
  return all.find((one) => one !== source && joined(whereOf(one), whereOf(one).split("/").at(-1) ?? "") === path)
}

/**
 * The files that a client inherits, relative to it or to the folder of all.
 *
 * @since 0.1.0
 * @category getters
 */
export const parentsOf = (
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

/**
 * Every file with what it holds, and what it may inherit: the path from its new place to the new one of a file that
 * it names, or nothing when that file was not given.
 *
 * @since 0.1.0
 * @category models
 */
export interface Layout {
  readonly whatOf: (source: Source.Source) => What
  readonly inheritable: (source: Source.Source, item: unknown) => string | undefined
  /** Whether a file that is no client inherits it. */
  readonly isInherited: (source: Source.Source) => boolean
  readonly isMoved: (source: Source.Source) => boolean
}

/**
 * Finds the layout of files.
 *
 * @since 0.1.0
 * @category constructors
 */
export const layout = (sources: ReadonlyArray<Source.Source>): Layout => {
  const base = baseOf(sources)
  const inherited = new Set<Source.Source>()
  const byClients = new Set<Source.Source>()
  for (const source of sources) {
    const isClient = whatOf(source, { base, isInherited: false })._tag === "Client"
    for (const [, parent] of isClient ? parentsOf(source, sources) : []) if (parent !== undefined) byClients.add(parent)
    const stated = Object.entries(source.value).filter(([key]) => inheritNames.includes(OlderKeys.snake(key)))
    for (const item of isClient ? [] : stated.flatMap(([, value]) => (Array.isArray(value) ? value : [value]))) {
      const parent = findParent(source, item, sources)
      if (parent !== undefined) inherited.add(parent)
    }
  }
  const whats = new Map(
    sources.map(
      (source) =>
        [source, whatOf(source, { base, isInherited: inherited.has(source) || byClients.has(source) })] as const
    )
  )
  const get = (source: Source.Source): What => whats.get(source) ?? whatOf(source)
  const placeOf = (source: Source.Source): string | undefined => {
    const what = get(source)
    return what._tag === "Client" ? undefined : what.place
  }
  return {
    whatOf: get,
    isInherited: (source) => inherited.has(source),
    isMoved: (source) => source.place !== undefined && `${base}${placeOf(source)}` !== source.place,
    inheritable: (source, item) => {
      const place = placeOf(source)
      if (place === undefined || typeof item !== "string" || item === "") return undefined
      const parent = findParent(source, item, sources)
      const moved = parent === undefined ? undefined : placeOf(parent)
      // A file that is put where it belongs may mean a neighbour there.
      const meant = moved ?? (parent === undefined ? joined(place, item) : undefined)
      const isThere = meant !== undefined && sources.some((one) => one !== source && placeOf(one) === meant)
      if (!isThere) return undefined
      return joined(place, item) === meant ? item : relative(place, meant)
    }
  }
}
