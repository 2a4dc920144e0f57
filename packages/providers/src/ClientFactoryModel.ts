/**
 * Which provider a model's name means. Pure: what the plan names first, then ids that only one kind has, then what the
 * catalogue lists, then families by how their names begin.
 *
 * @since 0.1.0
 */
import type * as Catalogue from "@echelon/core/Catalogue"
import * as Nearest from "@echelon/core/Nearest"
import type * as Plan from "@echelon/core/Plan"
import * as ModelCatalogue from "./ModelCatalogue.ts"
import * as ModelName from "./ModelName.ts"
import * as ProviderTable from "./ProviderTable.ts"

/**
 * How the names of a family begin, and the kinds that serve it. The first is its maker's own; where it says `undefined`
 * the weights are open, and no kind is at home.
 *
 * @since 0.1.0
 * @category models
 */
export interface Family {
  readonly begins: RegExp
  readonly home: string | undefined
  readonly also: ReadonlyArray<string>
}

const hosts = ["groq", "together", "fireworks", "openrouter", "ollama", "vllm", "lm-studio"]

const family = (begins: RegExp, home: string | undefined, also: ReadonlyArray<string> = []): Family => ({
  begins,
  home,
  also
})

/**
 * Every family, matched in this order against a name without what stands around it (`ModelName.bare`).
 *
 * @since 0.1.0
 * @category models
 */
export const families: ReadonlyArray<Family> = [
  family(/^gpt-oss-/, undefined, hosts),
  family(/^(?:gpt-|chatgpt-|codex-|computer-use-)|^o\d+(?:-|$)|^text-embedding-(?:3-|ada-)/, "openai", [
    "openai-responses",
    "azure-openai",
    "azure-openai-responses"
  ]),
  family(/^claude-/, "anthropic"),
  family(/^(?:gemini-|learnlm-|text-embedding-00\d)/, "gemini", ["gemini-openai", "vertex"]),
  family(/^(?:mistral|ministral|magistral|codestral|devstral|pixtral|open-mistral|open-mixtral)-/, "mistral"),
  family(/^deepseek-r1-distill-/, undefined, hosts),
  family(/^deepseek-/, "deepseek", hosts),
  family(/^grok-/, "xai"),
  family(/^(?:llama|qwen|qwq|gemma|phi|kimi|glm|mixtral)(?![a-z])/, undefined, hosts)
]

/** An ARN, or a model behind its vendor and a region: Bedrock has no other names, and nobody else has these. */
const ofBedrock =
  /^arn:aws[\w-]*:bedrock:|^(?:(?:us-gov|us|eu|apac|ap|au|jp|ca|sa|me|af|global)\.)?(?:ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai|qwen|stability|twelvelabs|writer|xai|zai)\.[a-z]/i

/**
 * Who serves a model: a provider, with the name to ask it by; several of which one must be named; or nobody known.
 *
 * @since 0.1.0
 * @category models
 */
export type Resolved =
  | { readonly _tag: "Provider"; readonly provider: string; readonly model: string }
  | { readonly _tag: "Ambiguous"; readonly candidates: ReadonlyArray<string> }
  | { readonly _tag: "Unknown"; readonly known: ReadonlyArray<string> }

/**
 * What a decision is made of.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly root: Plan.Root
  /** The kinds whose key is in the environment. */
  readonly keyed: ReadonlyArray<string>
  /** @default the catalogue's */
  readonly facts?: Catalogue.Catalogue["model"] | undefined
}

/**
 * Decides who serves a model.
 *
 * **Details** The first of these that says something:
 *
 * 1. An instance of the plan by its name; then an alias of a provider's file; then a name on the wire that a file states.
 * 2. `provider/model`, when the part before the slash is a provider of the plan or a kind.
 * 3. An id of Bedrock: an ARN, or a name with its vendor such as `us.anthropic.claude-sonnet-4-5-20250929-v1:0`.
 * 4. The kinds whose catalogue lists the model, Bedrock excepted.
 * 5. The kinds of its family; a fine-tuned model (`ft:gpt-4o-mini:org::id`) is of its base's.
 *
 * Of several kinds a provider of the plan whose file names no models, and so takes any, goes first; then the maker's own;
 * then the only one whose key is in the environment. Two of equal right are `Ambiguous`: nothing is picked by chance.
 *
 * @example
 * ```ts
 * import { Plans } from "@echelon/core"
 * import * as ClientFactoryModel from "@echelon/providers/ClientFactoryModel"
 *
 * const found = ClientFactoryModel.resolve("claude-sonnet-4-5", { root: Plans.root({}), keyed: [] })
 * console.assert(found._tag === "Provider" && found.provider === "anthropic")
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const resolve = (model: string, options: Options): Resolved => {
  const { root } = options
  const instance = Object.hasOwn(root.instances, model) ? root.instances[model] : undefined
  if (instance !== undefined) return { _tag: "Provider", provider: instance.provider.name, model: instance.alias }
  const named = one(aliases(root, model)) ?? one(wireNames(root, model)) ?? prefixed(root, model)
  if (named !== undefined) return named
  const kinds = ofBedrock.test(model)
    ? [{ home: "bedrock", kinds: ["bedrock"] }]
    : [listed(model, options), familyOf(model)]
  for (const found of kinds) {
    const resolved = found === undefined ? undefined : pick(model, found, options)
    if (resolved !== undefined) return resolved
  }
  return { _tag: "Unknown", known: known(root) }
}

interface Place {
  readonly provider: string
  readonly model: string
}

const one = (places: ReadonlyArray<Place>): Resolved | undefined => {
  const [first, ...others] = places
  if (first === undefined) return undefined
  return others.length === 0
    ? { _tag: "Provider", ...first }
    : { _tag: "Ambiguous", candidates: places.map(({ model, provider }) => `${provider}/${model}`) }
}

const aliases = (root: Plan.Root, model: string): ReadonlyArray<Place> =>
  Object.values(root.providers).flatMap(({ models, name }) =>
    Object.hasOwn(models, model) ? [{ provider: name, model }] : []
  )

const wireNames = (root: Plan.Root, wanted: string): ReadonlyArray<Place> =>
  Object.values(root.providers).flatMap(({ models, name }) => {
    // Several aliases of one model differ in what is known of them, not in who serves it.
    const alias = Object.keys(models).find((candidate) => models[candidate]?.model === wanted)
    return alias === undefined ? [] : [{ provider: name, model: alias }]
  })

const prefixed = (root: Plan.Root, name: string): Resolved | undefined => {
  const slash = name.indexOf("/")
  if (slash < 1) return undefined
  const provider = name.slice(0, slash)
  if (!Object.hasOwn(root.providers, provider) && ProviderTable.find(provider) === undefined) return undefined
  return { _tag: "Provider", provider, model: name.slice(slash + 1) }
}

interface Kinds {
  readonly home: string | undefined
  readonly kinds: ReadonlyArray<string>
}

const familyOf = (model: string): Kinds | undefined => {
  const name = ModelName.bare(model.replace(/^ft:/i, ""))
  const found = families.find(({ begins }) => begins.test(name))
  if (found === undefined) return undefined
  const { also, home } = found
  return { home, kinds: home === undefined ? also : [home, ...also] }
}

/** The maker is the family's, if the catalogue lists the model for it too. */
const listed = (model: string, { facts = ModelCatalogue.find }: Options): Kinds | undefined => {
  const kinds = ProviderTable.kinds.filter((kind) => {
    if (kind === "bedrock") return false
    const { capabilities, prices } = facts(kind, model)
    return capabilities !== undefined || prices !== undefined
  })
  if (kinds.length === 0) return undefined
  const family = familyOf(model)
  if (family?.home !== undefined && kinds.includes(family.home)) return { home: family.home, kinds }
  // Open weights are served by more than those who are listed.
  if (family !== undefined && family.home === undefined)
    return { home: undefined, kinds: [...new Set([...kinds, ...family.kinds])] }
  return { home: kinds.length === 1 ? kinds[0] : undefined, kinds }
}

const pick = (model: string, { home, kinds }: Kinds, { keyed, root }: Options): Resolved | undefined => {
  const planned = Object.values(root.providers).filter(
    ({ kind, models }) => kinds.includes(kind) && Object.keys(models).length === 0
  )
  const ofHome = planned.filter(({ kind }) => kind === home)
  const mine = one((ofHome.length > 0 ? ofHome : planned).map(({ name }) => ({ provider: name, model })))
  if (mine !== undefined) return mine
  if (home !== undefined) return { _tag: "Provider", provider: home, model }
  const usable = kinds.filter((kind) => keyed.includes(kind))
  return one((usable.length > 0 ? usable : kinds).map((provider) => ({ provider, model })))
}

/** What a plan names, and what the catalogue does. */
const known = (root: Plan.Root): ReadonlyArray<string> => [
  ...new Set([
    ...Object.keys(root.instances),
    ...Object.values(root.providers).flatMap(({ models }) => [
      ...Object.keys(models),
      ...Object.values(models).map((described) => described.model)
    ]),
    ...ModelCatalogue.sources.flatMap(({ models }) => Object.keys(models))
  ])
]

/**
 * Says why no provider was found, for a person.
 *
 * @since 0.1.0
 * @category getters
 */
export const explain = (model: string, resolved: Exclude<Resolved, { readonly _tag: "Provider" }>): string => {
  if (resolved._tag === "Unknown")
    return `no provider is known to have the model "${model}"; ${Nearest.hint(model, resolved.known)} or say which with "provider/model"`
  const names = resolved.candidates.slice(0, 8).map((name) => `"${name}"`)
  return `the model "${model}" is served by several; ask for one of ${names.join(", ")}`
}
