import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import type * as AlertChannel from "@echelon/core/AlertChannel"
import type * as AlertState from "@echelon/core/AlertState"
import { Effect, Redacted } from "effect"

export const alert = (options: Partial<AlertState.Alert> = {}): AlertState.Alert => ({
  key: "breaker_open/instance/a",
  rule: "breaker_open",
  subject: { kind: "instance", name: "a" },
  provider: "openai",
  severity: "warning",
  phase: "firing",
  text: "a is out in chat (Overloaded)",
  value: undefined,
  threshold: undefined,
  since: 1_000,
  firedAt: 61_000,
  resolvedAt: undefined,
  isInhibited: false,
  ...options
})

export const notification = (options: Partial<AlertChannel.Notification> = {}): AlertChannel.Notification => ({
  id: "boot-1",
  kind: "alerts",
  at: 61_000,
  group: "breaker_open (openai)",
  severity: "warning",
  firing: [alert()],
  resolved: [],
  ...options
})

export interface Heard {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export type Answer = (response: ServerResponse, request: IncomingMessage) => void

export const status =
  (code: number, body = "", headers: Readonly<Record<string, string>> = {}): Answer =>
  (response) =>
    void response.writeHead(code, headers).end(body)

/** Never answers. */
export const stall: Answer = () => {}

/** Breaks the connection. */
export const hangUp: Answer = (_, request) => void request.socket.destroy()

/** A receiver on a real socket: what it heard, and what it answers next; 200 when nothing is said. */
export const receiver = (otherwise: Answer = status(200, "ok")) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ heard: Array<Heard>; answers: Array<Answer>; port: number; close: () => void }>((resume) => {
        const heard: Array<Heard> = []
        const answers: Array<Answer> = []
        const server = createServer((request, response) => {
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            heard.push({
              path: request.url ?? "",
              headers: request.headers,
              body: Buffer.concat(chunks).toString("utf8")
            })
            const answer = answers.shift() ?? otherwise
            answer(response, request)
          })
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          const close = () => {
            server.closeAllConnections()
            server.close()
          }
          resume(Effect.succeed({ heard, answers, port, close }))
        })
      }),
      ({ close }) => Effect.sync(close)
    ),
    ({ answers, heard, port }) => ({
      heard,
      answers,
      url: (path = "/hook") => Redacted.make(`http://127.0.0.1:${port}${path}`)
    })
  )

/** Lets what is on real sockets happen until something holds; no clock is moved. */
export const until = (isSo: () => boolean): Effect.Effect<void> =>
  Effect.promise(async () => {
    for (let turn = 0; turn < 20_000; turn++) {
      if (isSo()) return
      await new Promise((resolve) => setImmediate(resolve))
    }
    throw new Error("it never came to hold")
  })
