/**
 * What every protocol is held to, feature by feature, buffered and streamed.
 *
 * The contract says what is asked and what must be read; a protocol adds the wire, written by hand after its
 * documentation, or why there is none. A cell is a function that throws when the protocol does not keep it, so that
 * tests run the cells one by one and the page in docs is made of the same ones.
 */
import assert from "node:assert/strict"
import { LlmError, LlmReply, type LlmRequest, type Part } from "@echelon/core"
import type { Json, Lift, Protocol } from "@echelon/providers"
import * as Framing from "@echelon/providers/Framing"
import type { Prompt } from "effect/ai"
import { cut, optionsOf, requestOf, seeded, sse } from "../Support.ts"

export type Mode = "buffered" | "streamed"

export const modes: ReadonlyArray<Mode> = ["buffered", "streamed"]

/** Why a protocol cannot do it, and, of a request, under which name the route lists that it was left out. */
export interface No {
  readonly no: string
  readonly dropped?: string | undefined
}

export const no = (because: string, dropped?: string): No => ({ no: because, dropped })

/** The body of a buffered reply, and the events of a streamed one. */
export interface Reply {
  readonly buffered: object | No
  readonly streamed: ReadonlyArray<unknown> | No
  /** What must be found in some part's metadata. */
  readonly carried?: ReadonlyArray<unknown>
  /** What the conversation that goes on from this reply must say of it. */
  readonly next?: ReadonlyArray<unknown>
}

/** What the body of a lowered request must hold. */
export interface Wire {
  readonly wire: object
  /** The caller's own options for the kind. */
  readonly own?: Readonly<Record<string, unknown>>
}

export interface Contract {
  /** As the table names it. */
  readonly title: string
  readonly kind: string
  readonly protocol: Protocol.Protocol
  readonly options?: Partial<Protocol.Options>
  /** A model that is told how hard to think, where others are not. */
  readonly thinker?: string
  /** How its streams are framed. @default server-sent events */
  readonly frames?: {
    readonly framing: Framing.Framing
    readonly bytesOf: (events: ReadonlyArray<unknown>) => Uint8Array
  }
  readonly lift: ((body: unknown, options?: Lift.Options) => Lift.Lifted) | No
  /** Of everything that is not named below. */
  readonly otherwise?: No
  readonly replies: Partial<Record<ReplyFeature, Reply | No>>
  /** A reply that ends for a reason, and what the reasons mean. */
  readonly reasons: { readonly reply: (reason: string) => Reply; readonly meaning: Record<string, string> } | No
  readonly requests: Partial<Record<RequestFeature, Wire | No>>
  /** What each choice is on the wire. */
  readonly choices: Record<"auto" | "none" | "required" | "named", object> | No
  /** How a carrier is marked as the end of a prefix worth caching. */
  readonly mark?: Json.JsonObject
  /** A body with fields that nobody knows, at every depth. */
  readonly raw: { readonly body: Record<string, unknown>; readonly sent: object } | No
  /** A body that is wrong at a place. */
  readonly wrong: { readonly body: unknown; readonly path: string } | No
}

// ---------------------------------------------------------------------------------------------------------------
// Reading
// ---------------------------------------------------------------------------------------------------------------

const optionsFor = (contract: Contract, input?: LlmRequest.Input): Protocol.Options => {
  const { kind, options, thinker } = contract
  const isThinker = thinker !== undefined && input?.settings?.reasoningEffort !== undefined
  return optionsOf(kind, isThinker ? { ...options, model: thinker } : options)
}

/** Reads a stream cut at random places, which must not tell. */
const readStream = (contract: Contract, events: ReadonlyArray<unknown>): ReadonlyArray<Part.Part> => {
  const { bytesOf, framing } = contract.frames ?? {
    framing: "sse",
    bytesOf: (all) => new TextEncoder().encode(sse(...all))
  }
  const bytes = bytesOf(events)
  const read = (chunks: ReadonlyArray<Uint8Array>): ReadonlyArray<Part.Part> => {
    const reader = contract.protocol.reader(optionsFor(contract))
    const frames = Framing.reader(framing, 1 << 20)
    return [
      ...chunks.flatMap((chunk) => frames.push(chunk).events.flatMap(reader.push)),
      ...frames.end().events.flatMap(reader.push),
      ...reader.end()
    ]
  }
  const whole = read([bytes])
  for (let seed = 1; seed <= 3; seed++) assert.deepEqual(read(cut(bytes, seeded(seed))), whole)
  return whole
}

const readReply = (contract: Contract, reply: Reply, mode: Mode): ReadonlyArray<Part.Part> | No => {
  const wire = mode === "buffered" ? reply.buffered : reply.streamed
  if (isNo(wire)) return wire
  return mode === "buffered"
    ? // A body as JSON.parse gives it.
      contract.protocol.parse(JSON.parse(JSON.stringify(wire)), optionsFor(contract))
    : readStream(contract, wire as ReadonlyArray<unknown>)
}

const isNo = (value: object | undefined): value is No => value !== undefined && "no" in value

interface Lowered {
  readonly body: Json.JsonObject
  readonly dropped: ReadonlyArray<string>
}

export const lower = (contract: Contract, input: LlmRequest.Input, stream: boolean): Lowered => {
  const dropped: Array<string> = []
  const body = contract.protocol.lower(requestOf(input, stream), optionsFor(contract, input), (field) =>
    dropped.push(field)
  )
  return { body: JSON.parse(JSON.stringify(body)), dropped }
}

/** Holds a value to a pattern: objects may hold more, anything else is equal. */
export const matches = (value: unknown, pattern: unknown, path = "$"): void => {
  if (Array.isArray(pattern) && Array.isArray(value)) {
    assert.equal(value.length, pattern.length, `${path}: ${JSON.stringify(value)}`)
    for (const [at, one] of pattern.entries()) matches(value[at], one, `${path}[${at}]`)
  } else if (isRecord(pattern) && isRecord(value))
    for (const [key, one] of Object.entries(pattern)) matches(value[key], one, `${path}.${key}`)
  else assert.deepEqual(value, pattern, path)
}

const isRecord = (u: unknown): u is Record<string, unknown> => typeof u === "object" && u !== null && !Array.isArray(u)

const holds = (value: unknown, pattern: unknown): boolean => {
  try {
    matches(value, pattern)
    return true
  } catch {
    return typeof value === "object" && value !== null && Object.values(value).some((one) => holds(one, pattern))
  }
}

const carries = (parts: ReadonlyArray<Part.Part>, carried: ReadonlyArray<unknown>): void => {
  for (const pattern of carried)
    assert.ok(
      parts.some((part) => holds(part.metadata, pattern)),
      `nothing carries ${JSON.stringify(pattern)}`
    )
}

/** The assistant message that a reply becomes in the next turn. */
export const assistantOf = (parts: ReadonlyArray<Part.Part>): LlmRequest.Message => ({
  role: "assistant",
  content: LlmReply.fold(parts).flatMap((part): ReadonlyArray<Prompt.AssistantMessagePartEncoded> => {
    const options = part.metadata === undefined ? {} : { options: part.metadata }
    if (part.type === "text" || part.type === "reasoning") return [{ type: part.type, text: part.text, ...options }]
    return part.type === "tool-call"
      ? [{ type: part.type, id: part.id, name: part.name, params: part.params, ...options }]
      : []
  })
})

const conversationOf = (body: Json.JsonObject): ReadonlyArray<unknown> =>
  (body["messages"] ?? body["input"] ?? body["contents"]) as ReadonlyArray<unknown>

const finishOf = (parts: ReadonlyArray<Part.Part>): Part.Finish => {
  const last = parts.at(-1)
  if (last?.type !== "finish") throw new Error(`no finish but ${JSON.stringify(last)}`)
  assert.equal(parts.filter((part) => part.type === "finish").length, 1)
  return last
}

// ---------------------------------------------------------------------------------------------------------------
// What a reply must say
// ---------------------------------------------------------------------------------------------------------------

const png = "iVBORw0KGgo="
const pdf = "JVBERi0xLjc="

type ReplyCheck = (answer: LlmReply.Answer, parts: ReadonlyArray<Part.Part>) => void

const replyFeatures = {
  text: [
    "Text",
    (answer, parts) => {
      assert.equal(answer.text, "Grüße, 世界 👋")
      assert.equal(finishOf(parts).reason, "stop")
      assert.deepEqual(
        parts.map((part) => part.type).filter((type) => type.startsWith("text-") && type !== "text-delta"),
        ["text-start", "text-end"]
      )
    }
  ],
  reasoning: [
    "Reasoning",
    (answer) => {
      assert.equal(answer.reasoning, "Let me think.")
      assert.equal(answer.text, "Done.")
      assert.deepEqual(
        answer.content.flatMap(({ type }) => (type === "reasoning" || type === "text" ? [type] : [])),
        ["reasoning", "text"]
      )
    }
  ],
  signature: [
    "Reasoning's signature, given back in the next turn",
    (answer) => {
      assert.equal(answer.reasoning, "Let me think.")
    }
  ],
  encrypted: [
    "Reasoning that only the provider can read, given back in the next turn",
    (answer) => {
      assert.equal(answer.text, "Done.")
      assert.ok(answer.content.some((part) => part.type === "reasoning"))
    }
  ],
  calls: [
    "Several tool calls at a time",
    (answer, parts) => {
      assert.deepEqual(
        answer.toolCalls.map(({ name, params }) => [name, params]),
        [
          ["weather", { city: "Oslo" }],
          ["weather", { city: "Turin" }]
        ]
      )
      assert.equal(new Set(answer.toolCalls.map((call) => call.id)).size, 2)
      assert.equal(answer.finishReason, "tool-calls")
      for (const call of answer.toolCalls) {
        const types = parts.flatMap((part) => ("id" in part && part.id === call.id ? [part.type] : []))
        assert.equal(types[0], "tool-params-start")
        assert.deepEqual(types.slice(-2), ["tool-params-end", "tool-call"])
      }
    }
  ],
  deltas: [
    "A call's arguments piece by piece",
    (answer, parts) => {
      const [call] = answer.toolCalls
      const deltas = parts.flatMap((part) =>
        part.type === "tool-params-delta" && part.id === call?.id ? [part.delta] : []
      )
      assert.ok(deltas.length > 1, `${deltas.length} pieces`)
      assert.deepEqual(JSON.parse(deltas.join("")), call?.params)
      assert.deepEqual(call?.params, { city: "Oslo" })
    }
  ],
  logprobs: [
    "Log probabilities in the reply",
    (answer) => {
      assert.equal(answer.text, "Yes")
    }
  ],
  refusal: [
    "Refusals",
    (answer) => {
      assert.equal(answer.text, "I cannot help.")
      assert.equal(answer.finishReason, "content-filter")
    }
  ],
  citations: [
    "Citations",
    (answer) => {
      const sources = answer.content.filter((part) => part.type === "source")
      assert.deepEqual(
        sources.map((part) => (part.sourceType === "url" ? [part.url, part.title] : [])),
        [["https://a.test/page", "A page"]]
      )
    }
  ],
  usage: [
    "Usage",
    ({ usage }) => {
      assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.source], [100, 20, "reported"])
    }
  ],
  cacheRead: [
    "Tokens read from a cache",
    ({ usage }) => {
      assert.deepEqual([usage.inputTokens, usage.cacheReadTokens], [100, 60])
    }
  ],
  cacheWrite: [
    "Tokens written to a cache",
    ({ usage }) => {
      assert.deepEqual([usage.inputTokens, usage.cacheWriteTokens], [100, 10])
    }
  ],
  reasoningTokens: [
    "Tokens of reasoning",
    ({ usage }) => {
      assert.deepEqual([usage.outputTokens, usage.reasoningTokens], [20, 8])
    }
  ],
  tierReply: ["Service tier in the reply", () => {}],
  unknownReason: [
    "A finish reason that nobody knows",
    (answer) => {
      assert.deepEqual([answer.text, answer.finishReason], ["Done.", "other"])
    }
  ],
  unknownField: [
    "Fields that nobody knows",
    (answer) => {
      assert.deepEqual([answer.text, answer.finishReason], ["Done.", "stop"])
    }
  ],
  unknownPart: [
    "A kind of content that nobody knows",
    (answer) => {
      assert.deepEqual([answer.text, answer.finishReason], ["Done.", "stop"])
    }
  ],
  unknownEvent: [
    "An event that nobody knows",
    (answer) => {
      assert.deepEqual([answer.text, answer.finishReason], ["Done.", "stop"])
    }
  ],
  failure: [
    "A failure inside a reply of status 200",
    (_, parts) => {
      const last = parts.at(-1)
      assert.equal(last?.type, "error")
      if (last?.type === "error")
        assert.equal(LlmError.isLlmError(last.error) ? last.error.reason._tag : "none", "Overloaded")
    }
  ],
  cutOff: [
    "A stream that breaks off is never a success",
    (answer, parts) => {
      assert.equal(answer.text, "Don")
      assert.ok(!parts.some((part) => part.type === "finish"))
    }
  ]
} satisfies Record<string, readonly [title: string, check: ReplyCheck]>

export type ReplyFeature = keyof typeof replyFeatures

// ---------------------------------------------------------------------------------------------------------------
// What a request must say
// ---------------------------------------------------------------------------------------------------------------

const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }

const turn = (results: ReadonlyArray<Prompt.ToolResultPartEncoded>): LlmRequest.Input => ({
  prompt: [
    { role: "user", content: "Weather?" },
    {
      role: "assistant",
      content: results.map(({ id, name }) => ({ type: "tool-call", id, name, params: { city: id } }))
    },
    { role: "tool", content: results }
  ]
})

const tools = [{ name: "weather", description: "Tells it", parameters: schema }]

const result = (id: string, more: Partial<Prompt.ToolResultPartEncoded>): Prompt.ToolResultPartEncoded => ({
  type: "tool-result",
  id,
  name: "weather",
  isFailure: false,
  result: "sunny",
  ...more
})

const look = (...files: ReadonlyArray<Prompt.FilePartEncoded>): LlmRequest.Input => ({
  prompt: [{ role: "user", content: [{ type: "text", text: "Look" }, ...files] }]
})

const linked = (mediaType: string, href: string): Prompt.FilePartEncoded => ({
  type: "file",
  mediaType,
  data: { _tag: "URL", href }
})

const requestFeatures = {
  system: [
    "System messages",
    () => ({
      prompt: [
        { role: "system", content: "Be brief" },
        { role: "user", content: "Hi" }
      ]
    })
  ],
  images: ["Images in, as data", () => look({ type: "file", mediaType: "image/png", data: png })],
  imageLinks: ["Images in, by address", () => look(linked("image/png", "https://a.test/i.png"))],
  files: [
    "Files in, as data",
    () => look({ type: "file", mediaType: "application/pdf", data: pdf, fileName: "a.pdf" })
  ],
  fileLinks: ["Files in, by address", () => look(linked("application/pdf", "https://a.test/d.pdf"))],
  tools: ["Tools", () => ({ prompt: "Weather?", tools })],
  results: ["Tool results", () => turn([result("Oslo", {}), result("Turin", { result: "rain" })])],
  failedResults: [
    "Failed tool results marked",
    () => turn([result("Oslo", { isFailure: true, result: "no station" })])
  ],
  resultImages: [
    "Images in tool results",
    () =>
      turn([
        result("Oslo", {
          modelOutput: [
            { type: "text", text: "sunny" },
            { type: "file", mediaType: "image/png", data: png }
          ]
        })
      ])
  ],
  oneCall: ["One tool call at a time", () => ({ prompt: "Weather?", tools, settings: { parallelToolCalls: false } })],
  format: [
    "Structured output",
    () => ({ prompt: "Where?", responseFormat: { type: "json", name: "place", schema, strict: true } })
  ],
  effort: ["How hard to think", () => ({ prompt: "Why?", settings: { reasoningEffort: "low" } })],
  stop: ["Stop sequences", () => ({ prompt: "Count", settings: { stop: ["5", "END"] } })],
  seed: ["Seed", () => ({ prompt: "Dice", settings: { seed: 7 } })],
  askLogprobs: ["Log probabilities asked for", () => ({ prompt: "Yes?" })],
  marks: [
    "Prompt caching marks",
    ({ kind, mark = {} }) => ({
      prompt: [
        { role: "system", content: "A long text", options: { [kind]: mark } },
        { role: "user", content: [{ type: "text", text: "A longer one", options: { [kind]: mark } }] }
      ]
    })
  ],
  tier: ["Service tier asked for", () => ({ prompt: "Hi" })]
} satisfies Record<string, readonly [title: string, input: (contract: Contract) => LlmRequest.Input]>

export type RequestFeature = keyof typeof requestFeatures

// ---------------------------------------------------------------------------------------------------------------
// Cells
// ---------------------------------------------------------------------------------------------------------------

/** One feature of one protocol in one mode: what proves it, or why there is nothing to prove. */
export interface Cell {
  readonly feature: string
  readonly mode: Mode
  readonly because: string | undefined
  /** Throws when the protocol does not keep it; of a `no`, when the route does not list what was left out. */
  readonly prove: () => void
}

const cell = (feature: string, mode: Mode, prove: () => void): Cell => ({ feature, mode, because: undefined, prove })

const nothing = (feature: string, mode: Mode, because: No, prove: () => void = () => {}): Cell => ({
  feature,
  mode,
  because: because.no,
  prove
})

const absent = (contract: Contract, feature: string): No => {
  if (contract.otherwise === undefined) throw new Error(`${contract.title} says nothing of: ${feature}`)
  return contract.otherwise
}

const replyCell = (contract: Contract, feature: ReplyFeature, mode: Mode): Cell => {
  const [title, check] = replyFeatures[feature]
  const reply = contract.replies[feature] ?? absent(contract, title)
  if (isNo(reply)) return nothing(title, mode, reply)
  const { buffered, carried = [], next, streamed } = reply
  const wire = mode === "buffered" ? buffered : streamed
  if (isNo(wire)) return nothing(title, mode, wire)
  return cell(title, mode, () => {
    const parts = readReply(contract, reply, mode) as ReadonlyArray<Part.Part>
    check(LlmReply.toAnswer(parts, []), parts)
    carries(parts, carried)
    if (next === undefined) return
    const prompt: ReadonlyArray<LlmRequest.Message> = [
      { role: "user", content: "Hi" },
      assistantOf(parts),
      { role: "user", content: "And?" }
    ]
    const { body } = lower(contract, { prompt }, mode === "streamed")
    matches(conversationOf(body).slice(1, -1), next)
  })
}

const requestCell = (contract: Contract, feature: RequestFeature, mode: Mode): Cell => {
  const [title, input] = requestFeatures[feature]
  const wire = contract.requests[feature] ?? absent(contract, title)
  const stream = mode === "streamed"
  if (isNo(wire))
    return nothing(title, mode, wire, () => {
      if (wire.dropped !== undefined)
        assert.ok(lower(contract, input(contract), stream).dropped.includes(wire.dropped), wire.dropped)
    })
  return cell(title, mode, () => {
    const own = wire.own === undefined ? {} : { providerOptions: { [contract.kind]: wire.own } }
    matches(lower(contract, { ...input(contract), ...own }, stream).body, wire.wire)
  })
}

const reasonsCell = (contract: Contract, mode: Mode): Cell => {
  const title = "Finish reasons"
  const { reasons } = contract
  if ("no" in reasons) return nothing(title, mode, reasons)
  return cell(title, mode, () => {
    const found = Object.keys(reasons.meaning).map((reason) => {
      const parts = readReply(contract, reasons.reply(reason), mode)
      return [reason, isNo(parts) ? parts : finishOf(parts).reason]
    })
    assert.deepEqual(Object.fromEntries(found), reasons.meaning)
  })
}

const choiceCell = (contract: Contract, mode: Mode): Cell => {
  const title = "Tool choice"
  const { choices } = contract
  if ("no" in choices) return nothing(title, mode, choices)
  return cell(title, mode, () => {
    for (const [choice, wire] of Object.entries(choices)) {
      const toolChoice = choice === "named" ? { tool: "weather" } : (choice as "auto" | "none" | "required")
      matches(lower(contract, { prompt: "Weather?", tools, toolChoice }, mode === "streamed").body, wire)
    }
  })
}

const rawCell = (contract: Contract, mode: Mode): Cell => {
  const title = "A body of its own protocol goes out as it came"
  const { raw } = contract
  if ("no" in raw) return nothing(title, mode, raw)
  return cell(title, mode, () => {
    const input = {
      prompt: "ignored",
      raw: { protocol: contract.protocol.name, body: raw.body as Record<string, unknown> }
    }
    const { body, dropped } = lower(contract, input, mode === "streamed")
    // What a stream is asked by is routing's.
    const { stream: _, stream_options: __, ...sent } = body
    assert.deepEqual(sent, raw.sent)
    assert.deepEqual(dropped, [])
  })
}

const liftCell = (contract: Contract, mode: Mode): Cell => {
  const title = "A request read back from the wire"
  const { lift, wrong } = contract
  if (typeof lift !== "function") return nothing(title, mode, lift)
  return cell(title, mode, () => {
    const { body } = lower(contract, { prompt: "Hi", settings: { temperature: 0.5 } }, mode === "streamed")
    const lifted = lift(body)
    assert.deepEqual(lifted.problems, [])
    assert.equal(lifted.input.settings?.temperature, 0.5)
    if ("no" in wrong) return
    assert.deepEqual(
      lift(wrong.body).problems.map((problem) => problem.path),
      [wrong.path]
    )
  })
}

/** Every cell of a protocol, in the order of the table. */
export const cells = (contract: Contract): ReadonlyArray<Cell> =>
  modes.flatMap((mode) => {
    const replies = (...features: ReadonlyArray<ReplyFeature>) =>
      features.map((feature) => replyCell(contract, feature, mode))
    const requests = (...features: ReadonlyArray<RequestFeature>) =>
      features.map((feature) => requestCell(contract, feature, mode))
    return [
      ...replies("text", "reasoning", "signature", "encrypted"),
      ...requests("effort", "system", "images", "imageLinks", "files", "fileLinks", "tools"),
      choiceCell(contract, mode),
      ...requests("oneCall"),
      ...replies("calls", "deltas"),
      ...requests("results", "failedResults", "resultImages", "format", "stop", "seed", "askLogprobs"),
      ...replies("logprobs", "refusal", "citations"),
      ...requests("marks"),
      ...replies("usage", "cacheRead", "cacheWrite", "reasoningTokens"),
      ...requests("tier"),
      ...replies("tierReply"),
      reasonsCell(contract, mode),
      ...replies("unknownReason", "unknownField", "unknownPart", "unknownEvent", "failure", "cutOff"),
      rawCell(contract, mode),
      liftCell(contract, mode)
    ]
  })

/** Features of a contract that stand in no cell; there must be none. */
export const forgotten = (contract: Contract): ReadonlyArray<string> => {
  const shown = new Set(cells(contract).map((one) => one.feature))
  const all = [...Object.values(replyFeatures), ...Object.values(requestFeatures)].map(([title]) => title)
  return all.filter((title) => !shown.has(title))
}

export type Table = Readonly<Record<string, Readonly<Record<string, Readonly<Record<Mode, string>>>>>>

/** What a contract's cells show. A cell that fails shows its error, which no committed table holds. */
export const show = (contract: Contract): Table[string] => {
  const table: Record<string, Record<Mode, string>> = {}
  for (const { because, feature, mode, prove } of cells(contract)) {
    let shown = because === undefined ? "yes" : `no, because ${because}`
    try {
      prove()
    } catch (error) {
      shown = `FAILED: ${error instanceof Error ? error.message : String(error)}`
    }
    table[feature] = { buffered: "", streamed: "", ...table[feature], [mode]: shown }
  }
  return table
}
