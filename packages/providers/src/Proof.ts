/**
 * Chooses who computes an instance's proof, and sends requests that carry one.
 *
 * @since 0.1.0
 */
import * as LlmError from "@echelon/core/LlmError"
import type * as Plan from "@echelon/core/Plan"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Auth from "./Auth.ts"
import * as GoogleToken from "./GoogleToken.ts"
import type * as ProviderTable from "./ProviderTable.ts"
import * as SigV4 from "./SigV4.ts"
import * as TokenCache from "./TokenCache.ts"
import * as TokenSource from "./TokenSource.ts"
import type * as Transport from "./Transport.ts"
import * as Wire from "./Wire.ts"

/**
 * What a credential lacks for the auth of its provider, in the words of a file; `undefined` when nothing. A token's
 * source is not part of a credential.
 *
 * @since 0.1.0
 * @category guards
 */
export const lacks = (
  row: ProviderTable.Row,
  provider: Plan.Provider,
  credential: Plan.Credential
): string | undefined => {
  const { secrets } = credential
  switch (Auth.choose(row, provider, credential)._tag) {
    case "SigV4":
      if (secrets?.accessKeyId === undefined) return "access_key_id"
      return secrets.secretAccessKey === undefined ? "secret_access_key" : undefined
    case "Google":
      return secrets?.serviceAccount === undefined && secrets?.serviceAccountFile === undefined
        ? "service_account"
        : undefined
    case "Token":
    case "None":
      return undefined
    default: {
      const { auth } = provider
      const isDemanded = row.needsKey || (auth !== undefined && auth !== "key")
      return isDemanded && credential.key === undefined ? "api_key" : undefined
    }
  }
}

/**
 * Makes the prover of an instance; `undefined` when its auth is a key, which is part of the endpoint.
 *
 * **Details** What a signature is made with is loaded here, what a token is made with at the first request. Sources
 * and shared caches are those of the context.
 *
 * **Errors** `InvalidRequest` when a signature cannot be made of what is stated; the message shows no value.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  row: ProviderTable.Row,
  instance: Plan.Instance,
  client: Transport.Client
): Effect.Effect<Auth.Prover | undefined, LlmError.LlmError> =>
  Effect.suspend((): Effect.Effect<Auth.Prover | undefined, LlmError.LlmError> => {
    const { credential, provider } = instance
    const { secrets = {} } = credential
    const auth = Auth.choose(row, provider, credential)
    switch (auth._tag) {
      case "SigV4": {
        const { accessKeyId, secretAccessKey, sessionToken } = secrets
        const { region } = provider
        if (accessKeyId === undefined || secretAccessKey === undefined)
          return refuse(instance, 'auth = "sigv4" needs access_key_id and secret_access_key')
        if (region === undefined) return refuse(instance, 'auth = "sigv4" needs a region')
        if (!/^[a-z0-9-]+$/.test(region))
          return refuse(instance, "region must hold lower case letters, digits and dashes only")
        if (!isHeader(accessKeyId) || (sessionToken !== undefined && !isHeader(sessionToken)))
          return refuse(instance, "access_key_id and session_token must hold neither blanks nor control characters")
        return SigV4.make({ service: auth.service, region, accessKeyId, secretAccessKey, sessionToken })
      }
      case "Google":
        return Effect.map(TokenCache.Shared, (shared) =>
          GoogleToken.make({
            account:
              secrets.serviceAccount === undefined
                ? { file: secrets.serviceAccountFile ?? "" }
                : { text: secrets.serviceAccount },
            scope: auth.scope,
            client,
            cache: shared.of(`${provider.name}@${credential.name}`, [
              secrets.serviceAccount,
              secrets.serviceAccountFile
            ])
          })
        )
      case "Token":
        return Effect.map(TokenSource.TokenSource, (sources) =>
          TokenSource.find(sources, provider.name, credential.name)
        )
      default:
        return Effect.succeed(undefined)
    }
  })

const isHeader = (secret: Redacted.Redacted): boolean => /^[\x21-\x7e]+$/.test(Redacted.value(secret))

const refuse = (instance: Plan.Instance, detail: string): Effect.Effect<never, LlmError.LlmError> =>
  Effect.fail(LlmError.make({ reason: { _tag: "InvalidRequest" }, detail, instance: instance.name }))

/**
 * Sends a request with its proof. Without a prover it is `Wire.send` and nothing else.
 *
 * **Details** A 401 costs a token its place: the request is sent once more when there is another token. Nothing was
 * read by the caller until then, so the attempt is still one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const send = (
  prover: Auth.Prover | undefined,
  options: Wire.Options
): Effect.Effect<Wire.Exchange, LlmError.LlmError, Scope.Scope> =>
  prover === undefined ? Wire.send(options) : sendWith(prover, options)

const sendWith = Effect.fnUntraced(function* (prover: Auth.Prover, options: Wire.Options) {
  const outgoing: Auth.Outgoing = {
    method: options.body === undefined ? "GET" : "POST",
    url: Redacted.value(options.target.url),
    headers: {
      ...Redacted.value(options.target.headers),
      accept: options.accept,
      ...(options.body === undefined ? {} : { "content-type": options.contentType ?? "application/json" })
    },
    body: options.body
  }
  const proof = yield* prover.prove(outgoing)
  const exchange = yield* Wire.send({ ...options, proof })
  if (exchange.status !== 401 || !(yield* prover.refused(proof))) return exchange
  const next = yield* prover.prove(outgoing)
  if (next["authorization"] === proof["authorization"]) return exchange
  // What the refusal says is of no use any more; a body that breaks off is none either.
  yield* Effect.ignore(exchange.text)
  exchange.finished()
  return yield* Wire.send({ ...options, proof: next })
})
