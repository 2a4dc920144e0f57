/**
 * What groups of older files call the instances of a tree: by the provider and the model's name on the wire, or with
 * a colon or a slash between the two.
 *
 * @since 0.1.0
 */
import * as MigrateProviders from "./MigrateProviders.ts"

/**
 * A model of a provider that is there. `kind` is another name of the provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface Known {
  readonly provider: string
  readonly kind: string | undefined
  readonly alias: string
  readonly wire: string
  readonly instance: string
}

/**
 * A name with its parts, when it has them.
 *
 * @since 0.1.0
 * @category getters
 */
export const parts = (name: string): { readonly provider: string; readonly model: string } | undefined => {
  const [, provider, model] = /^([A-Za-z0-9_.-]+)[:/](.+)$/s.exec(name) ?? []
  return provider === undefined || model === undefined ? undefined : { provider, model }
}

/**
 * The instance that a name means; `undefined` when none is there.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = (known: ReadonlyArray<Known>, name: string): string | undefined => {
  if (known.some(({ instance }) => instance === name)) return name
  const asked = parts(name)
  const isModel = ({ alias, wire }: Known, model: string) => alias === model || wire === model
  const same = (a: string | undefined, b: string) => a?.toLowerCase() === b.toLowerCase()
  const found =
    asked === undefined
      ? undefined
      : (known.find((one) => same(one.provider, asked.provider) && isModel(one, asked.model)) ??
        known.find((one) => same(one.kind, asked.provider) && isModel(one, asked.model)))
  return (found ?? known.find(({ provider, wire }) => `${provider}-${wire}` === name))?.instance
}

/**
 * What can be made of the name of a model alone: one of a provider whose address is known.
 *
 * @since 0.1.0
 * @category getters
 */
export const addable = (
  name: string
): { readonly provider: MigrateProviders.Known; readonly model: string } | undefined => {
  const asked = parts(name)
  const provider = asked === undefined ? undefined : MigrateProviders.find(MigrateProviders.older, asked.provider)
  if (asked === undefined || provider === undefined) return undefined
  return needsMore.includes(provider.kind) ? undefined : { provider, model: asked.model }
}

/** Kinds without an address that is the same for everybody. */
const needsMore = ["bedrock", "vertex", "azure-openai", "azure-openai-responses", "openai-compatible"]

/**
 * A value of a provider's file, by a path that begins with the file's name.
 *
 * @since 0.1.0
 * @category models
 */
export type Stated = readonly [path: ReadonlyArray<string>, value: unknown]

/**
 * The models of providers, by what their files say.
 *
 * @since 0.1.0
 * @category constructors
 */
export const modelsOf = (all: ReadonlyArray<Stated>): ReadonlyArray<Known> => {
  const values = new Map(all.map(([path, value]) => [path.join("\n"), value] as const))
  const textOf = (...at: ReadonlyArray<string>): string | undefined => {
    const found = values.get(at.join("\n"))
    return typeof found === "string" ? found : undefined
  }
  const models = new Map<string, Known>()
  for (const [[file, section, alias]] of all) {
    if (file === undefined || section !== "models" || alias === undefined) continue
    const provider = textOf(file, "name") ?? file
    const wire = textOf(file, "models", alias, "model") ?? alias
    const instance = `${provider}-${alias}`
    models.set(instance, { provider, kind: textOf(file, "kind"), alias, wire, instance })
  }
  return [...models.values()]
}
