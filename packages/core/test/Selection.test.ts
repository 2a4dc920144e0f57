import { InstanceStats, Plan, Selection } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"

const candidate = (index: number, more: Partial<Selection.Candidate> = {}): Selection.Candidate => ({
  index,
  id: `i${index}`,
  weight: 1,
  inFlight: 0,
  priority: 1,
  stats: InstanceStats.empty,
  price: undefined,
  headroom: 1,
  ...more
})
const context = (random: () => number = () => 0, more: Partial<Selection.Context> = {}): Selection.Context => ({
  random,
  session: undefined,
  servedBy: undefined,
  loadBound: 1.25,
  ...more
})
const stats = (firstOutput: number, more: Partial<InstanceStats.InstanceStats> = {}): InstanceStats.InstanceStats => ({
  ...InstanceStats.empty,
  firstOutput,
  tokensPerSecond: 100,
  ...more
})

const picks = (
  rotation: Plan.Rotation,
  candidates: ReadonlyArray<Selection.Candidate>,
  times: number,
  random: () => number = () => 0
) => {
  let memory = Selection.memory(candidates.length)
  const found: Array<number | undefined> = []
  for (let i = 0; i < times; i++) {
    const [picked, next] = Selection.pick(rotation, candidates, memory, context(random))
    memory = next
    found.push(picked?.index)
  }
  return found
}

it("round robin goes round, and passes over those that are missing", () => {
  expect(
    picks(
      "round_robin",
      [0, 1, 2].map((i) => candidate(i)),
      5
    )
  ).toEqual([0, 1, 2, 0, 1])
  const [, memory] = Selection.pick("round_robin", [candidate(0)], Selection.memory(3), context())
  expect(Selection.pick("round_robin", [candidate(0), candidate(2)], memory, context())[0]?.index).toBe(2)
})

it("weighted is smooth: 5, 1, 1 gives a a b a c a a", () => {
  const members = [candidate(0, { weight: 5 }), candidate(1), candidate(2)]
  expect(picks("weighted", members, 7)).toEqual([0, 0, 1, 0, 2, 0, 0])
})

it("least busy counts requests by weight and breaks ties at random", () => {
  const members = [
    candidate(0, { inFlight: 4, weight: 4 }),
    candidate(1, { inFlight: 2 }),
    candidate(2, { inFlight: 1 })
  ]
  expect(picks("least_busy", members, 1, () => 0.9)).toEqual([0])
  expect(picks("least_busy", members, 1, () => 0)).toEqual([2])
})

it("priority takes the lowest number, random what chance says", () => {
  expect(picks("priority", [candidate(0, { priority: 2 }), candidate(1, { priority: 1 })], 1)).toEqual([1])
  expect(
    picks(
      "random",
      [0, 1, 2, 3].map((i) => candidate(i)),
      1,
      () => 0.74
    )
  ).toEqual([2])
})

it("shortest delay weighs time, load and failures; without a sample a candidate is tried", () => {
  const fast = candidate(0, { stats: stats(100) })
  const slow = candidate(1, { stats: stats(5_000) })
  expect(picks("shortest_delay", [fast, slow], 1)).toEqual([0])
  expect(picks("shortest_delay", [{ ...fast, inFlight: 9 }, slow], 1)).toEqual([1])
  expect(picks("shortest_delay", [{ ...fast, stats: stats(100, { successRate: 0.1 }) }, slow], 1)).toEqual([1])
  expect(picks("shortest_delay", [{ ...fast, inFlight: 1 }, candidate(1)], 1)).toEqual([1])
  expect(picks("latency", [{ ...fast, inFlight: 9 }, slow], 1)).toEqual([0])
})

it("two choices compare two different candidates", () => {
  const members = [5_000, 100, 3_000].map((time, i) => candidate(i, { stats: stats(time) }))
  const draws = [0, 0.9, 0.4]
  let turn = 0
  expect(picks("p2c", members, 1, () => draws[turn++] ?? 0)).toEqual([2])
  expect(picks("p2c", [candidate(0)], 1, () => 0.9)).toEqual([0])
})

it("cost takes the cheapest, an unknown price last; usage the most headroom", () => {
  expect(picks("cost", [candidate(0), candidate(1, { price: 3 }), candidate(2, { price: 1 })], 1)).toEqual([2])
  expect(picks("usage", [candidate(0, { headroom: 0.2 }), candidate(1, { headroom: 0.7 })], 1)).toEqual([1])
})

it("sticky keeps a session at its instance while the load allows", () => {
  const members = [0, 1, 2, 3].map((i) => candidate(i))
  const pick = (candidates: ReadonlyArray<Selection.Candidate>, more: Partial<Selection.Context>) =>
    Selection.pick(
      "sticky",
      candidates,
      Selection.memory(4),
      context(() => 0, more)
    )[0]?.index
  const home = pick(members, { session: "s" })
  expect([1, 2, 3].map(() => pick(members, { session: "s" }))).toEqual([home, home, home])
  expect(new Set(Array.from({ length: 50 }, (_, i) => pick(members, { session: `s${i}` })))).toEqual(
    new Set([0, 1, 2, 3])
  )
  const busy = members.map((one) => (one.index === home ? { ...one, inFlight: 9 } : one))
  expect(pick(busy, { session: "s" })).not.toBe(home)
  const other = members.find((one) => one.index !== home)
  expect(pick(members, { session: "s", servedBy: other?.id })).toBe(other?.index)
  expect(pick(busy, {})).not.toBe(home)
})

it.effect.prop(
  "every strategy is total: it picks one of the candidates, or none of none",
  {
    rotation: Schema.Literals(Plan.rotations),
    indices: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 }))),
    random: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.999 }))
  },
  ({ indices, random, rotation }) =>
    Effect.sync(() => {
      const members = [...new Set(indices)].map((index) => candidate(index, { weight: index + 1, inFlight: index % 3 }))
      const [picked] = Selection.pick(
        rotation,
        members,
        Selection.memory(21),
        context(() => random, { session: "s" })
      )
      expect(members.length === 0 ? picked === undefined : picked !== undefined && members.includes(picked)).toBe(true)
    })
)
