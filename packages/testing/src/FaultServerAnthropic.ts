/**
 * Anthropic Messages, the server's side: an answer becomes events or a body. Pure.
 *
 * @since 0.1.0
 */
import * as Answer from "./FaultServerAnswer.ts"

const id = "msg_fault"

const stopReasons: Readonly<Record<Answer.Finish, string>> = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
  content_filter: "refusal"
}

const event = (kind: Answer.Event["kind"], type: string, rest: object = {}): Answer.Event => ({
  kind,
  event: type,
  data: JSON.stringify({ type, ...rest })
})

const block = (index: number, start: object, deltas: ReadonlyArray<object>): ReadonlyArray<Answer.Event> => [
  event("frame", "content_block_start", { index, content_block: start }),
  ...deltas.map((delta) => event("token", "content_block_delta", { index, delta })),
  event("frame", "content_block_stop", { index })
]

/**
 * The events of a streamed answer.
 *
 * **Details** Text is the first block, each tool call one more. The message's end is left out with its reason.
 *
 * @since 0.1.0
 * @category encoding
 */
export const events = (answer: Answer.Answer): ReadonlyArray<Answer.Event> => {
  const { finish, model, toolCalls, tokens, usage } = answer
  const first = tokens.length === 0 ? 0 : 1
  return [
    event("frame", "message_start", {
      message: {
        id,
        type: "message",
        role: "assistant",
        model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        ...(usage === undefined ? {} : { usage: { input_tokens: usage.input, output_tokens: 1 } })
      }
    }),
    event("frame", "ping"),
    ...(tokens.length === 0
      ? []
      : block(
          0,
          { type: "text", text: "" },
          tokens.map((text) => ({ type: "text_delta", text }))
        )),
    ...toolCalls.flatMap((call, at) =>
      block(
        first + at,
        { type: "tool_use", id: Answer.idOf(call, at), name: call.name, input: {} },
        Answer.pieces(call.arguments).map((partial_json) => ({ type: "input_json_delta", partial_json }))
      )
    ),
    ...(finish === undefined
      ? []
      : [
          event("finish", "message_delta", {
            delta: { stop_reason: stopReasons[finish], stop_sequence: null },
            ...(usage === undefined ? {} : { usage: { output_tokens: usage.output } })
          })
        ]),
    ...(answer.sentinel ? [event("end", "message_stop")] : [])
  ]
}

/** A whole reply holds a tool's input as a value: text that is no JSON stands there as a string. */
const inputOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/**
 * The body of a buffered answer.
 *
 * @since 0.1.0
 * @category encoding
 */
export const body = ({ finish, model, toolCalls, tokens, usage }: Answer.Answer): string =>
  JSON.stringify({
    id,
    type: "message",
    role: "assistant",
    model,
    content: [
      ...(tokens.length === 0 ? [] : [{ type: "text", text: tokens.join("") }]),
      ...toolCalls.map((call, at) => ({
        type: "tool_use",
        id: Answer.idOf(call, at),
        name: call.name,
        input: inputOf(call.arguments)
      }))
    ],
    stop_reason: finish === undefined ? null : stopReasons[finish],
    stop_sequence: null,
    ...(usage === undefined ? {} : { usage: { input_tokens: usage.input, output_tokens: usage.output } })
  })

const error = (status: number, type: string, message: string): Answer.Failure => ({
  status,
  type,
  code: null,
  message
})

/**
 * The errors as Anthropic sends them.
 *
 * @since 0.1.0
 * @category models
 */
export const failures: Readonly<Record<Answer.ErrorKind, Answer.Failure>> = {
  invalid_request: error(400, "invalid_request_error", "The request is not valid."),
  authentication: error(401, "authentication_error", "invalid x-api-key"),
  permission: error(403, "permission_error", "The key may not use this model."),
  not_found: error(404, "not_found_error", "The model does not exist."),
  too_large: error(413, "request_too_large", "Request exceeds the maximum size"),
  rate_limit: error(429, "rate_limit_error", "Rate limit reached."),
  quota: error(400, "invalid_request_error", "Your credit balance is too low to access the API."),
  context_length: error(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
  content_policy: error(400, "invalid_request_error", "Output blocked by content filtering policy"),
  overloaded: error(529, "overloaded_error", "Overloaded"),
  server_error: error(500, "api_error", "Internal server error")
}

/**
 * The body of an error. Anthropic's errors have a type and no code.
 *
 * @since 0.1.0
 * @category encoding
 */
export const errorBody = ({ code, message, type }: Answer.Failure): string =>
  JSON.stringify({ type: "error", error: { type: code ?? type, message }, request_id: "req_fault" })

/**
 * An error inside a stream.
 *
 * @since 0.1.0
 * @category encoding
 */
export const errorEvent = (failure: Answer.Failure): Answer.Event => ({
  kind: "frame",
  event: "error",
  data: errorBody(failure)
})

/**
 * What keeps a silent stream alive: a comment and an event that says nothing.
 *
 * @since 0.1.0
 * @category encoding
 */
export const keepAlive = `: keep-alive\n\n${Answer.sse(event("frame", "ping"))}`

/**
 * The list of models.
 *
 * @since 0.1.0
 * @category encoding
 */
export const models = (names: ReadonlyArray<string>): string =>
  JSON.stringify({
    data: names.map((name) => ({ type: "model", id: name, display_name: name, created_at: "2023-11-14T22:13:20Z" })),
    has_more: false,
    first_id: names[0] ?? null,
    last_id: names.at(-1) ?? null
  })
