/**
 * A request on its way: what the caller asked, and what the policies that serve it share.
 *
 * `Input` is what a program writes. `LlmRequest` is one run of it: it carries by value all that a later
 * layer reads, so that no policy looks anything up in a hidden place. One `LlmRequest` is served once;
 * `make` it anew for every run.
 *
 * @since 0.1.0
 */

import type * as Prompt from "effect/ai/Prompt"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Attempt from "./Attempt.ts"
import * as Budget from "./Budget.ts"
import type * as Capability from "./Capability.ts"
import * as Clocks from "./Clocks.ts"
import * as LlmError from "./LlmError.ts"
import * as MetadataCheck from "./MetadataCheck.ts"
import type * as Observe from "./Observe.ts"
import type * as RequestKey from "./RequestKey.ts"
import * as Route from "./Route.ts"

/**
 * A message in effect/ai's encoded form.
 *
 * @since 0.1.0
 * @category models
 */
export type Message = Prompt.MessageEncoded

/**
 * A tool the model may call. `parameters` is a JSON Schema.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tool {
  readonly name: string
  readonly description?: string | undefined
  readonly parameters: Readonly<Record<string, unknown>>
  /** Ask the provider to hold the arguments to the schema exactly, where it can. */
  readonly strict?: boolean | undefined
}

/**
 * Whether the model must, may or must not call a tool, or which one it must call.
 *
 * @default "auto" when there are tools
 * @since 0.1.0
 * @category models
 */
export type ToolChoice = "auto" | "none" | "required" | { readonly tool: string }

/**
 * A text to embed, or its tokens by the model's own encoding, which some providers take.
 *
 * @since 0.1.0
 * @category models
 */
export type Text = string | ReadonlyArray<number>

/**
 * Texts to embed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Embedding {
  /** At least one. */
  readonly input: ReadonlyArray<Text>
  /** The length that vectors must have. @default the model's own */
  readonly dimensions: number | undefined
}

/**
 * Plain text, or JSON held to a schema.
 *
 * @since 0.1.0
 * @category models
 */
export type ResponseFormat =
  | { readonly type: "text" }
  | {
      readonly type: "json"
      /** Letters, digits, `_` and `-`. */
      readonly name: string
      readonly schema: Readonly<Record<string, unknown>>
      readonly strict?: boolean | undefined
    }

/**
 * Sampling settings. What is absent is left to the echelon, then to the provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  readonly temperature?: number | undefined
  readonly maxOutputTokens?: number | undefined
  readonly topP?: number | undefined
  readonly topK?: number | undefined
  readonly stop?: ReadonlyArray<string> | undefined
  readonly seed?: number | undefined
  readonly presencePenalty?: number | undefined
  readonly frequencyPenalty?: number | undefined
  /** `false` asks for at most one tool call at a time. */
  readonly parallelToolCalls?: boolean | undefined
  /** A model that does not know it is asked for the next higher that it knows, else for its highest. */
  readonly reasoningEffort?: "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | undefined
}

/**
 * What to do when a stream breaks after commit.
 *
 * @since 0.1.0
 * @category models
 */
export type OnInterrupt = "fail" | "resume" | "restart"

/**
 * When a call succeeds: at its first output, or when the whole reply is in hand.
 *
 * @since 0.1.0
 * @category models
 */
export type Commit = "first_output" | "finish"

/**
 * Where a request goes and what is special about it. Never sent to a provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface Metadata extends Omit<Clocks.Options, "timeout"> {
  readonly wrapperName?: string | undefined
  readonly poolName?: string | undefined
  /** `"fast_group"`, or `"fast_group.echelon2"` to start there. */
  readonly groupName?: string | undefined
  readonly provider?: string | undefined
  readonly model?: string | undefined
  readonly tenant?: string | undefined
  readonly sessionId?: string | undefined
  /** How it is called in logs, traces and records. @default a new one for each */
  readonly requestId?: string | undefined
  /** @default "normal" */
  readonly priority?: "critical" | "normal" | "batch" | undefined
  /** The time this request may take until commit, queueing included. It becomes the deadline. */
  readonly timeout?: Duration.Input | undefined
  /** USD. */
  readonly maxCost?: number | undefined
  readonly tags?: ReadonlyArray<string> | undefined
  /** How it uses a pool's cache and shared calls, where there are any. @default "default" */
  readonly cache?: RequestKey.Mode | undefined
  readonly onInterrupt?: OnInterrupt | ReadonlyArray<OnInterrupt> | undefined
  readonly commit?: Commit | undefined
  readonly maxTotalAttempts?: number | undefined
}

/**
 * A body that came in by some provider's protocol. An instance that speaks the same protocol sends it on as
 * it came, with only what routing must change.
 *
 * @since 0.1.0
 * @category models
 */
export interface RawBody {
  /** The protocol's name in the provider table, for example `openai-chat`. */
  readonly protocol: string
  readonly body: Readonly<Record<string, unknown>>
}

/**
 * What a program asks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input {
  /** One user message, or a whole conversation. */
  readonly prompt: string | ReadonlyArray<Message>
  readonly tools?: ReadonlyArray<Tool> | undefined
  readonly toolChoice?: ToolChoice | undefined
  readonly responseFormat?: ResponseFormat | undefined
  readonly settings?: Settings | undefined
  /** Passed through untouched to instances of that provider kind: `{ openai: { logprobs: true } }`. */
  readonly providerOptions?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined
  readonly metadata?: Metadata | undefined
  readonly raw?: RawBody | undefined
}

/**
 * A request on its way.
 *
 * @since 0.1.0
 * @category models
 */
export interface LlmRequest {
  readonly messages: ReadonlyArray<Message>
  readonly tools: ReadonlyArray<Tool>
  readonly toolChoice: ToolChoice | undefined
  readonly responseFormat: ResponseFormat
  /** What is to be embedded; the request is then for vectors and has no messages. `LlmEmbedding.make` makes one. */
  readonly embedding: Embedding | undefined
  readonly settings: Settings
  readonly providerOptions: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly metadata: Metadata
  /** Whether the provider is asked for a stream. */
  readonly stream: boolean
  readonly commit: Commit
  /** The absolute end of the time until commit, by Effect's `Clock`. Layers shorten it, none extends it. */
  readonly deadline: number | undefined
  /** This attempt's share of the deadline: first output must have come by then. */
  readonly firstOutputBy: number | undefined
  readonly clocks: Clocks.Clocks
  readonly budget: Budget.Budget
  readonly recorder: Route.Recorder
  /** `group.echelonN` of the instance that is asked. */
  readonly echelon: string | undefined
  /** As what the route lists the attempt. */
  readonly kind: Route.Kind
  /**
   * The attempt that a layer has opened for this very call. The instance joins it instead of opening one, so
   * that all that stands around an instance shares one scope.
   */
  readonly attempt: Attempt.Attempt | undefined
  /** Who watches it; `undefined` when nobody does. */
  readonly observation: Observe.Live | undefined
  readonly raw: RawBody | undefined
}

/**
 * Starts one run of an input: a fresh budget, an empty route, and the deadline counted from now.
 *
 * **Errors** `InvalidRequest` when a value of the metadata is none that is allowed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  input: Input,
  options: { readonly stream: boolean; readonly commit: Commit; readonly embedding?: Embedding | undefined }
): Effect.Effect<LlmRequest, LlmError.LlmError> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const { timeout, ...metadata } = input.metadata ?? {}
    const wrong = input.metadata === undefined ? undefined : MetadataCheck.problem(input.metadata)
    if (wrong !== undefined) return Effect.fail(LlmError.make({ reason: { _tag: "InvalidRequest" }, detail: wrong }))
    const request: LlmRequest = {
      messages: typeof input.prompt === "string" ? [{ role: "user", content: input.prompt }] : input.prompt,
      tools: input.tools ?? [],
      toolChoice: input.toolChoice,
      responseFormat: input.responseFormat ?? { type: "text" },
      embedding: options.embedding,
      settings: input.settings ?? {},
      providerOptions: input.providerOptions ?? {},
      metadata: input.metadata ?? {},
      stream: options.stream,
      // Who folds has shown nobody anything: nothing is gained by an early commit.
      commit: options.commit === "finish" ? "finish" : (metadata.commit ?? options.commit),
      deadline: undefined,
      firstOutputBy: undefined,
      clocks: Clocks.withOptions(Clocks.defaults, metadata),
      budget: Budget.make({ attempts: metadata.maxTotalAttempts, maxCost: metadata.maxCost }),
      recorder: Route.makeRecorder(),
      echelon: undefined,
      kind: "call",
      attempt: undefined,
      observation: undefined,
      raw: input.raw
    }
    return Effect.succeed(timeout === undefined ? request : withTimeout(request, timeout, now))
  })

/**
 * Shortens the deadline to `timeout` from `now`. A deadline that ends earlier stays.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withTimeout = (request: LlmRequest, timeout: Duration.Input, now: number): LlmRequest => {
  const millis = Duration.toMillis(timeout)
  if (!(millis > 0)) throw new RangeError(`LlmRequest.withTimeout: timeout must be above 0, got ${millis} ms`)
  const deadline = now + millis
  return request.deadline !== undefined && request.deadline <= deadline ? request : { ...request, deadline }
}

/**
 * Fills settings that the request left open; what it states stays.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withDefaults = (request: LlmRequest, settings: Settings): LlmRequest => {
  const filled: Record<string, unknown> = { ...settings }
  for (const [key, value] of Object.entries(request.settings)) if (value !== undefined) filled[key] = value
  return { ...request, settings: filled as Settings }
}

/**
 * What a request needs of a model.
 *
 * @since 0.1.0
 * @category getters
 */
export const needs = (request: LlmRequest): ReadonlyArray<Capability.Capability> => {
  if (request.embedding !== undefined) return ["embeddings"]
  const found: Array<Capability.Capability> = []
  if (request.tools.length > 0 && request.toolChoice !== "none") found.push("tools")
  if (request.responseFormat.type === "json") found.push("json_schema")
  let images = false
  let files = false
  for (const message of request.messages) {
    if (typeof message.content === "string" || message.role === "system") continue
    for (const part of message.content) {
      if (part.type !== "file") continue
      if (part.mediaType.startsWith("image/")) images = true
      else files = true
    }
  }
  if (images) found.push("images")
  if (files) found.push("files")
  return found
}
