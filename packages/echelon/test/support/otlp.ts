/** A real OTLP receiver: node:http, and a reader of what is posted, whichever way it is written. */
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, Queue, type Scope } from "effect"

export interface Point {
  readonly labels: Readonly<Record<string, unknown>>
  readonly value?: number
  readonly count?: number
  readonly sum?: number
  readonly bucketCounts?: ReadonlyArray<number>
  readonly explicitBounds?: ReadonlyArray<number>
}
export interface Exported {
  readonly name: string
  readonly unit: string
  readonly description: string
  readonly kind: "sum" | "gauge" | "histogram"
  readonly temporality: number | undefined
  readonly isMonotonic: boolean | undefined
  readonly points: ReadonlyArray<Point>
}
export interface Post {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly raw: Buffer
  readonly resource: Readonly<Record<string, unknown>>
  readonly metrics: ReadonlyArray<Exported>
}

type Fields = ReadonlyMap<number, ReadonlyArray<Buffer | bigint>>

/** A message of protocol buffers, by field number. Fixed values are their bytes. */
const fields = (bytes: Buffer): Fields => {
  const found = new Map<number, Array<Buffer | bigint>>()
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes.readUInt8(at++)
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  const take = (length: number): Buffer => {
    if (at + length > bytes.length) throw new Error("a field is longer than its message")
    at += length
    return bytes.subarray(at - length, at)
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    const wire = tag & 7
    const value = wire === 0 ? varint() : take(wire === 1 ? 8 : wire === 5 ? 4 : Number(varint()))
    const values = found.get(tag >> 3) ?? []
    values.push(value)
    found.set(tag >> 3, values)
  }
  return found
}

const messages = (from: Fields, field: number) => (from.get(field) ?? []).map((value) => fields(value as Buffer))
const text = (from: Fields, field: number) => ((from.get(field)?.[0] as Buffer | undefined) ?? "").toString()
const double = (from: Fields, field: number) => (from.get(field)?.[0] as Buffer | undefined)?.readDoubleLE()
const fixed = (from: Fields, field: number) => {
  const bytes = from.get(field)?.[0] as Buffer | undefined
  return bytes === undefined ? undefined : Number(bytes.readBigUInt64LE())
}
const packed = <A>(from: Fields, field: number, read: (bytes: Buffer) => A): Array<A> =>
  (from.get(field) ?? []).flatMap((value) => {
    const bytes = value as Buffer
    return Array.from({ length: bytes.length / 8 }, (_, i) => read(bytes.subarray(i * 8, i * 8 + 8)))
  })
const attributes = (from: ReadonlyArray<Fields>) =>
  Object.fromEntries(
    from.map((one) => {
      const [value] = messages(one, 2)
      if (value === undefined) throw new Error("an attribute without a value")
      const isText = value.has(1)
      return [text(one, 1), isText ? text(value, 1) : (value.get(3)?.[0] ?? double(value, 4))]
    })
  )

const fromProtobuf = (raw: Buffer): Pick<Post, "resource" | "metrics"> => {
  const [resource] = messages(fields(raw), 1)
  if (resource === undefined) throw new Error("no resource")
  const number = (point: Fields): Point => ({
    labels: attributes(messages(point, 7)),
    value: double(point, 4) ?? Number(point.get(6)?.[0])
  })
  return {
    resource: attributes(messages(messages(resource, 1)[0] as Fields, 1)),
    metrics: messages(resource, 2).flatMap((scope) =>
      messages(scope, 2).map((metric): Exported => {
        const common = { name: text(metric, 1), description: text(metric, 2), unit: text(metric, 3) }
        const none = { temporality: undefined, isMonotonic: undefined }
        const [gauge] = messages(metric, 5)
        if (gauge !== undefined) return { ...common, ...none, kind: "gauge", points: messages(gauge, 1).map(number) }
        const [sum] = messages(metric, 7)
        if (sum !== undefined)
          return {
            ...common,
            kind: "sum",
            temporality: Number(sum.get(2)?.[0]),
            isMonotonic: sum.get(3)?.[0] === 1n,
            points: messages(sum, 1).map(number)
          }
        const [histogram] = messages(metric, 9)
        if (histogram === undefined) throw new Error(`${common.name} is nothing known`)
        return {
          ...common,
          kind: "histogram",
          isMonotonic: undefined,
          temporality: Number(histogram.get(2)?.[0]),
          points: messages(histogram, 1).map((point) => ({
            labels: attributes(messages(point, 9)),
            count: fixed(point, 4) ?? Number.NaN,
            sum: double(point, 5) ?? Number.NaN,
            bucketCounts: packed(point, 6, (bytes) => Number(bytes.readBigUInt64LE())),
            explicitBounds: packed(point, 7, (bytes) => bytes.readDoubleLE())
          }))
        }
      })
    )
  }
}

interface JsonPoint {
  readonly attributes: ReadonlyArray<{ readonly key: string; readonly value: Readonly<Record<string, unknown>> }>
  readonly asDouble?: number
  readonly asInt?: number | string
  readonly count?: number
  readonly sum?: number
  readonly bucketCounts?: ReadonlyArray<number>
  readonly explicitBounds?: ReadonlyArray<number>
}
interface JsonData {
  readonly dataPoints: ReadonlyArray<JsonPoint>
  readonly aggregationTemporality?: number
  readonly isMonotonic?: boolean
}
interface JsonMetric extends Pick<Exported, "name" | "unit" | "description"> {
  readonly sum?: JsonData
  readonly gauge?: JsonData
  readonly histogram?: JsonData
}

const fromJson = (raw: Buffer): Pick<Post, "resource" | "metrics"> => {
  const labels = (list: JsonPoint["attributes"]) =>
    Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]]))
  const [one] = JSON.parse(raw.toString()).resourceMetrics
  return {
    resource: labels(one.resource.attributes),
    metrics: one.scopeMetrics[0].metrics.map(({ gauge, histogram, sum, ...common }: JsonMetric): Exported => {
      const kind = sum !== undefined ? "sum" : gauge !== undefined ? "gauge" : "histogram"
      const data = sum ?? gauge ?? histogram
      if (data === undefined) throw new Error(`${common.name} is nothing known`)
      return {
        ...common,
        kind,
        temporality: data.aggregationTemporality,
        isMonotonic: data.isMonotonic,
        points: data.dataPoints.map(({ asDouble, asInt, attributes, ...point }) => ({
          ...point,
          labels: labels(attributes),
          ...(kind === "histogram" ? {} : { value: asDouble ?? Number(asInt) })
        }))
      }
    })
  }
}

export interface Receiver {
  readonly endpoint: string
  /** Posts that were taken, in order. */
  readonly posts: Queue.Queue<Post>
  /** Posts that were refused. */
  readonly refused: Queue.Queue<Post>
  readonly answer: (status: number) => void
}

export const receiver: Effect.Effect<Receiver, never, Scope.Scope> = Effect.gen(function* () {
  const posts = yield* Queue.unbounded<Post>()
  const refused = yield* Queue.unbounded<Post>()
  let status = 200
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const raw = Buffer.concat(chunks)
      const isJson = request.headers["content-type"] === "application/json"
      const read = isJson ? fromJson(raw) : fromProtobuf(raw)
      const post = { path: request.url ?? "", headers: request.headers, raw, ...read }
      Queue.offerUnsafe(status < 300 ? posts : refused, post)
      response.writeHead(status).end()
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  const { port } = server.address() as AddressInfo
  return {
    endpoint: `http://127.0.0.1:${port}`,
    posts,
    refused,
    answer: (next) => {
      status = next
    }
  }
})
