import type { Observation, Route } from "@echelon/core"

/** An attempt that has ended well after 100 ms, with its first output after 40. */
export const attempt = (options: Partial<Route.Open> = {}): Route.Open => ({
  kind: "call",
  instance: "a",
  model: "wire-a",
  echelon: "chat.echelon1",
  startedAt: 1_000,
  provider: { name: "openai", kind: "openai" },
  watch: undefined,
  traceparent: undefined,
  outcome: "completed",
  reason: undefined,
  firstOutputAt: 1_040,
  endedAt: 1_100,
  usage: undefined,
  cost: undefined,
  dropped: [],
  ...options
})

/** A request that began at 1,000 ms and ended well 100 ms later. */
export const observation = (options: Partial<Observation.Observation> = {}): Observation.Observation => ({
  id: "req_1",
  target: { kind: "pool", name: "fast" },
  wrapper: undefined,
  pool: "fast",
  group: "chat",
  tenant: undefined,
  priority: "normal",
  tags: [],
  operation: "chat",
  isStream: false,
  isMeasured: true,
  isAlerting: true,
  startedAt: 1_000,
  queuedMs: 0,
  committedAt: 1_040,
  endedAt: 1_100,
  outcome: "completed",
  reason: undefined,
  error: undefined,
  attempts: [attempt()],
  ...options
})
