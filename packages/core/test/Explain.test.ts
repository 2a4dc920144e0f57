import {
  type Capability,
  type CircuitBreakerState,
  Clients,
  Clocks,
  Control,
  InstanceFactory,
  InstanceStats,
  Interpreter,
  LlmError,
  type LlmRequest,
  Orchestrator,
  Plan,
  Plans,
  type Route,
  Router
} from "@echelon/core"
import * as Explain from "@echelon/core/Explain"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import { dice } from "./support/dice.ts"
import * as plans from "./support/plans.ts"

const openai = plans.provider("openai")
const breaker = { ...Plans.defaults.breaker, failureRate: undefined, slowCall: undefined, failureThreshold: 1_000 }

type Model = Partial<Pick<Plan.Model, "prices" | "weight" | "limits">> & Capability.Capabilities
const instance = (name: string, { contextWindow, features, ...model }: Model = {}): Plan.Instance =>
  Plans.instance({
    name,
    provider: openai,
    alias: name,
    model: Plans.model({ model: `wire-${name}`, capabilities: { contextWindow, features }, ...model })
  })

const explained = (root: Plan.Root, options: Explain.Options) => Result.getOrThrow(Explain.of(root, options))
const names = (tier: Explain.Tier | undefined) =>
  tier?.members.flatMap(({ instance, verdict }) => (verdict._tag === "Asked" ? [instance] : [])).join(" ")
const reasons = ({ tiers }: Explain.Explanation) =>
  Object.fromEntries(
    tiers.flatMap(({ members }) =>
      members.flatMap(({ instance, verdict }) =>
        verdict._tag === "Asked" ? [] : [[instance, verdict.reasons.map(Explain.describe).join("; ")]]
      )
    )
  )

// Against the engine.

/** Every instance of every plan is overloaded, always. */
const layer = (root: Plan.Root) =>
  Layer.provideMerge(
    Orchestrator.layer,
    Layer.provide(
      Interpreter.Interpreter.layer(root),
      Layer.merge(
        Layer.succeed(InstanceFactory.InstanceFactory, {
          make: ({ model, name }) =>
            Effect.map(
              ScriptedLlm.make({
                id: name,
                model: model.model,
                capabilities: model.capabilities,
                script: ScriptedLlm.fails({ _tag: "Overloaded" })
              }),
              ({ llm }) => ({ llm, probe: Effect.succeed(Duration.zero) })
            )
        }),
        Layer.succeed(Clients.Clients, {
          get: () =>
            Effect.fail(LlmError.make({ reason: { _tag: "UnknownTarget", kind: "provider", name: "", known: [] } }))
        })
      )
    )
  )

/** What does not keep the engine from holding an instance for one that can be asked. */
const isElsewhere = ({ _tag }: Explain.Reason): boolean => ["Behind", "Never", "LimitFull", "TooLarge"].includes(_tag)
const keyOf = ({ echelon, instance }: Explain.Member): string => `${echelon} ${instance}`

/** Who is passed over for nothing but its health, and whether some healthy one is left that was not asked. */
const healthOf = ({ tiers }: Explain.Explanation, isUnhealthy: (instance: string) => boolean) => {
  const able = tiers
    .flatMap(({ members }) => members)
    .filter(({ instance, verdict }) => {
      return !isUnhealthy(instance) && (verdict._tag === "Asked" || verdict.reasons.every(isElsewhere))
    })
  return {
    isHeldBack: ({ verdict }: Explain.Member): boolean =>
      verdict._tag === "PassedOver" && verdict.reasons.every(({ _tag }) => _tag === "Unhealthy"),
    isAnyLeft: (asked: ReadonlySet<string>): boolean => able.some((member) => !asked.has(keyOf(member)))
  }
}

/** Why the explanation does not allow the route of a request whose every attempt failed as overloaded. */
const disagreement = (
  explanation: Explain.Explanation,
  route: Route.Route,
  isUnhealthy: (instance: string) => boolean
): string | undefined => {
  const { maxTiers = Number.POSITIVE_INFINITY, maxTotalAttempts = Number.POSITIVE_INFINITY, tiers } = explanation
  const { isAnyLeft, isHeldBack } = healthOf(explanation, isUnhealthy)
  const failed: Array<string> = []
  const done = new Set<string>()
  let tried = 0
  let next = 0
  for (const [place, tier] of tiers.entries()) {
    const here = new Set<string>()
    for (let left = 1 + tier.maxRetries; left > 0 && next < maxTotalAttempts; left--) {
      if (here.size === 0 && tried >= maxTiers) break
      const isFull = here.size >= (tier.maxInstances ?? Number.POSITIVE_INFINITY)
      const asked = tier.members.filter(
        (member) => member.verdict._tag === "Asked" || (isHeldBack(member) && !isAnyLeft(done))
      )
      const open = asked.filter((member) => !isFull || here.has(member.instance))
      const fresh = open.filter((member) => !failed.includes(member.instance))
      const oldest = failed.find((name) => open.some((member) => member.instance === name))
      const least = Math.min(...fresh.map(({ rank = 0 }) => rank))
      const allowed =
        fresh.length > 0
          ? fresh.filter(({ rank = 0 }) => rank === least)
          : open.filter((member) => member.instance === oldest)
      if (allowed.length === 0) break
      const entry = route[next]
      const member = allowed.find((one) => one.instance === entry?.instance)
      if (entry === undefined || member === undefined)
        return `attempt ${next} in tier ${place}: allowed ${allowed.map((one) => one.instance)}, got ${entry?.instance}`
      if (member.echelon !== entry.echelon || member.model !== entry.model)
        return `attempt ${next}: ${member.echelon} and ${member.model} against ${entry.echelon} and ${entry.model}`
      next += 1
      if (here.size === 0) tried += 1
      here.add(entry.instance)
      done.add(keyOf(member))
      if (failed.includes(entry.instance)) failed.splice(failed.indexOf(entry.instance), 1)
      failed.push(entry.instance)
    }
  }
  if (next === route.length) return undefined
  // When no healthy one can be asked any more, the held back are, in what is left of the tiers.
  const last = tiers.flatMap(({ members }) => members.filter(isHeldBack)).map(({ instance }) => instance)
  return last.includes(route[next]?.instance ?? "") ? undefined : `${route.length} attempts instead of ${next}`
}

/** Lets a health checker that is not there put instances out by chance, and take them in again. */
const ail = (root: Plan.Root, { below }: ReturnType<typeof dice>) =>
  Effect.map(Interpreter.Interpreter, ({ registry }) => {
    for (const plan of Object.values(root.instances)) registry.instance(plan).health.isOut = below(3) === 0
  })

const features: ReadonlyArray<ReadonlyArray<Capability.Capability> | undefined> = [undefined, ["tools"], []]

const randomRoot = (seed: number): Plan.Root => {
  const { below, of } = dice(seed)
  const some = <A>(items: ReadonlyArray<A>, most = items.length): ReadonlyArray<A> =>
    Array.from({ length: 1 + below(most) }, () => items[below(items.length)] as A)
  const all = Array.from({ length: 3 + below(5) }, (_, i) => `i${i}`)
  const known = all.filter(() => below(6) > 0)
  const rotation = () => Plan.rotations[below(Plan.rotations.length)] ?? "random"
  const shapes = ["one", "two"].map((group) => ({
    group,
    echelons: Array.from({ length: 1 + below(3) }, (_, i) =>
      Plans.echelon(group, i + 1, [...new Set(some(all, 4))], {
        priority: i + 1 + below(2),
        maxRetries: below(4),
        rotation: rotation()
      })
    )
  }))
  const echelons = shapes.flatMap(({ echelons, group }) => echelons.map(({ name }) => `${group}.${name}`))
  return Plans.root({
    instances: known.map((name) =>
      instance(name, {
        features: features[below(3)],
        contextWindow: of([undefined, 500, 100_000]),
        weight: 1 + below(3),
        prices: of([undefined, { input: below(3), output: 1 }])
      })
    ),
    disabled: Object.fromEntries(all.filter((name) => !known.includes(name)).map((name) => [name, "A_KEY"])),
    groups: shapes.map(({ echelons: own, group }) =>
      Plans.group(group, own, {
        breaker,
        retryDelay: 0,
        strategy: of(["echelon_down", "echelon_down", "none"]),
        ...(below(2) === 0 ? {} : { echelons: [...new Set(some(echelons))], maxAttempts: 1 + below(4) }),
        maxTotalAttempts: of([undefined, undefined, 1, 3, 5])
      })
    ),
    pools: ["p", "q"].map((name) =>
      Plans.pool(name, of([["one"], ["two"], ["one", "two"], ["two", "one"]]), {
        rotation: rotation(),
        fallback: {
          strategy: of(["instance_rotation", "instance_rotation", "none"]),
          maxInstanceAttempts: 1 + below(3),
          maxEjected: of([1, 0.5, 0])
        },
        retryBudget: { ratio: 1, minPerSecond: 10_000 }
      })
    ),
    wrappers: [Plans.wrapper("w", { kind: "pool", name: "p" }), Plans.wrapper("g", { kind: "group", name: "one" })],
    routing: { defaultPool: "q" }
  })
}

const randomInput = (seed: number): LlmRequest.Input => {
  const { below, of } = dice(seed)
  const targets: ReadonlyArray<LlmRequest.Metadata> = [
    { poolName: "p" },
    { groupName: "one" },
    { groupName: "two" },
    { groupName: "two.echelon1" },
    { groupName: "one.echelon2" },
    { wrapperName: "w" },
    { wrapperName: "g" },
    {}
  ]
  return {
    prompt: "word ".repeat(of([1, 2_000])),
    tools: below(3) === 0 ? [{ name: "t", parameters: {} }] : [],
    metadata: {
      ...targets[below(targets.length)],
      maxTotalAttempts: of([undefined, undefined, 4]),
      sessionId: of([undefined, "s"])
    }
  }
}

it.effect("the route of a request is one that the answer allows, for random plans, requests and states", () =>
  Effect.gen(function* () {
    let compared = 0
    let attempts = 0
    let heldBack = 0
    let afterAll = 0
    for (let seed = 1; seed <= 250; seed++) {
      const root = randomRoot(seed)
      const { below } = dice(seed + 1_000)
      yield* Effect.gen(function* () {
        const control = yield* Control.Control
        for (let turn = 0; turn < 4; turn++) {
          const live = Object.keys(root.instances)
          const name = live[below(live.length)] ?? ""
          const acts = [
            control.drain(name),
            control.undrain(name),
            control.pin(name),
            control.unpin(name),
            control.force({ instance: name }, "open"),
            control.release({ instance: name })
          ]
          if (turn > 0 && live.length > 0) yield* acts[below(acts.length)] ?? Effect.void
          if (seed % 2 === 0) yield* ail(root, dice(seed * 10 + turn))
          const out = new Set((yield* control.snapshot).instances.flatMap((one) => (one.isUnhealthy ? [one.name] : [])))
          const input = randomInput(seed * 10 + turn)
          const answer = yield* Effect.result(control.explain(input))
          const outcome = yield* Effect.flip(Orchestrator.generate(input))
          if (Result.isFailure(answer)) {
            expect(outcome.message).toBe(answer.failure.message)
            continue
          }
          const found = disagreement(answer.success, outcome.route ?? [], (one) => out.has(one))
          if (found !== undefined) throw new Error(`seed ${seed}, turn ${turn}: ${found}`)
          compared += 1
          attempts += outcome.route?.length ?? 0
          const { isHeldBack } = healthOf(answer.success, (one) => out.has(one))
          const held = answer.success.tiers.flatMap(({ members }) => members.filter(isHeldBack))
          if (held.length > 0) heldBack += 1
          if (held.some(({ instance }) => outcome.route?.some((entry) => entry.instance === instance))) afterAll += 1
        }
      }).pipe(Effect.provide(layer(root)))
    }
    expect(compared).toBeGreaterThan(800)
    expect(attempts).toBeGreaterThan(2_000)
    expect(heldBack).toBeGreaterThan(80)
    expect(afterAll).toBeGreaterThan(15)
  })
)

/** Every call of an instance ends as chance says. */
const moody = (root: Plan.Root, { of }: ReturnType<typeof dice>) =>
  Layer.provideMerge(
    Orchestrator.layer,
    Layer.provide(
      Interpreter.Interpreter.layer(root),
      Layer.merge(
        Layer.succeed(InstanceFactory.InstanceFactory, {
          make: ({ model, name }) => {
            const script = () =>
              of([
                ScriptedLlm.fails({ _tag: "Overloaded" }),
                ScriptedLlm.fails({ _tag: "Overloaded" }),
                ScriptedLlm.fails({ _tag: "Authentication" }),
                ScriptedLlm.fails({ _tag: "RateLimited", retryAfter: Duration.minutes(3) }),
                ScriptedLlm.text("hello")
              ])
            const { capabilities } = model
            const made = ScriptedLlm.make({ id: name, model: model.model, capabilities, script })
            return Effect.map(made, ({ llm }) => ({ llm, probe: Effect.succeed(Duration.zero) }))
          }
        }),
        Layer.succeed(Clients.Clients, {
          get: () => Effect.die(new RangeError("no client is called here"))
        })
      )
    )
  )

it.effect("whoever is tried in panic is foretold, and nobody else is, for random plans and states", () =>
  Effect.gen(function* () {
    const counts = { panics: 0, refused: 0 }
    for (let seed = 1; seed <= 120; seed++) {
      const random = dice(seed + 50_000)
      const { below, of } = random
      const names = ["a", "b", "c", "d"].slice(0, 2 + below(3))
      const limits = () => ({ ...Plans.noLimits, rpm: of([undefined, undefined, 3]) })
      const groups = ["one", "two"].map((group, n) =>
        Plans.group(
          group,
          [
            Plans.echelon(
              group,
              1 + below(2),
              names.filter((_, i) => i % 2 === n || below(3) === 0)
            )
          ],
          {
            breaker: { ...breaker, failureThreshold: 1, recoveryTime: 60_000 },
            retryDelay: 0
          }
        )
      )
      const root = Plans.root({
        instances: names.map((name) => instance(name, { features: features[below(3)], limits: limits() })),
        groups,
        pools: [
          Plans.pool("p", ["one", "two"], {
            fallback: { strategy: "instance_rotation", maxInstanceAttempts: 2, maxEjected: of([1, 1, 0.5]) },
            retryBudget: { ratio: 1, minPerSecond: 10_000 }
          })
        ]
      })
      yield* Effect.gen(function* () {
        const control = yield* Control.Control
        for (let turn = 0; turn < 16; turn++) {
          const name = names[below(names.length)] ?? ""
          const acts = [
            control.drain(name),
            control.undrain(name),
            control.force({ instance: name }, "open"),
            control.release({ instance: name }),
            control.pin(name),
            TestClock.adjust("30 seconds"),
            TestClock.adjust("2 minutes")
          ]
          if (below(3) === 0) yield* acts[below(acts.length)] ?? Effect.void
          if (seed % 2 === 0) yield* ail(root, dice(seed * 20 + turn))
          const tools = below(3) === 0 ? [{ name: "t", parameters: {} }] : []
          const input = { prompt: "hi", tools, metadata: { poolName: "p", maxTotalAttempts: 2 } }
          const { panic, tiers } = yield* control.explain(input)
          const isAsked = tiers.some(({ members }) => members.some(({ verdict }) => verdict._tag === "Asked"))
          const ended = yield* Effect.result(Orchestrator.generate(input))
          const route = Result.isSuccess(ended) ? ended.success.route : (ended.failure.route ?? [])
          const at = `seed ${seed}, turn ${turn}`
          if (isAsked) {
            expect([at, panic, route.length > 0]).toEqual([at, undefined, true])
            continue
          }
          expect([at, route[0]?.instance]).toEqual([at, panic])
          counts[panic === undefined ? "refused" : "panics"] += 1
        }
      }).pipe(Effect.provide(moody(root, random)))
    }
    expect(counts.panics).toBeGreaterThan(100)
    expect(counts.refused).toBeGreaterThan(100)
  })
)

// The plan alone.

const chat = Plans.root({
  instances: [
    instance("a", { features: ["tools"], contextWindow: 1_000 }),
    instance("b", { features: [], prices: { input: 2, output: 2 } }),
    instance("c", { prices: { input: 1, output: 2 } }),
    instance("d", { prices: { input: 2, output: 1 } })
  ],
  disabled: { "e@one": "E_KEY" },
  groups: [
    Plans.group(
      "chat",
      [
        Plans.echelon("chat", 1, ["a", "e@one"], { maxRetries: 3, clocks: { ...Clocks.defaults, attempt: 30_000 } }),
        Plans.echelon("chat", 2, ["b", "c", "nobody"]),
        Plans.echelon("chat", 3, ["d"])
      ],
      { echelons: ["chat.echelon2", "chat.echelon3"], maxAttempts: 2 }
    ),
    Plans.group("other", [Plans.echelon("other", 1, ["d", "a"], { maxRetries: 5 })], { maxTotalAttempts: 1 }),
    Plans.group("alone", [Plans.echelon("alone", 1, ["a"]), Plans.echelon("alone", 2, ["b"])], { strategy: "none" })
  ],
  pools: [
    Plans.pool("pool", ["chat"], { rotation: "cost" }),
    Plans.pool("both", ["chat", "other"]),
    Plans.pool("one", ["chat"], { fallback: { strategy: "none", maxInstanceAttempts: 2, maxEjected: 1 } })
  ],
  wrappers: [Plans.wrapper("w", { kind: "pool", name: "pool" }, { requestTimeout: 30_000 })],
  routing: { defaultWrapper: "w" }
})

it("tells where a request goes and what decided it, as the router does", () => {
  const table: ReadonlyArray<readonly [LlmRequest.Metadata, string, Explain.By]> = [
    [{}, "wrapper w", "default_wrapper"],
    [{ wrapperName: "w", poolName: "both" }, "wrapper w", "request"],
    [{ poolName: "both" }, "pool both", "request"],
    [{ groupName: "chat.echelon2" }, "group chat.echelon2", "request"],
    [{ provider: "openai", model: "wire-b" }, "client b", "request"],
    [{ model: "b" }, "client b", "built_in"]
  ]
  for (const [metadata, target, by] of table) {
    const found = explained(chat, { metadata })
    expect(found.target).toEqual(Router.decide(metadata, chat.routing))
    const name = found.target.kind === "client" ? "b" : found.target.name
    expect([`${found.target.kind} ${name}`, found.by]).toEqual([target, by])
  }
  const other = { ...chat, routing: { defaultWrapper: undefined, defaultPool: "one", defaultProvider: "openai" } }
  expect(explained(other, {})).toMatchObject({ by: "default_pool", through: { kind: "pool", name: "one" } })
  expect(explained(other, { metadata: { model: "a" } }).by).toBe("default_provider")
  expect(explained(chat, { target: { kind: "pool", name: "one" } }).by).toBe("request")
})

it("a name that is not known fails as the request would", () => {
  const message = (options: Explain.Options) => Result.getOrThrow(Result.flip(Explain.of(chat, options))).message
  expect(message({ metadata: { poolName: "pol" } })).toContain('there is no pool "pol"; did you mean "pool"')
  expect(message({ metadata: { wrapperName: "v" } })).toContain('there is no wrapper "v"; did you mean "w"?')
  expect(message({ metadata: { groupName: "chat.echelon9" } })).toContain('did you mean "chat.echelon1"')
  expect(message({ metadata: { poolName: "constructor" } })).toContain('there is no pool "constructor"')
})

it("passes over whom the plan rules out, and says why", () => {
  const found = explained(chat, { metadata: { groupName: "chat" }, needs: ["tools"], inputTokens: 3_000 })
  expect(found.tiers.map(names)).toEqual(["", "c", "d"])
  expect(reasons(found)).toEqual({
    a: "context window of 1000 tokens; at least 1500 are needed",
    "e@one": "no credential: set E_KEY",
    b: "lacks tools",
    nobody: "no provider has such a model"
  })
  expect(found.tiers[0]?.members[0]?.clocks.attempt).toBe(30_000)
})

it("counts the tiers that may be tried among those that can be asked", () => {
  expect(reasons(explained(chat, { metadata: { groupName: "chat" } }))["d"]).toBe("only 2 tiers are tried")
  expect(explained(chat, { metadata: { groupName: "chat" } }).maxTiers).toBe(2)
  const one = explained(chat, { metadata: { poolName: "one" } })
  expect(one.tiers.map(names)).toEqual(["a", "", ""])
  expect(reasons(one)["b"]).toBe("only one tier is tried")
  const both = explained(chat, { metadata: { poolName: "both", maxTotalAttempts: 2 } })
  expect([both.maxTotalAttempts, reasons(both)["b"]]).toEqual([1, "behind max_total_attempts = 1"])
})

it("a tier of several echelons has the most retries of them, and an instance once", () => {
  const { tiers } = explained(chat, { metadata: { poolName: "both" } })
  expect(tiers[0]).toMatchObject({
    echelons: ["chat.echelon1", "other.echelon1"],
    maxRetries: 5,
    maxInstances: 2,
    order: "turns"
  })
  expect(tiers[0]?.members.map(({ echelon, instance, verdict }) => [instance, echelon, verdict._tag])).toEqual([
    ["a", "chat.echelon1", "Asked"],
    ["d", "other.echelon1", "Asked"],
    ["e@one", "chat.echelon1", "PassedOver"],
    ["a", "other.echelon1", "PassedOver"]
  ])
  const again = tiers[0]?.members[3]?.verdict
  expect(again?._tag === "PassedOver" && again.reasons.map(Explain.describe)).toEqual([
    "in this tier already, as chat.echelon1 says"
  ])
})

it("ranks by what the plan says, equals together, and nothing that only time tells", () => {
  const root = { ...chat, pools: { ...chat.pools, three: Plans.pool("three", ["wide"], { rotation: "cost" }) } }
  const wide = Plans.group("wide", [Plans.echelon("wide", 1, ["b", "a", "c", "d"])])
  const ranks = (rotation: Plan.Rotation) => {
    const pool = Plans.pool("three", ["wide"], { rotation })
    const groups = { ...chat.groups, wide }
    const tier = explained({ ...root, groups, pools: { three: pool } }, { metadata: { poolName: "three" } }).tiers[0]
    return [tier?.order, tier?.members.map(({ instance, rank }) => `${instance}${rank ?? ""}`).join(" ")]
  }
  expect(ranks("cost")).toEqual(["ranked", "c1 d1 b2 a3"])
  expect(ranks("priority")).toEqual(["ranked", "b1 a2 c3 d4"])
  expect(ranks("round_robin")).toEqual(["turns", "b a c d"])
  expect(ranks("weighted")).toEqual(["turns", "b a c d"])
  for (const rotation of ["random", "p2c", "latency", "sticky", "shortest_delay"] as const)
    expect(ranks(rotation)).toEqual(["any", "b a c d"])
})

it("echelons of a group that the request does not come to are listed with why", () => {
  const outside = (groupName: string) =>
    explained(chat, { metadata: { groupName } }).outside.map(({ because, echelon }) => `${echelon} ${because}`)
  expect(outside("chat")).toEqual([])
  expect(outside("chat.echelon3")).toEqual(["chat.echelon1 before_start", "chat.echelon2 before_start"])
  expect(outside("alone")).toEqual(["alone.echelon2 no_fallback"])
  const skips = {
    ...chat,
    groups: {
      skip: Plans.group(
        "skip",
        [1, 2].map((n) => Plans.echelon("skip", n, ["a"])),
        { echelons: [] }
      )
    }
  }
  expect(explained(skips, { metadata: { groupName: "skip" } }).outside[0]?.because).toBe("not_a_fallback")
})

it("the deadline is the shortest, and is shared among the tiers that are left", () => {
  const shares = (metadata: LlmRequest.Metadata) => {
    const { deadline, tiers } = explained(chat, { metadata })
    return [deadline, tiers.map(({ share }) => share)]
  }
  expect(shares({ wrapperName: "w" })).toEqual([30_000, [10_000, 10_000, undefined]])
  expect(shares({ wrapperName: "w", timeout: "6 seconds" })).toEqual([6_000, [2_000, 2_000, undefined]])
  expect(shares({ groupName: "chat", timeout: "6 seconds" })).toEqual([6_000, [3_000, undefined, undefined]])
  expect(shares({ poolName: "pool" })).toEqual([undefined, [undefined, undefined, undefined]])
})

it("a direct call has one instance, one attempt and the request's own clocks", () => {
  const found = explained(chat, { metadata: { provider: "openai", model: "b", idleTimeout: "5 seconds" } })
  expect(found).toMatchObject({ through: { kind: "client", name: "b" }, tiers: [{ maxRetries: 0, echelons: [] }] })
  expect(found.tiers[0]?.members[0]).toMatchObject({ instance: "b", model: "wire-b", clocks: { idle: 5_000 } })
  const nowhere = explained(chat, { metadata: { provider: "groq", model: "llama" } })
  expect(nowhere.tiers[0]?.members[0]).toMatchObject({ instance: "groq-llama", provider: undefined, model: undefined })
})

it("finds the model of an instance that has no credential", () => {
  const provider = Plans.provider({ name: "e", kind: "openai", models: { big: Plans.model({ model: "wire" }) } })
  const root = { ...Plans.root({ disabled: { "e-big@one": "E_KEY" } }), providers: { e: provider } }
  expect(Explain.identify(root, "e-big@one")).toMatchObject({ alias: "big", model: { model: "wire" } })
  expect(Explain.identify(root, "e-bigger")).toBeUndefined()
  const direct = explained(root, { metadata: { provider: "e" } })
  expect(reasons(direct)).toEqual({ "e-big": "no credential: set E_KEY" })
})

it("a request that a limit never grants is told before anything is asked", () => {
  const small = instance("a", { limits: { ...Plans.noLimits, tpm: 2_000 } })
  const root = Plans.root({ instances: [small], groups: [Plans.group("g", [Plans.echelon("g", 1, ["a"])])] })
  const why = (options: Explain.Options) => reasons(explained(root, { metadata: { groupName: "g" }, ...options }))
  expect(why({ inputTokens: 900 })).toEqual({})
  expect(why({ inputTokens: 1_000 })).toEqual({
    a: "a.tpm never grants more than 2000 tokens; about 2024 are needed"
  })
  expect(why({ inputTokens: 1_000, maxOutputTokens: 500 })).toEqual({})
})

// With a snapshot alone.

const snapshotOf = (
  changed: Readonly<Record<string, Partial<Control.InstanceSnapshot>>>,
  more: Partial<Control.Snapshot> = {}
): Control.Snapshot => ({
  at: 1_000,
  phase: "open",
  requests: 0,
  instances: Object.keys(chat.instances).map((name) => ({
    name,
    provider: "openai",
    model: `wire-${name}`,
    isDrained: false,
    isPinned: false,
    inFlight: 0,
    coolingUntil: undefined,
    isUnhealthy: false,
    stats: InstanceStats.empty,
    limits: [],
    breakers: [],
    ...changed[name]
  })),
  echelons: [],
  pools: [],
  wrappers: [],
  ...more
})

const open: CircuitBreakerState.Snapshot & { readonly group: string } = {
  group: "chat",
  state: "open",
  outBecause: "failures",
  until: 60_000,
  cause: "failures",
  reason: "Overloaded",
  openedAt: 500,
  growth: 0,
  consecutiveFailures: 5,
  calls: 5,
  failures: 5,
  failureRatio: 1,
  slowRatio: 0,
  probes: 0,
  successes: 0,
  generation: 1
}

it("says how everything stands: drained, cooling, breakers, limits", () => {
  const why = (state: Partial<Control.InstanceSnapshot>, more: Partial<Control.Snapshot> = {}) =>
    reasons(explained(chat, { metadata: { groupName: "chat.echelon3" }, snapshot: snapshotOf({ d: state }, more) }))[
      "d"
    ]
  const level = { name: "d.rpm", of: "requests", left: 0.5, limit: 100, isReported: false } as const
  expect(why({})).toBeUndefined()
  expect(why({ isDrained: true, coolingUntil: 5_000 })).toBe("drained; cooling until 1970-01-01T00:00:05.000Z")
  expect(why({ breakers: [open] })).toBe("breaker of chat open until 1970-01-01T00:01:00.000Z")
  expect(why({ breakers: [{ ...open, group: "other" }] })).toBeUndefined()
  expect(why({ breakers: [{ ...open, outBecause: "credential", until: undefined }] })).toBe(
    "breaker of chat open until its credential, quota or model is mended"
  )
  expect(why({ breakers: [{ ...open, state: "forced_open", outBecause: "forced" }] })).toBe("breaker of chat held open")
  expect(why({ breakers: [{ ...open, state: "forced_closed", outBecause: undefined }] })).toBeUndefined()
  expect(why({ breakers: [{ ...open, state: "half_open", until: undefined }] })).toBeUndefined()
  expect(why({ breakers: [{ ...open, state: "half_open", until: undefined, probes: 1 }] })).toBe(
    "breaker of chat half-open: a probe runs"
  )
  expect(why({ limits: [level] })).toBe("limit d.rpm full")
  expect(why({ limits: [{ ...level, left: 1 }] })).toBeUndefined()
  expect(why({}, { echelons: [{ name: "chat.echelon3", limits: [{ ...level, name: "chat.echelon3.rpm" }] }] })).toBe(
    "limit chat.echelon3.rpm full"
  )
  expect(why({}, { echelons: [{ name: "chat.echelon2", limits: [level] }] })).toBeUndefined()
})

it("the unhealthy are passed over while a healthy one that can answer is let in", () => {
  const why = (changed: Readonly<Record<string, Partial<Control.InstanceSnapshot>>>, options: Explain.Options = {}) =>
    reasons(explained(chat, { metadata: { poolName: "pool" }, snapshot: snapshotOf(changed), ...options }))
  const ill = { isUnhealthy: true }
  const unhealthy = "unhealthy, and a healthy one can be asked"
  const given = ({ b, c, d }: Readonly<Record<string, string>>) => [b, c, d]
  expect(given(why({ b: ill }))).toEqual([unhealthy, undefined, undefined])
  // Whoever is healthy and in another tier counts, too.
  expect(given(why({ b: ill, c: ill, d: ill }))).toEqual([unhealthy, unhealthy, unhealthy])
  expect(given(why({ a: ill, b: ill, c: ill, d: ill }))).toEqual([undefined, undefined, undefined])
  // Who cannot answer it, or is kept out by a breaker, a cooldown or somebody, counts as none; who is at a limit does.
  const rest = { b: ill, c: ill, d: ill }
  expect(given(why(rest, { inputTokens: 3_000 }))).toEqual([undefined, undefined, undefined])
  for (const kept of [{ breakers: [open] }, { coolingUntil: 5_000 }, { isDrained: true }])
    expect(given(why({ ...rest, a: kept }))).toEqual([undefined, undefined, undefined])
  const full = { name: "a.rpm", of: "requests", left: 0.5, limit: 100, isReported: false } as const
  expect(given(why({ ...rest, a: { limits: [full] } }))).toEqual([unhealthy, unhealthy, unhealthy])
  expect(why({ b: { ...ill, isDrained: true, breakers: [open] } })["b"]).toBe(
    `drained; ${unhealthy}; breaker of chat open until 1970-01-01T00:01:00.000Z`
  )
  const { tiers } = explained(chat, { metadata: { poolName: "pool" }, snapshot: snapshotOf({ b: ill }) })
  const verdict = tiers[1]?.members.find(({ instance }) => instance === "b")?.verdict
  expect(verdict).toEqual({ _tag: "PassedOver", reasons: [{ _tag: "Unhealthy" }] })
})

it("max_ejected takes the unhealthy in again", () => {
  const fallback = { strategy: "instance_rotation", maxInstanceAttempts: 2, maxEjected: 0.5 } as const
  const root = { ...chat, pools: { pool: Plans.pool("pool", ["chat"], { fallback }) } }
  const snapshot = snapshotOf({
    b: { breakers: [open] },
    c: { breakers: [{ ...open, failureRatio: 0.5 }], isUnhealthy: true }
  })
  expect(names(explained(root, { metadata: { poolName: "pool" }, snapshot }).tiers[1])).toBe("c")
})

it("the pinned come first, and their tier counts for nobody", () => {
  const snapshot = snapshotOf({ d: { isPinned: true } })
  const { maxTiers, tiers } = explained(chat, { metadata: { groupName: "chat" }, snapshot })
  expect(maxTiers).toBe(3)
  expect(tiers.map((tier) => [tier.isPinned, names(tier)])).toEqual([
    [true, "d"],
    [false, "a"],
    [false, "b c"],
    [false, ""]
  ])
})

it("ranks by what was measured", () => {
  const snapshot = snapshotOf({
    b: { inFlight: 3, stats: { ...InstanceStats.empty, firstOutput: 100 } },
    c: { inFlight: 1, stats: { ...InstanceStats.empty, firstOutput: 500 } }
  })
  const way = (rotation: Plan.Rotation) => {
    const pools = { pool: Plans.pool("pool", ["chat"], { rotation }) }
    return names(explained({ ...chat, pools }, { metadata: { poolName: "pool" }, snapshot }).tiers[1])
  }
  expect([way("least_busy"), way("latency"), way("sticky")]).toEqual(["c b", "b c", "c b"])
})

it("when breakers alone have put all out, one request at a time tries the least bad", () => {
  const state = (changed: Readonly<Record<string, Partial<Control.InstanceSnapshot>>>, poolName = "pool") =>
    explained(chat, { metadata: { poolName }, snapshot: snapshotOf(changed) })
  const all = { a: { breakers: [open] }, b: { breakers: [open] }, c: { breakers: [open] }, d: { isDrained: true } }
  expect(state(all).panic).toBe("a")
  expect(state({ ...all, a: { isDrained: true } }).panic).toBe("b")
  expect(state({ ...all, a: { breakers: [{ ...open, outBecause: "credential", until: undefined }] } }).panic).toBe("b")
  expect(state({ ...all, a: { breakers: [{ ...open, state: "forced_open", outBecause: "forced" }] } }).panic).toBe("b")
  const better = { breakers: [{ ...open, failureRatio: 0.2 }] }
  expect(state({ ...all, a: { isDrained: true }, c: better }).panic).toBe("c")
  expect(state({ ...all, d: {} }).panic).toBeUndefined()
  const group = explained(chat, { metadata: { groupName: "chat" }, snapshot: snapshotOf(all) })
  expect(group.panic).toBeUndefined()
})

it("who is merely busy, cooling or being tested comes back by itself, so nobody is tried in panic", () => {
  const state = (changed: Readonly<Record<string, Partial<Control.InstanceSnapshot>>>) =>
    explained(chat, { metadata: { poolName: "pool" }, snapshot: snapshotOf(changed) }).panic
  const all = { a: { breakers: [open] }, b: { breakers: [open] }, c: { breakers: [open] }, d: { breakers: [open] } }
  const full = { name: "d.rpm", of: "requests", left: 0.5, limit: 100, isReported: false } as const
  expect(state(all)).toBe("a")
  expect(state({ ...all, d: { breakers: [open], coolingUntil: 2_000 } })).toBeUndefined()
  expect(state({ ...all, d: { breakers: [{ ...open, state: "half_open", until: undefined, probes: 1 }] } })).toBe(
    undefined
  )
  expect(state({ ...all, d: { limits: [full] } })).toBeUndefined()
  // Who is at a limit and put out as well is no reason to wait, but is not asked either.
  expect(state({ ...all, a: { breakers: [open], limits: [full] } })).toBe("b")
})

it("breakers put out no more than max_ejected of a tier", () => {
  const fallback = { strategy: "instance_rotation", maxInstanceAttempts: 2, maxEjected: 0.5 } as const
  const root = { ...chat, pools: { pool: Plans.pool("pool", ["chat"], { fallback }) } }
  const snapshot = snapshotOf({ b: { breakers: [open] }, c: { breakers: [{ ...open, failureRatio: 0.5 }] } })
  const { tiers } = explained(root, { metadata: { poolName: "pool" }, snapshot })
  expect(names(tiers[1])).toBe("c")
})
