import { LlmError, type Plan, Plans, Usage } from "@echelon/core"
import * as State from "@echelon/core/CircuitBreakerState"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"

const defaults: Plan.Breaker = { ...Plans.defaults.breaker, failureRate: undefined, slowCall: undefined }
const make = (options: Partial<Plan.Breaker> = {}) => State.make({ ...defaults, ...options })
const middle = () => 0.5

/** One call that begins at `now` and ends at once. */
const call = (state: State.State, verdict: State.Verdict, now: number, random = middle) => {
  const entered = State.enter(state, now, false)
  if (entered !== undefined) State.ended(state, entered, verdict, undefined, now, random)
  return entered
}
const calls = (state: State.State, verdicts: string, now: number) => {
  for (const one of verdicts) call(state, one === "f" ? "failure" : one === "s" ? "success" : "ignored", now)
}
/** A call whose first output takes `took`. */
const commits = (state: State.State, took: number, now: number) => {
  const entered = State.enter(state, now - took, true)
  if (entered === undefined) throw new Error("not let in")
  State.firstOutput(state, entered, now, middle)
  State.committed(state, entered, now)
  return entered
}
const openedAt = (now: number, options: Partial<Plan.Breaker> = {}) => {
  const state = make(options)
  calls(state, "f".repeat(state.options.failureThreshold), now)
  expect(State.status(state, now)).toBe("open")
  return state
}

it("opens at the threshold of failures in a row; a success starts the row anew, what is ignored does not", () => {
  for (const [verdicts, status] of [
    ["ffff", "closed"],
    ["fffff", "open"],
    ["ffffsffff", "closed"],
    ["ffiififf", "open"],
    ["iiiiiiiiii", "closed"]
  ] as const) {
    const state = make()
    calls(state, verdicts, 1_000)
    expect([verdicts, State.status(state, 1_000)]).toEqual([verdicts, status])
  }
})

it("is out until its time, then lets in as many probes as it may, and asks the others to look again", () => {
  const state = openedAt(1_000, { halfOpenRequests: 2 })
  expect(State.availability(state, 1_000)).toEqual({ until: 61_000 })
  expect(State.enter(state, 60_999, false)).toBeUndefined()
  expect(State.availability(state, 61_000)).toBe("ready")
  expect(State.enter(state, 61_000, false)?.isProbe).toBe(true)
  expect(State.availability(state, 61_000)).toBe("ready")
  expect(State.enter(state, 61_000, false)?.isProbe).toBe(true)
  expect(State.availability(state, 61_000)).toEqual({ until: 62_000 })
  expect(State.enter(state, 61_000, false)).toBeUndefined()
})

it("closes after that many probes in a row, and an ignored one frees its slot without breaking the row", () => {
  const state = openedAt(0, { halfOpenRequests: 2 })
  call(state, "success", 60_000)
  expect(State.status(state, 60_000)).toBe("half_open")
  call(state, "ignored", 60_001)
  expect(State.snapshot(state, 60_001)).toMatchObject({ state: "half_open", probes: 0, successes: 1 })
  call(state, "success", 60_002)
  expect(State.status(state, 60_002)).toBe("closed")
  calls(state, "ffff", 60_003)
  expect(State.status(state, 60_003)).toBe("closed")
})

it("a failed probe reopens it, and the row of the others is lost", () => {
  const state = make({ halfOpenRequests: 2 })
  calls(state, "sssssfffff", 0)
  expect(State.snapshot(state, 0)).toMatchObject({ state: "open", failureRatio: 0.5 })
  call(state, "success", 60_000)
  const other = State.enter(state, 60_000, false) as State.Call
  call(state, "failure", 60_000)
  expect(State.snapshot(state, 60_000)).toMatchObject({
    state: "open",
    until: 180_000,
    growth: 1,
    probes: 1,
    failureRatio: 1
  })
  State.ended(state, other, "success", undefined, 60_001, middle)
  expect(State.snapshot(state, 180_000)).toMatchObject({ state: "half_open", successes: 0, probes: 0, openedAt: 0 })
  call(state, "success", 180_000)
  expect(State.status(state, 180_000)).toBe("half_open")
})

it("slots outlive their generation: what runs, runs", () => {
  const state = openedAt(0, { halfOpenRequests: 2, recoveryTime: 1_000 })
  const hanging = State.enter(state, 1_000, false) as State.Call
  call(state, "failure", 1_000)
  expect(State.enter(state, 10_000, false)).toBeDefined()
  expect(State.enter(state, 10_000, false)).toBeUndefined()
  State.ended(state, hanging, "ignored", undefined, 10_000, middle)
  expect(State.availability(state, 10_000)).toBe("ready")
})

it("doubles its open time at each reopening up to the ceiling, 20 % more or less", () => {
  for (const [random, factor] of [
    [() => 0, 0.8],
    [middle, 1],
    [() => 0.999_999_999, 1.2]
  ] as const) {
    const state = make({ failureThreshold: 1 })
    const lengths: Array<number> = []
    let now = 0
    for (let i = 0; i < 5; i++) {
      call(state, "failure", now, random)
      const { until = Number.NaN } = State.snapshot(state, now)
      lengths.push(until - now)
      now = until
    }
    expect(lengths).toEqual([60_000, 120_000, 240_000, 300_000, 300_000].map((millis) => millis * factor))
  }
  expect(State.snapshot(openedAt(0, { recoveryTime: 600_000 }), 0).until).toBe(600_000)
})

it("forgets the growth once it has stayed closed for as long as it was last open", () => {
  const lengthAfter = (closedFor: number) => {
    const state = make({ failureThreshold: 1 })
    call(state, "failure", 0)
    call(state, "failure", 60_000)
    call(state, "success", 180_000)
    const now = 180_000 + closedFor
    call(state, "failure", now)
    return (State.snapshot(state, now).until ?? 0) - now
  }
  expect([lengthAfter(0), lengthAfter(119_999), lengthAfter(120_000)]).toEqual([240_000, 240_000, 60_000])
})

it("opens on the rate of failures, once enough calls have ended", () => {
  const rate = { failureThreshold: 100, failureRate: 0.5, minimumRequests: 10 }
  for (const [verdicts, cause] of [
    ["fffffffff", undefined],
    ["sssssffff", undefined],
    ["sssssfffff", "failure_rate"],
    ["ssssssfffff", undefined],
    ["fsfsfsfsfs", undefined],
    ["fsfsfsfsfsf", "failure_rate"],
    ["iiiiiiiiifff", undefined]
  ] as const) {
    const state = make(rate)
    calls(state, verdicts, 5)
    expect([verdicts, State.snapshot(state, 5).cause]).toEqual([verdicts, cause])
  }
  const off = make({ failureThreshold: 100, minimumRequests: 1 })
  calls(off, "f".repeat(99), 5)
  expect(State.status(off, 5)).toBe("closed")
})

it("failures and successes leave the window together", () => {
  const state = make({ failureThreshold: 100, failureRate: 0.5, minimumRequests: 4, window: 10_000 })
  calls(state, "ssssss", 0)
  calls(state, "fff", 5_000)
  expect(State.snapshot(state, 9_999)).toMatchObject({ calls: 9, failures: 3 })
  expect(State.snapshot(state, 10_000)).toMatchObject({ calls: 3, failures: 3, failureRatio: 1 })
  calls(state, "s", 10_000)
  expect(State.status(state, 10_000)).toBe("closed")
  calls(state, "f", 10_000)
  expect(State.snapshot(state, 10_000)).toMatchObject({ state: "open", failureRatio: 0.8 })
  const old = make({ failureThreshold: 100, failureRate: 0.5, minimumRequests: 4, window: 10_000 })
  calls(old, "fff", 0)
  calls(old, "f", 100_000)
  expect(State.snapshot(old, 100_000)).toMatchObject({ state: "closed", calls: 1, failures: 1 })
  calls(old, "f", 45_000)
  expect(State.snapshot(old, 45_000)).toMatchObject({ calls: 1, failures: 1 })
})

const verdicts = Schema.Literals(["success", "failure", "ignored"])
const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

it.effect.prop(
  "opens exactly when a recount of every call says so, and only at a failure",
  {
    steps: Schema.Array(Schema.Struct({ wait: upTo(400), verdict: verdicts })).check(Schema.isMaxLength(60)),
    minimumRequests: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 })),
    rate: Schema.Literals([0.25, 0.5, 1])
  },
  ({ minimumRequests, rate, steps }) =>
    Effect.sync(() => {
      const state = make({ failureThreshold: 4, failureRate: rate, minimumRequests, window: 1_000 })
      const past: Array<{ readonly tenth: number; readonly failed: boolean }> = []
      let now = 0
      let row = 0
      for (const { verdict, wait } of steps) {
        now += wait
        call(state, verdict, now)
        if (verdict === "ignored") continue
        row = verdict === "failure" ? row + 1 : 0
        past.push({ tenth: Math.floor(now / 100), failed: verdict === "failure" })
        const recent = past.filter(({ tenth }) => tenth > Math.floor(now / 100) - 10)
        const failures = recent.filter(({ failed }) => failed).length
        const exceeded = recent.length >= minimumRequests && failures / recent.length >= rate
        const opens = verdict === "failure" && (row >= 4 || exceeded)
        expect(State.status(state, now)).toBe(opens ? "open" : "closed")
        if (opens) return
        expect(State.snapshot(state, now)).toMatchObject({ calls: recent.length, failures, consecutiveFailures: row })
      }
    })
)

const slowness = { slowCall: 1_000, slowRate: 0.5, minimumRequests: 4 }

it("opens on slow calls at their first output, before their streams end", () => {
  const state = make(slowness)
  for (const took of [1_000, 10, 1_001]) commits(state, took, 10_000)
  expect(State.snapshot(state, 10_000)).toMatchObject({ state: "closed", calls: 0, slowRatio: 1 / 3 })
  const last = commits(state, 5_000, 10_000)
  expect(State.snapshot(state, 10_000)).toMatchObject({ state: "open", cause: "slow_calls", slowRatio: 0.5 })
  State.ended(state, last, "failure", "Network", 10_001, middle)
  expect(State.snapshot(state, 10_001)).toMatchObject({ reason: undefined, consecutiveFailures: 0 })
})

it("a fast success never opens it, though the slow ones are enough", () => {
  const state = make(slowness)
  for (const took of [5_000, 5_000, 5_000, 10]) commits(state, took, 10_000)
  expect(State.status(state, 10_000)).toBe("closed")
  commits(state, 5_000, 10_000)
  expect(State.status(state, 10_000)).toBe("open")
})

it("a slow success opens it for slowness alone, a fast failure for failing alone", () => {
  const failing = make({ ...slowness, failureRate: 0.5 })
  calls(failing, "fffs", 10_000)
  commits(failing, 5_000, 10_000)
  expect(State.status(failing, 10_000)).toBe("closed")
  const slow = make({ ...slowness, failureRate: 0.5 })
  for (const took of [5_000, 5_000, 5_000, 10]) commits(slow, took, 10_000)
  calls(slow, "f", 10_000)
  expect(State.status(slow, 10_000)).toBe("closed")
})

it("a failure after too long is slow as well, and each call counts once", () => {
  const state = make(slowness)
  for (let i = 0; i < 2; i++) {
    const entered = State.enter(state, 0, true) as State.Call
    State.ended(state, entered, "failure", "Timeout", 2_000, middle)
  }
  for (let i = 0; i < 2; i++) {
    State.ended(state, commits(state, 2_000, 2_000), i === 0 ? "failure" : "success", undefined, 2_000, middle)
  }
  expect(State.snapshot(state, 2_000)).toMatchObject({ state: "open", cause: "slow_calls", slowRatio: 1 })
})

it("without first output of its own, or without slow_call, nothing is slow", () => {
  const buffered = make(slowness)
  const unset = make({ ...slowness, slowCall: undefined })
  for (let i = 0; i < 9; i++) {
    const entered = State.enter(buffered, 0, false) as State.Call
    State.firstOutput(buffered, entered, 99_000, middle)
    State.committed(buffered, entered, 99_000)
    commits(unset, 99_000, 99_000)
  }
  expect([State.status(buffered, 99_000), State.status(unset, 99_000)]).toEqual(["closed", "closed"])
})

it("a slow probe fails", () => {
  const state = openedAt(0, slowness)
  commits(state, 1_001, 61_001)
  expect(State.snapshot(state, 61_001)).toMatchObject({ state: "open", growth: 1, cause: "failures", slowRatio: 1 })
})

it("a probe is decided at commit; its end counts as any other", () => {
  const state = openedAt(0, { failureThreshold: 2 })
  const probe = commits(state, 10, 60_010)
  expect(State.snapshot(state, 60_010)).toMatchObject({ state: "closed", probes: 0 })
  State.ended(state, probe, "failure", "Network", 60_020, middle)
  expect(State.snapshot(state, 60_020)).toMatchObject({ state: "closed", consecutiveFailures: 1, probes: 0 })
  const two = openedAt(0, { halfOpenRequests: 2 })
  const good = commits(two, 10, 60_010)
  State.ended(two, good, "success", undefined, 60_020, middle)
  expect(State.snapshot(two, 60_020)).toMatchObject({ state: "half_open", successes: 1, probes: 0, calls: 0 })
  State.ended(two, commits(two, 10, 60_030), "success", undefined, 60_040, middle)
  expect(State.status(two, 60_040)).toBe("closed")
  const broke = openedAt(0, { halfOpenRequests: 2 })
  State.ended(broke, commits(broke, 10, 60_010), "failure", "Network", 60_020, middle)
  expect(State.snapshot(broke, 60_020)).toMatchObject({ state: "open", reason: "Network" })
})

it("is slow at first output, although it commits at its finish", () => {
  const state = make(slowness)
  const early = [0, 1, 2, 3].map(() => State.enter(state, 0, true) as State.Call)
  for (const entered of early) State.firstOutput(state, entered, 1_001, middle)
  expect(State.snapshot(state, 1_001)).toMatchObject({ state: "open", cause: "slow_calls" })
})

it("takes other options where it stands; a window of another length starts empty", () => {
  const state = make({ failureThreshold: 3, failureRate: 0.9, minimumRequests: 3 })
  calls(state, "ff", 1_000)
  State.resize(state, { ...state.options, failureThreshold: 4 })
  expect(State.snapshot(state, 1_000)).toMatchObject({ consecutiveFailures: 2, calls: 2 })
  State.resize(state, { ...state.options, window: 1_000 })
  expect(State.snapshot(state, 1_000)).toMatchObject({ consecutiveFailures: 2, calls: 0 })
  calls(state, "f", 1_000)
  expect(State.status(state, 1_000)).toBe("closed")
  calls(state, "f", 1_000)
  expect(State.status(state, 1_000)).toBe("open")
  expect(() => State.resize(state, { ...state.options, failureThreshold: 0 })).toThrow(RangeError)
  expect(state.options.failureThreshold).toBe(4)
})

it("what began before the trip, a reset or a force changes nothing", () => {
  for (const moved of [
    (state: State.State) => calls(state, "fffff", 0),
    (state: State.State) => State.reset(state),
    (state: State.State) => {
      State.force(state, "closed")
      State.force(state, undefined)
    }
  ]) {
    for (const verdict of ["success", "failure", "opens", "ignored"] as const) {
      const state = make({ ...slowness, failureThreshold: 5, minimumRequests: 1, slowRate: 0 })
      const early = State.enter(state, 0, true) as State.Call
      moved(state)
      const before = State.snapshot(state, 70_000)
      if (verdict !== "ignored") {
        State.firstOutput(state, early, 70_000, middle)
        State.committed(state, early, 70_000)
      }
      State.ended(state, early, verdict, undefined, 70_000, middle)
      expect(State.snapshot(state, 70_000)).toEqual(before)
    }
  }
})

it("a refused credential opens it at once and for good; only an active probe or a reset closes it", () => {
  const refused = (random = middle) => {
    const state = make()
    State.ended(state, State.enter(state, 0, true) as State.Call, "opens", "Authentication", 0, random)
    return state
  }
  const state = refused()
  expect(State.snapshot(state, 1e12)).toMatchObject({
    state: "open",
    until: undefined,
    cause: "credential",
    reason: "Authentication",
    outBecause: "credential"
  })
  expect(State.availability(state, 1e12)).toBe("out")
  expect(State.enter(state, 1e12, true)).toBeUndefined()
  State.probed(state, false, 1e12, middle)
  expect(State.availability(state, 1e12)).toBe("out")
  State.probed(state, true, 1e12, middle)
  expect(State.availability(state, 1e12)).toBe("ready")
  const other = refused()
  State.reset(other)
  expect(State.snapshot(other, 0)).toMatchObject({ state: "closed", cause: undefined, outBecause: undefined })
  const probing = openedAt(0)
  call(probing, "opens", 60_000)
  expect(State.snapshot(probing, 1e12)).toMatchObject({ state: "open", cause: "credential" })
})

it("an active probe closes what is open, reopens what is half-open, and tells a closed one nothing", () => {
  const state = openedAt(0)
  State.probed(state, false, 30_000, middle)
  expect(State.snapshot(state, 30_000)).toMatchObject({ state: "open", until: 60_000, growth: 0 })
  State.probed(state, false, 60_000, middle)
  expect(State.snapshot(state, 60_000)).toMatchObject({ state: "open", until: 180_000, growth: 1, failureRatio: 1 })
  State.probed(state, true, 60_001, middle)
  calls(state, "ffff", 60_002)
  for (const ok of [true, false]) State.probed(state, ok, 60_002, middle)
  expect(State.snapshot(state, 60_002)).toMatchObject({ state: "closed", consecutiveFailures: 4 })
})

it("a force holds it, hears nothing, and lets it go on where it was; a reset leaves the force", () => {
  const state = openedAt(0)
  State.force(state, "closed")
  expect([State.status(state, 0), State.availability(state, 0)]).toEqual(["forced_closed", "ready"])
  expect([State.enter(state, 0, true), State.outBecause(state)]).toEqual([undefined, undefined])
  State.force(state, "open")
  expect([State.availability(state, 1e9), State.outBecause(state)]).toEqual(["out", "forced"])
  State.force(state, undefined)
  expect(State.availability(state, 0)).toEqual({ until: 60_000 })
  call(state, "failure", 60_000)
  State.force(state, "open")
  State.reset(state)
  expect(State.status(state, 0)).toBe("forced_open")
  State.force(state, undefined)
  expect(State.snapshot(state, 0)).toEqual({ ...State.snapshot(make(), 0), generation: state.generation })
  const { generation } = state
  State.force(state, undefined)
  expect(state.generation).toBe(generation)
})

it("reads outcomes as the failure classes say", () => {
  const failed = (reason: LlmError.Reason) => ({ _tag: "Failed", error: LlmError.make({ reason }) }) as const
  const limit = Duration.seconds(1)
  for (const [outcome, committed, verdict] of [
    [{ _tag: "Completed", usage: Usage.unknown }, true, "success"],
    [{ _tag: "Cancelled" }, true, "success"],
    [{ _tag: "Cancelled" }, false, "ignored"],
    [failed({ _tag: "Overloaded" }), false, "failure"],
    [failed({ _tag: "Network", kind: "reset" }), true, "failure"],
    [failed({ _tag: "RateLimited" }), false, "ignored"],
    [failed({ _tag: "Timeout", clock: "ttft", limit, shortened: true }), false, "ignored"],
    [failed({ _tag: "Timeout", clock: "ttft", limit, shortened: false }), false, "failure"],
    [failed({ _tag: "Authentication" }), false, "opens"]
  ] as const) {
    expect(State.verdictOf(outcome, committed)).toBe(verdict)
  }
})

it("refuses options that cannot hold", () => {
  for (const wrong of [
    { failureThreshold: 0 },
    { halfOpenRequests: 0.5 },
    { minimumRequests: Number.NaN },
    { recoveryTime: 0 },
    { maxRecoveryTime: Number.POSITIVE_INFINITY },
    { window: -1 },
    { slowCall: 0 },
    { failureRate: 1.1 },
    { slowRate: -0.1 }
  ]) {
    expect(() => make(wrong)).toThrow(`CircuitBreaker.make: ${Object.keys(wrong)[0]} must be`)
  }
})
