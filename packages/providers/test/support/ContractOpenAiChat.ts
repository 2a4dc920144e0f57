/** OpenAI Chat Completions, held to the contract. The wire is written after the API reference. */
import { OpenAiChat } from "@echelon/providers"
import * as OpenAiChatLift from "@echelon/providers/OpenAiChatLift"
import { type Contract, no, type Reply } from "./ProtocolContract.ts"

const head = { id: "r", created: 1_700_000_000, model: "a-model-1" }

const chunk = (choice: object, more: object = {}) => ({
  ...head,
  object: "chat.completion.chunk",
  choices: [{ index: 0, delta: {}, finish_reason: null, ...choice }],
  ...more
})

interface Options {
  readonly reason?: string
  readonly choice?: object
  readonly more?: object
}

/** A reply of one message, and the stream of its pieces. */
const reply = (
  message: object,
  deltas: ReadonlyArray<object>,
  { choice = {}, more = {}, reason = "stop" }: Options = {}
): Reply => ({
  buffered: {
    ...head,
    object: "chat.completion",
    choices: [
      { index: 0, message: { role: "assistant", content: null, ...message }, finish_reason: reason, ...choice }
    ],
    ...more
  },
  streamed: [
    chunk({ delta: { role: "assistant", content: "" } }),
    ...deltas.map((delta) => chunk({ delta, ...choice })),
    chunk({ finish_reason: reason }),
    { ...chunk({}), choices: [], ...more },
    "[DONE]"
  ]
})

const said = (text: string, options: Options = {}): Reply =>
  reply({ content: text }, [{ content: text.slice(0, 2) }, { content: text.slice(2) }], options)

const usage = {
  prompt_tokens: 100,
  completion_tokens: 20,
  total_tokens: 120,
  prompt_tokens_details: { cached_tokens: 60, cache_write_tokens: 10 },
  completion_tokens_details: { reasoning_tokens: 8 }
}

const call = (id: string, city: string) => ({
  id,
  type: "function",
  function: { name: "weather", arguments: JSON.stringify({ city }) }
})

const calls = reply(
  { tool_calls: [call("c1", "Oslo"), call("c2", "Turin")] },
  [
    { tool_calls: [{ index: 0, id: "c1", type: "function", function: { name: "weather", arguments: "" } }] },
    { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] },
    { tool_calls: [{ index: 1, id: "c2", type: "function", function: { name: "weather", arguments: '{"ci' } }] },
    { tool_calls: [{ index: 0, function: { arguments: '"Oslo"}' } }] },
    { tool_calls: [{ index: 1, function: { arguments: 'ty":"Turin"}' } }] }
  ],
  { reason: "tool_calls" }
)

const logprobs = { content: [{ token: "Yes", logprob: -0.25, bytes: null, top_logprobs: [] }] }
const annotation = {
  type: "url_citation",
  url_citation: { url: "https://a.test/page", title: "A page", start_index: 0 }
}
const image = (url: string) => ({ type: "image_url", image_url: { url } })
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
const unheard = { never_heard: { of: [1] } }
const raw = {
  messages: [{ role: "user", content: [{ type: "text", text: "Hi", never_heard: 1 }], never_heard: 2 }],
  tools: [{ type: "never_heard", of: [] }],
  temperature: 0,
  never_heard: { of: null }
}

export const contract: Contract = {
  title: "OpenAI Chat Completions",
  kind: "openai",
  protocol: OpenAiChat.protocol,
  lift: OpenAiChatLift.lift,
  replies: {
    text: said("Grüße, 世界 👋"),
    reasoning: reply({ reasoning_content: "Let me think.", content: "Done." }, [
      { reasoning_content: "Let me " },
      { reasoning_content: "think." },
      { content: "Done." }
    ]),
    signature: no("the protocol signs no reasoning; servers that take it back are told by their dialect"),
    encrypted: no("OpenAI gives none here; OpenRouter's `reasoning_details` are kept and given back to it"),
    calls,
    deltas: { ...calls, buffered: no("a buffered reply comes in one piece") },
    logprobs: { ...said("Yes", { choice: { logprobs } }), carried: [{ token: "Yes", logprob: -0.25 }] },
    refusal: {
      ...reply({ refusal: "I cannot help." }, [{ refusal: "I cannot " }, { refusal: "help." }]),
      carried: [{ refusal: true }]
    },
    citations: {
      ...reply({ content: "Done.", annotations: [annotation] }, [{ content: "Done." }, { annotations: [annotation] }]),
      carried: [annotation]
    },
    usage: said("Done.", { more: { usage } }),
    cacheRead: said("Done.", { more: { usage } }),
    cacheWrite: said("Done.", { more: { usage } }),
    reasoningTokens: said("Done.", { more: { usage } }),
    tierReply: { ...said("Done.", { more: { service_tier: "flex" } }), carried: [{ service_tier: "flex" }] },
    unknownReason: { ...said("Done.", { reason: "bored" }), carried: [{ finish_reason: "bored" }] },
    unknownField: {
      ...reply({ content: "Done.", ...unheard }, [{ content: "Done.", ...unheard }], {
        choice: { strange: 1 },
        more: { stranger: [2] }
      }),
      carried: [unheard, { strange: 1 }, { stranger: [2] }]
    },
    unknownPart: {
      ...reply(
        {
          content: [
            { type: "hologram", of: 1 },
            { type: "text", text: "Done." }
          ]
        },
        [{ content: [{ type: "hologram", of: 1 }] }, { content: [{ type: "text", text: "Done." }] }]
      ),
      carried: [{ type: "hologram", of: 1 }]
    },
    unknownEvent: {
      buffered: no("a buffered reply has no events"),
      streamed: [{ object: "weather.report", of: [1] }, chunk({ delta: { content: "Done." }, finish_reason: "stop" })],
      carried: [{ of: [1] }]
    },
    failure: {
      buffered: { error: { message: "busy", type: "server_error", code: "server_is_overloaded" } },
      streamed: [
        chunk({ delta: { content: "Don" } }),
        { error: { message: "busy", type: "server_error", code: "server_is_overloaded" } }
      ]
    },
    cutOff: {
      buffered: no("a buffered reply that breaks off is no JSON"),
      streamed: [chunk({ delta: { content: "Don" } })]
    }
  },
  reasons: {
    reply: (reason) => said("Done.", { reason }),
    meaning: {
      stop: "stop",
      length: "length",
      tool_calls: "tool-calls",
      function_call: "tool-calls",
      content_filter: "content-filter",
      eos: "stop",
      model_length: "length"
    }
  },
  requests: {
    effort: { wire: { reasoning_effort: "low" } },
    system: { wire: { messages: [{ role: "system", content: "Be brief" }, { role: "user" }] } },
    images: { wire: { messages: [{ content: [{ text: "Look" }, image("data:image/png;base64,iVBORw0KGgo=")] }] } },
    imageLinks: { wire: { messages: [{ content: [{ text: "Look" }, image("https://a.test/i.png")] }] } },
    files: {
      wire: {
        messages: [
          {
            content: [
              { type: "text", text: "Look" },
              { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERi0xLjc=" } }
            ]
          }
        ]
      }
    },
    fileLinks: no("the protocol takes a file's data, not its address", "messages.file (application/pdf)"),
    tools: {
      wire: {
        tools: [{ type: "function", function: { name: "weather", description: "Tells it", parameters: schema } }]
      }
    },
    oneCall: { wire: { parallel_tool_calls: false } },
    results: {
      wire: {
        messages: [
          { role: "user" },
          { role: "assistant", tool_calls: [call("Oslo", "Oslo"), call("Turin", "Turin")] },
          { role: "tool", tool_call_id: "Oslo", content: "sunny" },
          { role: "tool", tool_call_id: "Turin", content: "rain" }
        ]
      }
    },
    failedResults: no("the protocol has no mark: the result's text alone tells", "messages.tool-result.isFailure"),
    resultImages: no("a tool's message holds text alone", "messages.tool-result.file"),
    format: {
      wire: { response_format: { type: "json_schema", json_schema: { name: "place", strict: true, schema } } }
    },
    stop: { wire: { stop: ["5", "END"] } },
    seed: { wire: { seed: 7 } },
    askLogprobs: { own: { logprobs: true, top_logprobs: 2 }, wire: { logprobs: true, top_logprobs: 2 } },
    marks: no("the protocol has none: servers cache prefixes by themselves, and `prompt_cache_key` is an own option"),
    tier: { own: { service_tier: "flex" }, wire: { service_tier: "flex" } }
  },
  choices: {
    auto: { tool_choice: "auto" },
    none: { tool_choice: "none" },
    required: { tool_choice: "required" },
    named: { tool_choice: { type: "function", function: { name: "weather" } } }
  },
  raw: { body: { model: "theirs", ...raw }, sent: { model: "a-model", ...raw } },
  wrong: {
    body: { messages: [{ role: "user", content: [{ type: "text", text: 1 }] }] },
    path: "messages[0].content[0].text"
  }
}
