/**
 * OpenAI Chat Completions, the server's side: an answer becomes events or a body. Pure.
 *
 * @since 0.1.0
 */
import * as Answer from "./FaultServerAnswer.ts"

const id = "chatcmpl-fault"
const created = 1_700_000_000

const usageOf = ({ input, output }: Answer.Usage): object => ({
  prompt_tokens: input,
  completion_tokens: output,
  total_tokens: input + output
})

const chunk = (
  kind: Answer.Event["kind"],
  answer: Answer.Answer,
  choices: ReadonlyArray<object>,
  rest: object = {}
): Answer.Event => ({
  kind,
  data: JSON.stringify({ id, object: "chat.completion.chunk", created, model: answer.model, choices, ...rest })
})

const delta = (kind: Answer.Event["kind"], answer: Answer.Answer, value: object, finish: string | null = null) =>
  chunk(kind, answer, [{ index: 0, delta: value, logprobs: null, finish_reason: finish }])

/**
 * The events of a streamed answer.
 *
 * **Details** The role, the text, the tool calls one after the other, the reason, the usage, `[DONE]`.
 *
 * @since 0.1.0
 * @category encoding
 */
export const events = (answer: Answer.Answer): ReadonlyArray<Answer.Event> => [
  delta("frame", answer, { role: "assistant", content: "", refusal: null }),
  ...answer.tokens.map((content) => delta("token", answer, { content })),
  ...answer.toolCalls.flatMap((call, index) => [
    delta("frame", answer, {
      tool_calls: [
        { index, id: Answer.idOf(call, index), type: "function", function: { name: call.name, arguments: "" } }
      ]
    }),
    ...Answer.pieces(call.arguments).map((piece) =>
      delta("token", answer, { tool_calls: [{ index, function: { arguments: piece } }] })
    )
  ]),
  ...(answer.finish === undefined ? [] : [delta("finish", answer, {}, answer.finish)]),
  ...(answer.usage === undefined ? [] : [chunk("finish", answer, [], { usage: usageOf(answer.usage) })]),
  ...(answer.sentinel ? [{ kind: "end", data: "[DONE]" } as const] : [])
]

/**
 * The body of a buffered answer.
 *
 * @since 0.1.0
 * @category encoding
 */
export const body = (answer: Answer.Answer): string => {
  const calls = answer.toolCalls.map((call, index) => ({
    id: Answer.idOf(call, index),
    type: "function",
    function: { name: call.name, arguments: call.arguments }
  }))
  const message = {
    role: "assistant",
    content: answer.tokens.length === 0 ? null : answer.tokens.join(""),
    refusal: null,
    ...(calls.length === 0 ? {} : { tool_calls: calls })
  }
  return JSON.stringify({
    id,
    object: "chat.completion",
    created,
    model: answer.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: answer.finish ?? null }],
    ...(answer.usage === undefined ? {} : { usage: usageOf(answer.usage) })
  })
}

const error = (status: number, type: string, code: string | null, message: string): Answer.Failure => ({
  status,
  type,
  code,
  message
})

/**
 * The errors as OpenAI sends them.
 *
 * @since 0.1.0
 * @category models
 */
export const failures: Readonly<Record<Answer.ErrorKind, Answer.Failure>> = {
  invalid_request: error(400, "invalid_request_error", null, "The request is not valid."),
  authentication: error(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
  permission: error(403, "request_forbidden", null, "The project may not use this model."),
  not_found: error(404, "invalid_request_error", "model_not_found", "The model does not exist."),
  too_large: error(413, "invalid_request_error", null, "The request is too large."),
  rate_limit: error(429, "requests", "rate_limit_exceeded", "Rate limit reached."),
  quota: error(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
  context_length: error(
    400,
    "invalid_request_error",
    "context_length_exceeded",
    "This model's maximum context length is 8192 tokens."
  ),
  content_policy: error(400, "invalid_request_error", "content_policy_violation", "The request was rejected."),
  overloaded: error(503, "service_unavailable_error", "server_is_overloaded", "The servers are overloaded."),
  server_error: error(500, "server_error", null, "The server had an error.")
}

/**
 * The body of an error.
 *
 * @since 0.1.0
 * @category encoding
 */
export const errorBody = ({ code, message, type }: Answer.Failure): string =>
  JSON.stringify({ error: { message, type, param: null, code } })

/**
 * An error inside a stream.
 *
 * @since 0.1.0
 * @category encoding
 */
export const errorEvent = (failure: Answer.Failure): Answer.Event => ({ kind: "frame", data: errorBody(failure) })

/**
 * What keeps a silent stream alive: a comment.
 *
 * @since 0.1.0
 * @category encoding
 */
export const keepAlive = ": keep-alive\n\n"

/**
 * The list of models.
 *
 * @since 0.1.0
 * @category encoding
 */
export const models = (names: ReadonlyArray<string>): string =>
  JSON.stringify({
    object: "list",
    data: names.map((name) => ({ id: name, object: "model", created, owned_by: "fault-server" }))
  })
