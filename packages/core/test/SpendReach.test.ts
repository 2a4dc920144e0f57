import type * as Observation from "@echelon/core/Observation"
import * as Plans from "@echelon/core/Plans"
import * as SpendReach from "@echelon/core/SpendReach"
import type * as Usage from "@echelon/core/Usage"
import { expect, it } from "@effect/vitest"

const provider = Plans.provider({ name: "p", kind: "k" })
const instance = (name: string, prices: Usage.Prices | undefined) =>
  Plans.instance({ name, provider, alias: name, model: Plans.model({ model: name, prices }) })
const root = Plans.root({
  instances: [
    instance("cheap", { input: 1, output: 2 }),
    instance("dear", { input: 5, output: 3, cacheWrite: 7 }),
    instance("free", undefined)
  ],
  groups: [
    Plans.group("g", [Plans.echelon("g", 1, ["cheap", "disabled"]), Plans.echelon("g", 2, ["dear"])]),
    Plans.group("h", [Plans.echelon("h", 1, ["free"])]),
    Plans.group("over", [Plans.echelon("over", 1, ["cheap"])], { echelons: ["g.echelon2", "h.echelon1"] })
  ],
  pools: [Plans.pool("pool", ["g"]), Plans.pool("both", ["g", "h"])],
  wrappers: [Plans.wrapper("w", { kind: "pool", name: "both" }), Plans.wrapper("v", { kind: "group", name: "g" })]
})

it.each([
  ["pool", "pool", { input: 7, output: 3, hasUnpriced: false }],
  ["pool", "both", { input: 7, output: 3, hasUnpriced: true }],
  ["wrapper", "w", { input: 7, output: 3, hasUnpriced: true }],
  ["wrapper", "v", { input: 7, output: 3, hasUnpriced: false }],
  ["group", "g", { input: 7, output: 3, hasUnpriced: false }],
  ["group", "over", { input: 7, output: 3, hasUnpriced: true }],
  ["group", "h.echelon1", { input: 0, output: 0, hasUnpriced: true }],
  ["client", "cheap", { input: 1, output: 2, hasUnpriced: false }],
  ["client", "p-unheard-of", { input: 0, output: 0, hasUnpriced: true }],
  ["pool", "none", { input: 0, output: 0, hasUnpriced: false }],
  ["router", "router", { input: 0, output: 0, hasUnpriced: false }]
] as const)("%s %s", (kind: Observation.Target["kind"], name, expected) => {
  expect(SpendReach.of(root, { kind, name })).toEqual(expected)
})
