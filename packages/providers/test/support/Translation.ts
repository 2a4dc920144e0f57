/**
 * What a request keeps on its way through a protocol, and from one protocol to another: samples of each thing that a
 * request can hold, random requests, and the table of what becomes of them.
 */
import assert from "node:assert/strict"
import type { LlmRequest } from "@echelon/core"
import { Lane, Media } from "@echelon/providers"
import { Schema } from "effect"
import type { Prompt } from "effect/ai"
import * as ProtocolContract from "./ProtocolContract.ts"

type Contract = ProtocolContract.Contract

// ---------------------------------------------------------------------------------------------------------------
// Requests as they are compared
// ---------------------------------------------------------------------------------------------------------------

type Piece = Readonly<Record<string, unknown>>

interface Message {
  readonly role: string
  readonly parts: ReadonlyArray<Piece>
}

/** A request without the ways in which the same can be written. */
export interface Plain {
  readonly messages: ReadonlyArray<Message>
  readonly tools: ReadonlyArray<Piece>
  readonly toolChoice: unknown
  readonly format: unknown
  readonly settings: Readonly<Record<string, unknown>>
  readonly own: unknown
}

type Part = Prompt.UserMessagePartEncoded | Prompt.AssistantMessagePartEncoded | Prompt.ToolMessagePartEncoded

/** What stands under any one provider's name, whose ever it is. */
const ownOf = (options: Prompt.ProviderOptions | undefined): Piece => {
  const own = Object.assign({}, ...Object.values(options ?? {}))
  return Object.keys(own).length === 0 ? {} : { own }
}

const plainFile = (part: Prompt.FilePartEncoded): Piece => {
  const media = Media.read(part)
  // Names that are made where there is none.
  const name = part.fileName === undefined || part.fileName.startsWith("file.") ? {} : { name: part.fileName }
  return media._tag === "Url"
    ? { file: media.mediaType, url: media.url, ...name, ...ownOf(part.options) }
    : { file: media.mediaType, data: media.base64, ...name, ...ownOf(part.options) }
}

const plainPart = (part: Part, idOf: (id: string) => number): Piece => {
  switch (part.type) {
    case "text":
      return { text: part.text, ...ownOf(part.options) }
    case "file":
      return plainFile(part)
    case "reasoning":
      return { reasoning: part.text, ...ownOf(part.options) }
    case "tool-call":
      return { call: idOf(part.id), name: part.name, params: part.params, ...ownOf(part.options) }
    case "tool-result": {
      const pieces = (part.modelOutput ?? []).map((piece) => plainPart(piece, idOf))
      const result = pieces.length === 0 ? part.result : pieces.filter((piece) => piece["text"] !== "")
      return { resultOf: idOf(part.id), name: part.name, isFailure: part.isFailure, result, ...ownOf(part.options) }
    }
    default:
      return { other: part.type }
  }
}

/** Neighbours of one role are one message; texts of an assistant in a row are one text. */
const join = (messages: ReadonlyArray<Message>): ReadonlyArray<Message> => {
  const joined: Array<Message> = []
  for (const { parts, role } of messages) {
    const before = joined.at(-1)
    if (before?.role === role && role !== "system")
      joined[joined.length - 1] = { role, parts: [...before.parts, ...parts] }
    else if (parts.length > 0) joined.push({ role, parts })
  }
  return joined.map(({ parts, role }) => ({ role, parts: role === "assistant" ? joinTexts(parts) : parts }))
}

const joinTexts = (parts: ReadonlyArray<Piece>): ReadonlyArray<Piece> => {
  const joined: Array<Piece> = []
  for (const part of parts) {
    const before = joined.at(-1)
    if (typeof part["text"] === "string" && typeof before?.["text"] === "string" && part["own"] === undefined)
      joined[joined.length - 1] = { ...before, text: before["text"] + part["text"] }
    else joined.push(part)
  }
  return joined
}

const defined = (record: object): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))

/** Makes a request plain. Calls go by their place: some protocols have no ids. */
export const plain = (input: LlmRequest.Input): Plain => {
  const ids = new Map<string, number>()
  const idOf = (id: string): number => {
    if (!ids.has(id)) ids.set(id, ids.size)
    return ids.get(id) ?? 0
  }
  const messages: ReadonlyArray<LlmRequest.Message> =
    typeof input.prompt === "string" ? [{ role: "user", content: input.prompt }] : input.prompt
  const { parallelToolCalls, ...settings } = input.settings ?? {}
  const { unsaid: _, ...own } = input.providerOptions ?? {}
  const { responseFormat = { type: "text" } } = input
  const request: Plain = {
    messages: join(
      messages.map((message) => ({
        role: message.role,
        parts:
          typeof message.content === "string"
            ? [{ text: message.content, ...ownOf(message.options) }].filter(({ text }) => text !== "")
            : message.content.map((part) => plainPart(part, idOf))
      }))
    ),
    tools: (input.tools ?? []).map(({ strict, ...tool }) =>
      defined({ ...tool, ...(strict === true ? { strict } : {}) })
    ),
    // Both are what happens by itself.
    toolChoice: input.toolChoice === "auto" ? undefined : input.toolChoice,
    format: defined(responseFormat),
    settings: defined({ ...settings, ...(parallelToolCalls === false ? { parallelToolCalls } : {}) }),
    own: Object.values(own)
  }
  // As it is written: there is no -0 on the wire.
  return JSON.parse(JSON.stringify(request))
}

// ---------------------------------------------------------------------------------------------------------------
// Ways
// ---------------------------------------------------------------------------------------------------------------

export interface Passed {
  readonly input: LlmRequest.Input
  readonly dropped: ReadonlyArray<string>
}

/** Says a request in a protocol and reads it back. */
export const pass = (contract: Contract, input: LlmRequest.Input): Passed => {
  const { raw: _, ...anew } = input
  const { body, dropped } = ProtocolContract.lower(contract, anew, false)
  if (typeof contract.lift !== "function") throw new Error(`${contract.title} cannot be read back`)
  const lifted = contract.lift(body)
  assert.deepEqual(lifted.problems, [])
  assert.deepEqual(lifted.unsaid, [])
  return { input: lifted.input, dropped }
}

// ---------------------------------------------------------------------------------------------------------------
// Samples
// ---------------------------------------------------------------------------------------------------------------

const open = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
const schema = { ...open, additionalProperties: false }
const bounded = { ...schema, properties: { city: { type: "string", minLength: 2 } } }
const tool = { name: "weather", description: "Tells it", parameters: schema }
const png = "iVBORw0KGgo="

const user = (...content: ReadonlyArray<Prompt.UserMessagePartEncoded>): LlmRequest.Input => ({
  prompt: [{ role: "user", content }]
})

const answered = (...content: ReadonlyArray<Prompt.AssistantMessagePartEncoded>): LlmRequest.Input => ({
  prompt: [
    { role: "user", content: "Hi" },
    { role: "assistant", content },
    { role: "user", content: "And?" }
  ]
})

const resulted = (...results: ReadonlyArray<Partial<Prompt.ToolResultPartEncoded>>): LlmRequest.Input => ({
  prompt: [
    { role: "user", content: "Weather?" },
    {
      role: "assistant",
      content: results.map((_, at) => ({ type: "tool-call", id: `c${at}`, name: "weather", params: { city: `${at}` } }))
    },
    {
      role: "tool",
      content: results.map((result, at) => ({
        type: "tool-result",
        id: `c${at}`,
        name: "weather",
        isFailure: false,
        result: "sunny",
        ...result
      }))
    }
  ],
  tools: [tool]
})

const set = (settings: LlmRequest.Settings): LlmRequest.Input => ({ prompt: "Hi", settings })

const choose = (toolChoice: LlmRequest.ToolChoice): LlmRequest.Input => ({ prompt: "Hi", tools: [tool], toolChoice })

const json = (more: object): LlmRequest.Input => ({
  prompt: "Where?",
  responseFormat: { type: "json", name: "response", schema, ...more }
})

export interface Sample {
  readonly title: string
  /** `undefined` when this protocol has no such thing at all. */
  readonly input: (contract: Contract) => LlmRequest.Input | undefined
  /** It means something to who gave it and to nobody else. */
  readonly bound?: boolean
}

const same = (title: string, input: LlmRequest.Input): Sample => ({ title, input: () => input })

/** What a provider's own reasoning looks like in a conversation, by kind. */
const own = (
  title: string,
  text: string,
  options: Readonly<Record<string, NonNullable<Prompt.ProviderOptions[string]>>>
): Sample => ({
  title,
  bound: true,
  input: ({ kind }) => {
    const given = options[kind]
    return given === undefined
      ? undefined
      : answered({ type: "reasoning", text, options: { [kind]: given } }, { type: "text", text: "Done." })
  }
})

export const samples: ReadonlyArray<Sample> = [
  same("Text", answered({ type: "text", text: 'Grüße, 世界 👋\n\t"\\' })),
  same("Blank texts", user({ type: "text", text: "?" }, { type: "text", text: " " })),
  same("System messages at the beginning", {
    prompt: [
      { role: "system", content: "a" },
      { role: "system", content: "b" },
      { role: "user", content: "Hi" }
    ]
  }),
  same("System messages within the conversation", {
    prompt: [
      { role: "user", content: "Hi" },
      { role: "assistant", content: "Ho" },
      { role: "system", content: "Be brief" },
      { role: "user", content: "And?" }
    ]
  }),
  same("Images as data", user({ type: "text", text: "?" }, { type: "file", mediaType: "image/png", data: png })),
  same(
    "Images by address",
    user({ type: "file", mediaType: "image/*", data: { _tag: "URL", href: "https://a.test/i.png" } })
  ),
  same(
    "The type of an image that is an address",
    user({ type: "file", mediaType: "image/png", data: { _tag: "URL", href: "https://a.test/i" } })
  ),
  same(
    "An image's detail",
    user({ type: "file", mediaType: "image/png", data: png, options: { openai: { imageDetail: "low" } } })
  ),
  same("An image's name", user({ type: "file", mediaType: "image/png", data: png, fileName: "i.png" })),
  same("PDF as data", user({ type: "file", mediaType: "application/pdf", data: "JVBERi0xLjc=" })),
  same(
    "PDF by address",
    user({ type: "file", mediaType: "application/pdf", data: { _tag: "URL", href: "https://a.test/d.pdf" } })
  ),
  same(
    "A document's name",
    user({ type: "file", mediaType: "application/pdf", data: "JVBERi0xLjc=", fileName: "a.pdf" })
  ),
  same("Text files", user({ type: "file", mediaType: "text/plain", data: "aGk=" })),
  same("Sound", user({ type: "file", mediaType: "audio/wav", data: "UklGRg==" })),
  same("Tools", { prompt: "Hi", tools: [tool, { name: "now", parameters: schema }] }),
  same("Strict tools", {
    prompt: "Hi",
    tools: [
      { ...tool, strict: true },
      { name: "now", parameters: schema }
    ]
  }),
  same("Tool choice: auto", choose("auto")),
  same("Tool choice: none", choose("none")),
  same("Tool choice: required", choose("required")),
  same("Tool choice: a named tool", choose({ tool: "weather" })),
  same("One tool call at a time", { prompt: "Hi", tools: [tool], settings: { parallelToolCalls: false } }),
  same("Tool calls and results that are text", resulted({}, { result: "rain" })),
  same("Tool results that are JSON", resulted({ result: { sky: ["clear", null] } })),
  same("Failed tool results", resulted({ isFailure: true, result: "no station" })),
  same(
    "Images in tool results",
    resulted({
      modelOutput: [
        { type: "text", text: "sunny" },
        { type: "file", mediaType: "image/png", data: png }
      ]
    })
  ),
  same("Text behind a tool call of the same turn", {
    ...answered({ type: "tool-call", id: "c", name: "weather", params: {} }, { type: "text", text: "One moment" }),
    tools: [tool]
  }),
  same(
    "Calls of tools that the provider runs",
    answered(
      { type: "tool-call", id: "s", name: "web_search", params: {}, providerExecuted: true },
      { type: "text", text: "Done." }
    )
  ),
  same("Structured output", json({})),
  same("A schema that lets objects have more properties", json({ schema: open })),
  same("Bounds in a schema", json({ schema: bounded })),
  same("A schema's name", json({ name: "place" })),
  same("A strict schema", json({ strict: true })),
  same("Output limit", set({ maxOutputTokens: 500 })),
  same("Temperature up to 1", set({ temperature: 0.5 })),
  same("Temperature above 1", set({ temperature: 1.5 })),
  same("Top p", set({ topP: 0.5 })),
  same("Top k", set({ topK: 40 })),
  same("Stop sequences", set({ stop: ["a", "b"] })),
  same("Seed", set({ seed: 7 })),
  same("Presence penalty", set({ presencePenalty: 0.5 })),
  same("Frequency penalty", set({ frequencyPenalty: 0.5 })),
  same("How hard to think", set({ reasoningEffort: "low" })),
  same("Not to think", set({ reasoningEffort: "none" })),
  same(
    "Refusals of earlier turns",
    answered({ type: "text", text: "No.", options: { [Lane.ownerOf("openai-chat")]: { refusal: true } } })
  ),
  same(
    "Reasoning of nobody in particular",
    answered({ type: "reasoning", text: "Hm" }, { type: "text", text: "Done." })
  ),
  own("Reasoning with its signature", "Hm", {
    "openai-responses": { id: "rs", type: "summary_text", encrypted_content: "gAAA" },
    anthropic: { type: "thinking", signature: "c2ln" },
    bedrock: { signature: "c2ln" },
    gemini: { thought: true, thoughtSignature: "c2ln" }
  }),
  own("Reasoning that only the provider can read", "", {
    anthropic: { type: "redacted_thinking", redactedData: "ZW5j" },
    bedrock: { redactedContent: "ZW5j" }
  }),
  {
    title: "Prompt caching marks",
    bound: true,
    input: ({ kind, mark }) =>
      mark === undefined ? undefined : user({ type: "text", text: "A long text", options: { [kind]: mark } })
  },
  {
    title: "Fields that only the protocol has",
    bound: true,
    input: ({ kind }) => ({ prompt: "Hi", providerOptions: { [kind]: { neverHeard: { of: [1] } } } })
  }
]

// ---------------------------------------------------------------------------------------------------------------
// What becomes of them
// ---------------------------------------------------------------------------------------------------------------

export type Fate = "kept" | "approximated" | "left out" | "none"

/** A limit that the protocol demands is no part of what was asked. */
export const withoutDefaults = (asked: Plain, found: Plain): Plain => {
  if (asked.settings["maxOutputTokens"] !== undefined) return found
  const { maxOutputTokens: _, ...settings } = found.settings
  return { ...found, settings }
}

const fateOf = (asked: LlmRequest.Input, passed: Passed): Fate => {
  if (passed.dropped.some((field) => !/ \((?:lowered|raised) to /.test(field))) return "left out"
  const before = plain(asked)
  try {
    assert.deepEqual(withoutDefaults(before, plain(passed.input)), before)
  } catch {
    return "approximated"
  }
  return passed.dropped.length === 0 ? "kept" : "approximated"
}

/** What becomes of a sample that goes out by a protocol and is read back. */
export const fate = (
  contract: Contract,
  sample: Sample
): { readonly fate: Fate; readonly dropped: ReadonlyArray<string> } => {
  const input = sample.input(contract)
  if (input === undefined) return { fate: "none", dropped: [] }
  const passed = pass(contract, input)
  return { fate: fateOf(input, passed), dropped: passed.dropped }
}

/** What becomes of a sample that came in by one protocol and goes out by another. */
export const fateBetween = (from: Contract, to: Contract, sample: Sample): Fate => {
  const input = sample.input(from)
  if (input === undefined) return "none"
  const first = pass(from, input)
  return fateOf(input, pass(to, first.input))
}

const order: Readonly<Record<Fate, number>> = { kept: 0, approximated: 1, "left out": 2, none: 3 }

/** What the table says of the same: the worse of both, and nothing of what is bound to its giver. */
export const expected = (from: Contract, to: Contract, sample: Sample): Fate | undefined => {
  const first = fate(from, sample).fate
  // What the first protocol cannot say never came in.
  if (first === "none" || first === "left out") return undefined
  if (sample.bound === true) return "left out"
  const second = fate(to, sample).fate
  return order[first] > order[second] ? first : second
}

/** Why something is approximated, by protocol. Published with the table; the test holds it to what happens. */
export const approximations: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "System messages within the conversation": {
    "Anthropic Messages": "they are said at the beginning",
    "Google Gemini": "they are said at the beginning",
    "Bedrock Converse": "they are said at the beginning"
  },
  "The type of an image that is an address": {
    "OpenAI Chat Completions": "an address is said without its type",
    "OpenAI Responses": "an address is said without its type",
    "Anthropic Messages": "an address is said without its type"
  },
  "Strict tools": {
    "Google Gemini": "one strict tool makes all strict, and a call that is demanded is held to its schema anyway"
  },
  "Tool choice: none": {
    "Bedrock Converse": "no choice forbids to call a tool: none is shown"
  },
  "Tool results that are JSON": {
    "OpenAI Chat Completions": "a result is text: JSON is written as such",
    "OpenAI Responses": "a result is text: JSON is written as such",
    "Anthropic Messages": "a result is text: JSON is written as such",
    "Bedrock Converse": "a result is text: JSON is written as such"
  },
  "Text behind a tool call of the same turn": {
    "OpenAI Chat Completions": "a turn's text stands before its calls"
  },
  "A schema that lets objects have more properties": {
    "Anthropic Messages": "an object has the properties that its schema names",
    "Bedrock Converse": "an object has the properties that its schema names"
  },
  "A schema's name": {
    "Anthropic Messages": "a schema has no name",
    "Google Gemini": "a schema has no name"
  },
  "A strict schema": {
    "Anthropic Messages": "every schema is held to",
    "Google Gemini": "every schema is held to",
    "Bedrock Converse": "every schema is held to"
  },
  "Temperature above 1": { "Anthropic Messages": "the scale ends at 1", "Bedrock Converse": "the scale ends at 1" }
}

/** The rows of the table for one protocol. */
export const show = (contract: Contract): Readonly<Record<string, string>> =>
  Object.fromEntries(
    samples.map((sample) => {
      const { dropped, fate: found } = fate(contract, sample)
      const why = approximations[sample.title]?.[contract.title]
      switch (found) {
        case "kept":
          return [sample.title, sample.bound === true ? "kept, within the protocol" : "kept"]
        case "approximated":
          return [sample.title, `approximated: ${why ?? "NOBODY SAYS WHY"}`]
        case "left out":
          return [sample.title, `left out, listed as ${dropped.map((field) => `\`${field}\``).join(", ")}`]
        case "none":
          return [sample.title, "none: the protocol has no such thing"]
      }
    })
  )

// ---------------------------------------------------------------------------------------------------------------
// Random requests
// ---------------------------------------------------------------------------------------------------------------

const Text = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(20))
const Base64 = Schema.Uint8Array.check(Schema.isMaxLength(9))
const Params = Schema.Record(
  Schema.Literals(["a", "b"]),
  Schema.Union([Schema.String, Schema.Int, Schema.Boolean, Schema.Null, Schema.Array(Schema.String)])
)
const UserPart = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("Text"), text: Text }),
  Schema.Struct({ _tag: Schema.Literal("Image"), bytes: Base64 }),
  Schema.Struct({ _tag: Schema.Literal("Address"), name: Schema.Int }),
  Schema.Struct({ _tag: Schema.Literal("Pdf"), bytes: Base64, name: Schema.Int }),
  Schema.Struct({ _tag: Schema.Literal("Sound"), bytes: Base64 })
])
const Call = Schema.Struct({
  name: Schema.Literals(["weather", "now"]),
  params: Params,
  isFailure: Schema.Boolean,
  result: Schema.Union([Schema.String, Params]),
  withImage: Schema.Boolean
})
const Turn = Schema.Struct({
  system: Schema.optional(Text),
  user: Schema.Array(UserPart).check(Schema.isMinLength(1), Schema.isMaxLength(3)),
  text: Schema.String,
  calls: Schema.Array(Call).check(Schema.isMaxLength(3))
})
const tenth = (max: number) => Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: max * 10 }))

/** A conversation, tools and settings, before they are put into messages. */
export const Request = Schema.Struct({
  turns: Schema.Array(Turn).check(Schema.isMaxLength(3)),
  last: Text,
  choice: Schema.Literals(["auto", "none", "required", "weather"]),
  hasTools: Schema.Boolean,
  isStrict: Schema.Boolean,
  isJson: Schema.Boolean,
  temperature: Schema.optional(tenth(1)),
  topP: Schema.optional(tenth(1)),
  topK: Schema.optional(tenth(3)),
  presencePenalty: Schema.optional(tenth(2)),
  seed: Schema.optional(Schema.Int),
  maxOutputTokens: Schema.optional(Schema.Int.check(Schema.isBetween({ minimum: 16, maximum: 4000 }))),
  stop: Schema.Array(Text).check(Schema.isMaxLength(4)),
  isSingle: Schema.Boolean,
  effort: Schema.optional(Schema.Literals(["minimal", "low", "medium", "high"]))
})

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")

const userPart = (part: typeof UserPart.Type, at: string): Prompt.UserMessagePartEncoded => {
  switch (part._tag) {
    case "Text":
      return { type: "text", text: part.text }
    case "Image":
      return { type: "file", mediaType: "image/png", data: `data:image/png;base64,${base64(part.bytes)}` }
    case "Address":
      return { type: "file", mediaType: "image/*", data: new URL(`https://a.test/${part.name}.png`) }
    case "Pdf":
      return { type: "file", mediaType: "application/pdf", data: part.bytes, fileName: `${at}-${part.name}.pdf` }
    case "Sound":
      return { type: "file", mediaType: "audio/wav", data: { _tag: "Uint8Array", base64: base64(part.bytes) } }
  }
}

/** The request that a random one stands for. */
export const inputOf = (request: typeof Request.Type): LlmRequest.Input => {
  let count = 0
  const prompt = request.turns.flatMap((turn, turnAt): ReadonlyArray<LlmRequest.Message> => {
    const calls = turn.calls.map((call) => ({ ...call, id: `call_${count++}` }))
    const said: ReadonlyArray<Prompt.AssistantMessagePartEncoded> = [
      ...(turn.text === "" ? [] : [{ type: "text", text: `.${turn.text}` } as const]),
      ...calls.map(({ id, name, params }) => ({ type: "tool-call", id, name, params }) as const)
    ]
    return [
      ...(turn.system === undefined ? [] : [{ role: "system", content: turn.system } as const]),
      { role: "user", content: turn.user.map((part, at) => userPart(part, `${turnAt}-${at}`)) },
      ...(said.length === 0 ? [] : [{ role: "assistant", content: said } as const]),
      ...(calls.length === 0 ? [] : [{ role: "tool", content: calls.map(resultPart) } as const])
    ]
  })
  const { choice, effort, hasTools, isSingle, isStrict, stop } = request
  const tenths = (value: number | undefined) => (value === undefined ? undefined : value / 10)
  return {
    // What the assistant said last would be a beginning to go on from.
    prompt: [...prompt, { role: "user", content: `?${request.last}` }],
    ...(hasTools
      ? {
          tools: [
            { ...tool, ...(isStrict ? { strict: true } : {}) },
            { name: "now", parameters: schema, ...(isStrict ? { strict: true } : {}) }
          ],
          toolChoice: choice === "weather" ? { tool: choice } : choice
        }
      : {}),
    ...(request.isJson ? { responseFormat: { type: "json", name: "response", schema } } : {}),
    settings: {
      temperature: tenths(request.temperature),
      topP: tenths(request.topP),
      topK: request.topK,
      presencePenalty: tenths(request.presencePenalty),
      seed: request.seed,
      maxOutputTokens: request.maxOutputTokens,
      stop: stop.length === 0 ? undefined : stop,
      // Where no tool may be called, nothing is said of how many.
      parallelToolCalls: hasTools && isSingle && choice !== "none" ? false : undefined,
      reasoningEffort: effort
    }
  }
}

const resultPart = (call: typeof Call.Type & { readonly id: string }): Prompt.ToolResultPartEncoded => ({
  type: "tool-result",
  id: call.id,
  name: call.name,
  isFailure: call.isFailure,
  result: call.result,
  ...(call.withImage
    ? {
        modelOutput: [
          { type: "text", text: "see" },
          { type: "file", mediaType: "image/png", data: png }
        ]
      }
    : {})
})

// ---------------------------------------------------------------------------------------------------------------
// What the table leaves of a random request
// ---------------------------------------------------------------------------------------------------------------

const says = (contract: Contract, title: string): Fate =>
  fate(contract, samples.find((sample) => sample.title === title) as Sample).fate

const settingTitles: Readonly<Record<string, string>> = {
  temperature: "Temperature up to 1",
  topP: "Top p",
  topK: "Top k",
  presencePenalty: "Presence penalty",
  seed: "Seed",
  stop: "Stop sequences",
  parallelToolCalls: "One tool call at a time",
  reasoningEffort: "How hard to think",
  maxOutputTokens: "Output limit"
}

/** A plain request after the table was applied to it. */
export const project = (contract: Contract, request: Plain): Plain => {
  const isKept = (title: string) => says(contract, title) === "kept"
  const system = request.messages.filter((message) => message.role === "system")
  const others = request.messages.filter((message) => message.role !== "system")
  const messages = isKept("System messages within the conversation") ? request.messages : [...system, ...others]
  const projected: Plain = {
    ...request,
    messages: join(
      messages.map(({ parts, role }) => ({ role, parts: parts.flatMap((part) => projectPart(part, isKept)) }))
    ),
    tools:
      isKept("Strict tools") || request.toolChoice === undefined
        ? request.tools
        : request.tools.map(({ strict: _, ...one }) => one),
    settings: projectSettings(contract, request.settings, isKept)
  }
  return isKept("Tool choice: none") ? projected : projectTools(projected)
}

const projectSettings = (
  contract: Contract,
  settings: Plain["settings"],
  isKept: (title: string) => boolean
): Plain["settings"] => {
  const kept = Object.fromEntries(Object.entries(settings).filter(([key]) => isKept(settingTitles[key] ?? key)))
  const { reasoningEffort: effort, temperature: _, topP: __, topK: ___, ...others } = kept
  // Who thinks by the contract's own model takes no sampling settings, and knows no effort below low.
  return contract.thinker === undefined || effort === undefined
    ? kept
    : { ...others, reasoningEffort: effort === "minimal" ? "low" : effort }
}

/** Where no choice forbids a call, no tool is shown, but for those that the conversation speaks of. */
const projectTools = (request: Plain): Plain => {
  if (request.tools.length > 0 && request.toolChoice !== "none") return request
  const named = request.messages.flatMap(({ parts }) =>
    parts.flatMap((part) => (part["call"] === undefined && part["resultOf"] === undefined ? [] : [part["name"]]))
  )
  const mentioned = [...new Set(named)].map((name) => ({ name, parameters: { type: "object", properties: {} } }))
  const tools = named.length === 0 || request.tools.length === 0 ? mentioned : request.tools
  const { toolChoice: _, ...rest } = request
  return { ...rest, tools } as Plain
}

const projectPart = (part: Piece, isKept: (title: string) => boolean): ReadonlyArray<Piece> => {
  if (part["file"] === "image/*") return isKept("Images by address") ? [part] : []
  if (part["file"] === "audio/wav") return isKept("Sound") ? [part] : []
  if (part["file"] === "application/pdf") {
    const { name: _, ...nameless } = part
    return [isKept("A document's name") ? part : nameless]
  }
  const isBlank = (text: unknown) => typeof text === "string" && text.trim() === "" && !isKept("Blank texts")
  if (isBlank(part["text"])) return []
  if (part["resultOf"] === undefined) return [part]
  const pieces = part["result"]
  const kept = Array.isArray(pieces) && !isKept("Images in tool results") ? "see" : pieces
  const isText = typeof kept === "string" || Array.isArray(kept) || isKept("Tool results that are JSON")
  return [
    {
      ...part,
      isFailure: isKept("Failed tool results") && part["isFailure"] === true,
      result: isBlank(kept) ? "" : isText ? kept : JSON.stringify(kept)
    }
  ]
}
