/**
 * Tokens that the program fetches itself, for providers whose file states `auth = "token"`: Azure's Entra ID, a
 * company's own gateway, anything that gives bearer tokens.
 *
 * @since 0.1.0
 */
import * as LlmError from "@echelon/core/LlmError"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Auth from "./Auth.ts"
import * as Redaction from "./Redaction.ts"
import * as TokenCache from "./TokenCache.ts"

/**
 * Fetches a token.
 *
 * **Errors** A failure that is an `LlmError` is taken as it is: fail with `Network` where a repeat may help. Any
 * other one becomes `Authentication`, and nothing of its message is shown.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenSource<R = never> extends Effect.Effect<TokenCache.Token, unknown, R> {}

/**
 * The prover of every source, by name.
 *
 * @default none
 * @since 0.1.0
 * @category services
 */
export const TokenSource = Context.Reference<Readonly<Record<string, Auth.Prover>>>("@echelon/providers/TokenSource", {
  defaultValue: () => ({})
})

/**
 * Makes a token. `expiresAt` is in milliseconds since the epoch; without it each request asks the source anew.
 *
 * @since 0.1.0
 * @category constructors
 */
export const token = (value: string | Redacted.Redacted, expiresAt?: number): TokenCache.Token => ({
  value: typeof value === "string" ? Redacted.make(value, { label: "token" }) : value,
  expiresAt
})

/**
 * Makes a source of a promise function.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromPromise = (
  fetch: (signal: AbortSignal) => Promise<{ readonly token: string; readonly expiresAt?: number | undefined }>
): TokenSource =>
  Effect.map(
    Effect.tryPromise({ try: (signal) => fetch(signal), catch: (thrown) => thrown }),
    (fetched): TokenCache.Token => token(fetched.token, fetched.expiresAt)
  )

const failed = (name: string, detail: string): LlmError.LlmError =>
  LlmError.make({ reason: { _tag: "Authentication" }, detail: `the token source "${name}" ${detail}` })

/** What a failure may be called: its tag or its class. Never its message, which may hold a secret. */
const nameOf = (failure: unknown): string => {
  const tag = typeof failure === "object" && failure !== null && "_tag" in failure ? failure._tag : undefined
  const name = typeof tag === "string" ? tag : failure instanceof Error ? failure.name : ""
  return /^\w{1,60}$/.test(name) ? ` (${name})` : ""
}

const obtained = (name: string, source: TokenSource): Effect.Effect<TokenCache.Token, LlmError.LlmError> =>
  Effect.catchCause(
    Effect.suspend(() => source),
    (cause) => {
      const failure = Cause.squash(cause)
      return Effect.fail(LlmError.isLlmError(failure) ? failure : failed(name, `failed${nameOf(failure)}`))
    }
  )

/**
 * Supplies the sources by the name of the provider, or by `provider@credential` where it has several. A token is
 * kept until shortly before it ends, and all instances of the provider use the same one.
 *
 * @example
 * ```ts
 * import { TokenSource } from "@echelon/providers"
 * import { Effect } from "effect"
 *
 * const layer = TokenSource.layer({
 *   azure: TokenSource.fromPromise(async () => ({ token: "from-entra", expiresAt: Date.now() + 3_600_000 }))
 * })
 * const sources = await Effect.runPromise(Effect.provide(TokenSource.TokenSource, layer))
 * console.assert(sources["azure"] !== undefined)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(sources: Readonly<Record<string, TokenSource<R>>>): Layer.Layer<never, never, R> =>
  Layer.effect(
    TokenSource,
    Effect.map(Effect.context<R>(), (context) =>
      Object.fromEntries(
        Object.entries(sources).map(([name, source]) => [
          name,
          TokenCache.prover(TokenCache.make(), obtained(name, Effect.provideContext(source, context)))
        ])
      )
    )
  )

/**
 * The prover of a source. Without one every request fails, and says which name is missing.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = (
  sources: Readonly<Record<string, Auth.Prover>>,
  provider: string,
  credential: string
): Auth.Prover => {
  const own = `${provider}@${credential}`
  const name = Object.hasOwn(sources, own) ? own : provider
  const found = Object.hasOwn(sources, name) ? sources[name] : undefined
  return (
    found ?? {
      prove: () => Effect.fail(failed(provider, "is not there; add it to TokenSource.layer")),
      refused: () => Effect.succeed(false),
      owns: ["authorization"],
      redaction: Redaction.make([])
    }
  )
}
