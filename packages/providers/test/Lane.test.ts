import { Llm, type LlmRequest, type Plan } from "@echelon/core"
import { Instance, Lane, type Lift, Transport } from "@echelon/providers"
import * as AnthropicMessagesLift from "@echelon/providers/AnthropicMessagesLift"
import * as GeminiLift from "@echelon/providers/GeminiLift"
import * as OpenAiChatLift from "@echelon/providers/OpenAiChatLift"
import * as OpenAiResponsesLift from "@echelon/providers/OpenAiResponsesLift"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import type { Prompt } from "effect/ai"
import { instanceOf, json, requestOf, serve, sse } from "./Support.ts"

const llmAt = (kind: string, url: string, model: string, provider: Partial<Plan.Provider> = {}) =>
  Effect.flatMap(Layer.build(Transport.layer), (context) =>
    Effect.map(
      Effect.provideContext(
        Instance.make(instanceOf(kind, { baseUrl: url, ...provider }, { key: "sk-0123456789", model })),
        context
      ),
      ({ llm }) => llm
    )
  )

interface Way {
  readonly kind: string
  readonly model: string
  readonly lift: (body: unknown, options?: Lift.Options) => Lift.Lifted
  /** A body with something unheard of at every depth. */
  readonly body: Readonly<Record<string, unknown>>
  /** What a default that the body leaves open looks like in it. */
  readonly filled: (body: Readonly<Record<string, unknown>>) => unknown
  readonly flag: Readonly<Record<string, unknown>>
  readonly reply: object
  readonly events: ReadonlyArray<object | string>
}

const ways: ReadonlyArray<Way> = [
  {
    kind: "openai",
    model: "gpt-4o",
    lift: OpenAiChatLift.lift,
    body: {
      model: "theirs",
      messages: [
        { role: "user", content: [{ type: "text", text: "hi", x: { y: [1.5, null] } }], name: "me" },
        { role: "assistant", content: "ho", reasoning_content: "hm", unheard: true }
      ],
      tools: [{ type: "unheard", of: {} }],
      logit_bias: { "1": -100 },
      n: 1
    },
    filled: (body) => ({ ...body, temperature: 0.5 }),
    flag: { stream: true, stream_options: { include_usage: true } },
    reply: {
      id: "r",
      object: "chat.completion",
      model: "m",
      choices: [{ index: 0, message: { role: "assistant", content: "yo", unheard: 1 }, finish_reason: "stop", x: 2 }],
      unheard: [3]
    },
    events: [
      { id: "r", choices: [{ index: 0, delta: { content: "yo", unheard: 1 }, x: 2 }], unheard: [3] },
      { unheard: "event" },
      { id: "r", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] },
      "[DONE]"
    ]
  },
  {
    kind: "openai-responses",
    model: "gpt-4o",
    lift: OpenAiResponsesLift.lift,
    body: {
      model: "theirs",
      input: [
        { role: "user", content: [{ type: "input_text", text: "hi", x: [1] }] },
        { id: "rs", type: "reasoning", summary: [], encrypted_content: "e", unheard: 1 },
        { type: "unheard", of: {} }
      ],
      reasoning: { unheard: 1 },
      unheard: { of: [] }
    },
    filled: (body) => ({ ...body, temperature: 0.5 }),
    flag: { stream: true },
    reply: {
      id: "r",
      object: "response",
      status: "completed",
      output: [
        { id: "m", type: "message", role: "assistant", content: [{ type: "output_text", text: "yo", x: 2 }] },
        { id: "u", type: "unheard", of: 1 }
      ],
      unheard: [3]
    },
    events: [
      { type: "response.unheard", of: 1 },
      { type: "response.output_text.delta", item_id: "m", content_index: 0, delta: "yo", x: 2 },
      { type: "response.completed", response: { id: "r", status: "completed", output: [], unheard: [3] } }
    ]
  },
  {
    kind: "anthropic",
    model: "claude-3-haiku",
    lift: AnthropicMessagesLift.lift,
    body: {
      model: "theirs",
      max_tokens: 5,
      system: [{ type: "text", text: "s", x: 1 }],
      messages: [
        { role: "user", content: [{ type: "text", text: "hi", cache_control: { type: "unheard" } }], x: 1 },
        { role: "assistant", content: [{ type: "thinking", thinking: "hm", signature: "c2ln" }, { type: "unheard" }] },
        { role: "user", content: "and?" }
      ],
      mcp_servers: [{ unheard: 1 }]
    },
    filled: (body) => ({ ...body, temperature: 0.5 }),
    flag: { stream: true },
    reply: {
      id: "m",
      type: "message",
      role: "assistant",
      content: [
        { type: "text", text: "yo", x: 2 },
        { type: "unheard", of: 1 }
      ],
      stop_reason: "end_turn",
      usage: { input_tokens: 1, output_tokens: 1, unheard: 1 },
      unheard: [3]
    },
    events: [
      { type: "message_start", message: { id: "m", content: [], unheard: [3] } },
      { type: "unheard", of: 1 },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "yo", x: 2 } },
      { type: "message_delta", delta: { stop_reason: "end_turn" } },
      { type: "message_stop", x: 4 }
    ]
  },
  {
    kind: "gemini",
    model: "gemini-2.5-flash",
    lift: GeminiLift.lift,
    body: {
      contents: [
        { role: "user", parts: [{ text: "hi", unheard: 1 }], unheard: 2 },
        { role: "model", parts: [{ text: "hm", thought: true, thoughtSignature: "c2ln" }, { unheard: {} }] },
        { role: "user", parts: [{ text: "and?" }] }
      ],
      generationConfig: { unheard: [] },
      unheard: { of: 1 }
    },
    filled: (body) => ({ ...body, generationConfig: { unheard: [], temperature: 0.5 } }),
    flag: {},
    reply: {
      candidates: [{ content: { role: "model", parts: [{ text: "yo", x: 2 }] }, finishReason: "STOP", y: 1 }],
      unheard: [3]
    },
    events: [
      { candidates: [{ content: { parts: [{ text: "yo", x: 2 }] } }], unheard: [3] },
      { unheard: "event" },
      { candidates: [{ finishReason: "STOP" }] }
    ]
  }
]

const serveWay = ({ events, reply }: Way) =>
  serve((seen, response) => {
    if (!seen.url.includes("stream") && !seen.body.includes('"stream":true')) json(response, 200, reply)
    else {
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.end(sse(...events))
    }
  })

const dataOf = (event: object | string): string => (typeof event === "string" ? event : JSON.stringify(event))

describe("in the lane, over a socket", () => {
  for (const way of ways) {
    const { body, events, filled, flag, kind, lift, model, reply } = way
    const sent = "model" in body ? { ...body, model } : body

    it.effect(`${kind} is sent the body as it came, and its reply comes back whole`, () =>
      Effect.gen(function* () {
        const server = yield* serveWay(way)
        const { input, problems } = lift(body)
        expect(problems).toEqual([])
        const answer = yield* Llm.generate(yield* llmAt(kind, server.url, model), input)
        expect(JSON.parse(server.seen[0]?.body ?? "")).toEqual(sent)
        expect(answer.route[0]?.dropped).toEqual([])
        expect(answer.text).toBe("yo")
        const raw = answer.content.flatMap((part) => ("raw" in part && part.raw !== undefined ? [part.raw.data] : []))
        expect(raw).toEqual([JSON.stringify(reply)])
      })
    )

    it.effect(`${kind} is asked for a stream, and its events come back as they were`, () =>
      Effect.gen(function* () {
        const server = yield* serveWay(way)
        const { input } = lift(body)
        const settings = { ...input.settings, temperature: 0.5 }
        const parts = yield* Stream.runCollect(
          Llm.stream(yield* llmAt(kind, server.url, model), { ...input, settings })
        )
        expect(JSON.parse(server.seen[0]?.body ?? "")).toEqual({ ...(filled(sent) as object), ...flag })
        expect(parts.flatMap((part) => (part.raw === undefined ? [] : [part.raw.data]))).toEqual(events.map(dataOf))
        expect(parts.at(-1)?.type).toBe("finish")
      })
    )
  }
})

describe("the lane ends, over a socket", () => {
  const moved = (way: Way, from: string) =>
    Effect.gen(function* () {
      const server = yield* serveWay(way)
      const answer = yield* Llm.generate(
        yield* llmAt(way.kind, server.url, way.model),
        way.lift(way.body, { kind: from }).input
      )
      return { body: JSON.parse(server.seen[0]?.body ?? ""), dropped: answer.route[0]?.dropped }
    })
  const wayOf = (kind: string): Way => {
    const way = ways.find((one) => one.kind === kind)
    if (way === undefined) throw new Error(`no way to ${kind}`)
    return way
  }

  it.effect("another server of OpenAI Chat Completions is not sent what one thought", () =>
    Effect.gen(function* () {
      const { body, dropped } = yield* moved(wayOf("openai"), "deepseek")
      expect(body).toEqual({
        model: "gpt-4o",
        messages: [
          { role: "user", content: "hi" },
          { role: "assistant", content: "ho" }
        ],
        // Of whoever speaks the protocol.
        logit_bias: { "1": -100 },
        n: 1
      })
      expect(dropped).toEqual([
        "body.messages[0].content[0].x",
        "body.messages[0].name",
        "body.messages[1].unheard",
        "body.tools[0] (unheard)",
        "messages.reasoning"
      ])
    })
  )

  it.effect("another server of OpenAI Responses is not sent encrypted reasoning", () =>
    Effect.gen(function* () {
      const { body, dropped } = yield* moved(wayOf("openai-responses"), "azure-openai-responses")
      expect(JSON.stringify(body)).not.toContain("encrypted_content")
      expect(dropped).toContain("messages.reasoning")
    })
  )

  it.effect("another server of Anthropic Messages is not sent a signature", () =>
    Effect.gen(function* () {
      const { body, dropped } = yield* moved(wayOf("anthropic"), "vertex-anthropic")
      expect(JSON.stringify(body)).not.toContain("c2ln")
      // Marks are no secret of anybody's.
      expect(body.messages[0].content[0].cache_control).toEqual({ type: "unheard" })
      expect(dropped).toContain("messages.reasoning")
    })
  )

  it.effect("another server of Gemini is not sent a signature", () =>
    Effect.gen(function* () {
      const { body, dropped } = yield* moved(wayOf("gemini"), "vertex")
      expect(JSON.stringify(body)).not.toContain("c2ln")
      expect(dropped).toContain("messages.reasoning")
    })
  )

  it.effect("the provider itself is sent what it gave", () =>
    Effect.gen(function* () {
      for (const way of ways) {
        const { body, dropped } = yield* moved(way, way.kind)
        expect(body).toEqual("model" in way.body ? { ...way.body, model: way.model } : way.body)
        expect(dropped).toEqual([])
      }
    })
  )

  it.effect("another protocol is sent a translation, and the route lists the rest", () =>
    Effect.gen(function* () {
      const from = wayOf("anthropic")
      const server = yield* serveWay(wayOf("openai"))
      const answer = yield* Llm.generate(yield* llmAt("openai", server.url, "gpt-4o"), from.lift(from.body).input)
      expect(JSON.parse(server.seen[0]?.body ?? "")).toEqual({
        model: "gpt-4o",
        messages: [
          { role: "system", content: "s" },
          { role: "user", content: "hi" },
          { role: "assistant", content: "" },
          { role: "user", content: "and?" }
        ],
        max_completion_tokens: 5
      })
      expect(answer.route[0]?.dropped).toEqual([
        "messages.text.cacheControl",
        "body.system[0].x",
        "body.messages[0].x",
        "body.messages[1].content[1] (unheard)",
        "body.mcp_servers",
        "messages.reasoning"
      ])
      // The reply is none of the body's protocol: nothing is carried beside it.
      expect(answer.content.some((part) => "raw" in part)).toBe(false)
    })
  )
})

const enter = (input: LlmRequest.Input, target: Lane.Target) => {
  const dropped: Array<string> = []
  const told = Lane.once((field) => dropped.push(field))
  const request = Lane.enter(requestOf(input), target, told)
  return { request, dropped }
}

const chat: Lane.Target = { protocol: "openai-chat", kind: "openai" }

it("leaves a plain request alone", () => {
  const request = requestOf({ prompt: [{ role: "user", content: [{ type: "text", text: "hi" }] }] })
  expect(Lane.enter(request, chat, () => {})).toBe(request)
  const raw = requestOf({ prompt: "hi", raw: { protocol: "openai-chat", body: {} } })
  expect(Lane.enter(raw, chat, () => {})).toBe(raw)
})

it("lists signatures and ids of another, wherever they stand", () => {
  const { dropped, request } = enter(
    {
      prompt: [
        {
          role: "assistant",
          content: [
            { type: "text", text: "a", options: { gemini: { thoughtSignature: "s" } } },
            { type: "tool-call", id: "c", name: "f", params: {}, options: { "openai-responses": { id: "fc" } } },
            {
              type: "tool-call",
              id: "d",
              name: "f",
              params: {},
              options: { gemini: { id: "d", thoughtSignature: "s" } }
            },
            {
              type: "tool-call",
              id: "e",
              name: "f",
              params: {},
              options: { openai: { id: "e1" }, gemini: { id: "e2" } }
            }
          ]
        }
      ]
    },
    chat
  )
  expect(dropped).toEqual([
    "messages.text.thoughtSignature",
    "messages.tool-call.id",
    "messages.tool-call.thoughtSignature"
  ])
  expect(Lane.hasMoved(request.messages, chat)).toBe(true)
  expect(Lane.hasMoved(request.messages.slice(1), chat)).toBe(false)
})

it("takes an id that the call goes by as no secret", () => {
  const part = { type: "tool-call", id: "d", name: "f", params: {}, options: { gemini: { id: "d" } } } as const
  const { dropped, request } = enter({ prompt: [{ role: "assistant", content: [part] }] }, chat)
  expect(dropped).toEqual([])
  expect(Lane.hasMoved(request.messages, chat)).toBe(false)
})

it("takes what the protocol's speakers share as the instance's own, under its own options", () => {
  const own = Lane.ownerOf("openai-chat")
  const { dropped, request } = enter(
    {
      prompt: [
        {
          role: "tool",
          content: [
            {
              type: "tool-result",
              id: "c",
              name: "f",
              isFailure: false,
              result: "",
              modelOutput: [{ type: "text", text: "x", options: { [own]: { mark: 1, other: 2 }, openai: { mark: 3 } } }]
            }
          ]
        }
      ],
      providerOptions: { [own]: { user: "u", logprobs: true }, openai: { user: "mine" } }
    },
    chat
  )
  expect(JSON.stringify(request.messages)).toContain('"openai":{"mark":3,"other":2}')
  expect(request.providerOptions["openai"]).toEqual({ user: "mine", logprobs: true })
  expect(dropped).toEqual([])
})

it("leaves out a file that only its keeper can find, and keeps the keeper's", () => {
  const kept = (target: Lane.Target) => {
    const { input } = OpenAiResponsesLift.lift({
      input: [
        {
          role: "user",
          content: [
            { type: "input_file", file_id: "file-1" },
            { type: "input_text", text: "?" }
          ]
        }
      ]
    })
    const { raw: _, ...anew } = input
    const { dropped, request } = enter(anew, target)
    const [message] = request.messages
    return [message?.content.length, dropped]
  }
  expect(kept({ protocol: "openai-responses", kind: "openai-responses" })).toEqual([2, []])
  expect(kept(chat)).toEqual([1, ["messages.file.fileId"]])
})

it("tells each field once", () => {
  const dropped: Array<string> = []
  const once = Lane.once((field) => dropped.push(field))
  for (const field of ["a", "b", "a"]) once(field)
  expect(dropped).toEqual(["a", "b"])
})

describe("what goes along", () => {
  const enter = (options: Prompt.ProviderOptions, target: Lane.Target, part: "text" | "tool-call" = "text") => {
    const dropped: Array<string> = []
    const said: Prompt.AssistantMessagePartEncoded =
      part === "text"
        ? { type: "text", text: "No.", options }
        : { type: "tool-call", id: "c", name: "f", params: {}, options }
    const raw = { protocol: "openai-chat", body: {} }
    const request = requestOf({ prompt: [{ role: "assistant", content: [said] }], raw })
    const entered = Lane.enter(
      request,
      target,
      Lane.once((field) => dropped.push(field))
    )
    return { isLane: entered.raw?.protocol === target.protocol, dropped }
  }

  it("lists a refusal where the protocol has none, whoever gave it", () => {
    for (const owner of ["openai", "protocol:openai-chat"]) {
      const options = { [owner]: { refusal: true } }
      expect(enter(options, { protocol: "openai-responses", kind: "openai-responses" }).dropped).toEqual([])
      expect(enter(options, { protocol: "anthropic-messages", kind: "anthropic" }).dropped).toEqual([
        "messages.text.refusal"
      ])
    }
  })

  it("ends the lane at a call that another provider signed", () => {
    const signed = { "gemini-openai": { extra_content: { google: { thought_signature: "c2ln" } } } }
    expect(enter(signed, { protocol: "openai-chat", kind: "gemini-openai" }, "tool-call").isLane).toBe(true)
    expect(enter(signed, { protocol: "openai-chat", kind: "openai" }, "tool-call")).toEqual({
      isLane: false,
      dropped: ["messages.tool-call.extra_content"]
    })
    expect(enter({}, { protocol: "openai-chat", kind: "openai" }, "tool-call").isLane).toBe(true)
  })
})
