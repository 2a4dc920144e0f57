/**
 * The demo's requests, and the faults that they meet.
 *
 * @since 0.1.0
 */
import * as LlmError from "@echelon/core/LlmError"
import * as Orchestrator from "@echelon/core/Orchestrator"
import type * as Route from "@echelon/core/Route"
import type { EmbeddedProviders } from "@echelon/testing"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as DemoSchedule from "./DemoSchedule.ts"

/**
 * The pool that is asked.
 *
 * @since 0.1.0
 * @category models
 */
export const pool = "fast_pool"

/**
 * A request that has ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ended {
  readonly route: Route.Route
  /** Milliseconds from asking to the whole answer. */
  readonly elapsed: number
  /** Why it was not answered. */
  readonly error: string | undefined
}

/** Asks once. The reply is streamed by the provider and folded here, so that even a cut stream is made good. */
const askOnce = Effect.fnUntraced(function* (n: number) {
  const startedAt = yield* Clock.currentTimeMillis
  const reply = yield* Orchestrator.open({
    prompt: `Question ${n}: why is the sky blue?`,
    metadata: { poolName: pool, commit: "finish" }
  })
  yield* Stream.runDrain(reply.parts)
  const elapsed = (yield* Clock.currentTimeMillis) - startedAt
  return { route: yield* reply.route, elapsed, error: undefined } satisfies Ended
}, Effect.scoped)

/**
 * Asks once, and tells what came of it.
 *
 * @since 0.1.0
 * @category running
 */
export const ask = (n: number): Effect.Effect<Ended, LlmError.LlmError, Orchestrator.Orchestrator> =>
  Effect.catch(askOnce(n), (error) =>
    LlmError.isLlmError(error)
      ? Effect.succeed({ route: error.route ?? [], elapsed: 0, error: error.message })
      : Effect.fail(error)
  )

/**
 * Sets and lifts the faults at their times.
 *
 * @since 0.1.0
 * @category running
 */
export const followSchedule = (
  providers: EmbeddedProviders.Shape,
  onEpisode: (episode: DemoSchedule.Episode | undefined) => Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.forEach(
    DemoSchedule.episodes,
    (episode, i) =>
      Effect.gen(function* () {
        const before = DemoSchedule.episodes[i - 1]?.until ?? 0
        yield* Effect.sleep(Duration.millis(episode.from - before))
        yield* providers.setFault(episode.provider, episode.fault)
        yield* onEpisode(episode)
        yield* Effect.sleep(Duration.millis(episode.until - episode.from))
        yield* providers.setFault(episode.provider, undefined)
        yield* onEpisode(undefined)
      }),
    { discard: true }
  )

/**
 * Asks and fails in rounds, one schedule after another, until it is interrupted.
 *
 * @since 0.1.0
 * @category running
 */
export const forever = (
  providers: EmbeddedProviders.Shape,
  onEpisode: (episode: DemoSchedule.Episode | undefined) => Effect.Effect<void>
): Effect.Effect<never, LlmError.LlmError, Orchestrator.Orchestrator> => {
  const pace = Duration.millis(50)
  const rest = DemoSchedule.length - (DemoSchedule.episodes.at(-1)?.until ?? 0)
  const faults = Effect.forever(
    Effect.andThen(followSchedule(providers, onEpisode), Effect.sleep(Duration.millis(rest)))
  )
  const requests = Effect.scoped(Effect.forever(Effect.andThen(Effect.forkScoped(ask(1)), Effect.sleep(pace))))
  return Effect.raceFirst(faults, requests)
}
