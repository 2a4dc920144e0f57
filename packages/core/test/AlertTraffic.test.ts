import { LlmError, type Observation, type Reason, type Route } from "@echelon/core"
import * as AlertSettings from "@echelon/core/AlertSettings"
import * as AlertTraffic from "@echelon/core/AlertTraffic"
import { expect, it } from "@effect/vitest"

const attempt = (options: Partial<Route.Open> = {}): Route.Open => ({
  kind: "call",
  instance: "a",
  model: "m",
  echelon: undefined,
  startedAt: 0,
  provider: undefined,
  watch: undefined,
  traceparent: undefined,
  outcome: "completed",
  reason: undefined,
  firstOutputAt: 400,
  endedAt: 1_000,
  usage: undefined,
  cost: undefined,
  dropped: [],
  ...options
})

const observation = (options: Partial<Observation.Observation> = {}): Observation.Observation => ({
  id: "1",
  target: { kind: "wrapper", name: "w" },
  wrapper: "w",
  pool: undefined,
  group: undefined,
  tenant: undefined,
  priority: "normal",
  tags: [],
  operation: "chat",
  isStream: true,
  isMeasured: true,
  isAlerting: true,
  startedAt: 0,
  queuedMs: 0,
  committedAt: 500,
  endedAt: 1_000,
  outcome: "completed",
  reason: undefined,
  error: undefined,
  attempts: [attempt()],
  ...options
})

const read = (all: ReadonlyArray<Partial<Observation.Observation>>, now = 1_000) => {
  const traffic = new AlertTraffic.Traffic(AlertSettings.defaults.rules)
  for (const one of all) traffic.ended(observation(one))
  return traffic.read(now)
}

const failed = (reason: Reason.Reason) => ({ outcome: "failed", error: LlmError.make({ reason }) }) as const

it("keeps nothing of who does not want to be told of", () => {
  expect(read([{ isAlerting: false }, { endedAt: undefined, outcome: "open" }])).toEqual([])
})

it("counts what providers and operators did, and a missed deadline; not what callers did", () => {
  const [figures] = read([
    {},
    failed({ _tag: "Overloaded" }),
    failed({ _tag: "QueueFull" }),
    failed({ _tag: "DeadlineExceeded" }),
    failed({ _tag: "InvalidRequest" }),
    failed({ _tag: "UnknownTarget", kind: "pool", name: "x", known: [] }),
    { outcome: "cancelled" }
  ])
  expect(figures).toMatchObject({ requests: 4, failures: 3 })
})

it("takes first output as the caller has it, where it can be told from the end and was not cached", () => {
  expect(AlertTraffic.firstOutputOf(observation())).toBe(500)
  expect(AlertTraffic.firstOutputOf(observation({ isStream: false, committedAt: 1_000 }))).toBe(400)
  const whole = { isStream: false, attempts: [attempt({ firstOutputAt: 1_000 })] }
  expect(AlertTraffic.firstOutputOf(observation(whole))).toBe(undefined)
  expect(AlertTraffic.firstOutputOf(observation({ attempts: [attempt({ kind: "cache" })] }))).toBe(undefined)
  expect(AlertTraffic.firstOutputOf(observation({ attempts: [] }))).toBe(undefined)
  const [embeddings] = read([{ operation: "embeddings" }])
  expect(embeddings?.firstOutput).toBe(undefined)
})

it("tells few targets apart, whatever names come in, and forgets those that nobody names any more", () => {
  const many = Array.from({ length: 20_000 }, (_, i) => ({ target: { kind: "client", name: `c${i}` } }) as const)
  const traffic = new AlertTraffic.Traffic(AlertSettings.defaults.rules)
  for (const one of many) traffic.ended(observation(one))
  const all = traffic.read(1_000)
  expect(all.length).toBe(201)
  expect(all.find(({ target }) => target.name === "other")?.requests).toBe(19_800)
  expect(traffic.read(10_000_000)).toEqual([])
  traffic.ended(observation({ endedAt: 10_000_000 }))
  expect(traffic.read(10_000_000).map(({ target }) => target.name)).toEqual(["w"])
})
