/**
 * Access tokens of a Google service account: a signed assertion is exchanged for a token, which holds for an hour.
 *
 * The assertion (RFC 7523) is signed with RS256 by `jose`, loaded at the first exchange, and posted to the account's
 * `token_uri` over the provider's own connections. Only https and loopback addresses are asked.
 *
 * @since 0.1.0
 */
import * as LlmError from "@echelon/core/LlmError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Auth from "./Auth.ts"
import * as Json from "./Json.ts"
import * as Redaction from "./Redaction.ts"
import * as TokenCache from "./TokenCache.ts"
import type * as Transport from "./Transport.ts"
import * as Wire from "./Wire.ts"

/**
 * What a service account's file says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Account {
  readonly clientEmail: string
  /** PKCS #8 as PEM. */
  readonly privateKey: Redacted.Redacted
  readonly privateKeyId: string | undefined
  readonly tokenUri: string
}

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The JSON text, or the path of the file that holds it, which is read again for each exchange. */
  readonly account: { readonly text: Redacted.Redacted } | { readonly file: string }
  readonly scope: string
  readonly client: Transport.Client
  readonly cache: TokenCache.TokenCache
}

/**
 * Where tokens are exchanged when an account does not say.
 *
 * @default "https://oauth2.googleapis.com/token"
 * @since 0.1.0
 * @category models
 */
export const defaultTokenUri = "https://oauth2.googleapis.com/token"

const isAllowed = (address: string): boolean => {
  if (!URL.canParse(address)) return false
  const { hostname, password, protocol, username } = new URL(address)
  if (username !== "" || password !== "") return false
  return protocol === "https:" || (protocol === "http:" && /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname))
}

/**
 * Reads a service account. A failure says what is wrong and quotes nothing.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (text: string): Result.Result<Account, string> => {
  const body = Json.parse(text)
  if (!Json.isObject(body)) return Result.fail("is not a JSON object")
  if (body["type"] !== undefined && body["type"] !== "service_account")
    return Result.fail('is of another type than "service_account"; use auth = "token" for it')
  const { client_email, private_key, private_key_id, token_uri = defaultTokenUri } = body
  if (typeof client_email !== "string" || client_email === "") return Result.fail("has no client_email")
  if (typeof private_key !== "string" || private_key === "") return Result.fail("has no private_key")
  if (typeof token_uri !== "string" || !isAllowed(token_uri))
    return Result.fail("has a token_uri that is neither an https address nor one of loopback")
  return Result.succeed({
    clientEmail: client_email,
    privateKey: Redacted.make(private_key, { label: "private_key" }),
    privateKeyId: typeof private_key_id === "string" ? private_key_id : undefined,
    tokenUri: token_uri
  })
}

const secretsOf = (account: Account): ReadonlyArray<string> => [
  Redacted.value(account.privateKey),
  account.privateKeyId ?? ""
]

const unusable = (detail: string): LlmError.LlmError =>
  LlmError.make({ reason: { _tag: "Authentication" }, detail: `the service account ${detail}` })

const readAccount = (account: Options["account"]): Effect.Effect<Account, LlmError.LlmError> => {
  const text =
    "text" in account
      ? Effect.succeed(Redacted.value(account.text))
      : Effect.tryPromise({
          try: async () => (await import("node:fs")).promises.readFile(account.file, "utf8"),
          // The path is not shown: a variable that was to hold it may hold the account itself.
          catch: (thrown) => {
            const code = thrown instanceof Error && "code" in thrown ? ` (${String(thrown.code)})` : ""
            return unusable(`cannot be read from service_account_file${code}`)
          }
        })
  return Effect.flatMap(text, (stated) =>
    Result.match(parse(stated), {
      onFailure: (problem) => Effect.fail(unusable(problem)),
      onSuccess: (read) => Effect.succeed(read)
    })
  )
}

const lifetime = 3_600

const assertionOf = (account: Account, scope: string, now: number): Effect.Effect<string, LlmError.LlmError> =>
  Effect.tryPromise({
    try: async () => {
      const { SignJWT, importPKCS8 } = await import("jose")
      const issued = Math.floor(now / 1_000)
      const header = { alg: "RS256", typ: "JWT" }
      return new SignJWT({ scope })
        .setProtectedHeader(account.privateKeyId === undefined ? header : { ...header, kid: account.privateKeyId })
        .setIssuer(account.clientEmail)
        .setAudience(account.tokenUri)
        .setIssuedAt(issued)
        .setExpirationTime(issued + lifetime)
        .sign(await importPKCS8(Redacted.value(account.privateKey), "RS256"))
    },
    catch: () => unusable("has a private_key that is no RSA key in PKCS #8")
  })

const grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
const maxBytes = 64 * 1024
const maxDetail = 200

// Where an answer states no lifetime.
const assumedLifetime = 300

const transient = (detail: string): LlmError.LlmError =>
  LlmError.make({ reason: { _tag: "Network", kind: "other" }, detail })

const denied = (detail: string): LlmError.LlmError => LlmError.make({ reason: { _tag: "Authentication" }, detail })

/** What an answer of a token endpoint means. */
const read = (
  status: number,
  text: string,
  now: number,
  redaction: Redaction.Redaction
): Result.Result<TokenCache.Token, LlmError.LlmError> => {
  const body = Json.parse(text)
  const at = `the token endpoint answered ${status}`
  if (status >= 300 && status < 400) return Result.fail(denied(`${at}: a redirect, which is not followed`))
  if (status === 408 || status === 429 || status >= 500) return Result.fail(transient(at))
  if (status >= 400) {
    const said = Json.isObject(body) ? [body["error"], body["error_description"]] : []
    const shown = said.filter((one) => typeof one === "string").join(": ")
    return Result.fail(denied(shown === "" ? at : `${at}: ${Redaction.truncate(redaction, shown, maxDetail)}`))
  }
  const token = Json.isObject(body) ? body["access_token"] : undefined
  if (typeof token !== "string" || !Json.isObject(body)) return Result.fail(transient(`${at} without a token`))
  const seconds = typeof body["expires_in"] === "number" ? body["expires_in"] : assumedLifetime
  return Result.succeed({ value: Redacted.make(token, { label: "token" }), expiresAt: now + seconds * 1_000 })
}

/** What went wrong on the way to a token endpoint. Its answer is nobody's answer to a request. */
const onTheWay = (error: LlmError.LlmError): LlmError.LlmError =>
  error.reason._tag === "Network"
    ? LlmError.update(error, { detail: `the token endpoint: ${error.detail ?? ""}` })
    : transient("the token endpoint's answer cannot be read")

const post = (
  address: URL,
  body: string,
  client: Transport.Client
): Effect.Effect<{ readonly status: number; readonly text: string }, LlmError.LlmError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const answer = yield* Wire.send({
        client,
        target: {
          url: Redacted.make(address.href, { label: "token_uri" }),
          headers: Redacted.make({ "user-agent": "echelon" }, { label: "headers" })
        },
        origin: address.origin,
        body,
        contentType: "application/x-www-form-urlencoded",
        accept: "application/json",
        maxResponseBytes: maxBytes
      })
      const text = yield* answer.text
      answer.finished()
      return { status: answer.status, text }
    })
  ).pipe(Effect.mapError(onTheWay))

/**
 * Exchanges an assertion for a token.
 *
 * **Errors** `Authentication` when the account cannot be used or is refused; `Network` when the token endpoint cannot
 * be reached or is out of order.
 *
 * @since 0.1.0
 * @category constructors
 */
export const exchange = (
  account: Account,
  options: Pick<Options, "client" | "scope">
): Effect.Effect<TokenCache.Token, LlmError.LlmError> =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const assertion = yield* assertionOf(account, options.scope, now)
    const address = new URL(account.tokenUri)
    address.hash = ""
    const form = new URLSearchParams({ grant_type: grant, assertion })
    const { status, text } = yield* post(address, form.toString(), options.client)
    return yield* Effect.fromResult(read(status, text, now, Redaction.make([assertion, ...secretsOf(account)])))
  })

/**
 * Makes the prover of a service account.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Auth.Prover => {
  const { account, cache } = options
  let own = Redaction.make("text" in account ? [Redacted.value(account.text)] : [])
  const obtain = Effect.flatMap(readAccount(account), (known) => {
    own = Redaction.make([...secretsOf(known), ...("text" in account ? [Redacted.value(account.text)] : [])])
    return exchange(known, options)
  })
  return { ...TokenCache.prover(cache, obtain), redaction: (text) => own(cache.redaction(text)) }
}
