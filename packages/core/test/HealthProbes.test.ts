import { type Plan, Plans, type Reason } from "@echelon/core"
import * as HealthProbes from "@echelon/core/HealthProbes"
import { expect, it } from "@effect/vitest"
import * as plans from "./support/plans.ts"

const check = (options: Partial<Plan.Pool["healthCheck"]>) => ({
  healthCheck: { ...Plans.defaults.pool.healthCheck, ...options }
})
const wrapper = (name: string, kind: "pool" | "group", target: string, enabled: boolean, interval?: number) =>
  plans.wrapper(name, { kind, name: target }, { healthCheck: { enabled, interval } })

it("of all wishes for an instance the smallest hold, and everybody who wishes may pay", () => {
  const root = plans.root({
    instances: ["a", "b", "c", "d", "e"].map((name) => plans.instance(name, plans.provider("p"))),
    groups: [
      plans.group("one", [plans.echelon("one", 1, ["a"]), plans.echelon("one", 2, ["b"])]),
      plans.group("two", [plans.echelon("two", 1, ["b", "c"])]),
      plans.group("three", [plans.echelon("three", 1, ["d"]), plans.echelon("three", 2, ["e"])])
    ],
    pools: [
      plans.pool("quick", ["one"], check({ interval: 5_000, failureThreshold: 9, recoveryTime: 90_000 })),
      plans.pool(
        "slow",
        ["two"],
        check({ interval: 50_000, failureThreshold: 2, recoveryTime: 40_000, budgetPerHour: 7 })
      ),
      plans.pool("passive", ["two"], check({ interval: 1_000, failureThreshold: 1, active: false })),
      plans.pool("off", ["three"], check({ interval: 1 }))
    ],
    wrappers: [
      wrapper("no", "pool", "off", false),
      wrapper("later", "group", "three.echelon2", true, 12_345),
      wrapper("neither", "group", "three", false)
    ]
  })
  const found = HealthProbes.settingsOf(root)
  const shown = (name: string) => {
    const one = found.get(name)
    const { failureThreshold, interval, isActive, isChecked, payers = [], recoveryTime } = one ?? {}
    return [isChecked, isActive, interval, failureThreshold, recoveryTime, payers.map((payer) => payer.name).join()]
  }
  expect(["a", "b", "c", "d", "e"].map(shown)).toEqual([
    [true, true, 5_000, 9, 90_000, "pool quick"],
    [true, true, 5_000, 1, 40_000, "pool quick,pool slow,pool passive"],
    [true, true, 50_000, 1, 40_000, "pool slow,pool passive"],
    [false, false, 30_000, 3, 60_000, "nobody "],
    [true, true, 12_345, 3, 60_000, "wrapper later"]
  ])
  expect(found.get("c")?.payers[0]?.limits).toEqual({ requestsPerHour: 7, costPerHour: 0.1 })
  expect([found.get("a")?.staleAfter, found.get("c")?.staleAfter]).toEqual([900_000, 900_000])
})

it("says what an answer proves, when only a question does, and what holds for all", () => {
  const kinds = ["models", "usual", "ping", "none"] as const
  const tags: ReadonlyArray<Reason.ReasonTag> = [
    "Network",
    "Overloaded",
    "Authentication",
    "QuotaExhausted",
    "ModelNotFound"
  ]
  const table = (f: (kind: HealthProbes.Kind, tag: Reason.ReasonTag) => boolean) =>
    kinds.map((kind) => tags.filter((tag) => f(kind, tag)).join())
  expect(table(HealthProbes.proves)).toEqual(["Network", "Network", tags.join(), "Network"])
  const refused = "Authentication,QuotaExhausted,ModelNotFound"
  expect(table(HealthProbes.needsPing)).toEqual([refused, `Overloaded,${refused}`, refused, ""])
  const shared = (kind: HealthProbes.Kind, reason: Reason.Reason) => HealthProbes.isShared(kind, reason)
  const network: Reason.Reason = { _tag: "Network", kind: "dns" }
  expect([
    shared("models", { _tag: "Overloaded" }),
    shared("models", { _tag: "RateLimited" }),
    shared("ping", { _tag: "Overloaded" }),
    shared("ping", network),
    shared("usual", network)
  ]).toEqual([true, false, false, true, true])
})

it("what is usual for the kind of provider stands where the plan says nothing", () => {
  const of = (healthCheck: Plan.Provider["healthCheck"]) =>
    Plans.instance({
      provider: Plans.provider({ name: "p", kind: "k", healthCheck }),
      alias: "a",
      model: Plans.model({ model: "m" })
    })
  const usual = [undefined, "models", "ping", "none"] as const
  expect(usual.map((one) => HealthProbes.kindOf(of(undefined), one))).toEqual(["usual", "usual", "ping", "none"])
  expect(usual.map((one) => HealthProbes.kindOf(of("models"), one))).toEqual(Array(4).fill("models"))
})

it("what a probe may cost, and how long one that is out is left alone", () => {
  const prices = { input: 10, output: 20 }
  expect(HealthProbes.costOf("models", undefined)).toBe(0)
  expect(HealthProbes.costOf("ping", prices)).toBeCloseTo(0.00048, 9)
  expect(HealthProbes.costOf("usual", prices)).toBeCloseTo(0.00048, 9)
  expect(HealthProbes.costOf("ping", undefined)).toBeCloseTo(0.00336, 9)
  expect([0, 1, 2, 3, 9].map((n) => HealthProbes.backoff(60_000, n, 0.5))).toEqual([
    60_000, 120_000, 240_000, 300_000, 300_000
  ])
  expect([0, 0.5, 1].map((chance) => HealthProbes.jitter(chance).toFixed(2))).toEqual(["0.80", "1.00", "1.20"])
})
