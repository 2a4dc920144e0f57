import { inspect } from "node:util"
import type { Plan } from "@echelon/core"
import { Auth, Endpoint, ProviderTable } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Redacted } from "effect"
import { instanceOf } from "./Support.ts"

const make = (
  kind: string,
  provider: Partial<Plan.Provider> = {},
  options: { key?: string; model?: string } = {},
  auth?: Auth.Auth
) => {
  const row = ProviderTable.find(kind)
  if (row === undefined) throw new Error(kind)
  return Endpoint.make(auth === undefined ? row : { ...row, auth }, instanceOf(kind, provider, options))
}

const urlOf = (endpoint: Endpoint.Endpoint) => Redacted.value(endpoint.generate.url)
const headersOf = (endpoint: Endpoint.Endpoint) => Redacted.value(endpoint.generate.headers)

it("joins addresses and paths", () => {
  expect(urlOf(make("openai"))).toBe("https://api.openai.com/v1/chat/completions")
  expect(urlOf(make("openai", { baseUrl: "http://localhost:9/proxy/v1///" }))).toBe(
    "http://localhost:9/proxy/v1/chat/completions"
  )
  expect(urlOf(make("anthropic"))).toBe("https://api.anthropic.com/v1/messages")
  expect(make("openai").origin).toBe("https://api.openai.com")
})

it("puts a key where the file says, and nowhere else", () => {
  const own = (provider: Partial<Plan.Provider>, key = "k&x") =>
    make("openai-compatible", { baseUrl, ...provider }, { key })
  const baseUrl = "https://gate.test/v1?a=1"
  const query = own({ auth: "query", authName: "api key" })
  expect(urlOf(query)).toBe("https://gate.test/v1/chat/completions?a=1&api+key=k%26x")
  expect(headersOf(query)["authorization"]).toBe(undefined)
  expect(Redacted.value(query.models?.url ?? Redacted.make(""))).toBe("https://gate.test/v1/models?a=1&api+key=k%26x")
  expect(query.redaction("it was k&x")).not.toContain("k&x")
  const header = own({ auth: "header", authName: "X-Api-Key" })
  expect(headersOf(header)).toMatchObject({ "x-api-key": "k&x" })
  expect(headersOf(header)["authorization"]).toBe(undefined)
  expect(headersOf(make("anthropic", { auth: "bearer" }, { key: "k" }))).toMatchObject({ authorization: "Bearer k" })
  expect(headersOf(make("anthropic", { auth: "bearer" }, { key: "k" }))["x-api-key"]).toBe(undefined)
  expect(headersOf(make("openai", { auth: "none" }, { key: "k" }))["authorization"]).toBe(undefined)
  expect(() => own({ auth: "query" })).toThrow("auth_name")
  expect(() => own({ auth: "header" })).toThrow("auth_name")
  expect(() => own({ auth: "header", authName: "" })).toThrow("auth_name")
  expect(() => own({ auth: "header", authName: "x y" })).toThrow("a header's name")
  expect(() => own({ auth: "header", authName: "Host" })).toThrow("host belongs to the connection")
})

it("knows both addresses of Azure", () => {
  const baseUrl = "https://x.openai.azure.com"
  expect(urlOf(make("azure-openai", { baseUrl }, { model: "gpt 4" }))).toBe(
    `${baseUrl}/openai/deployments/gpt%204/chat/completions?api-version=${ProviderTable.azureApiVersion}`
  )
  expect(urlOf(make("azure-openai", { baseUrl: `${baseUrl}/openai`, deployment: "d", apiVersion: "2025-01-01" }))).toBe(
    `${baseUrl}/openai/deployments/d/chat/completions?api-version=2025-01-01`
  )
  expect(urlOf(make("azure-openai", { baseUrl: `${baseUrl}/openai/v1/` }))).toBe(
    `${baseUrl}/openai/v1/chat/completions`
  )
})

it("knows an address of Azure that holds the deployment", () => {
  const resource = "https://x.openai.azure.com"
  const baseUrl = `${resource}/openai/deployments/my%20gpt`
  const expected = `${baseUrl}/chat/completions?api-version=${ProviderTable.azureApiVersion}`
  for (const address of [baseUrl, `${baseUrl}//`, `${resource}/openai/deployments/my gpt`])
    expect(urlOf(make("azure-openai", { baseUrl: address }))).toBe(expected)
  expect(urlOf(make("azure-openai", { baseUrl, deployment: "my gpt" }))).toBe(expected)
  expect(urlOf(make("azure-openai", { baseUrl: `${resource}/openai/deployments/` }, { model: "my gpt" }))).toBe(
    expected
  )
  // As the portal shows it.
  expect(urlOf(make("azure-openai", { baseUrl: `${baseUrl}?api-version=2025-01-01-preview` }))).toBe(
    `${baseUrl}/chat/completions?api-version=2025-01-01-preview`
  )
  expect(urlOf(make("azure-openai", { baseUrl: `${resource}?api-version=2025-01-01`, apiVersion: "2024-10-21" }))).toBe(
    `${resource}/openai/deployments/a-model/chat/completions?api-version=2024-10-21`
  )
  const embed = make("azure-openai", { baseUrl }).embed
  expect(embed && Redacted.value(embed.url)).toBe(`${baseUrl}/embeddings?api-version=${ProviderTable.azureApiVersion}`)
  // The list of models is not below a deployment.
  expect(make("azure-openai", { baseUrl }).models).toBe(undefined)
  expect(() => make("azure-openai", { baseUrl, deployment: "other" })).toThrow("two deployments")
  expect(() => make("azure-openai", { baseUrl: `${baseUrl}/chat/completions` })).toThrow("must end with the deployment")
  expect(() => make("azure-openai-responses", { baseUrl })).toThrow("not below a deployment")
})

it("knows the addresses of Azure for the Responses API", () => {
  const baseUrl = "https://x.openai.azure.com"
  const url = (provider: Partial<Plan.Provider>) => urlOf(make("azure-openai-responses", provider))
  expect(url({ baseUrl })).toBe(`${baseUrl}/openai/v1/responses`)
  expect(url({ baseUrl: `${baseUrl}/openai/v1/` })).toBe(`${baseUrl}/openai/v1/responses`)
  expect(url({ baseUrl: `${baseUrl}/openai/v1`, apiVersion: "preview" })).toBe(
    `${baseUrl}/openai/v1/responses?api-version=preview`
  )
  for (const address of [baseUrl, `${baseUrl}/openai`])
    expect(url({ baseUrl: address, apiVersion: "2025-04-01-preview" })).toBe(
      `${baseUrl}/openai/responses?api-version=2025-04-01-preview`
    )
})

it("makes the address of Vertex AI of region and project", () => {
  const url = (provider: Partial<Plan.Provider>, model?: string) =>
    urlOf(make("vertex", { auth: "key", ...provider }, { key: "k", model: model ?? "gemini-2.5-flash" }))
  const place = "projects/p/locations/europe-west4"
  expect(url({ region: "europe-west4", project: "p" })).toBe(
    `https://europe-west4-aiplatform.googleapis.com/v1/${place}/publishers/google/models/gemini-2.5-flash:generateContent`
  )
  expect(url({ region: "global", project: "p" })).toContain(
    "https://aiplatform.googleapis.com/v1/projects/p/locations/global/"
  )
  expect(url({ region: "europe-west4", project: "p" }, "publishers/other/models/m")).toContain(
    `/${place}/publishers/other/models/m:generateContent`
  )
  const row = ProviderTable.find("vertex")
  expect(Redacted.value(make("vertex", { region: "r", project: "p" }, { key: "k" }).stream.url)).toContain(
    ":streamGenerateContent?alt=sse"
  )
  expect(row?.baseUrl).toBe(undefined)
  expect(() => url({ project: "p" })).toThrow("region must be stated")
  expect(() => url({ region: "europe-west4" })).toThrow("region and project must be stated")
  for (const region of ["a.test", "a/b", "A", "a@b", "", "a:1"])
    expect(() => url({ region, project: "p" })).toThrow("region must hold")
})

it("shows the key the way each provider wants it", () => {
  expect(headersOf(make("openai", {}, { key: "k" }))["authorization"]).toBe("Bearer k")
  expect(headersOf(make("anthropic", {}, { key: "k" }))).toMatchObject({
    "x-api-key": "k",
    "anthropic-version": "2023-06-01"
  })
  expect(headersOf(make("azure-openai", { baseUrl: "https://a.test" }, { key: "k" }))["api-key"]).toBe("k")
  const query = make("openai", {}, { key: "k&x" }, Auth.query("key"))
  expect(urlOf(query)).toBe("https://api.openai.com/v1/chat/completions?key=k%26x")
  expect(headersOf(query)["authorization"]).toBe(undefined)
  expect(headersOf(make("openai", {}, { key: "k" }, Auth.none))["authorization"]).toBe(undefined)
  expect(headersOf(make("ollama"))["authorization"]).toBe(undefined)
})

it("adds the headers and the query of the provider's file", () => {
  const endpoint = make("openai", {
    headers: { "X-Team": Redacted.make("t") },
    query: { v: Redacted.make("1") },
    organization: "o",
    project: "p"
  })
  expect(headersOf(endpoint)).toMatchObject({ "x-team": "t", "openai-organization": "o", "openai-project": "p" })
  expect(urlOf(endpoint)).toContain("?v=1")
})

it("refuses addresses that no key should go to", () => {
  for (const baseUrl of ["ftp://a.test", "file:///etc", "a.test/v1", "", "https://user:pass@a.test", "javascript:1"])
    expect(() => make("openai", { baseUrl })).toThrow(RangeError)
  expect(() => make("azure-openai")).toThrow("base_url must be stated")
})

it("refuses headers that would smuggle, without showing them", () => {
  for (const bad of ["a\r\nb: c", "a\nb", "a\0b", "a\u2028b", "語"]) {
    const secret = `s3cr3t${bad}`
    for (const provider of [{ headers: { "x-a": Redacted.make(secret) } }, { organization: secret }])
      expect(() => make("openai", provider)).toThrow(RangeError)
    expect(() => make("openai", {}, { key: secret })).toThrow(/^(?!.*s3cr3t).*authorization/)
  }
  for (const name of ["host", "Content-Length", "transfer-encoding", "connection"])
    expect(() => make("openai", { headers: { [name]: Redacted.make("x") } })).toThrow("belongs to the connection")
  expect(() => make("openai", { headers: { "a b": Redacted.make("x") } })).toThrow("name")
  expect(() => make("openai", {}, { key: "" })).toThrow("empty")
})

it("prints no secret and redacts all of them", () => {
  const endpoint = make(
    "openai",
    { headers: { "x-a": Redacted.make("header-secret") }, query: { q: Redacted.make("query-secret") } },
    { key: "key-secret" }
  )
  expect(`${inspect(endpoint, { depth: 20 })}${JSON.stringify(endpoint)}`).not.toContain("secret")
  expect(endpoint.redaction("key-secret header-secret query-secret")).toBe("[redacted] [redacted] [redacted]")
})
