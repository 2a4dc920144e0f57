import { generateKeyPairSync } from "node:crypto"
import { Llm, type LlmRequest, type Plan, Plans } from "@echelon/core"
import { Instance, Proof, ProviderTable, TokenSource, Transport } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { json, type Seen, serve } from "./Support.ts"

const chat = {
  id: "r",
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }]
}

const key = "s3cr3t-key-0123456789"
const pem = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ type: "pkcs8", format: "pem" })

type Options = Partial<Parameters<typeof Plans.provider>[0]>

const instance = (baseUrl: string, options: Options = {}, model = "a-model") =>
  Plans.instance({
    provider: Plans.provider({ name: "one", kind: "openai-compatible", baseUrl, region: "eu-west-1", ...options }),
    alias: "m",
    model: Plans.model({ model })
  })

const secretsOf = (tokenUri: string): Plan.Secrets => ({
  accessKeyId: Redacted.make(key),
  secretAccessKey: Redacted.make(key),
  sessionToken: Redacted.make(key),
  serviceAccount: Redacted.make(
    JSON.stringify({ client_email: "a@b.test", private_key: pem, private_key_id: key, token_uri: tokenUri })
  )
})

const layer = Layer.mergeAll(
  Transport.layer,
  TokenSource.layer({ one: Effect.succeed(TokenSource.token(key, 3_600_000)) })
)

/** A provider's settings for every way to show who asks. */
const kinds = (tokenUri: string): Readonly<Record<string, Options>> => {
  const credentials = [{ name: "", key: undefined, secrets: secretsOf(tokenUri), weight: 1 }]
  return {
    bearer: { key: Redacted.make(key) },
    header: { kind: "azure-openai", key: Redacted.make(key) },
    sigv4: { auth: "sigv4", credentials },
    google: { auth: "google", credentials },
    token: { auth: "token" }
  }
}

const ask = (llm: Llm.Llm, input: LlmRequest.Input = { prompt: "hi" }) => Llm.generate(llm, input)

for (const name of Object.keys(kinds("")))
  it.effect(`no redirect is followed, to its own origin neither: ${name}`, () =>
    Effect.gen(function* () {
      const tokens = yield* serve((_, response) => json(response, 200, { access_token: key, expires_in: 3_600 }))
      const thief = yield* serve((_, response) => json(response, 200, chat))
      const options = kinds(`${tokens.url}/token`)[name]
      for (const status of [301, 302, 303, 307, 308])
        for (const place of [`${thief.url}/chat/completions?key=${key}`, "/elsewhere"]) {
          const server = yield* serve((_, response) => {
            response.writeHead(status, { location: place })
            response.end()
          })
          const { llm, probe } = yield* Instance.make(instance(server.url, options))
          for (const error of [yield* Effect.flip(ask(llm)), yield* Effect.flip(probe)]) {
            expect(error.reason).toEqual({ _tag: "Unknown", status })
            expect(error.detail).toBe(
              "the provider answered with a redirect, which is not followed: a key belongs to the origin it is configured for"
            )
            expect(error.message).not.toContain(key)
          }
          expect(server.seen.map(({ method, url }) => [method, url.includes("elsewhere")])).toEqual([
            ["POST", false],
            ["GET", false]
          ])
          expect(`${JSON.stringify(server.seen[0]?.headers)}`).toContain(key)
        }
      expect(thief.connections()).toBe(0)
    }).pipe(Effect.provide(layer))
  )

const routing = ({ headers, url }: Seen) => {
  const { "content-length": _, ...rest } = headers
  return { url, headers: rest }
}

it.effect("nothing of a request changes where it goes or what it shows", () =>
  Effect.gen(function* () {
    const thief = yield* serve((_, response) => json(response, 200, chat))
    const server = yield* serve((_, response) => json(response, 200, chat))
    const { llm } = yield* Instance.make(instance(`${server.url}/v1`, { kind: "openai", key: Redacted.make(key) }))
    const evil = {
      baseUrl: thief.url,
      base_url: thief.url,
      api_base: thief.url,
      url: thief.url,
      host: "evil.test",
      path: "/evil",
      query: { evil: "1" },
      headers: { authorization: "Bearer evil", host: "evil.test" },
      extra_headers: { authorization: "Bearer evil" },
      api_key: "evil",
      apiKey: "evil",
      auth: "token",
      region: "evil"
    }
    const inputs: ReadonlyArray<LlmRequest.Input> = [
      { prompt: "hi" },
      { prompt: "hi", providerOptions: { openai: evil, one: evil } },
      {
        prompt: "hi",
        metadata: {
          provider: thief.url,
          model: `${thief.url}/../x`,
          poolName: "../x",
          tags: ["x\r\nx-evil: 1"],
          sessionId: "\r\n"
        }
      },
      {
        prompt: "hi",
        raw: {
          protocol: "openai-chat",
          body: { ...evil, model: "../evil", messages: [{ role: "user", content: "hi" }] }
        }
      }
    ]
    for (const input of inputs) yield* ask(llm, input)
    const [plain, ...others] = server.seen.map(routing)
    expect(plain).toMatchObject({ url: "/v1/chat/completions", headers: { authorization: `Bearer ${key}` } })
    expect(others).toEqual([plain, plain, plain])
    expect(thief.connections()).toBe(0)
  }).pipe(Effect.provide(layer))
)

it.effect("a model's name stays in its place of the path", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => json(response, 500, {}))
    const credentials = [{ name: "", key: undefined, secrets: secretsOf("https://a.test"), weight: 1 }]
    const kinds: ReadonlyArray<Options> = [
      { kind: "azure-openai", key: Redacted.make(key) },
      { kind: "gemini", key: Redacted.make(key) },
      { kind: "vertex", key: Redacted.make(key), project: "p" },
      { kind: "bedrock", credentials }
    ]
    for (const options of kinds) {
      for (const model of ["..", "."]) {
        const error = yield* Effect.flip(Instance.make(instance(server.url, options, model)))
        expect(error.reason._tag).toBe("InvalidRequest")
      }
      for (const model of ["@evil.test", "a?b#c", "a\\..\\b", "%2e%2e", "a\r\nx-evil: 1", "a;b=//evil.test:1"]) {
        const built = yield* Effect.result(Instance.make(instance(server.url, options, model)))
        if (built._tag === "Success") yield* Effect.flip(ask(built.success.llm))
      }
    }
    for (const { headers, url } of server.seen) {
      expect(headers["x-evil"]).toBe(undefined)
      expect(url).not.toMatch(/\/\.\.?(\/|$)|\\|#|\?b/)
      expect(url).toMatch(/^\/(openai\/deployments|models|projects\/p\/locations|model)\//)
    }
    expect(server.seen.length).toBeGreaterThan(12)
    for (const [field, value] of [
      ["deployment", ".."],
      ["project", ".."],
      ["region", "a.test/"]
    ] as const) {
      const kind = field === "deployment" ? "azure-openai" : "vertex"
      const baseUrl = field === "region" ? undefined : server.url
      const plan = instance(server.url, { kind, key: Redacted.make(key), project: "p", baseUrl, [field]: value })
      expect((yield* Effect.flip(Instance.make(plan))).reason._tag).toBe("InvalidRequest")
    }
  }).pipe(Effect.provide(layer))
)

it.effect("an instance with a key has no prover, and is sent as it was", () =>
  Effect.gen(function* () {
    const transport = yield* Transport.Transport
    const plan = instance("http://127.0.0.1:1", { key: Redacted.make(key) })
    const row = ProviderTable.find("openai-compatible")
    if (row === undefined) return yield* Effect.die("no row")
    const client = yield* transport.client(plan.provider)
    expect(yield* Proof.make(row, plan, client)).toBe(undefined)
  }).pipe(Effect.provide(layer))
)

it("says what a credential lacks", () => {
  const cases: ReadonlyArray<readonly [string, Plan.AuthKind | undefined, Plan.Credential, string | undefined]> = [
    ["openai", undefined, { name: "", key: undefined, weight: 1 }, "api_key"],
    ["openai", undefined, { name: "", key: Redacted.make(key), weight: 1 }, undefined],
    ["ollama", undefined, { name: "", key: undefined, weight: 1 }, undefined],
    ["azure-openai", "token", { name: "", key: undefined, weight: 1 }, undefined],
    ["bedrock", undefined, { name: "", key: undefined, weight: 1 }, "access_key_id"],
    ["bedrock", undefined, { name: "", key: Redacted.make(key), weight: 1 }, undefined],
    [
      "bedrock",
      undefined,
      { name: "", key: undefined, weight: 1, secrets: { accessKeyId: Redacted.make(key) } },
      "secret_access_key"
    ],
    ["bedrock", undefined, { name: "", key: undefined, weight: 1, secrets: secretsOf("") }, undefined],
    ["vertex", undefined, { name: "", key: undefined, weight: 1 }, "service_account"],
    ["vertex", undefined, { name: "", key: undefined, weight: 1, secrets: { serviceAccountFile: "f" } }, undefined],
    ["vertex", "key", { name: "", key: undefined, weight: 1 }, "api_key"],
    ["openai", "none", { name: "", key: undefined, weight: 1 }, undefined],
    ["bedrock", "none", { name: "", key: undefined, weight: 1 }, undefined],
    ["openai", "header", { name: "", key: undefined, weight: 1 }, "api_key"],
    ["ollama", "query", { name: "", key: undefined, weight: 1 }, "api_key"],
    ["ollama", "bearer", { name: "", key: Redacted.make(key), weight: 1 }, undefined]
  ]
  for (const [kind, auth, credential, expected] of cases) {
    const row = ProviderTable.find(kind)
    if (row === undefined) throw new Error(kind)
    expect([kind, Proof.lacks(row, Plans.provider({ name: kind, kind, auth }), credential)]).toEqual([kind, expected])
  }
})
