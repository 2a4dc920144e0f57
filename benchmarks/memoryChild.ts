/** One measurement of `memory.ts` in a process of its own; prints it as JSON. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Bottleneck from "./stacks/bottleneck.ts"
import * as Cockatiel from "./stacks/cockatiel.ts"
import * as Echelon from "./stacks/echelon.ts"
import * as EffectStack from "./stacks/effectStack.ts"
import * as Op from "./stacks/operation.ts"
import * as Opossum from "./stacks/opossum.ts"
import { effects, promises, type Stack } from "./stacks/Stack.ts"

const [kind, id = "", ...counts] = process.argv.slice(2)
const [count = 0, more = 0] = counts.map(Number)

const turn = () => new Promise((resolve) => setImmediate(resolve))
const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

/** Used heap, when collecting changes it no more. */
const settledHeap = async (): Promise<number> => {
  const { gc } = globalThis
  if (gc === undefined) throw new Error("memoryChild: run it with --expose-gc")
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < 8; i++) {
    await turn()
    gc()
    least = Math.min(least, process.memoryUsage().heapUsed)
  }
  return least
}

/** Starts one request that will not be answered before the gate opens; gives what its caller would keep. */
const waiter = async (operation: Op.Operation): Promise<() => unknown> => {
  // Nobody is to reach a deadline while it is measured.
  const timeout = 1_800_000
  switch (id) {
    case "promise":
      return operation
    case "fiber": {
      const gate = Deferred.makeUnsafe<typeof Op.answer>()
      void operation().then((answer) => Deferred.doneUnsafe(gate, Effect.succeed(answer)))
      return () => Effect.runFork(Deferred.await(gate))
    }
    case "echelon":
      return (await Echelon.make({ open: Echelon.open(operation), timeout })).fork
    case "echelon-promise":
      return (await Echelon.make({ open: Echelon.open(operation), timeout })).promise
    case "effect":
      return (await EffectStack.make(operation, { timeout })).fork
    case "effect-deadline":
      return (await EffectStack.make(operation, { timeout, withDeadline: true })).fork
    case "effect-limiter":
      return (await EffectStack.make(operation, { timeout, limit: Op.slots, onExceeded: "delay", slots: Op.queue }))
        .fork
    case "cockatiel":
      return Cockatiel.make(operation, { timeout }).request
    case "cockatiel-deadline":
      return Cockatiel.make(operation, { timeout, withDeadline: true }).request
    case "bottleneck":
      return Bottleneck.make(operation, { timeout }).request
    default:
      throw new Error(`memoryChild: nothing waits as ${id}`)
  }
}

/** Waits for what a caller kept. */
const ended = async (kept: unknown): Promise<unknown> =>
  Fiber.isFiber(kept) ? Effect.runPromise(Fiber.join(kept as Fiber.Fiber<unknown, unknown>)) : kept

const measureWaiting = async (): Promise<object> => {
  const { open, operation, started } = Op.gated()
  const isBare = id === "promise" || id === "fiber"
  const start = await waiter(operation)
  const kept: Array<unknown> = new Array(count).fill(undefined)
  const running = Array.from({ length: Op.slots }, start)
  for (let i = 0; !isBare && started() < Op.slots && i < 100; i++) await pause(10)
  // What is compiled and kept once is there before it is counted.
  const before = await settledHeap()
  for (let i = 0; i < count; i++) kept[i] = start()
  const during = await settledHeap()
  // A rate limiter lets one more in each second.
  const most = id === "effect-limiter" ? Op.slots + 60 : Op.slots
  if (!isBare && (started() < Op.slots || started() > most))
    throw new Error(`memoryChild: ${started()} run instead of ${Op.slots}`)
  const bytes = (during - before) / count
  // The delayed of a rate limiter wait for hours, a queue of timers takes minutes to empty.
  if (id === "effect-limiter" || id === "bottleneck") return { bytes }
  open()
  for (let i = 0; i < count; i++) {
    await ended(kept[i])
    kept[i] = undefined
  }
  await Promise.all(running.map(ended))
  const after = await settledHeap()
  return { bytes, left: (after - before) / count }
}

const stack = async (): Promise<Stack> => {
  const { operation } = Op
  switch (id) {
    case "promise":
      return promises("", "", operation)
    case "fiber":
      return effects(
        "",
        "",
        Effect.promise(() => operation())
      )
    case "echelon":
      return effects("", "", (await Echelon.make({ open: Echelon.open(operation) })).request)
    case "effect":
      return effects("", "", (await EffectStack.make(operation)).request)
    case "cockatiel":
      return promises("", "", Cockatiel.make(operation).request)
    case "opossum":
      return promises("", "", Opossum.make(operation).request)
    default:
      throw new Error(`memoryChild: there is no stack ${id}`)
  }
}

const measureHeap = async (): Promise<object> => {
  const { repeat } = await stack()
  await repeat(count, Op.slots)
  const before = await settledHeap()
  await repeat(more - count, Op.slots)
  return { before, after: await settledHeap() }
}

const result = kind === "waiting" ? await measureWaiting() : await measureHeap()
// Timers of what was measured may be left.
process.stdout.write(JSON.stringify(result), () => process.exit(0))
