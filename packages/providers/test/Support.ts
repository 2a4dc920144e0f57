import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { LlmRequest, type Plan, Plans } from "@echelon/core"
import { Dialect, type Protocol, ProviderTable } from "@echelon/providers"
import { Effect, Redacted } from "effect"

/** Options of a protocol as an instance of that kind has them. */
export const optionsOf = (kind: string, options: Partial<Protocol.Options> = {}): Protocol.Options => ({
  kind,
  model: "a-model",
  maxOutputTokens: undefined,
  dialect: ProviderTable.find(kind)?.dialect ?? Dialect.defaults,
  ...options
})

export const requestOf = (input: LlmRequest.Input, stream = false): LlmRequest.LlmRequest =>
  Effect.runSync(LlmRequest.make(input, { stream, commit: "finish" }))

export const instanceOf = (
  kind: string,
  provider: Partial<Plan.Provider> = {},
  options: { readonly key?: string | undefined; readonly model?: string } = {}
): Plan.Instance => {
  const key = options.key === undefined ? undefined : Redacted.make(options.key)
  return Plans.instance({
    name: `${kind}-model`,
    provider: Plans.provider({ name: kind, kind, key, ...provider }),
    alias: "model",
    model: Plans.model({ model: options.model ?? "a-model" })
  })
}

export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

export interface Loopback {
  readonly url: string
  readonly seen: Array<Seen>
  /** Connections that clients opened. */
  readonly connections: () => number
}

/** A server on a port of loopback; it and its connections end with the scope. */
export const serve = (
  handle: (request: Seen, response: Http.ServerResponse, index: number) => void
): Effect.Effect<Loopback, never, import("effect").Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ server: Http.Server; seen: Array<Seen>; count: () => number }>((resume) => {
        const seen: Array<Seen> = []
        let connections = 0
        const server = Http.createServer((request, response) => {
          const chunks: Array<Uint8Array> = []
          request.on("data", (chunk: Uint8Array) => chunks.push(chunk))
          request.on("end", () => {
            const one = {
              method: request.method ?? "",
              url: request.url ?? "",
              headers: request.headers,
              body: Buffer.concat(chunks).toString()
            }
            seen.push(one)
            handle(one, response, seen.length - 1)
          })
        })
        server.on("connection", () => connections++)
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, seen, count: () => connections })))
      }),
      ({ server }) =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    ),
    ({ count, seen, server }) => ({
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      seen,
      connections: count
    })
  )

export const json = (
  response: Http.ServerResponse,
  status: number,
  body: unknown,
  headers: Http.OutgoingHttpHeaders = {}
) => {
  response.writeHead(status, { "content-type": "application/json", ...headers })
  response.end(JSON.stringify(body))
}

/** The bytes of a stream whose events hold these data. */
export const sse = (...data: ReadonlyArray<unknown>): string =>
  data.map((item) => `data: ${typeof item === "string" ? item : JSON.stringify(item)}\n\n`).join("")

/** The same with the names that Anthropic gives its events. */
export const named = (...data: ReadonlyArray<{ readonly type: string }>): string =>
  data.map((item) => `event: ${item.type}\ndata: ${JSON.stringify(item)}\n\n`).join("")

/** Numbers from 0 to 1 that are the same in every run (mulberry32). */
export const seeded = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** Cuts bytes at random places. */
export const cut = (bytes: Uint8Array, random: () => number): ReadonlyArray<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  let at = 0
  while (at < bytes.length) {
    const size = random() < 0.2 ? 1 : 1 + Math.floor(random() * 700)
    chunks.push(bytes.slice(at, at + size))
    at += size
  }
  return chunks
}
