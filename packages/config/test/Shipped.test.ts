import { existsSync, readdirSync, readFileSync } from "node:fs"
import * as Problem from "@echelon/config/Problem"
import { expect, it } from "@effect/vitest"
import { parse } from "smol-toml"
import * as Sample from "./support/Sample.ts"

const root = new URL("../../../", import.meta.url)

const readTree = (folder: URL): Readonly<Record<string, string>> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true })
      .map((name) => String(name).replaceAll("\\", "/"))
      .filter((name) => name.endsWith(".toml"))
      .map((name) => [name, readFileSync(new URL(name, folder), "utf8")])
  )

const shipped = readTree(new URL("configs/", root))
const printed = readTree(new URL("./fixtures/seed/", import.meta.url))
const names = Object.keys(printed).sort()

const errors = (options: Sample.Options, files = shipped) =>
  Sample.compile(files, options).problems.filter(Problem.isError).map(Problem.format)

const planOf = (options: Sample.Options, files = shipped) => {
  const { plan, problems } = Sample.compile(files, options)
  if (plan === undefined) throw new Error(problems.map(Problem.format).join("\n"))
  return plan
}

const expectPrinted = (files: Readonly<Record<string, string>>): void => {
  const plan = planOf({}, { ...shipped, ...files })
  expect(plan.pools["fast_pool"]).toMatchObject({
    name: "fast_pool",
    description: "快速响应任务专用轮询池",
    taskGroups: ["fast_group"],
    rotation: "round_robin",
    healthCheck: { interval: 30_000, failureThreshold: 3, recoveryTime: 60_000 },
    fallback: { strategy: "instance_rotation", maxInstanceAttempts: 2 },
    rateLimit: { algorithm: "token_bucket", bucketSize: 1000, refillRate: 16.67 }
  })
  const group = plan.groups["fast_group"]
  expect(group?.description).toBe("快速响应任务组")
  expect(
    group?.echelons.map((echelon) => [
      echelon.instances.join(),
      echelon.limits.concurrency,
      echelon.limits.rpm,
      echelon.priority,
      echelon.clocks.attempt,
      echelon.maxRetries,
      echelon.settings.temperature,
      echelon.settings.maxOutputTokens
    ])
  ).toEqual([
    ["openai-gpt4,anthropic-claude-3-opus", 10, 100, 1, 30_000, 3, 0.7, 2000],
    ["openai-gpt4-turbo,anthropic-claude-3-sonnet", 20, 200, 2, 25_000, 3, 0.7, 2000],
    ["openai-gpt3.5-turbo,anthropic-claude-3-haiku", 50, 500, 3, 20_000, 2, 0.7, 1500]
  ])
  expect(group?.fallback).toMatchObject({
    strategy: "echelon_down",
    echelons: ["fast_group.echelon2", "fast_group.echelon3"],
    maxAttempts: 3,
    retryDelay: 1_000,
    breaker: { failureThreshold: 5, recoveryTime: 60_000, halfOpenRequests: 1 }
  })
  expect(plan.wrappers["pool_wrapper"]).toMatchObject({
    description: "轮询池包装器配置",
    target: { kind: "pool", name: "fast_pool" },
    metrics: true,
    alerting: true,
    healthCheck: { enabled: true, interval: 30_000 },
    requestTimeout: 30_000,
    maxConcurrentRequests: 100,
    queueSize: 1000
  })
}

it("the three files of the first design decode as printed there", () => {
  expect(names).toEqual([
    "llms/groups/fast_group.toml",
    "llms/polling_pools/fast_pool.toml",
    "llms/wrappers/pool_wrapper.toml"
  ])
  expectPrinted(printed)
})

const seed = new URL("../shared/seed.md", root)

it("the same, extracted from the document itself", () => {
  if (!existsSync(seed)) {
    process.stdout.write("../shared/seed.md is absent: the extraction of its files was not run\n")
    return
  }
  const extracted = Object.fromEntries(
    [...readFileSync(seed, "utf8").matchAll(/```toml\n(# configs\/(\S+)\n[\s\S]*?)```/g)].map(
      ([, text = "", file = ""]) => [file, text] as const
    )
  )
  expect(extracted).toEqual(printed)
  expectPrinted(extracted)
})

it("the shipped files say exactly what was printed", () => {
  for (const name of names) expect(parse(shipped[name] ?? "")).toEqual(parse(printed[name] ?? ""))
  expectPrinted({})
})

it.each(["OPENAI_API_KEY", "ANTHROPIC_API_KEY"])(
  "starts with nothing but %s, every pool and wrapper included",
  (key) => {
    const plan = planOf({ variables: { [key]: "sk-1" } })
    expect(Object.keys(plan.pools).sort()).toEqual(["fast_pool", "high_concurrency_pool", "thinking_pool"])
    expect(Object.keys(plan.groups).sort()).toEqual(["fast_group", "review_group", "thinking_group"])
    expect(Object.keys(plan.wrappers).sort()).toEqual(["pool_wrapper", "task_group_wrapper"])
    for (const pool of Object.values(plan.pools)) {
      const members = pool.taskGroups.flatMap((name) => plan.groups[name]?.echelons.flatMap((e) => e.instances) ?? [])
      expect(members.filter((name) => plan.instances[name] !== undefined).length).toBeGreaterThan(1)
    }
  }
)

it("without any key says what to set, and what works without", () => {
  expect(errors({ variables: {} })).toEqual([
    "configs/llms/provider:1:1 error llms.provider: no credential is set, so no model can be asked; set ANTHROPIC_API_KEY or DEEPSEEK_API_KEY or GEMINI_API_KEY or GROQ_API_KEY or OPENAI_API_KEY, or use --env embedded, which needs no credential and no network"
  ])
})

const addresses = {
  ECHELON_EMBEDDED_OPENAI_URL: "http://127.0.0.1:4001/v1",
  ECHELON_EMBEDDED_ANTHROPIC_URL: "http://127.0.0.1:4002/v1"
}

it("--env embedded asks loopback only, needs no key and warns of nothing", () => {
  expect(Sample.compile(shipped, { env: "embedded", variables: addresses }).problems).toEqual([])
  const plan = planOf({ env: "embedded", variables: addresses })
  expect(Object.keys(plan.disabled)).toEqual([])
  for (const provider of Object.values(plan.providers)) {
    expect(provider.baseUrl).toBe(
      provider.kind === "anthropic" ? addresses.ECHELON_EMBEDDED_ANTHROPIC_URL : addresses.ECHELON_EMBEDDED_OPENAI_URL
    )
  }
  for (const group of Object.values(plan.groups)) {
    expect(group.fallback.retryDelay).toBe(50)
    for (const echelon of group.echelons) expect(echelon.clocks.ttft).toBe(1_000)
  }
})

it.each(["development", "production"])("--env %s has no error", (env) => {
  expect(errors({ env })).toEqual([])
})

it("every shipped model states its window and prices", () => {
  for (const instance of Object.values(planOf({ env: "embedded", variables: addresses }).instances)) {
    expect([instance.name, instance.model.capabilities.contextWindow, instance.model.prices]).toEqual([
      instance.name,
      expect.any(Number),
      expect.objectContaining({ input: expect.any(Number), output: expect.any(Number) })
    ])
  }
})
