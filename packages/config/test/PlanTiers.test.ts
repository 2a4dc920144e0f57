import * as PlanTiers from "@echelon/config/PlanTiers"
import { Explain, Plans } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import { Result } from "effect"

const provider = Plans.provider({ name: "p", kind: "ollama" })
const instance = (alias: string) => Plans.instance({ provider, alias, model: Plans.model({ model: alias }) })

const plan = Plans.root({
  instances: ["a", "b", "c"].map(instance),
  groups: [
    Plans.group("one", [Plans.echelon("one", 1, ["p-a"]), Plans.echelon("one", 2, ["p-b"], { priority: 5 })], {
      echelons: ["two.echelon1", "one.echelon2"],
      maxAttempts: 2,
      maxTotalAttempts: 7
    }),
    Plans.group("two", [Plans.echelon("two", 1, ["p-c"]), Plans.echelon("two", 2, ["p-a"], { priority: 5 })], {
      maxTotalAttempts: 5
    }),
    Plans.group("alone", [Plans.echelon("alone", 1, ["p-a"]), Plans.echelon("alone", 2, ["p-b"])], { strategy: "none" })
  ],
  pools: [
    Plans.pool("pool", ["one", "two"]),
    Plans.pool("first", ["alone"], { fallback: { strategy: "none", maxInstanceAttempts: 2, maxEjected: 1 } })
  ],
  wrappers: [Plans.wrapper("front", { kind: "pool", name: "pool" })]
})

it.each<readonly [PlanTiers.Target["kind"], string, ReadonlyArray<string>, number, number | undefined]>([
  ["pool", "pool", ["one.echelon1 two.echelon1", "one.echelon2 two.echelon2"], 2, 5],
  ["pool", "first", ["alone.echelon1", "alone.echelon2"], 1, undefined],
  ["wrapper", "front", ["one.echelon1 two.echelon1", "one.echelon2 two.echelon2"], 2, 5],
  ["group", "one", ["one.echelon1", "two.echelon1", "one.echelon2"], 2, 7],
  ["group", "one.echelon2", ["one.echelon2"], 2, 7],
  ["group", "two", ["two.echelon1", "two.echelon2"], 2, 5],
  ["group", "alone", ["alone.echelon1"], 2, undefined]
])("the way through the %s %s is the one that is explained", (kind, name, tiers, maxTiers, maxTotalAttempts) => {
  const walk = PlanTiers.of(plan, { kind, name })
  expect(walk?.tiers.map((rank) => rank.map((placed) => placed.name).join(" "))).toEqual(tiers)
  expect([walk?.maxTiers, walk?.maxTotalAttempts]).toEqual([maxTiers, maxTotalAttempts])
  const explained = Result.getOrThrow(Explain.of(plan, { target: { kind, name } }))
  expect(explained.tiers.map(({ echelons }) => echelons.join(" "))).toEqual(tiers)
})

it("there is no way to what is not there", () => {
  expect(PlanTiers.of(plan, { kind: "group", name: "constructor" })).toBeUndefined()
  expect(PlanTiers.of(plan, { kind: "pool", name: "one" })).toBeUndefined()
})
