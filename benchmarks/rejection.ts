/** Time per rejection: the circuit is open, a limit is reached, or no slot and no place in the queue is free. */
import { LlmError } from "@echelon/core"
import * as Effect from "effect/Effect"
import { compare, micros, table, timed, times } from "./harness.ts"
import * as Bottleneck from "./stacks/bottleneck.ts"
import * as Cockatiel from "./stacks/cockatiel.ts"
import * as Echelon from "./stacks/echelon.ts"
import * as EffectStack from "./stacks/effectStack.ts"
import { gated, operation } from "./stacks/operation.ts"
import * as Opossum from "./stacks/opossum.ts"
import { flipped, promises, rejected, type Stack } from "./stacks/Stack.ts"

const because = (reason: LlmError.LlmError["reason"]["_tag"]) => (error: unknown) =>
  LlmError.isLlmError(error) && error.reason._tag === reason

/** Milliseconds; who holds the only slot keeps it while the rejections are timed. */
const timeout = 1_800_000

const stacks = async (): Promise<{ readonly all: ReadonlyArray<Stack>; readonly release: () => void }> => {
  const { open: release, operation: held } = gated()

  const down = await Echelon.make({ open: Echelon.refused })
  // The first request opens every breaker.
  await Effect.runPromise(Effect.ignore(down.request))
  const limited = await Echelon.make({ open: Echelon.open(operation), bucket: { size: 1, rate: 1e-6 } })
  await Effect.runPromise(limited.unqueued)
  const crowded = await Echelon.make({ open: Echelon.open(held), slots: 1, queue: 0, timeout })
  crowded.fork()

  const tripped = await EffectStack.make(operation)
  await tripped.trip()
  const over = await EffectStack.make(operation, { limit: 1 })
  await over.promise()
  const taken = await EffectStack.make(held, { slots: 1, timeout })
  taken.fork()

  const broken = Cockatiel.make(operation)
  await broken.trip()
  const full = Cockatiel.make(held, { slots: 1, queue: 0, timeout })
  void full.request()

  const opened = Opossum.make(operation)
  opened.trip()
  const occupied = Opossum.make(held, { slots: 1, timeout, neverOpens: true })
  void occupied.request()

  const overflowing = Bottleneck.make(held, { slots: 1, queue: 0, timeout })
  void overflowing.request()
  await new Promise((resolve) => setTimeout(resolve, 20))

  const promised = (name: string, once: () => Promise<unknown>, as: (error: unknown) => boolean) =>
    rejected(promises(name, "", once), as)
  const noCapacity = because("NoCapacity")
  const queueFull = because("QueueFull")
  const isError = (error: unknown) => error instanceof Error
  return {
    release,
    all: [
      promised("bare: a promise that rejects with a new Error", () => Promise.reject(new Error("no")), isError),
      flipped("Echelon, every circuit open", "", down.request, noCapacity),
      flipped("Echelon, limit reached", "", limited.unqueued, noCapacity),
      flipped("Echelon, queue full", "", crowded.request, queueFull),
      promised("Echelon, every circuit open, a promise each", down.promise, noCapacity),
      promised("Echelon, queue full, a promise each", crowded.promise, queueFull),
      flipped("effect's own, circuit open", "", tripped.request, EffectStack.isBroken),
      flipped("effect's own, limit reached", "", over.request, EffectStack.isLimited),
      flipped("effect's own, no permit free", "", taken.ifFree, () => true),
      promised("effect's own, circuit open, a promise each", tripped.promise, EffectStack.isBroken),
      promised("cockatiel, circuit open", broken.request, Cockatiel.isBroken),
      promised("cockatiel, bulkhead full", full.request, Cockatiel.isFull),
      promised("opossum, circuit open", opened.request, Opossum.isBroken),
      promised("opossum, capacity full", occupied.request, Opossum.isFull),
      promised("bottleneck, queue full", overflowing.request, Bottleneck.isFull)
    ]
  }
}

/** So many at a time of what takes a millisecond each; see the notes below the table. */
const slow: Readonly<Record<string, number>> = { "opossum, capacity full": 300, "bottleneck, queue full": 64 }

export const rejection = async (): Promise<void> => {
  const { all, release } = await stacks()
  const measured = await compare(
    all.map(({ name, repeat }) => ({
      name,
      iterations: slow[name],
      run: (iterations: number) => timed(() => repeat(iterations, 1))
    })),
    { iterations: 1_000, rounds: 30, warmup: 6 }
  )
  release()
  table(
    "Time per rejection",
    ["", "us", "to bare"],
    measured.map(({ micros: each, name, ratio }) => [name, micros(each), times(ratio)]),
    [
      "Echelon's rejection names the route, the reason and when to come back; it looks at three instances, two echelons.",
      "bottleneck has no circuit to open, opossum no queue to fill; effect's semaphore gives None, not an error.",
      "opossum sorts the latencies of the last 10 s, here some 1,800, at every failure; bottleneck waits for timers of 1 ms one by one."
    ]
  )
}
