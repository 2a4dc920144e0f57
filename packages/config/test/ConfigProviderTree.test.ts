import * as ConfigManagement from "@echelon/config/ConfigManagement"
import * as ConfigProviderTree from "@echelon/config/ConfigProviderTree"
import { expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Folder from "./support/Folder.ts"
import * as Sample from "./support/Sample.ts"

const at =
  (...path: ReadonlyArray<string>) =>
  <A>(config: Config.Config<A>): Config.Config<A> =>
    path.reduceRight((inner, name) => Config.nested(inner, name), config)

it.effect("any part of the tree is a Config: numbers, lists, flags and redacted credentials", () =>
  Effect.gen(function* () {
    const { tree } = Sample.resolve({ ...Sample.files, "global.toml": "[reload]\nwatch = false" })
    const provider = ConfigProviderTree.make(Effect.succeed(tree))
    const echelon = at("llms", "groups", "fast_group", "echelon1")
    expect(yield* echelon(Config.Number("timeout")).parse(provider)).toBe(30)
    expect(yield* echelon(Config.schema(Schema.Array(Schema.String), "models")).parse(provider)).toEqual([
      "openai-gpt4"
    ])
    expect(yield* at("reload")(Config.Boolean("watch")).parse(provider)).toBe(false)
    const key = yield* at("llms", "provider", "openai")(Config.Redacted("api_key")).parse(provider)
    expect(Redacted.value(key)).toBe("sk-sample-1")
    expect(String(key)).not.toContain("sk-")
    const missing = yield* Effect.flip(Config.String("nothing").parse(provider))
    expect(missing._tag).toBe("ConfigError")
  })
)

it.effect("an unset credential is a missing value", () =>
  Effect.gen(function* () {
    const { tree } = Sample.resolve(Sample.files, { variables: {} })
    const provider = ConfigProviderTree.make(Effect.succeed(tree))
    const key = at("llms", "provider", "openai")(Config.String("api_key")).pipe(Config.withDefault("none"))
    expect(yield* key.parse(provider)).toBe("none")
  })
)

it.effect("the Layer makes it the program's Config, which follows reloads", () =>
  Effect.gen(function* () {
    const { root, write } = yield* Folder.make({ ...Sample.files, "global.toml": "[shutdown]\nshutdown_grace = 3" })
    const grace = at("shutdown")(Config.Number("shutdown_grace"))
    const management = ConfigManagement.layer({ config: root, variables: Sample.variables })
    yield* Effect.gen(function* () {
      expect(yield* grace).toBe(3)
      yield* write("global.toml", "[shutdown]\nshutdown_grace = 4")
      yield* (yield* ConfigManagement.ConfigManagement).reload
      expect(yield* grace).toBe(4)
    }).pipe(Effect.provide(Layer.provideMerge(ConfigProviderTree.layer, management)))
  }).pipe(Effect.provide(Folder.services))
)

it.effect("a time is read as files state it", () =>
  Effect.gen(function* () {
    const read = (text: string) => {
      const { tree } = Sample.resolve({ ...Sample.files, "global.toml": `[shutdown]\nshutdown_grace = ${text}` })
      const provider = ConfigProviderTree.make(Effect.succeed(tree))
      return at("shutdown")(ConfigProviderTree.time("shutdown_grace")).parse(provider)
    }
    for (const [text, millis] of [
      ["30", 30_000],
      ["0.5", 500],
      ['"30s"', 30_000],
      ['"5m"', 300_000]
    ] as const) {
      expect(Duration.toMillis(yield* read(text))).toBe(millis)
    }
    expect((yield* Effect.flip(read('"soon"')))._tag).toBe("ConfigError")
  })
)

/** The time as a provider of the tree gives it to a `Config`. */
const grace = <A>(stated: string, config: (name: string) => Config.Config<A>, variables = Sample.variables) => {
  const { tree } = Sample.resolve(
    { ...Sample.files, "global.toml": `[shutdown]\nshutdown_grace = ${stated}` },
    { variables }
  )
  return at("shutdown")(config("shutdown_grace")).parse(ConfigProviderTree.make(Effect.succeed(tree)))
}

it.effect("a time with a unit is what effect's Duration reads, a number what its Number reads", () =>
  Effect.gen(function* () {
    for (const [text, millis] of [
      ['"30s"', 30_000],
      ['"500ms"', 500],
      ['"1.5m"', 90_000],
      ['" 1 h "', 3_600_000]
    ] as const) {
      expect(Duration.toMillis(yield* grace(text, Config.Duration))).toBe(millis)
      expect(Duration.toMillis(yield* grace(text, ConfigProviderTree.time))).toBe(millis)
    }
    expect(yield* grace("30", Config.Number)).toBe(30)
    // No text is read by both, so each reads what was stated for it, and `time` either.
    expect((yield* Effect.flip(grace("30", Config.Duration)))._tag).toBe("ConfigError")
    expect((yield* Effect.flip(grace('"30s"', Config.Number)))._tag).toBe("ConfigError")
    const variables = { ...Sample.variables, ECHELON__SHUTDOWN__SHUTDOWN_GRACE: "20s" }
    expect(Duration.toMillis(yield* grace("30", Config.Duration, variables))).toBe(20_000)
  })
)

it.effect("only times are put into other words", () =>
  Effect.gen(function* () {
    const files = { ...Sample.files, "global.toml": '[llms.groups.fast_group]\ndescription = "5m"' }
    const provider = ConfigProviderTree.make(Effect.succeed(Sample.resolve(files).tree))
    const description = at("llms", "groups", "fast_group")(Config.String("description"))
    expect(yield* description.parse(provider)).toBe("5m")
  })
)

it.effect("a time of another provider is read in its words too, but not one that no file may state", () =>
  Effect.gen(function* () {
    const read = (text: string) => ConfigProviderTree.time("t").parse(ConfigProvider.fromUnknown({ t: text }))
    for (const text of ["90", "90s", "1.5m", "90 seconds", "90000 millis"])
      expect(Duration.toMillis(yield* read(text))).toBe(90_000)
    for (const text of ["-1", "-1 seconds", "Infinity", "30 days", "", "soon"])
      expect((yield* Effect.flip(read(text)))._tag).toBe("ConfigError")
  })
)

it.effect("what nobody states has its default, in parts that there are", () =>
  Effect.gen(function* () {
    const { tree } = Sample.resolve({ ...Sample.files, "global.toml": "[tracing]\nenabled = true" })
    const provider = ConfigProviderTree.make(Effect.succeed(tree))
    const echelon = at("llms", "groups", "fast_group", "echelon2")
    expect(yield* echelon(Config.Number("idle_timeout")).parse(provider)).toBe(60)
    expect(yield* echelon(ConfigProviderTree.time("timeout")).parse(provider)).toEqual(Duration.seconds(60))
    expect(yield* at("reload")(Config.Boolean("watch")).parse(provider)).toBe(true)
    const breaker = at("llms", "groups", "fast_group", "fallback_config", "circuit_breaker")
    expect(yield* breaker(Config.Number("failure_threshold")).parse(provider)).toBe(5)
    const slowStart = Schema.Struct({ duration: Schema.NumberFromString, min_share: Schema.NumberFromString })
    const read = at("llms", "polling_pools", "fast_pool")(Config.schema(slowStart, "slow_start"))
    expect(yield* read.parse(provider)).toEqual({ duration: 30, min_share: 0.1 })
    for (const absent of [
      echelon(Config.Number("stream_timeout")),
      at("llms", "groups", "fast_group", "echelon3")(Config.Number("timeout")),
      at("llms", "groups", "other", "echelon1")(Config.Number("timeout")),
      at("llms", "provider", "openai", "models", "other")(Config.Number("weight")),
      at("llms", "wrappers", "pool_wrapper", "tenants")(Config.Number("somebody")),
      at("tracing", "otlp")(Config.Number("interval"))
    ]) {
      expect((yield* Effect.flip(absent.parse(provider)))._tag).toBe("ConfigError")
    }
  })
)
