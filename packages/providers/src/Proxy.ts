/**
 * Which proxy stands before an origin: the one that a provider's file states, or the environment's.
 *
 * `HTTPS_PROXY` is for `https://` addresses and `HTTP_PROXY` for `http://` ones, in capitals or not; the small
 * letters win, as in curl. `NO_PROXY` lists what is asked directly. Loopback never goes through a proxy of the
 * environment.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

/**
 * What the environment says of proxies. A proxy's address may hold a password.
 *
 * @since 0.1.0
 * @category models
 */
export interface Environment {
  readonly https: Redacted.Redacted | undefined
  readonly http: Redacted.Redacted | undefined
  readonly exceptions: ReadonlyArray<Exception>
}

/**
 * What `NO_PROXY` excepts: a host, its subdomains, or both; at one port, or at any.
 *
 * @since 0.1.0
 * @category models
 */
export interface Exception {
  /** Without a leading dot; `*` is every host. */
  readonly host: string
  readonly port: number | undefined
  readonly isOnlySubdomains: boolean
}

/**
 * An environment without proxies.
 *
 * @since 0.1.0
 * @category models
 */
export const noEnvironment: Environment = { https: undefined, http: undefined, exceptions: [] }

/**
 * Where the variables come from.
 *
 * @default the environment of the process
 * @since 0.1.0
 * @category services
 */
export const Variables = Context.Reference<Effect.Effect<Readonly<Record<string, string | undefined>>>>(
  "@echelon/providers/Proxy/Variables",
  { defaultValue: () => Effect.sync(() => ({ ...process.env })) }
)

/**
 * Reads the environment.
 *
 * @since 0.1.0
 * @category constructors
 */
export const environment: Effect.Effect<Environment> = Effect.map(Effect.flatten(Variables), (variables) => {
  const read = (name: string): string | undefined =>
    [variables[name.toLowerCase()], variables[name]].find((value) => value !== undefined && value.trim() !== "")
  const secret = (name: string): Redacted.Redacted | undefined => {
    const value = read(name)
    return value === undefined ? undefined : Redacted.make(value, { label: name })
  }
  return {
    https: secret("HTTPS_PROXY"),
    http: secret("HTTP_PROXY"),
    exceptions: parseExceptions(read("NO_PROXY") ?? "")
  }
})

/**
 * Reads what `NO_PROXY` holds: hosts between commas or blanks, each with a port or without.
 *
 * **Details** `example.com` and `.example.com` are the host and its subdomains, `*.example.com` the subdomains
 * alone, `*` everything. An IPv6 address with a port stands in brackets.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parseExceptions = (text: string): ReadonlyArray<Exception> =>
  text
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .map((entry) => {
      const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+|.*:.*:.*?))(?::(\d+))?$/.exec(entry) ?? []
      const host = normal(bracketed ?? plain ?? entry)
      return {
        host: host === "*" ? host : host.replace(/^\*?\./, ""),
        port: port === undefined ? undefined : Number(port),
        isOnlySubdomains: host.startsWith("*.")
      }
    })

/** Hosts compare in small letters, without brackets and without the dot that ends a whole name. */
const normal = (host: string): string =>
  host
    .toLowerCase()
    .replace(/^\[(.+)\]$/, "$1")
    .replace(/(.)\.$/, "$1")

const isExcepted = (exceptions: ReadonlyArray<Exception>, host: string, port: number): boolean =>
  exceptions.some((exception) => {
    if (exception.port !== undefined && exception.port !== port) return false
    if (exception.host === "*") return true
    return (host === exception.host && !exception.isOnlySubdomains) || host.endsWith(`.${exception.host}`)
  })

/**
 * Whether a host is this machine.
 *
 * @since 0.1.0
 * @category guards
 */
export const isLoopback = (host: string): boolean => {
  const name = normal(host)
  return (
    name === "localhost" ||
    name.endsWith(".localhost") ||
    /^127(\.\d{1,3}){3}$/.test(name) ||
    name === "0.0.0.0" ||
    name === "::" ||
    name === "::1" ||
    // How a URL writes ::ffff:127.0.0.1.
    /^::ffff:7f[\da-f]{2}:[\da-f]{1,4}$/.test(name)
  )
}

/**
 * The value of `proxy` that asks directly, whatever the environment says.
 *
 * @since 0.1.0
 * @category models
 */
export const direct = "none"

const isDirect = (stated: Redacted.Redacted): boolean => Redacted.value(stated).trim() === direct

/**
 * A proxy that was chosen, and what named it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Choice {
  readonly address: Redacted.Redacted
  readonly from: "proxy" | "HTTPS_PROXY" | "HTTP_PROXY"
}

/**
 * Chooses the proxy for an origin; `undefined` asks directly.
 *
 * @example
 * ```ts
 * import { Redacted } from "effect"
 * import { Proxy } from "@echelon/providers"
 *
 * const environment = {
 *   https: Redacted.make("http://proxy.example:3128"),
 *   http: undefined,
 *   exceptions: Proxy.parseExceptions("internal.example, 10.0.0.1:8080")
 * }
 * const of = (origin: string) => Proxy.choose({ origin, stated: undefined, environment })?.from
 * console.assert(of("https://api.openai.com") === "HTTPS_PROXY")
 * console.assert(of("https://llm.internal.example") === undefined)
 * console.assert(of("https://127.0.0.1:8443") === undefined)
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const choose = (options: {
  readonly origin: string
  readonly stated: Redacted.Redacted | undefined
  readonly environment: Environment
}): Choice | undefined => {
  const { environment, origin, stated } = options
  if (stated !== undefined) return isDirect(stated) ? undefined : { address: stated, from: "proxy" }
  if (environment.https === undefined && environment.http === undefined) return undefined
  const { hostname, port, protocol } = new URL(origin)
  const isSecure = protocol === "https:"
  const address = isSecure ? environment.https : environment.http
  if (address === undefined || isLoopback(hostname)) return undefined
  const number = port === "" ? (isSecure ? 443 : 80) : Number(port)
  if (isExcepted(environment.exceptions, normal(hostname), number)) return undefined
  return { address, from: isSecure ? "HTTPS_PROXY" : "HTTP_PROXY" }
}

/**
 * The error of a proxy's address that cannot be used. The message never shows the address.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidAddress extends RangeError {
  override readonly name = "InvalidAddress"
}

/**
 * Reads a proxy's address; what has no scheme is `http://`.
 *
 * **Errors** Throws `InvalidAddress` naming what said it.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parseAddress = ({ address, from }: Choice): URL => {
  const text = Redacted.value(address).trim()
  const whole = /^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`
  const url = URL.canParse(whole) ? new URL(whole) : undefined
  if (url === undefined || url.hostname === "" || (url.protocol !== "http:" && url.protocol !== "https:"))
    throw new InvalidAddress(`${from} must be the address of an HTTP proxy, such as http://proxy.example:3128`)
  try {
    decodeURIComponent(url.username + url.password)
  } catch {
    throw new InvalidAddress(`${from} holds a "%" in its user or password that must be written as %25`)
  }
  return url
}

/**
 * Checks a stated proxy.
 *
 * **Errors** Throws `InvalidAddress`.
 *
 * @since 0.1.0
 * @category parsing
 */
export const check = (stated: Redacted.Redacted): void => {
  if (!isDirect(stated)) parseAddress({ address: stated, from: "proxy" })
}
