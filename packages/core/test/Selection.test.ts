import { Plan, Selection } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"

const candidate = (index: number, more: Partial<Selection.Candidate> = {}): Selection.Candidate => ({
  index,
  weight: 1,
  inFlight: 0,
  priority: 1,
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
    const [picked, next] = Selection.pick(rotation, candidates, memory, random)
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
  const [, memory] = Selection.pick("round_robin", [candidate(0)], Selection.memory(3), () => 0)
  expect(Selection.pick("round_robin", [candidate(0), candidate(2)], memory, () => 0)[0]?.index).toBe(2)
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
      const [picked] = Selection.pick(rotation, members, Selection.memory(21), () => random)
      expect(members.length === 0 ? picked === undefined : picked !== undefined && members.includes(picked)).toBe(true)
    })
)
