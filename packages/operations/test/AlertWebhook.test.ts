import { createHmac, timingSafeEqual } from "node:crypto"
import type * as AlertChannel from "@echelon/core/AlertChannel"
import * as AlertWebhook from "@echelon/operations/AlertWebhook"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { alert, notification, receiver } from "./support/alerts.ts"

/** A receiver's own check, as docs/alerts.md shows it. */
const isGenuine = (secret: string, header: string, body: string, now: number): boolean => {
  const [, at, mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(header) ?? []
  if (at === undefined || mac === undefined || Math.abs(now - Number(at)) > 300) return false
  const expected = createHmac("sha256", secret).update(`${at}.${body}`).digest()
  return timingSafeEqual(expected, Buffer.from(mac, "hex"))
}

const options = (url: Redacted.Redacted, secret: string | undefined): AlertChannel.Options => ({
  type: "webhook",
  name: "hook",
  severity: "info",
  resolved: true,
  url,
  secret: secret === undefined ? undefined : Redacted.make(secret),
  headers: { "x-own": Redacted.make("mine"), "content-type": Redacted.make("text/plain") },
  timeout: 5_000
})

it.effect("the signature stands up to a receiver's check, and to no other secret, body or time", () =>
  Effect.gen(function* () {
    yield* TestClock.setTime(1_700_000_000_000)
    const { heard, url } = yield* receiver()
    const send = yield* AlertWebhook.make(options(url("/hook?team=a"), "s3cret"))
    yield* send(notification({ resolved: [alert({ key: "k", phase: "resolved", resolvedAt: 90_000 })] }))
    const [one] = heard
    const header = String(one?.headers["x-echelon-signature"])
    const body = one?.body ?? ""
    expect(isGenuine("s3cret", header, body, 1_700_000_010)).toBe(true)
    expect(isGenuine("s3cret", header, `${body} `, 1_700_000_010)).toBe(false)
    expect(isGenuine("other", header, body, 1_700_000_010)).toBe(false)
    expect(isGenuine("s3cret", header, body, 1_700_001_000)).toBe(false)
    expect(one?.path).toBe("/hook?team=a")
    expect(one?.headers).toMatchObject({ "x-own": "mine", "content-type": "application/json; charset=utf-8" })
    expect(JSON.parse(body)).toEqual({
      version: 1,
      id: "boot-1",
      kind: "alerts",
      at: "1970-01-01T00:01:01.000Z",
      status: "firing",
      severity: "warning",
      group: "breaker_open (openai)",
      title: "[echelon] warning breaker_open (openai): 1 firing, 1 resolved",
      alerts: [
        {
          key: "breaker_open/instance/a",
          rule: "breaker_open",
          severity: "warning",
          status: "firing",
          subject: { kind: "instance", name: "a" },
          provider: "openai",
          text: "a is out in chat (Overloaded)",
          value: null,
          threshold: null,
          since: "1970-01-01T00:00:01.000Z",
          firedAt: "1970-01-01T00:01:01.000Z",
          resolvedAt: null
        },
        expect.objectContaining({ key: "k", status: "resolved", resolvedAt: "1970-01-01T00:01:30.000Z" })
      ],
      omitted: 0
    })
  }).pipe(Effect.scoped, Effect.provide(NodeHttpClient.layerUndici))
)

it.effect("is unsigned without a secret, and bounded", () =>
  Effect.gen(function* () {
    const { heard, url } = yield* receiver()
    const send = yield* AlertWebhook.make(options(url(), undefined))
    yield* send(notification({ firing: Array.from({ length: 1_000 }, () => alert()) }))
    expect(heard[0]?.headers["x-echelon-signature"]).toBe(undefined)
    const body = JSON.parse(heard[0]?.body ?? "{}") as { alerts: ReadonlyArray<unknown>; omitted: number }
    expect([body.alerts.length, body.omitted]).toEqual([100, 900])
  }).pipe(Effect.scoped, Effect.provide(NodeHttpClient.layerUndici))
)
