/**
 * An `Llm` that follows a script and keeps books: what it was asked, and what it still holds open.
 *
 * It is a real instance, made by `Llm.make`, so it commits, seals and records its route as every instance
 * does. Waits are by Effect's `Clock`: under a `TestClock` nothing sleeps.
 *
 * @since 0.1.0
 */
import { type Attempt, type Capability, Llm, LlmError, type LlmRequest, type Part, type Usage } from "@echelon/core"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/**
 * One thing that an instance does.
 *
 * **Details** `Parts` delivers one batch. `Accepted` says that the connection stands: steps before it happen
 * while the call is opened, steps after it while the answer is read. Without one the call opens at once. A
 * script that runs out ends.
 *
 * @since 0.1.0
 * @category models
 */
export type Step =
  | { readonly _tag: "Accepted" }
  | { readonly _tag: "Parts"; readonly parts: readonly [Part.Part, ...Array<Part.Part>] }
  | { readonly _tag: "Wait"; readonly duration: Duration.Input }
  | { readonly _tag: "Fail"; readonly error: LlmError.LlmError }
  | { readonly _tag: "End" }
  | { readonly _tag: "Never" }
  | { readonly _tag: "Die"; readonly defect: unknown }

/**
 * What one call does, in order.
 *
 * @since 0.1.0
 * @category models
 */
export type Script = ReadonlyArray<Step>

/**
 * A call that was made.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  /** Counts from 0. */
  readonly index: number
  readonly request: LlmRequest.LlmRequest
  /** Milliseconds since the epoch, by Effect's `Clock`. */
  readonly startedAt: number
  /** How the attempt ended; `undefined` while it lasts. */
  readonly outcome: () => Attempt.Outcome | undefined
}

/**
 * A scripted instance and its books.
 *
 * @since 0.1.0
 * @category models
 */
export interface ScriptedLlm {
  readonly llm: Llm.Llm
  readonly calls: () => ReadonlyArray<Call>
  /** Calls whose connection was asked for. */
  readonly opened: () => number
  /** Calls whose scope has closed. */
  readonly closed: () => number
  /** Calls that still hold something; 0 when nothing leaks. */
  readonly open: () => number
}

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly id: string
  /** @default id */
  readonly model?: string | undefined
  readonly capabilities?: Capability.Capabilities | undefined
  readonly prices?: Usage.Prices | undefined
  /** The same script for every call, or one by the call's number and request. */
  readonly script: Script | ((callIndex: number, request: LlmRequest.LlmRequest) => Script)
}

/**
 * Accepts the call: the connection stands.
 *
 * @since 0.1.0
 * @category steps
 */
export const accepted: Step = { _tag: "Accepted" }

/**
 * Delivers parts as one batch.
 *
 * @since 0.1.0
 * @category steps
 */
export const parts = (...batch: readonly [Part.Part, ...Array<Part.Part>]): Step => ({ _tag: "Parts", parts: batch })

/**
 * Waits, by Effect's `Clock`.
 *
 * @since 0.1.0
 * @category steps
 */
export const wait = (duration: Duration.Input): Step => ({ _tag: "Wait", duration })

/**
 * Fails with a reason, or with an error as it is.
 *
 * @since 0.1.0
 * @category steps
 */
export const fail = (error: LlmError.Reason | LlmError.LlmError): Step => ({
  _tag: "Fail",
  error: LlmError.isLlmError(error) ? error : LlmError.make({ reason: error })
})

/**
 * Ends the answer. Without a finish part before it the answer is truncated.
 *
 * @since 0.1.0
 * @category steps
 */
export const end: Step = { _tag: "End" }

/**
 * Never goes on.
 *
 * @since 0.1.0
 * @category steps
 */
export const never: Step = { _tag: "Never" }

/**
 * Dies with a defect, as a broken adapter does.
 *
 * @since 0.1.0
 * @category steps
 */
export const die = (defect: unknown): Step => ({ _tag: "Die", defect })

/**
 * Tokens that a finish part reports.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tokens {
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
}

/**
 * Finishes the answer. Usage that is left out is unknown.
 *
 * @since 0.1.0
 * @category steps
 */
export const finish = (tokens: Tokens = {}, reason: Part.FinishReason = "stop"): Step =>
  parts({
    type: "finish",
    reason,
    usage: {
      inputTokens: tokens.inputTokens === undefined ? {} : { total: tokens.inputTokens },
      outputTokens: tokens.outputTokens === undefined ? {} : { total: tokens.outputTokens }
    }
  })

const words = (content: string): ReadonlyArray<string> => content.match(/\S+\s*|\s+/g) ?? []

const deltas = (content: string): ReadonlyArray<Step> =>
  words(content).map((delta) => parts({ type: "text-delta", id: "0", delta }))

/**
 * A whole answer of this text, a batch a word. It reports one token of input and one a word of output unless
 * told otherwise.
 *
 * @since 0.1.0
 * @category scripts
 */
export const text = (
  content: string,
  tokens: Tokens = { inputTokens: 1, outputTokens: words(content).length }
): Script => [
  parts({ type: "text-start", id: "0" }),
  ...deltas(content),
  parts({ type: "text-end", id: "0" }),
  finish(tokens)
]

/**
 * A whole answer of vectors, to a request for embeddings. It reports one token of input a vector unless told otherwise.
 *
 * @since 0.1.0
 * @category scripts
 */
export const embeddings = (
  vectors: ReadonlyArray<ReadonlyArray<number>>,
  tokens: Tokens = { inputTokens: vectors.length, outputTokens: 0 }
): Script => [parts({ type: "embeddings", vectors }), finish(tokens)]

/**
 * A call that is refused before any output.
 *
 * @since 0.1.0
 * @category scripts
 */
export const fails = (error: LlmError.Reason | LlmError.LlmError): Script => [fail(error)]

/**
 * An answer that stops after this text: cut off without a finish part, or failing with the given reason.
 *
 * @since 0.1.0
 * @category scripts
 */
export const truncated = (content: string, error?: LlmError.Reason | LlmError.LlmError): Script => [
  parts({ type: "text-start", id: "0" }),
  ...deltas(content),
  error === undefined ? end : fail(error)
]

/** A step that delivers nothing. */
const act = (step: Step): Effect.Effect<void, LlmError.LlmError> => {
  switch (step._tag) {
    case "Wait":
      return Effect.sleep(step.duration)
    case "Fail":
      return Effect.fail(step.error)
    case "Never":
      return Effect.never
    case "Die":
      return Effect.die(step.defect)
    case "Accepted":
      return Effect.void
    case "Parts":
    case "End":
      return Effect.die(new RangeError(`ScriptedLlm.make: script must not have ${step._tag} before Accepted`))
  }
}

const play = (steps: Script): Llm.Source => {
  let at = 0
  const next: Llm.Source = Effect.suspend(() => {
    const step = steps[at] ?? end
    at += 1
    switch (step._tag) {
      case "Parts":
        return Effect.succeed(step.parts)
      case "End":
        at = steps.length
        return Cause.done()
      default:
        return Effect.andThen(act(step), next)
    }
  })
  return next
}

/**
 * Makes a scripted instance.
 *
 * **Gotchas** The books hold requests whole, prompts included. They are for tests.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Llm } from "@echelon/core"
 * import { ScriptedLlm } from "@echelon/testing"
 *
 * const program = Effect.gen(function* () {
 *   const scripted = yield* ScriptedLlm.make({
 *     id: "flaky",
 *     script: (callIndex) =>
 *       callIndex === 0 ? ScriptedLlm.fails({ _tag: "Overloaded" }) : ScriptedLlm.text("hello there")
 *   })
 *   const error = yield* Effect.flip(Llm.generate(scripted.llm, { prompt: "hi" }))
 *   const answer = yield* Llm.generate(scripted.llm, { prompt: "hi" })
 *   console.assert(error.reason._tag === "Overloaded")
 *   console.assert(answer.text === "hello there")
 *   console.assert(scripted.calls().length === 2 && scripted.open() === 0)
 * })
 *
 * await Effect.runPromise(program)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<ScriptedLlm> =>
  Effect.sync(() => {
    const { capabilities, id, model, prices, script } = options
    const calls: Array<Call> = []
    let opened = 0
    let closed = 0
    const hold: Effect.Effect<void, never, Scope.Scope> = Effect.acquireRelease(
      Effect.sync(() => {
        opened += 1
      }),
      () =>
        Effect.sync(() => {
          closed += 1
        })
    )
    const llm = Llm.make({
      id,
      model,
      capabilities,
      prices,
      open: Effect.fnUntraced(function* (request, attempt) {
        const startedAt = yield* Clock.currentTimeMillis
        const index = calls.length
        calls.push({ index, request, startedAt, outcome: attempt.outcome })
        yield* hold
        const steps = typeof script === "function" ? script(index, request) : script
        const standsAt = steps.findIndex((step) => step._tag === "Accepted")
        for (const step of steps.slice(0, Math.max(standsAt, 0))) yield* act(step)
        return play(steps.slice(standsAt + 1))
      })
    })
    return {
      llm,
      calls: () => [...calls],
      opened: () => opened,
      closed: () => closed,
      open: () => opened - closed
    }
  })
