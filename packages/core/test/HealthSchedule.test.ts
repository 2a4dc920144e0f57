import * as HealthSchedule from "@echelon/core/HealthSchedule"
import { expect, it } from "@effect/vitest"
import { dice } from "./support/dice.ts"

it("properties: gives what is due in the order of time, each item once, and holds no more than a few times what it serves", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const { below } = dice(seed)
    const schedule = new HealthSchedule.Schedule<HealthSchedule.Item & { readonly id: number }>()
    const items = Array.from({ length: 40 }, (_, id) => ({ id, due: Number.POSITIVE_INFINITY }))
    const model = new Map<number, number>()
    for (let i = 0; i < 2_000; i++) {
      const item = items[below(items.length)]
      if (item === undefined) continue
      if (below(3) > 0) {
        const at = below(10) === 0 ? Number.POSITIVE_INFINITY : below(1_000)
        schedule.set(item, at)
        if (at === Number.POSITIVE_INFINITY) model.delete(item.id)
        else model.set(item.id, at)
      } else {
        const now = below(1_000)
        const taken = schedule.take(now)
        const first = Math.min(...model.values())
        if (first > now) expect(taken).toBeUndefined()
        else {
          expect(model.get(taken?.id ?? -1)).toBe(first)
          model.delete(taken?.id ?? -1)
        }
      }
      expect(schedule.first()).toBe(Math.min(...model.values()))
      expect(schedule.size()).toBeLessThanOrEqual(2 * items.length + 65)
    }
  }
})
