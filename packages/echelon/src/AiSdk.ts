/**
 * A provider for the `ai` package: its users point at a pool, and every call of theirs gets failover, limits and a route.
 *
 * @since 0.1.0
 */
import * as LanguageModelParts from "@echelon/core/LanguageModelParts"
import * as Llm from "@echelon/core/Llm"
import type * as LlmEmbedding from "@echelon/core/LlmEmbedding"
import * as LlmError from "@echelon/core/LlmError"
import type * as LlmReply from "@echelon/core/LlmReply"
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Part from "@echelon/core/Part"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Reply from "./AiSdkReply.ts"
import * as Request from "./AiSdkRequest.ts"
import type * as Spec from "./AiSdkSpec.ts"
import * as OpenedReply from "./OpenedReply.ts"

interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

/**
 * Who answers, in promises: a `Runtime`, or anything else of its shape.
 *
 * **Details** Without `open` a stream comes from `stream`, and its finish part tells no route. Without `embed` there are
 * no embedding models.
 *
 * @since 0.1.0
 * @category models
 */
export interface Promised {
  readonly generate: (input: LlmRequest.Input, options?: CallOptions) => Promise<LlmReply.Answer>
  readonly stream: (input: LlmRequest.Input, options?: CallOptions) => AsyncIterable<Part.Part>
  readonly open?: ((input: LlmRequest.Input, options?: CallOptions) => Promise<OpenedReply.OpenedReply>) | undefined
  readonly embed?: ((input: LlmEmbedding.Input, options?: CallOptions) => Promise<LlmEmbedding.Answer>) | undefined
}

/**
 * Options of `provider`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How the provider is called where the `ai` package tells. @default "echelon" */
  readonly name?: string | undefined
  /** Where a model's name goes. @default `metadataOf` */
  readonly metadata?: ((modelId: string) => LlmRequest.Metadata) | undefined
  /**
   * Addresses that go to the model as they are, by media type. Any other is fetched by the `ai` package and sent as
   * bytes, which every model of a pool can read.
   *
   * @default none
   */
  readonly supportedUrls?: Record<string, Array<RegExp>> | undefined
  /** How many texts `embedMany` sends at once. @default 100 */
  readonly maxEmbeddingsPerCall?: number | undefined
}

/**
 * A provider: a function from names to language models, and its methods.
 *
 * @since 0.1.0
 * @category models
 */
export interface Provider<V extends Spec.Version> {
  /** Without a name requests go where the configuration sends those that name nothing. */
  (modelId?: string): Spec.LanguageModel<V>
  readonly specificationVersion: V
  languageModel(modelId: string): Spec.LanguageModel<V>
  embeddingModel(modelId: string): Spec.EmbeddingModel<V>
  /** Fails: there are no image models. */
  imageModel(modelId: string): never
}

/**
 * Reads a model's name as the gateway does: `pool:NAME`, `wrapper:NAME`, `group:NAME`, `provider/model` for a direct
 * client; a plain name is a pool's, an empty one leaves it to the configuration.
 *
 * @since 0.1.0
 * @category getters
 */
export const metadataOf = (modelId: string): LlmRequest.Metadata => {
  if (modelId === "") return {}
  const [, kind, name] = /^(pool|wrapper|group):(.+)$/s.exec(modelId) ?? []
  if (kind === "wrapper") return { wrapperName: name }
  if (kind === "group") return { groupName: name }
  if (kind === "pool") return { poolName: name }
  const slash = modelId.indexOf("/")
  return slash > 0 ? { provider: modelId.slice(0, slash), model: modelId.slice(slash + 1) } : { poolName: modelId }
}

/**
 * Makes a provider for `ai` 7, over a `Runtime` or any `Llm`.
 *
 * **Details** Tools, reasoning, files, structured output, usage and the finish reason are as with any provider.
 * `providerMetadata.echelon` tells who answered and the route; read it with `routeOf`. `providerOptions.echelon` is
 * metadata of the request (`{ tenant, sessionId, priority, timeout, maxCost }`); other entries go to instances of that
 * kind, in the words of its wire. An `Llm` of its own takes no notice of the model's name.
 *
 * **Errors** Calls reject with `LlmError`, a stream that breaks after its first output ends with an error part that holds
 * one. The `ai` package does not repeat them: what could be repeated has been. An aborted call rejects with the signal's
 * reason.
 *
 * @example
 * ```ts
 * import { Pool } from "@echelon/core"
 * import * as AiSdk from "@echelon/echelon/AiSdk"
 * import { ScriptedLlm } from "@echelon/testing"
 * import { Effect } from "effect"
 *
 * const pool = Effect.gen(function* () {
 *   const down = yield* ScriptedLlm.make({ id: "down", script: ScriptedLlm.fails({ _tag: "Overloaded" }) })
 *   const up = yield* ScriptedLlm.make({ id: "up", script: ScriptedLlm.text("hello") })
 *   return yield* Pool.make([down.llm, up.llm], { id: "pool" })
 * })
 * await Effect.runPromise(
 *   Effect.gen(function* () {
 *     // const { text } = await generateText({ model: echelon("pool"), prompt: "hi" })
 *     const echelon = AiSdk.provider(yield* pool)
 *     const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: "hi" }] }]
 *     const { content, providerMetadata } = yield* Effect.promise(() => echelon("pool").doGenerate({ prompt }))
 *     console.assert(content[0]?.type === "text" && content[0].text === "hello")
 *     console.assert(AiSdk.routeOf(providerMetadata)?.instance === "up")
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const provider = (target: Promised | Llm.Llm, options: Options = {}): Provider<"v4"> =>
  make(promised(target), options, "v4")

/**
 * Makes a provider for `ai` 6, whose specification is version 3. `ai` 7 takes it, too.
 *
 * @since 0.1.0
 * @category constructors
 */
export const providerV3 = (target: Promised | Llm.Llm, options: Options = {}): Provider<"v3"> =>
  make(promised(target), options, "v3")

/**
 * Reads who answered, and the route, of the `providerMetadata` that the `ai` package hands out; `undefined` when it holds
 * none.
 *
 * @since 0.1.0
 * @category getters
 */
export const routeOf = (
  providerMetadata: Readonly<Record<string, unknown>> | undefined
): LanguageModelParts.RouteMetadata | undefined =>
  // It is decoded, whatever it is.
  LanguageModelParts.routeOf([{ type: "finish", metadata: providerMetadata as Spec.PerProvider as never }])

const make = <V extends Spec.Version>(target: Promised, options: Options, version: V): Provider<V> => {
  const { maxEmbeddingsPerCall = 100, metadata = metadataOf, name = "echelon", supportedUrls = {} } = options
  if (!(Number.isSafeInteger(maxEmbeddingsPerCall) && maxEmbeddingsPerCall >= 1))
    throw new RangeError(
      `AiSdk.provider: maxEmbeddingsPerCall must be a whole number from 1 on, got ${maxEmbeddingsPerCall}`
    )
  const languageModel = (modelId = ""): Spec.LanguageModel<V> => ({
    specificationVersion: version,
    provider: name,
    modelId,
    supportedUrls,
    doGenerate: async (call) => {
      const { input, warnings } = Request.lower(call, metadata(modelId))
      const answer = await target.generate(input, { signal: call.abortSignal })
      return { ...Reply.whole(answer, contextOf(call, version)), warnings }
    },
    doStream: async (call) => {
      const { input, warnings } = Request.lower(call, metadata(modelId))
      const opened = await open(target, input, { signal: call.abortSignal })
      return { stream: readable(opened, contextOf(call, version), warnings, call.abortSignal) }
    }
  })
  const embeddingModel = (modelId: string): Spec.EmbeddingModel<V> => ({
    specificationVersion: version,
    provider: name,
    modelId,
    maxEmbeddingsPerCall,
    supportsParallelCalls: true,
    doEmbed: async ({ abortSignal, dimensions, headers, providerOptions, values }) => {
      if (target.embed === undefined) throw missing(`embedding model ${modelId}`)
      const warnings: Array<Spec.Warning> = []
      Request.dropHeaders(headers, warnings)
      const input = { input: values, dimensions, ...Request.own(providerOptions, metadata(modelId)) }
      return { ...Reply.embedded(await target.embed(input, { signal: abortSignal })), warnings }
    }
  })
  return Object.assign((modelId?: string) => languageModel(modelId), {
    specificationVersion: version,
    languageModel,
    embeddingModel,
    imageModel: (modelId: string): never => {
      throw missing(`image model ${modelId}`)
    }
  })
}

const missing = (what: string): LlmError.LlmError =>
  LlmError.make({ reason: { _tag: "InvalidRequest" }, detail: `there is no ${what}` })

const contextOf = <V extends Spec.Version>(call: Spec.CallOptions, version: V): Reply.Context<V> => ({
  version,
  tools: new Set((call.tools ?? []).map((tool) => tool.name))
})

const isPromised = (target: Promised | Llm.Llm): target is Promised => "generate" in target && !("call" in target)

const promised = (target: Promised | Llm.Llm): Promised => (isPromised(target) ? target : fromLlm(target))

/** An `Llm` in promises. */
const fromLlm = (llm: Llm.Llm): Promised & Required<Pick<Promised, "open">> => {
  const openLlm = (input: LlmRequest.Input, { signal }: CallOptions = {}): Promise<OpenedReply.OpenedReply> =>
    OpenedReply.make(Llm.open(llm, input), Context.empty(), signal)
  return {
    generate: (input, { signal } = {}) => run(Llm.generate(llm, input), signal),
    embed: (input, { signal } = {}) => run(Llm.embed(llm, input), signal),
    open: openLlm,
    stream: async function* (input, options) {
      yield* (await openLlm(input, options)).parts
    }
  }
}

const run = <A, E>(effect: Effect.Effect<A, E>, signal: AbortSignal | undefined): Promise<A> =>
  Effect.runPromise(OpenedReply.until(effect, signal))

/** Opens a stream. Its first part is waited for, so that what fails before any output rejects the call. */
const open = async (
  target: Promised,
  input: LlmRequest.Input,
  options: CallOptions
): Promise<OpenedReply.OpenedReply> => {
  if (target.open !== undefined) return target.open(input, options)
  const iterator = target.stream(input, options)[Symbol.asyncIterator]()
  let first: IteratorResult<Part.Part> | undefined = await iterator.next()
  const next = async () => {
    const result = first ?? (await iterator.next())
    first = undefined
    return result
  }
  const end = async () => (await iterator.return?.()) ?? { done: true as const, value: undefined }
  return { parts: { [Symbol.asyncIterator]: () => ({ next, return: end }) }, route: async () => [] }
}

/**
 * The parts as a stream of the web. It reads only what is asked for; cancelling it closes the connection.
 */
const readable = <V extends Spec.Version>(
  { parts, route }: OpenedReply.OpenedReply,
  context: Reply.Context<V>,
  warnings: Array<Spec.Warning>,
  signal: AbortSignal | undefined
): ReadableStream<Spec.StreamPart<V>> => {
  const iterator = parts[Symbol.asyncIterator]()
  const repeated = Reply.repeating()
  return new ReadableStream<Spec.StreamPart<V>>(
    {
      start: (controller) => controller.enqueue({ type: "stream-start", warnings }),
      pull: async (controller) => {
        try {
          for (;;) {
            const { done, value } = await iterator.next()
            if (done === true) return controller.close()
            const said = Reply.piece(repeated(value), context, value.type === "finish" ? await route() : [])
            if (said !== undefined) return controller.enqueue(said)
          }
        } catch (error) {
          if (signal?.aborted === true) return controller.error(signal.reason)
          controller.enqueue({ type: "error", error })
          controller.close()
        }
      },
      cancel: async () => {
        await iterator.return?.()
      }
    },
    { highWaterMark: 0 }
  )
}
