import { Plans } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import { Redacted } from "effect"
import * as Sample from "./support/Sample.ts"

it("nothing said is what the plan's defaults say, and goes nowhere", () => {
  expect(Sample.plan({}).metrics).toEqual(Plans.metrics())
  expect(Plans.metrics()).toEqual({
    enabled: true,
    maxSeries: 1_000,
    tenantLabel: false,
    otlp: undefined,
    prometheus: undefined
  })
})

it("every key, with the defaults of those left out", () => {
  const { metrics } = Sample.plan(
    {
      "global.toml": `[metrics]
enabled = false
max_series = 50
tenant_label = true
[metrics.otlp]
endpoint = "http://localhost:4318"
headers = { x-team = "\${TEAM}" }
[metrics.prometheus]
port = 9464
`
    },
    { variables: { TEAM: "sk-team", OPENAI_API_KEY: "sk-x" } }
  )
  const { otlp, ...rest } = metrics
  expect(rest).toEqual({
    enabled: false,
    maxSeries: 50,
    tenantLabel: true,
    prometheus: { host: "127.0.0.1", port: 9_464 }
  })
  expect(otlp).toMatchObject({
    endpoint: "http://localhost:4318",
    interval: 60_000,
    encoding: "protobuf",
    temporality: "cumulative"
  })
  const header = otlp?.headers["x-team"]
  expect(header === undefined ? "" : Redacted.value(header)).toBe("sk-team")
  expect(JSON.stringify(metrics)).not.toContain("sk-team")
})

it("without an address nothing is sent, and without a port nothing listens, whatever else is said", () => {
  const text = '[metrics.otlp]\nencoding = "json"\nheaders = { a = "b" }\n[metrics.prometheus]\nhost = "0.0.0.0"'
  expect(Sample.plan({ "global.toml": text }).metrics).toEqual(Plans.metrics())
})

it("what is wrong is said with its place, and a header is never shown", () => {
  const found = Sample.problems({
    "global.toml": `[metrics]
max_series = 0
[metrics.otlp]
endpoint = "localhost:4318?key=sk-secret"
headers = { x-team = 7 }
encoding = "grpc"
[metrics.prometheus]
host = ""
port = 70000
`
  })
  expect(found).toEqual([
    "configs/global.toml:2:1 error metrics.max_series: expected a whole number, at least 1; found 0",
    expect.stringContaining("configs/global.toml:4:1 error metrics.otlp.endpoint: expected an address"),
    "configs/global.toml:5:13 error metrics.otlp.headers.x-team: expected text; found a number that is not shown",
    'configs/global.toml:6:1 error metrics.otlp.encoding: expected "protobuf", "json"; found "grpc"',
    'configs/global.toml:8:1 error metrics.prometheus.host: expected a name (text that is not empty); found ""',
    "configs/global.toml:9:1 error metrics.prometheus.port: expected a port: a whole number from 0 to 65535; found 70000"
  ])
  expect(found.join("\n")).not.toContain("sk-secret")
  expect(Sample.problems({ "global.toml": "[metrics.otlp]\ninterval = 0" })).toEqual([
    expect.stringContaining("configs/global.toml:2:1 error metrics.otlp.interval: expected seconds from 0.001")
  ])
})
