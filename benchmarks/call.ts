/** What pools, groups and echelons add to a call: the same scripted instance, bare and behind them. */
import { Llm, Pool, TaskGroup, Wrapper } from "@echelon/core"
import { Cause, Effect, Stream } from "effect"
import { compare, type Measured, timed } from "./harness.ts"

const finish = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 1 }, outputTokens: { total: 1 } }
} as const

const instance = (id: string): Llm.Llm =>
  Llm.make({
    id,
    open: () =>
      Effect.sync(() => {
        let sent = false
        return Effect.suspend(() => {
          if (sent) return Cause.done()
          sent = true
          return Effect.succeed([{ type: "text-delta", id: "0", delta: "x" }, finish] as const)
        })
      })
  })

/** The floor: the same parts through a bare Stream, without an attempt, a route or a clock. */
const floor = Stream.runDrain(Stream.make({ type: "text-delta", id: "0", delta: "x" } as const, finish))

const repeated = (name: string, effect: Effect.Effect<unknown, unknown>) => ({
  name,
  run: (iterations: number) => {
    const all = Effect.gen(function* () {
      for (let i = 0; i < iterations; i++) yield* effect
    })
    return timed(() => Effect.runPromise(all))
  }
})

const input = { prompt: "hi" }

export const call = async (): Promise<{
  readonly stack: ReadonlyArray<Measured>
  readonly floor: ReadonlyArray<Measured>
}> => {
  const bare = instance("bare")
  const { group, pool, ten, wrapper } = await Effect.runPromise(
    Effect.gen(function* () {
      const group = yield* TaskGroup.make([[instance("a"), instance("b")], [instance("c")]], { id: "group" })
      const pool = yield* Pool.make([group], { id: "pool" })
      const ten = yield* Pool.make(
        Array.from({ length: 10 }, (_, i) => instance(`i${i}`)),
        { id: "ten" }
      )
      return { group, pool, ten, wrapper: Wrapper.make(pool, { id: "wrapper", requestTimeout: "30 seconds" }) }
    })
  )
  return {
    stack: await compare(
      [
        repeated("bare instance", Llm.generate(bare, input)),
        repeated("group > echelon", Llm.generate(group, input)),
        repeated("pool of ten", Llm.generate(ten, input)),
        repeated("pool > group > echelon", Llm.generate(pool, input)),
        repeated("wrapper > pool > group > echelon", Llm.generate(wrapper, input))
      ],
      { iterations: 5_000 }
    ),
    floor: await compare(
      [
        repeated("two parts through a bare Stream", floor),
        repeated("the same through a bare instance", Stream.runDrain(Llm.stream(bare, input)))
      ],
      { iterations: 5_000 }
    )
  }
}
