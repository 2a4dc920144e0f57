/**
 * Asks instances whether they work.
 *
 * @since 0.1.0
 */
import { Interpreter, type LlmError } from "@echelon/core"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/**
 * What a probe found. `latency` is milliseconds, `lastChecked` milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status {
  readonly status: "healthy" | "unhealthy"
  readonly message: string
  readonly lastChecked: number
  readonly latency: number | undefined
}

/** A probe that takes longer than this has failed. */
const patience = Duration.seconds(10)

/**
 * Probes every enabled instance, as cheaply as its provider allows (a list of models, or one token), eight at a
 * time.
 *
 * **Errors** `NoCapacity` once shutting down has begun.
 *
 * @since 0.1.0
 * @category running
 */
export const check: Effect.Effect<
  Readonly<Record<string, Status>>,
  LlmError.LlmError,
  Interpreter.Interpreter
> = Effect.scoped(
  Effect.gen(function* () {
    const interpreter = yield* Interpreter.Interpreter
    const { instance, root } = yield* interpreter.current
    const probe = (name: string): Effect.Effect<Status> =>
      Effect.flatMap(Clock.currentTimeMillis, (lastChecked) =>
        instance(name).pipe(
          Effect.flatMap((built) => built.probe),
          Effect.timeoutOption(patience),
          Effect.match({
            onFailure: (error): Status => ({
              status: "unhealthy",
              message: error.message,
              lastChecked,
              latency: undefined
            }),
            onSuccess: (latency): Status =>
              latency._tag === "None"
                ? {
                    status: "unhealthy",
                    message: `no answer within ${Duration.format(patience)}`,
                    lastChecked,
                    latency: undefined
                  }
                : { status: "healthy", message: "answers", lastChecked, latency: Duration.toMillis(latency.value) }
          })
        )
      )
    const found = yield* Effect.forEach(
      Object.keys(root.instances),
      (name) => Effect.map(probe(name), (status) => [name, status] as const),
      { concurrency: 8 }
    )
    return Object.fromEntries(found)
  })
)
