/**
 * The one service most programs use: asks whoever a request's metadata names.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Control from "./Control.ts"
import type * as Interpreter from "./Interpreter.ts"
import * as Llm from "./Llm.ts"
import type * as LlmEmbedding from "./LlmEmbedding.ts"
import type * as LlmError from "./LlmError.ts"
import type * as LlmReply from "./LlmReply.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import type * as Part from "./Part.ts"
import * as PoolManager from "./PoolManager.ts"
import * as Router from "./Router.ts"
import * as TaskGroupManager from "./TaskGroupManager.ts"
import * as WrapperManager from "./WrapperManager.ts"

/**
 * Answers requests.
 *
 * @since 0.1.0
 * @category services
 */
export class Orchestrator extends Context.Service<
  Orchestrator,
  {
    /** Waits for the whole answer. See `Llm.generate`. */
    readonly generate: (input: LlmRequest.Input) => Effect.Effect<LlmReply.Answer, LlmError.LlmError>
    /** Answers part by part. See `Llm.stream`. */
    readonly stream: (input: LlmRequest.Input) => Stream.Stream<Part.Part, LlmError.LlmError>
    /** Opens a streamed reply: its parts and its route. See `Llm.open`. */
    readonly open: (input: LlmRequest.Input) => Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope>
    /** Embeds texts. See `Llm.embed`. */
    readonly embed: (input: LlmEmbedding.Input) => Effect.Effect<LlmEmbedding.Answer, LlmError.LlmError>
    /** Everything configured, as one `Llm`. */
    readonly llm: Llm.Llm
  }
>()("@echelon/core/Orchestrator") {
  static readonly layer: Layer.Layer<Orchestrator, never, Router.Router> = Layer.effect(
    Orchestrator,
    Effect.map(Router.Router, ({ llm, refuse }) => {
      // Every request has a route: what failed without one never became a request, and would go unseen.
      const seen = <A, R>(isStream: boolean, answer: Effect.Effect<A, LlmError.LlmError, R>) =>
        Effect.catch(answer, (error) => (error.route === undefined ? refuse(error, isStream) : Effect.fail(error)))
      const open = (input: LlmRequest.Input) => seen(true, Llm.open(llm, input))
      return Orchestrator.of({
        generate: (input) => seen(false, Llm.generate(llm, input)),
        stream: (input) => Stream.unwrap(Effect.map(open(input), ({ parts }) => parts)),
        open,
        embed: (input) => seen(false, Llm.embed(llm, input)),
        llm
      })
    })
  )
}

/**
 * Answers an input and waits for the whole answer.
 *
 * @since 0.1.0
 * @category running
 */
export const generate = (input: LlmRequest.Input): Effect.Effect<LlmReply.Answer, LlmError.LlmError, Orchestrator> =>
  Orchestrator.use((service) => service.generate(input))

/**
 * Answers an input part by part.
 *
 * @since 0.1.0
 * @category running
 */
export const stream = (input: LlmRequest.Input): Stream.Stream<Part.Part, LlmError.LlmError, Orchestrator> =>
  Stream.unwrap(Orchestrator.useSync((service) => service.stream(input)))

/**
 * Opens a streamed reply: its parts and, when they have ended, its route.
 *
 * @since 0.1.0
 * @category running
 */
export const open = (
  input: LlmRequest.Input
): Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, Orchestrator | Scope.Scope> =>
  Orchestrator.use((service) => service.open(input))

/**
 * Embeds texts.
 *
 * @since 0.1.0
 * @category running
 */
export const embed = (input: LlmEmbedding.Input): Effect.Effect<LlmEmbedding.Answer, LlmError.LlmError, Orchestrator> =>
  Orchestrator.use((service) => service.embed(input))

/**
 * What `layer` gives.
 *
 * @since 0.1.0
 * @category models
 */
export type Services =
  | Control.Control
  | Orchestrator
  | Router.Router
  | PoolManager.PoolManager
  | TaskGroupManager.TaskGroupManager
  | WrapperManager.WrapperManager

/**
 * All services over an interpreter.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Services, never, Interpreter.Interpreter> = Layer.mergeAll(
  Layer.provideMerge(Orchestrator.layer, Router.Router.layer),
  PoolManager.PoolManager.layer,
  TaskGroupManager.TaskGroupManager.layer,
  WrapperManager.WrapperManager.layer,
  Control.Control.layer
)
