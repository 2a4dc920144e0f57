import * as Http from "node:http"
import * as Net from "node:net"
import type { FaultServer, FaultServerAnswer } from "@echelon/testing"
import { Effect, type Scope } from "effect"

export type Protocol = FaultServerAnswer.Protocol

export const protocols = ["openai", "anthropic"] as const

export interface Ask {
  readonly stream?: boolean
  readonly model?: string
  readonly messages?: ReadonlyArray<unknown>
  readonly usage?: boolean
}

const pathOf = (protocol: Protocol): string => (protocol === "openai" ? "/v1/chat/completions" : "/v1/messages")

const bodyOf = ({ messages = [{ role: "user", content: "hi" }], model = "m", stream = false, usage = true }: Ask) =>
  JSON.stringify({ model, messages, stream, ...(stream && usage ? { stream_options: { include_usage: true } } : {}) })

/** What a client has heard so far. */
export interface Heard {
  status: number | undefined
  headers: Http.IncomingHttpHeaders
  chunks: Array<Buffer>
  /** `whole`: the message ended as HTTP says it must. */
  ending: "whole" | "broken" | undefined
  code: string | undefined
}

export const textOf = (heard: Heard): string => Buffer.concat(heard.chunks).toString()

export interface Client {
  readonly heard: Heard
  readonly until: (predicate: (heard: Heard) => boolean) => Effect.Effect<void>
  readonly abort: () => void
}

const watch = <A>(value: A) => {
  const checks = new Set<() => void>()
  return {
    changed: () => {
      for (const check of checks) check()
    },
    until: (predicate: (value: A) => boolean) =>
      Effect.callback<void>((resume) => {
        const check = () => {
          if (!predicate(value)) return
          checks.delete(check)
          resume(Effect.void)
        }
        checks.add(check)
        check()
      })
  }
}

/** Asks by node:http; the request ends with the scope. */
export const start = (
  url: string,
  options: Http.RequestOptions,
  body?: string
): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const heard: Heard = { status: undefined, headers: {}, chunks: [], ending: undefined, code: undefined }
      const { changed, until } = watch(heard)
      const end = (ending: "whole" | "broken", code?: string) => {
        heard.ending ??= ending
        heard.code ??= code
        changed()
      }
      const request = Http.request(url, options, (response) => {
        heard.status = response.statusCode
        heard.headers = response.headers
        changed()
        response.on("data", (chunk: Buffer) => {
          heard.chunks.push(chunk)
          changed()
        })
        response.on("error", (error: NodeJS.ErrnoException) => end("broken", error.code))
        response.on("end", () => end("whole"))
      })
      request.on("error", (error: NodeJS.ErrnoException) => end("broken", error.code))
      request.end(body)
      return { heard, until, abort: () => void request.destroy() }
    }),
    (client) => Effect.sync(client.abort)
  )

export const begin = (server: FaultServer.FaultServer, protocol: Protocol, ask: Ask = {}) =>
  start(`${server.url}${pathOf(protocol)}`, { method: "POST", agent: false }, bodyOf(ask))

/** Asks and waits for the end, whatever it is. */
export const hear = (server: FaultServer.FaultServer, protocol: Protocol, ask: Ask = {}) =>
  Effect.scoped(
    Effect.flatMap(begin(server, protocol, ask), (client) =>
      Effect.as(
        client.until((heard) => heard.ending !== undefined),
        client.heard
      )
    )
  )

/** What a client without HTTP sees: the bytes, and how the connection ended. */
export const bytes = (
  server: FaultServer.FaultServer,
  protocol: Protocol,
  ask: Ask = {},
  onData: (received: string) => void = () => {}
) =>
  Effect.callback<{ readonly received: string; readonly ending: "FIN" | "RST" }>((resume) => {
    const socket = Net.connect(Number(new URL(server.url).port), "127.0.0.1")
    let received = ""
    const end = (ending: "FIN" | "RST") => resume(Effect.succeed({ received, ending }))
    socket.on("data", (chunk) => {
      received += chunk.toString()
      onData(received)
    })
    socket.on("end", () => end("FIN"))
    socket.on("error", () => end("RST"))
    const body = bodyOf(ask)
    socket.write(`POST ${pathOf(protocol)} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  })

export interface SseEvent {
  readonly event: string | undefined
  readonly data: string
}

/** The events of a stream, comments left out. */
export const events = (text: string): ReadonlyArray<SseEvent> =>
  text
    .split("\n\n")
    .filter((block) => /^data: /m.test(block))
    .map((block) => ({ event: /^event: (.*)$/m.exec(block)?.[1], data: /^data: (.*)$/m.exec(block)?.[1] ?? "" }))

interface Wire {
  readonly choices?: ReadonlyArray<{
    readonly delta?: { readonly content?: string; readonly tool_calls?: ReadonlyArray<unknown> }
    readonly message?: { readonly content: string | null }
    readonly finish_reason: string | null
  }>
  readonly content?: ReadonlyArray<{ readonly text?: string }>
  readonly delta?: { readonly text?: string; readonly stop_reason?: string }
  readonly stop_reason?: string | null
  readonly usage?: unknown
}

export const json = (text: string): Wire => JSON.parse(text) as Wire

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** A stream in a few words: its text pieces, its reason, its sentinel, its errors. */
export const outline = (text: string): ReadonlyArray<string> =>
  events(text).flatMap(({ data, event }) => {
    if (data === "[DONE]" || event === "message_stop") return ["end"]
    if (!isJson(data)) return ["not JSON"]
    if (event === "error" || data.startsWith('{"error"')) return ["error"]
    const chunk = json(data)
    const [choice] = chunk.choices ?? []
    const piece = choice?.delta?.content ?? chunk.delta?.text
    const reason = choice?.finish_reason ?? chunk.delta?.stop_reason
    return [...(piece === undefined || piece === "" ? [] : [piece]), ...(reason ? [`(${reason})`] : [])]
  })

export const contentOf = (text: string): string => {
  const body = json(text)
  return body.choices?.[0]?.message?.content ?? body.content?.map((one) => one.text).join("") ?? ""
}
