import type * as World from "./World.ts"

/** Two instances of equal rank behind a pool; the first is always preferred. */
export const pair = (breaker = "failure_threshold = 1", more = "") => `
[llms.provider.a.models.m]
model = "a"
[llms.provider.b.models.m]
model = "b"
[llms.polling_pools.pair]
task_groups = ["pair"]
rotation_strategy = "priority"
slow_start = { duration = 0 }
[llms.groups.pair]
echelon1 = { models = ["a-m", "b-m"] }
fallback_config = { circuit_breaker = { ${breaker} } }
${more}`

export const inPair = { metadata: { poolName: "pair" } }

/** When a server was asked. */
export const times = (server: World.Server) => server.seen().map((one) => one.at)

/** What a server says when nothing is wrong. */
export const well = (name: string) => `${name} says one two three`
