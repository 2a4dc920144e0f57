/**
 * Providers and instances of a migration: what is the same is written once.
 *
 * @since 0.1.0
 */
import type * as MigrateSource from "./MigrateSource.ts"
import * as MigrateTree from "./MigrateTree.ts"

/**
 * An account at a provider, and one model there. Settings of the model are relative to its table.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wanted {
  readonly name: string
  readonly kind: Omit<MigrateTree.Setting, "at"> & { readonly value: string }
  readonly provider: ReadonlyArray<MigrateTree.Setting>
  readonly alias: string
  readonly model: ReadonlyArray<MigrateTree.Setting>
  readonly header: ReadonlyArray<string>
}

/**
 * Gives the name of the instance, writing what is not there yet.
 *
 * @since 0.1.0
 * @category models
 */
export type Instances = (wanted: Wanted) => string

const identity = (settings: ReadonlyArray<MigrateTree.Setting>): string =>
  JSON.stringify(settings.map(({ at, value }) => [at, value]))

const needsBaseUrl = ["openai-compatible", "azure-openai", "azure-openai-responses"]

/**
 * What an instance is called behind its provider's name.
 *
 * @since 0.1.0
 * @category getters
 */
export const aliasOf = (model: string): string =>
  MigrateTree.slug((model.split("/").at(-1) ?? model).replaceAll(":", "-"))

/**
 * Makes the place where the providers of a tree are kept.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (tree: MigrateTree.MigrateTree): Instances => {
  const providers = new Map<string, MigrateTree.File>()
  const instances = new Map<string, string>()
  const names = new Set<string>()

  const provider = ({ header, kind, name, provider: settings }: Wanted): MigrateTree.File => {
    const key = `${kind.value}\n${identity(settings)}`
    const known = providers.get(key)
    const file = known ?? tree.begin("provider", name, header)
    if (known === undefined) {
      providers.set(key, file)
      tree.set(file, { at: ["name"], value: MigrateTree.literal(file.name), from: [] })
    }
    tree.set(file, { ...kind, at: ["kind"] })
    for (const setting of settings) tree.set(file, setting)
    if (needsBaseUrl.includes(kind.value) && !file.entries.has("base_url")) {
      const value = tree.variable(`${MigrateTree.variableName(file.name)}_BASE_URL`)
      tree.set(file, { at: ["base_url"], value, from: [], comment: "no address was stated; set the variable" })
    }
    return file
  }

  return (wanted) => {
    const file = provider(wanted)
    const key = `${file.path}\n${identity(wanted.model)}`
    const known = instances.get(key)
    const base = aliasOf(wanted.alias)
    let alias = known ?? base
    // The name of one provider may begin with that of another.
    for (let n = 2; known === undefined && names.has(`${file.name}-${alias}`.toLowerCase()); n++) alias = `${base}-${n}`
    instances.set(key, alias)
    names.add(`${file.name}-${alias}`.toLowerCase())
    for (const setting of wanted.model) tree.set(file, { ...setting, at: ["models", alias, ...setting.at] })
    return `${file.name}-${alias}`
  }
}

/**
 * What an address must be here: without user, password, query and fragment, which may hold secrets, and with the
 * ending that requests are put behind.
 *
 * @since 0.1.0
 * @category constructors
 */
export const address = (
  tree: MigrateTree.MigrateTree,
  stated: MigrateSource.Stated,
  text: string,
  suffix: string | undefined
): ReadonlyArray<MigrateTree.Setting> => {
  const at = ["base_url"]
  if (text.startsWith("${")) {
    const approximated = suffix === undefined ? undefined : `the address must end in ${suffix}`
    return [{ at, value: text, from: [stated], approximated }]
  }
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) {
    tree.ledger.mark(stated, {
      outcome: "lost",
      note: "no address that begins with http:// or https://",
      todo: "write base_url by hand"
    })
    return []
  }
  const url = new URL(text)
  const bare = url.username === "" && url.password === "" && url.search === "" && url.hash === ""
  const path = url.pathname.replace(/\/+$/, "")
  const missing = suffix !== undefined && !path.endsWith(suffix)
  const parts = [
    bare ? undefined : "user, password, query and fragment were left out: they may be secret",
    missing ? `${suffix} was added, which requests are put behind here` : undefined
  ].filter((part) => part !== undefined)
  const value = MigrateTree.literal(`${url.protocol}//${url.host}${path}${missing ? suffix : ""}`)
  return [{ at, value, from: [stated], approximated: parts.length === 0 ? undefined : parts.join("; ") }]
}
