import { type Plan, Plans } from "@echelon/core"
import { ProviderTable } from "@echelon/providers"
import * as ClientFactoryModel from "@echelon/providers/ClientFactoryModel"
import { expect, it } from "@effect/vitest"

const provider = (name: string, kind: string, models: Readonly<Record<string, string>> = {}): Plan.Provider =>
  Plans.provider({
    name,
    kind,
    models: Object.fromEntries(Object.entries(models).map(([alias, model]) => [alias, Plans.model({ model })]))
  })

const rootOf = (...providers: ReadonlyArray<Plan.Provider>): Plan.Root => ({
  ...Plans.root({
    instances: providers.flatMap((one) =>
      Object.entries(one.models).map(([alias, model]) => Plans.instance({ provider: one, alias, model }))
    )
  }),
  providers: Object.fromEntries(providers.map((one) => [one.name, one]))
})

const none = rootOf()

const resolve = (model: string, root: Plan.Root = none, keyed: ReadonlyArray<string> = []): string => {
  const found = ClientFactoryModel.resolve(model, { root, keyed })
  return found._tag === "Provider"
    ? `${found.provider}/${found.model}`
    : found._tag === "Ambiguous"
      ? `ambiguous: ${found.candidates.join(" ")}`
      : "unknown"
}

it("picks the maker by the name of the family", () => {
  const table: Readonly<Record<string, string>> = {
    "gpt-4o": "openai",
    "gpt-9-giant": "openai",
    "o3-mini": "openai",
    o4: "openai",
    "chatgpt-4o-latest": "openai",
    "text-embedding-3-small": "openai",
    "claude-sonnet-4-5": "anthropic",
    "claude-sonnet-4-5-20250929": "anthropic",
    "CLAUDE-next": "anthropic",
    "gemini-2.5-pro": "gemini",
    "models/gemini-9-flash": "gemini",
    "mistral-large-latest": "mistral",
    "codestral-2508": "mistral",
    "deepseek-chat": "deepseek",
    "grok-9": "xai"
  }
  for (const [model, maker] of Object.entries(table))
    expect([model, resolve(model)]).toEqual([model, `${maker}/${model}`])
  for (const model of ["", "o", "opus", "gpt", "my-gpt-4", "oxygen", "toString", "__proto__"])
    expect([model, resolve(model)]).toEqual([model, "unknown"])
})

it("a family names no kind that is not there", () => {
  const named = ClientFactoryModel.families.flatMap(({ also, home }) => (home === undefined ? also : [home, ...also]))
  expect(named.filter((kind) => ProviderTable.find(kind) === undefined)).toEqual([])
})

it("an id of Bedrock means Bedrock, whoever made the model", () => {
  const ids = [
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "anthropic.claude-3-haiku-20240307-v1:0",
    "global.anthropic.claude-opus-4-5-20251101-v1:0",
    "amazon.nova-pro-v1:0",
    "eu.amazon.nova-lite-v1:0",
    "us-gov.anthropic.claude-3-5-sonnet-20240620-v1:0",
    "meta.llama3-1-70b-instruct-v1:0",
    "mistral.mistral-large-2402-v1:0",
    "deepseek.r1-v1:0",
    "openai.gpt-oss-120b-1:0",
    "ai21.jamba-1-5-large-v1:0",
    "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0"
  ]
  for (const id of ids) expect([id, resolve(id, none, ["anthropic", "groq"])]).toEqual([id, `bedrock/${id}`])
  const planned = rootOf(provider("aws", "bedrock"), provider("direct", "anthropic"))
  expect(resolve("anthropic.claude-3-haiku-20240307-v1:0", planned)).toBe("aws/anthropic.claude-3-haiku-20240307-v1:0")
  expect(resolve("claude-3-haiku-20240307", planned)).toBe("direct/claude-3-haiku-20240307")
  // Without the vendor it is no id of Bedrock.
  expect(resolve("claude-3-haiku-20240307", rootOf(provider("aws", "bedrock")))).toBe(
    "anthropic/claude-3-haiku-20240307"
  )
})

it("a model that was trained further is its maker's", () => {
  expect(resolve("ft:gpt-4o-mini:org::id")).toBe("openai/ft:gpt-4o-mini:org::id")
  expect(resolve("ft:gpt-4.1-2025-04-14:my-org:name:id", rootOf(provider("work", "openai")))).toBe(
    "work/ft:gpt-4.1-2025-04-14:my-org:name:id"
  )
})

it("goes by what the plan names first: instance, alias, name on the wire", () => {
  const root = rootOf(
    provider("work", "openai", { fast: "gpt-4o-mini", "gpt-4o": "gpt-4o-2024-11-20" }),
    provider("lab", "openai-compatible", { "claude-ish": "llama-3", o3: "own-o3" })
  )
  expect(resolve("work-fast", root)).toBe("work/fast")
  expect(resolve("fast", root)).toBe("work/fast")
  expect(resolve("gpt-4o", root)).toBe("work/gpt-4o")
  expect(resolve("gpt-4o-mini", root)).toBe("work/fast")
  expect(resolve("o3", root)).toBe("lab/o3")
  expect(resolve("claude-ish", root)).toBe("lab/claude-ish")
  // Not in a file of the plan: the maker, as without a plan.
  expect(resolve("o3-pro", root)).toBe("openai/o3-pro")
})

it("two of equal right are ambiguous, never picked by chance", () => {
  const two = rootOf(provider("a", "openai", { m: "gpt-4o" }), provider("b", "openai", { m: "gpt-4o", n: "gpt-4o" }))
  expect(resolve("m", two)).toBe("ambiguous: a/m b/m")
  expect(resolve("gpt-4o", two)).toBe("ambiguous: a/m b/m")
  expect(resolve("a/m", two)).toBe("a/m")
  expect(resolve("gpt-4.1", rootOf(provider("a", "openai"), provider("b", "openai")))).toBe(
    "ambiguous: a/gpt-4.1 b/gpt-4.1"
  )
  expect(resolve("qwen3-32b", none, ["groq", "together"])).toBe("ambiguous: groq/qwen3-32b together/qwen3-32b")
  expect(resolve("qwen3-32b")).toMatch(/^ambiguous: groq/)
})

it("a provider of the plan that takes any model goes before the maker; of several the maker's own", () => {
  expect(resolve("gpt-4o", rootOf(provider("azure", "azure-openai")))).toBe("azure/gpt-4o")
  expect(resolve("gpt-4o", rootOf(provider("azure", "azure-openai"), provider("direct", "openai")))).toBe(
    "direct/gpt-4o"
  )
  expect(resolve("gpt-4o", rootOf(provider("azure", "azure-openai", { x: "y" })))).toBe("openai/gpt-4o")
  expect(resolve("qwen3-32b", rootOf(provider("mine", "vllm")))).toBe("mine/qwen3-32b")
  expect(resolve("qwen3-32b", none, ["openai", "groq"])).toBe("groq/qwen3-32b")
  // Open weights have no home, though the name begins as OpenAI's do.
  expect(resolve("gpt-oss-999b", none, ["openai", "together"])).toBe("together/gpt-oss-999b")
})

it("takes provider/model, but leaves names that hold a slash alone", () => {
  expect(resolve("groq/llama-3.3-70b")).toBe("groq/llama-3.3-70b")
  expect(resolve("mine/whatever/it-is", rootOf(provider("mine", "vllm")))).toBe("mine/whatever/it-is")
  const router = rootOf(provider("router", "openrouter", { big: "openai/gpt-4o" }))
  expect(resolve("openai/gpt-4o", router)).toBe("router/big")
  expect(resolve("nobody/gpt-4o")).toBe("openai/nobody/gpt-4o")
})

it("asks the catalogue before the families", () => {
  const facts = (kind: string) => (kind === "groq" || kind === "xai" ? { prices: { input: 1, output: 1 } } : {})
  const options = { root: none, facts }
  expect(ClientFactoryModel.resolve("claude-9", { ...options, keyed: ["xai"] })).toMatchObject({ provider: "xai" })
  expect(ClientFactoryModel.resolve("claude-9", { ...options, keyed: [] })._tag).toBe("Ambiguous")
  expect(ClientFactoryModel.resolve("grok-9", { ...options, keyed: ["groq"] })).toMatchObject({ provider: "xai" })
})

it("says what is near", () => {
  const root = rootOf(provider("work", "openai", { fast: "gpt-4o-mini" }))
  const found = ClientFactoryModel.resolve("fsat", { root, keyed: [] })
  expect(found._tag).toBe("Unknown")
  if (found._tag !== "Provider") expect(ClientFactoryModel.explain("fsat", found)).toContain('did you mean "fast"')
})
