import { Plans } from "@echelon/core"
import * as RateLimit from "@echelon/core/RateLimit"
import { expect, it } from "@effect/vitest"

const window = { _tag: "SlidingWindow", name: "w", of: "tokens", limit: 100, window: 60_000 } as const
const bucket = { _tag: "TokenBucket", name: "w", of: "tokens", bucketSize: 100, refillRate: 1 } as const
const slots = { _tag: "Concurrency", name: "c", limit: 5 } as const

it("reads the limits of an instance or an echelon", () => {
  expect(RateLimit.ofLimits(Plans.noLimits)).toEqual([])
  expect(RateLimit.ofLimits({ concurrency: 1, rpm: 2, tpm: 3, rpd: 4 })).toEqual([
    { _tag: "Concurrency", name: "concurrency", limit: 1 },
    { _tag: "SlidingWindow", name: "rpm", of: "requests", limit: 2, window: 60_000 },
    { _tag: "SlidingWindow", name: "tpm", of: "tokens", limit: 3, window: 60_000 },
    { _tag: "SlidingWindow", name: "rpd", of: "requests", limit: 4, window: 86_400_000 }
  ])
})

it("reads the limit of a pool", () => {
  expect(RateLimit.ofPool(undefined)).toEqual([])
  expect(RateLimit.ofPool({ algorithm: "token_bucket", bucketSize: 1_000, refillRate: 16.67 })).toEqual([
    { _tag: "TokenBucket", name: "rate_limit", of: "requests", bucketSize: 1_000, refillRate: 16.67 }
  ])
  expect(RateLimit.ofPool({ algorithm: "sliding_window", limit: 9, window: 10_000 })).toEqual([
    { _tag: "SlidingWindow", name: "rate_limit", of: "requests", limit: 9, window: 10_000 }
  ])
})

const bad: ReadonlyArray<readonly [string, ReadonlyArray<RateLimit.Spec>]> = [
  ["name must be unique, got c twice", [slots, slots]],
  ["limit of c must be at least 1 and finite, got 0", [{ ...slots, limit: 0 }]],
  ["limit of w must be at least 1 and finite, got NaN", [{ ...window, limit: Number.NaN }]],
  ["window of w must be at least 1 and finite, got Infinity", [{ ...window, window: Number.POSITIVE_INFINITY }]],
  ["bucketSize of w must be at least 1 and finite, got 0.5", [{ ...bucket, bucketSize: 0.5 }]],
  ["refillRate of w must be above 0 and finite, got 0", [{ ...bucket, refillRate: 0 }]]
]
it.each(bad)("%s", (message, specs) => {
  expect(() => RateLimit.check(specs)).toThrow(new RangeError(`RateLimit.check: ${message}`))
})

it("accepts what is sound", () => {
  expect(() => RateLimit.check([slots, window, { ...bucket, name: "b", refillRate: 0.001 }])).not.toThrow()
})

it("a limit that changes its numbers is the same limit", () => {
  for (const spec of [window, bucket]) {
    const limit = RateLimit.make(spec, "w")
    RateLimit.charge(limit, 60, 0)
    const next = spec._tag === "TokenBucket" ? { ...spec, bucketSize: 50 } : { ...spec, limit: 50 }
    expect(RateLimit.resize(limit, next, 0)).toBe(limit)
    expect(RateLimit.left(limit, 0)).toBe(-10)
  }
})

it("another algorithm or window starts with what the old one counted; another unit starts empty", () => {
  const changed: ReadonlyArray<readonly [RateLimit.Timed, RateLimit.Timed, number]> = [
    [window, bucket, 40],
    [bucket, window, 40],
    [window, { ...window, window: 1_000 }, 40],
    [window, { ...window, of: "requests" }, 100]
  ]
  for (const [from, to, left] of changed) {
    const limit = RateLimit.make(from, "w")
    RateLimit.charge(limit, 60, 0)
    const next = RateLimit.resize(limit, to, 0)
    expect(next).not.toBe(limit)
    expect([next.of, RateLimit.left(next, 0)]).toEqual([to.of, left])
  }
})
