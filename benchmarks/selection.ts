/** Picking an instance: the decision alone, and a whole request through a pool that makes it. */
import { Selection } from "@echelon/core"
import { compare, type Measured, micros, table, timed, times } from "./harness.ts"
import * as Echelon from "./stacks/echelon.ts"
import { operation } from "./stacks/operation.ts"
import { effects } from "./stacks/Stack.ts"

const rotations = ["round_robin", "weighted", "p2c", "least_busy", "shortest_delay"] as const
const sizes = [10, 100] as const

/** Each with a load, a speed and a success rate of its own. */
const candidates = (size: number): ReadonlyArray<Selection.Candidate> =>
  Array.from({ length: size }, (_, index) => ({
    index,
    id: `provider-model${index}`,
    weight: 1 + (index % 3),
    inFlight: (index * 5) % 11,
    priority: 1,
    stats: {
      firstOutput: 200 + ((index * 37) % 400),
      tokensPerSecond: 40 + ((index * 13) % 60),
      successRate: 1 - (index % 7) / 100,
      observedAt: 1
    },
    price: 1 + index,
    headroom: 1 - index / size
  }))

const context: Selection.Context = {
  random: Math.random,
  session: undefined,
  servedBy: undefined,
  loadBound: 1.25
}

const picks = async (size: number): Promise<ReadonlyArray<Measured>> => {
  const all = candidates(size)
  let sink = 0
  const variant = (name: string, pick: () => Selection.Candidate | undefined) => ({
    name,
    run: (iterations: number) =>
      timed(() => {
        for (let i = 0; i < iterations; i++) sink += pick()?.index ?? 0
      })
  })
  const measured = await compare(
    [
      variant("bare: any place of an array", () => all[Math.floor(Math.random() * all.length)]),
      ...rotations.map((rotation) => {
        let memory = Selection.memory(size)
        return variant(rotation, () => {
          const [picked, next] = Selection.pick(rotation, all, memory, context)
          memory = next
          return picked
        })
      })
    ],
    { iterations: 4_000, rounds: 40, warmup: 10 }
  )
  if (sink === 0) throw new Error("nothing was picked")
  return measured
}

const requests = async (size: number): Promise<ReadonlyArray<Measured>> => {
  const stacks = [effects("bare: one instance", "", Echelon.instance(operation))]
  for (const rotation of rotations) {
    const { unqueued } = await Echelon.make({ open: Echelon.open(operation), instances: size, rotation })
    stacks.push(effects(rotation, "", unqueued))
  }
  return compare(
    stacks.map(({ name, repeat }) => ({ name, run: (iterations: number) => timed(() => repeat(iterations, 1)) })),
    { iterations: 400, rounds: 25, warmup: 20 }
  )
}

const print = (title: string, [ten, hundred]: ReadonlyArray<ReadonlyArray<Measured>>, notes: ReadonlyArray<string>) =>
  table(
    title,
    ["", "us of 10", "to bare", "us of 100", "to bare"],
    (ten ?? []).map(({ micros: each, name, ratio }, i) => {
      const other = hundred?.[i]
      if (other === undefined) throw new Error(`${name} was not measured`)
      return [name, micros(each), times(ratio), micros(other.micros), times(other.ratio)]
    }),
    notes
  )

export const selection = async (): Promise<void> => {
  const [ten, hundred] = sizes
  print(
    "The pick alone, over 10 and 100 candidates",
    [await picks(ten), await picks(hundred)],
    ["Targets: 1 us over 10, 5 us over 100."]
  )
  print(
    "A request through pool > group > echelon of 10 and 100 instances",
    [await requests(ten), await requests(hundred)],
    ["Each instance has a breaker, limits and a cooldown to be asked before the pick."]
  )
}
