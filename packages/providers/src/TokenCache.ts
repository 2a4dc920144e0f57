/**
 * Keeps a token until shortly before it ends.
 *
 * Whatever the number of requests, one renewal runs at a time. In the last fifth of its life, at most five minutes,
 * a token is still used while the next one is fetched beside the requests, so that a token endpoint that is down for
 * a moment costs nobody anything. Who has no usable token waits for the renewal.
 *
 * @since 0.1.0
 */
import * as LlmError from "@echelon/core/LlmError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Auth from "./Auth.ts"
import * as Redaction from "./Redaction.ts"

/**
 * A token and when it ends, in milliseconds since the epoch. One without an end is not kept: each request asks anew.
 *
 * @since 0.1.0
 * @category models
 */
export interface Token {
  readonly value: Redacted.Redacted
  readonly expiresAt: number | undefined
}

/**
 * What is known at some time. Times are milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly token: Token | undefined
  readonly obtainedAt: number
  /** When the last renewal failed. */
  readonly failedAt: number | undefined
}

/**
 * The state before the first token.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial: State = { token: undefined, obtainedAt: 0, failedAt: undefined }

const early = 5 * 60_000
const last = 30_000
const retryAfterFailure = 10_000

/**
 * Decides what a request does: use the token, use it while it is renewed, or wait for the renewal.
 *
 * @since 0.1.0
 * @category combinators
 */
export const decide = ({ failedAt, obtainedAt, token }: State, now: number): "use" | "renew" | "wait" => {
  if (token?.expiresAt === undefined) return "wait"
  const life = token.expiresAt - obtainedAt
  if (now >= token.expiresAt - Math.min(last, life / 20)) return "wait"
  if (now < token.expiresAt - Math.min(early, life / 5)) return "use"
  return failedAt !== undefined && now < failedAt + retryAfterFailure ? "use" : "renew"
}

/**
 * How long a renewal may take, in milliseconds.
 *
 * @default 30000
 * @since 0.1.0
 * @category models
 */
export const renewalTimeout = 30_000

/**
 * How long a token that replaced a refused one is not replaced again, in milliseconds.
 *
 * @default 60000
 * @since 0.1.0
 * @category models
 */
export const refusalPause = 60_000

/**
 * A token that is kept.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenCache {
  /** Gives a token; `obtain` fetches one where none is kept. */
  readonly get: (obtain: Effect.Effect<Token, LlmError.LlmError>) => Effect.Effect<Token, LlmError.LlmError>
  /**
   * Hears that a provider refused a token, drops it, and tells whether to ask again. Not more than once a minute:
   * an account that is refused must not make the token endpoint busy.
   */
  readonly refused: (token: string) => Effect.Effect<boolean>
  readonly redaction: Redaction.Redaction
}

// Requests under way may still quote the tokens before.
const remembered = 3

/**
 * Makes a cache that is empty.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (): TokenCache => {
  let state = initial
  let running: Deferred.Deferred<Token, LlmError.LlmError> | undefined
  let refusedAt = Number.NEGATIVE_INFINITY
  let known: ReadonlyArray<string> = []
  let redaction = Redaction.make([])

  const keep = (token: Token, now: number): void => {
    state = { token, obtainedAt: now, failedAt: undefined }
    const value = Redacted.value(token.value)
    if (known.includes(value)) return
    known = [value, ...known].slice(0, remembered)
    redaction = Redaction.make(known)
  }

  const renew = (obtain: Effect.Effect<Token, LlmError.LlmError>): Effect.Effect<Token, LlmError.LlmError> =>
    Effect.suspend(() => {
      if (running !== undefined) return Deferred.await(running)
      const renewal = Deferred.makeUnsafe<Token, LlmError.LlmError>()
      running = renewal
      const run = Effect.suspend(() => obtain).pipe(
        Effect.flatMap(checked),
        Effect.timeoutOrElse({ duration: renewalTimeout, orElse: () => Effect.fail(tooSlow) }),
        Effect.onExit((exit) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            running = undefined
            if (exit._tag === "Success") keep(exit.value, now)
            else state = { ...state, failedAt: now }
            Deferred.doneUnsafe(renewal, exit)
          })
        )
      )
      // Detached: whoever asked first may leave, the others still wait for it.
      return Effect.andThen(Effect.forkDetach(run, { startImmediately: true }), Deferred.await(renewal))
    })

  return {
    get: (obtain) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const { token } = state
        const decision = decide(state, now)
        if (token === undefined || decision === "wait") return renew(obtain)
        if (decision === "use") return Effect.succeed(token)
        return Effect.as(Effect.forkDetach(Effect.ignore(renew(obtain)), { startImmediately: true }), token)
      }),
    refused: (value) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const { token } = state
        const isCurrent = token !== undefined && Redacted.value(token.value) === value
        // Another request has replaced it already.
        if (token !== undefined && !isCurrent) return true
        if (now < refusedAt + refusalPause) return false
        refusedAt = now
        state = initial
        return true
      }),
    redaction: (text) => redaction(text)
  }
}

const checked = (token: Token): Effect.Effect<Token, LlmError.LlmError> =>
  /^[\x21-\x7e]+$/.test(Redacted.value(token.value))
    ? Effect.succeed(token)
    : Effect.fail(
        LlmError.make({
          reason: { _tag: "Authentication" },
          detail: "the token is empty or holds what no header may hold"
        })
      )

const tooSlow = LlmError.make({
  reason: { _tag: "Network", kind: "other" },
  detail: `no token came within ${renewalTimeout / 1_000} s`
})

/**
 * Shows the token of a cache as a bearer.
 *
 * @since 0.1.0
 * @category combinators
 */
export const prover = (cache: TokenCache, obtain: Effect.Effect<Token, LlmError.LlmError>): Auth.Prover => ({
  prove: () => Effect.map(cache.get(obtain), ({ value }) => ({ authorization: `Bearer ${Redacted.value(value)}` })),
  refused: ({ authorization = "" }) => cache.refused(authorization.slice("Bearer ".length)),
  owns: ["authorization"],
  redaction: cache.redaction
})

/**
 * Gives the cache of an account by a name. What the account is made of decides whether it is still the same.
 *
 * @since 0.1.0
 * @category models
 */
export interface Shared {
  readonly of: (name: string, account: unknown) => TokenCache
}

/**
 * The caches that instances share, so that the models of an account use one token.
 *
 * @default each instance has its own
 * @since 0.1.0
 * @category services
 */
export const Shared = Context.Reference<Shared>("@echelon/providers/TokenCache/Shared", {
  defaultValue: () => ({ of: make })
})

/**
 * Shares caches among all instances that are built below it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerShared: Layer.Layer<never> = Layer.effect(
  Shared,
  Effect.sync(() => {
    const kept = new Map<string, { readonly account: unknown; readonly cache: TokenCache }>()
    return {
      of: (name, account) => {
        const found = kept.get(name)
        if (found !== undefined && Equal.equals(found.account, account)) return found.cache
        const cache = make()
        kept.set(name, { account, cache })
        return cache
      }
    }
  })
)
