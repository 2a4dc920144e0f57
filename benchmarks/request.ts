/** Time per request around one trivial operation: Echelon and others, side by side. */
import * as Effect from "effect/Effect"
import { compare, micros, table, timed, times, type Variant } from "./harness.ts"
import * as Bottleneck from "./stacks/bottleneck.ts"
import * as Cockatiel from "./stacks/cockatiel.ts"
import * as Echelon from "./stacks/echelon.ts"
import * as EffectStack from "./stacks/effectStack.ts"
import { operation } from "./stacks/operation.ts"
import * as Opossum from "./stacks/opossum.ts"
import { effects, promises, type Stack } from "./stacks/Stack.ts"

const atOnce = 64

const stacks = async (): Promise<ReadonlyArray<Stack>> => {
  const echelon = await Echelon.make({ open: Echelon.open(operation) })
  const effect = await EffectStack.make(operation)
  const whole = "deadline, queue, 7 limits, 3 breakers, retries and their budget, selection, clocks, route, usage, cost"
  const parts = "semaphore, 1 limit, breaker, retry, timeout"
  return [
    promises("bare call, a promise", "nothing", operation),
    effects(
      "bare call, an effect",
      "Effect.promise",
      Effect.promise(() => operation())
    ),
    effects("Echelon, one instance", "attempt, seal, clocks, route, usage; typed errors", Echelon.instance(operation)),
    effects("Echelon, whole stack", whole, echelon.request),
    effects("Echelon, whole stack, streamed", `${whole}; parts as they come`, echelon.streamed),
    promises("Echelon, whole stack, a promise each", `${whole}; a fiber and a promise each`, echelon.promise),
    effects("effect's own", parts, effect.request),
    promises("effect's own, a promise each", `${parts}; a fiber and a promise each`, effect.promise),
    promises("cockatiel", "bulkhead, retry, breaker, timeout", Cockatiel.make(operation).request),
    promises("opossum", "capacity, breaker, timeout, latency percentiles", Opossum.make(operation).request),
    promises("bottleneck", "queue, 1 limit, retry, timeout", Bottleneck.make(operation).request)
  ]
}

const variant = (stack: Stack, concurrency: number): Variant => ({
  name: stack.name,
  // Each of its steps waits for a timer of a millisecond.
  iterations: stack.name === "bottleneck" ? 64 : undefined,
  run: (iterations) => timed(() => stack.repeat(iterations, concurrency))
})

export const request = async (): Promise<void> => {
  const all = await stacks()
  const options = { iterations: atOnce * 10, rounds: 40, warmup: 8 }
  const alone = await compare(
    all.map((stack) => variant(stack, 1)),
    options
  )
  const together = await compare(
    all.map((stack) => variant(stack, atOnce)),
    options
  )
  table(
    `Time per request: one at a time, and ${atOnce} at a time`,
    ["", "us", "to bare", "us of 64", "to bare"],
    all.map(({ name }, i) => {
      const [one, many] = [alone[i], together[i]]
      if (one === undefined || many === undefined) throw new Error(`${name} was not measured`)
      return [name, micros(one.micros), times(one.ratio), micros(many.micros), times(many.ratio)]
    }),
    ["", "One request goes through:", ...all.map(({ includes, name }) => `- ${name}: ${includes}`)]
  )
}
