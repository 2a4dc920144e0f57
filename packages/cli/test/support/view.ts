import type * as TopRates from "@echelon/cli/TopRates"
import type * as TopTable from "@echelon/cli/TopTable"
import type { Control } from "@echelon/core"

const spread: TopRates.Spread = { p50: undefined, p95: undefined }
export const requests: TopRates.RequestRates = {
  requests: 0,
  perSecond: 0,
  failedShare: undefined,
  ttft: spread,
  total: spread,
  queue: spread
}

export const instance = (name: string, options: Partial<Control.InstanceSnapshot> = {}): Control.InstanceSnapshot => ({
  name,
  provider: "openai",
  model: `wire-${name}`,
  isDrained: false,
  isPinned: false,
  inFlight: 0,
  coolingUntil: undefined,
  isUnhealthy: false,
  stats: { firstOutput: undefined, tokensPerSecond: undefined, successRate: 1, observedAt: 0 },
  limits: [],
  breakers: [],
  ...options
})

export const breaker = (
  state: Control.InstanceSnapshot["breakers"][number]["state"],
  options: Partial<Control.InstanceSnapshot["breakers"][number]> = {}
): Control.InstanceSnapshot["breakers"][number] => ({
  group: "chat",
  state,
  outBecause: undefined,
  until: undefined,
  cause: undefined,
  reason: undefined,
  openedAt: undefined,
  growth: 0,
  consecutiveFailures: 0,
  calls: 0,
  failures: 0,
  failureRatio: 0,
  slowRatio: 0,
  probes: 0,
  successes: 0,
  generation: 0,
  ...options
})

export const view = (options: Partial<Control.Snapshot> = {}, more: Partial<TopTable.View> = {}): TopTable.View => ({
  snapshot: {
    at: 10_000,
    phase: "open",
    requests: 0,
    instances: [],
    echelons: [],
    pools: [],
    wrappers: [],
    ...options
  },
  rates: { all: requests, cost: 0, instances: new Map(), pools: new Map(), wrappers: new Map(), providers: [] },
  health: {},
  alerts: [],
  ...more
})
