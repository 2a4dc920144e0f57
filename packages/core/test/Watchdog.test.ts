import { Clocks, type LlmError, Watchdog } from "@echelon/core"
import { expect, it } from "@effect/vitest"

const clocks = Clocks.make({
  timeout: "10 seconds",
  ttftTimeout: "3 seconds",
  idleTimeout: "2 seconds",
  streamTimeout: "1 minute",
  consumerIdleTimeout: "5 seconds"
})
const options = { deadline: undefined, firstOutputBy: undefined, streaming: true }

/** The clock that runs out, and when, with the timer sleeping as it is told. */
const runOut = (state: Watchdog.State, from: number): { at: number; clock: string } | undefined => {
  let now = from
  for (let i = 0; i < 1_000; i++) {
    const expired = Watchdog.expired(state, now)
    if (expired !== undefined) return { at: now, clock: name(expired.reason) }
    const wait = Watchdog.wait(state, now)
    if (wait === undefined) return undefined
    now += wait
  }
  return undefined
}
const name = (reason: LlmError.Reason) => (reason._tag === "Timeout" ? reason.clock : reason._tag)

it("before output: the time to first output; after it: idle, until commit the attempt", () => {
  const state = Watchdog.start(clocks, 0, options)
  expect(runOut(state, 0)).toEqual({ at: 3_000, clock: "ttft" })
  Watchdog.output(state)
  Watchdog.touched(state, 1_500)
  expect(runOut(state, 1_500)).toEqual({ at: 3_500, clock: "idle" })
  for (let t = 2_000; t < 10_000; t += 1_000) Watchdog.touched(state, t)
  expect(runOut(state, 9_500)).toEqual({ at: 10_000, clock: "attempt" })
})

it("a buffered reply has the attempt's clock alone", () => {
  const state = Watchdog.start(clocks, 0, { ...options, streaming: false })
  expect(runOut(state, 0)).toEqual({ at: 10_000, clock: "attempt" })
})

it("the deadline and its share come first when they are shorter, and blame nobody", () => {
  expect(runOut(Watchdog.start(clocks, 0, { ...options, deadline: 2_000 }), 0)).toEqual({
    at: 2_000,
    clock: "DeadlineExceeded"
  })
  const share = Watchdog.start(Clocks.make({}), 0, { ...options, firstOutputBy: 1_000, deadline: 3_000 })
  expect(Watchdog.expired(share, 1_000)?.reason).toMatchObject({ _tag: "Timeout", clock: "ttft", shortened: true })
})

it("a clock the caller shortened is marked", () => {
  const own = Clocks.withCaller(Clocks.make({ timeout: "10 seconds" }), { ttftTimeout: "1 second" })
  expect(own.shortened).toEqual(["ttft"])
  expect(Watchdog.expired(Watchdog.start(own, 0, options), 1_000)?.reason).toMatchObject({ shortened: true })
  const configured = Clocks.make({ timeout: "10 seconds", ttftTimeout: "1 second" })
  expect(Clocks.withCaller(configured, { ttftTimeout: "5 seconds" }).shortened).toBeUndefined()
})

it("idle stands still while the consumer does not pull", () => {
  const state = Watchdog.start(clocks, 0, options)
  Watchdog.committed(state, 1_000)
  Watchdog.pulling(state, false, 1_000)
  expect(runOut(state, 1_000)).toEqual({ at: 6_000, clock: "consumer_idle" })
  Watchdog.pulling(state, true, 4_000)
  expect(runOut(state, 4_000)).toEqual({ at: 6_000, clock: "idle" })
})

it("the timer never sleeps past a clock that starts meanwhile", () => {
  const state = Watchdog.start(clocks, 0, options)
  Watchdog.committed(state, 0)
  Watchdog.pulling(state, false, 0)
  const slept = Watchdog.wait(state, 0) ?? 0
  Watchdog.pulling(state, true, 10)
  expect(slept).toBeLessThanOrEqual(10 + 2_000)
  expect(runOut(state, slept)).toEqual({ at: 2_010, clock: "idle" })
})
