/** What is compared: one way to make a request, and to make many of them. */
import * as Effect from "effect/Effect"

export interface Stack {
  readonly name: string
  /** What one request goes through. */
  readonly includes: string
  /** Starts one request. */
  readonly once: () => Promise<unknown>
  /** Makes so many requests, so many of them at a time. */
  readonly repeat: (requests: number, atOnce: number) => Promise<unknown>
}

/** For whom a request is a promise. */
export const promises = (name: string, includes: string, once: () => Promise<unknown>): Stack => ({
  name,
  includes,
  once,
  repeat: (requests, atOnce) => {
    const each = Math.ceil(requests / atOnce)
    const worker = async () => {
      for (let i = 0; i < each; i++) await once()
    }
    return Promise.all(Array.from({ length: atOnce }, worker))
  }
})

/** For whom a request is an effect: all of them run inside one fiber or, several at a time, in one fiber each worker. */
export const effects = (name: string, includes: string, once: Effect.Effect<unknown, unknown>): Stack => ({
  name,
  includes,
  once: () => Effect.runPromise(once),
  repeat: (requests, atOnce) => {
    const each = Math.ceil(requests / atOnce)
    const worker = Effect.gen(function* () {
      for (let i = 0; i < each; i++) yield* once
    })
    return Effect.runPromise(
      Effect.forEach(Array.from({ length: atOnce }), () => worker, { concurrency: "unbounded", discard: true })
    )
  }
})

/** The same stack, expected to reject. One that answers is a broken benchmark. */
export const rejected = (stack: Stack, as: (error: unknown) => boolean): Stack =>
  promises(stack.name, stack.includes, async () => {
    try {
      await stack.once()
    } catch (error) {
      if (as(error)) return
      throw error
    }
    throw new Error(`${stack.name}: answered instead of rejecting`)
  })

/** An effect that is expected to fail. */
export const flipped = <E>(
  name: string,
  includes: string,
  once: Effect.Effect<unknown, E>,
  as: (error: E) => boolean
): Stack =>
  effects(
    name,
    includes,
    Effect.matchEffect(once, {
      onFailure: (error) => (as(error) ? Effect.void : Effect.die(error)),
      onSuccess: () => Effect.die(new Error(`${name}: answered instead of rejecting`))
    })
  )
