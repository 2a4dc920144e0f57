import { readFileSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import type * as AlertChannel from "@echelon/core/AlertChannel"
import * as AlertDelivery from "@echelon/core/AlertDelivery"
import * as AlertChannels from "@echelon/operations/AlertChannels"
import * as AlertEmail from "@echelon/operations/AlertEmail"
import { expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { SMTPServer } from "smtp-server"
import { alert, notification } from "./support/alerts.ts"

const tls = new URL("../../providers/test/fixtures/tls/", import.meta.url)
const file = (name: string) => readFileSync(new URL(name, tls), "utf8")

interface Mail {
  readonly from: string
  readonly to: ReadonlyArray<string>
  readonly user: string | undefined
  readonly isSecure: boolean
  readonly text: string
}

/** A mail server on a real socket. */
const server = (
  options: {
    readonly isOpen?: boolean
    readonly secure?: boolean
    readonly noStartTls?: boolean
    readonly refuse?: (address: string) => number | undefined
  } = {}
) =>
  Effect.acquireRelease(
    Effect.callback<{ mails: Array<Mail>; port: number; close: () => void }>((resume) => {
      const mails: Array<Mail> = []
      const smtp = new SMTPServer({
        key: file("server.key"),
        cert: file("server.pem"),
        secure: options.secure === true,
        authOptional: options.isOpen === true,
        allowInsecureAuth: true,
        disabledCommands: options.noStartTls === true ? ["STARTTLS"] : [],
        logger: false,
        onAuth: ({ password, username }, _, done) =>
          username === "alerts" && password === "planted-password"
            ? done(null, { user: username })
            : done(Object.assign(new Error(`planted: no such ${password}`), { responseCode: 535 })),
        onRcptTo: ({ address }, _, done) => {
          const code = options.refuse?.(address)
          if (code === undefined) done()
          else done(Object.assign(new Error("planted: not here"), { responseCode: code }))
        },
        onData: (stream, session, done) => {
          const chunks: Array<Buffer> = []
          stream.on("data", (chunk: Buffer) => chunks.push(chunk))
          stream.on("end", () => {
            const { mailFrom, rcptTo } = session.envelope
            mails.push({
              from: mailFrom === false ? "" : mailFrom.address,
              to: rcptTo.map(({ address }) => address),
              user: session.user === undefined ? undefined : String(session.user),
              isSecure: session.secure,
              text: Buffer.concat(chunks).toString("utf8")
            })
            done()
          })
        }
      })
      smtp.on("error", () => undefined)
      const listening = smtp.listen(0, "127.0.0.1", () => {
        const { port } = listening.address() as AddressInfo
        resume(Effect.succeed({ mails, port, close: () => void smtp.close(() => undefined) }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

const email = (
  port: number,
  options: Partial<Extract<AlertChannel.Options, { readonly type: "email" }>> = {}
): Extract<AlertChannel.Options, { readonly type: "email" }> => ({
  type: "email",
  name: "mail",
  severity: "info",
  resolved: true,
  host: "127.0.0.1",
  port,
  tls: "starttls",
  user: "alerts",
  password: Redacted.make("planted-password"),
  from: "Echelon <alerts@example.org>",
  to: ["oncall@example.org", "team@example.org"],
  caFile: fileURLToPath(new URL("authority.pem", tls)),
  timeout: 5_000,
  ...options
})

const said = (options: AlertChannel.Options) =>
  Effect.map(Effect.provide(AlertDelivery.test(options), AlertChannels.layer), ({ error }) => error?.message ?? "sent")

it.live("sends over STARTTLS, signed in, with a subject, a text and an id that is the same in every try", () =>
  Effect.gen(function* () {
    const { mails, port } = yield* server()
    const send = yield* AlertEmail.make(email(port))
    const one = notification({ firing: [alert({ text: "a is out: größer\r\nBcc: planted@example.org" })] })
    yield* send(one)
    yield* send(one)
    expect(mails.map(({ from, isSecure, to, user }) => ({ from, isSecure, to, user }))[0]).toEqual({
      from: "alerts@example.org",
      to: ["oncall@example.org", "team@example.org"],
      user: "alerts",
      isSecure: true
    })
    const text = mails[0]?.text ?? ""
    const headers = text.slice(0, text.indexOf("\r\n\r\n"))
    expect(headers).toContain("Subject: [echelon] warning breaker_open (openai): 1 firing")
    expect(headers).not.toMatch(/^Bcc:/m)
    expect(headers).toMatch(/^Auto-Submitted: auto-generated/im)
    const ids = mails.map((mail) => /^Message-ID: (.*)$/im.exec(mail.text)?.[1])
    expect(ids).toEqual(["<boot-1@echelon.alerts>", "<boot-1@echelon.alerts>"])
    expect(text).not.toContain("planted-password")
  }).pipe(Effect.scoped)
)

it.live("with implicit TLS, and in clear where that is asked for", () =>
  Effect.gen(function* () {
    const secure = yield* server({ secure: true })
    expect(yield* said(email(secure.port, { tls: "implicit" }))).toBe("sent")
    expect(secure.mails[0]?.isSecure).toBe(true)
    const open = yield* server({ isOpen: true })
    expect(yield* said(email(open.port, { tls: "none", user: undefined, password: undefined }))).toBe("sent")
    expect(open.mails[0]).toMatchObject({ isSecure: false, user: undefined })
  }).pipe(Effect.scoped)
)

it.live("a server that does not secure the connection, or that nobody vouches for, hears nothing", () =>
  Effect.gen(function* () {
    const bare = yield* server({ noStartTls: true })
    const refused = yield* said(email(bare.port))
    expect(refused).toBe("rejected: ETLS: the connection could not be secured")
    const unknown = yield* server()
    const doubted = yield* said(email(unknown.port, { caFile: undefined }))
    expect(doubted).toMatch(/^(unreachable|rejected): [A-Z_:a-z ]+$/)
    expect([...bare.mails, ...unknown.mails]).toEqual([])
    expect(yield* said(email(unknown.port, { caFile: "/nowhere/planted.pem" }))).toBe(
      "settings: ca_file cannot be read"
    )
  }).pipe(Effect.scoped)
)

it.live("a wrong password and a refused receiver are not repeated, a full box is; nothing of it is quoted", () =>
  Effect.gen(function* () {
    const { port } = yield* server({
      refuse: (address) => (address.startsWith("gone") ? 550 : address.startsWith("full") ? 452 : undefined)
    })
    const answers = [
      yield* said(email(port, { password: Redacted.make("planted-wrong") })),
      yield* said(email(port, { to: ["gone@example.org"] })),
      yield* said(email(port, { to: ["full@example.org"] })),
      yield* said(email(port, { to: ["gone@example.org", "oncall@example.org"] })),
      yield* said(email(1))
    ]
    expect(answers).toEqual([
      "rejected: EAUTH, reply 535",
      "rejected: EENVELOPE, reply 550",
      "busy: EENVELOPE, reply 452",
      "rejected: 1 of 2 receivers",
      "unreachable: ESOCKET"
    ])
  }).pipe(Effect.scoped)
)
