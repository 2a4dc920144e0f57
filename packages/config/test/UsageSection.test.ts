import * as Plans from "@echelon/core/Plans"
import { expect, it } from "@effect/vitest"
import { Redacted } from "effect"
import * as Sample from "./support/Sample.ts"

const problems = (toml: string) => Sample.problems({ "global.toml": toml })
const budget = (options: Readonly<Record<string, string | number>>) =>
  `[[usage.budgets]]\n${Object.entries({ scope: "tenant", name: "*", period: "day", limit: 1, ...options })
    .map(([key, value]) => `${key} = ${JSON.stringify(value)}`)
    .join("\n")}\n`

it("without the section the defaults hold, and no budget", () => {
  expect(Sample.plan().usage).toEqual(Plans.usage())
})

it("every key reaches the plan, times in milliseconds, the address hidden", () => {
  const toml = `[usage]
enabled = true
store = "postgres"
path = "books.sqlite"
url = "postgres://echelon:pg-secret@db:5432/usage"
flush_interval = "250ms"
batch_size = 100
retention_days = 60
time_zone = "Europe/Berlin"
max_tenants = 7
${budget({ scope: "wrapper", name: "pool_wrapper", period: "month", limit: 12.5, unpriced: "refuse" })}`
  const { usage } = Sample.plan({ "global.toml": toml })
  expect(usage).toMatchObject({
    store: "postgres",
    path: "books.sqlite",
    flushInterval: 250,
    batchSize: 100,
    retentionDays: 60,
    timeZone: "Europe/Berlin",
    maxTenants: 7,
    budgets: [{ scope: "wrapper", name: "pool_wrapper", period: "month", limit: 12.5, unpriced: "refuse" }]
  })
  expect(JSON.stringify(usage)).not.toContain("pg-secret")
  expect(usage.url && Redacted.value(usage.url)).toContain("pg-secret")
})

it.each([
  ['[usage]\nstore = "postgres"\n', 'usage.url: missing; the store "postgres" needs its address'],
  ['[usage]\ntime_zone = "Mars"\n', 'usage.time_zone: expected "UTC", an offset such as "+02:00"'],
  ["[usage]\nretention_days = 31\n", "usage.retention_days: expected a whole number, at least 32"],
  ["[usage]\nbatchsize = 1\n", 'usage.batchsize: unknown key; did you mean "batch_size"?'],
  [budget({ limit: 0 }), "usage.budgets[0].limit: expected a number above 0"],
  [
    budget({ scope: "pool", name: "fast_pol" }),
    'usage.budgets[0].name: unknown pool "fast_pol"; did you mean "fast_pool"?'
  ],
  [budget({ scope: "wrapper", name: "fast_pool" }), 'usage.budgets[0].name: unknown wrapper "fast_pool"'],
  [budget({ name: "acme" }) + budget({ name: "acme" }), "there is a budget of this tenant for the day already"]
])("%s is a problem", (toml, expected) => {
  const found = problems(toml)
  expect(found).toHaveLength(1)
  expect(found[0]).toContain(expected)
})

it("budgets that nobody keeps are warned of", () => {
  expect(problems(`[usage]\nenabled = false\n${budget({})}`)[0]).toContain("usage.enabled is false")
})

it("any tenant, and each of a kind, may have a budget", () => {
  const all = ["tenant", "wrapper", "pool"].flatMap((scope) =>
    ["day", "month"].map((period) => budget({ scope, period }))
  )
  expect(problems(all.join("") + budget({ name: "anybody" }))).toEqual([])
})
