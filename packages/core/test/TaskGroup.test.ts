import { Member, Pool, TaskGroup } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as plans from "./support/plans.ts"

const echelons = [1, 2, 3].map((n) => plans.echelon("g", n, ["a"]))

it("a chain starts where it is told and goes on behind that place in the fallbacks", () => {
  const stated = plans.group("g", echelons, { echelons: ["g.echelon2", "h.echelon1", "g.echelon3"] })
  expect(TaskGroup.chain(stated, "echelon1")).toEqual(["g.echelon1", "g.echelon2", "h.echelon1", "g.echelon3"])
  expect(TaskGroup.chain(stated, "echelon2")).toEqual(["g.echelon2", "h.echelon1", "g.echelon3"])
  expect(TaskGroup.chain(stated, "echelon3")).toEqual(["g.echelon3"])
  expect(TaskGroup.chain(plans.group("g", echelons, { strategy: "none" }), "echelon1")).toEqual(["g.echelon1"])
})

it("a group that falls back to itself is walked once", () => {
  const twice = plans.group("g", echelons, { echelons: ["g.echelon2", "g.echelon2"] })
  expect(TaskGroup.chain(twice, "echelon1")).toEqual(["g.echelon1", "g.echelon2"])
})

it.effect("a pool's tiers are merged by priority; the largest max_retries counts; a member stands once", () =>
  Effect.gen(function* () {
    const llm = (id: string) =>
      Effect.map(ScriptedLlm.make({ id, script: [] }), (scripted) => Member.make(scripted.llm))
    const [a, b, c] = yield* Effect.all([llm("a"), llm("b"), llm("c")])
    const tiers = Pool.merge(
      [
        { plan: plans.echelon("g", 2, [], { maxRetries: 1 }), members: [c] },
        { plan: plans.echelon("g", 1, [], { maxRetries: 1 }), members: [a, b] },
        { plan: plans.echelon("h", 1, [], { maxRetries: 4 }), members: [b, c] }
      ],
      plans.pool("p", ["g", "h"])
    )
    expect(tiers.map((tier) => tier.members.map((member) => member.id))).toEqual([["a", "b", "c"], ["c"]])
    expect(tiers.map((tier) => [tier.maxRetries, tier.maxInstances])).toEqual([
      [4, 2],
      [1, 2]
    ])
  })
)
