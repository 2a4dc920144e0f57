/**
 * How a credential is shown to a provider.
 *
 * A key has a place in the request, that of its kind or the one that a file states, and is put there when the endpoint is
 * built. The other kinds are computed for
 * each request, by a `Prover`: a signature over the request, or a token that is renewed before it ends.
 *
 * @since 0.1.0
 */
import type * as LlmError from "@echelon/core/LlmError"
import type * as Plan from "@echelon/core/Plan"
import type * as Effect from "effect/Effect"
import type * as Redaction from "./Redaction.ts"

/**
 * The place of a key in a request.
 *
 * @since 0.1.0
 * @category models
 */
export type Static =
  | { readonly _tag: "Bearer" }
  | { readonly _tag: "Header"; readonly name: string }
  | { readonly _tag: "Query"; readonly name: string }
  | { readonly _tag: "None" }

/**
 * A proof that is computed when a request is sent.
 *
 * @since 0.1.0
 * @category models
 */
export type Computed =
  | { readonly _tag: "SigV4"; readonly service: string }
  | { readonly _tag: "Google"; readonly scope: string }
  | { readonly _tag: "Token" }

/**
 * How a credential is shown.
 *
 * @since 0.1.0
 * @category models
 */
export type Auth = Static | Computed

/**
 * `Authorization: Bearer KEY`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bearer: Static = { _tag: "Bearer" }

/**
 * The key alone, in a header of its own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const header = (name: string): Static => ({ _tag: "Header", name })

/**
 * The key as a query parameter.
 *
 * @since 0.1.0
 * @category constructors
 */
export const query = (name: string): Static => ({ _tag: "Query", name })

/**
 * No credential.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: Static = { _tag: "None" }

/**
 * AWS Signature Version 4 over each request, for a service such as `bedrock`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sigV4 = (service: string): Auth => ({ _tag: "SigV4", service })

/**
 * A token of a Google service account, for Google Cloud unless a narrower scope is given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const google = (scope = "https://www.googleapis.com/auth/cloud-platform"): Auth => ({ _tag: "Google", scope })

/**
 * A token of the program's own `TokenSource`, as a bearer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const token: Auth = { _tag: "Token" }

/**
 * Tells a place of a key from a proof that is computed.
 *
 * @since 0.1.0
 * @category guards
 */
export const isStatic = (auth: Auth): auth is Static =>
  auth._tag !== "SigV4" && auth._tag !== "Google" && auth._tag !== "Token"

/**
 * What a kind of provider takes: as a rule, and as a key where a key is not the rule (a bearer unless said
 * otherwise).
 *
 * @since 0.1.0
 * @category models
 */
export interface Offer {
  readonly auth: Auth
  readonly keyAuth?: Static | undefined
}

/**
 * The auth of a credential: what the provider's file states, or else the rule of its kind. A credential that is
 * nothing but a key is shown as a key.
 *
 * @since 0.1.0
 * @category combinators
 */
export const choose = (
  offer: Offer,
  provider: Pick<Plan.Provider, "auth" | "authName">,
  credential: Plan.Credential
): Auth => {
  const { auth, keyAuth = bearer } = offer
  const isKeyAlone =
    credential.key !== undefined && Object.values(credential.secrets ?? {}).every((one) => one === undefined)
  switch (provider.auth ?? (isKeyAlone ? "key" : undefined)) {
    case undefined:
      return auth
    case "key":
      return isStatic(auth) ? auth : keyAuth
    case "bearer":
      return bearer
    case "header":
      return header((provider.authName ?? "").toLowerCase())
    case "query":
      return query(provider.authName ?? "")
    case "none":
      return none
    case "sigv4":
      return auth._tag === "SigV4" ? auth : sigV4("bedrock")
    case "google":
      return auth._tag === "Google" ? auth : google()
    case "token":
      return token
  }
}

/**
 * The word of a file for an auth.
 *
 * @since 0.1.0
 * @category getters
 */
export const kindOf = (auth: Auth): Plan.AuthKind => {
  switch (auth._tag) {
    case "Bearer":
      return "bearer"
    case "Header":
      return "header"
    case "Query":
      return "query"
    case "None":
      return "none"
    case "SigV4":
      return "sigv4"
    case "Google":
      return "google"
    case "Token":
      return "token"
  }
}

/**
 * What a credential adds to a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Proof {
  readonly headers: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string>>
}

/**
 * Shows a key the way a provider wants to see it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const apply = (auth: Static, key: string | undefined): Proof => {
  if (key === undefined) return { headers: {}, query: {} }
  switch (auth._tag) {
    case "Bearer":
      return { headers: { authorization: `Bearer ${key}` }, query: {} }
    case "Header":
      return { headers: { [auth.name]: key }, query: {} }
    case "Query":
      return { headers: {}, query: { [auth.name]: key } }
    case "None":
      return { headers: {}, query: {} }
  }
}

/**
 * A request as it will go out, but for its proof.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outgoing {
  readonly method: "GET" | "POST"
  readonly url: string
  /** In lower case; without those that belong to the connection, `host` among them. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

/**
 * Headers that prove who asks.
 *
 * @since 0.1.0
 * @category models
 */
export type Headers = Readonly<Record<string, string>>

/**
 * Computes the proof of each request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Prover {
  readonly prove: (outgoing: Outgoing) => Effect.Effect<Headers, LlmError.LlmError>
  /** Hears that the provider refused a proof with a 401, and tells whether to ask for another one. */
  readonly refused: (proof: Headers) => Effect.Effect<boolean>
  /** The headers that nobody else may set. */
  readonly owns: ReadonlyArray<string>
  /** Takes everything secret of it out of a text, the proofs of late included. */
  readonly redaction: Redaction.Redaction
}
