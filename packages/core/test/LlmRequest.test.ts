import { Llm, LlmRequest } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"

const buffered = { stream: false, commit: "finish" } as const

it.effect("every run of an input has its own budget, route and deadline", () =>
  Effect.gen(function* () {
    const make = LlmRequest.make({ prompt: "hi", metadata: { timeout: "5 seconds", maxTotalAttempts: 2 } }, buffered)
    const first = yield* make
    yield* TestClock.adjust("1 second")
    const second = yield* make
    expect([first.deadline, second.deadline]).toEqual([5_000, 6_000])
    first.budget.take()
    first.recorder.begin({ instance: "a", model: "a", echelon: undefined, now: 0 })
    expect([second.budget.attemptsLeft(), second.recorder.size()]).toEqual([2, 0])
  })
)

it.effect("nothing extends a deadline", () =>
  Effect.gen(function* () {
    const request = yield* LlmRequest.make({ prompt: "hi", metadata: { timeout: "5 seconds" } }, buffered)
    expect(LlmRequest.withTimeout(request, "1 hour", 0).deadline).toBe(5_000)
    expect(LlmRequest.withTimeout(request, "2 seconds", 0).deadline).toBe(2_000)
    expect(() => LlmRequest.withTimeout(request, 0, 0)).toThrow("timeout must be above 0, got 0 ms")
  })
)

it.effect("an instance gets all that the caller said, the raw body included", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("hello") })
    const input: LlmRequest.Input = {
      prompt: [{ role: "user", content: "hi" }],
      tools: [{ name: "f", parameters: { type: "object" } }],
      toolChoice: { tool: "f" },
      responseFormat: { type: "json", name: "x", schema: {} },
      settings: { temperature: 0 },
      providerOptions: { openai: { logprobs: true } },
      metadata: { tenant: "t", tags: ["x"], idleTimeout: "1 second" },
      raw: { protocol: "openai-chat", body: { model: "x", unheard_of: 1 } }
    }
    yield* Llm.generate(scripted.llm, input)
    const { prompt, ...rest } = input
    expect(scripted.calls()[0]?.request).toMatchObject({ messages: prompt, ...rest, stream: false, commit: "finish" })
    expect(scripted.calls()[0]?.request.clocks.idle).toBe(1_000)
  })
)

it.effect("knows what it needs of a model", () =>
  Effect.gen(function* () {
    const needs = (input: Partial<LlmRequest.Input>) =>
      Effect.map(LlmRequest.make({ prompt: "hi", ...input }, buffered), LlmRequest.needs)
    const file = (mediaType: string): LlmRequest.Message => ({
      role: "user",
      content: [{ type: "file", mediaType, data: "aGk=" }]
    })
    const tools = [{ name: "f", parameters: {} }]
    expect(yield* needs({})).toEqual([])
    expect(yield* needs({ tools })).toEqual(["tools"])
    expect(yield* needs({ tools, toolChoice: "none" })).toEqual([])
    expect(yield* needs({ responseFormat: { type: "json", name: "x", schema: {} } })).toEqual(["json_schema"])
    expect(yield* needs({ prompt: [file("image/png"), file("application/pdf")] })).toEqual(["images", "files"])
  })
)

it.effect("defaults fill what is open, and only that", () =>
  Effect.gen(function* () {
    const request = yield* LlmRequest.make({ prompt: "hi", settings: { temperature: 0, topP: undefined } }, buffered)
    expect(LlmRequest.withDefaults(request, { temperature: 1, topP: 0.5, seed: 7 }).settings).toEqual({
      temperature: 0,
      topP: 0.5,
      seed: 7
    })
  })
)

it.effect("a wrong value in the metadata is the caller's mistake: a typed error that says what is allowed", () =>
  Effect.gen(function* () {
    for (const [metadata, said] of [
      [{ timeout: 0 }, 'metadata.timeout must be a length of time above 0, such as "30 seconds", got 0'],
      [
        { ttftTimeout: "bogus" },
        'metadata.ttftTimeout must be a length of time above 0, such as "30 seconds", got "bogus"'
      ],
      [{ priority: "urgent" }, 'metadata.priority must be "critical" or "normal" or "batch", got "urgent"'],
      [{ commit: 1 }, 'metadata.commit must be "first_output" or "finish", got 1'],
      [{ cache: "no" }, 'metadata.cache must be "default" or "bypass" or "refresh", got "no"'],
      [
        { onInterrupt: ["resume", "x"] },
        'metadata.onInterrupt must be "fail", "resume" or "restart", or a list of them, got resume,x'
      ],
      [{ maxTotalAttempts: 1.5 }, "metadata.maxTotalAttempts must be a whole number from 1 on, got 1.5"],
      [{ maxCost: 0 }, "metadata.maxCost must be an amount in USD above 0, got 0"]
    ] as ReadonlyArray<readonly [object, string]>) {
      const error = yield* Effect.flip(
        LlmRequest.make({ prompt: "hi", metadata: metadata as LlmRequest.Metadata }, { stream: true, commit: "finish" })
      )
      expect([error.reason._tag, error.detail]).toEqual(["InvalidRequest", said])
    }
  })
)
