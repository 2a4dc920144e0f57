import { createHmac } from "node:crypto"
import type * as AlertChannel from "@echelon/core/AlertChannel"
import * as AlertDingTalk from "@echelon/operations/AlertDingTalk"
import * as AlertFeishu from "@echelon/operations/AlertFeishu"
import * as AlertSlack from "@echelon/operations/AlertSlack"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { alert, notification, receiver, status } from "./support/alerts.ts"

const common = { name: "chat", severity: "info", resolved: true, timeout: 5_000 } as const
const http = Effect.provide(NodeHttpClient.layerUndici)
const evil = notification({
  firing: [alert({ severity: "critical", text: 'a <!channel> <at user_id="all">all</at> & co is out' })],
  severity: "critical"
})
const secret = Redacted.make("SECplanted")

it.effect("Slack is told in its form, and nobody is called by a name", () =>
  Effect.gen(function* () {
    const { heard, url } = yield* receiver()
    const send = yield* AlertSlack.make({ ...common, type: "slack", url: url("/services/T/B/x") })
    yield* send(evil)
    yield* send(notification({ firing: [], resolved: [alert({ phase: "resolved", resolvedAt: 121_000 })] }))
    expect(heard[0]?.path).toBe("/services/T/B/x")
    expect(heard.map(({ body }) => JSON.parse(body))).toEqual([
      {
        text: ':rotating_light: *[echelon] critical breaker_open (openai): 1 firing*\n• FIRING critical breaker_open: a &lt;!channel&gt; &lt;at user_id="all"&gt;all&lt;/at&gt; &amp; co is out (since 1970-01-01T00:00:01.000Z)'
      },
      {
        text: ":white_check_mark: *[echelon] warning breaker_open (openai): 1 resolved*\n• RESOLVED breaker_open: was: a is out in chat (Overloaded) (fired for 1 min)"
      }
    ])
  }).pipe(Effect.scoped, http)
)

it.effect("Feishu is signed with the time in seconds, in the body", () =>
  Effect.gen(function* () {
    yield* TestClock.setTime(1_700_000_000_123)
    const { answers, heard, url } = yield* receiver(status(200, '{"code":0,"msg":"success"}'))
    const options: AlertChannel.Options = { ...common, type: "feishu", url: url(), secret }
    const send = yield* AlertFeishu.make(options)
    yield* send(evil)
    const body = JSON.parse(heard[0]?.body ?? "{}")
    expect(body).toMatchObject({ timestamp: "1700000000", msg_type: "text" })
    expect(body.sign).toBe(createHmac("sha256", "1700000000\nSECplanted").digest("base64"))
    expect(body.content.text).not.toMatch(/[<>]/)
    // Failures come with status 200.
    answers.push(
      status(200, '{"code":19021,"msg":"sign match fail, planted"}'),
      status(200, '{"code":11232,"msg":"frequency limited"}'),
      status(200, '{"StatusCode":0}'),
      status(200, "<html>planted</html>")
    )
    const said = yield* Effect.forEach([1, 2, 3, 4], () => Effect.result(send(evil)))
    expect(said.map((one) => (one._tag === "Failure" ? one.failure.message : "sent"))).toEqual([
      "rejected: code 19021",
      "busy: code 11232",
      "sent",
      "unreachable: the answer is none of a bot"
    ])
    const bare = yield* AlertFeishu.make({ ...options, secret: undefined })
    yield* bare(evil)
    expect(JSON.parse(heard.at(-1)?.body ?? "{}").sign).toBe(undefined)
  }).pipe(Effect.scoped, http)
)

it.effect("DingTalk is signed with the time in milliseconds, in the address, beside its token", () =>
  Effect.gen(function* () {
    yield* TestClock.setTime(1_700_000_000_123)
    const { answers, heard, url } = yield* receiver(status(200, '{"errcode":0,"errmsg":"ok"}'))
    const send = yield* AlertDingTalk.make({
      ...common,
      type: "dingtalk",
      url: url("/robot/send?access_token=tok"),
      secret
    })
    yield* send(evil)
    const mac = createHmac("sha256", "SECplanted").update("1700000000123\nSECplanted").digest("base64")
    const asked = new URL(heard[0]?.path ?? "", "http://x")
    expect(asked.searchParams.get("access_token")).toBe("tok")
    expect(asked.searchParams.get("timestamp")).toBe("1700000000123")
    expect(asked.searchParams.get("sign")).toBe(mac)
    // Plus and slash would be read as something else where they are not encoded.
    expect(heard[0]?.path).toContain(`sign=${encodeURIComponent(mac)}`)
    expect(JSON.parse(heard[0]?.body ?? "{}")).toMatchObject({ msgtype: "text" })
    answers.push(status(200, '{"errcode":310000,"errmsg":"planted"}'), status(200, '{"errcode":130101}'))
    const refused = yield* Effect.flip(send(evil))
    const often = yield* Effect.flip(send(evil))
    expect([refused.message, refused.isRetryable]).toEqual(["rejected: code 310000", false])
    expect([often.message, often.retryAfter]).toEqual(["busy: code 130101", Duration.seconds(30)])
  }).pipe(Effect.scoped, http)
)

it("a signature is what each of them documents", () => {
  // Computed with OpenSSL: printf '' | openssl dgst -sha256 -hmac $'1599360473\ndemo' -binary | base64, and likewise.
  expect(AlertFeishu.signature(Redacted.make("demo"), 1_599_360_473)).toBe(
    "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="
  )
  expect(AlertDingTalk.signature(Redacted.make("demo"), 1_599_360_473_000)).toBe(
    "eblRZvilBzXa6Ce18IeBM4pMy1rYNWKicaCg6VMwQe0="
  )
})
