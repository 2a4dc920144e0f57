import { inspect } from "node:util"
import { Clients, InstanceFactory, Llm, LlmError, Plans } from "@echelon/core"
import { ProviderInstances, Providers, TokenCache, TokenSource, Transport } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { json, serve } from "./Support.ts"

const chat = {
  id: "r",
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }]
}

const instance = (baseUrl: string, options: Partial<Parameters<typeof Plans.provider>[0]> = {}, alias = "m") => {
  const provider = Plans.provider({ name: "azure", kind: "azure-openai", baseUrl, auth: "token", ...options })
  return Plans.instance({ provider, alias, model: Plans.model({ model: alias }) })
}

const hour = 3_600_000

/** Builds instances over these sources, as a program does: the sources are provided to the layer alone. */
const factory = <R = never>(sources: Readonly<Record<string, TokenSource.TokenSource<R>>>) =>
  Effect.map(
    Layer.build(
      ProviderInstances.layer.pipe(
        Layer.provide(Layer.mergeAll(Transport.layer, TokenSource.layer(sources), TokenCache.layerShared))
      )
    ),
    (context) => Context.get(context, InstanceFactory.InstanceFactory)
  )

const ask = (llm: Llm.Llm) => Llm.generate(llm, { prompt: "hi" })

class Credentials extends Context.Service<Credentials, { readonly secret: string }>()("test/Credentials") {}

it.effect("shows the program's token as a bearer, one for all models, renewed when it ends", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => json(response, 200, chat))
    let count = 0
    const source = Effect.gen(function* () {
      const { secret } = yield* Credentials
      const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      return TokenSource.token(`${secret}-${++count}`, now + hour)
    })
    const { make } = yield* Effect.provideService(factory({ azure: source }), Credentials, { secret: "entra" })
    const one = yield* make(instance(server.url))
    const two = yield* make(instance(server.url, {}, "n"))
    yield* Effect.all([ask(one.llm), ask(two.llm), one.probe], { concurrency: "unbounded" })
    expect(server.seen.map(({ headers }) => headers.authorization)).toEqual(Array(3).fill("Bearer entra-1"))
    expect(server.seen.some(({ headers }) => "api-key" in headers)).toBe(false)
    yield* TestClock.adjust("2 hours")
    yield* ask(two.llm)
    expect(server.seen.at(-1)?.headers.authorization).toBe("Bearer entra-2")
  })
)

it.effect("direct clients have the same token", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => json(response, 200, chat))
    let count = 0
    const source = Effect.sync(() => TokenSource.token(`entra-${++count}`, hour))
    const context = yield* Layer.build(
      Providers.layerNoTransport.pipe(
        Layer.provide(Layer.mergeAll(Transport.layer, TokenSource.layer({ azure: source })))
      )
    )
    const plan = instance(server.url)
    const { llm } = yield* Context.get(context, InstanceFactory.InstanceFactory).make(plan)
    const client = yield* Context.get(context, Clients.Clients).get(Plans.root({ instances: [plan] }), "azure", "other")
    yield* ask(llm)
    yield* ask(client)
    expect(server.seen.map(({ headers }) => headers.authorization)).toEqual(["Bearer entra-1", "Bearer entra-1"])
  })
)

it.effect("prefers the source of the credential", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => json(response, 200, chat))
    const { make } = yield* factory({
      azure: Effect.succeed(TokenSource.token("of-all")),
      "azure@eu": Effect.succeed(TokenSource.token("of-eu"))
    })
    const credential = { name: "eu", key: undefined, weight: 1 }
    yield* ask((yield* make({ ...instance(server.url), credential })).llm)
    yield* ask((yield* make({ ...instance(server.url), credential: { ...credential, name: "us" } })).llm)
    expect(server.seen.map(({ headers }) => headers.authorization)).toEqual(["Bearer of-eu", "Bearer of-all"])
  })
)

it.effect("asks a promise function", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => json(response, 200, chat))
    const { make } = yield* factory({
      azure: TokenSource.fromPromise(async (signal) => ({ token: `aborted-${signal.aborted}`, expiresAt: hour }))
    })
    yield* ask((yield* make(instance(server.url))).llm)
    expect(server.seen[0]?.headers.authorization).toBe("Bearer aborted-false")
  })
)

it.effect("fails each request without a source, and names it", () =>
  Effect.gen(function* () {
    const { make } = yield* factory({ other: Effect.succeed(TokenSource.token("t")) })
    for (const name of ["azure", "toString", "__proto__"]) {
      const { llm } = yield* make(instance("http://127.0.0.1:1", { name }))
      const error = yield* Effect.flip(ask(llm))
      expect(error.reason._tag).toBe("Authentication")
      expect(error.detail).toBe(`the token source "${name}" is not there; add it to TokenSource.layer`)
    }
  })
)

class AadError extends Error {
  override readonly name = "AadError"
}

it.effect("tells a failure of the source without its message, and takes an LlmError as it is", () =>
  Effect.gen(function* () {
    const network = LlmError.make({ reason: { _tag: "Network", kind: "dns" }, detail: "no such host" })
    const cases: ReadonlyArray<readonly [TokenSource.TokenSource, string, string]> = [
      [Effect.fail(new AadError("s3cr3t")), "Authentication", 'the token source "azure" failed (AadError)'],
      [
        Effect.fail({ _tag: "Refused", secret: "s3cr3t" }),
        "Authentication",
        'the token source "azure" failed (Refused)'
      ],
      [Effect.fail("s3cr3t"), "Authentication", 'the token source "azure" failed'],
      [Effect.die(new AadError("s3cr3t")), "Authentication", 'the token source "azure" failed (AadError)'],
      [
        TokenSource.fromPromise(() => Promise.reject(new AadError("s3cr3t"))),
        "Authentication",
        'the token source "azure" failed (AadError)'
      ],
      [Effect.fail(network), "Network", "no such host"]
    ]
    for (const [source, reason, detail] of cases) {
      const { make } = yield* factory({ azure: source })
      const error = yield* Effect.flip(ask((yield* make(instance("http://127.0.0.1:1"))).llm))
      expect([error.reason._tag, error.detail, error.instance]).toEqual([reason, detail, "azure-m"])
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("s3cr3t")
    }
  })
)

it.effect("prints no token", () =>
  Effect.gen(function* () {
    const server = yield* serve((seen, response) => json(response, 418, { echo: seen.headers.authorization }))
    const { make } = yield* factory({ azure: Effect.succeed(TokenSource.token(Redacted.make("s3cr3t-token"), hour)) })
    const built = yield* make(instance(server.url))
    const error = yield* Effect.flip(ask(built.llm))
    expect(error.detail).toContain("[redacted]")
    expect(server.seen[0]?.headers.authorization).toBe("Bearer s3cr3t-token")
    expect(inspect([error, built], { depth: 20, showHidden: true })).not.toContain("s3cr3t-token")
    expect(inspect(TokenSource.token("s3cr3t-token"))).not.toContain("s3cr3t-token")
  })
)
