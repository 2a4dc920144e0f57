import { readFileSync } from "node:fs"
import * as Check from "@echelon/config/Check"
import * as Compile from "@echelon/config/Compile"
import * as ConfigManagement from "@echelon/config/ConfigManagement"
import * as JsonSchema from "@echelon/config/JsonSchema"
import * as Problem from "@echelon/config/Problem"
import * as Starter from "@echelon/config/Starter"
import * as Catalogue from "@echelon/core/Catalogue"
import * as CatalogueLive from "@echelon/providers/CatalogueLive"
import * as ProviderTable from "@echelon/providers/ProviderTable"
import { expect, it } from "@effect/vitest"
import { Ajv } from "ajv"
import * as Effect from "effect/Effect"
import { parse } from "smol-toml"
import * as Folder from "./support/Folder.ts"
import * as Sample from "./support/Sample.ts"

const keysOf = (all: ReadonlyArray<Starter.Provider>): Record<string, string> =>
  Object.fromEntries(all.flatMap(({ variable }) => (variable === undefined ? [] : [[variable, "sk-1"]])))

const problems = Effect.fnUntraced(
  function* (
    all: ReadonlyArray<Starter.Provider>,
    options: { readonly variables: Readonly<Record<string, string>>; readonly env?: string }
  ) {
    const { root } = yield* Folder.make(Starter.files(all))
    const found = yield* ConfigManagement.check({ config: root, ...options })
    return found.map((problem) => Folder.short(Problem.format(problem)))
  },
  Effect.provideService(Catalogue.Catalogue, CatalogueLive.catalogue)
)

const plan = Effect.fnUntraced(
  function* (all: ReadonlyArray<Starter.Provider>, variables: Readonly<Record<string, string>>) {
    const { root } = yield* Folder.make(Starter.files(all))
    return (yield* ConfigManagement.load({ config: root, variables })).plan
  },
  Effect.provideService(Catalogue.Catalogue, CatalogueLive.catalogue)
)

const tomlOf = (all: ReadonlyArray<Starter.Provider>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(Starter.files(all)).filter(([path]) => path.endsWith(".toml")))

/** What the graph shows, which keeps nobody from starting. */
const findings = (all: ReadonlyArray<Starter.Provider>): ReadonlyArray<string> => {
  const { catalogue } = CatalogueLive
  const resolved = Sample.resolve(tomlOf(all), { variables: keysOf(all) })
  const compiled = Compile.compile(resolved, catalogue)
  return compiled.plan === undefined ? ["no plan"] : Check.analyze(compiled.plan, resolved).map(Problem.format)
}

it.effect.each(Starter.providers)("$name: nothing is wrong with its key set, in any environment", (provider) =>
  Effect.gen(function* () {
    const variables = keysOf([provider])
    expect(yield* problems([provider], { variables })).toEqual([])
    expect(findings([provider])).toEqual([])
    expect(yield* problems([provider], { variables, env: "development" })).toEqual([])
    const { groups, instances, pools, routing, wrappers } = yield* plan([provider], variables)
    expect(Object.keys(instances)).toEqual([`${provider.name}-large`, `${provider.name}-small`])
    expect(groups["chat_group"]?.echelons.map((echelon) => echelon.instances)).toEqual([
      [`${provider.name}-large`],
      [`${provider.name}-small`]
    ])
    expect(pools["chat_pool"]?.taskGroups).toEqual(["chat_group"])
    expect(wrappers["chat"]?.target).toEqual({ kind: "pool", name: "chat_pool" })
    expect(routing.defaultWrapper).toBe("chat")
  }).pipe(Effect.provide(Folder.services))
)

it.each(Starter.providers.filter(({ variable }) => variable !== undefined))(
  "$name beside any other: its key alone starts both, and the other's absence is a warning",
  (provider) => {
    const { catalogue } = CatalogueLive
    for (const other of Starter.providers) {
      if (other.variable === undefined || other.name === provider.name) continue
      expect(findings([provider, other])).toEqual([])
      const compiled = Sample.compile(tomlOf([provider, other]), { catalogue, variables: keysOf([provider]) })
      expect(compiled.problems.map(Problem.format)).toEqual([
        expect.stringContaining(
          `warning llms.provider.${other.name}.${other.serviceAccount === true ? "service_account" : "api_key"}: the variable ${other.variable} is not set`
        )
      ])
      expect(Object.keys(compiled.plan?.instances ?? {})).toEqual([`${provider.name}-large`, `${provider.name}-small`])
    }
  }
)

it.effect("all providers at once", () =>
  Effect.gen(function* () {
    expect(yield* problems(Starter.providers, { variables: keysOf(Starter.providers) })).toEqual([])
    expect(findings(Starter.providers)).toEqual([])
  }).pipe(Effect.provide(Folder.services))
)

it.effect("without any key the problem says which to set", () =>
  Effect.gen(function* () {
    const [first] = yield* problems(Starter.defaults, { variables: {} })
    expect(first).toBe(
      "configs/llms/provider:1:1 error llms.provider: no credential is set, so no model can be asked; set ANTHROPIC_API_KEY or OPENAI_API_KEY"
    )
  }).pipe(Effect.provide(Folder.services))
)

it("the key of each provider is the variable of its kind, and its kind is known", () => {
  for (const provider of Starter.providers) {
    const row = ProviderTable.find(provider.kind)
    expect([provider.name, row === undefined]).toEqual([provider.name, false])
    if (provider.serviceAccount === true) expect(provider.variable).toBe("GOOGLE_APPLICATION_CREDENTIALS")
    else if (row?.keyVariable !== undefined) expect(provider.variable).toBe(row.keyVariable)
    expect(Starter.find(provider.name)).toBe(provider)
  }
  expect(Starter.find("opnai")).toBeUndefined()
})

it("every file is commented, names its schema and validates against it", () => {
  const ajv = new Ajv({ strictTypes: false, allErrors: true })
  for (const [path, text] of Object.entries(Starter.files(Starter.providers, { kinds: ProviderTable.kinds }))) {
    const name = JsonSchema.nameFor(path)
    if (name === undefined) continue
    expect(text.split("\n")[0]).toBe(JsonSchema.directive(path))
    expect(text).toMatch(/\n# /)
    const validate = ajv.compile(JsonSchema.make(name, { kinds: ProviderTable.kinds }))
    validate(parse(text))
    expect([path, validate.errors]).toEqual([path, null])
    const comments = text.split("\n").filter((line) => line.startsWith("#"))
    expect(Math.max(...comments.map((line) => line.length))).toBeLessThanOrEqual(120)
  }
})

it("bedrock and vertex have what their addresses are made of", () => {
  const texts = tomlOf(Starter.providers)
  expect(parse(texts["llms/provider/bedrock.toml"] ?? "")).toMatchObject({ kind: "bedrock", region: "us-east-1" })
  expect(parse(texts["llms/provider/vertex.toml"] ?? "")).toMatchObject({
    kind: "vertex",
    region: "global",
    project: "your-project"
  })
})

it("what is commented out works when it is not", () => {
  const uncommented = (path: string, from: string) => {
    const text = tomlOf(Starter.providers)[path] ?? ""
    const at = text.indexOf(from)
    expect(at).toBeGreaterThan(0)
    return parse(text.slice(at).replaceAll(/^# /gm, ""))
  }
  expect(uncommented("llms/polling_pools/chat_pool.toml", "# [rate_limiting]")).toEqual({
    rate_limiting: {
      enabled: true,
      algorithm: "token_bucket",
      token_bucket: { bucket_size: 100, refill_rate: 10 }
    }
  })
  expect(uncommented("llms/provider/openai.toml", "# [[credentials]]")).toEqual({
    credentials: [{ name: "first", api_key: `$${"{OPENAI_API_KEY_FIRST}"}` }]
  })
  expect(uncommented("llms/provider/vertex.toml", "# [[credentials]]")).toEqual({
    credentials: [{ name: "first", service_account_file: "../../secrets/first.json" }]
  })
  const bedrock = tomlOf(Starter.providers)["llms/provider/bedrock.toml"] ?? ""
  expect(parse(bedrock.replace(/^api_key.*$/m, "").replaceAll(/^# (?=\w+_key)/gm, ""))).toMatchObject({
    access_key_id: `$${"{AWS_ACCESS_KEY_ID}"}`,
    secret_access_key: `$${"{AWS_SECRET_ACCESS_KEY}"}`
  })
})

/** The files of each step of the guide; one takes the place of an earlier one of the same name. */
const steps = readFileSync(new URL("../../../docs/guide-config.md", import.meta.url), "utf8")
  .split("\n## ")
  .map((step) =>
    [...step.matchAll(/```toml\n# my-configs\/(\S+)\n([\s\S]*?)```/g)].map(
      ([, path = "", text = ""]) => [path, text] as const
    )
  )

it("every step of the guide leaves a tree that nothing is wrong with", () => {
  const { catalogue } = CatalogueLive
  const variables = {
    OPENAI_API_KEY: "k",
    OPENAI_API_KEY_RESEARCH: "k",
    ANTHROPIC_API_KEY: "k",
    OPENAI_PROXY: "https://proxy.test/v1"
  }
  const openai = Starter.find("openai")
  let files = tomlOf(openai === undefined ? [] : [openai])
  const found = (env: string) => {
    const resolved = Sample.resolve(files, { variables, env })
    const { plan, problems } = Compile.compile(resolved, catalogue)
    return [...problems, ...(plan === undefined ? [] : Check.analyze(plan, resolved))].map(Problem.format)
  }
  expect(steps.flat().length).toBeGreaterThan(8)
  for (const [i, step] of steps.entries()) {
    files = { ...files, ...Object.fromEntries(step) }
    expect([i, ...found("development")]).toEqual([i])
  }
  expect(found("production")).toEqual([])
})
