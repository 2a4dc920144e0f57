import { LlmError } from "@echelon/core"
import { TokenCache } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"

const token = (value: string, expiresAt: number | undefined): TokenCache.Token => ({
  value: Redacted.make(value),
  expiresAt
})

const hour = 3_600_000
const down = LlmError.make({ reason: { _tag: "Network", kind: "reset" } })
const valueOf = ({ value }: TokenCache.Token) => Redacted.value(value)

it("decides by the time that is left", () => {
  const state = (failedAt?: number): TokenCache.State => ({ token: token("a", hour), obtainedAt: 0, failedAt })
  const cases: ReadonlyArray<readonly [TokenCache.State, number, string]> = [
    [TokenCache.initial, 0, "wait"],
    [{ ...TokenCache.initial, token: token("a", undefined) }, 0, "wait"],
    [state(), 0, "use"],
    [state(), hour - 300_001, "use"],
    [state(), hour - 300_000, "renew"],
    [state(), hour - 30_001, "renew"],
    [state(), hour - 30_000, "wait"],
    [state(), 2 * hour, "wait"],
    // A renewal that failed is not repeated at once, as long as the token holds.
    [state(hour - 300_000), hour - 290_001, "use"],
    [state(hour - 300_000), hour - 290_000, "renew"],
    [state(hour - 31_000), hour - 30_000, "wait"],
    // A short life has short margins: 12 s and 3 s of a minute.
    [{ token: token("a", 60_000), obtainedAt: 0, failedAt: undefined }, 47_999, "use"],
    [{ token: token("a", 60_000), obtainedAt: 0, failedAt: undefined }, 48_000, "renew"],
    [{ token: token("a", 60_000), obtainedAt: 0, failedAt: undefined }, 57_000, "wait"],
    [{ token: token("a", 0), obtainedAt: 10, failedAt: undefined }, 10, "wait"]
  ]
  for (const [state, now, expected] of cases) expect([now, TokenCache.decide(state, now)]).toEqual([now, expected])
})

/** A source that counts, and answers when it is told to. */
const counting = (life: number | null = hour) => {
  const seen = { count: 0 }
  const obtain = Effect.suspend(() => {
    seen.count++
    return Effect.map(
      Effect.clockWith((clock) => clock.currentTimeMillis),
      (now) => token(`t${seen.count}`, life === null ? undefined : now + life)
    )
  })
  return { seen, obtain }
}

it.effect("keeps a token until shortly before it ends, and renews it beside the requests before", () =>
  Effect.gen(function* () {
    const cache = TokenCache.make()
    const { obtain, seen } = counting()
    const get = Effect.map(cache.get(obtain), valueOf)
    expect(yield* get).toBe("t1")
    yield* TestClock.adjust("54 minutes")
    expect(yield* get).toBe("t1")
    expect(seen.count).toBe(1)
    yield* TestClock.adjust("2 minutes")
    expect(yield* get).toBe("t1")
    expect(seen.count).toBe(2)
    expect(yield* get).toBe("t2")
    yield* TestClock.adjust("1 hour")
    expect(yield* get).toBe("t3")
  })
)

it.effect("asks anew each time for a token without an end", () =>
  Effect.gen(function* () {
    const cache = TokenCache.make()
    const { obtain } = counting(null)
    expect([valueOf(yield* cache.get(obtain)), valueOf(yield* cache.get(obtain))]).toEqual(["t1", "t2"])
  })
)

it.effect("renews once for all who wait, also when the first of them leaves", () =>
  Effect.gen(function* () {
    const cache = TokenCache.make()
    const gate = yield* Deferred.make<void>()
    let count = 0
    const obtain = Effect.andThen(
      Effect.sync(() => count++),
      Effect.as(Deferred.await(gate), token("one", hour))
    )
    const all = yield* Effect.forEach(Array.from({ length: 50 }), () =>
      Effect.forkChild(cache.get(obtain), { startImmediately: true })
    )
    const [first, ...rest] = all
    if (first !== undefined) yield* Fiber.interrupt(first)
    yield* Deferred.succeed(gate, undefined)
    const tokens = yield* Effect.forEach(rest, Fiber.join)
    expect([count, new Set(tokens.map(valueOf))]).toEqual([1, new Set(["one"])])
  })
)

it.effect("a failed renewal beside the requests costs nothing while the token holds", () =>
  Effect.gen(function* () {
    const cache = TokenCache.make()
    let count = 0
    const failing = Effect.suspend(() => {
      count++
      return Effect.fail(down)
    })
    yield* cache.get(Effect.succeed(token("kept", hour)))
    yield* TestClock.adjust("56 minutes")
    for (let i = 0; i < 20; i++) expect(valueOf(yield* cache.get(failing))).toBe("kept")
    expect(count).toBe(1)
    yield* TestClock.adjust("10 seconds")
    yield* cache.get(failing)
    expect(count).toBe(2)
    yield* TestClock.adjust("4 minutes")
    expect(yield* Effect.flip(cache.get(failing))).toBe(down)
    expect(valueOf(yield* cache.get(Effect.succeed(token("next", 2 * hour))))).toBe("next")
  })
)

it.effect("does not wait for ever", () =>
  Effect.gen(function* () {
    const cache = TokenCache.make()
    const fiber = yield* Effect.forkChild(Effect.flip(cache.get(Effect.never)), { startImmediately: true })
    yield* TestClock.adjust(TokenCache.renewalTimeout)
    const error = yield* Fiber.join(fiber)
    expect([error.reason._tag, error.detail]).toEqual(["Network", "no token came within 30 s"])
    expect(valueOf(yield* cache.get(Effect.succeed(token("next", hour))))).toBe("next")
  })
)

it.effect("refuses a token that no header may hold, without showing it", () =>
  Effect.gen(function* () {
    for (const bad of ["", "s3cr3t\r\nx-evil: 1", "s3cr3t é", "s3cr3t\0"]) {
      const error = yield* Effect.flip(TokenCache.make().get(Effect.succeed(token(bad, hour))))
      expect(error.reason._tag).toBe("Authentication")
      expect(error.message).not.toContain("s3cr3t")
    }
  })
)

it.effect("drops a token that was refused, not more than once a minute", () =>
  Effect.gen(function* () {
    const cache = TokenCache.make()
    const { obtain, seen } = counting()
    yield* cache.get(obtain)
    expect(yield* cache.refused("t1")).toBe(true)
    expect(valueOf(yield* cache.get(obtain))).toBe("t2")
    // A late refusal of the one before: there is another already.
    expect(yield* cache.refused("t1")).toBe(true)
    expect(yield* cache.refused("t2")).toBe(false)
    expect(valueOf(yield* cache.get(obtain))).toBe("t2")
    expect(seen.count).toBe(2)
    yield* TestClock.adjust("61 seconds")
    expect(yield* cache.refused("t2")).toBe(true)
    expect(valueOf(yield* cache.get(obtain))).toBe("t3")
  })
)

it.effect("redacts the tokens of late", () =>
  Effect.gen(function* () {
    const cache = TokenCache.make()
    const get = (value: string) => cache.get(Effect.succeed(token(value, undefined)))
    yield* get("token-one")
    yield* get("token-two")
    expect(cache.redaction("token-one, token-two, token-three")).toBe("[redacted], [redacted], token-three")
  })
)

it.effect("shares the token of an account, and not that of a changed one", () =>
  Effect.gen(function* () {
    const shared = yield* TokenCache.Shared
    const one = shared.of("google@", [Redacted.make("account")])
    expect(shared.of("google@", [Redacted.make("account")])).toBe(one)
    expect(shared.of("google@other", [Redacted.make("account")])).not.toBe(one)
    expect(shared.of("google@", [Redacted.make("changed")])).not.toBe(one)
  }).pipe(Effect.provide(TokenCache.layerShared))
)
