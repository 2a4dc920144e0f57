/**
 * Counts tokens with OpenAI's published encodings. An encoding is a table of a megabyte or two: it is loaded when it
 * is first asked for, and never by a program that asks for none.
 *
 * **Details** Each message costs three tokens and one for its role, the reply three more: so OpenAI's own guide to
 * counting has it. How tools, schemas and calls are put into the prompt is not published; they are counted as the
 * JSON that they are sent as, and the count is then not exact.
 *
 * @since 0.1.0
 */
import type * as TokenCounter from "@echelon/core/TokenCounter"
import * as TokenEstimate from "@echelon/core/TokenEstimate"
import * as Effect from "effect/Effect"
import * as Lowering from "./Lowering.ts"
import * as Media from "./Media.ts"
import * as ModelName from "./ModelName.ts"
import * as TokenMedia from "./TokenMedia.ts"

/**
 * A published encoding.
 *
 * @since 0.1.0
 * @category models
 */
export type Encoding = "o200k_base" | "cl100k_base"

/**
 * The encoding of a model; `undefined` when none is published.
 *
 * @since 0.1.0
 * @category getters
 */
export const encodingOf = (model: string): Encoding | undefined => {
  const name = ModelName.bare(model)
  if (/^gpt-(?:4o|4\.[15]|[5-9]|\d\d)|^chatgpt-4o|^o\d+(?:-|$)/.test(name)) return "o200k_base"
  return /^gpt-(?:3\.5|4)(?:-|$)|^text-embedding-/.test(name) ? "cl100k_base" : undefined
}

/**
 * How many tokens a text has.
 *
 * @since 0.1.0
 * @category models
 */
export interface Text {
  readonly tokens: number
  readonly exact: boolean
}

interface Encoder {
  readonly countTokens: (
    text: string,
    options: { readonly allowedSpecial: Set<string>; readonly disallowedSpecial: Set<string> }
  ) => number
}

/** A run without a boundary takes time by the square of its length. */
const run = /[\p{L}\p{M}]{257,}|\s{257,}|[^\s\p{L}\p{N}]{257,}/u
const piece = /[\s\S]{1,256}/g

/**
 * Counts texts by an encoding. Text that looks like a control token is text.
 *
 * **Details** Runs of more than 256 letters, spaces or signs are cut, so that no prompt makes counting slow: the
 * count is then not exact.
 *
 * @since 0.1.0
 * @category constructors
 */
const counting = (encoder: Encoder): ((text: string) => Text) => {
  const options = { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() }
  const count = (text: string): number => encoder.countTokens(text, options)
  return (text) => {
    if (!run.test(text)) return { tokens: count(text), exact: true }
    let tokens = 0
    for (const part of text.match(piece) ?? []) tokens += count(part)
    return { tokens, exact: false }
  }
}

/**
 * Loads an encoding.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { TokenCalculatorOpenAi } from "@echelon/providers"
 *
 * const count = await Effect.runPromise(TokenCalculatorOpenAi.load("o200k_base"))
 * console.assert(count("hello world").tokens === 2)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const load = (encoding: Encoding): Effect.Effect<(text: string) => Text> =>
  Effect.map(
    // A package that is listed among the dependencies and is not there is a broken installation.
    Effect.promise(
      (): Promise<Encoder> =>
        encoding === "o200k_base"
          ? import("gpt-tokenizer/encoding/o200k_base")
          : import("gpt-tokenizer/encoding/cl100k_base")
    ),
    counting
  )

const per = { message: 3, role: 1, reply: 3, tool: 8 }

type Content = Exclude<TokenEstimate.Sized["messages"][number]["content"], string>[number]

/** Adds up one request. */
class Sum {
  tokens = per.reply
  exact = true
  private readonly count: (text: string) => Text
  private readonly model: string

  constructor(count: (text: string) => Text, model: string) {
    this.count = count
    this.model = model
  }

  text(text: string): void {
    const { exact, tokens } = this.count(text)
    this.tokens += tokens
    if (!exact) this.exact = false
  }

  /** What is sent in a form that is not published. */
  rough(value: unknown, tokens: number): void {
    this.exact = false
    this.tokens += tokens
    if (value !== undefined) this.text(typeof value === "string" ? value : (JSON.stringify(value) ?? ""))
  }

  /** An image by its rule, a text that is at hand by its letters, anything else by a figure. */
  file(part: Extract<Content, { readonly type: "file" }>): void {
    const { mediaType } = part
    const text = mediaType.startsWith("text/") ? Media.read(part) : undefined
    if (text?._tag === "Base64") this.rough(Buffer.from(text.base64, "base64").toString(), 0)
    else if (mediaType.startsWith("image/"))
      this.rough(undefined, TokenMedia.ofPart(part, this.model) ?? TokenEstimate.perImage)
    else this.rough(undefined, TokenEstimate.perFile)
  }

  part(part: Content): void {
    switch (part.type) {
      case "text":
        this.text(part.text)
        break
      case "reasoning":
        this.rough(part.text, 0)
        break
      case "file":
        this.file(part)
        break
      case "tool-call":
        this.rough([part.name, part.params], per.tool)
        break
      case "tool-result":
        for (const shown of part.modelOutput ?? []) if (shown.type === "file") this.part(shown)
        this.rough(Lowering.resultText(part), per.tool)
        break
      case "tool-approval-request":
      case "tool-approval-response":
        this.rough(undefined, per.tool)
    }
  }
}

/**
 * Counts a request for a model, by an encoding that was loaded.
 *
 * @since 0.1.0
 * @category getters
 */
export const count = (
  request: TokenEstimate.Sized,
  model: string,
  text: (text: string) => Text
): TokenCounter.Count => {
  const sum = new Sum(text, model)
  for (const { content } of request.messages) {
    sum.tokens += per.message + per.role
    if (typeof content === "string") sum.text(content)
    else {
      if (content.length > 1) sum.exact = false
      for (const part of content) sum.part(part)
    }
  }
  for (const { description, name, parameters } of request.tools) sum.rough({ name, description, parameters }, per.tool)
  if (request.responseFormat.type === "json") sum.rough(request.responseFormat.schema, per.tool)
  return { tokens: sum.tokens, exact: sum.exact }
}
