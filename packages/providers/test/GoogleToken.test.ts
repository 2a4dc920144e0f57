import { createPublicKey, generateKeyPairSync } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import type * as Http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { Llm, Plans } from "@echelon/core"
import { GoogleToken, Instance, TokenCache, Transport } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Result } from "effect"
import { TestClock } from "effect/testing"
import { jwtVerify } from "jose"
import { json, type Seen, serve } from "./Support.ts"

const pair = generateKeyPairSync("rsa", { modulusLength: 2048 })
const privateKey = pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString()
const publicKey = createPublicKey(pair.privateKey)

const accountOf = (tokenUri: string, fields: Readonly<Record<string, unknown>> = {}) =>
  JSON.stringify({
    type: "service_account",
    project_id: "p",
    private_key_id: "key-id-0123456789",
    private_key: privateKey,
    client_email: "robot@p.iam.gserviceaccount.com",
    token_uri: tokenUri,
    ...fields
  })

const reply = {
  candidates: [{ content: { role: "model", parts: [{ text: "hello" }] }, finishReason: "STOP" }],
  usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 }
}

const vertex = (
  baseUrl: string,
  secrets: { readonly serviceAccount?: Redacted.Redacted; readonly serviceAccountFile?: string },
  alias = "gemini"
) =>
  Plans.instance({
    provider: Plans.provider({
      name: "vertex",
      kind: "vertex",
      baseUrl,
      region: "europe-west4",
      project: "p",
      credentials: [{ name: "", key: undefined, secrets, weight: 1 }]
    }),
    alias,
    model: Plans.model({ model: "gemini-2.5-flash" })
  })

const ask = (llm: Llm.Llm) => Llm.generate(llm, { prompt: "hi" })

type Handle = (seen: Seen, response: Http.ServerResponse, index: number) => void

/** A token endpoint and a provider; what the endpoint gives is `token-1`, `token-2` and so on. */
const world = Effect.fnUntraced(function* (
  options: {
    readonly token?: Handle
    readonly provider?: Handle
    readonly fields?: Readonly<Record<string, unknown>>
  } = {}
) {
  let given = 0
  const endpoint = yield* serve(
    options.token ??
      ((_, response) =>
        json(response, 200, { access_token: `token-${++given}`, expires_in: 3_600, token_type: "Bearer" }))
  )
  const provider = yield* serve(options.provider ?? ((_, response) => json(response, 200, reply)))
  const serviceAccount = Redacted.make(accountOf(`${endpoint.url}/token`, options.fields))
  const plan = vertex(provider.url, { serviceAccount })
  const { llm, probe } = yield* Instance.make(plan)
  return { endpoint, provider, llm, probe, plan }
})

const bearers = (seen: ReadonlyArray<Seen>) => seen.map(({ headers }) => headers.authorization)
const layer = Layer.mergeAll(Transport.layer, TokenCache.layerShared)
const test = (name: string, run: Effect.Effect<void, unknown, import("effect").Scope.Scope | Transport.Transport>) =>
  it.effect(name, () => Effect.provide(run, layer))

test(
  "exchanges a signed assertion for a token, and shows it",
  Effect.gen(function* () {
    yield* TestClock.setTime(1_800_000_000_000)
    const { endpoint, llm, probe, provider } = yield* world()
    expect((yield* ask(llm)).text).toBe("hello")
    yield* probe
    expect(bearers(provider.seen)).toEqual(["Bearer token-1", "Bearer token-1"])
    expect(provider.seen[0]?.url).toBe(
      "/projects/p/locations/europe-west4/publishers/google/models/gemini-2.5-flash:generateContent"
    )
    const [seen] = endpoint.seen
    expect(endpoint.seen.length).toBe(1)
    expect([seen?.method, seen?.url, seen?.headers["content-type"]]).toEqual([
      "POST",
      "/token",
      "application/x-www-form-urlencoded"
    ])
    const form = new URLSearchParams(seen?.body)
    expect(form.get("grant_type")).toBe("urn:ietf:params:oauth:grant-type:jwt-bearer")
    const { payload, protectedHeader } = yield* Effect.promise(() =>
      jwtVerify(form.get("assertion") ?? "", publicKey, {
        issuer: "robot@p.iam.gserviceaccount.com",
        audience: `${endpoint.url}/token`,
        currentDate: new Date(1_800_000_000_000)
      })
    )
    expect(protectedHeader).toEqual({ alg: "RS256", typ: "JWT", kid: "key-id-0123456789" })
    expect(payload).toMatchObject({
      scope: "https://www.googleapis.com/auth/cloud-platform",
      iat: 1_800_000_000,
      exp: 1_800_003_600
    })
  })
)

test(
  "exchanges once for many requests of all models, and again before it ends",
  Effect.gen(function* () {
    const { endpoint, llm, plan, provider } = yield* world()
    const other = yield* Instance.make({ ...plan, name: "vertex-other" })
    yield* Effect.forEach(Array.from({ length: 20 }), (_, i) => ask(i % 2 === 0 ? llm : other.llm), {
      concurrency: "unbounded"
    })
    expect([endpoint.seen.length, new Set(bearers(provider.seen))]).toEqual([1, new Set(["Bearer token-1"])])
    yield* TestClock.adjust("54 minutes")
    yield* ask(llm)
    expect(endpoint.seen.length).toBe(1)
    yield* TestClock.adjust("6 minutes")
    yield* ask(llm)
    expect([endpoint.seen.length, bearers(provider.seen).at(-1)]).toEqual([2, "Bearer token-2"])
  })
)

test(
  "a token that the provider refuses is replaced once, within the same attempt",
  Effect.gen(function* () {
    const { endpoint, llm, provider } = yield* world({
      provider: (seen, response) =>
        seen.headers.authorization === "Bearer token-1"
          ? json(response, 401, { error: { code: 401, message: "expired", status: "UNAUTHENTICATED" } })
          : json(response, 200, reply)
    })
    const answer = yield* ask(llm)
    expect(answer.text).toBe("hello")
    expect(bearers(provider.seen)).toEqual(["Bearer token-1", "Bearer token-2"])
    expect(provider.seen[0]?.body).toBe(provider.seen[1]?.body)
    expect(endpoint.seen.length).toBe(2)
  })
)

test(
  "an account that is refused does not make the token endpoint busy",
  Effect.gen(function* () {
    const { endpoint, llm, probe, provider } = yield* world({
      provider: (seen, response) =>
        json(response, 401, {
          error: { code: 401, message: `no ${seen.headers.authorization}`, status: "UNAUTHENTICATED" }
        })
    })
    for (let i = 0; i < 5; i++) {
      const error = yield* Effect.flip(ask(llm))
      expect(error.reason._tag).toBe("Authentication")
      expect(error.detail).toBe("no Bearer [redacted]")
    }
    expect((yield* Effect.flip(probe)).reason._tag).toBe("Authentication")
    expect([endpoint.seen.length, provider.seen.length]).toEqual([2, 7])
    yield* TestClock.adjust("61 seconds")
    yield* Effect.flip(ask(llm))
    expect([endpoint.seen.length, provider.seen.length]).toEqual([3, 9])
  })
)

test(
  "a 403 is no matter of the token",
  Effect.gen(function* () {
    const { endpoint, llm } = yield* world({
      provider: (_, response) =>
        json(response, 403, { error: { code: 403, message: "no", status: "PERMISSION_DENIED" } })
    })
    expect((yield* Effect.flip(ask(llm))).reason._tag).toBe("Authentication")
    expect(endpoint.seen.length).toBe(1)
  })
)

const failures: ReadonlyArray<readonly [string, Handle, string, string]> = [
  [
    "a refused grant",
    (_, response) => json(response, 400, { error: "invalid_grant", error_description: "Invalid JWT Signature." }),
    "Authentication",
    "the token endpoint answered 400: invalid_grant: Invalid JWT Signature."
  ],
  ["a refused client", (_, response) => json(response, 401, {}), "Authentication", "the token endpoint answered 401"],
  ["too many", (_, response) => json(response, 429, {}), "Network", "the token endpoint answered 429"],
  ["out of order", (_, response) => json(response, 503, {}), "Network", "the token endpoint answered 503"],
  [
    "no token",
    (_, response) => json(response, 200, { access_token: 1 }),
    "Network",
    "the token endpoint answered 200 without a token"
  ],
  [
    "no JSON",
    (_, response) => void response.end("<html>"),
    "Network",
    "the token endpoint answered 200 without a token"
  ],
  [
    "an answer without end",
    (_, response) => void response.end("x".repeat(100_000)),
    "Network",
    "the token endpoint's answer cannot be read"
  ],
  [
    "a token that would smuggle",
    (_, response) => json(response, 200, { access_token: "a\r\nx-evil: 1", expires_in: 3_600 }),
    "Authentication",
    "the token is empty or holds what no header may hold"
  ]
]

for (const [name, token, reason, detail] of failures)
  test(
    `a failure of the token endpoint: ${name}`,
    Effect.gen(function* () {
      const { llm, provider } = yield* world({ token })
      const error = yield* Effect.flip(ask(llm))
      expect([error.reason._tag, error.detail, error.instance]).toEqual([reason, detail, "vertex-gemini"])
      expect(provider.seen).toEqual([])
    })
  )

test(
  "a token endpoint that cannot be reached",
  Effect.gen(function* () {
    const provider = yield* serve((_, response) => json(response, 200, reply))
    const serviceAccount = Redacted.make(accountOf("http://127.0.0.1:1/token"))
    const { llm } = yield* Instance.make(vertex(provider.url, { serviceAccount }))
    const error = yield* Effect.flip(ask(llm))
    expect(error.reason).toEqual({ _tag: "Network", kind: "refused" })
    expect(error.detail).toBe("the token endpoint: ECONNREFUSED talking to http://127.0.0.1:1")
  })
)

test(
  "the assertion follows no redirect",
  Effect.gen(function* () {
    const thief = yield* serve((_, response) => json(response, 200, { access_token: "t", expires_in: 60 }))
    for (const status of [301, 302, 307, 308]) {
      const { llm } = yield* world({
        token: (_, response) => {
          response.writeHead(status, { location: `${thief.url}/token` })
          response.end()
        }
      })
      const error = yield* Effect.flip(ask(llm))
      expect([error.reason._tag, error.detail]).toEqual([
        "Authentication",
        `the token endpoint answered ${status}: a redirect, which is not followed`
      ])
    }
    expect(thief.seen).toEqual([])
  })
)

test(
  "shows neither key nor assertion nor token, whoever repeats them",
  Effect.gen(function* () {
    const { llm } = yield* world({
      token: (seen, response) =>
        json(response, 400, {
          error: "invalid_grant",
          error_description: new URLSearchParams(seen.body).get("assertion")
        })
    })
    const refused = yield* Effect.flip(ask(llm))
    expect(refused.detail).toBe("the token endpoint answered 400: invalid_grant: [redacted]")
    const built = yield* world({
      provider: (seen, response) => json(response, 418, { echo: [seen.headers, privateKey, "key-id-0123456789"] })
    })
    const error = yield* Effect.flip(ask(built.llm))
    const shown = inspect([refused, error, built.llm, built.plan], { depth: 20, showHidden: true })
    for (const secret of ["token-1", "key-id-0123456789", "BEGIN PRIVATE KEY", privateKey.split("\n")[1] ?? "?"])
      expect(shown).not.toContain(secret)
  })
)

test(
  "reads the account from a file, again for each exchange",
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "echelon-google-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true }))
    )
    const file = join(folder, "account.json")
    const endpoint = yield* serve((_, response) => json(response, 200, { access_token: "t", expires_in: 60 }))
    const provider = yield* serve((_, response) => json(response, 200, reply))
    const { llm } = yield* Instance.make(vertex(provider.url, { serviceAccountFile: file }))
    const error = yield* Effect.flip(ask(llm))
    expect(error.detail).toBe("the service account cannot be read from service_account_file (ENOENT)")
    writeFileSync(file, accountOf(`${endpoint.url}/token`))
    expect((yield* ask(llm)).text).toBe("hello")
  })
)

test(
  "an account that cannot be used says why and quotes nothing",
  Effect.gen(function* () {
    const ec = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" })
    const cases: ReadonlyArray<readonly [string, string]> = [
      ["{s3cr3t", "is not a JSON object"],
      [
        accountOf("https://a.test", { type: "s3cr3t" }),
        'is of another type than "service_account"; use auth = "token" for it'
      ],
      [accountOf("https://a.test", { client_email: "" }), "has no client_email"],
      [accountOf("https://a.test", { private_key: 1 }), "has no private_key"],
      [accountOf("http://s3cr3t.test/token"), "has a token_uri that is neither an https address nor one of loopback"],
      [accountOf("https://a.test", { private_key: "s3cr3t" }), "has a private_key that is no RSA key in PKCS #8"],
      [accountOf("https://a.test", { private_key: ec }), "has a private_key that is no RSA key in PKCS #8"]
    ]
    for (const [text, problem] of cases) {
      const { llm } = yield* Instance.make(vertex("http://127.0.0.1:1", { serviceAccount: Redacted.make(text) }))
      const error = yield* Effect.flip(ask(llm))
      expect([error.reason._tag, error.detail]).toEqual(["Authentication", `the service account ${problem}`])
      expect(inspect(error, { depth: 9 })).not.toContain("s3cr3t")
    }
  })
)

it("asks https and loopback addresses only", () => {
  const allowed = [
    "https://a.test/t",
    "http://localhost:1/t",
    "http://127.0.0.1/t",
    "http://127.1.2.3/t",
    "http://[::1]:9/t"
  ]
  const refused = [
    "http://a.test",
    "http://localhost.a.test",
    "http://127.0.0.1.a.test",
    "http://10.0.0.1",
    "https://u:p@a.test",
    "ftp://127.0.0.1",
    "a.test",
    ""
  ]
  for (const address of allowed) expect(Result.isSuccess(GoogleToken.parse(accountOf(address)))).toBe(true)
  for (const address of refused)
    expect([address, Result.isSuccess(GoogleToken.parse(accountOf(address)))]).toEqual([address, false])
  const { token_uri: _, ...account } = JSON.parse(accountOf(""))
  expect(Result.getOrThrow(GoogleToken.parse(JSON.stringify(account))).tokenUri).toBe(GoogleToken.defaultTokenUri)
})
