/**
 * Tells by error codes how a connection failed. Messages are not read.
 *
 * @since 0.1.0
 */
import type * as LlmError from "@echelon/core/LlmError"

/**
 * How a connection failed.
 *
 * @since 0.1.0
 * @category models
 */
export interface NetworkFailure {
  readonly kind: Extract<LlmError.Reason, { readonly _tag: "Network" }>["kind"]
  /** The code that told, for people. */
  readonly code: string | undefined
  /** What happened, where a code does not say it. */
  readonly words?: string | undefined
}

const refusal = "PROXY_REFUSED_"

/**
 * Makes the error of a proxy that answered a request for a tunnel, or one that it would not forward, with a status.
 *
 * @since 0.1.0
 * @category constructors
 */
export const proxyRefused = (status: number): Error =>
  Object.assign(new Error(`the proxy refused with ${status}`), { code: `${refusal}${status}` })

const wordsOf = (code: string): string | undefined => {
  if (!code.startsWith(refusal)) return undefined
  const status = code.slice(refusal.length)
  return status === "407"
    ? "the proxy refused the credentials, or wants some (407)"
    : `the proxy refused with ${status}`
}

const kinds: Readonly<Record<string, NetworkFailure["kind"]>> = {
  ECONNREFUSED: "refused",
  EHOSTUNREACH: "refused",
  ENETUNREACH: "refused",
  EHOSTDOWN: "refused",
  // A proxy that would not make a tunnel; nothing else has these codes here.
  UND_ERR_ABORTED: "refused",
  UND_ERR_INVALID_ARG: "refused",
  ECONNRESET: "reset",
  ECONNABORTED: "reset",
  EPIPE: "reset",
  UND_ERR_SOCKET: "reset",
  // A proxy that closed the connection before there was a tunnel.
  UND_ERR_PRX_CONN: "reset",
  ENOTFOUND: "dns",
  EAI_AGAIN: "dns",
  EAI_FAIL: "dns",
  EAI_NODATA: "dns",
  ETIMEDOUT: "connect_timeout",
  UND_ERR_CONNECT_TIMEOUT: "connect_timeout",
  // A proxy that did not answer: there is no other clock for headers.
  UND_ERR_HEADERS_TIMEOUT: "connect_timeout",
  EPROTO: "tls",
  UND_ERR_PRX_TLS: "tls",
  SELF_SIGNED_CERT_IN_CHAIN: "tls",
  DEPTH_ZERO_SELF_SIGNED_CERT: "tls",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "tls",
  UNABLE_TO_GET_ISSUER_CERT: "tls",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "tls",
  HOSTNAME_MISMATCH: "tls"
}

const kindOf = (code: string): NetworkFailure["kind"] | undefined =>
  Object.hasOwn(kinds, code)
    ? kinds[code]
    : code.startsWith(refusal)
      ? "refused"
      : code.startsWith("ERR_TLS_") || code.startsWith("ERR_SSL_") || code.startsWith("CERT_")
        ? "tls"
        : code.startsWith("ERR_HTTP2_")
          ? "reset"
          : undefined

// Causes may form a circle; no honest chain is longer.
const deepest = 8

/**
 * Classifies whatever a client threw, walking `cause` and the errors of an aggregate.
 *
 * @since 0.1.0
 * @category parsing
 */
export const classify = (thrown: unknown): NetworkFailure => {
  let first: string | undefined
  const visit = (u: unknown, depth: number): NetworkFailure | undefined => {
    if (typeof u !== "object" || u === null || depth > deepest) return undefined
    const code = "code" in u && typeof u.code === "string" ? u.code : undefined
    const kind = code === undefined ? undefined : kindOf(code)
    if (kind !== undefined && code !== undefined) {
      const words = wordsOf(code)
      return words === undefined ? { kind, code } : { kind, code, words }
    }
    first ??= code
    const inner = "errors" in u && Array.isArray(u.errors) ? u.errors : []
    for (const error of inner) {
      const found = visit(error, depth + 1)
      if (found !== undefined) return found
    }
    return "cause" in u ? visit(u.cause, depth + 1) : undefined
  }
  return visit(thrown, 0) ?? { kind: "other", code: first }
}
