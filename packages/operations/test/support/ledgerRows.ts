import * as UsageRecord from "@echelon/core/UsageRecord"

/** A row of which little is said. */
export const row = (
  key: Partial<UsageRecord.Key> = {},
  counters: Partial<UsageRecord.Counters> = {}
): UsageRecord.Row => ({
  key: {
    day: "2026-03-01",
    tenant: "acme",
    wrapper: "w",
    pool: "p",
    group: "g",
    provider: "openai",
    instance: "openai-gpt4",
    model: "gpt-4",
    ...key
  },
  counters: { ...UsageRecord.zero(), requests: 1, attempts: 1, reported: 1, costReported: 7, ...counters }
})
