/**
 * What images cost in tokens, by the rule of each provider.
 *
 * **Details** The rules are those of the providers' guides to vision, from memory: OpenAI scales an image to fit
 * 2,048 × 2,048 and its shorter side to 768, then counts tiles of 512; smaller models count patches of 32 instead,
 * 1,536 at most. Anthropic scales the longer side to 1,568 and counts a token for 750 pixels. Gemini counts 258 for
 * a tile of 768, from its third generation 1,120 for any image. An image of unknown size, and one behind a URL is
 * such, counts as one of 1,024 × 1,024.
 *
 * @since 0.1.0
 */
import type * as Prompt from "effect/ai/Prompt"
import * as ImageSize from "./ImageSize.ts"
import * as Lowering from "./Lowering.ts"
import * as ModelName from "./ModelName.ts"

/**
 * How a model counts an image.
 *
 * @since 0.1.0
 * @category models
 */
export type Rule =
  | { readonly _tag: "Tiles"; readonly base: number; readonly tile: number }
  | { readonly _tag: "Patches"; readonly factor: number }
  | { readonly _tag: "Pixels"; readonly perToken: number; readonly longest: number }
  | { readonly _tag: "Crops"; readonly tile: number }
  | { readonly _tag: "Fixed"; readonly tokens: number }

/**
 * The size that is assumed where it is not known.
 *
 * @since 0.1.0
 * @category models
 */
export const unknownSize: ImageSize.Size = { width: 1_024, height: 1_024 }

const tiles = (base: number, tile: number): Rule => ({ _tag: "Tiles", base, tile })
const patches = (factor: number): Rule => ({ _tag: "Patches", factor })

/** The first that a bare name matches. */
const rules: ReadonlyArray<readonly [RegExp, Rule]> = [
  [/^gpt-4o-mini/, tiles(2_833, 5_667)],
  [/^(?:gpt-4o|chatgpt-4o|gpt-4-turbo|gpt-4\.5|gpt-4\.1(?:-\d|$))/, tiles(85, 170)],
  [/^gpt-4\.1-mini|^gpt-5(?:\.\d)?-mini/, patches(1.62)],
  [/^gpt-4\.1-nano|^gpt-5(?:\.\d)?-nano/, patches(2.46)],
  [/^o4-mini/, patches(1.72)],
  [/^o[13](?:-|$)/, tiles(75, 150)],
  [/^gpt-5/, tiles(70, 140)],
  [/^claude-/, { _tag: "Pixels", perToken: 750, longest: 1_568 }],
  [/^gemini-[12]/, { _tag: "Crops", tile: 258 }],
  [/^gemini-/, { _tag: "Fixed", tokens: 1_120 }]
]

/**
 * The rule of a model; `undefined` when none is known.
 *
 * @since 0.1.0
 * @category getters
 */
export const ruleOf = (model: string): Rule | undefined => {
  const name = ModelName.bare(model)
  return rules.find(([pattern]) => pattern.test(name))?.[1]
}

const shrunk = (size: ImageSize.Size, factor: number): ImageSize.Size =>
  factor >= 1 ? size : { width: size.width * factor, height: size.height * factor }

const count = (size: ImageSize.Size, side: number): number =>
  Math.ceil(size.width / side) * Math.ceil(size.height / side)

const longest = ({ height, width }: ImageSize.Size): number => Math.max(width, height)

/**
 * What an image costs. `low` is OpenAI's lower detail, for which an image is one tile.
 *
 * @example
 * ```ts
 * import { TokenMedia } from "@echelon/providers"
 *
 * const size = { width: 1024, height: 1024 }
 * console.assert(TokenMedia.ofImage({ _tag: "Tiles", base: 85, tile: 170 }, size) === 765)
 * console.assert(TokenMedia.ofImage({ _tag: "Tiles", base: 85, tile: 170 }, size, "low") === 85)
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const ofImage = (rule: Rule, size: ImageSize.Size, detail?: "low"): number => {
  switch (rule._tag) {
    case "Tiles": {
      if (detail === "low") return rule.base
      const fitting = shrunk(size, 2_048 / longest(size))
      return rule.base + rule.tile * count(shrunk(fitting, 768 / Math.min(fitting.width, fitting.height)), 512)
    }
    case "Patches":
      return Math.ceil(Math.min(count(size, 32), 1_536) * rule.factor)
    case "Pixels": {
      const { height, width } = shrunk(size, rule.longest / longest(size))
      return Math.ceil((width * height) / rule.perToken)
    }
    case "Crops":
      return rule.tile * (longest(size) <= 384 ? 1 : count(size, 768))
    case "Fixed":
      return rule.tokens
  }
}

/**
 * What an image in a prompt costs a model; `undefined` when its rule is not known.
 *
 * @since 0.1.0
 * @category getters
 */
export const ofPart = (part: Prompt.FilePartEncoded, model: string): number | undefined => {
  const rule = ruleOf(model)
  if (rule === undefined) return undefined
  const low = Lowering.optionsFor(part, "openai")?.["imageDetail"] === "low"
  return ofImage(rule, ImageSize.of(part) ?? unknownSize, low ? "low" : undefined)
}
