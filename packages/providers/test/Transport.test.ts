import { copyFileSync, mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { inspect } from "node:util"
import { type LlmError, Plans } from "@echelon/core"
import { Transport } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Redacted, Scope } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { authority, connected, plain, proxy, second, secure, text, toOrigin, turn } from "./ConnectionSupport.ts"

const ok = (_: unknown, response: { end: (body: string) => unknown }) => void response.end("fine")

const failureOf = (error: LlmError.LlmError) => ({ reason: error.reason, detail: error.detail })

// --- pools ------------------------------------------------------------------------------------------------------

it.effect("uses a connection again", () =>
  Effect.gen(function* () {
    const server = yield* plain(ok)
    const send = yield* (yield* connected()).to(`http://127.0.0.1:${server.port}`)
    for (let i = 0; i < 5; i++) {
      expect(yield* text(send({ body: "{}" }))).toBe("fine")
      yield* turn
    }
    expect(server.connections()).toBe(1)
    // Without a turn between them two connections alternate.
    for (let i = 0; i < 20; i++) yield* text(send({ body: "{}" }))
    expect(server.connections()).toBe(2)
  })
)

it.effect("has a pool for each provider, and one for all who ask it", () =>
  Effect.gen(function* () {
    const server = yield* plain(ok)
    const { to } = yield* connected()
    const origin = `http://127.0.0.1:${server.port}`
    for (const name of ["one", "other", "one"]) yield* text((yield* to(origin, { name }))())
    expect(server.connections()).toBe(2)
  })
)

it.effect("keeps no connection with keep_alive = 0", () =>
  Effect.gen(function* () {
    const server = yield* plain(ok)
    const send = yield* (yield* connected()).to(`http://127.0.0.1:${server.port}`, { keepAlive: 0 })
    for (let i = 0; i < 3; i++) yield* text(send())
    expect(server.connections()).toBe(3)
    yield* server.empty
  })
)

it.effect("opens no more connections than max_connections", () =>
  Effect.gen(function* () {
    const all = yield* Deferred.make<void>()
    let waiting = 0
    const server = yield* plain((_, response) => {
      waiting++
      if (waiting === 2) Deferred.doneUnsafe(all, Exit.void)
      setImmediate(() => response.end("fine"))
    })
    const send = yield* (yield* connected()).to(`http://127.0.0.1:${server.port}`, { maxConnections: 2 })
    const answers = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => text(send()), { concurrency: "unbounded" })
    expect([answers.length, server.connections()]).toEqual([6, 2])
    yield* Deferred.await(all)
  })
)

it.effect("closes idle connections with the Layer", () =>
  Effect.gen(function* () {
    const server = yield* plain(ok)
    const scope = yield* Scope.make()
    const send = yield* Scope.provide(
      Effect.flatMap(connected(), ({ to }) => to(`http://127.0.0.1:${server.port}`)),
      scope
    )
    yield* text(send())
    expect(server.open()).toBe(1)
    yield* Scope.close(scope, Exit.void)
    yield* server.empty
  })
)

it.effect("both faces of a client share its connections", () =>
  Effect.gen(function* () {
    const server = yield* plain(ok)
    const { to, transport } = yield* connected()
    const origin = `http://127.0.0.1:${server.port}`
    yield* text((yield* to(origin))())
    yield* turn
    const client = yield* transport.client(Plans.provider({ name: "p", kind: "openai-compatible" }))
    expect(yield* Effect.flatMap(client.get(`${origin}/a?b=c`), (response) => response.text)).toBe("fine")
    expect(server.connections()).toBe(1)
  })
)

it.effect("takes a client of your own, which decompresses", () =>
  Effect.gen(function* () {
    const own = HttpClient.make((request) =>
      Effect.succeed(
        HttpClientResponse.fromWeb(
          request,
          new Response(`${request.method} ${request.url} ${request.headers["accept-encoding"]}`, {
            headers: { "content-encoding": "gzip" }
          })
        )
      )
    )
    const send = yield* Effect.provide(toOrigin("http://provider.example"), Transport.layerFrom(own))
    expect(yield* text(send({ path: "/a" }))).toBe("GET http://provider.example/a identity")
    expect((yield* Effect.flip(text(send({ maxResponseBytes: 3 })))).detail).toContain("max_response_bytes")
  })
)

// --- TLS --------------------------------------------------------------------------------------------------------

it.effect("trusts an authority of your own beside the usual ones", () =>
  Effect.gen(function* () {
    const server = yield* secure(ok)
    const { to } = yield* connected()
    const origin = `https://localhost:${server.port}`
    const error = yield* Effect.flip(text((yield* to(origin))()))
    expect(error.reason).toEqual({ _tag: "Network", kind: "tls" })
    expect(yield* text((yield* to(origin, { caFile: authority }))())).toBe("fine")
  })
)

it.effect("does not trust a host that the certificate is not for", () =>
  Effect.gen(function* () {
    const server = yield* secure(ok)
    const send = yield* (yield* connected()).to(`https://127.0.0.2:${server.port}`, { caFile: authority })
    const error = yield* Effect.flip(text(send()))
    // The server listens on 127.0.0.1 alone, where the system keeps the two apart.
    expect(["tls", "refused"]).toContain("kind" in error.reason ? error.reason.kind : "")
  })
)

it.effect("says which file of authorities is wrong, and reads it again when it was mended", () =>
  Effect.gen(function* () {
    const server = yield* secure(ok)
    const { to } = yield* connected()
    const caFile = `${mkdtempSync(`${tmpdir()}/ca-`)}/ca.pem`
    writeFileSync(caFile, "# nothing yet\n")
    const ask = Effect.flatMap(to(`https://localhost:${server.port}`, { caFile }), (send) => text(send()))
    expect(failureOf(yield* Effect.flip(ask))).toEqual({
      reason: { _tag: "InvalidRequest" },
      detail: `ca_file ${caFile}: it holds no certificate (-----BEGIN CERTIFICATE-----)`
    })
    copyFileSync(authority, caFile)
    expect(yield* ask).toBe("fine")
  })
)

// --- HTTP/2 -----------------------------------------------------------------------------------------------------

it.effect("speaks HTTP/2 where it is offered and wanted, many requests on one connection", () =>
  Effect.gen(function* () {
    const versions: Array<string> = []
    const held: Array<() => void> = []
    const server = yield* second((request, response) => {
      versions.push(request.httpVersion)
      const answer = () => void response.end(`${request.method} ${request.url}`)
      if (request.url === "/first") return answer()
      // All of them wait for the last: they are on the way together.
      held.push(answer)
      if (held.length === 8) for (const one of held) one()
    })
    const send = yield* (yield* connected()).to(`https://localhost:${server.port}`, { http2: true, caFile: authority })
    expect(yield* text(send({ path: "/first", body: "{}" }))).toBe("POST /first")
    const paths = Array.from({ length: 8 }, (_, i) => `/${i}`)
    const answers = yield* Effect.forEach(paths, (path) => text(send({ path })), { concurrency: "unbounded" })
    expect(answers).toEqual(paths.map((path) => `GET ${path}`))
    expect(new Set(versions)).toEqual(new Set(["2.0"]))
    expect(server.connections()).toBe(1)
  })
)

it.effect("speaks HTTP/1.1 when HTTP/2 is not wanted, or not offered", () =>
  Effect.gen(function* () {
    const server = yield* second((request, response) => void response.end(request.httpVersion))
    const old = yield* secure((request, response) => void response.end(request.httpVersion))
    const { to } = yield* connected()
    const off = yield* to(`https://localhost:${server.port}`, { caFile: authority })
    expect(yield* text(off())).toBe("1.1")
    const on = yield* to(`https://localhost:${old.port}`, { caFile: authority, http2: true })
    expect(yield* text(on())).toBe("1.1")
  })
)

it.effect("offers HTTP/2 first when it is wanted, and not at all when it is not", () =>
  Effect.gen(function* () {
    const offered: Array<ReadonlyArray<string>> = []
    const server = yield* secure(ok, {
      ALPNCallback: ({ protocols }) => {
        offered.push(protocols)
        return "http/1.1"
      }
    })
    const { to } = yield* connected()
    for (const http2 of [true, false])
      yield* text((yield* to(`https://localhost:${server.port}`, { caFile: authority, http2 }))())
    expect(offered).toEqual([["h2", "http/1.1"], ["http/1.1"]])
  })
)

it.effect("giving up one HTTP/2 answer leaves the others and the connection alone", () =>
  Effect.gen(function* () {
    const gone = yield* Deferred.make<void>()
    const server = yield* second((request, response) => {
      if (request.url !== "/slow") return void response.end("fine")
      response.stream.on("close", () => Deferred.doneUnsafe(gone, Exit.void))
      response.write("some")
    })
    const send = yield* (yield* connected()).to(`https://localhost:${server.port}`, { http2: true, caFile: authority })
    yield* Effect.scoped(Effect.flatMap(send({ path: "/slow" }), (exchange) => exchange.body))
    yield* Deferred.await(gone)
    expect(yield* text(send())).toBe("fine")
    expect(server.connections()).toBe(1)
  })
)

// --- headers ----------------------------------------------------------------------------------------------------

it.effect("bounds the headers of an answer, in HTTP/1.1 and HTTP/2", () =>
  Effect.gen(function* () {
    const handle = (
      request: { readonly url?: string | undefined },
      response: { readonly setHeader: (name: string, value: string) => unknown; readonly end: () => unknown }
    ) => {
      for (let i = 0; i < Number(request.url?.slice(1)); i++) response.setHeader(`x-${i}`, "v".repeat(1_000))
      response.end()
    }
    const first = yield* plain(handle)
    const other = yield* second(handle)
    const { to } = yield* connected()
    const provider = { maxHeaderBytes: 4_000, http2: true, caFile: authority }
    for (const origin of [`http://127.0.0.1:${first.port}`, `https://localhost:${other.port}`]) {
      const send = yield* to(origin, provider)
      expect(yield* text(send({ path: "/3" }))).toBe("")
      for (const path of ["/5", "/40"]) {
        const error = yield* Effect.flip(text(send({ path })))
        expect(error.reason._tag).toBe("MalformedOutput")
        expect(error.detail).toContain("max_header_bytes")
      }
      expect(yield* text(send({ path: "/0" }))).toBe("")
    }
  })
)

// --- proxies ----------------------------------------------------------------------------------------------------

const password = "hunter2-password"

it.effect("tunnels https through the proxy of the environment, with its user and password", () =>
  Effect.gen(function* () {
    const server = yield* secure(ok)
    const between = yield* proxy({ to: () => server.port })
    const { to } = yield* connected({ HTTPS_PROXY: `http://user:${password}@127.0.0.1:${between.port}` })
    const send = yield* to("https://provider.example", { caFile: authority })
    for (let i = 0; i < 3; i++) {
      expect(yield* text(send({ body: "{}" }))).toBe("fine")
      yield* turn
    }
    // One tunnel, used again.
    expect(between.asked).toEqual(["CONNECT provider.example:443"])
    expect(between.authorizations).toEqual([`Basic ${Buffer.from(`user:${password}`).toString("base64")}`])
  })
)

it.effect("speaks HTTP/2 through a tunnel", () =>
  Effect.gen(function* () {
    const server = yield* second((request, response) => void response.end(request.httpVersion))
    const between = yield* proxy({ to: () => server.port })
    const { to } = yield* connected({ HTTPS_PROXY: `http://127.0.0.1:${between.port}` })
    expect(yield* text((yield* to("https://provider.example", { caFile: authority, http2: true }))())).toBe("2.0")
    expect(yield* text((yield* to("https://provider.example", { caFile: authority }))())).toBe("1.1")
  })
)

it.effect("tunnels through a proxy that is asked by TLS", () =>
  Effect.gen(function* () {
    const server = yield* secure(ok)
    const between = yield* proxy({ to: () => server.port, isSecure: true })
    const address = Redacted.make(`https://localhost:${between.port}`)
    const send = yield* (yield* connected()).to("https://provider.example", { caFile: authority, proxy: address })
    expect(yield* text(send())).toBe("fine")
    expect(between.asked).toEqual(["CONNECT provider.example:443"])
  })
)

it.effect("asks a proxy for http addresses as a whole, and keeps its limits", () =>
  Effect.gen(function* () {
    const server = yield* plain((request, response) => {
      if (request.url === "/large") response.setHeader("x-large", "v".repeat(5_000))
      response.end(request.headers.host)
    })
    const between = yield* proxy({ to: () => server.port })
    const { to } = yield* connected({ http_proxy: `127.0.0.1:${between.port}` })
    const send = yield* to("http://provider.example", { maxHeaderBytes: 4_000 })
    expect(yield* text(send({ path: "/v1?a=b", body: "{}" }))).toBe("provider.example")
    expect(between.asked).toEqual(["POST http://provider.example/v1?a=b"])
    expect((yield* Effect.flip(text(send({ path: "/large" })))).detail).toContain("max_header_bytes")
  })
)

it.effect("asks a proxy for several http addresses at a time", () =>
  Effect.gen(function* () {
    const held: Array<() => void> = []
    const server = yield* plain((_, response) => {
      // Neither is answered before both are there.
      held.push(() => void response.end("fine"))
      if (held.length >= 2) for (const one of held) one()
    })
    const between = yield* proxy({ to: () => server.port })
    const { to } = yield* connected({ HTTP_PROXY: `http://127.0.0.1:${between.port}` })
    const send = yield* to("http://provider.example")
    expect(yield* Effect.all([text(send()), text(send())], { concurrency: 2 })).toEqual(["fine", "fine"])
    expect(between.connections()).toBe(2)
    const one = yield* to("http://provider.example", { maxConnections: 1 })
    expect(yield* Effect.all([text(one()), text(one())], { concurrency: 2 })).toEqual(["fine", "fine"])
    expect(between.connections()).toBe(3)
  })
)

it.effect("asks directly what NO_PROXY excepts, loopback, and who says none", () =>
  Effect.gen(function* () {
    const server = yield* plain(ok)
    const between = yield* proxy({ to: () => server.port })
    const address = `http://127.0.0.1:${between.port}`
    const loopback = `http://localhost:${server.port}`
    const { to } = yield* connected({ HTTP_PROXY: address, NO_PROXY: "provider.invalid" })
    expect(yield* text((yield* to(loopback))())).toBe("fine")
    expect((yield* Effect.flip(text((yield* to("http://provider.invalid"))()))).reason).toMatchObject({ kind: "dns" })
    const none = yield* to("http://other.invalid", { proxy: Redacted.make("none") })
    expect((yield* Effect.flip(text(none()))).reason).toMatchObject({ kind: "dns" })
    expect(between.asked).toEqual([])
    // Stated, it holds for loopback, too.
    expect(yield* text((yield* to(loopback, { proxy: Redacted.make(address) }))())).toBe("fine")
    expect(between.asked).toEqual([`GET ${loopback}/`])
  })
)

it.effect("tells that a proxy refused, and never its password", () =>
  Effect.gen(function* () {
    const between = yield* proxy({ to: () => 1, refuse: 407 })
    const address = `http://user:${password}@127.0.0.1:${between.port}`
    const { to } = yield* connected({ HTTPS_PROXY: address, HTTP_PROXY: `socks5://user:${password}@127.0.0.1` })
    const shown = (error: LlmError.LlmError) => {
      for (const text of [error.message, inspect(error, { depth: 9, showHidden: true }), JSON.stringify(error)])
        expect(text).not.toContain(password)
      return failureOf(error)
    }
    const tunnel = yield* to("https://provider.example")
    expect(shown(yield* Effect.flip(text(tunnel())))).toEqual({
      reason: { _tag: "Network", kind: "refused" },
      detail:
        "the proxy refused the credentials, or wants some (407): talking to https://provider.example through a proxy"
    })
    expect(shown(yield* Effect.flip(text((yield* to("http://provider.example"))())))).toEqual({
      reason: { _tag: "InvalidRequest" },
      detail: "HTTP_PROXY must be the address of an HTTP proxy, such as http://proxy.example:3128"
    })
    const forward = yield* to("http://provider.example", { proxy: Redacted.make(address) })
    expect(shown(yield* Effect.flip(text(forward())))).toEqual({
      reason: { _tag: "Network", kind: "refused" },
      detail:
        "the proxy refused the credentials, or wants some (407): talking to http://provider.example through a proxy"
    })
    const strict = yield* proxy({ to: () => 1, refuse: 403 })
    const blocked = yield* to("https://provider.example", {
      proxy: Redacted.make(`http://user:${password}@127.0.0.1:${strict.port}`)
    })
    // Again, over the same pool: a refusal leaves nothing behind.
    for (const ask of [blocked, blocked])
      expect(shown(yield* Effect.flip(text(ask())))).toEqual({
        reason: { _tag: "Network", kind: "refused" },
        detail: "the proxy refused with 403: talking to https://provider.example through a proxy"
      })
    expect(strict.asked.length).toBe(2)
    const wrong = { proxy: Redacted.make(`socks5://user:${password}@127.0.0.1`) }
    expect(shown(yield* Effect.flip(to("https://provider.example", wrong)))).toMatchObject({
      reason: { _tag: "InvalidRequest" },
      detail: expect.stringMatching(/^proxy must be/)
    })
  })
)

it.effect("does not wait for ever for a proxy that says nothing", () =>
  Effect.gen(function* () {
    const between = yield* proxy({ to: () => 1, isSilent: true })
    const provider = { connectTimeout: 50, proxy: Redacted.make(`http://127.0.0.1:${between.port}`) }
    const error = yield* Effect.flip(text((yield* (yield* connected()).to("https://provider.example", provider))()))
    expect(error.reason).toEqual({ _tag: "Network", kind: "connect_timeout" })
  })
)

it.effect("a proxy that is not there", () =>
  Effect.gen(function* () {
    const { port } = yield* Effect.scoped(plain(ok))
    const provider = { proxy: Redacted.make(`http://127.0.0.1:${port}`) }
    const error = yield* Effect.flip(text((yield* (yield* connected()).to("https://provider.example", provider))()))
    expect(failureOf(error)).toEqual({
      reason: { _tag: "Network", kind: "refused" },
      detail: "ECONNREFUSED talking to https://provider.example through a proxy"
    })
  })
)
