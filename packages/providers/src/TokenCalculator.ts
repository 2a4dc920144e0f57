/**
 * Counts the input tokens of a request as a model will: with its own encoding where one is published and asked for,
 * else by an estimate that is corrected by what the provider reports.
 *
 * @since 0.1.0
 */
import * as TokenCounter from "@echelon/core/TokenCounter"
import * as TokenEstimate from "@echelon/core/TokenEstimate"
import type * as Prompt from "effect/ai/Prompt"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ModelName from "./ModelName.ts"
import * as TokenCalculatorOpenAi from "./TokenCalculatorOpenAi.ts"
import * as TokenCalibration from "./TokenCalibration.ts"
import * as TokenMedia from "./TokenMedia.ts"

/** The files of a request, those in results of tools included. */
const filesOf = (request: TokenEstimate.Sized): ReadonlyArray<Prompt.FilePartEncoded> => {
  let found: Array<Prompt.FilePartEncoded> | undefined
  for (const { content } of request.messages) {
    if (typeof content === "string") continue
    for (const part of content) {
      if (part.type === "file") found = [...(found ?? []), part]
      else if (part.type === "tool-result")
        for (const shown of part.modelOutput ?? []) if (shown.type === "file") found = [...(found ?? []), shown]
    }
  }
  return found ?? []
}

/**
 * Counts a request by its estimate, a calibration and the rule of the model for images. What files cost is a figure
 * that no calibration changes; a text is a text.
 *
 * @since 0.1.0
 * @category getters
 */
export const calibrated = (
  request: TokenEstimate.Sized,
  estimated: number,
  model: string,
  calibration: TokenCalibration.Calibration
): TokenCounter.Count => {
  let text = estimated
  let files = 0
  for (const file of filesOf(request)) {
    if (file.mediaType.startsWith("text/")) continue
    const isImage = file.mediaType.startsWith("image/")
    const figure = isImage ? TokenEstimate.perImage : TokenEstimate.perFile
    text -= figure
    files += (isImage ? TokenMedia.ofPart(file, model) : undefined) ?? figure
  }
  const { value } = calibration[TokenCalibration.scriptOf(request)]
  return { tokens: Math.ceil(Math.max(text, 0) * value) + files, exact: false }
}

/** At most so many models are remembered; more are forgotten, those first that were first heard of. */
const capacity = 1_000

/**
 * What was learned, by model.
 *
 * @since 0.1.0
 * @category models
 */
export class Learned {
  private readonly known = new Map<string, TokenCalibration.Calibration>()

  /** What is known of a model. */
  of(model: string): TokenCalibration.Calibration {
    return this.known.get(ModelName.bare(model)) ?? TokenCalibration.seed(model)
  }

  /** Takes in what a provider reported. A request with files teaches nothing: their share is not known. */
  observe(model: string, request: TokenEstimate.Sized, estimated: number, reported: number): void {
    if (filesOf(request).length > 0) return
    const name = ModelName.bare(model)
    const script = TokenCalibration.scriptOf(request)
    const next = TokenCalibration.observe(this.of(model), script, estimated, reported)
    if (!this.known.has(name) && this.known.size >= capacity) {
      const [oldest] = this.known.keys()
      if (oldest !== undefined) this.known.delete(oldest)
    }
    this.known.set(name, next)
  }
}

/**
 * Counts tokens.
 *
 * @since 0.1.0
 * @category services
 */
export class TokenCalculator extends Context.Service<
  TokenCalculator,
  {
    /** As well as it can be done: by the model's encoding where it is published, which is then loaded. */
    readonly count: (model: string, request: TokenEstimate.Sized) => Effect.Effect<TokenCounter.Count>
    /** At once, by the estimate and what was learned. */
    readonly estimate: (model: string, request: TokenEstimate.Sized) => TokenCounter.Count
    /** Learns from what a provider reported that it counted. */
    readonly observe: (model: string, request: TokenEstimate.Sized, reported: number) => void
    /** By what the estimates for a model are multiplied now. */
    readonly calibration: (model: string) => TokenCalibration.Calibration
  }
>()("@echelon/providers/TokenCalculator") {}

const make = Effect.gen(function* () {
  const learned = new Learned()
  const encoders = {
    o200k_base: yield* Effect.cached(TokenCalculatorOpenAi.load("o200k_base")),
    cl100k_base: yield* Effect.cached(TokenCalculatorOpenAi.load("cl100k_base"))
  }
  const counters = new Map<string, TokenCounter.Counter>()

  const estimate = (model: string, request: TokenEstimate.Sized): TokenCounter.Count =>
    calibrated(request, TokenEstimate.of(request).input, model, learned.of(model))

  const service = TokenCalculator.of({
    count: (model, request) => {
      const encoding = TokenCalculatorOpenAi.encodingOf(model)
      return encoding === undefined
        ? Effect.sync(() => estimate(model, request))
        : Effect.map(encoders[encoding], (text) => TokenCalculatorOpenAi.count(request, model, text))
    },
    estimate,
    observe: (model, request, reported) => learned.observe(model, request, TokenEstimate.of(request).input, reported),
    calibration: (model) => learned.of(model)
  })

  const counterOf = (model: string, count: TokenCounter.Counter["count"]): TokenCounter.Counter => ({
    count,
    observe: (request, estimated, reported) => learned.observe(model, request, estimated, reported)
  })

  const counter: TokenCounter.TokenCounter = {
    of: ({ model: { model }, provider }) =>
      Effect.gen(function* () {
        const encoding = provider.tokenizer === "exact" ? TokenCalculatorOpenAi.encodingOf(model) : undefined
        const key = `${encoding ?? "estimate"} ${model}`
        const known = counters.get(key)
        if (known !== undefined) return known
        const text = encoding === undefined ? undefined : yield* encoders[encoding]
        const made =
          text === undefined
            ? counterOf(model, (request, estimated) => calibrated(request, estimated, model, learned.of(model)))
            : counterOf(model, (request) => TokenCalculatorOpenAi.count(request, model, text))
        if (counters.size < capacity) counters.set(key, made)
        return made
      })
  }
  return { service, counter }
})

/**
 * Supplies the calculator, and the core with what it asks of it: `TokenCounter` for limits of tokens and context
 * windows.
 *
 * **Details** What is learned lasts as long as the Layer, so a reload of the configuration forgets nothing. No
 * encoding is loaded before a provider with `tokenizer = "exact"` is used, or `count` is called.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { LlmRequest } from "@echelon/core"
 * import { TokenCalculator } from "@echelon/providers"
 *
 * const program = Effect.gen(function* () {
 *   const tokens = yield* TokenCalculator.TokenCalculator
 *   const request = yield* LlmRequest.make({ prompt: "hello world" }, { stream: false, commit: "finish" })
 *   return yield* tokens.count("gpt-4o", request)
 * })
 * const count = await Effect.runPromise(program.pipe(Effect.provide(TokenCalculator.layer)))
 * console.assert(count.tokens === 9 && count.exact)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<TokenCalculator> = Layer.effectContext(
  Effect.map(make, ({ counter, service }) =>
    Context.add(Context.make(TokenCalculator, service), TokenCounter.TokenCounter, counter)
  )
)
