/** OpenAI Responses, held to the contract. The wire is written after the API reference. */
import { OpenAiResponses } from "@echelon/providers"
import * as OpenAiResponsesLift from "@echelon/providers/OpenAiResponsesLift"
import { type Contract, no, type Reply } from "./ProtocolContract.ts"

type Item = Readonly<Record<string, unknown>>

const head = { id: "r", object: "response", created_at: 1_700_000_000, model: "a-model-1" }

const text = (value: string, more: object = {}) => ({ type: "output_text", text: value, annotations: [], ...more })

const message = (content: ReadonlyArray<Item>, more: object = {}) => ({
  id: "msg",
  type: "message",
  status: "completed",
  role: "assistant",
  content,
  ...more
})

interface Options {
  readonly more?: object
  readonly end?: string
  /** Events that tell of the items before they are done. */
  readonly events?: ReadonlyArray<object>
}

/** A response of items, and the stream of it. */
const reply = (output: ReadonlyArray<Item>, { end = "completed", events = [], more = {} }: Options = {}): Reply => ({
  buffered: { ...head, status: end, output, ...more },
  streamed: [
    { type: "response.created", response: { ...head, status: "in_progress", output: [] } },
    ...events,
    ...output.map((item, output_index) => ({ type: "response.output_item.done", output_index, item })),
    { type: `response.${end}`, response: { ...head, status: end, output, ...more } }
  ]
})

const added = (item: Item, output_index = 0) => ({ type: "response.output_item.added", output_index, item })
const delta = (type: string, item_id: string, value: string, more: object = {}) => ({
  type: `response.${type}.delta`,
  item_id,
  content_index: 0,
  delta: value,
  ...more
})

const said = (value: string, options: Options = {}): Reply =>
  reply([message([text(value)])], {
    events: [
      added(message([])),
      delta("output_text", "msg", value.slice(0, 2)),
      delta("output_text", "msg", value.slice(2))
    ],
    ...options
  })

const usage = {
  input_tokens: 100,
  input_tokens_details: { cached_tokens: 60, cache_write_tokens: 10 },
  output_tokens: 20,
  output_tokens_details: { reasoning_tokens: 8 },
  total_tokens: 120
}

const summary = { id: "rs", type: "reasoning", summary: [{ type: "summary_text", text: "Let me think." }] }
const secret = { id: "rs", type: "reasoning", summary: [], encrypted_content: "gAAA" }
const thought = [
  added({ id: "rs", type: "reasoning", summary: [] }),
  delta("reasoning_summary_text", "rs", "Let me ", { summary_index: 0 }),
  delta("reasoning_summary_text", "rs", "think.", { summary_index: 0 })
]

const call = (id: string, city: string) => ({
  id: `fc_${id}`,
  type: "function_call",
  status: "completed",
  call_id: id,
  name: "weather",
  arguments: JSON.stringify({ city })
})

const calls = reply([call("c1", "Oslo"), call("c2", "Turin")], {
  events: [
    added({ ...call("c1", ""), arguments: "" }),
    delta("function_call_arguments", "fc_c1", '{"city":'),
    added({ ...call("c2", ""), arguments: "" }, 1),
    delta("function_call_arguments", "fc_c2", '{"city":"Turin"}'),
    delta("function_call_arguments", "fc_c1", '"Oslo"}')
  ]
})

const annotation = { type: "url_citation", url: "https://a.test/page", title: "A page", start_index: 0, end_index: 4 }
const logprob = { token: "Yes", logprob: -0.25, bytes: [], top_logprobs: [] }
const image = (image_url: string) => ({ type: "input_image", image_url })
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
const raw = {
  input: [{ role: "user", content: [{ type: "input_text", text: "Hi", never_heard: 1 }] }, { type: "never_heard" }],
  tools: [{ type: "never_heard", of: [] }],
  temperature: 0,
  never_heard: { of: null }
}

export const contract: Contract = {
  title: "OpenAI Responses",
  kind: "openai-responses",
  protocol: OpenAiResponses.protocol,
  lift: OpenAiResponsesLift.lift,
  replies: {
    text: said("Grüße, 世界 👋"),
    reasoning: reply([summary, message([text("Done.")])], { events: thought }),
    signature: {
      ...reply([{ ...summary, encrypted_content: "gAAA" }, message([text("Done.")])], { events: thought }),
      next: [
        { type: "reasoning", id: "rs", summary: summary.summary, encrypted_content: "gAAA" },
        { role: "assistant", content: [{ type: "output_text", text: "Done." }] }
      ]
    },
    encrypted: {
      ...reply([secret, message([text("Done.")])]),
      next: [secret, { role: "assistant", content: [{ type: "output_text", text: "Done." }] }]
    },
    calls,
    deltas: { ...calls, buffered: no("a buffered reply comes in one piece") },
    logprobs: { ...reply([message([text("Yes", { logprobs: [logprob] })])]), carried: [logprob] },
    refusal: {
      ...reply([message([{ type: "refusal", refusal: "I cannot help." }])], {
        events: [added(message([])), delta("refusal", "msg", "I cannot ")]
      }),
      carried: [{ refusal: true }]
    },
    citations: { ...reply([message([text("Done.", { annotations: [annotation] })])]), carried: [annotation] },
    usage: said("Done.", { more: { usage } }),
    cacheRead: said("Done.", { more: { usage } }),
    cacheWrite: said("Done.", { more: { usage } }),
    reasoningTokens: said("Done.", { more: { usage } }),
    tierReply: { ...said("Done.", { more: { service_tier: "flex" } }), carried: [{ service_tier: "flex" }] },
    unknownReason: said("Done.", { end: "incomplete", more: { incomplete_details: { reason: "bored" } } }),
    unknownField: {
      ...reply([message([text("Done.", { strange: 1 })], { stranger: [2] })], { more: { never_heard: { of: [3] } } }),
      carried: [{ strange: 1 }, { stranger: [2] }, { never_heard: { of: [3] } }]
    },
    unknownPart: {
      ...reply([{ id: "h", type: "hologram_call", of: 1 }, message([{ type: "hologram", of: 2 }, text("Done.")])]),
      carried: [
        { type: "hologram_call", of: 1 },
        { type: "hologram", of: 2 }
      ]
    },
    unknownEvent: {
      ...said("Done."),
      buffered: no("a buffered reply has no events"),
      streamed: [{ type: "response.weather.report", of: [1] }, ...(said("Done.").streamed as ReadonlyArray<unknown>)],
      carried: [{ of: [1] }]
    },
    failure: {
      buffered: { ...head, status: "failed", output: [], error: { code: "server_is_overloaded", message: "busy" } },
      streamed: [
        added(message([])),
        delta("output_text", "msg", "Don"),
        { type: "response.failed", response: { ...head, status: "failed", error: { code: "server_is_overloaded" } } }
      ]
    },
    cutOff: {
      buffered: no("a buffered reply that breaks off is no JSON"),
      streamed: [added(message([])), delta("output_text", "msg", "Don")]
    }
  },
  reasons: {
    reply: (reason) =>
      reason === "completed"
        ? said("Done.")
        : reason === "function_call"
          ? calls
          : said("Done.", { end: "incomplete", more: { incomplete_details: { reason } } }),
    meaning: {
      completed: "stop",
      function_call: "tool-calls",
      max_output_tokens: "length",
      content_filter: "content-filter"
    }
  },
  requests: {
    effort: { wire: { reasoning: { effort: "low" } } },
    system: { wire: { input: [{ role: "system", content: "Be brief" }, { role: "user" }] } },
    images: { wire: { input: [{ content: [{ text: "Look" }, image("data:image/png;base64,iVBORw0KGgo=")] }] } },
    imageLinks: { wire: { input: [{ content: [{ text: "Look" }, image("https://a.test/i.png")] }] } },
    files: {
      wire: {
        input: [
          {
            content: [
              { type: "input_text", text: "Look" },
              { type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERi0xLjc=" }
            ]
          }
        ]
      }
    },
    fileLinks: {
      wire: { input: [{ content: [{ text: "Look" }, { type: "input_file", file_url: "https://a.test/d.pdf" }] }] }
    },
    tools: { wire: { tools: [{ type: "function", name: "weather", description: "Tells it", parameters: schema }] } },
    oneCall: { wire: { parallel_tool_calls: false } },
    results: {
      wire: {
        input: [
          { role: "user" },
          { type: "function_call", call_id: "Oslo", arguments: '{"city":"Oslo"}' },
          { type: "function_call", call_id: "Turin", arguments: '{"city":"Turin"}' },
          { type: "function_call_output", call_id: "Oslo", output: "sunny" },
          { type: "function_call_output", call_id: "Turin", output: "rain" }
        ]
      }
    },
    failedResults: no("the protocol has no mark: the result's text alone tells", "messages.tool-result.isFailure"),
    resultImages: {
      wire: {
        input: [
          { role: "user" },
          { type: "function_call" },
          {
            type: "function_call_output",
            output: [{ type: "input_text", text: "sunny" }, image("data:image/png;base64,iVBORw0KGgo=")]
          }
        ]
      }
    },
    format: { wire: { text: { format: { type: "json_schema", name: "place", strict: true, schema } } } },
    stop: no("the protocol has no stop sequences", "settings.stop"),
    seed: no("the protocol has no seed", "settings.seed"),
    askLogprobs: {
      own: { include: ["message.output_text.logprobs"], top_logprobs: 2 },
      wire: { include: ["message.output_text.logprobs"], top_logprobs: 2 }
    },
    marks: {
      wire: {
        input: [
          { role: "system", content: [{ text: "A long text", prompt_cache_breakpoint: { mode: "explicit" } }] },
          { role: "user", content: [{ text: "A longer one", prompt_cache_breakpoint: { mode: "explicit" } }] }
        ]
      }
    },
    tier: { own: { service_tier: "flex" }, wire: { service_tier: "flex" } }
  },
  choices: {
    auto: { tool_choice: "auto" },
    none: { tool_choice: "none" },
    required: { tool_choice: "required" },
    named: { tool_choice: { type: "function", name: "weather" } }
  },
  mark: { promptCacheBreakpoint: { mode: "explicit" } },
  raw: { body: { model: "theirs", ...raw }, sent: { model: "a-model", ...raw } },
  wrong: {
    body: { input: [{ type: "function_call", call_id: "c", name: 1, arguments: "{}" }] },
    path: "input[0].name"
  }
}
