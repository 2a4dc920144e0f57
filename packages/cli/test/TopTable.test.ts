import * as TopTable from "@echelon/cli/TopTable"
import { expect, it } from "@effect/vitest"
import { breaker, instance, requests, view } from "./support/view.ts"

const escape = "\u001b"
const wide = { columns: Number.POSITIVE_INFINITY }
const limit = (name: string, left: number, most: number | undefined) => ({
  name,
  of: "requests" as const,
  left,
  limit: most,
  isReported: false
})

const full = view(
  {
    requests: 3,
    instances: [
      instance("openai-gpt4", {
        inFlight: 2,
        limits: [limit("rpm", 5, 100), limit("tpm", 900, 1_000), limit("reported", 3, undefined)],
        breakers: [breaker("closed"), breaker("open", { until: 22_500, reason: "Overloaded" })]
      }),
      instance("b", { coolingUntil: 11_200 })
    ],
    pools: [{ name: "fast", limits: [limit("bucket", 50, 100)] }],
    wrappers: [
      {
        name: "front",
        queue: {
          running: 4,
          waiting: 9,
          waitingByPriority: { critical: 0, normal: 9, batch: 0 },
          parked: 0,
          limit: 4,
          queueSize: 10
        }
      },
      { name: "idle", queue: undefined }
    ]
  },
  {
    title: "try",
    health: { "openai-gpt4": { status: "unhealthy", message: "3 failures in a row" } },
    rates: {
      all: { ...requests, perSecond: 21.4, failedShare: 0.005, ttft: { p50: 40, p95: 1_200 } },
      cost: 0.0123,
      instances: new Map([
        [
          "openai-gpt4",
          {
            attempts: 10,
            perSecond: 5,
            failedShare: 0.25,
            ttft: { p50: 41, p95: 900 },
            tokensPerSecond: 62.5,
            cost: 0.0123,
            answered: 7,
            failed: 3,
            lastReason: "Overloaded"
          }
        ]
      ]),
      pools: new Map([["fast", { ...requests, perSecond: 21.4, failedShare: 0, total: { p50: 1, p95: 61_000 } }]]),
      wrappers: new Map([["front", { ...requests, perSecond: 2, failedShare: 0, queue: { p50: 1, p95: 500 } }]]),
      providers: []
    },
    alerts: [
      { rule: "provider_down", subject: "openai", severity: "critical", text: "2 of 3 instances fail", since: 4_000 }
    ]
  }
)

it("says of each instance, pool, wrapper and alert how it stands", () => {
  expect(TopTable.lines(full, wide)).toEqual([
    "try  3 in flight  21.4 requests/s  0.5 % failed  first output p50 40 ms p95 1.2 s  $0.0123",
    "",
    "instance     health     state                   now  left  req/s  out p50     p95  tok/s  failed  answered     cost  last failure",
    "openai-gpt4  unhealthy  open 12.5 s Overloaded    2   5 %    5.0    41 ms  900 ms     63    25 %         7  $0.0123  Overloaded",
    "b            unknown    cooling 1.2 s             0     -      -        -       -      -       -         0        -",
    "",
    "pool  left  req/s  failed  out p50  p95  total p95",
    "fast  50 %   21.4     0 %        -    -    1.0 min",
    "",
    "wrapper  running  waiting  req/s  failed  wait p95",
    "front     4 of 4  9 of 10    2.0     0 %    500 ms",
    "idle           -        -      -       -         -",
    "",
    "critical  provider_down openai: 2 of 3 instances fail (for 6.0 s)"
  ])
})

it("is never wider than the terminal, and coloured only where it is asked for and fits", () => {
  const narrow = TopTable.lines(full, { columns: 40, color: true })
  const shown = narrow.map((line) => line.replaceAll(new RegExp(`${escape}\\[\\d+m`, "g"), ""))
  expect(Math.max(...shown.map((line) => line.length))).toBe(40)
  expect(TopTable.lines(full, wide).join("")).not.toContain(escape)
  const painted = TopTable.lines(full, { columns: 200, color: true }).join("\n")
  expect(painted).toContain(`${escape}[31munhealthy${escape}[0m`)
  expect(painted).toContain(`${escape}[31m9 of 10${escape}[0m`)
})

it("an instance's state is its worst: drained, held, open, half-open, cooling, ready", () => {
  const state = (options: Parameters<typeof instance>[1]) => TopTable.stateOf(instance("a", options), 0).text
  expect([
    state({ isDrained: true, breakers: [breaker("open")] }),
    state({ breakers: [breaker("forced_open")], isPinned: true }),
    state({ breakers: [breaker("half_open"), breaker("closed")] }),
    state({ breakers: [breaker("open", { reason: "Authentication" })] }),
    state({ breakers: [breaker("closed")], coolingUntil: 500 }),
    state({ breakers: [breaker("forced_closed")] }),
    state({})
  ]).toEqual([
    "drained",
    "held open pinned",
    "half-open",
    "open Authentication",
    "cooling 500 ms",
    "held closed",
    "ready"
  ])
})

it("shows only what is asked for, and at most eight alerts", () => {
  const [alert] = full.alerts
  const lines = TopTable.lines(
    { ...full, only: new Set(["b"]), alerts: Array.from({ length: 10 }, () => alert ?? never()) },
    wide
  )
  expect(lines.filter((line) => line.startsWith("openai-gpt4") || line.startsWith("fast"))).toEqual([])
  expect(lines.at(-1)).toBe("and 2 more alerts")
})

const never = (): never => {
  throw new Error("there is one")
}

it("the JSON form says the same, with null for what is not known", () => {
  const json = TopTable.json(full)
  expect(JSON.parse(JSON.stringify(json))).toEqual(json)
  expect(json.instances[0]).toMatchObject({
    instance: "openai-gpt4",
    health: "unhealthy",
    state: "open 12.5 s Overloaded",
    costUsd: 0.0123
  })
  expect(json.instances[1]).toMatchObject({ health: "unknown", tokensPerSecond: null, costUsd: null, lastReason: null })
  expect(json.alerts).toEqual([
    {
      rule: "provider_down",
      subject: "openai",
      severity: "critical",
      text: "2 of 3 instances fail",
      since: "1970-01-01T00:00:04.000Z"
    }
  ])
})
