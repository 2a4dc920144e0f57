import { LlmError, type StateChange, Usage } from "@echelon/core"
import * as LogFields from "@echelon/core/LogFields"
import * as LogRecord from "@echelon/core/LogRecord"
import { expect, it } from "@effect/vitest"
import { attempt, observation } from "./support/observations.ts"

const present = ({ fields }: LogRecord.LogRecord) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

it("a request says who answered, how it got there, how long it took and what it cost", () => {
  const usage = { ...Usage.estimated(10, 5), source: "reported" as const }
  const record = LogRecord.ofRequest(
    observation({
      target: { kind: "wrapper", name: "w" },
      wrapper: "w",
      tenant: "acme",
      priority: "batch",
      isStream: true,
      queuedMs: 12.4,
      attempts: [
        attempt({ outcome: "failed", reason: "RateLimited", firstOutputAt: undefined }),
        attempt({ instance: "a", outcome: "failed", reason: "Overloaded" }),
        attempt({ instance: "b", model: "wire-b", usage, cost: 0.000_123_456_789 })
      ]
    })
  )
  expect([record.level, record.message]).toEqual(["Info", "request completed"])
  expect(present(record)).toEqual({
    "echelon.event": "request",
    "echelon.request_id": "req_1",
    "echelon.outcome": "completed",
    "echelon.target": "wrapper:w",
    "echelon.wrapper": "w",
    "echelon.pool": "fast",
    "echelon.group": "chat",
    "echelon.tenant": "acme",
    "echelon.priority": "batch",
    "echelon.operation": "chat",
    "echelon.stream": true,
    "echelon.instance": "b",
    "echelon.model": "wire-b",
    "echelon.provider": "openai",
    "echelon.attempts": 3,
    "echelon.failovers": 1,
    "echelon.route": "a!RateLimited > a!Overloaded > b",
    "echelon.queue_ms": 12,
    "echelon.ttft_ms": 40,
    "echelon.total_ms": 100,
    "echelon.input_tokens": 10,
    "echelon.output_tokens": 5,
    "echelon.usage_source": "reported",
    "echelon.cost_usd": 0.000_123_457
  })
})

it("an answer from the cache called nobody, a hedge is not a failover", () => {
  const cached = present(LogRecord.ofRequest(observation({ attempts: [attempt({ kind: "cache" })] })))
  expect([cached["echelon.attempts"], cached["echelon.shared"]]).toEqual([0, "cache"])
  const hedged = present(
    LogRecord.ofRequest(
      observation({ attempts: [attempt({ outcome: "cancelled" }), attempt({ kind: "hedge", instance: "b" })] })
    )
  )
  expect([hedged["echelon.attempts"], hedged["echelon.hedges"], hedged["echelon.failovers"]]).toEqual([2, 1, 0])
  expect(hedged["echelon.route"]).toBe("a!cancelled > b (hedge)")
})

it("the level follows who must act", () => {
  const level = (reason: LlmError.ReasonTag) =>
    LogRecord.levelOf(observation({ outcome: "failed", reason, error: undefined }))
  expect(
    ["Network", "Authentication", "NoCapacity", "DeadlineExceeded", "InvalidRequest"].map((tag) =>
      level(tag as LlmError.ReasonTag)
    )
  ).toEqual(["Warn", "Error", "Error", "Warn", "Info"])
  expect(LogRecord.levelOf(observation({ outcome: "cancelled", reason: "Cancelled" }))).toBe("Info")
})

it("nothing of an error's text gets into a line, and names cannot break it", () => {
  const error = LlmError.make({
    reason: { _tag: "InvalidRequest" },
    detail: "the prompt 'planted-prompt' is wrong",
    requestId: "planted-id",
    delivered: "planted-answer",
    retryAt: 8.64e15 + 1
  })
  const record = LogRecord.ofRequest(
    observation({
      id: `x\n${"y".repeat(500)}`,
      tenant: "a\u001b[2Jb",
      tags: ["planted-tag"],
      outcome: "failed",
      reason: "InvalidRequest",
      error,
      attempts: Array.from({ length: 20 }, () => attempt({ outcome: "failed", reason: "InvalidRequest" }))
    })
  )
  const text = JSON.stringify(record)
  expect(text).not.toContain("planted")
  expect(text).not.toContain("\\u001b")
  expect(String(record.fields["echelon.request_id"]).length).toBeLessThan(130)
  expect(record.fields["echelon.route"]).toMatch(/ > 12 more$/)
  expect(record.fields["echelon.retry_at"]).toBeUndefined()
})

it("every field of every line is in the table, for its event, and no other", () => {
  const changes: ReadonlyArray<LogRecord.Logged> = [
    breaker("open", "credential"),
    { _tag: "Cooldown", instance: "a", until: 5, at: 0 },
    { _tag: "Drained", instance: "a", isDrained: true, at: 0 },
    { _tag: "Pinned", instance: "a", isPinned: false, at: 0 },
    { _tag: "Reset", instance: "a", at: 0 },
    { _tag: "Swapped", at: 0 },
    { _tag: "Health", instance: "a", provider: "p", from: "unknown", to: "unhealthy", message: "m", at: 0 },
    { _tag: "ProviderHealth", provider: "p", isDown: true, instances: ["a"], message: "m", at: 0 },
    { _tag: "Spend", scope: "pool", name: "p", period: "day", share: 1, spent: 2, limit: 1, resetsAt: 9, at: 0 },
    { _tag: "Phase", phase: "closed", at: 0 }
  ]
  for (const record of [LogRecord.ofRequest(observation()), ...changes.map(LogRecord.ofChange)]) {
    const event = record.fields["echelon.event"] as LogFields.Event
    const messages: ReadonlyArray<string> = LogFields.events[event].messages
    expect(messages).toContain(record.message)
    for (const name of Object.keys(record.fields)) {
      expect([name, LogFields.fields[name as LogFields.Name].on]).toEqual([name, expect.arrayContaining([event])])
    }
  }
})

const breaker = (to: "open" | "half_open" | "closed", cause: "credential" | "failures"): LogRecord.Logged => ({
  _tag: "Breaker",
  group: "chat",
  instance: "a",
  from: "closed",
  to,
  at: 0,
  snapshot: {
    state: to,
    outBecause: undefined,
    until: 60_000,
    cause,
    reason: "Authentication",
    openedAt: 0,
    growth: 0,
    consecutiveFailures: 1,
    calls: 1,
    failures: 1,
    failureRatio: 1,
    slowRatio: 0,
    probes: 0,
    successes: 0,
    generation: 1
  }
})

it("a change has the level of what it means", () => {
  const spend = (share: number): LogRecord.Logged => ({
    _tag: "Spend",
    scope: "tenant",
    name: "t",
    period: "day",
    share,
    spent: 1,
    limit: 1,
    resetsAt: 0,
    at: 0
  })
  const health = (to: StateChange.HealthStatus): LogRecord.Logged => ({
    _tag: "Health",
    instance: "a",
    provider: "p",
    from: "healthy",
    to,
    message: "m",
    at: 0
  })
  const provider = (isDown: boolean): LogRecord.Logged => ({
    _tag: "ProviderHealth",
    provider: "p",
    isDown,
    instances: [],
    message: "m",
    at: 0
  })
  const cases: ReadonlyArray<readonly [LogRecord.Logged, LogRecord.LogRecord["level"]]> = [
    [breaker("open", "credential"), "Error"],
    [breaker("open", "failures"), "Warn"],
    [breaker("closed", "failures"), "Info"],
    [spend(1), "Error"],
    [spend(0.8), "Warn"],
    [spend(0), "Info"],
    [health("unhealthy"), "Warn"],
    [health("healthy"), "Info"],
    [health("unknown"), "Debug"],
    [{ ...health("healthy"), from: "unknown" } as LogRecord.Logged, "Debug"],
    [provider(true), "Error"],
    [provider(false), "Info"]
  ]
  for (const [change, level] of cases) expect([change, LogRecord.ofChange(change).level]).toEqual([change, level])
})
