import { Budget, Clocks, LlmError, LlmReply, type LlmRequest, type Part, Route, Usage } from "@echelon/core"
import * as State from "@echelon/core/RescueState"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"

const request: LlmRequest.LlmRequest = {
  messages: [{ role: "user", content: "hi" }],
  tools: [],
  toolChoice: undefined,
  responseFormat: { type: "text" },
  embedding: undefined,
  settings: {},
  providerOptions: {},
  metadata: {},
  stream: true,
  commit: "finish",
  deadline: 7,
  firstOutputBy: 5,
  clocks: Clocks.defaults,
  budget: Budget.make(),
  recorder: Route.makeRecorder(),
  echelon: "g.echelon1",
  kind: "call",
  attempt: undefined,
  observation: undefined,
  raw: { protocol: "openai-chat", body: {} }
}
const delta = (text: string, id = "0"): Part.Part => ({ type: "text-delta", id, delta: text })
const thought = (text: string, id = "r"): Part.Part => ({ type: "reasoning-delta", id, delta: text })
const finish: Part.Part = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 3 }, outputTokens: { total: 4 } },
  metadata: { echelon: { kept: 1 }, other: { x: 2 } }
}
const seam = (from: string, to: string, mode: State.Mode): Part.Part => ({
  type: "response-metadata",
  metadata: { echelon: { seam: { from, to, mode } } }
})
const after = (...delivered: ReadonlyArray<Part.Part>) => {
  const state = State.make("a")
  expect(State.take(state, delivered)).toBe(delivered)
  return state
}
const goOn = (state: State.State, policy: State.Mode, to = "b", nth = 2, spent?: Usage.Usage) =>
  State.goOn(state, State.plan(state, request, policy), to, nth, spent)
const takeAll = (state: State.State, parts: ReadonlyArray<Part.Part>): ReadonlyArray<Part.Part> | "diverged" => {
  const all: Array<Part.Part> = []
  for (const part of parts) {
    const taken = State.take(state, [part])
    if (taken === "diverged") return taken
    all.push(...taken)
  }
  return all
}
const textOf = (parts: ReadonlyArray<Part.Part>) => LlmReply.toAnswer(parts, []).text

it("what may have had an effect forbids a rescue, and so does a failure that forbids the next echelon", () => {
  const network: LlmError.Reason = { _tag: "Network", kind: "reset" }
  const timeout = (clock: LlmError.ClockName): LlmError.Reason => ({
    _tag: "Timeout",
    clock,
    limit: Duration.seconds(1),
    shortened: false
  })
  const spoken = after(thought("hm"), delta("a"))
  for (const [reason, can] of [
    [network, true],
    [{ _tag: "Overloaded" }, true],
    [{ _tag: "ProviderError" }, true],
    [{ _tag: "RateLimited" }, true],
    [{ _tag: "QuotaExhausted" }, true],
    [{ _tag: "MalformedOutput" }, true],
    [{ _tag: "Unknown" }, true],
    [timeout("idle"), true],
    [timeout("stream"), true],
    [timeout("consumer_idle"), false],
    [{ _tag: "ContextLength" }, false],
    [{ _tag: "ContentPolicy" }, false],
    [{ _tag: "InvalidRequest" }, false],
    [{ _tag: "Cancelled" }, false],
    [{ _tag: "DeadlineExceeded" }, false],
    [{ _tag: "BudgetExhausted", of: "cost" }, false]
  ] satisfies ReadonlyArray<[LlmError.Reason, boolean]>)
    expect([reason, State.canRescue(spoken, reason)]).toEqual([reason, can])
  for (const part of [
    { type: "tool-params-start", id: "t", name: "f" },
    { type: "tool-params-delta", id: "t", delta: "{" },
    { type: "tool-call", id: "t", name: "f", params: {} },
    { type: "source", sourceType: "url", id: "s", url: "http://localhost", title: "" }
  ] satisfies ReadonlyArray<Part.Part>)
    expect([part.type, State.canRescue(after(delta("a"), part), network)]).toEqual([part.type, false])
})

it("the first cause is raised, unless the consumer has stopped reading", () => {
  const first = LlmError.make({ reason: { _tag: "Overloaded" } })
  const other = LlmError.make({ reason: { _tag: "InvalidRequest" } })
  const idle = (clock: LlmError.ClockName) =>
    LlmError.make({ reason: { _tag: "Timeout", clock, limit: Duration.seconds(1), shortened: false } })
  expect(State.causeOf(undefined, other)).toBe(other)
  expect(State.causeOf(first, other)).toBe(first)
  expect(State.causeOf(first, idle("idle"))).toBe(first)
  const unread = idle("consumer_idle")
  expect(State.causeOf(first, unread)).toBe(unread)
})

it("asks without deadline and raw body; a resume ends the conversation with the delivered text", () => {
  const rest = { commit: "first_output", deadline: undefined, firstOutputBy: undefined, raw: undefined } as const
  const spoken = after(thought("hm"), delta("one "), delta("two \n"))
  expect(State.plan(spoken, request, "restart")).toEqual({
    mode: "restart",
    request: { ...request, ...rest },
    expected: "one two \n",
    isStrict: true
  })
  expect(State.plan(spoken, request, "resume")).toEqual({
    mode: "resume",
    request: { ...request, ...rest, messages: [...request.messages, { role: "assistant", content: "one two" }] },
    expected: " \n",
    isStrict: false
  })
  for (const state of [after(thought("hm")), after(delta(" \n"))])
    expect(State.plan(state, request, "resume")).toMatchObject({
      mode: "restart",
      isStrict: false,
      request: { messages: request.messages }
    })
})

it("a prefill of the caller's own is continued, not followed by a second one", () => {
  const spoken = after(delta("b"))
  const ends = (last: LlmRequest.Message) =>
    State.plan(spoken, { ...request, messages: [...request.messages, last] }, "resume").request.messages.slice(1)
  expect(ends({ role: "assistant", content: "a" })).toEqual([{ role: "assistant", content: "ab" }])
  expect(ends({ role: "assistant", content: [{ type: "text", text: "a" }] })).toEqual([
    { role: "assistant", content: [{ type: "text", text: "ab" }] }
  ])
  const call = { type: "tool-call", id: "t", name: "f", params: {}, providerExecuted: false } as const
  expect(ends({ role: "assistant", content: [call] })).toEqual([
    { role: "assistant", content: [call, { type: "text", text: "b" }] }
  ])
})

it("a resume: open blocks end, the seam is shown, ids are new, raw events and repeated white space go", () => {
  const state = after({ type: "text-start", id: "0" }, delta("one "), thought("open"))
  goOn(state, "resume")
  const parts = State.take(state, [
    { type: "response-metadata", id: "m", raw: { data: "{}" } },
    { type: "text-start", id: "0" },
    { ...delta(" two"), raw: { data: "{}" } },
    { type: "text-end", id: "0" },
    { type: "tool-params-start", id: "t", name: "f" },
    finish
  ])
  expect(parts).toEqual([
    { type: "text-end", id: "0" },
    { type: "reasoning-end", id: "r" },
    seam("a", "b", "resume"),
    { type: "response-metadata", id: "m" },
    { type: "text-start", id: "seam2:0" },
    delta("two", "seam2:0"),
    { type: "text-end", id: "seam2:0" },
    { type: "tool-params-start", id: "t", name: "f" },
    { ...finish, metadata: { echelon: { kept: 1, usage: "partial" }, other: { x: 2 } } }
  ])
  expect([State.text(state), state.open.size, state.hasIrrevocable]).toEqual(["one two", 0, true])
})

it("white space that a resume repeats is dropped across parts, and no more than was delivered", () => {
  for (const [delivered, said, whole] of [
    ["one ", [" ", "two"], "one two"],
    ["one \n", [" ", "\n", " two"], "one \n two"],
    ["one \n", ["\ntwo"], "one \n\ntwo"],
    ["one \n", [" two\n"], "one \ntwo\n"],
    ["one ", ["two", " "], "one two "],
    ["one", [" ", "two"], "one two"]
  ] as const) {
    const state = after(delta(delivered))
    goOn(state, "resume")
    for (const one of said) State.take(state, [delta(one)])
    expect(State.text(state)).toBe(whole)
  }
})

it("a restart is silent until it has said the delivered text again; its reasoning until then is dropped", () => {
  const state = after(thought("first"), delta("one "), delta("two"))
  goOn(state, "restart")
  const silent: ReadonlyArray<Part.Part> = [
    { type: "response-metadata", id: "m" },
    { type: "reasoning-start", id: "r" },
    thought("again"),
    { type: "reasoning-end", id: "r" },
    { type: "text-start", id: "0" },
    delta("one"),
    { type: "text-end", id: "0" },
    { type: "text-start", id: "1", metadata: { x: { y: 1 } } },
    delta(" t", "1")
  ]
  expect(takeAll(state, silent)).toEqual([])
  expect(takeAll(state, [delta("wo th", "1"), thought("more"), { type: "text-end", id: "1" }])).toEqual([
    { type: "reasoning-end", id: "r" },
    { type: "text-end", id: "0" },
    seam("a", "b", "restart"),
    { type: "response-metadata", id: "m" },
    { type: "text-start", id: "seam2:1", metadata: { x: { y: 1 } } },
    delta(" th", "seam2:1"),
    thought("more", "seam2:r"),
    { type: "text-end", id: "seam2:1" }
  ])
  expect(State.text(state)).toBe("one two th")
})

it("a block that said nothing new is not shown", () => {
  const state = after(delta("one"))
  goOn(state, "restart")
  const parts = takeAll(state, [{ type: "text-start", id: "0" }, delta("one"), { type: "text-end", id: "0" }, finish])
  expect(parts).toMatchObject([{ type: "text-end" }, seam("a", "b", "restart"), { type: "finish" }])
})

it("a restart after reasoning alone shows its own reasoning", () => {
  const state = after(thought("half"))
  goOn(state, "restart")
  expect(takeAll(state, [thought("whole"), delta("x")])).toEqual([
    { type: "reasoning-end", id: "r" },
    seam("a", "b", "restart"),
    thought("whole", "seam2:r"),
    delta("x", "seam2:0")
  ])
})

it("a new answer that goes another way before the delivered text has come again is refused", () => {
  const tool: Part.Part = { type: "tool-params-start", id: "t", name: "f" }
  for (const said of [[delta("onx")], [delta("x")], [delta("on"), finish], [delta("on"), tool], [finish]]) {
    const state = after(delta("one"))
    goOn(state, "restart")
    expect(takeAll(state, said)).toBe("diverged")
    expect(State.text(state)).toBe("one")
  }
})

it("an instance that showed nothing is not named by the next seam", () => {
  const state = after(delta("one"))
  goOn(state, "restart", "b", 2)
  expect(takeAll(state, [delta("on")])).toEqual([])
  goOn(state, "restart", "c", 3)
  expect(takeAll(state, [delta("one!")])).toContainEqual(seam("a", "c", "restart"))
  goOn(state, "resume", "d", 4)
  expect(takeAll(state, [delta("?")])).toEqual([
    { type: "text-end", id: "seam3:0" },
    seam("c", "d", "resume"),
    delta("?", "seam4:0")
  ])
  expect(State.text(state)).toBe("one!?")
})

it("usage adds up across a seam, as far as it is known", () => {
  const whole = finish as Part.Finish
  expect(State.usageOf(whole)).toMatchObject({ inputTokens: 3, outputTokens: 4, source: "reported" })
  const state = after(delta("one"))
  goOn(state, "resume")
  const last = takeAll(state, [finish]).at(-1) as Part.Finish
  expect(State.usageOf(last)).toMatchObject({ inputTokens: 3, outputTokens: 4, source: "unknown" })
  const told = after(delta("one"))
  goOn(told, "resume", "b", 2, Usage.estimated(5, 1))
  const sum = takeAll(told, [finish]).at(-1) as Part.Finish
  expect(State.usageOf(sum)).toMatchObject({ inputTokens: 8, outputTokens: 5, source: "estimated" })
  const silent = after(delta("one"))
  goOn(silent, "resume", "b", 2, Usage.estimated(5, 1))
  const unsaid: Part.Part = { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} } }
  expect(State.usageOf(takeAll(silent, [unsaid]).at(-1) as Part.Finish)).toMatchObject({
    inputTokens: undefined,
    source: "unknown"
  })
})

const chunks = Schema.Array(Schema.Literals(["a", "b", " ", "ab", "ba", " a", "\n", ""])).check(Schema.isMaxLength(6))
/** The text, cut where the others end. */
const cut = (text: string, like: ReadonlyArray<string>) => {
  const ends = like.map((_, i) => joined(like.slice(0, i + 1)).length)
  return [0, ...ends].map((from, i) => text.slice(from, ends[i]))
}
const joined = (all: ReadonlyArray<string>) => all.join("")

it.effect.prop(
  "however an answer is cut, a restart passes on what lies beyond the delivered text, once, or nothing",
  { delivered: chunks, again: chunks, more: chunks, repeats: Schema.Boolean, batched: Schema.Boolean },
  ({ again, batched, delivered, more, repeats }) =>
    Effect.sync(() => {
      const shown: Array<Part.Part> = delivered.map((one, i) => delta(one, i < 2 ? "0" : "1"))
      const state = after(...shown)
      const before = joined(delivered)
      const said = repeats ? [...cut(before, again), ...more] : [...again, ...more]
      goOn(state, "restart")
      const parts: ReadonlyArray<Part.Part> = [...said.flatMap((one) => [thought("t"), delta(one)]), finish]
      const taken = batched ? State.take(state, parts) : takeAll(state, parts)
      const answer = joined(said)
      expect(taken === "diverged").toBe(!answer.startsWith(before))
      if (taken === "diverged") {
        expect(State.text(state)).toBe(before)
        return
      }
      shown.push(...taken)
      expect([textOf(shown), State.text(state)]).toEqual([answer, answer])
      expect(shown.filter((part) => part.type === "response-metadata")).toEqual([seam("a", "b", "restart")])
      const ends = shown.filter((part) => part.type === "text-end").length
      expect(ends).toBe(delivered.length === 0 ? 0 : delivered.length <= 2 ? 1 : 2)
    })
)

it.effect.prop(
  "a resume adds all that it says but the white space that it repeats",
  { delivered: chunks, more: chunks },
  ({ delivered, more }) =>
    Effect.sync(() => {
      const state = after(...delivered.map((one) => delta(one)))
      goOn(state, "resume")
      const taken = takeAll(
        state,
        more.map((one) => delta(one))
      )
      const before = joined(delivered)
      const tail = before.slice(before.trimEnd().length)
      const said = joined(more)
      let same = 0
      while (same < tail.length && same < said.length && tail[same] === said[same]) same += 1
      expect(taken).not.toBe("diverged")
      expect(State.text(state)).toBe(before + said.slice(same))
    })
)
