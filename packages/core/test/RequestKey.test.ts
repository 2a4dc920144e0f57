import { LlmRequest } from "@echelon/core"
import * as RequestKey from "@echelon/core/RequestKey"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Digest } from "effect/crypto"
import { dice } from "./support/dice.ts"

const options = { scope: "pool", of: "answer" } as const
const requestOf = (input: Partial<LlmRequest.Input>, run: Partial<LlmRequest.LlmRequest> = {}) =>
  Effect.map(LlmRequest.make({ prompt: "hi", ...input }, { stream: true, commit: "first_output" }), (request) => ({
    ...request,
    ...run
  }))
const textOf = (input: Partial<LlmRequest.Input>, of: RequestKey.Options["of"] = "answer") =>
  Effect.map(requestOf(input), (request) => RequestKey.text(request, { scope: "pool", of }))

const tool = (parameters: Record<string, unknown>): LlmRequest.Tool => ({ name: "t", parameters })
const file = (data: string | Uint8Array | URL): LlmRequest.Input["prompt"] => [
  { role: "user", content: [{ type: "file", mediaType: "image/png", data }] }
]

const differing: ReadonlyArray<Partial<LlmRequest.Input>> = [
  {},
  { prompt: "hi " },
  { prompt: [{ role: "system", content: "hi" }] },
  { prompt: [{ role: "user", content: "hi", options: { openai: { detail: "low" } } }] },
  { tools: [tool({ type: "object" })] },
  { tools: [tool({ type: "object", properties: { a: {}, b: {} } })] },
  { tools: [tool({ type: "object", properties: { b: {}, a: {} } })] },
  { tools: [{ ...tool({ type: "object" }), strict: true }] },
  { toolChoice: "none" },
  { toolChoice: { tool: "none" } },
  { responseFormat: { type: "json", name: "a", schema: {} } },
  { responseFormat: { type: "json", name: "b", schema: {} } },
  { settings: { temperature: 0 } },
  { settings: { temperature: 1 } },
  { settings: { topP: 1 } },
  { settings: { seed: 1 } },
  { settings: { maxOutputTokens: 1 } },
  { settings: { stop: ["a", "b"] } },
  { settings: { stop: ["a,b"] } },
  { settings: { reasoningEffort: "low" } },
  { providerOptions: { openai: { a: 1 } } },
  { providerOptions: { azure: { a: 1 } } },
  { providerOptions: { openai: { a: "1" } } },
  { raw: { protocol: "openai-chat", body: {} } },
  { raw: { protocol: "anthropic-messages", body: {} } },
  { raw: { protocol: "openai-chat", body: { user: "u" } } },
  { metadata: { tenant: "a" } },
  { metadata: { tenant: "b" } },
  { metadata: { tenant: "" } },
  { metadata: { tenant: "undefined" } },
  { metadata: { poolName: "p" } },
  { metadata: { groupName: "p" } },
  { metadata: { wrapperName: "p" } },
  { metadata: { provider: "p" } },
  { metadata: { model: "p" } },
  { prompt: file("aGk=") },
  { prompt: file(new TextEncoder().encode("hi")) },
  { prompt: file("https://example.org/a.png") },
  { prompt: file(new URL("https://example.org/a.png")) }
]

it.effect("whatever changes the answer, or whose it is, changes the key", () =>
  Effect.gen(function* () {
    const texts = yield* Effect.forEach(differing, (input) => textOf(input))
    expect(new Set(texts).size).toBe(differing.length)
    const request = yield* requestOf({})
    const elsewhere = RequestKey.text(request, { scope: "other", of: "answer" })
    expect(texts).not.toContain(elsewhere)
    expect(texts).not.toContain(RequestKey.text(request, { scope: "pool", of: "call" }))
  })
)

it.effect("what does not change the answer is not in the key", () =>
  Effect.gen(function* () {
    const plain = yield* textOf({})
    for (const metadata of [
      { timeout: "1 second", ttftTimeout: "1 second", consumerIdleTimeout: "1 second" },
      { priority: "critical", tags: ["x"], sessionId: "s" },
      { commit: "finish", onInterrupt: "restart" },
      { maxCost: 1, maxTotalAttempts: 1 }
    ] as const)
      expect(yield* textOf({ metadata })).toBe(plain)
    expect(yield* textOf({ prompt: [{ role: "user", content: "hi" }] })).toBe(plain)
    expect(yield* textOf({ settings: { temperature: undefined }, tools: [] })).toBe(plain)
    const request = yield* requestOf(
      {},
      { stream: false, commit: "finish", deadline: 5, echelon: "g.e", kind: "hedge" }
    )
    expect(RequestKey.text(request, options)).toBe(plain)
  })
)

it.effect("a call's key also says how it goes about the answer, and not until when", () =>
  Effect.gen(function* () {
    const call = { scope: "pool", of: "call" } as const
    const base = yield* requestOf({})
    const plain = RequestKey.text(base, call)
    const texts = [plain, RequestKey.text({ ...base, stream: false }, call)]
    texts.push(RequestKey.text({ ...base, commit: "finish" }, call))
    for (const metadata of [
      { onInterrupt: "resume" },
      { onInterrupt: ["resume", "restart"] },
      { commit: "first_output" },
      { ttftTimeout: "1 second" },
      { streamTimeout: "1 second" },
      { idleTimeout: "1 second" },
      { maxTotalAttempts: 1 },
      { maxCost: 1 }
    ] as const)
      texts.push(yield* textOf({ metadata }, "call"))
    expect(new Set(texts).size).toBe(11)
    expect(yield* textOf({ metadata: { timeout: "1 second", priority: "batch", tags: ["x"] } }, "call")).toBe(plain)
    expect(yield* textOf({ metadata: { ttftTimeout: "1 second" } }, "call")).toBe(
      yield* textOf({ metadata: { ttftTimeout: 1_000 } }, "call")
    )
  })
)

it.effect("a raw answer has the form that was asked for", () =>
  Effect.gen(function* () {
    const raw = { protocol: "openai-chat", body: { model: "m" } }
    const request = yield* requestOf({ raw })
    expect(RequestKey.text({ ...request, stream: false }, options)).not.toBe(RequestKey.text(request, options))
  })
)

it.effect("the order of keys means nothing, except in what is read as it is written", () =>
  Effect.gen(function* () {
    expect(yield* textOf({ settings: { seed: 1, topP: 1 } })).toBe(yield* textOf({ settings: { topP: 1, seed: 1 } }))
    const ordered = (body: Record<string, unknown>) => [
      textOf({ raw: { protocol: "p", body } }),
      textOf({ providerOptions: { p: body } }),
      textOf({ responseFormat: { type: "json", name: "n", schema: { properties: body } } })
    ]
    const one = yield* Effect.all(ordered({ a: 1, b: { c: 1, d: 1 } }))
    const two = yield* Effect.all(ordered({ a: 1, b: { d: 1, c: 1 } }))
    for (const [i, text] of one.entries()) expect(text).not.toBe(two[i])
  })
)

it.effect("a request with something in it that has no canonical form is like no other", () =>
  Effect.gen(function* () {
    const loop: Record<string, unknown> = {}
    loop["self"] = loop
    class Odd {}
    for (const value of [() => 1, Symbol("s"), new Map([["a", 1]]), new Set(), new Odd(), loop, /x/]) {
      expect(yield* textOf({ providerOptions: { p: { value } } })).toBeUndefined()
      expect(yield* textOf({ providerOptions: { p: { value: [value] } } })).toBeUndefined()
    }
    const request = yield* requestOf({ providerOptions: { p: loop } })
    expect(yield* RequestKey.make(request, options).pipe(Effect.provide(Digest.layerWebCrypto))).toBeUndefined()
  })
)

it.effect("the key holds the tenant and shows no word of the prompt", () =>
  Effect.gen(function* () {
    const request = yield* requestOf({ prompt: "confidential", metadata: { tenant: "acme" } })
    const key = yield* RequestKey.make(request, options)
    expect(key).toMatchObject({ tenant: "acme", digest: expect.stringMatching(/^[0-9a-f]{64}$/) })
    expect(JSON.stringify(key)).not.toContain("confidential")
    const again = yield* RequestKey.make(
      yield* requestOf({ prompt: "confidential", metadata: { tenant: "acme" } }),
      options
    )
    expect(again).toEqual(key)
    const other = yield* RequestKey.make(yield* requestOf({ prompt: "confidential" }), options)
    expect(other?.digest).not.toBe(key?.digest)
  }).pipe(Effect.provide(Digest.layerWebCrypto))
)

it.effect("two texts are equal exactly when the values are", () =>
  Effect.gen(function* () {
    const { below, of, random } = dice(7)
    const leaf = (): unknown =>
      of([
        null,
        undefined,
        true,
        false,
        0,
        -0,
        1,
        1.5,
        10n,
        "",
        "a",
        '"',
        "a,b",
        "null",
        "[]",
        "{}",
        "bytes:AA==",
        "json:1"
      ])
    const value = (depth: number): unknown => {
      if (depth === 0 || random() < 0.4) return leaf()
      if (random() < 0.1) return new Uint8Array(below(3))
      const size = below(4)
      if (random() < 0.5) return Array.from({ length: size }, () => value(depth - 1))
      return Object.fromEntries(Array.from({ length: size }, () => [of(["a", "b", 'c"', "0"]), value(depth - 1)]))
    }
    const base = yield* requestOf({})
    const textOf = (one: unknown) => RequestKey.text({ ...base, settings: { stop: one as Array<string> } }, options)
    // Another notation of the same: tags instead of types, keys sorted.
    const plain = (one: unknown): unknown => {
      if (one instanceof Uint8Array) return { bytes: [...one] }
      if (Array.isArray(one)) return { array: one.map(plain) }
      if (typeof one === "object" && one !== null) {
        const entries = Object.entries(one).filter(([, item]) => item !== undefined)
        return { object: entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, plain(item)]) }
      }
      return { [typeof one]: String(one) }
    }
    const seen = new Map<string, string>()
    for (let i = 0; i < 2_000; i++) {
      const one = value(3)
      // At the top `undefined` is no setting at all.
      const identity = JSON.stringify(plain({ stop: one }))
      const text = textOf(one)
      if (text === undefined) throw new Error("has no text")
      const known = seen.get(text)
      if (known !== undefined) expect(known).toBe(identity)
      seen.set(text, identity)
    }
    expect(new Set(seen.values()).size).toBe(seen.size)
  })
)
