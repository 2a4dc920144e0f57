import type { Reason } from "@echelon/core"
import * as HealthProvider from "@echelon/core/HealthProvider"
import { expect, it } from "@effect/vitest"
import { dice } from "./support/dice.ts"

const overloaded: Reason.Reason = { _tag: "Overloaded" }
const member = (instance: string, options: Partial<HealthProvider.Member> = {}): HealthProvider.Member => ({
  instance,
  isFailing: false,
  failingSince: undefined,
  cause: undefined,
  provedAt: undefined,
  heardAt: undefined,
  ...options
})
const out = (instance: string, failingSince: number, cause: Reason.Reason = overloaded) =>
  member(instance, { isFailing: true, failingSince, cause, provedAt: failingSince - 1 })

it("is down when its instances fail together", () => {
  const judged = (...members: ReadonlyArray<HealthProvider.Member>) =>
    HealthProvider.judge(HealthProvider.make(0), members, 100).isDown
  expect([
    judged(),
    judged(out("only", 10)),
    judged(out("only", 10, { _tag: "ModelNotFound" })),
    judged(out("a", 10), member("b", { heardAt: 90 })),
    judged(out("a", 10), out("b", 20)),
    judged(out("a", 10), out("b", 20), member("idle")),
    judged(out("a", 10), out("b", 20), member("before they began", { provedAt: 19 })),
    judged(out("a", 10), out("b", 20), member("meanwhile", { provedAt: 20 })),
    judged(out("a", 10), out("b", 20, { _tag: "ModelNotFound" }))
  ]).toEqual([false, true, false, false, true, true, true, false, false])
})

it("what its own users are refused is nothing of the provider's", () => {
  for (const tag of ["Authentication", "QuotaExhausted", "ModelNotFound"] as const)
    expect(
      HealthProvider.judge(HealthProvider.make(0), [out("a", 1, { _tag: tag }), out("b", 2, { _tag: tag })], 9).isDown
    ).toBe(false)
})

it("idle instances do not keep one that fails from telling, nor one in use from speaking for it", () => {
  const now = 1_000_000
  const judged = (...members: ReadonlyArray<HealthProvider.Member>) =>
    HealthProvider.judge(HealthProvider.make(0), members, now).isDown
  const network: Reason.Reason = { _tag: "Network", kind: "refused" }
  expect([
    judged(out("a", now - 9), member("never")),
    judged(out("a", now - 9), member("long ago", { heardAt: now - 300_000, provedAt: now - 300_000 })),
    judged(out("a", now - 9), member("lately", { heardAt: now - 299_999, provedAt: now - 299_999 })),
    judged(out("a", now - 9, network), member("lately", { heardAt: now - 20, provedAt: now - 20 })),
    judged(out("a", now - 9, network), member("since", { heardAt: now - 5, provedAt: now - 5 }))
  ]).toEqual([true, true, false, true, false])
})

it("says it once, with who fails and why, and once that it works again", () => {
  const start = HealthProvider.make(0)
  const down = HealthProvider.judge(start, [out("a", 1), out("b", 2), member("c")], 10)
  expect(down).toEqual({
    isDown: true,
    since: 10,
    instances: ["a", "b"],
    message: "2 of its 3 instances fail: overloaded"
  })
  expect(HealthProvider.judge(down, [out("a", 1), out("b", 2), member("c")], 20)).toBe(down)
  const wider = HealthProvider.judge(down, [out("a", 1), out("b", 2), out("c", 3)], 30)
  expect([wider.isDown, wider.since, wider.instances]).toEqual([true, 10, ["a", "b", "c"]])
  const up = HealthProvider.judge(wider, [out("a", 1), out("b", 2), member("c", { provedAt: 40 })], 40)
  expect(up).toEqual({ isDown: false, since: 40, instances: [], message: "c answers" })
  // Those that still fail are no news.
  expect(HealthProvider.judge(up, [out("a", 1), out("b", 2), member("c", { provedAt: 40 })], 50)).toBe(up)
  expect(HealthProvider.judge(wider, [member("a")], 60).message).toBe("none of its instances is out any more")
})

it("properties: it changes only with a reason, and what it names fails", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const { below, of } = dice(seed)
    let state = HealthProvider.make(0)
    for (let now = 1; now < 40; now++) {
      const members = Array.from({ length: 1 + below(5) }, (_, i) =>
        of([member(`${i}`), member(`${i}`, { provedAt: below(now) }), out(`${i}`, 1 + below(now))])
      )
      const next = HealthProvider.judge(state, members, now)
      const failing = members.filter(({ isFailing }) => isFailing)
      if (next.isDown)
        expect(next.instances.every((name) => failing.some(({ instance }) => instance === name))).toBe(true)
      if (next.isDown && !state.isDown)
        expect(failing.length >= 2 || members.every((one) => one.isFailing || one.heardAt === undefined)).toBe(true)
      if (next.isDown === state.isDown) expect(next.since).toBe(state.since)
      else expect(next.since).toBe(now)
      expect(HealthProvider.judge(next, members, now)).toEqual(next)
      state = next
    }
  }
})
