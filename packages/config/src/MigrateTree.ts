/**
 * The tree that a migration writes: files by path, every value checked by the Schema of its file before it is
 * taken, and told to the ledger with the key it came from.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Decode from "./Decode.ts"
import * as Field from "./Field.ts"
import * as GlobalFile from "./GlobalFile.ts"
import * as GroupFile from "./GroupFile.ts"
import type * as MigrateLedger from "./MigrateLedger.ts"
import type * as MigrateSource from "./MigrateSource.ts"
import * as Origin from "./Origin.ts"
import * as PoolFile from "./PoolFile.ts"
import * as ProviderFile from "./ProviderFile.ts"
import * as Template from "./Template.ts"
import * as TomlWriter from "./TomlWriter.ts"
import * as Tree from "./Tree.ts"
import * as WrapperFile from "./WrapperFile.ts"

/**
 * Folders of files, and the one file that stands alone.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "provider" | "groups" | "polling_pools" | "wrappers" | "global"

/**
 * One value to write. `from` are the keys it was made of; `approximated` says what is different from what they
 * said, and `comment` stands in the file when there is no key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Setting {
  readonly at: ReadonlyArray<string>
  readonly value: TomlWriter.Value
  readonly from: ReadonlyArray<MigrateSource.Stated>
  readonly approximated?: string | undefined
  readonly comment?: string | undefined
  /** No comment: the value stands where it stood. */
  readonly plain?: boolean | undefined
}

/**
 * A variable to set before the written configuration is used.
 *
 * @since 0.1.0
 * @category models
 */
export interface Variable {
  readonly name: string
  /** Places in the written files. */
  readonly for: ReadonlyArray<string>
  /** Whether the file that was migrated stated the value itself, which was not copied. */
  readonly stated: boolean
}

const schemas = {
  provider: ProviderFile.ProviderFile,
  groups: GroupFile.GroupFile,
  polling_pools: PoolFile.PoolFile,
  wrappers: WrapperFile.WrapperFile,
  global: GlobalFile.GlobalFile
} as const

const here = Origin.file("migrated")

const toNode = (value: unknown, path: Origin.Path): Tree.Node => {
  if (Array.isArray(value)) {
    return { _tag: "List", items: value.map((item, i) => toNode(item, [...path, i])), origin: here }
  }
  if (typeof value === "object" && value !== null && !(value instanceof Date)) {
    return Tree.table(
      Object.entries(value).map(([key, inner]) => [key, toNode(inner, [...path, key])] as const),
      here
    )
  }
  // Nothing but TOML's values is asked about: numbers, texts, booleans and dates.
  return Tree.leaf(path, value as Tree.Scalar, here)
}

/**
 * Why a value cannot stand at a path in a file of a kind; `undefined` when it can. The value is not quoted.
 *
 * @since 0.1.0
 * @category getters
 */
export const refusal = (kind: Kind, at: ReadonlyArray<string>, value: unknown): string | undefined => {
  const expanded = typeof value === "string" ? Template.expand(value, {}) : undefined
  // What a variable will hold is not known now.
  if (expanded !== undefined && Result.isFailure(expanded)) return undefined
  const node = Tree.nest(at, toNode(expanded?.success ?? value, at))
  const table = node._tag === "Table" ? node : Tree.table([], here)
  const result = Decode.decode(schemas[kind], table, [])
  if (Result.isSuccess(result)) return undefined
  const key = Origin.formatPath(at)
  const within = (inner: string, outer: string) => inner.startsWith(`${outer}.`) || inner.startsWith(`${outer}[`)
  // Keys that are missing beside this one are not its fault; a table where none may be is.
  const problem = result.failure.find(
    (one) => one.key === key || within(one.key, key) || (one.code !== "missing_key" && within(key, one.key))
  )
  return problem?.message.replace(/; found .*$/s, "")
}

/**
 * Text that means itself: `${` begins a variable only where one is meant.
 *
 * @since 0.1.0
 * @category constructors
 */
export const literal = (text: string): string => text.replaceAll("${", () => "$${")

/**
 * A value from outside as one that can be written. What TOML cannot say becomes a number that no Schema takes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const valueOf = (value: unknown, text: (value: string) => string = literal): TomlWriter.Value => {
  if (typeof value === "string") return text(value)
  if (typeof value === "number" || typeof value === "boolean" || value instanceof Date) return value
  if (Array.isArray(value)) return value.map((item) => valueOf(item, text))
  if (typeof value !== "object" || value === null) return Number.NaN
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, valueOf(inner, text)] as const))
}

/**
 * A name for a file, made of a name that may hold anything.
 *
 * @since 0.1.0
 * @category constructors
 */
export const slug = (name: string): string =>
  name
    .replace(/[^A-Za-z0-9._-]+/g, "_")
    .replace(/^[._]+|_+$/g, "")
    .slice(0, 80) || "unnamed"

const notInNames = new RegExp(Field.namePattern.replace("^[^", "[").replace("]+$", "]+"), "g")

/**
 * A name with `_` for what no name may hold.
 *
 * @since 0.1.0
 * @category constructors
 */
export const named = (name: string): string => {
  if (new RegExp(Field.namePattern).test(name)) return name
  return name.replace(notInNames, "_").replace(/^_+|_+$/g, "") || "unnamed"
}

/**
 * What is said of a name that callers use when it had to change; `undefined` when it did not.
 *
 * @since 0.1.0
 * @category getters
 */
export const renamedNote = (wanted: string, name: string): string | undefined =>
  named(wanted) === wanted ? undefined : `callers ask for ${name}: a name cannot hold all that it held`

/**
 * A name for a variable.
 *
 * @since 0.1.0
 * @category constructors
 */
export const variableName = (text: string): string => {
  const name = text
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "")
    .slice(0, 80)
  return /^[A-Z]/.test(name) ? name : `VALUE_${name}`
}

type Entries = Map<string, TomlWriter.Node>

/** Where the entries of a table of the writer are, made on the way. */
const entriesAt = (entries: Entries, path: ReadonlyArray<string>): Entries => {
  const [segment, ...rest] = path
  if (segment === undefined) return entries
  const found = entries.get(segment)
  // Every table of a file that is being written was made here.
  if (found?._tag === "Table") return entriesAt(found.entries as Entries, rest)
  const made: Entries = new Map()
  entries.set(segment, { _tag: "Table", entries: made })
  return entriesAt(made, rest)
}

const commentOf = (
  { approximated, comment, plain }: Setting,
  from: ReadonlyArray<MigrateSource.Stated>
): string | undefined => {
  if (plain === true) return undefined
  const keys = [...new Set(from.map(({ path }) => Origin.formatPath(path)))]
  const shown = keys.length > 3 ? `${keys.slice(0, 3).join(", ")} and ${keys.length - 3} more` : keys.join(", ")
  const parts = [shown, approximated, comment].filter((part) => part !== undefined && part !== "")
  return parts.length === 0 ? undefined : parts.join("; ")
}

/**
 * A file that is being written.
 *
 * @since 0.1.0
 * @category models
 */
export interface File {
  readonly path: string
  /** The name by which others refer to it. */
  readonly name: string
  readonly header: ReadonlyArray<string>
  readonly entries: Entries
  /** By which Schema the value at a path is checked; `undefined` when it belongs to no file of its own. */
  readonly check: (at: ReadonlyArray<string>) => readonly [kind: Kind, at: ReadonlyArray<string>] | undefined
}

/**
 * The tree while it is made.
 *
 * @since 0.1.0
 * @category models
 */
export interface MigrateTree {
  readonly ledger: MigrateLedger.Ledger
  /** Begins a file. A name that is taken gets a number; the file says by which name it goes. */
  readonly begin: (kind: Kind, name: string, header: ReadonlyArray<string>) => File
  /** Begins a file at its place in the tree. */
  readonly place: (path: string, check: File["check"], header: ReadonlyArray<string>) => File
  /** Puts a text in as it is. */
  readonly copy: (path: string, text: string) => void
  /** Writes a value, unless its file's Schema refuses it: then its keys are lost, with the reason. */
  readonly set: (file: File, setting: Setting) => boolean
  /** A variable that stands for a secret, in `${}`. The same secret has the same variable. */
  readonly secret: (value: unknown, name: string) => string
  /** A variable of that name, in `${}`. */
  readonly variable: (name: string) => string
  /** Keeps a name from being given to a secret. */
  readonly reserve: (name: string) => void
  readonly files: () => Readonly<Record<string, string>>
  readonly variables: () => ReadonlyArray<Variable>
}

const references = /(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g

const mentions = (value: TomlWriter.Value): ReadonlyArray<string> => {
  if (typeof value === "string") return [...value.matchAll(references)].map((match) => match[1] ?? "")
  if (typeof value !== "object" || value instanceof Date) return []
  return Object.values(value).flatMap(mentions)
}

/**
 * Makes an empty tree.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (ledger: MigrateLedger.Ledger): MigrateTree => {
  const all: Array<File> = []
  const copied = new Map<string, string>()
  const taken = new Set<string>()
  const variables = new Map<string, { readonly places: Array<string>; stated: boolean }>()
  const secrets = new Map<unknown, string>()
  const reserved = new Set<string>()
  const origins = new Map<string, ReadonlyArray<MigrateSource.Stated>>()

  /** The first of name, name-2, name-3 that is free, also where case does not count. */
  const free = (kind: string, name: string): string => {
    for (let n = 1; ; n++) {
      const candidate = n === 1 ? name : `${name}-${n}`
      const key = `${kind}/${candidate.toLowerCase()}`
      if (taken.has(key)) continue
      taken.add(key)
      return candidate
    }
  }
  const variable = (name: string): { readonly places: Array<string>; stated: boolean } => {
    const found = variables.get(name)
    if (found !== undefined) return found
    const made = { places: [], stated: false }
    variables.set(name, made)
    return made
  }

  return {
    ledger,
    begin: (kind, wanted, header) => {
      if (kind === "global") {
        const known = all.find((file) => file.path === "global.toml")
        if (known !== undefined) return known
      }
      const name = free(`${kind} name`, named(wanted))
      const path = kind === "global" ? "global.toml" : `llms/${kind}/${free(kind, slug(name))}.toml`
      const file: File = { path, name, header, entries: new Map(), check: (at) => [kind, at] }
      all.push(file)
      return file
    },
    place: (wanted, check, header) => {
      const name = wanted.replace(/^.*\/|\.toml$/g, "")
      let path = wanted
      for (let n = 2; copied.has(path) || all.some((file) => file.path === path); n++) {
        path = wanted.replace(/\.toml$/, `-${n}.toml`)
      }
      const kind = check([""])?.[0] ?? "global"
      taken.add(`${kind}/${name.toLowerCase()}`).add(`${kind} name/${name.toLowerCase()}`)
      const file: File = { path, name, header, entries: new Map(), check }
      all.push(file)
      return file
    },
    copy: (path, text) => {
      const [, kind = "", name = ""] = /^llms\/([^/]+)\/([^/]+)\.toml$/.exec(path) ?? []
      taken.add(`${kind}/${name.toLowerCase()}`).add(`${kind} name/${name.toLowerCase()}`)
      copied.set(path, text)
    },
    set: (file, setting) => {
      const { approximated, at, from, value } = setting
      const to = `${file.path} ${Origin.formatPath(at)}`
      const checked = file.check(at)
      const reason = checked === undefined ? undefined : refusal(...checked, value)
      if (reason !== undefined) {
        const mark = { outcome: "lost", note: `refused by ${Origin.formatPath(at)}: ${reason}` } as const
        for (const stated of from) ledger.mark(stated, mark)
        return false
      }
      const entries = entriesAt(file.entries, at.slice(0, -1))
      const before = entries.get(at.at(-1) ?? "")
      const again = before?._tag === "Value" && TomlWriter.value(before.value) === TomlWriter.value(value)
      const made = again ? [...(origins.get(to) ?? []), ...from] : from
      origins.set(to, made)
      entries.set(at.at(-1) ?? "", { _tag: "Value", value, comment: commentOf(setting, made) })
      for (const stated of from) {
        ledger.mark(stated, {
          outcome: approximated === undefined ? "carried" : "approximated",
          to,
          note: approximated
        })
      }
      for (const name of mentions(value)) variable(name).places.push(to)
      return true
    },
    secret: (value, wanted) => {
      const known = secrets.get(value)
      if (known !== undefined) return `\${${known}}`
      let name = wanted
      for (let n = 2; reserved.has(name) || variables.has(name); n++) name = `${wanted}_${n}`
      secrets.set(value, name)
      variable(name).stated = true
      return `\${${name}}`
    },
    variable: (name) => {
      variable(name)
      return `\${${name}}`
    },
    reserve: (name) => void reserved.add(name),
    files: () =>
      Object.fromEntries(
        [...copied, ...all.map((file) => [file.path, TomlWriter.document(file)] as const)].sort(([a], [b]) =>
          a < b ? -1 : 1
        )
      ),
    variables: () =>
      [...variables]
        .filter(([, { places }]) => places.length > 0)
        .map(([name, { places, stated }]) => ({ name, for: [...new Set(places)], stated }))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
  }
}
