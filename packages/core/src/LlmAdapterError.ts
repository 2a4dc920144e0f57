/**
 * What an adapted client throws or dies of, as an error of its attempt.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Llm from "./Llm.ts"
import * as LlmAiError from "./LlmAiError.ts"
import * as LlmError from "./LlmError.ts"

/**
 * Tells what a thrown value means; `undefined` leaves it to the adapter. `now` is milliseconds since the epoch.
 *
 * **Gotchas** What it says must hold no secret and no prompt: it is logged. `SdkError` of `@echelon/providers` knows
 * the errors of the usual SDKs.
 *
 * @since 0.1.0
 * @category models
 */
export type Classify = (thrown: unknown, now: number) => LlmError.LlmError | LlmError.Reason | undefined

/**
 * How an error is read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly classify?: Classify | undefined
  /** What happened, in a few words. */
  readonly what: string
}

/** What a foreign function makes of an error. One that fails at it has said nothing. */
const toldBy = (classify: Classify | undefined, thrown: unknown, now: number): ReturnType<Classify> => {
  try {
    return classify?.(thrown, now)
  } catch {
    return undefined
  }
}

/**
 * Makes an error of what was thrown. Its message is not shown: nobody knows what it quotes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (thrown: unknown, { classify, now, what }: Options & { readonly now: number }): LlmError.LlmError => {
  const told = toldBy(classify, thrown, now)
  if (told !== undefined) return LlmError.isLlmError(told) ? told : LlmError.make({ reason: told })
  if (LlmError.isLlmError(thrown)) return thrown
  if (AiError.isAiError(thrown)) return LlmAiError.fromAiError(thrown, now)
  const name = thrown instanceof Error && /^\w{1,64}$/.test(thrown.name) ? thrown.name : typeof thrown
  return LlmError.make({ reason: { _tag: "Unknown" }, detail: `${what}: ${name}` })
}

const undying = <A, E, R>(
  options: Options,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | LlmError.LlmError, R> =>
  Effect.catchCause(effect, (cause): Effect.Effect<never, E | LlmError.LlmError> => {
    const death = Cause.hasInterrupts(cause) ? undefined : cause.reasons.find(Cause.isDieReason)
    if (death === undefined) return Effect.failCause(cause)
    return Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(of(death.defect, { ...options, now })))
  })

/**
 * Turns defects into errors, those of opening a reply and those of what it then gives: a client that dies fails its
 * attempt, and not the request. An interruption stays one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const alive =
  (options: Options, open: Llm.Options["open"]): Llm.Options["open"] =>
  (request, attempt, dropped) =>
    Effect.map(
      undying(
        options,
        Effect.suspend(() => open(request, attempt, dropped))
      ),
      (source): Llm.Source => undying(options, source)
    )
