import type { Reason } from "@echelon/core"
import * as HealthState from "@echelon/core/HealthState"
import { expect, it } from "@effect/vitest"
import { Duration } from "effect"
import { dice } from "./support/dice.ts"

const options: HealthState.Options = { failureThreshold: 3, recoveryTime: 60_000, staleAfter: 900_000 }
const calm: HealthState.Facts = { coolingUntil: 0, openIn: [] }
const overloaded: Reason.Reason = { _tag: "Overloaded" }
const network: Reason.Reason = { _tag: "Network", kind: "refused" }
const refused: Reason.Reason = { _tag: "Authentication" }
const limited: Reason.Reason = { _tag: "RateLimited" }

type Step =
  | readonly ["ok", number, number?]
  | readonly ["fail", number, Reason.Reason]
  | readonly ["probe", number, Omit<HealthState.Probe, "latency">]
  | readonly ["tried" | "reset" | "ignored" | "judge", number]

const apply = (state: HealthState.State, step: Step, facts = calm): HealthState.Change | undefined => {
  const [what, now] = step
  if (what === "ok") HealthState.succeeded(state, step[2], now)
  else if (what === "fail") HealthState.failed(state, step[2], now)
  else if (what === "probe") HealthState.probed(state, { ...step[2], latency: 7 }, options, now)
  else if (what === "tried") HealthState.tried(state)
  else if (what === "ignored") HealthState.ignored(state, now)
  else if (what === "reset") HealthState.reset(state, now)
  return HealthState.judge(state, facts, options, now)
}

const after = (...steps: ReadonlyArray<Step>) => {
  const state = HealthState.make(0)
  for (const step of steps) apply(state, step)
  return state
}

const yes = { reason: undefined, proves: true }
const reached = { reason: undefined, proves: false }
const row = (n: number, at = 0, reason = overloaded) =>
  Array.from({ length: n }, (_, i): Step => ["fail", at + i, reason])

it("says how an instance does after what was heard", () => {
  const table: ReadonlyArray<readonly [string, ReadonlyArray<Step>, HealthState.State["status"], string]> = [
    ["nothing", [], "unknown", "nothing was seen of it yet"],
    ["what tells nothing of it", [["ignored", 1]], "unknown", "nothing was seen of it yet"],
    ["an answer", [["ok", 1]], "healthy", "it answers"],
    ["a list of models", [["probe", 1, reached]], "healthy", "it can be reached"],
    ["a failure and nothing else", row(1), "degraded", "1 failure in a row: overloaded"],
    [
      "a failure between answers",
      [
        ["ok", 1],
        ["fail", 2, overloaded]
      ],
      "healthy",
      "it answers"
    ],
    ["failures in a row", row(3), "unhealthy", "3 failures in a row: overloaded"],
    ["an answer in between", [...row(2), ["ok", 5], ...row(2, 6)], "degraded", "2 failures in a row: overloaded"],
    [
      "requests and probes together",
      [...row(2), ["probe", 5, { reason: network, proves: false }]],
      "unhealthy",
      "3 failures in a row: network failure (refused)"
    ],
    [
      "what only an operator mends",
      [
        ["ok", 1],
        ["fail", 2, refused]
      ],
      "unhealthy",
      "authentication refused"
    ],
    [
      "a limit, which is no failure",
      [
        ["ok", 1],
        ["probe", 2, { reason: limited, proves: false }]
      ],
      "healthy",
      "it answers"
    ],
    ["an answer after all", [...row(5), ["ok", 9]], "healthy", "it answers"],
    ["a proof after all", [...row(3), ["probe", 90_000, yes]], "healthy", "it answers"],
    [
      "a list of models after failures",
      [...row(3), ["probe", 90_000, reached]],
      "degraded",
      "it may be tried after 3 failures in a row: overloaded"
    ],
    [
      "a list of models after a refusal",
      [
        ["fail", 0, refused],
        ["probe", 90_000, reached]
      ],
      "unhealthy",
      "authentication refused"
    ],
    [
      "a question after a refusal",
      [
        ["fail", 0, refused],
        ["probe", 90_000, yes]
      ],
      "healthy",
      "it answers"
    ],
    [
      "trying a refused one",
      [
        ["fail", 0, refused],
        ["tried", 90_000]
      ],
      "unhealthy",
      "authentication refused"
    ],
    ["trying", [...row(3), ["tried", 90_000]], "degraded", "it may be tried after 3 failures in a row: overloaded"],
    [
      "failing on trial",
      [...row(3), ["tried", 90_000], ["fail", 90_001, overloaded]],
      "unhealthy",
      "4 failures in a row: overloaded"
    ],
    ["answering on trial", [...row(3), ["tried", 90_000], ["ok", 90_001], ["judge", 110_000]], "healthy", "it answers"],
    [
      "one old failure and then a list of models",
      [...row(1), ["probe", 60_000, reached], ["judge", 80_000]],
      "healthy",
      "it can be reached"
    ],
    [
      "silence",
      [
        ["ok", 1],
        ["judge", 900_001]
      ],
      "unknown",
      "nothing was seen of it for 900 s"
    ],
    ["silence while it is out", [...row(3), ["judge", 9_000_000]], "unhealthy", "3 failures in a row: overloaded"],
    ["a reset", [...row(3), ["reset", 9]], "unknown", "nothing was seen of it yet"]
  ]
  for (const [name, steps, status, message] of table) {
    const state = after(...steps)
    expect([name, state.status], name).toEqual([name, status])
    expect(state.message, name).toContain(message)
  }
})

it("others' knowledge degrades it, and cooling ends with time", () => {
  const state = after(["ok", 0])
  apply(state, ["judge", 1], { coolingUntil: 0, openIn: ["chat"] })
  expect([state.status, state.message]).toEqual(["degraded", "its breaker is open in chat"])
  const cooling = { coolingUntil: 60_000, openIn: [] }
  apply(state, ["judge", 2], cooling)
  expect([state.status, state.message]).toEqual(["degraded", "it was told to wait"])
  expect(HealthState.judgeAt(state, cooling, options, 2)).toBe(70_000)
  apply(state, ["judge", 59_999], cooling)
  apply(state, ["judge", 69_998], cooling)
  expect(state.status).toBe("degraded")
  apply(state, ["judge", 70_000], cooling)
  expect([state.status, state.since]).toEqual(["healthy", 70_000])
})

it("a burst of limits is one change, not one a second", () => {
  const state = after(["ok", 0])
  const changes: Array<string> = []
  for (let at = 1_000; at < 60_000; at += 500) {
    const facts = { coolingUntil: at % 2_000 === 0 ? at + 600 : 0, openIn: [] }
    const change = apply(state, ["ok", at], facts)
    if (change !== undefined) changes.push(change.to)
  }
  expect(changes).toEqual(["degraded"])
})

it("a fifth of at least ten requests in the last minute is too much, and falls out of the window", () => {
  const mixed = (failures: number, calls: number) => {
    const state = HealthState.make(0)
    for (let i = 0; i < calls; i++)
      apply(state, i % 2 === 1 && (i - 1) / 2 < failures ? ["fail", i, overloaded] : ["ok", i])
    apply(state, ["judge", calls])
    return state
  }
  expect(mixed(2, 10).status).toBe("degraded")
  expect(mixed(1, 10).status).toBe("healthy")
  const state = mixed(4, 20)
  expect(state.message).toBe("4 of 20 requests failed in the last minute")
  apply(state, ["judge", 40_000])
  expect(state.status).toBe("degraded")
  apply(state, ["judge", 66_000])
  expect(state.status).toBe("healthy")
})

it("first output that takes three times what is usual degrades it, a single late one does not, and quick ones are not slow", () => {
  const timed = (usual: number, late: number, n: number) => {
    const state = HealthState.make(0)
    for (let i = 0; i < 100; i++) apply(state, ["ok", i, usual])
    for (let i = 0; i < n; i++) apply(state, ["ok", 100 + i, late])
    apply(state, ["judge", 100 + n])
    return state
  }
  expect(timed(500, 60_000, 1).status).toBe("healthy")
  expect(timed(500, 60_000, 10).message).toMatch(/^first output takes [3-9]\.\d times what is usual$/)
  expect(timed(500, 60_000, 10).status).toBe("degraded")
  expect(timed(50, 400, 20).status).toBe("healthy")
  const known = timed(500, 500, 1)
  expect(HealthState.mattersNow(known)).toBe(false)
})

it("properties: any history, judged at any time", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const { below, of } = dice(seed)
    const state = HealthState.make(0)
    let now = 0
    let inRow = 0
    let isRefused = false
    for (let i = 0; i < 60; i++) {
      now += of([0, 1, 500, 20_000, 70_000])
      const before = { status: state.status, since: state.since, isOut: state.status === "unhealthy" }
      const facts = { coolingUntil: below(4) === 0 ? now + below(5_000) : 0, openIn: below(6) === 0 ? ["g"] : [] }
      const step: Step = of<Step>([
        ["ok", now],
        ["ok", now, below(3_000)],
        ["fail", now, overloaded],
        ["fail", now, of<Reason.Reason>([network, refused, { _tag: "QuotaExhausted" }])],
        [
          "probe",
          now,
          { reason: of<Reason.Reason | undefined>([network, limited, undefined]), proves: below(2) === 0 }
        ],
        ["tried", now],
        ["ignored", now],
        ["judge", now]
      ])
      const change = apply(state, step, facts)
      // What is told is what is: from where it was to where it is, and since then.
      expect(change?.to ?? before.status).toBe(state.status)
      if (change !== undefined) expect([change.from, state.since]).toEqual([before.status, now])
      else expect(state.since).toBe(before.since)
      const reason: Reason.Reason | undefined =
        step[0] === "fail" ? step[2] : step[0] === "probe" ? step[2].reason : undefined
      const isProof = step[0] === "ok" || (step[0] === "probe" && step[2].reason === undefined && step[2].proves)
      if (isProof) inRow = 0
      if (isProof) isRefused = false
      if (reason !== undefined && reason !== limited) {
        inRow += 1
        isRefused = reason._tag === "Authentication" || reason._tag === "QuotaExhausted"
      }
      // Never out without failures enough, never in with a refusal that nobody mended.
      if (state.status === "unhealthy" && !before.isOut) expect(inRow >= 3 || isRefused).toBe(true)
      if (isRefused) expect([step, state.status]).toEqual([step, "unhealthy"])
      if (isProof) expect(state.status).not.toBe("unhealthy")
      // Judging again at once changes nothing.
      expect(HealthState.judge(state, facts, options, now)).toBeUndefined()
      expect(HealthState.judgeAt(state, facts, options, now)).toBeGreaterThan(now)
    }
  }
})

it("no message holds a word that a provider said", () => {
  const reasons: ReadonlyArray<Reason.Reason> = [
    overloaded,
    refused,
    { _tag: "Unknown", status: 418 },
    { _tag: "Timeout", clock: "attempt", limit: Duration.seconds(10), shortened: false }
  ]
  expect(reasons.map(HealthState.describe)).toEqual([
    "overloaded",
    "authentication refused",
    "unknown failure (status 418)",
    "timed out (attempt clock, 10s)"
  ])
})
