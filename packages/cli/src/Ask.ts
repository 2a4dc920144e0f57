/**
 * `echelon ask`: one prompt, answered.
 *
 * @since 0.1.0
 */
import * as LlmError from "@echelon/core/LlmError"
import type * as LlmReply from "@echelon/core/LlmReply"
import type * as LlmRequest from "@echelon/core/LlmRequest"
import * as Orchestrator from "@echelon/core/Orchestrator"
import type * as Route from "@echelon/core/Route"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Environment from "./Environment.ts"
import * as Failure from "./Failure.ts"
import { Output } from "./Output.ts"

/**
 * What the command line says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly prompt: string
  readonly config: string
  readonly env: string | undefined
  readonly metadata: LlmRequest.Metadata
  readonly stream: boolean
  readonly json: boolean
}

/**
 * The JSON form of an answer.
 *
 * @since 0.1.0
 * @category getters
 */
export const answerJson = (answer: LlmReply.Answer) => ({
  text: answer.text,
  model: answer.model,
  instance: answer.instance,
  usage: {
    inputTokens: answer.usage.inputTokens ?? null,
    outputTokens: answer.usage.outputTokens ?? null,
    source: answer.usage.source
  },
  cost: answer.cost ?? null,
  route: Failure.routeJson(answer.route)
})

const tellRoute = Effect.fnUntraced(function* (route: Route.Route) {
  const output = yield* Output
  yield* output.diagnose("route:")
  for (const line of Failure.routeLines(route)) yield* output.diagnose(line)
})

const streamed = Effect.fnUntraced(function* (input: LlmRequest.Input) {
  const output = yield* Output
  const reply = yield* Orchestrator.open(input)
  yield* Stream.runForEach(reply.parts, (part) => (part.type === "text-delta" ? output.write(part.delta) : Effect.void))
  yield* output.write("\n")
  yield* tellRoute(yield* reply.route)
}, Effect.scoped)

const buffered = Effect.fnUntraced(function* (input: LlmRequest.Input, json: boolean) {
  const output = yield* Output
  const answer = yield* Orchestrator.generate(input)
  if (json) return yield* output.write(`${JSON.stringify(answerJson(answer))}\n`)
  yield* output.write(`${answer.text}\n`)
  yield* tellRoute(answer.route)
})

/**
 * Tells why a command failed, as the caller asked to be told.
 *
 * @since 0.1.0
 * @category running
 */
export const tellFailure = Effect.fnUntraced(function* (
  error: { readonly _tag: string; readonly message: string },
  json: boolean
) {
  const output = yield* Output
  if (json) {
    const told = LlmError.isLlmError(error)
      ? Failure.errorJson(error)
      : { error: { reason: error._tag, message: error.message, retryAt: null, route: [] } }
    yield* output.write(`${JSON.stringify(told)}\n`)
  } else {
    yield* output.diagnose(`error: ${error.message}`)
    if (LlmError.isLlmError(error)) {
      if (error.route !== undefined && error.route.length > 0) yield* tellRoute(error.route)
      if (error.retryAt !== undefined)
        yield* output.diagnose(
          `${error.reason._tag === "BudgetExhausted" ? "the budget resets" : "an instance comes back"} at ${new Date(error.retryAt).toISOString()}`
        )
    }
  }
  return yield* new Failure.Failure({ exitCode: 1 })
})

/**
 * Runs the command.
 *
 * @since 0.1.0
 * @category running
 */
export const run = (options: Options): Effect.Effect<void, Failure.Failure, Output> => {
  const input: LlmRequest.Input = { prompt: options.prompt, metadata: options.metadata }
  const answer = options.stream && !options.json ? streamed(input) : buffered(input, options.json)
  return Effect.catch(Effect.provide(answer, Environment.layer(options)), (error) => tellFailure(error, options.json))
}
