import { createHash, createHmac } from "node:crypto"
import { inspect } from "node:util"
import { Llm, Plans } from "@echelon/core"
import { type Auth, Instance, SigV4, Transport } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { json, type Seen, serve } from "./Support.ts"

// The credentials, the time and the signatures that AWS publishes with its test suite.
const accessKeyId = "AKIDEXAMPLE"
const secretAccessKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
const time = Date.UTC(2015, 7, 30, 12, 36, 0)
const sessionToken =
  "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

const signer = (options: Partial<SigV4.Options> = {}) =>
  SigV4.make({
    service: "service",
    region: "us-east-1",
    accessKeyId: Redacted.make(accessKeyId),
    secretAccessKey: Redacted.make(secretAccessKey),
    ...options
  })

interface Vector {
  readonly name: string
  readonly request: Partial<Auth.Outgoing>
  readonly options?: Partial<SigV4.Options>
  readonly signed: string
  readonly signature: string
}

const vectors: ReadonlyArray<Vector> = [
  {
    name: "get-vanilla",
    request: {},
    signed: "host;x-amz-date",
    signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
  },
  {
    name: "get-vanilla-query-order-key-case",
    request: { url: "https://example.amazonaws.com/?Param2=value2&Param1=value1" },
    signed: "host;x-amz-date",
    signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
  },
  {
    name: "get-unreserved",
    request: {
      url: "https://example.amazonaws.com/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    },
    signed: "host;x-amz-date",
    signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"
  },
  {
    name: "get-header-value-trim",
    request: { headers: { "my-header1": " value1", "my-header2": ' "a   b   c"' } },
    signed: "host;my-header1;my-header2;x-amz-date",
    signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"
  },
  {
    name: "post-vanilla",
    request: { method: "POST" },
    signed: "host;x-amz-date",
    signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
  },
  {
    name: "post-vanilla-query",
    request: { method: "POST", url: "https://example.amazonaws.com/?Param1=value1" },
    signed: "host;x-amz-date",
    signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"
  },
  {
    name: "post-x-www-form-urlencoded",
    request: {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: "Param1=value1"
    },
    signed: "content-type;host;x-amz-date",
    signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
  },
  {
    name: "post-sts-header-before",
    request: { method: "POST" },
    options: { sessionToken: Redacted.make(sessionToken) },
    signed: "host;x-amz-date;x-amz-security-token",
    signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
  },
  {
    name: "the example of the signing guide",
    request: {
      url: "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
      headers: { "content-type": "application/x-www-form-urlencoded; charset=utf-8" }
    },
    options: { service: "iam" },
    signed: "content-type;host;x-amz-date",
    signature: "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
  }
]

for (const { name, options, request, signature, signed } of vectors) {
  it.effect(`signs as AWS does: ${name}`, () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(time)
      const prover = yield* signer(options)
      const headers = yield* prover.prove({
        method: "GET",
        url: "https://example.amazonaws.com/",
        headers: {},
        body: undefined,
        ...request
      })
      const scope = `20150830/us-east-1/${options?.service ?? "service"}/aws4_request`
      expect(headers).toEqual({
        authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${signed}, Signature=${signature}`,
        "x-amz-date": "20150830T123600Z",
        ...(options?.sessionToken === undefined ? {} : { "x-amz-security-token": sessionToken })
      })
    })
  )
}

// --- a server that signs once more --------------------------------------------------------------------------------

const hmac = (key: string | Uint8Array, data: string) => createHmac("sha256", key).update(data).digest()
const sha256 = (data: string) => createHash("sha256").update(data).digest("hex")
const escaped = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

/** The signature of what arrived, by the specification alone. */
const recomputed = (seen: Seen, secret: string): string => {
  const stated = /Credential=[^/]+\/(\d+)\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+),/.exec(
    seen.headers.authorization ?? ""
  )
  const [, day = "", region = "", service = "", names = ""] = stated ?? []
  const [path = "", query = ""] = seen.url.split("?", 2)
  const canonicalQuery = query
    .split("&")
    .filter((part) => part !== "")
    .map((part) => part.split("=", 2).map((text) => escaped(decodeURIComponent(text))))
    .map(([name, value = ""]) => `${name}=${value}`)
    .sort()
    .join("&")
  const headers = names.split(";").map((name) => `${name}:${String(seen.headers[name]).trim().replace(/ +/g, " ")}\n`)
  const canonical = [
    seen.method,
    path.split("/").map(escaped).join("/"),
    canonicalQuery,
    headers.join(""),
    names,
    sha256(seen.body)
  ].join("\n")
  const scope = `${day}/${region}/${service}/aws4_request`
  const toSign = ["AWS4-HMAC-SHA256", String(seen.headers["x-amz-date"]), scope, sha256(canonical)].join("\n")
  const key = [day, region, service, "aws4_request"].reduce<string | Uint8Array>(
    (key, part) => hmac(key, part),
    `AWS4${secret}`
  )
  return createHmac("sha256", key).update(toSign).digest("hex")
}

const isSigned = (seen: Seen) => seen.headers.authorization?.endsWith(`Signature=${recomputed(seen, secretAccessKey)}`)

const chat = {
  id: "r",
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }]
}

const secrets = {
  accessKeyId: Redacted.make(accessKeyId),
  secretAccessKey: Redacted.make(secretAccessKey),
  sessionToken: Redacted.make(sessionToken)
}

const provider = (baseUrl: string, options: Partial<Parameters<typeof Plans.provider>[0]> = {}) =>
  Plans.provider({
    name: "aws",
    kind: "openai-compatible",
    baseUrl,
    auth: "sigv4",
    region: "eu-central-1",
    credentials: [{ name: "", key: undefined, secrets, weight: 1 }],
    query: { note: Redacted.make("a b+c&d=é*") },
    headers: { "x-team": Redacted.make("team  one") },
    ...options
  })

const instance = (baseUrl: string, options: Partial<Parameters<typeof Plans.provider>[0]> = {}) =>
  Plans.instance({ provider: provider(baseUrl, options), alias: "m", model: Plans.model({ model: "a:model/v1:0" }) })

it.effect("what arrives has the signature that the server computes, calls and probes alike", () =>
  Effect.gen(function* () {
    yield* TestClock.setTime(time)
    const server = yield* serve((seen, response) => json(response, 200, seen.method === "GET" ? { data: [] } : chat))
    const { llm, probe } = yield* Instance.make(instance(`${server.url}/v1`))
    const answer = yield* Llm.generate(llm, { prompt: "häßlich\r\n語" })
    expect(answer.text).toBe("hello")
    yield* probe
    yield* TestClock.adjust("2 days")
    yield* Llm.generate(llm, { prompt: "again" })
    expect(server.seen.map(isSigned)).toEqual([true, true, true])
    const [first, second, third] = server.seen
    expect(first?.headers.authorization).toMatch(
      /Credential=AKIDEXAMPLE\/20150830\/eu-central-1\/bedrock\/aws4_request, SignedHeaders=accept;content-type;host;x-amz-date;x-amz-security-token;x-team,/
    )
    expect(second?.method).toBe("GET")
    expect(third?.headers["x-amz-date"]).toBe("20150901T123600Z")
    // A changed body, path, query or header is another request.
    if (first === undefined) return
    for (const change of [
      { body: `${first.body} ` },
      { url: first.url.replace("note", "mote") },
      { url: first.url.replace("/v1/", "/v2/") },
      { headers: { ...first.headers, "x-team": "team two" } },
      { method: "PUT" }
    ])
      expect(isSigned({ ...first, ...change })).toBe(false)
  }).pipe(Effect.provide(Transport.layer))
)

it.effect("signs an encoded path as it is sent", () =>
  Effect.gen(function* () {
    yield* TestClock.setTime(time)
    const server = yield* serve((_, response) => json(response, 500, {}))
    const plan = instance(server.url, { kind: "bedrock" })
    const { llm } = yield* Instance.make(plan)
    yield* Effect.flip(Llm.generate(llm, { prompt: "hi" }))
    expect(server.seen[0]?.url).toContain("a%3Amodel%2Fv1%3A0")
    expect(server.seen.map(isSigned)).toEqual([true])
  }).pipe(Effect.provide(Transport.layer))
)

it.effect("shows neither secrets nor signatures", () =>
  Effect.gen(function* () {
    yield* TestClock.setTime(time)
    const server = yield* serve((seen, response) => json(response, 403, { error: { message: inspect(seen.headers) } }))
    const built = yield* Instance.make(instance(server.url))
    const error = yield* Effect.flip(Llm.generate(built.llm, { prompt: "hi" }))
    expect(error.reason._tag).toBe("Authentication")
    for (const shown of [
      error.message,
      inspect(error, { depth: 9 }),
      inspect(built, { depth: 20, showHidden: true })
    ]) {
      for (const secret of [accessKeyId, secretAccessKey, sessionToken]) expect(shown).not.toContain(secret)
      expect(shown).not.toMatch(/[0-9a-f]{64}/)
    }
    // It is not asked twice: another signature of the same key would be refused as well.
    expect(server.seen.length).toBe(1)
  }).pipe(Effect.provide(Transport.layer))
)

it.effect("refuses what no signature can be made of, without showing it", () =>
  Effect.gen(function* () {
    const cases: ReadonlyArray<readonly [Partial<Parameters<typeof Plans.provider>[0]>, string, string]> = [
      [{ region: undefined }, "InvalidRequest", "region"],
      [{ region: "eu/../x" }, "InvalidRequest", "region"],
      [{ credentials: [{ name: "", key: undefined, weight: 1 }] }, "Authentication", "access_key_id"],
      [
        {
          credentials: [{ name: "", key: undefined, secrets: { accessKeyId: secrets.accessKeyId }, weight: 1 }]
        },
        "Authentication",
        "secret_access_key"
      ],
      [
        {
          credentials: [
            {
              name: "",
              key: undefined,
              secrets: { ...secrets, accessKeyId: Redacted.make("AKID\r\nx-evil: 1") },
              weight: 1
            }
          ]
        },
        "InvalidRequest",
        "access_key_id"
      ],
      [{ headers: { Authorization: Redacted.make("mine") } }, "InvalidRequest", "authorization is computed"],
      [{ headers: { "x-amz-date": Redacted.make("mine") } }, "InvalidRequest", "x-amz-date is computed"]
    ]
    for (const [options, reason, part] of cases) {
      const error = yield* Effect.flip(Instance.make(instance("http://127.0.0.1:1", options)))
      expect([error.reason._tag, error.instance ?? "aws-m"]).toEqual([reason, "aws-m"])
      expect(error.message).toContain(part)
      expect(error.message).not.toMatch(/evil|mine|AKID/)
    }
  }).pipe(Effect.provide(Transport.layer))
)
