import * as AlertChannel from "@echelon/core/AlertChannel"
import * as AlertDelivery from "@echelon/core/AlertDelivery"
import * as AlertChannels from "@echelon/operations/AlertChannels"
import { expect, it } from "@effect/vitest"
import { Effect, Logger, Metric, Redacted, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { hangUp, notification, receiver, stall, status, until } from "./support/alerts.ts"

const common = { severity: "info", resolved: true } as const
const webhook = (url: Redacted.Redacted, name = "hook"): AlertChannel.Options => ({
  ...common,
  type: "webhook",
  name,
  url,
  secret: Redacted.make("planted-secret"),
  headers: { authorization: Redacted.make("Bearer planted-token") },
  timeout: 5_000
})

/** What is logged, spans that are made, and both as text. */
const listening = () => {
  const lines: Array<string> = []
  const spans: Array<string> = []
  const logger = Logger.make((entry) => void lines.push(`${entry.logLevel} ${String(entry.message)}`))
  const tracer = Tracer.make({
    span: (options) => {
      spans.push(options.name)
      return new Tracer.NativeSpan(options)
    }
  })
  const provide = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(Tracer.Tracer, tracer))
  return { lines, spans, provide }
}

it.effect("a receiver that fails, hangs up, stalls and recovers is told once, by the fifth try, with one id", () => {
  const { lines, provide, spans } = listening()
  return Effect.gen(function* () {
    const { answers, heard, url } = yield* receiver()
    answers.push(status(503, "planted body"), hangUp, stall, status(429, "", { "retry-after": "20" }))
    const outlet = yield* AlertDelivery.make(webhook(url("/T000/planted-path")))
    outlet.offer(notification())
    yield* until(() => outlet.read().retries === 1)
    expect(outlet.read().lastError).toBe("busy: status 503")
    yield* TestClock.adjust("1 second")
    yield* until(() => outlet.read().retries === 2)
    expect(outlet.read().lastError).toBe("unreachable: UND_ERR_SOCKET")
    yield* TestClock.adjust("2 seconds")
    yield* until(() => heard.length === 3)
    // Nobody waits for it: what comes next stands in line.
    outlet.offer(notification({ id: "boot-2" }))
    expect(outlet.read()).toMatchObject({ waiting: 2, delivered: 0 })
    yield* TestClock.adjust("5 seconds")
    yield* until(() => outlet.read().retries === 3)
    expect(outlet.read().lastError).toBe("timeout: no answer in 5 s")
    yield* TestClock.adjust("4 seconds")
    yield* until(() => outlet.read().retries === 4)
    yield* TestClock.adjust("19 seconds")
    expect(heard.length).toBe(4)
    yield* TestClock.adjust("1 second")
    yield* until(() => outlet.read().delivered === 2)
    expect(heard.map(({ headers }) => headers["idempotency-key"])).toEqual([
      "boot-1",
      "boot-1",
      "boot-1",
      "boot-1",
      "boot-1",
      "boot-2"
    ])
    expect(outlet.read()).toMatchObject({ waiting: 0, failed: 0, retries: 4, lastError: undefined })
    expect(spans).toEqual([])
    expect(heard.every(({ headers }) => headers["traceparent"] === undefined && headers["b3"] === undefined)).toBe(true)
    expect(JSON.stringify([lines, outlet.read()])).not.toContain("planted")
  }).pipe(Effect.scoped, Effect.provide(AlertChannels.layer), provide)
})

it.effect("what is refused is not repeated, is logged and counted, and says nothing secret", () => {
  const { lines, provide } = listening()
  return Effect.gen(function* () {
    const { answers, heard, url } = yield* receiver()
    answers.push(status(404, "planted body"), status(302, "", { location: "http://127.0.0.1:9/planted" }))
    const outlet = yield* AlertDelivery.make(webhook(url("/planted-path?key=planted"), "refused"))
    outlet.offer(notification())
    outlet.offer(notification({ id: "boot-2" }))
    yield* until(() => outlet.read().failed === 2)
    expect(heard.length).toBe(2)
    expect(lines).toEqual([
      'Error alert channel "refused" did not take notification boot-1: rejected: status 404',
      'Error alert channel "refused" did not take notification boot-2: rejected: status 302; redirects are not followed'
    ])
    const metrics = yield* Metric.snapshot
    const found = metrics.filter(
      ({ attributes, id }) => id === "echelon.alerts.deliveries" && attributes?.["echelon.channel"] === "refused"
    )
    expect(found.map(({ attributes, state }) => [attributes?.["echelon.outcome"], state])).toMatchObject([
      ["failed", { count: 2 }]
    ])
    expect(JSON.stringify([lines, outlet.read(), metrics])).not.toContain("planted")
  }).pipe(Effect.scoped, Effect.provide(AlertChannels.layer), provide)
})

it.effect("a channel that stalls takes nothing from another", () =>
  Effect.gen(function* () {
    const slow = yield* receiver(stall)
    const quick = yield* receiver()
    const stalled = yield* AlertDelivery.make(webhook(slow.url(), "slow"))
    const other = yield* AlertDelivery.make(webhook(quick.url(), "quick"))
    for (let i = 0; i < 200; i++) {
      stalled.offer(notification({ id: `${i}` }))
      if (i < 50) other.offer(notification({ id: `${i}` }))
    }
    yield* until(() => other.read().delivered === 50)
    expect(stalled.read()).toMatchObject({ delivered: 0, waiting: 100, dropped: 100 })
  }).pipe(Effect.scoped, Effect.provide(AlertChannels.layer))
)

it.effect("nobody there, no address, and an answer without end", () =>
  Effect.gen(function* () {
    const nobody = yield* AlertDelivery.test(webhook(Redacted.make("http://127.0.0.1:1/planted")))
    expect(nobody.error?.message).toBe("unreachable: ECONNREFUSED")
    const none = yield* AlertDelivery.test(webhook(Redacted.make("http://planted host/")))
    expect(none.error?.message).toBe("settings: the address is none")
    const { url } = yield* receiver((response) => {
      response.writeHead(200)
      const more = () => {
        while (response.write("x".repeat(1_024))) if (response.destroyed) return
        response.once("drain", more)
      }
      more()
    })
    expect((yield* AlertDelivery.test(webhook(url()))).error).toBe(undefined)
  }).pipe(Effect.scoped, Effect.provide(AlertChannels.layer))
)

it.effect("makes every kind that a file may name, and no other", () =>
  Effect.gen(function* () {
    const makers = yield* AlertChannel.Makers
    expect([...makers.keys()]).toEqual([...AlertChannel.types])
    for (const type of ["webhook", "slack", "feishu", "dingtalk", "email"]) {
      const maker = makers.get(type) ?? (() => Effect.never)
      const wrong = yield* Effect.flip(Effect.scoped(maker({ ...common, type: "log", name: "x" })))
      expect(wrong.failure).toBe("settings")
    }
  }).pipe(Effect.provide(AlertChannels.layer))
)
