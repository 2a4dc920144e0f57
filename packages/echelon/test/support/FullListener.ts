import * as Net from "node:net"
import { Worker } from "node:worker_threads"
import { Effect, type Scope } from "effect"

/** Listens, tells its port and accepts nothing: its thread stands still. */
const standing = `
const { parentPort } = require("node:worker_threads")
const server = require("node:net").createServer()
server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
  parentPort.postMessage(server.address().port)
  setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
})
`

/**
 * A port of loopback whose listener never accepts and whose queue is full, so that a connection is neither made nor
 * refused. Gives the port.
 */
export const make: Effect.Effect<number, never, Scope.Scope> = Effect.gen(function* () {
  const worker = yield* Effect.acquireRelease(
    Effect.sync(() => new Worker(standing, { eval: true })),
    (one) => Effect.promise(() => one.terminate())
  )
  const port = yield* Effect.callback<number>((resume) => {
    worker.once("message", (message: number) => resume(Effect.succeed(message)))
  })
  // A backlog of one holds two connections; whatever comes after them waits.
  yield* Effect.forEach([0, 1], () =>
    Effect.acquireRelease(
      Effect.callback<Net.Socket>((resume) => {
        const socket = Net.connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
        socket.on("error", () => {})
      }),
      (socket) => Effect.sync(() => socket.destroy())
    )
  )
  return port
})
