import * as WorstCase from "@echelon/config/WorstCase"
import { Clients, InstanceFactory, Interpreter, Llm, LlmError, type Plan, Plans } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"

const provider = Plans.provider({ name: "p", kind: "x" })

const instance = (alias: string, options: Partial<Plan.Model> = {}): Plan.Instance =>
  Plans.instance({
    provider,
    alias,
    model: Plans.model({ model: alias, prices: { input: 1, output: 10 }, ...options })
  })

const clocks = (attempt: number) => ({ ...Plans.echelon("", 1, []).clocks, attempt: attempt * 1_000 })

/** The seed's fast_group: 4 + 4 + 3 attempts of 30, 25 and 20 seconds. */
const echelons = [
  Plans.echelon("g", 1, ["p-a", "p-b"], { maxRetries: 3, clocks: clocks(30), settings: { maxOutputTokens: 2_000 } }),
  Plans.echelon("g", 2, ["p-c"], { maxRetries: 3, clocks: clocks(25), settings: { maxOutputTokens: 2_000 } }),
  Plans.echelon("g", 3, ["p-d"], { maxRetries: 2, clocks: clocks(20) })
]
const instances = [
  instance("a"),
  instance("b", { prices: { input: 2, output: 20 } }),
  instance("c"),
  instance("d", { capabilities: { maxOutputTokens: 500 } })
]

const rootOf = (
  fallback: Partial<Plan.GroupFallback>,
  more: { readonly pool?: Partial<Plan.Pool>; readonly wrapper?: Partial<Plan.Wrapper> } = {},
  all: ReadonlyArray<Plan.Instance> = instances
): Plan.Root =>
  Plans.root({
    instances: all,
    groups: [Plans.group("g", echelons, { retryDelay: 1_000, maxRetryAfterWait: 0, ...fallback })],
    pools: [Plans.pool("pool", ["g"], more.pool)],
    wrappers: [Plans.wrapper("w", { kind: "pool", name: "pool" }, more.wrapper)]
  })

const of = (
  plan: Plan.Root,
  kind: "wrapper" | "pool" | "group",
  name: string,
  options?: Partial<WorstCase.Assumed>
) => {
  const worst = WorstCase.of(plan, { kind, name }, options)
  if (worst === undefined) throw new Error(`no ${kind} ${name}`)
  return worst
}

it("sums attempts, clocks, waits and money over the echelons tried", () => {
  const worst = of(rootOf({}), "group", "g")
  expect(worst).toMatchObject({ attempts: 11, attemptTime: 280_000, uncutTime: 297_000, time: 297_000 })
  // 4 x (1000 x 2 + 2000 x 20) + 4 x (1000 + 2000 x 10) + 3 x (1000 + 500 x 10), per million
  expect(worst.cost).toBeCloseTo(0.27, 12)
  expect(worst.tiers.map(({ attempts, name, time, waits }) => [name, attempts, time, waits])).toEqual([
    ["g.echelon1", 4, 127_000, 7_000],
    ["g.echelon2", 4, 107_000, 7_000],
    ["g.echelon3", 3, 63_000, 3_000]
  ])
  expect(WorstCase.formula(worst)).toEqual({
    attempts: "4 + 4 + 3 = 11",
    time: "4 x 30 s + 4 x 25 s + 3 x 20 s + 17 s of waits = 297 s",
    cost: "4 x $0.042 + 4 x $0.021 + 3 x $0.0060 = $0.27"
  })
})

it("a repeat waits its backoff up to the cap, or for the provider", () => {
  const waits = (fallback: Partial<Plan.GroupFallback>) => of(rootOf(fallback), "group", "g").tiers[0]?.waits
  expect(waits({ retryDelay: 1_000, retryMaxDelay: 3_000 })).toBe(1_000 + 2_000 + 3_000)
  expect(waits({ retryDelay: 1_000, maxRetryAfterWait: 1_500 })).toBe(1_500 + 2_000 + 4_000)
  expect(waits({ retryDelay: 1_000, maxRetryAfterWait: 9_000 })).toBe(27_000)
  expect(waits({ retryDelay: 0 })).toBe(0)
  expect(waits({ retryDelay: 5_000, retryMaxDelay: 2_000 })).toBe(6_000)
})

it("an instance that an earlier echelon has asked is waited for at its first attempt too", () => {
  const again = [
    Plans.echelon("g", 1, ["p-a"], { maxRetries: 0 }),
    Plans.echelon("g", 2, ["p-b", "p-a"], { maxRetries: 0 })
  ]
  const plan = Plans.root({ instances, groups: [Plans.group("g", again, { maxRetryAfterWait: 0 })] })
  expect(of(plan, "group", "g").tiers.map(({ waits }) => waits)).toEqual([0, 500])
})

it("max_total_attempts, max_attempts and request_timeout cut", () => {
  const total = of(rootOf({ maxTotalAttempts: 5 }), "group", "g")
  // Whatever is passed over, five attempts take no more than the five longest.
  expect(total).toMatchObject({ attempts: 5, attemptTime: 4 * 30_000 + 25_000, maxTotalAttempts: 5 })
  expect(WorstCase.formula(total).attempts).toBe("4 + 4 + 3 = 11, cut to 5 by max_total_attempts = 5")
  const two = of(rootOf({ maxAttempts: 2 }), "group", "g")
  expect(two).toMatchObject({ attempts: 8, attemptTime: 220_000, maxTiers: 2 })
  expect(WorstCase.formula(two).attempts).toBe("4 + 4 + 3 = 11, cut to 8 by at most 2 echelons")
  const wrapped = of(rootOf({}, { wrapper: { requestTimeout: 30_000 } }), "wrapper", "w")
  expect(wrapped).toMatchObject({ attempts: 11, uncutTime: 297_000, time: 30_000, requestTimeout: 30_000 })
  expect(WorstCase.formula(wrapped).time).toBe(
    "4 x 30 s + 4 x 25 s + 3 x 20 s + 17 s of waits = 297 s, cut to 30 s by request_timeout"
  )
  const long = of(rootOf({}, { wrapper: { requestTimeout: 900_000 } }), "wrapper", "w")
  expect(long.time).toBe(297_000)
  expect(WorstCase.formula(long).time).not.toContain("cut")
  expect(of(rootOf({ maxTotalAttempts: 11 }), "group", "g").maxTotalAttempts).toBeUndefined()
})

it("the cut counts what is worst, wherever it stands", () => {
  const rising = [
    Plans.echelon("g", 1, ["p-a"], { maxRetries: 3, clocks: clocks(1) }),
    Plans.echelon("g", 2, ["p-b"], { maxRetries: 0, clocks: clocks(100) })
  ]
  const plan = Plans.root({
    instances,
    groups: [Plans.group("g", rising, { maxAttempts: 1, maxRetryAfterWait: 0, retryDelay: 0 })]
  })
  expect(of(plan, "group", "g")).toMatchObject({ attempts: 4, time: 100_000 })
})

it("a group's echelon as a start, a pool's tiers, a pool that tries one", () => {
  expect(of(rootOf({}), "group", "g.echelon2").attempts).toBe(7)
  expect(of(rootOf({ strategy: "none" }), "group", "g").attempts).toBe(4)
  // A pool goes down its tiers whatever its groups say of their own fallbacks.
  expect(of(rootOf({ strategy: "none", maxTotalAttempts: 6 }), "pool", "pool").attempts).toBe(6)
  const none = rootOf({}, { pool: { fallback: { strategy: "none", maxInstanceAttempts: 2, maxEjected: 1 } } })
  expect(of(none, "pool", "pool").attempts).toBe(4)
  const two = Plans.root({
    instances,
    groups: [
      Plans.group("g", [Plans.echelon("g", 1, ["p-a"], { maxRetries: 1, clocks: clocks(9) })]),
      Plans.group("h", [Plans.echelon("h", 1, ["p-b"], { maxRetries: 4, clocks: clocks(5) })])
    ],
    pools: [Plans.pool("pool", ["g", "h", "nobody"])]
  })
  expect(of(two, "pool", "pool").tiers).toMatchObject([
    { name: "g.echelon1 + h.echelon1", instances: ["p-a", "p-b"], attempts: 5, timeout: 9_000 }
  ])
})

it("instances without a credential count nowhere, and what has no price makes the cost unknown", () => {
  const worst = of(rootOf({}, {}, [instance("c"), instance("d", { prices: undefined })]), "group", "g")
  expect(worst).toMatchObject({ attempts: 7, cost: undefined, unpriced: ["p-d"] })
  expect(worst.tiers[0]).toMatchObject({ attempts: 0, instances: [] })
  expect(WorstCase.formula(worst)).toMatchObject({ attempts: "4 + 3 = 7", cost: "unknown: no price of p-d" })
  const nobody = of(rootOf({}, {}, []), "group", "g")
  expect(nobody).toMatchObject({ attempts: 0, time: 0, cost: 0 })
  expect(WorstCase.formula(nobody).attempts).toBe("0 = 0")
})

it("money is counted for the request that is assumed", () => {
  const cost = (options: Partial<WorstCase.Assumed>, all?: ReadonlyArray<Plan.Instance>) =>
    of(rootOf({ maxAttempts: 1, strategy: "none" }, {}, all), "group", "g", options).cost
  expect(cost({})).toBeCloseTo((4 * (1_000 * 2 + 2_000 * 20)) / 1e6, 12)
  expect(cost({ inputTokens: 0, outputTokens: 100 })).toBeCloseTo((4 * 100 * 20) / 1e6, 12)
  const last = (options: Partial<WorstCase.Assumed>) =>
    of(rootOf({}, {}, [instance("d")]), "group", "g.echelon3", options).cost
  expect(last({ inputTokens: 0 })).toBeCloseTo((3 * 1_024 * 10) / 1e6, 12)
})

it("is unknown of what there is not", () => {
  for (const name of ["nobody", "constructor", "g.echelon9"]) {
    for (const kind of ["wrapper", "pool", "group"] as const)
      expect(WorstCase.of(rootOf({}), { kind, name })).toBeUndefined()
  }
  const lost = Plans.root({ wrappers: [Plans.wrapper("w", { kind: "pool", name: "nobody" })] })
  expect(WorstCase.all(lost)).toEqual([])
  expect(WorstCase.all(rootOf({})).map(({ target: { kind, name } }) => `${kind} ${name}`)).toEqual([
    "wrapper w",
    "pool pool",
    "group g"
  ])
})

const small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6 }))
const Tier = Schema.Struct({ retries: small, clock: small })

it.prop(
  "no choice of tiers and attempts takes longer than what is said",
  { tiers: Schema.Array(Tier), most: small, total: small, picks: Schema.Array(small) },
  ({ most, picks, tiers, total }) => {
    const plan = Plans.root({
      instances,
      groups: [
        Plans.group(
          "g",
          tiers.map(({ clock, retries }, i) =>
            Plans.echelon("g", i + 1, ["p-a"], { maxRetries: retries, clocks: clocks(clock) })
          ),
          { maxAttempts: most + 1, maxTotalAttempts: total + 1, retryDelay: 0, maxRetryAfterWait: 0 }
        )
      ]
    })
    const worst = WorstCase.of(plan, { kind: "group", name: "g" })
    if (worst === undefined) return expect(tiers).toEqual([])
    let left = total + 1
    let time = 0
    let attempts = 0
    for (const [i, pick] of picks.slice(0, most + 1).entries()) {
      const tier = tiers[i]
      if (tier === undefined) break
      const made = Math.min(left, pick, tier.retries + 1)
      left -= made
      attempts += made
      time += made * tier.clock * 1_000
    }
    expect(worst.attempts).toBeGreaterThanOrEqual(attempts)
    expect(worst.time).toBeGreaterThanOrEqual(time)
    expect(Number.isFinite(worst.time)).toBe(true)
  }
)

it("numbers of any size end at once", () => {
  const plan = Plans.root({
    instances,
    groups: [Plans.group("g", [Plans.echelon("g", 1, ["p-a"], { maxRetries: Number.MAX_SAFE_INTEGER - 1 })])]
  })
  expect(of(plan, "group", "g").attempts).toBe(Number.MAX_SAFE_INTEGER)
  expect(Number.isFinite(of(plan, "group", "g").time)).toBe(true)
})

/** Instances that fail as late as their clocks allow. */
const lateFailures = Layer.merge(
  Layer.succeed(InstanceFactory.InstanceFactory, {
    make: ({ name }) =>
      Effect.map(
        ScriptedLlm.make({
          id: name,
          script: (_, request) => [
            ScriptedLlm.wait(Duration.millis(request.clocks.attempt - 1)),
            ScriptedLlm.fail({ _tag: "Overloaded" })
          ]
        }),
        ({ llm }) => ({ llm, probe: Effect.succeed(Duration.zero) })
      )
  }),
  Layer.succeed(Clients.Clients, {
    get: () => Effect.fail(LlmError.make({ reason: { _tag: "UnknownTarget", kind: "provider", name: "x", known: [] } }))
  })
)

it.effect("a real request that fails everywhere as late as it can stays within the bound", () =>
  Effect.gen(function* () {
    for (const [kind, name, plan] of [
      ["group", "g", rootOf({})],
      ["group", "g", rootOf({ maxTotalAttempts: 5 })],
      ["group", "g", rootOf({ maxAttempts: 2 })],
      ["wrapper", "w", rootOf({}, { wrapper: { requestTimeout: 100_000 } })]
    ] as const) {
      const worst = of(plan, kind, name)
      const [error, elapsed] = yield* Effect.gen(function* () {
        const { current } = yield* Interpreter.Interpreter
        const llm = yield* Effect.flatMap(current, (one) => (kind === "group" ? one.group(name) : one.wrapper(name)))
        const start = yield* Clock.currentTimeMillis
        const fiber = yield* Effect.forkChild(
          Effect.zip(Effect.flip(Llm.generate(llm, { prompt: "hi" })), Clock.currentTimeMillis)
        )
        yield* TestClock.adjust("20 minutes")
        const [failure, end] = yield* Fiber.join(fiber)
        return [failure, Math.floor(end - start)] as const
      }).pipe(Effect.scoped, Effect.provide(Layer.provide(Interpreter.Interpreter.layer(plan), lateFailures)))
      const made = error.route?.length ?? 0
      expect(made).toBeLessThanOrEqual(worst.attempts)
      expect(elapsed).toBeLessThanOrEqual(worst.time)
      // The bound is reached, but for the waits that chance shortens and what a deadline cuts.
      if (kind === "group") {
        expect(made).toBe(worst.attempts)
        expect(elapsed).toBeGreaterThanOrEqual(worst.attemptTime - made)
      }
    }
  })
)
