/** Properties of the whole stack: whatever is planned, asked and done to it, the laws of `support/stackLaws.ts` hold. */
import {
  Attempt,
  Clients,
  Control,
  InstanceFactory,
  Interpreter,
  Llm,
  LlmError,
  type LlmRequest,
  Orchestrator,
  type Plan,
  Pool,
  TaskGroup
} from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Random, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { dice } from "./support/dice.ts"
import * as plans from "./support/plans.ts"
import { simulate } from "./support/stack.ts"
import { failureOf, seamOf, type World } from "./support/stackBooks.ts"
import { broken } from "./support/stackLaws.ts"
import type { Profile } from "./support/stackPlans.ts"
import { scriptOf, truthOf } from "./support/stackScripts.ts"

const seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 }))

const usual: Profile = {
  requests: 24,
  healthy: 0.6,
  limits: 0.2,
  breakers: 0.3,
  hedge: 0.3,
  leaves: 0.3,
  targets: ["wrapper", "wrapper", "pool", "pool", "group", "direct"],
  controls: 4,
  swap: 0.3,
  shutdown: 0.1
}

const profiles: Readonly<Record<string, Profile>> = {
  "everything at once": usual,
  "a calm plan under limits": { ...usual, healthy: 0.9, limits: 0.8, breakers: 0, controls: 0, swap: 0.2, shutdown: 0 },
  "an outage": { ...usual, healthy: 0.2, limits: 0, breakers: 0.9, controls: 0, swap: 0, shutdown: 0 },
  "streams that break": {
    ...usual,
    healthy: 0.3,
    limits: 0,
    breakers: 0,
    leaves: 0.1,
    controls: 0,
    swap: 0,
    shutdown: 0
  },
  "groups alone": { ...usual, targets: ["group"], breakers: 0.9, hedge: 0.6, controls: 3 },
  "callers who leave": { ...usual, leaves: 0.9, limits: 0.5, hedge: 0.6 },
  "plans that change": { ...usual, swap: 1, controls: 12, limits: 0.5 },
  "shutting down": { ...usual, shutdown: 1 }
}

for (const [name, profile] of Object.entries(profiles)) {
  it.effect.prop(
    `every law holds: ${name}`,
    { seed },
    ({ seed }) => Effect.map(simulate(seed, profile), (world) => expect(broken(world), broken(world)).toBe("")),
    { arbitrary: { runs: 50, maxShrinks: 0, seed: name }, timeout: 60_000 }
  )
}

/** What has to happen in some run, or the laws would hold for want of anything to break them. */
const met = (world: World): ReadonlyArray<string> => [
  ...world.asked.flatMap((asked) => {
    const error = failureOf(asked)
    return error === undefined ? [] : [error.reason._tag]
  }),
  ...world.asked.flatMap(({ exit, stop }) => (exit !== undefined && Exit.isFailure(exit) ? [`stopped: ${stop}`] : [])),
  ...world.asked.flatMap(({ parts }) =>
    parts.flatMap((part) => seamOf(part)?.mode ?? []).map((mode) => `seam: ${mode}`)
  ),
  ...world.calls.flatMap(({ asked, at, charge, kind, outcome, root, seen }) => [
    kind,
    `${outcome?._tag}`,
    `charged: ${charge === undefined ? "estimate" : charge === "refund" ? charge : "usage"}`,
    `breaker: ${seen.breaker?.state}`,
    ...(asked.target.kind === "wrapper" && at > asked.at ? ["waited"] : []),
    ...(root === asked.root ? [] : ["outlived its plan"])
  ])
]

it.effect(
  "and there is something to break",
  () =>
    Effect.gen(function* () {
      const found = new Set<string>()
      for (const profile of Object.values(profiles)) {
        for (let seed = 0; seed < 12; seed++) for (const what of met(yield* simulate(seed, profile))) found.add(what)
      }
      const wanted = [
        ...["NoCapacity", "QueueFull", "DeadlineExceeded", "Timeout", "Cancelled", "RateLimited"],
        ...["stopped: interrupt", "stopped: scope", "seam: resume", "seam: restart", "hedge", "waited"],
        ...["Completed", "Failed", "Cancelled", "charged: estimate", "charged: refund", "charged: usage"],
        ...["breaker: closed", "breaker: half_open", "breaker: open", "breaker: forced_closed", "outlived its plan"]
      ]
      expect(wanted.filter((what) => !found.has(what))).toEqual([])
    }),
  60_000
)

// Policies within policies, built in code.

interface Tree {
  readonly llm: Llm.Llm
  /** The most attempts it may make of itself. */
  readonly most: number
  readonly isLeaf: boolean
}

const treeOf = (
  die: ReturnType<typeof dice>,
  leaf: (id: string) => Effect.Effect<Llm.Llm>,
  depth: number,
  id: string
): Effect.Effect<Tree> =>
  Effect.gen(function* () {
    const { below } = die
    if (depth === 0 || (depth < 3 && below(3) === 0)) return { llm: yield* leaf(id), most: 1, isLeaf: true }
    const tiers = yield* Effect.forEach(Array.from({ length: 1 + below(2) }), (_, t) =>
      Effect.forEach(Array.from({ length: 1 + below(3) }), (_, i) => treeOf(die, leaf, depth - 1, `${id}.${t}${i}`))
    )
    const maxRetries = below(4)
    const llms = tiers.map((tier) => tier.map(({ llm }) => llm))
    const llm =
      tiers.length === 1
        ? yield* Pool.make(llms.flat(), { id, maxRetries, maxInstanceAttempts: 1 + below(3) })
        : yield* TaskGroup.make(llms, { id, maxRetries })
    // An instance may be asked again, one that has policies of its own not.
    const mostOf = (tier: ReadonlyArray<Tree>): number => {
      const within = tier.filter(({ isLeaf }) => !isLeaf).map(({ most }) => most)
      const leaves = tier.some(({ isLeaf }) => isLeaf) ? Array.from({ length: 1 + maxRetries }, () => 1) : []
      return [...within, ...leaves]
        .sort((a, b) => b - a)
        .slice(0, 1 + maxRetries)
        .reduce((sum, most) => sum + most, 0)
    }
    return { llm, most: tiers.reduce((sum, tier) => sum + mostOf(tier), 0), isLeaf: false }
  })

it.effect.prop(
  "attempts never exceed the budget however policies nest, and nothing is sent after the deadline but a rescue",
  { seed },
  ({ seed }) =>
    Effect.gen(function* () {
      const die = dice(seed)
      const { below, of } = die
      const made: Array<ScriptedLlm.ScriptedLlm> = []
      const healthy = of([0, 0.3, 0.6])
      const tree = yield* treeOf(
        die,
        (id) =>
          Effect.map(
            ScriptedLlm.make({
              id,
              script: (_, request) => scriptOf(die, healthy, truthOf("sky"), request)
            }),
            (scripted) => {
              made.push(scripted)
              return scripted.llm
            }
          ),
        3,
        "all"
      )
      const maxTotalAttempts = of([undefined, 1 + below(8)])
      const timeout = of([undefined, 300, 5_000])
      const onInterrupt = of<LlmRequest.OnInterrupt | undefined>([undefined, "restart"])
      const input = { prompt: "hi", metadata: { maxTotalAttempts, timeout, onInterrupt } }
      let openedAt = Number.POSITIVE_INFINITY
      let last: string | undefined
      const streamed = Effect.gen(function* () {
        const reply = yield* Llm.open(tree.llm, input)
        openedAt = yield* Clock.currentTimeMillis
        yield* Stream.runForEach(reply.parts, (part) => {
          last = part.type
          return Effect.void
        })
      })
      const isStreamed = below(2) === 0
      const fiber = yield* Effect.forkDetach(
        Effect.exit(isStreamed ? Effect.scoped(streamed) : Effect.asVoid(Llm.generate(tree.llm, input))),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 day")
      const exit = yield* Fiber.join(fiber)
      const calls = made.flatMap((scripted) => scripted.calls())
      expect(calls.length).toBeLessThanOrEqual(maxTotalAttempts ?? Number.POSITIVE_INFINITY)
      if (!isStreamed || onInterrupt === undefined) expect(calls.length).toBeLessThanOrEqual(tree.most)
      for (const { startedAt } of calls)
        expect(startedAt < (timeout ?? Number.POSITIVE_INFINITY) || openedAt <= startedAt).toBe(true)
      expect(made.map((scripted) => scripted.open())).toEqual(made.map(() => 0))
      if (isStreamed) expect(last === "finish").toBe(Exit.isSuccess(exit))
    }).pipe(Random.withSeed(String(seed)), Effect.provide(TestClock.layer())),
  { arbitrary: { runs: 300, maxShrinks: 0, seed: 1 }, timeout: 60_000 }
)

// How requests spread.

/** Sends so many requests through a wrapper, one after another or all at once, and tells who was asked, in order. */
const spread = (
  seed: number,
  options: {
    readonly rotation: Plan.Rotation
    readonly requests: number
    readonly weights: ReadonlyArray<number>
    readonly isTogether?: boolean
    readonly session?: (n: number) => string
    /** Instances that no request may go to: drained, without tools, with too small a window, or told to wait. */
    readonly unfit?: ReadonlyArray<"drained" | "no tools" | "small" | "cooling" | undefined>
  }
): Effect.Effect<ReadonlyArray<number>, LlmError.LlmError> =>
  Effect.gen(function* () {
    const { isTogether = false, requests, rotation, session, unfit = [], weights } = options
    const asked: Array<number> = []
    const provider = plans.provider("one")
    const names = weights.map((_, i) => `i${i}`)
    const described = plans.root({
      instances: weights.map((weight, i) => {
        const { model, ...instance } = plans.instance(`i${i}`, provider)
        const features = unfit[i] === "no tools" ? [] : ["tools" as const]
        const capabilities = { features, contextWindow: unfit[i] === "small" ? 10 : 10_000 }
        return { ...instance, model: { ...model, weight, capabilities, prices: { input: 1 + i, output: 1 } } }
      }),
      groups: [plans.group("g", [plans.echelon("g", 1, names)])],
      pools: [plans.pool("p", ["g"], { rotation })],
      wrappers: [plans.wrapper("w", { kind: "pool", name: "p" }, { queueSize: 10 })]
    })
    const root = { ...described, shutdownGrace: 0 }
    const end = isTogether ? [ScriptedLlm.never] : ScriptedLlm.text("hello")
    const factory = Layer.succeed(InstanceFactory.InstanceFactory, {
      make: ({ model, name }) =>
        Effect.map(
          ScriptedLlm.make({
            id: name,
            capabilities: model.capabilities,
            script: () => {
              asked.push(names.indexOf(name))
              return end
            }
          }),
          ({ llm }) => ({ llm, probe: Effect.succeed(Duration.zero) })
        )
    })
    const clients = Layer.succeed(Clients.Clients, { get: () => Effect.die("nobody asks a client") })
    const layer = Layer.provideMerge(
      Orchestrator.layer,
      Layer.provide(Interpreter.Interpreter.layer(root), Layer.merge(factory, clients))
    )
    yield* Effect.gen(function* () {
      const control = yield* Control.Control
      const { registry } = yield* Interpreter.Interpreter
      for (const [i, why] of unfit.entries()) {
        const name = `i${i}`
        if (why === "drained") yield* control.drain(name)
        const state = registry.state(name)
        if (why !== "cooling" || state === undefined) continue
        const reason = { _tag: "RateLimited", retryAfter: Duration.hours(1) } as const
        const clock = yield* Clock.Clock
        const told = Attempt.open({}, (attempt) => {
          state.enter(attempt, clock)
          return Effect.fail(LlmError.make({ reason }))
        })
        yield* Effect.ignore(Effect.scoped(told))
      }
      for (let n = 0; n < requests; n++) {
        const metadata = { wrapperName: "w", sessionId: session?.(n) }
        const tools = unfit.length === 0 ? [] : [{ name: "f", description: "does", parameters: { type: "object" } }]
        const ask = Orchestrator.generate({ prompt: "hi", tools, settings: { maxOutputTokens: 20 }, metadata })
        if (isTogether) yield* Effect.forkChild(ask, { startImmediately: true })
        else yield* ask
      }
    }).pipe(Effect.provide(layer), Effect.scoped)
    return asked
  }).pipe(Random.withSeed(String(seed)), Effect.provide(TestClock.layer()))

const tally = (asked: ReadonlyArray<number>, size: number): ReadonlyArray<number> =>
  Array.from({ length: size }, (_, i) => asked.filter((one) => one === i).length)

it.effect.prop(
  "round robin spreads exactly evenly over those whom the filter leaves, and asks no other",
  { seed, size: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 })) },
  ({ seed, size }) =>
    Effect.gen(function* () {
      const { of } = dice(seed)
      const others = Array.from({ length: 3 }, () => of(["drained", "no tools", "small", "cooling"] as const))
      const unfit = [...others, ...Array.from({ length: size }, () => undefined)]
      const asked = yield* spread(seed, {
        rotation: "round_robin",
        requests: 6 * size,
        weights: unfit.map(() => 1),
        unfit
      })
      expect(tally(asked, unfit.length)).toEqual(unfit.map((why) => (why === undefined ? 6 : 0)))
      for (let i = 0; i + size <= asked.length; i++) expect(new Set(asked.slice(i, i + size)).size).toBe(size)
    }),
  { arbitrary: { runs: 30, maxShrinks: 0, seed: 1 }, timeout: 60_000 }
)

it.effect.prop(
  "weighted gives each its weight in every round, and never one much before its turn",
  {
    seed,
    weights: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 }))).check(
      Schema.isMinLength(2),
      Schema.isMaxLength(5)
    )
  },
  ({ seed, weights }) =>
    Effect.gen(function* () {
      const round = weights.reduce((sum, weight) => sum + weight, 0)
      const asked = yield* spread(seed, { rotation: "weighted", requests: 3 * round, weights })
      for (let n = 1; n <= 3; n++)
        expect(tally(asked.slice((n - 1) * round, n * round), weights.length)).toEqual([...weights])
      // Smooth: at no time is one as much as its size of a round ahead or behind.
      for (let n = 1; n <= asked.length; n++) {
        const counts = tally(asked.slice(0, n), weights.length)
        const off = weights.map((weight, i) => Math.abs((counts[i] ?? 0) - (n * weight) / round))
        expect(Math.max(...off)).toBeLessThan(weights.length - 1)
      }
    }),
  { arbitrary: { runs: 30, maxShrinks: 0, seed: 1 }, timeout: 60_000 }
)

/**
 * How far a share may be from the expected one. By Hoeffding's inequality the share of `n` independent picks is
 * further off with a probability of at most `2 exp(-2 n e^2)`: here one in a billion.
 */
const tolerance = (n: number): number => Math.sqrt(Math.log(2e9) / (2 * n))

it.effect.prop(
  "random, and p2c among equals, give each its share within Hoeffding's bound",
  { seed, rotation: Schema.Literals(["random", "p2c"]) },
  ({ rotation, seed }) =>
    Effect.gen(function* () {
      const requests = 600
      const asked = yield* spread(seed, { rotation, requests, weights: [1, 1, 1] })
      for (const count of tally(asked, 3)) expect(Math.abs(count / requests - 1 / 3)).toBeLessThan(tolerance(requests))
    }),
  { arbitrary: { runs: 12, maxShrinks: 0, seed: 1 }, timeout: 60_000 }
)

it.effect.prop(
  "the load of those at work stays even: exactly by the least, within a few by two choices, bounded for a session",
  { seed },
  ({ seed }) =>
    Effect.gen(function* () {
      const weights = [1, 1, 1, 1, 1]
      const size = weights.length
      const loads = (rotation: Plan.Rotation, session?: (n: number) => string) =>
        spread(seed, { rotation, requests: 100, weights, isTogether: true, ...(session && { session }) })
      for (const rotation of ["least_busy", "shortest_delay"] as const)
        expect(tally(yield* loads(rotation), size)).toEqual([20, 20, 20, 20, 20])
      // Two choices: m/n + log2(ln n) + O(1) (Berenbrink, Czumaj, Steger and Voecking, 2006); the constant taken as 5.
      const two = tally(yield* loads("p2c"), size)
      expect(Math.max(...two)).toBeLessThanOrEqual(20 + Math.log2(Math.log(size)) + 5)
      const sticky = yield* loads("sticky", () => "one")
      for (let n = 1; n <= sticky.length; n++)
        expect(Math.max(...tally(sticky.slice(0, n), size))).toBeLessThanOrEqual(Math.ceil((1.25 * n) / size))
    }),
  { arbitrary: { runs: 10, maxShrinks: 0, seed: 1 }, timeout: 60_000 }
)

it.effect("a session keeps its instance; priority and cost keep theirs", () =>
  Effect.gen(function* () {
    const weights = [1, 1, 1]
    const sessions = yield* spread(1, { rotation: "sticky", requests: 90, weights, session: (n) => `s${n % 30}` })
    expect(sessions.slice(30)).toEqual([...sessions.slice(0, 30), ...sessions.slice(0, 30)])
    expect(new Set(sessions).size).toBe(3)
    for (const rotation of ["priority", "cost"] as const)
      expect(new Set(yield* spread(1, { rotation, requests: 9, weights }))).toEqual(new Set([0]))
  })
)
