/**
 * What a model's name tells of the parameters it takes: providers refuse a request over one that the model does not
 * know, and no field of any protocol says which.
 *
 * **Details** Told by families, so that a model that is newer than the catalogue is treated as its kin. A name of no
 * known family takes everything. OpenAI's and Anthropic's rules are as their errors state them, xAI's and DeepSeek's
 * as their references do; the table was last compared with them on 2026-11-23. How
 * Claude is told to think is as Anthropic and Amazon document it: an effort from 4.6 on, a budget from 3.7 on.
 *
 * @since 0.1.0
 */
import * as ModelName from "./ModelName.ts"

/**
 * Which sampling settings a model takes: all, temperature or top p but not both, or none. `unless_thinking` is none,
 * but all while it is told not to think.
 *
 * @since 0.1.0
 * @category models
 */
export type Sampling = "all" | "one" | "none" | "unless_thinking"

/**
 * What is known of a family.
 *
 * @since 0.1.0
 * @category models
 */
export interface Traits {
  /** Whether it thinks before it answers. */
  readonly thinks: "yes" | "no" | "unknown"
  /** How far temperature, top p, top k and penalties are taken. */
  readonly sampling: Sampling
  /** Whether penalties are refused, whatever is said of sampling. */
  readonly refusesPenalties: boolean
  readonly refusesStop: boolean
  readonly refusesParallel: boolean
  /** The efforts that can be asked for; `undefined` when all can, or it does not say. */
  readonly efforts: ReadonlyArray<string> | undefined
  /** By what it is told how far to think, where its maker has words of his own: an effort, or a budget of tokens. */
  readonly thinksBy: "effort" | "budget" | undefined
}

const plain: Traits = {
  thinks: "unknown",
  sampling: "all",
  refusesPenalties: false,
  refusesStop: false,
  refusesParallel: false,
  efforts: undefined,
  thinksBy: undefined
}

const thinking: Traits = { ...plain, thinks: "yes", sampling: "none", refusesStop: true }
const upToHigh = ["low", "medium", "high"]
const upToXhigh = [...upToHigh, "xhigh"]
const gpt5: Traits = { ...thinking, sampling: "unless_thinking" }
const byEffort: Traits = { ...plain, efforts: ["none", ...upToHigh], thinksBy: "effort" }
const byBudget: Traits = { ...byEffort, thinksBy: "budget" }
const byItself: Traits = { ...byEffort, thinks: "yes", sampling: "none", efforts: upToXhigh }

/** The first that a bare name matches. */
const families: ReadonlyArray<readonly [RegExp, Traits]> = [
  // OpenAI. A model made for chat does not think, whatever its generation.
  [/^gpt-\d+-chat(?:-|$)|^chatgpt-|^gpt-[34](?!\d)/, { ...plain, thinks: "no" }],
  [/^o(?:1|3-mini)(?:-|$)/, { ...thinking, refusesStop: false, refusesParallel: true, efforts: upToHigh }],
  [/^o\d+(?:[.-]|$)/, { ...thinking, refusesParallel: true, efforts: upToHigh }],
  [/^gpt-5\.\d+-pro/, { ...gpt5, efforts: ["medium", "high", "xhigh"] }],
  [/^gpt-5\.(?:1-codex-max|(?:[2-9]|\d\d)-codex)/, { ...gpt5, efforts: upToXhigh }],
  [/^gpt-5\.1-codex/, { ...gpt5, efforts: upToHigh }],
  [/^gpt-5\.1(?!\d)/, { ...gpt5, efforts: ["none", ...upToHigh] }],
  [/^gpt-5\.\d/, { ...gpt5, efforts: ["none", ...upToXhigh] }],
  [/^gpt-5-pro/, { ...thinking, efforts: ["high"] }],
  [/^gpt-5-codex|^codex-mini/, { ...thinking, efforts: upToHigh }],
  [/^gpt-5(?:-|$)/, { ...thinking, efforts: ["minimal", ...upToHigh] }],
  [/^gpt-oss/, { ...plain, efforts: upToHigh }],
  [/^gpt-(?:[5-9]|\d{2,})(?:[.-]|$)|^computer-use-preview/, thinking],
  // Anthropic, whose names say the size before the generation since 4.
  // From 5 on they think by themselves, and not all can be told to leave it.
  [/^claude-(?:(?:opus|sonnet)-5(?![.-]\d(?!\d))|haiku-5)/, { ...byItself, efforts: ["none", ...upToXhigh] }],
  [/^claude-[a-z]+-(?:[5-9]|\d\d)(?!\d)/, byItself],
  [/^claude-opus-4[.-](?:[7-9]|\d\d)(?!\d)/, { ...byItself, thinks: "unknown", efforts: ["none", ...upToXhigh] }],
  [/^claude-[a-z]+-4[.-](?:[6-9]|\d\d)(?!\d)/, { ...byEffort, sampling: "one" }],
  [/^claude-[a-z]+-4[.-][1-9](?!\d)/, { ...byBudget, sampling: "one" }],
  [/^claude-(?:3[.-]7|[a-z]+-4(?:-|$))/, byBudget],
  [/^claude-(?:[12]|3|instant)(?:[.-]|$)/, { ...plain, thinks: "no" }],
  // Google, where another protocol asks for an effort.
  [/^gemini-2\.5-flash/, { ...plain, efforts: ["none", "minimal", ...upToHigh] }],
  [/^gemini-/, { ...plain, efforts: ["minimal", ...upToHigh] }],
  // xAI. Those that think refuse penalties and stop sequences.
  [/^grok-.*non-reasoning/, plain],
  [/^grok-(?:4(?:-|$)|code)/, { ...plain, refusesPenalties: true, refusesStop: true, efforts: [] }],
  [/^grok-3-mini/, { ...plain, refusesPenalties: true, refusesStop: true, efforts: ["low", "high"] }],
  [/^grok-(?:[4-9]|\d\d)/, { ...plain, refusesPenalties: true, refusesStop: true }],
  // DeepSeek takes what has no effect; sent all the same, it would look as if it had one.
  [/^deepseek-reasoner/, { ...plain, thinks: "yes", sampling: "none" }]
]

/**
 * The traits of the family that a model belongs to.
 *
 * @example
 * ```ts
 * import { ModelTraits } from "@echelon/providers"
 *
 * console.assert(ModelTraits.of("gpt-5-mini").sampling === "none")
 * console.assert(ModelTraits.of("us.anthropic.claude-sonnet-4-5-20250929-v1:0").sampling === "one")
 * console.assert(ModelTraits.of("my-own-model").sampling === "all")
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const of = (model: string): Traits => {
  const name = ModelName.bare(model)
  return families.find(([pattern]) => pattern.test(name))?.[1] ?? plain
}
