import * as Zlib from "node:zlib"
import { expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber } from "effect"
import { connected, plain, text, turn } from "./ConnectionSupport.ts"

const at = (port: number) => Effect.flatMap(connected(), ({ to }) => to(`http://127.0.0.1:${port}`))

// --- limits -----------------------------------------------------------------------------------------------------

it.effect("sends no request that is too large", () =>
  Effect.gen(function* () {
    const server = yield* plain((_, response) => void response.end("fine"))
    const send = yield* at(server.port)
    // Bytes, not characters.
    const error = yield* Effect.flip(text(send({ body: "語".repeat(4), maxRequestBytes: 11 })))
    expect([error.reason._tag, error.detail]).toEqual([
      "InvalidRequest",
      "the request has 12 bytes, more than 11; raise max_request_bytes"
    ])
    expect(server.connections()).toBe(0)
    expect(yield* text(send({ body: "語".repeat(4), maxRequestBytes: 12 }))).toBe("fine")
  })
)

it.effect("gives up at once what says to be too large", () =>
  Effect.gen(function* () {
    const gone = yield* Deferred.make<void>()
    const server = yield* plain((_, response) => {
      response.on("close", () => Deferred.doneUnsafe(gone, Exit.void))
      response.writeHead(200, { "content-length": 2_000_000 })
      response.write("x")
    })
    const error = yield* Effect.flip(text((yield* at(server.port))()))
    expect(error.detail).toContain("max_response_bytes")
    yield* Deferred.await(gone)
  })
)

it.effect("stops the server when nobody reads", () =>
  Effect.gen(function* () {
    const size = 64 * 1024 * 1024
    let written = 0
    const piece = Buffer.alloc(256 * 1024)
    const stalled = yield* Deferred.make<void>()
    const server = yield* plain((_, response) => {
      const write = (): void => {
        while (written < size) {
          written += piece.length
          if (!response.write(piece)) {
            response.once("drain", write)
            Deferred.doneUnsafe(stalled, Exit.void)
            return
          }
        }
        response.end()
      }
      write()
    })
    const send = yield* at(server.port)
    yield* Effect.scoped(
      Effect.gen(function* () {
        const exchange = yield* send({ maxResponseBytes: size })
        yield* Deferred.await(stalled)
        // What is under way fills the buffers of both sides, and no more.
        let before = -1
        for (let still = 0; still < 50; still++) {
          if (written !== before) still = 0
          before = written
          yield* turn
        }
        expect(written).toBeLessThan(size / 2)
        expect((yield* exchange.text).length).toBe(size)
      })
    )
  })
)

it.effect("takes the head that is meant, not the hint before it", () =>
  Effect.gen(function* () {
    const server = yield* plain((_, response) => {
      response.setHeader("x-a", ["1", "2"])
      response.writeEarlyHints({ link: "</a>; rel=preload" })
      // Late enough for the hint to arrive alone.
      const later = (turns: number): unknown => (turns === 0 ? response.end("fine") : setImmediate(later, turns - 1))
      later(20)
    })
    const send = yield* at(server.port)
    const head = yield* Effect.scoped(Effect.map(send(), ({ headers, status }) => [status, headers["x-a"]]))
    expect(head).toEqual([200, "1, 2"])
  })
)

it.effect("gives up a request that still waits for a connection", () =>
  Effect.gen(function* () {
    const asked: Array<string> = []
    const first = yield* Deferred.make<void>()
    const open: Array<() => void> = []
    const server = yield* plain((request, response) => {
      asked.push(request.url ?? "")
      open.push(() => void response.end("fine"))
      Deferred.doneUnsafe(first, Exit.void)
    })
    const { to } = yield* connected()
    const send = yield* to(`http://127.0.0.1:${server.port}`, { maxConnections: 1 })
    const holding = yield* Effect.forkChild(text(send({ path: "/first" })))
    yield* Deferred.await(first)
    const waiting = yield* Effect.forkChild(text(send({ path: "/given-up" })), { startImmediately: true })
    yield* Fiber.interrupt(waiting)
    const last = yield* Effect.forkChild(text(send({ path: "/last" })), { startImmediately: true })
    open[0]?.()
    expect(yield* Fiber.join(holding)).toBe("fine")
    while (open.length < 2) yield* turn
    open[1]?.()
    expect(yield* Fiber.join(last)).toBe("fine")
    expect(asked).toEqual(["/first", "/last"])
  })
)

it.effect("ends a call when its pool is closed", () =>
  Effect.gen(function* () {
    const arrived = yield* Deferred.make<void>()
    const server = yield* plain(() => void Deferred.doneUnsafe(arrived, Exit.void))
    const fiber = yield* Effect.scoped(
      Effect.gen(function* () {
        const send = yield* at(server.port)
        const fiber = yield* Effect.forkDetach(Effect.flip(text(send())))
        yield* Deferred.await(arrived)
        return fiber
      })
    )
    expect((yield* Fiber.join(fiber)).reason._tag).toBe("Network")
    yield* server.empty
  })
)

// --- compression ------------------------------------------------------------------------------------------------

const codings = {
  gzip: Zlib.gzipSync,
  "x-gzip": Zlib.gzipSync,
  deflate: Zlib.deflateSync,
  br: Zlib.brotliCompressSync,
  zstd: Zlib.zstdCompressSync
} as const

it.effect("asks for no compression, and understands what comes compressed all the same", () =>
  Effect.gen(function* () {
    const asked: Array<string | undefined> = []
    const plainText = "語 and more ".repeat(10_000)
    const server = yield* plain((request, response) => {
      asked.push(request.headers["accept-encoding"])
      const name = request.url?.slice(1) as keyof typeof codings
      const bytes = codings[name](plainText)
      response.writeHead(200, { "content-encoding": name === "gzip" ? "GZIP" : name, "content-length": bytes.length })
      response.end(bytes)
    })
    const send = yield* at(server.port)
    for (const name of Object.keys(codings)) expect(yield* text(send({ path: `/${name}` }))).toBe(plainText)
    expect(new Set(asked)).toEqual(new Set(["identity"]))
    yield* turn
    expect(yield* text(send({ path: "/gzip" }))).toBe(plainText)
    expect(server.connections()).toBeLessThan(3)
  })
)

it.effect("gives the events of a compressed stream as they come", () =>
  Effect.gen(function* () {
    let more = (): void => {}
    const server = yield* plain((_, response) => {
      response.writeHead(200, { "content-encoding": "gzip" })
      const gzip = Zlib.createGzip()
      gzip.pipe(response)
      gzip.write("one")
      gzip.flush()
      more = () => gzip.end("two")
    })
    const send = yield* at(server.port)
    yield* Effect.scoped(
      Effect.gen(function* () {
        const { body } = yield* send()
        expect(Buffer.concat(yield* body).toString()).toBe("one")
        more()
        expect(Buffer.concat(yield* body).toString()).toBe("two")
        expect(Cause.isDone(yield* Effect.flip(body))).toBe(true)
      })
    )
  })
)

it.effect("refuses what it cannot decompress, or is not what it says", () =>
  Effect.gen(function* () {
    const bodies: Readonly<Record<string, readonly [string, Uint8Array, RegExp]>> = {
      "/unknown": ["compress", Buffer.from("x"), /not understood \(compress\)/],
      "/two": ["gzip, gzip", Zlib.gzipSync(Zlib.gzipSync("x")), /not understood \(gzip, gzip\)/],
      "/wrong": ["gzip", Buffer.from("{}"), /is not gzip/],
      "/cut": ["gzip", Zlib.gzipSync("x".repeat(100)).subarray(0, 20), /is not gzip/],
      "/brotli": ["br", Buffer.from("{}{}{}{}"), /is not br/]
    }
    const server = yield* plain((request, response) => {
      const [encoding, bytes] = bodies[request.url ?? ""] ?? ["", Buffer.alloc(0), / /]
      response.writeHead(200, { "content-encoding": encoding })
      response.end(bytes)
    })
    const send = yield* at(server.port)
    for (const [path, [, , message]] of Object.entries(bodies)) {
      const error = yield* Effect.flip(text(send({ path })))
      expect(error.reason._tag).toBe("MalformedOutput")
      expect(error.detail).toMatch(message)
    }
  })
)

/** A body that never ends: the same bytes over and over, as long as the other side takes them. */
const endless = (head: Uint8Array, again: Uint8Array, encoding: string) =>
  Effect.gen(function* () {
    const gone = yield* Deferred.make<number>()
    const server = yield* plain((_, response) => {
      let sent = 0
      response.on("close", () => Deferred.doneUnsafe(gone, Exit.succeed(sent)))
      response.on("error", () => {})
      response.writeHead(200, { "content-encoding": encoding })
      response.write(head)
      const write = (): void => {
        while (!response.destroyed) {
          sent += again.length
          if (!response.write(again)) return void response.once("drain", write)
        }
      }
      write()
    })
    return { server, gone }
  })

const gzipOf = (bytes: Uint8Array) =>
  Effect.promise(
    () =>
      new Promise<Uint8Array>((resolve) => {
        const chunks: Array<Uint8Array> = []
        const gzip = Zlib.createGzip()
        gzip.on("data", (chunk) => chunks.push(chunk))
        gzip.write(bytes)
        gzip.flush(Zlib.constants.Z_FULL_FLUSH, () => resolve(Buffer.concat(chunks)))
      })
  )

it.effect("a bomb that never ends is given up at the limit", () =>
  Effect.gen(function* () {
    const block = yield* gzipOf(Buffer.alloc(16 * 1024 * 1024))
    // Blocks after a full flush stand for themselves; the first ten bytes are gzip's own head.
    const { gone, server } = yield* endless(block.subarray(0, 10), block.subarray(10), "gzip")
    const error = yield* Effect.flip(text((yield* at(server.port))({ maxResponseBytes: 1_000_000 })))
    expect([error.reason._tag, error.detail]).toEqual([
      "MalformedOutput",
      "the answer is larger than 1000000 bytes; raise max_response_bytes"
    ])
    yield* Deferred.await(gone)
  })
)

it.effect("bytes that become nothing count, too", () =>
  Effect.gen(function* () {
    const empty = Zlib.gzipSync("")
    const many = Buffer.concat(Array.from({ length: 1_000 }, () => empty))
    const { gone, server } = yield* endless(empty, many, "gzip")
    const error = yield* Effect.flip(text((yield* at(server.port))({ maxResponseBytes: 1_000_000 })))
    expect(error.detail).toContain("max_response_bytes")
    yield* Deferred.await(gone)
  })
)

it.effect("leaving a compressed answer closes its connection", () =>
  Effect.gen(function* () {
    const block = yield* gzipOf(Buffer.from("x".repeat(1_000)))
    const { gone, server } = yield* endless(block.subarray(0, 10), block.subarray(10), "gzip")
    const send = yield* at(server.port)
    yield* Effect.scoped(Effect.flatMap(send(), (exchange) => exchange.body))
    yield* Deferred.await(gone)
  })
)
