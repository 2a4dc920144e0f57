import type * as Net from "node:net"
import { Effect, type Scope } from "effect"
import * as RawServer from "./RawServer.ts"

/** A server whose streamed answers are written by the test, event by event. */
export interface HandServer {
  readonly url: string
  /** Waits for a request and answers it with the head of a stream. */
  readonly begin: Effect.Effect<void>
  readonly write: (text: string) => Effect.Effect<void>
  /** Waits until the client is gone. */
  readonly gone: Effect.Effect<void>
}

const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

export const make: Effect.Effect<HandServer, never, Scope.Scope> = Effect.gen(function* () {
  let current: Net.Socket | undefined
  let isGone = false
  const checks = new Set<() => void>()
  const changed = () => {
    for (const check of checks) check()
  }
  const until = (predicate: () => boolean) =>
    Effect.callback<void>((resume) => {
      const check = () => {
        if (!predicate()) return
        checks.delete(check)
        resume(Effect.void)
      }
      checks.add(check)
      check()
    })
  const port = yield* RawServer.make((socket) => {
    socket.on("data", () => {
      current = socket
      changed()
    })
    socket.on("close", () => {
      isGone = true
      changed()
    })
  })
  const write = (text: string) =>
    Effect.sync(() => void current?.write(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`))
  return {
    url: `http://127.0.0.1:${port}`,
    begin: Effect.andThen(
      until(() => current !== undefined),
      Effect.sync(() => void current?.write(head))
    ),
    write,
    gone: until(() => isGone)
  }
})
