import { Failover, LlmError } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"

const member = (id: string, more: Partial<Failover.Member> = {}): Failover.Member => ({
  id,
  model: id,
  contextWindow: undefined,
  maxRetryAfterWait: 5_000,
  contentPolicyFallback: false,
  ...more
})
const tier = (members: ReadonlyArray<Failover.Member>, more: Partial<Failover.Tier> = {}): Failover.Tier => ({
  members,
  maxRetries: 2,
  maxInstances: Number.POSITIVE_INFINITY,
  ...more
})
const ready = (): Failover.Availability => "ready"
const unlimited = { maxTiers: Number.POSITIVE_INFINITY }
const error = (reason: LlmError.Reason) => LlmError.make({ reason })
const overloaded = error({ _tag: "Overloaded" })

/** Walks with a fixed answer per member; gives the ids asked, repeats marked `+`. */
const walk = (
  tiers: ReadonlyArray<Failover.Tier>,
  answer: (id: string) => LlmError.LlmError,
  availability: (member: Failover.Member) => Failover.Availability = ready,
  limits: Failover.Limits = unlimited
) => {
  let state = Failover.initial
  const asked: Array<string> = []
  for (let i = 0; i < 1_000; i++) {
    const [decision, moved] = Failover.decide(tiers, limits, state, availability, 0)
    if (decision._tag === "Stop") return { asked, decision }
    const index = decision._tag === "Pick" ? decision.members[0] : decision.member
    const next = tiers[decision.tier]?.members[index ?? -1]
    if (next === undefined) throw new Error("no such member")
    asked.push(decision._tag === "Pick" ? next.id : `${next.id}+`)
    state = Failover.failed(moved, next, answer(next.id), 0)
  }
  throw new Error("the walk does not end")
}

it("asks every instance once, repeats within max_retries, then falls to the next tier", () => {
  const { asked, decision } = walk(
    [tier([member("a"), member("b")], { maxRetries: 3 }), tier([member("c")])],
    () => overloaded
  )
  expect(asked).toEqual(["a", "b", "a+", "b+", "c", "c+", "c+"])
  expect(decision._tag === "Stop" && decision.cause).toBe(overloaded)
})

it("makes eleven attempts at most over fast_group's echelons", () => {
  const tiers = [3, 3, 2].map((maxRetries, i) =>
    tier([member(`a${i}`), member(`b${i}`)], { maxRetries, maxInstances: 2 })
  )
  expect(walk(tiers, () => overloaded).asked.length).toBe(11)
})

it("asks a silent instance, a bad credential or an unknown model once", () => {
  const once: ReadonlyArray<LlmError.Reason> = [
    { _tag: "Timeout", clock: "ttft", limit: Duration.seconds(1), shortened: false },
    { _tag: "Authentication" },
    { _tag: "QuotaExhausted" },
    { _tag: "ModelNotFound" }
  ]
  for (const reason of once) {
    expect(
      walk([tier([member("a"), member("b")]), tier([member("a"), member("c")])], () => error(reason)).asked
    ).toEqual(["a", "b", "c"])
  }
})

it("ends at once on what no other instance can mend", () => {
  for (const _tag of ["InvalidRequest", "ContentPolicy", "Cancelled", "DeadlineExceeded"] as const) {
    const { asked, decision } = walk([tier([member("a"), member("b")]), tier([member("c")])], () => error({ _tag }))
    expect(asked).toEqual(["a"])
    expect(decision._tag === "Stop" && decision.cause?.reason._tag).toBe(_tag)
  }
})

it("goes on from a refusal only where the group allows it, and then at the next tier", () => {
  const lenient = { contentPolicyFallback: true }
  const tiers = [tier([member("a", lenient), member("b", lenient)]), tier([member("c", lenient)])]
  expect(walk(tiers, () => error({ _tag: "ContentPolicy" })).asked).toEqual(["a", "c"])
})

it("takes what was too long only to a larger window of another model; an unknown window counts as larger", () => {
  const tiers = [
    tier([
      member("a", { contextWindow: 8 }),
      member("b", { contextWindow: 8 }),
      member("a2", { model: "a", contextWindow: 99 }),
      member("c", { contextWindow: 16 })
    ]),
    tier([member("d"), member("e", { contextWindow: 4 })])
  ]
  expect(walk(tiers, () => error({ _tag: "ContextLength" })).asked).toEqual(["a", "c", "d"])
})

it("stops at max_instance_attempts different instances, and at max_attempts tiers", () => {
  const tiers = [
    tier([member("a"), member("b"), member("c")], { maxInstances: 2, maxRetries: 5 }),
    tier([member("d")]),
    tier([member("e")])
  ]
  const { asked } = walk(tiers, () => overloaded, ready, { maxTiers: 2 })
  expect(new Set(asked.map((id) => id.replace("+", "")))).toEqual(new Set(["a", "b", "d"]))
})

it("a tier passed over counts nowhere and never masks the cause", () => {
  const cooling = (m: Failover.Member): Failover.Availability =>
    m.id === "a" ? { until: 9_000 } : m.id === "c" ? "out" : "ready"
  const tiers = [tier([member("a")]), tier([member("b")], { maxRetries: 0 }), tier([member("c")])]
  const { asked, decision } = walk(tiers, () => overloaded, cooling, { maxTiers: 1 })
  expect(asked).toEqual(["b"])
  expect(decision).toEqual({ _tag: "Stop", cause: overloaded, retryAt: 9_000 })
})

it("waits for its own rate-limited instance only within max_retry_after_wait", () => {
  const limited = error({ _tag: "RateLimited", retryAfter: Duration.seconds(3) })
  const asked = (until: number) => {
    let failed = false
    const availability = (): Failover.Availability => (failed ? { until } : "ready")
    let state = Failover.initial
    const tiers = [tier([member("a")])]
    const [first] = Failover.decide(tiers, unlimited, state, availability, 0)
    expect(first._tag).toBe("Pick")
    failed = true
    state = Failover.failed(state, member("a"), limited, 0)
    return Failover.decide(tiers, unlimited, state, availability, 0)[0]
  }
  expect(asked(3_000)).toEqual({ _tag: "Repeat", tier: 0, member: 0, notBefore: 3_000 })
  expect(asked(5_001)).toEqual({ _tag: "Stop", cause: limited, retryAt: 5_001 })
})

it("ends with the first cause of the last tier attempted", () => {
  const byId: Record<string, LlmError.LlmError> = {
    a: overloaded,
    b: error({ _tag: "ProviderError" }),
    c: error({ _tag: "Unknown", status: 418 })
  }
  const { decision } = walk([tier([member("a")]), tier([member("b"), member("c")])], (id) => byId[id] ?? overloaded)
  expect(decision._tag === "Stop" && decision.cause).toBe(byId["b"])
})

const reasons: ReadonlyArray<LlmError.Reason> = [
  { _tag: "RateLimited" },
  { _tag: "Overloaded" },
  { _tag: "ProviderError" },
  { _tag: "Network", kind: "reset" },
  { _tag: "Timeout", clock: "attempt", limit: Duration.seconds(1), shortened: false },
  { _tag: "Authentication" },
  { _tag: "ContextLength" },
  { _tag: "MalformedOutput" },
  { _tag: "Unknown" },
  { _tag: "InvalidRequest" }
]
const small = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

it.effect.prop(
  "whatever fails, a walk ends within the sum of 1 + max_retries over its tiers",
  {
    shape: Schema.Array(Schema.Tuple([small(3), small(3)])).check(Schema.isMaxLength(5)),
    answers: Schema.Array(small(reasons.length - 1)).check(Schema.isMinLength(1)),
    out: Schema.Array(small(9))
  },
  ({ answers, out, shape }) =>
    Effect.sync(() => {
      const tiers = shape.map(([size, maxRetries], t) =>
        tier(
          Array.from({ length: size }, (_, i) => member(`${t}.${i}`)),
          { maxRetries }
        )
      )
      let turn = 0
      const { asked } = walk(
        tiers,
        () => error(reasons[answers[turn++ % answers.length] ?? 0] ?? { _tag: "Unknown" }),
        (m) => (out.includes(m.id.charCodeAt(2) % 10) ? "out" : "ready")
      )
      const most = shape.reduce((sum, [size, maxRetries]) => sum + (size === 0 ? 0 : 1 + maxRetries), 0)
      expect(asked.length).toBeLessThanOrEqual(most)
      for (const [t, [, maxRetries]] of shape.entries()) {
        expect(asked.filter((id) => id.startsWith(`${t}.`)).length).toBeLessThanOrEqual(1 + maxRetries)
      }
    })
)

it("repeats an overloaded instance not before the time it named, and not at all when that is too long", () => {
  const after = (seconds: number) => {
    const tiers = [tier([member("a")])]
    const named = error({ _tag: "Overloaded", retryAfter: Duration.seconds(seconds) })
    const state = Failover.failed(Failover.initial, member("a"), named, 1_000)
    return Failover.decide(tiers, unlimited, state, ready, 2_000)[0]
  }
  expect(after(4)).toEqual({ _tag: "Repeat", tier: 0, member: 0, notBefore: 5_000 })
  expect(after(0.5)).toEqual({ _tag: "Repeat", tier: 0, member: 0, notBefore: 2_000 })
  expect(after(7)._tag).toBe("Stop")
})

it("a deadline keeps what went wrong before it", () => {
  const failed = Failover.failed(Failover.initial, member("a"), overloaded, 0)
  const late = Failover.failed(failed, member("b"), error({ _tag: "DeadlineExceeded" }), 0)
  expect([late.ended, late.cause?.reason._tag, late.cause?.detail]).toEqual([
    true,
    "DeadlineExceeded",
    `before that ${overloaded.message}`
  ])
})
