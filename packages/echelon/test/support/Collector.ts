import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"

/** One span as it arrived. */
export interface Arrived {
  readonly name: string
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly status: { readonly code: number; readonly message?: string }
  readonly start: bigint
  readonly end: bigint
  readonly attributes: Readonly<Record<string, unknown>>
  readonly events: ReadonlyArray<{ readonly name: string; readonly attributes: Readonly<Record<string, unknown>> }>
}

/** A server of loopback that keeps what it was sent. */
export interface Collector {
  readonly url: string
  readonly posts: Array<{
    readonly path: string
    readonly headers: Http.IncomingHttpHeaders
    readonly body: Buffer
  }>
  /** How the next posts are answered; `stall` never. @default 200 */
  readonly answers: Array<number | "stall">
  /** The spans of all posts that were answered with 200, in JSON. */
  readonly spans: () => ReadonlyArray<Arrived>
  readonly resource: () => Readonly<Record<string, unknown>>
  readonly until: (predicate: () => boolean) => Effect.Effect<void>
}

type Value = Readonly<Record<string, unknown>> & { readonly arrayValue?: { readonly values: ReadonlyArray<Value> } }
type KeyValue = { readonly key: string; readonly value: Value }

const valueOf = (value: Value): unknown =>
  value.arrayValue === undefined ? Object.values(value)[0] : value.arrayValue.values.map(valueOf)

const recordOf = (all: ReadonlyArray<KeyValue>) =>
  Object.fromEntries(all.map(({ key, value }) => [key, valueOf(value)]))

const bodiesOf = (posts: Collector["posts"]) =>
  posts
    .filter(({ headers }) => headers["content-type"] === "application/json")
    .map(({ body }) => JSON.parse(String(body)))

const spansOf = (body: {
  readonly resourceSpans: ReadonlyArray<{
    readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<never> }>
  }>
}): ReadonlyArray<Arrived> =>
  body.resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span: Record<string, never>) => ({
        ...(span as unknown as Arrived),
        start: BigInt(span["startTimeUnixNano"] ?? 0),
        end: BigInt(span["endTimeUnixNano"] ?? 0),
        attributes: recordOf(span["attributes"] ?? []),
        events: ((span["events"] ?? []) as ReadonlyArray<{ name: string; attributes: ReadonlyArray<KeyValue> }>).map(
          (event) => ({ name: event.name, attributes: recordOf(event.attributes) })
        )
      }))
    )
  )

export const make: Effect.Effect<Collector, never, Scope.Scope> = Effect.gen(function* () {
  const posts: Collector["posts"] = []
  const taken: Collector["posts"] = []
  const answers: Collector["answers"] = []
  const checks = new Set<() => void>()
  const server = Http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const post = { path: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks) }
      const answer = answers.shift() ?? 200
      posts.push(post)
      if (answer === 200) taken.push(post)
      if (answer !== "stall") response.writeHead(answer).end("planted answer of a collector")
      for (const check of [...checks]) check()
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    posts,
    answers,
    spans: () => bodiesOf(taken).flatMap(spansOf),
    resource: () => recordOf(bodiesOf(taken)[0]?.resourceSpans[0].resource.attributes ?? []),
    until: (predicate) =>
      Effect.callback((resume) => {
        const check = () => {
          if (!predicate()) return
          checks.delete(check)
          resume(Effect.void)
        }
        checks.add(check)
        check()
        return Effect.sync(() => void checks.delete(check))
      })
  }
})
