import { Backoff } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import { Effect, Random } from "effect"

it.effect("each wait is uniform below min(cap, base * 2^n)", () =>
  Effect.gen(function* () {
    const ceilings = [100, 200, 400, 800, 1_000, 1_000]
    const drawn = ceilings.map((): Array<number> => [])
    for (let i = 0; i < 300; i++) {
      const next = yield* Backoff.waits({ base: "100 millis", cap: "1 second" })
      for (const waits of drawn) waits.push(yield* next(0))
    }
    for (const [n, waits] of drawn.entries()) {
      const ceiling = ceilings[n] ?? 0
      expect(Math.max(...waits)).toBeLessThanOrEqual(ceiling)
      expect(Math.max(...waits)).toBeGreaterThan(ceiling * 0.9)
      expect(Math.min(...waits)).toBeLessThan(ceiling * 0.1)
    }
  }).pipe(Random.withSeed("full jitter"))
)
