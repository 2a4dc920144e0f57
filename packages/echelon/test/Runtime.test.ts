import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Echelon } from "@echelon/echelon"
import { EmbeddedProviders } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"

const shipped = fileURLToPath(new URL("../../../configs", import.meta.url))
const prompt = { prompt: "hi", metadata: { poolName: "fast_pool" } }

/** A runtime over a copy of the shipped tree, so that it can be changed. */
const started = Effect.gen(function* () {
  const providers = yield* EmbeddedProviders.make
  const config = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const folder = await mkdtemp(join(tmpdir(), "echelon-"))
      await cp(shipped, folder, { recursive: true })
      return folder
    }),
    (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
  )
  const runtime = yield* Effect.acquireRelease(
    Effect.promise(() => Echelon.runtime({ config, env: "embedded", variables: providers.variables })),
    (running) => Effect.promise(() => running.dispose())
  )
  return { config, providers, runtime }
})

it.live("generate and stream as a promise and an async iterable", () =>
  Effect.gen(function* () {
    const { runtime } = yield* started
    const answer = yield* Effect.promise(() => runtime.generate(prompt))
    const streamed = yield* Effect.promise(async () => {
      let text = ""
      for await (const part of runtime.stream(prompt)) if (part.type === "text-delta") text += part.delta
      return text
    })
    expect(answer.text).toContain("embedded in the process")
    expect(streamed).toContain("embedded in the process")
  })
)

it.live("an opened reply tells its route, and one that is left closes the connection, read or not", () =>
  Effect.gen(function* () {
    const { providers, runtime } = yield* started
    const [text, route] = yield* Effect.promise(async () => {
      const { parts, route } = await runtime.open(prompt)
      let all = ""
      for await (const part of parts) if (part.type === "text-delta") all += part.delta
      return [all, await route()] as const
    })
    expect(text).toContain("embedded in the process")
    expect(route.map(({ outcome }) => outcome)).toEqual(["completed"])
    const open = Effect.map(providers.served, ({ anthropic, openai }) => anthropic.open + openai.open)
    const left = yield* Effect.promise(() => runtime.open(prompt))
    yield* Effect.promise(async () => {
      await left.parts[Symbol.asyncIterator]().return?.()
    })
    yield* Effect.repeat(open, { until: (n) => n === 0 })
    expect((yield* Effect.promise(() => left.route())).map(({ outcome }) => outcome)).toEqual(["cancelled"])
  })
)

it.live("leaving the loop early, and aborting, close the connection", () =>
  Effect.gen(function* () {
    const { providers, runtime } = yield* started
    const open = Effect.map(providers.served, ({ anthropic, openai }) => anthropic.open + openai.open)
    yield* Effect.promise(async () => {
      for await (const part of runtime.stream(prompt)) if (part.type === "text-delta") break
    })
    yield* providers.setFault("openai", { _tag: "Stall" })
    yield* providers.setFault("anthropic", { _tag: "Stall" })
    const reason = new Error("the caller has gone")
    for (const call of [
      (signal: AbortSignal) => runtime.generate(prompt, { signal }),
      async (signal: AbortSignal) => {
        for await (const part of runtime.stream(prompt, { signal })) return part
        return undefined
      }
    ]) {
      const controller = new AbortController()
      const calling = call(controller.signal).then(
        () => "answered",
        (error: unknown) => error
      )
      yield* Effect.repeat(open, { until: (n) => n > 0 })
      controller.abort(reason)
      expect(yield* Effect.promise(() => calling)).toBe(reason)
      yield* Effect.repeat(open, { until: (n) => n === 0 })
    }
    const already = yield* Effect.promise(() =>
      runtime.generate(prompt, { signal: AbortSignal.abort(reason) }).catch((error: unknown) => error)
    )
    expect(already).toBe(reason)
  })
)

it.live("rejects with the typed error", () =>
  Effect.gen(function* () {
    const { runtime } = yield* started
    const error = yield* Effect.promise(() =>
      runtime.generate({ prompt: "hi", metadata: { poolName: "fast_pol" } }).catch((e: unknown) => e)
    )
    expect(error).toMatchObject({ _tag: "LlmError", reason: { _tag: "UnknownTarget" } })
  })
)

it.live("healthCheck asks every instance", () =>
  Effect.gen(function* () {
    const { providers, runtime } = yield* started
    yield* providers.setFault("anthropic", { _tag: "Status", status: 401 })
    const health = yield* Effect.promise(() => runtime.healthCheck())
    expect(health["openai-gpt4"]).toMatchObject({ status: "healthy", latency: expect.any(Number) })
    expect(health["anthropic-claude-3-opus"]).toMatchObject({
      status: "unhealthy",
      message: expect.stringContaining("authentication refused")
    })
  })
)

it.live("reload takes a change, and a tree with problems changes nothing", () =>
  Effect.gen(function* () {
    const { config, runtime } = yield* started
    const file = join(config, "llms/groups/fast_group.toml")
    const before = yield* Effect.promise(() => readFile(file, "utf8"))
    yield* Effect.promise(() => writeFile(file, before.replace('openai-gpt4"', 'openai-gpt5"')))
    const rejected = yield* Effect.promise(() => runtime.reload().catch((error: unknown) => error))
    expect(rejected).toMatchObject({ _tag: "ConfigError", message: expect.stringContaining("openai-gpt5") })
    expect((yield* Effect.promise(() => runtime.generate(prompt))).instance).toBe("openai-gpt4")
    yield* Effect.promise(() =>
      writeFile(file, before.replace('"openai-gpt4", "anthropic-claude-3-opus"', '"anthropic-claude-3-opus"'))
    )
    yield* Effect.promise(() => runtime.reload())
    const answers = yield* Effect.promise(() => Promise.all([1, 2, 3].map(() => runtime.generate(prompt))))
    expect(answers.map((answer) => answer.instance)).toEqual(Array(3).fill("anthropic-claude-3-opus"))
  })
)

it.live("after dispose every call rejects with the typed error", () =>
  Effect.gen(function* () {
    const { runtime } = yield* started
    yield* Effect.promise(() => runtime.dispose())
    const generated = yield* Effect.promise(() => runtime.generate(prompt).catch((error: unknown) => error))
    const streamed = yield* Effect.promise(async () => {
      try {
        for await (const part of runtime.stream(prompt)) return part
      } catch (error) {
        return error
      }
      return undefined
    })
    for (const error of [generated, streamed]) {
      expect(error).toMatchObject({
        _tag: "LlmError",
        reason: { _tag: "Cancelled" },
        detail: "the runtime is disposed"
      })
    }
  })
)

it.live("rejects at the start when the configuration has problems", () =>
  Effect.gen(function* () {
    const error = yield* Effect.promise(() => Echelon.runtime({ config: "no-such-folder" }).catch((e: unknown) => e))
    expect(error).toMatchObject({ _tag: "ConfigError", message: expect.stringContaining("no-such-folder") })
  })
)
