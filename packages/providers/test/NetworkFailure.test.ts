import { NetworkFailure } from "@echelon/providers"
import { expect, it } from "@effect/vitest"

const coded = (code: string, cause?: unknown) => Object.assign(new Error("m", { cause }), { code })

it("classifies by code", () => {
  const cases: Record<string, string> = {
    ECONNREFUSED: "refused",
    ECONNRESET: "reset",
    EPIPE: "reset",
    UND_ERR_SOCKET: "reset",
    ENOTFOUND: "dns",
    EAI_AGAIN: "dns",
    ETIMEDOUT: "connect_timeout",
    UND_ERR_CONNECT_TIMEOUT: "connect_timeout",
    CERT_HAS_EXPIRED: "tls",
    ERR_TLS_CERT_ALTNAME_INVALID: "tls",
    ERR_SSL_WRONG_VERSION_NUMBER: "tls",
    DEPTH_ZERO_SELF_SIGNED_CERT: "tls",
    UND_ERR_PRX_TLS: "tls",
    UND_ERR_PRX_CONN: "reset",
    UND_ERR_ABORTED: "refused",
    UND_ERR_HEADERS_TIMEOUT: "connect_timeout",
    ERR_HTTP2_STREAM_ERROR: "reset",
    EMFILE: "other",
    hasOwnProperty: "other"
  }
  for (const [code, kind] of Object.entries(cases)) expect(NetworkFailure.classify(coded(code))).toEqual({ kind, code })
})

it("walks causes and aggregates, and stops", () => {
  expect(NetworkFailure.classify(new Error("a", { cause: coded("ENOTFOUND") })).kind).toBe("dns")
  expect(NetworkFailure.classify(coded("WHATEVER", coded("ECONNRESET"))).kind).toBe("reset")
  expect(NetworkFailure.classify(new AggregateError([coded("EX"), coded("ECONNREFUSED")])).kind).toBe("refused")
  const circle = new Error("c")
  circle.cause = circle
  expect(NetworkFailure.classify(circle)).toEqual({ kind: "other", code: undefined })
  for (const thrown of [undefined, null, "ECONNREFUSED", 7]) expect(NetworkFailure.classify(thrown).kind).toBe("other")
})

it("says that a proxy refused, and how", () => {
  const thrown = new Error("fetch failed", { cause: NetworkFailure.proxyRefused(407) })
  expect(NetworkFailure.classify(thrown)).toEqual({
    kind: "refused",
    code: "PROXY_REFUSED_407",
    words: "the proxy refused the credentials, or wants some (407)"
  })
  expect(NetworkFailure.classify(NetworkFailure.proxyRefused(502)).words).toBe("the proxy refused with 502")
})

it("does not read messages", () => {
  expect(NetworkFailure.classify(new Error("connect ECONNREFUSED")).kind).toBe("other")
})
