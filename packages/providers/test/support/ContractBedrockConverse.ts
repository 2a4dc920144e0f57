/** Bedrock Converse, held to the contract. The wire is written after the API reference. */
import * as BedrockConverse from "@echelon/providers/BedrockConverse"
import * as BedrockConverseLift from "@echelon/providers/BedrockConverseLift"
import { exception, joined, message } from "../BedrockConverseSupport.ts"
import { type Contract, no, type Reply } from "./ProtocolContract.ts"

const tokens = { inputTokens: 3, outputTokens: 2, totalTokens: 5 }

interface Block {
  /** As it stands in a buffered reply. */
  readonly whole: object
  readonly start?: object
  readonly deltas: ReadonlyArray<object>
}

interface Options {
  readonly reason?: string
  readonly usage?: object
  readonly more?: object
}

/** A reply of blocks, and the stream of their pieces: each event is its type and its body. */
const reply = (
  blocks: ReadonlyArray<Block>,
  { more = {}, reason = "end_turn", usage = tokens }: Options = {}
): Reply => ({
  buffered: {
    output: { message: { role: "assistant", content: blocks.map((block) => block.whole) } },
    stopReason: reason,
    usage,
    ...more
  },
  streamed: [
    ["messageStart", { role: "assistant", p: "abc" }],
    ...blocks.flatMap(({ deltas, start }, contentBlockIndex) => [
      ...(start === undefined ? [] : [["contentBlockStart", { contentBlockIndex, start }]]),
      ...deltas.map((delta) => ["contentBlockDelta", { contentBlockIndex, delta }]),
      ["contentBlockStop", { contentBlockIndex }]
    ]),
    ["messageStop", { stopReason: reason }],
    ["metadata", { usage, ...more }]
  ]
})

const text = (value: string): Block => ({
  whole: { text: value },
  deltas: [{ text: value.slice(0, 2) }, { text: value.slice(2) }]
})

const thinking: Block = {
  whole: { reasoningContent: { reasoningText: { text: "Let me think.", signature: "c2ln" } } },
  deltas: [
    { reasoningContent: { text: "Let me " } },
    { reasoningContent: { text: "think." } },
    { reasoningContent: { signature: "c2ln" } }
  ]
}

const redacted = { reasoningContent: { redactedContent: "ZW5j" } }

const use = (toolUseId: string, city: string): Block => {
  const json = JSON.stringify({ city })
  return {
    whole: { toolUse: { toolUseId, name: "weather", input: { city } } },
    start: { toolUse: { toolUseId, name: "weather" } },
    deltas: [{ toolUse: { input: json.slice(0, 5) } }, { toolUse: { input: json.slice(5) } }]
  }
}

const calls = reply([use("c1", "Oslo"), use("c2", "Turin")], { reason: "tool_use" })
const said = (value: string, options: Options = {}): Reply => reply([text(value)], options)
const usage = said("Done.", {
  usage: { inputTokens: 30, cacheReadInputTokens: 60, cacheWriteInputTokens: 10, outputTokens: 20, totalTokens: 120 }
})
const citation = { title: "A page", location: { web: { url: "https://a.test/page", domain: "a.test" } } }
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
const toolResult = (id: string, value: string, more: object = {}) => ({
  toolResult: { toolUseId: id, content: [{ text: value }], ...more }
})
const spec = { toolSpec: { name: "weather", description: "Tells it", inputSchema: { json: schema } } }
const cachePoint = { cachePoint: { type: "default" } }
const raw = {
  messages: [{ role: "user", content: [{ neverHeard: 1 }], neverHeard: 2 }],
  toolConfig: { tools: [{ neverHeard: {} }] },
  inferenceConfig: { temperature: 0, neverHeard: 3 },
  neverHeard: { of: null }
}

export const contract: Contract = {
  title: "Bedrock Converse",
  kind: "bedrock",
  // Anthropic's models are told more than others.
  options: { model: "anthropic.claude-3-haiku-20240307-v1:0" },
  thinker: "anthropic.claude-sonnet-5",
  protocol: BedrockConverse.protocol,
  frames: {
    framing: "eventstream",
    bytesOf: (events) =>
      joined(
        ...events.map((event) => {
          const [type, body] = event as readonly [string, unknown]
          return type.endsWith("Exception") ? exception(type, body) : message(type, body)
        })
      )
  },
  lift: BedrockConverseLift.lift,
  replies: {
    text: said("Grüße, 世界 👋"),
    reasoning: reply([thinking, text("Done.")]),
    signature: {
      ...reply([thinking, text("Done.")]),
      next: [{ role: "assistant", content: [thinking.whole, { text: "Done." }] }]
    },
    encrypted: {
      ...reply([{ whole: redacted, deltas: [redacted] }, text("Done.")]),
      next: [{ role: "assistant", content: [redacted, { text: "Done." }] }]
    },
    calls,
    deltas: { ...calls, buffered: no("a buffered reply comes in one piece") },
    logprobs: no("the protocol has none"),
    refusal: {
      ...said("I cannot help.", { reason: "guardrail_intervened" }),
      carried: [{ stopReason: "guardrail_intervened" }]
    },
    citations: {
      ...reply([
        {
          whole: { citationsContent: { content: [{ text: "Done." }], citations: [citation] } },
          deltas: [{ citation }, { text: "Done." }]
        }
      ]),
      carried: [citation]
    },
    usage,
    cacheRead: usage,
    cacheWrite: usage,
    reasoningTokens: no("they are not reported apart from the output"),
    tierReply: {
      ...said("Done.", { more: { serviceTier: { type: "priority" } } }),
      carried: [{ serviceTier: { type: "priority" } }]
    },
    unknownReason: { ...said("Done.", { reason: "bored" }), carried: [{ stopReason: "bored" }] },
    unknownField: { ...said("Done.", { more: { neverHeard: { of: [1] } } }), carried: [{ neverHeard: { of: [1] } }] },
    unknownPart: {
      ...reply([{ whole: { hologram: { of: 1 } }, start: { hologram: { of: 1 } }, deltas: [] }, text("Done.")]),
      carried: [{ hologram: { of: 1 } }]
    },
    unknownEvent: {
      buffered: no("a buffered reply has no events"),
      streamed: [["weatherReport", { of: [1] }], ...(said("Done.").streamed as ReadonlyArray<unknown>)],
      carried: [{ of: [1] }]
    },
    failure: {
      buffered: no("a failure has a status of its own"),
      streamed: [
        ["messageStart", { role: "assistant" }],
        ["serviceUnavailableException", { message: "busy" }]
      ]
    },
    cutOff: {
      buffered: no("a buffered reply that breaks off is no JSON"),
      streamed: [["contentBlockDelta", { contentBlockIndex: 0, delta: { text: "Don" } }]]
    }
  },
  reasons: {
    reply: (reason) => said("Done.", { reason }),
    meaning: {
      end_turn: "stop",
      stop_sequence: "stop",
      max_tokens: "length",
      model_context_window_exceeded: "length",
      tool_use: "tool-calls",
      guardrail_intervened: "content-filter",
      content_filtered: "content-filter"
    }
  },
  requests: {
    effort: {
      wire: { additionalModelRequestFields: { thinking: { type: "adaptive" }, output_config: { effort: "low" } } }
    },
    system: { wire: { system: [{ text: "Be brief" }], messages: [{ role: "user" }] } },
    images: {
      wire: {
        messages: [{ content: [{ text: "Look" }, { image: { format: "png", source: { bytes: "iVBORw0KGgo=" } } }] }]
      }
    },
    imageLinks: no("the protocol takes an image's data or its place in S3, no other address", "messages.file (URL)"),
    files: {
      wire: {
        messages: [
          { content: [{ text: "Look" }, { document: { format: "pdf", name: "a", source: { bytes: "JVBERi0xLjc=" } } }] }
        ]
      }
    },
    fileLinks: no("the protocol takes a file's data or its place in S3, no other address", "messages.file (URL)"),
    tools: { wire: { toolConfig: { tools: [spec] } } },
    oneCall: {
      wire: { additionalModelRequestFields: { tool_choice: { type: "auto", disable_parallel_tool_use: true } } }
    },
    results: {
      wire: {
        messages: [
          { role: "user" },
          { role: "assistant", content: [use("Oslo", "Oslo").whole, use("Turin", "Turin").whole] },
          { role: "user", content: [toolResult("Oslo", "sunny"), toolResult("Turin", "rain")] }
        ]
      }
    },
    failedResults: {
      wire: {
        messages: [
          { role: "user" },
          { role: "assistant" },
          { content: [toolResult("Oslo", "no station", { status: "error" })] }
        ]
      }
    },
    resultImages: {
      wire: {
        messages: [
          { role: "user" },
          { role: "assistant" },
          {
            content: [
              {
                toolResult: {
                  content: [{ text: "sunny" }, { image: { format: "png", source: { bytes: "iVBORw0KGgo=" } } }]
                }
              }
            ]
          }
        ]
      }
    },
    format: {
      wire: {
        outputConfig: {
          textFormat: {
            type: "json_schema",
            structure: {
              jsonSchema: { name: "place", schema: JSON.stringify({ ...schema, additionalProperties: false }) }
            }
          }
        }
      }
    },
    stop: { wire: { inferenceConfig: { stopSequences: ["5", "END"] } } },
    seed: no("the protocol has no seed", "settings.seed"),
    askLogprobs: no("the protocol has none"),
    marks: {
      wire: {
        system: [{ text: "A long text" }, cachePoint],
        messages: [{ content: [{ text: "A longer one" }, cachePoint] }]
      }
    },
    tier: { own: { serviceTier: { type: "flex" } }, wire: { serviceTier: { type: "flex" } } }
  },
  choices: {
    auto: { toolConfig: { toolChoice: { auto: {} } } },
    // No choice forbids to call a tool: it is not shown.
    none: { toolConfig: undefined },
    required: { toolConfig: { toolChoice: { any: {} } } },
    named: { toolConfig: { toolChoice: { tool: { name: "weather" } } } }
  },
  mark: { cachePoint: {} },
  raw: { body: raw, sent: raw },
  wrong: {
    body: { messages: [{ role: "user", content: [{ image: { format: "png", source: {} } }] }] },
    path: "messages[0].content[0].image.source.bytes"
  }
}
