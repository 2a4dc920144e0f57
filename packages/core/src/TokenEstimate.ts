/**
 * How many tokens a request will need, roughly and fast: for reserving them from a limit before the provider
 * counts, and for passing over models whose context is surely too small.
 *
 * **Details** No tokenizer: providers differ in theirs. ASCII counts a quarter of a token a character (a digit
 * 0.6), other alphabets a half, Chinese, Japanese, Korean and everything above them one. Estimate over truth,
 * measured on the encodings o200k and cl100k: English, TypeScript and JSON 0.95 to 1.3; French and German 0.9 to
 * 1.15; Chinese, Japanese and Korean 1.1 to 1.55 and 0.8 to 0.9; Russian, Arabic, Greek, Hindi and Thai 1.3 to 2
 * and 0.5 to 1. Hashes and base64 in text come out at 0.35 to 0.65. A reservation is settled with the real usage,
 * so errors last as long as a request.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "./LlmRequest.ts"

/**
 * Tokens a request is thought to need.
 *
 * @since 0.1.0
 * @category models
 */
export interface Estimate {
  readonly input: number
  /** What the request allows, or the default when it states nothing. */
  readonly output: number
  /** What the request itself states. */
  readonly statedOutput: number | undefined
  readonly total: number
  /** Of texts to embed the longest: each of them has the context window for itself. */
  readonly longest?: number | undefined
}

/**
 * What of a request is read.
 *
 * @since 0.1.0
 * @category models
 */
export type Sized = Pick<LlmRequest.LlmRequest, "messages" | "tools" | "responseFormat" | "settings"> &
  Partial<Pick<LlmRequest.LlmRequest, "embedding">>

/**
 * What an image counts, whatever its size.
 *
 * @default 1_000
 * @since 0.1.0
 * @category models
 */
export const perImage = 1_000

/**
 * What a file counts that is neither an image nor a text at hand, whatever its size.
 *
 * @default 4_000
 * @since 0.1.0
 * @category models
 */
export const perFile = 4_000

/** What cannot be counted by its characters. */
const per = { message: 4, reply: 3, tool: 8, image: perImage, file: perFile }

/** Output when a request does not limit it: of most answers more than they use. */
const defaultOutput = 1_024

const weigh = (text: string): number => {
  const { length } = text
  let digits = 0
  let beyond = 0
  let wide = 0
  // Counters of integers: half the time of one sum of weights.
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0x80) {
      beyond += 1
      if (code >= 0x2e80) wide += 1
    } else if (code <= 0x39 && code >= 0x30) digits += 1
  }
  return (length * 5 + digits * 7 + beyond * 5 + wide * 10) / 20
}

/** Weighs a value as it would be written as JSON, without writing it. Depth is no matter. */
const weighJson = (value: unknown): number => {
  const rest: Array<unknown> = [value]
  let sum = 0
  while (rest.length > 0) {
    const next = rest.pop()
    if (typeof next === "string") sum += weigh(next) + 0.75
    else if (typeof next === "object" && next !== null) {
      sum += 0.75
      if (Array.isArray(next)) for (const item of next) rest.push(item)
      else for (const [key, item] of Object.entries(next)) rest.push(key, item)
    } else sum += 1
  }
  return sum
}

type Content = Exclude<LlmRequest.Message["content"], string>[number]

const weighFile = (part: Extract<Content, { readonly type: "file" }>): number => {
  const { data, mediaType } = part
  if (mediaType.startsWith("image/")) return per.image
  if (!mediaType.startsWith("text/")) return per.file
  if (data instanceof Uint8Array) return data.length / 4
  const base64 = typeof data === "string" ? data : "base64" in data ? data.base64 : undefined
  return base64 === undefined ? per.file : (base64.length * 3) / 16
}

const weighPart = (part: Content): number => {
  switch (part.type) {
    case "text":
    case "reasoning":
      return weigh(part.text)
    case "file":
      return weighFile(part)
    case "tool-call":
      return per.tool + weigh(part.name) + weighJson(part.params)
    case "tool-result": {
      let sum = per.tool
      if (part.modelOutput === undefined) return sum + weighJson(part.result)
      for (const shown of part.modelOutput) sum += weighPart(shown)
      return sum
    }
    case "tool-approval-request":
    case "tool-approval-response":
      return per.tool
  }
}

/**
 * Estimates the tokens of a text.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofText = (text: string): number => Math.ceil(weigh(text))

const weighText = (text: LlmRequest.Text): number => (typeof text === "string" ? weigh(text) : text.length)

const ofTexts = (texts: ReadonlyArray<LlmRequest.Text>): Estimate => {
  let sum = 0
  let longest = 0
  for (const text of texts) {
    const weight = weighText(text)
    sum += weight
    if (weight > longest) longest = weight
  }
  const input = Math.ceil(sum)
  return { input, output: 0, statedOutput: undefined, total: input, longest: Math.ceil(longest) }
}

/**
 * Estimates the tokens of a request: its messages, tools and answer's schema, and the output it allows; or its texts
 * to embed, which have no output.
 *
 * **Details** An image counts 1,000 and a file that is no text 4,000, whatever their size. `output` is what an
 * answer is thought to take when the request sets no `maxOutputTokens`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (
  request: Sized,
  options: {
    /** @default 1_024 */
    readonly output?: number | undefined
  } = {}
): Estimate => {
  if (request.embedding !== undefined) return ofTexts(request.embedding.input)
  let sum = per.reply
  for (const { content } of request.messages) {
    sum += per.message
    if (typeof content === "string") sum += weigh(content)
    else for (const part of content) sum += weighPart(part)
  }
  for (const tool of request.tools) {
    sum += per.tool + weigh(tool.name) + weigh(tool.description ?? "") + weighJson(tool.parameters)
  }
  if (request.responseFormat.type === "json") sum += per.tool + weighJson(request.responseFormat.schema)
  const statedOutput = request.settings.maxOutputTokens
  const input = Math.ceil(sum)
  const output = statedOutput ?? options.output ?? defaultOutput
  return { input, output, statedOutput, total: input + output }
}

/**
 * All the tokens a request is thought to need: what to reserve from a limit.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofRequest = (request: Sized, options?: Parameters<typeof of>[1]): number => of(request, options).total

/**
 * A window that the request surely fits, told without looking at its letters; `Infinity` where only an estimate can
 * tell, because it holds more than text.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bound = (request: Sized): number => {
  if (request.embedding !== undefined) {
    let longest = 0
    for (const { length } of request.embedding.input) if (length > longest) longest = length
    return longest / 2
  }
  if (request.tools.length > 0 || request.responseFormat.type === "json") return Number.POSITIVE_INFINITY
  // No letter weighs more than one token.
  let letters = per.reply + 1
  for (const { content } of request.messages) {
    letters += per.message
    if (typeof content === "string") letters += content.length
    else {
      for (const part of content) {
        if (part.type !== "text" && part.type !== "reasoning") return Number.POSITIVE_INFINITY
        letters += part.text.length
      }
    }
  }
  return letters / 2 + (request.settings.maxOutputTokens ?? 0)
}

/**
 * Whether a request may fit a context window: `false` only when it surely does not. An unknown window fits.
 *
 * **Details** The estimate is at most about twice the truth, so half of it must fit, beside the output that the
 * request states. What fits no better than that is the provider's to refuse.
 *
 * @since 0.1.0
 * @category getters
 */
export const mayFit = (estimate: Estimate, contextWindow: number | undefined): boolean =>
  contextWindow === undefined ||
  (estimate.longest ?? estimate.input) / 2 + (estimate.statedOutput ?? 0) <= contextWindow
