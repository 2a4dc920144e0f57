import * as ConfigManagement from "@echelon/config/ConfigManagement"
import * as ConfigProviderTree from "@echelon/config/ConfigProviderTree"
import { expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
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
