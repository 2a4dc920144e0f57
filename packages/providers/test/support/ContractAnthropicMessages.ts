/** Anthropic Messages, held to the contract. The wire is written after the API reference. */
import { AnthropicMessages } from "@echelon/providers"
import * as AnthropicMessagesLift from "@echelon/providers/AnthropicMessagesLift"
import { type Contract, no, type Reply } from "./ProtocolContract.ts"

const head = { id: "m", type: "message", role: "assistant", model: "claude" }
const tokens = { input_tokens: 3, output_tokens: 2 }

interface Block {
  /** As it stands in a buffered reply. */
  readonly whole: object
  readonly start: object
  readonly deltas: ReadonlyArray<object>
}

interface Options {
  readonly reason?: string
  readonly usage?: object
  readonly more?: object
}

/** A reply of blocks, and the stream of their pieces. */
const reply = (
  blocks: ReadonlyArray<Block>,
  { more = {}, reason = "end_turn", usage = tokens }: Options = {}
): Reply => ({
  buffered: { ...head, content: blocks.map((block) => block.whole), stop_reason: reason, usage, ...more },
  streamed: [
    { type: "message_start", message: { ...head, content: [], stop_reason: null, usage, ...more } },
    ...blocks.flatMap(({ deltas, start }, index) => [
      { type: "content_block_start", index, content_block: start },
      { type: "ping" },
      ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
      { type: "content_block_stop", index }
    ]),
    { type: "message_delta", delta: { stop_reason: reason }, usage },
    { type: "message_stop" }
  ]
})

const text = (value: string, more: object = {}): Block => ({
  whole: { type: "text", text: value, ...more },
  start: { type: "text", text: "", ...more },
  deltas: [
    { type: "text_delta", text: value.slice(0, 2) },
    { type: "text_delta", text: value.slice(2) }
  ]
})

const thinking: Block = {
  whole: { type: "thinking", thinking: "Let me think.", signature: "c2ln" },
  start: { type: "thinking", thinking: "", signature: "" },
  deltas: [
    { type: "thinking_delta", thinking: "Let me " },
    { type: "thinking_delta", thinking: "think." },
    { type: "signature_delta", signature: "c2ln" }
  ]
}

const redacted = { type: "redacted_thinking", data: "ZW5j" }

const use = (id: string, city: string): Block => {
  const json = JSON.stringify({ city })
  return {
    whole: { type: "tool_use", id, name: "weather", input: { city } },
    start: { type: "tool_use", id, name: "weather", input: {} },
    deltas: [
      { type: "input_json_delta", partial_json: json.slice(0, 5) },
      { type: "input_json_delta", partial_json: json.slice(5) }
    ]
  }
}

const calls = reply([use("c1", "Oslo"), use("c2", "Turin")], { reason: "tool_use" })
const said = (value: string, options: Options = {}): Reply => reply([text(value)], options)
const used = { input_tokens: 30, cache_read_input_tokens: 60, cache_creation_input_tokens: 10, output_tokens: 20 }
const detailed = { ...used, output_tokens_details: { thinking_tokens: 8 } }
const citation = { type: "web_search_result_location", url: "https://a.test/page", title: "A page", cited_text: "x" }
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
const png = { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" }
const control = { type: "ephemeral", ttl: "1h" }
const raw = {
  max_tokens: 9,
  system: [{ type: "text", text: "Be brief", never_heard: 1 }],
  messages: [{ role: "user", content: [{ type: "never_heard", of: 1 }], never_heard: 2 }],
  tools: [{ type: "never_heard_20990101", name: "x" }],
  never_heard: { of: null }
}

export const contract: Contract = {
  title: "Anthropic Messages",
  kind: "anthropic",
  thinker: "claude-sonnet-5",
  protocol: AnthropicMessages.protocol,
  lift: AnthropicMessagesLift.lift,
  replies: {
    text: said("Grüße, 世界 👋"),
    reasoning: reply([thinking, text("Done.")]),
    signature: {
      ...reply([thinking, text("Done.")]),
      next: [{ role: "assistant", content: [thinking.whole, { type: "text", text: "Done." }] }]
    },
    encrypted: {
      ...reply([{ whole: redacted, start: redacted, deltas: [] }, text("Done.")]),
      next: [{ role: "assistant", content: [redacted, { type: "text", text: "Done." }] }]
    },
    calls,
    deltas: { ...calls, buffered: no("a buffered reply comes in one piece") },
    logprobs: no("the protocol has none"),
    refusal: { ...said("I cannot help.", { reason: "refusal" }), carried: [{ stop_reason: "refusal" }] },
    citations: {
      ...reply([
        {
          ...text("Done.", { citations: [citation] }),
          start: { type: "text", text: "", citations: [] },
          deltas: [
            { type: "text_delta", text: "Done." },
            { type: "citations_delta", citation }
          ]
        }
      ]),
      carried: [citation]
    },
    usage: said("Done.", { usage: used }),
    cacheRead: said("Done.", { usage: used }),
    cacheWrite: said("Done.", { usage: used }),
    reasoningTokens: said("Done.", { usage: detailed }),
    tierReply: {
      ...said("Done.", { usage: { ...tokens, service_tier: "priority" } }),
      carried: [{ service_tier: "priority" }]
    },
    unknownReason: { ...said("Done.", { reason: "bored" }), carried: [{ stop_reason: "bored" }] },
    unknownField: {
      ...reply([text("Done.", { strange: 1 })], { more: { never_heard: { of: [1] } } }),
      carried: [{ strange: 1 }, { never_heard: { of: [1] } }]
    },
    unknownPart: {
      ...reply([
        {
          whole: { type: "hologram", of: 1 },
          start: { type: "hologram", of: 1 },
          deltas: [{ type: "hologram_delta", light: 1 }]
        },
        text("Done.")
      ]),
      carried: [{ type: "hologram", of: 1 }]
    },
    unknownEvent: {
      buffered: no("a buffered reply has no events"),
      streamed: [{ type: "weather_report", of: [1] }, ...(said("Done.").streamed as ReadonlyArray<unknown>)],
      carried: [{ of: [1] }]
    },
    failure: {
      buffered: { type: "error", error: { type: "overloaded_error", message: "Overloaded" } },
      streamed: [
        { type: "message_start", message: { ...head, content: [], usage: tokens } },
        { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }
      ]
    },
    cutOff: {
      buffered: no("a buffered reply that breaks off is no JSON"),
      streamed: [
        { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
        { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Don" } }
      ]
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
      pause_turn: "pause",
      refusal: "content-filter"
    }
  },
  requests: {
    effort: { wire: { thinking: { type: "adaptive" }, output_config: { effort: "low" } } },
    system: { wire: { system: "Be brief", messages: [{ role: "user" }] } },
    images: { wire: { messages: [{ content: [{ text: "Look" }, { type: "image", source: png }] }] } },
    imageLinks: {
      wire: {
        messages: [
          { content: [{ text: "Look" }, { type: "image", source: { type: "url", url: "https://a.test/i.png" } }] }
        ]
      }
    },
    files: {
      wire: {
        messages: [
          {
            content: [
              { type: "text", text: "Look" },
              {
                type: "document",
                title: "a.pdf",
                source: { type: "base64", media_type: "application/pdf", data: "JVBERi0xLjc=" }
              }
            ]
          }
        ]
      }
    },
    fileLinks: {
      wire: {
        messages: [
          { content: [{ text: "Look" }, { type: "document", source: { type: "url", url: "https://a.test/d.pdf" } }] }
        ]
      }
    },
    tools: { wire: { tools: [{ name: "weather", description: "Tells it", input_schema: schema }] } },
    oneCall: { wire: { tool_choice: { type: "auto", disable_parallel_tool_use: true } } },
    results: {
      wire: {
        messages: [
          { role: "user" },
          { role: "assistant", content: [use("Oslo", "Oslo").whole, use("Turin", "Turin").whole] },
          {
            role: "user",
            content: [
              { type: "tool_result", tool_use_id: "Oslo", content: "sunny" },
              { type: "tool_result", tool_use_id: "Turin", content: "rain" }
            ]
          }
        ]
      }
    },
    failedResults: {
      wire: {
        messages: [
          { role: "user" },
          { role: "assistant" },
          { content: [{ type: "tool_result", tool_use_id: "Oslo", content: "no station", is_error: true }] }
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
                type: "tool_result",
                content: [
                  { type: "text", text: "sunny" },
                  { type: "image", source: png }
                ]
              }
            ]
          }
        ]
      }
    },
    format: { wire: { output_config: { format: { type: "json_schema", schema } } } },
    stop: { wire: { stop_sequences: ["5", "END"] } },
    seed: no("the protocol has no seed", "settings.seed"),
    askLogprobs: no("the protocol has none"),
    marks: {
      wire: {
        system: [{ type: "text", text: "A long text", cache_control: control }],
        messages: [{ content: [{ type: "text", text: "A longer one", cache_control: control }] }]
      }
    },
    tier: { own: { service_tier: "standard_only" }, wire: { service_tier: "standard_only" } }
  },
  choices: {
    auto: { tool_choice: { type: "auto" } },
    none: { tool_choice: { type: "none" } },
    required: { tool_choice: { type: "any" } },
    named: { tool_choice: { type: "tool", name: "weather" } }
  },
  mark: { cacheControl: control },
  raw: { body: { model: "theirs", ...raw }, sent: { model: "a-model", ...raw } },
  wrong: {
    body: {
      messages: [{ role: "user", content: [{ type: "image", source: { type: "base64", media_type: "image/png" } }] }]
    },
    path: "messages[0].content[0].source.data"
  }
}
