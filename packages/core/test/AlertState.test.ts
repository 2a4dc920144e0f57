import * as AlertSettings from "@echelon/core/AlertSettings"
import * as AlertState from "@echelon/core/AlertState"
import { expect, it } from "@effect/vitest"

const minute = 60_000
const settings = AlertSettings.make({ rules: { breaker_open: { for: minute }, provider_down: { for: 0 } } })
const out: AlertState.Condition = {
  rule: "breaker_open",
  subject: { kind: "instance", name: "a" },
  provider: "openai",
  text: "a is out in chat"
}

/** Steps a fresh state at each time, and tells what happened there. */
const play = (steps: ReadonlyArray<readonly [at: number, conditions: ReadonlyArray<AlertState.Condition>]>) => {
  const state = AlertState.make()
  const told = steps.flatMap(([at, conditions]) =>
    AlertState.step(state, conditions, settings, at).map(({ _tag, at: when }) => `${_tag} ${when / minute}`)
  )
  return { state, told }
}

it("is pending until it has held for its time, fires once, and resolves when it has been gone for its time", () => {
  const { state, told } = play([
    [0, [out]],
    [0.9 * minute, [out]],
    [minute, [out]],
    [2 * minute, [out]],
    [3 * minute, []],
    [3.9 * minute, []],
    [4 * minute, []],
    [5 * minute, []]
  ])
  expect(told).toEqual(["Fired 1", "Resolved 4"])
  expect(AlertState.firing(state)).toEqual([])
  expect(AlertState.find(state, "breaker_open/instance/a")).toMatchObject({
    phase: "resolved",
    since: 0,
    firedAt: minute,
    resolvedAt: 4 * minute
  })
})

it("a condition that goes before its time says nothing, and its time begins anew", () => {
  const { told } = play([
    [0, [out]],
    [0.8 * minute, []],
    [0.9 * minute, [out]],
    [1.5 * minute, [out]],
    [1.9 * minute, [out]]
  ])
  expect(told).toEqual(["Fired 1.9"])
})

it("an alert that flaps fires few times: a short gap is none, and each firing lengthens the next", () => {
  const state = AlertState.make()
  const down: AlertState.Condition = { ...out, rule: "provider_down", subject: { kind: "provider", name: "openai" } }
  let fired = 0
  let resolved = 0
  // On and off every 90 s for two hours: 40 times round.
  for (let at = 0; at < 120 * minute; at += 5_000) {
    const isOn = Math.floor(at / 90_000) % 2 === 0
    for (const { _tag } of AlertState.step(state, isOn ? [down] : [], settings, at)) {
      if (_tag === "Fired") fired += 1
      else resolved += 1
    }
  }
  // The first gap of 90 s resolves it, the second does not any more; after an hour that is forgotten once.
  expect(fired).toBeLessThanOrEqual(6)
  expect(resolved).toBeLessThanOrEqual(fired)
  expect(fired).toBeGreaterThanOrEqual(2)
})

it("a severity that a reload changes holds from the next look on", () => {
  const state = AlertState.make()
  AlertState.step(state, [out], settings, 0)
  const louder = AlertSettings.make({ rules: { breaker_open: { for: 0, severity: "critical" } } })
  const [event] = AlertState.step(state, [out], louder, 1)
  expect(event?.alert).toMatchObject({ phase: "firing", severity: "critical" })
})

it("keeps at most 1,000 alerts; those that have resolved make room, and the rest is counted", () => {
  const state = AlertState.make()
  const many = (n: number, prefix: string): ReadonlyArray<AlertState.Condition> =>
    Array.from({ length: n }, (_, i) => ({
      rule: "provider_down",
      subject: { kind: "tenant", name: `${prefix}${i}` },
      text: "x"
    }))
  AlertState.step(state, many(1_500, "a"), settings, 0)
  expect([state.cells.size, state.overflow]).toEqual([1_000, 500])
  AlertState.step(state, [], settings, minute)
  AlertState.step(state, [], settings, 3 * minute)
  expect(AlertState.step(state, many(10, "b"), settings, 4 * minute).length).toBe(10)
  expect(state.cells.size).toBe(1_000)
})

it("says since when what still fires does not hold", () => {
  const { state } = play([
    [0, [out]],
    [minute, [out]],
    [2 * minute, []],
    [2.5 * minute, []]
  ])
  expect(AlertState.firing(state)).toMatchObject([{ phase: "firing", clearSince: 2 * minute }])
  AlertState.step(state, [out], settings, 2.8 * minute)
  expect(AlertState.firing(state)[0]?.clearSince).toBeUndefined()
})

it("tells when passing time alone changes something", () => {
  const state = AlertState.make()
  expect(AlertState.nextAt(state, settings, 0)).toBe(Number.POSITIVE_INFINITY)
  AlertState.step(state, [out], settings, 0)
  expect(AlertState.nextAt(state, settings, 0)).toBe(minute)
  AlertState.step(state, [out], settings, minute)
  AlertState.step(state, [], settings, 2 * minute)
  expect(AlertState.nextAt(state, settings, 2 * minute)).toBe(3 * minute)
})
