import * as Plans from "@echelon/core/Plans"
import { expect, it } from "@effect/vitest"
import { Redacted } from "effect"
import * as Sample from "./support/Sample.ts"

const problems = (toml: string) => Sample.problems({ "global.toml": toml })

it("without the section the defaults hold: traced where there is a tracer, without content, told to no provider", () => {
  const plan = Sample.plan()
  expect(plan.tracing).toEqual(Plans.tracing())
  expect(plan.tracing).toMatchObject({ enabled: true, sampleRatio: 1, content: false, otlp: undefined })
  expect(plan.providers["openai"]?.traceContext).toBe(false)
})

it("every key reaches the plan, times in milliseconds, headers hidden", () => {
  const toml = `[tracing]
enabled = false
sample_ratio = 0.25
content = true
[tracing.otlp]
endpoint = "https://collector.local:4318"
interval = "250ms"
headers = { authorization = "planted-secret" }
encoding = "json"
`
  const provider = `${Sample.files["llms/provider/openai.toml"]?.replace("[models.gpt4]", "trace_context = true\n[models.gpt4]")}`
  const { providers, tracing } = Sample.plan({ "global.toml": toml, "llms/provider/openai.toml": provider })
  expect(tracing).toMatchObject({
    enabled: false,
    sampleRatio: 0.25,
    content: true,
    otlp: { endpoint: "https://collector.local:4318", interval: 250, encoding: "json" }
  })
  const header = tracing.otlp?.headers["authorization"]
  expect(header && Redacted.value(header)).toBe("planted-secret")
  expect(JSON.stringify(tracing)).not.toContain("planted-secret")
  expect(providers["openai"]?.traceContext).toBe(true)
})

it("an export that says little has the defaults", () => {
  const { tracing } = Sample.plan({ "global.toml": '[tracing.otlp]\nendpoint = "http://127.0.0.1:4318"\n' })
  expect(tracing.otlp).toEqual({ ...Plans.defaults.tracing.otlp, endpoint: "http://127.0.0.1:4318", headers: {} })
})

it.each([
  ["[tracing]\nsample_ratio = 1.5\n", "tracing.sample_ratio: expected a number from 0 to 1"],
  ['[tracing]\ncontent = "yes"\n', "tracing.content: expected true or false"],
  ["[tracing.otlp]\ninterval = 1\n", "tracing.otlp.endpoint: missing"],
  ['[tracing.otlp]\nendpoint = "http://user:planted@h"\n', "tracing.otlp.endpoint: expected an address"],
  ["[tracing]\nsampleratio = 1\n", 'tracing.sampleratio: unknown key; did you mean "sample_ratio"?']
])("%s is a problem", (toml, expected) => {
  const found = problems(toml)
  expect(found).toHaveLength(1)
  expect(found[0]).toContain(expected)
  expect(found[0]).not.toContain("planted")
})
