/**
 * How much an estimate by letters must be corrected for a model: the running ratio of what the provider reported to
 * what was estimated, for each kind of script.
 *
 * **Details** An exponentially weighted mean, bounded to 0.4 and 2.5. It starts from a seed, which stands as one
 * observation, and an observation weighs at least a tenth. The seeds of OpenAI's encodings are measured on short
 * texts in ten languages, those of the others are rough and soon replaced.
 *
 * @since 0.1.0
 */
import * as TokenCounter from "@echelon/core/TokenCounter"
import type * as TokenEstimate from "@echelon/core/TokenEstimate"
import * as ModelName from "./ModelName.ts"

/**
 * What a text is mostly written in: Latin letters; Chinese, Japanese or Korean; or any other.
 *
 * @since 0.1.0
 * @category models
 */
export type Script = "latin" | "wide" | "other"

/**
 * A ratio and how many observations are in it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ratio {
  readonly value: number
  readonly seen: number
}

/**
 * What is known of a model.
 *
 * @since 0.1.0
 * @category models
 */
export type Calibration = Readonly<Record<Script, Ratio>>

const bounds = { min: 0.4, max: TokenCounter.maxRatio }

/** The least weight of an observation. */
const least = 0.1

/** A shorter input is mostly its frame, which tells nothing of its letters. */
const shortest = 32

const from = (latin: number, wide: number, other: number): Calibration => ({
  latin: { value: latin, seen: 0 },
  wide: { value: wide, seen: 0 },
  other: { value: other, seen: 0 }
})

/** The first that a bare name matches. */
const seeds: ReadonlyArray<readonly [RegExp, Calibration]> = [
  [/^gpt-(?:4o|4\.1|4\.5|[5-9]|oss)|^chatgpt-|^o\d/, from(0.95, 0.65, 0.65)],
  [/^gpt-(?:3|4)|^text-embedding/, from(0.95, 1, 1.4)],
  [/^claude-opus-4[.-][7-9]|^claude-[a-z]+-[5-9]/, from(1.3, 1.2, 1.4)],
  [/^claude-/, from(1.05, 1.1, 1.3)],
  [/^gemini-/, from(0.95, 0.65, 0.65)],
  [/^deepseek-/, from(1, 0.6, 1)]
]

const unseeded = from(1, 1, 1)

/**
 * What is assumed of a model before anything was reported.
 *
 * @since 0.1.0
 * @category constructors
 */
export const seed = (model: string): Calibration => {
  const name = ModelName.bare(model)
  return seeds.find(([pattern]) => pattern.test(name))?.[1] ?? unseeded
}

const bounded = (ratio: number): number => Math.min(Math.max(ratio, bounds.min), bounds.max)

/**
 * Takes in one report. One of a short input, or of figures that are none, changes nothing.
 *
 * @since 0.1.0
 * @category combinators
 */
export const observe = (calibration: Calibration, script: Script, estimated: number, reported: number): Calibration => {
  if (!(estimated >= shortest && reported > 0 && reported < Number.POSITIVE_INFINITY)) return calibration
  const { seen, value } = calibration[script]
  const weight = Math.max(least, 1 / (seen + 2))
  const next = value + weight * (bounded(reported / estimated) - value)
  return { ...calibration, [script]: { value: next, seen: seen + 1 } }
}

/** Letters that are looked at of a message, and messages that are looked at from the last on. */
const sample = { letters: 256, messages: 4 }

/**
 * What a request is mostly written in, told by the beginnings of its last messages.
 *
 * @since 0.1.0
 * @category getters
 */
export const scriptOf = (request: Pick<TokenEstimate.Sized, "messages">): Script => {
  let letters = 0
  let wide = 0
  let other = 0
  const look = (text: string): void => {
    const end = Math.min(text.length, sample.letters)
    for (let i = 0; i < end; i++) {
      const code = text.charCodeAt(i)
      if (code >= 0x2e80) wide += 1
      else if (code >= 0x370) other += 1
    }
    letters += end
  }
  const { messages } = request
  for (let i = messages.length - 1; i >= Math.max(0, messages.length - sample.messages); i--) {
    const content = messages[i]?.content
    if (typeof content === "string") look(content)
    else for (const part of content ?? []) if (part.type === "text") look(part.text)
  }
  // A wide letter says as much as several others.
  if (wide * 4 >= letters && wide >= other) return wide === 0 ? "latin" : "wide"
  return other * 2 >= letters ? "other" : "latin"
}
