/**
 * What makes two requests the same: everything that decides the answer, the tenant first.
 *
 * A key is made of a request and the tenant it names, in no other way, so that nothing keyed by it crosses from one
 * tenant to another. `RequestKey` is a SHA-256 digest: what is stored under it, logged or dumped shows no word of a
 * prompt. `Text` is what the digest is made of; it holds the prompt and stays in memory.
 *
 * How urgent a request is, who pays and what it is labelled with (`timeout`, `priority`, `tags`, `sessionId`) is not
 * part of a key. The names that choose who answers are, as a key may stand above a router.
 *
 * @since 0.1.0
 */
import type * as Brand from "effect/Brand"
import * as Digest from "effect/crypto/Digest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import type * as LlmRequest from "./LlmRequest.ts"

const TypeId = "~@echelon/core/RequestKey" as const

/**
 * The key of a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface RequestKey {
  readonly [TypeId]: typeof TypeId
  /** Whose request it is. `undefined` is nobody's: no named tenant shares with it. */
  readonly tenant: string | undefined
  /** SHA-256 over tenant, scope and request, in hexadecimal. */
  readonly digest: string
}

/**
 * A request in canonical form, with its tenant and scope. Equal texts are equal requests.
 *
 * **Gotchas** It holds the prompt: keep it out of stores, logs and errors.
 *
 * @since 0.1.0
 * @category models
 */
export type Text = Brand.Branded<string, "@echelon/core/RequestKey.Text">

/**
 * How a request uses what is shared: `bypass` neither takes nor gives, `refresh` gives without taking.
 *
 * @since 0.1.0
 * @category models
 */
export type Mode = "default" | "bypass" | "refresh"

/**
 * Options of `text` and `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Within what requests are compared: the name of who answers. */
  readonly scope: string
  /**
   * What is compared. `answer`: what decides the answer. `call`: also how the call goes about it: streamed or not,
   * `commit`, `onInterrupt`, the caller's own clocks, `maxTotalAttempts` and `maxCost`.
   */
  readonly of: "answer" | "call"
}

/** Deeper than any message or schema; a value that holds itself ends here. */
const maxDepth = 128

/**
 * Writes a value so that two texts are equal exactly when the values are. `undefined` when the value has no such
 * form: a function, a `Map`, a value that holds itself.
 *
 * `sorted` tells whether the order of an object's keys means nothing.
 */
const write = (value: unknown, sorted: boolean, depth: number): string | undefined => {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value)
    case "number":
    case "boolean":
    case "undefined":
      return String(value)
    case "bigint":
      return `${value}n`
    case "object":
      return value === null ? "null" : depth === maxDepth ? undefined : writeObject(value, sorted, depth + 1)
    default:
      return undefined
  }
}

/** What stands under these keys is read as it is written, the order of its keys included. */
const ordered: ReadonlySet<string> = new Set(["parameters", "schema", "body", "providerOptions"])

const writeObject = (value: object, sorted: boolean, depth: number): string | undefined => {
  const items: Array<string> = []
  if (Array.isArray(value)) {
    for (const item of value) {
      const written = write(item, sorted, depth)
      if (written === undefined) return undefined
      items.push(written)
    }
    return `[${items.join(",")}]`
  }
  if (value instanceof Uint8Array) return `bytes:${Base64.encode(value)}`
  if ("toJSON" in value && typeof value.toJSON === "function") {
    const written = write(value.toJSON(), sorted, depth)
    return written === undefined ? undefined : `json:${written}`
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && prototype !== Object.prototype) return undefined
  const entries = Object.entries(value)
  if (sorted) entries.sort(([a], [b]) => (a < b ? -1 : 1))
  for (const [key, one] of entries) {
    if (one === undefined) continue
    const written = write(one, sorted && !ordered.has(key), depth)
    if (written === undefined) return undefined
    items.push(`${JSON.stringify(key)}:${written}`)
  }
  return `{${items.join(",")}}`
}

const millis = (input: Duration.Input | undefined): number | undefined =>
  input === undefined ? undefined : Duration.toMillis(input)

/** How a call goes about its answer. */
const manner = ({ clocks, commit, metadata, stream }: LlmRequest.LlmRequest) => ({
  stream,
  commit: [commit, metadata.commit],
  onInterrupt: metadata.onInterrupt,
  budget: [metadata.maxTotalAttempts, metadata.maxCost],
  clocks: [clocks.attempt, clocks.ttft, clocks.idle, clocks.stream],
  stated: [millis(metadata.ttftTimeout), millis(metadata.idleTimeout), millis(metadata.streamTimeout)]
})

/**
 * Writes a request in canonical form; `undefined` when something in it has none, such as a function: such a request
 * is like no other.
 *
 * **Details** Keys are sorted, except in JSON that a model or a provider gets as it is written: the schemas of tools
 * and of the response format, `providerOptions`, and a raw body.
 *
 * @since 0.1.0
 * @category constructors
 */
export const text = (request: LlmRequest.LlmRequest, options: Options): Text | undefined => {
  const { embedding, messages, metadata, providerOptions, raw, responseFormat, settings, toolChoice, tools } = request
  const { groupName, model, poolName, provider, tenant, wrapperName } = metadata
  const written = write(
    {
      tenant,
      scope: options.scope,
      of: options.of,
      target: { wrapperName, poolName, groupName, provider, model },
      messages,
      embedding,
      tools,
      toolChoice,
      responseFormat,
      settings,
      providerOptions,
      // A raw answer has the form that was asked for; any other is the same parts either way.
      raw: raw === undefined ? undefined : { protocol: raw.protocol, body: raw.body, stream: request.stream },
      manner: options.of === "call" ? manner(request) : undefined
    },
    true,
    0
  )
  return written as Text | undefined
}

/**
 * Makes the key of a request; `undefined` when it has no canonical form.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Digest } from "effect/crypto"
 * import { LlmRequest } from "@echelon/core"
 * import * as RequestKey from "@echelon/core/RequestKey"
 *
 * const digestFor = (tenant: string) =>
 *   Effect.gen(function* () {
 *     const input = { prompt: "hi", metadata: { tenant } }
 *     const request = yield* LlmRequest.make(input, { stream: false, commit: "finish" })
 *     const key = yield* RequestKey.make(request, { scope: "pool", of: "answer" })
 *     return key?.digest
 *   })
 * const program = Effect.all([digestFor("a"), digestFor("a"), digestFor("b")])
 * const [one, again, other] = await Effect.runPromise(Effect.provide(program, Digest.layerWebCrypto))
 * console.assert(one === again && one !== other)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  request: LlmRequest.LlmRequest,
  options: Options
): Effect.Effect<RequestKey | undefined, never, Digest.Digest> =>
  Effect.suspend(() => {
    const written = text(request, options)
    return written === undefined
      ? Effect.succeed(undefined)
      : Digest.Digest.use((digest) =>
          Effect.map(
            digest.digestHex(Digest.sha256, new TextEncoder().encode(written)),
            (hex): RequestKey => ({ [TypeId]: TypeId, tenant: request.metadata.tenant, digest: hex })
          )
        )
  })
