/**
 * What the `ai` package and its providers say to each other, as far as Echelon takes part: its specification of language
 * and embedding models, versions 3 and 4, by structure. No package of it is needed, neither to run nor for types.
 *
 * @since 0.1.0
 */

/**
 * A JSON value.
 *
 * @since 0.1.0
 * @category models
 */
export type Json = null | string | number | boolean | Readonly<JsonObject> | ReadonlyArray<Json>

/**
 * A JSON object.
 *
 * @since 0.1.0
 * @category models
 */
export type JsonObject = { [key: string]: Json | undefined }

/**
 * What belongs to single providers, by their name.
 *
 * @since 0.1.0
 * @category models
 */
export type PerProvider = Record<string, JsonObject>

/**
 * The versions that are spoken: `v3` of `ai` 6, `v4` of `ai` 7, which takes both.
 *
 * @since 0.1.0
 * @category models
 */
export type Version = "v3" | "v4"

// ---------------------------------------------------------------------------------------------------------------
// What is asked
// ---------------------------------------------------------------------------------------------------------------

/**
 * A file: what version 3 says bare, version 4 says with a type.
 *
 * @since 0.1.0
 * @category models
 */
export type FileData =
  | Uint8Array
  | string
  | URL
  | { readonly type: "data"; readonly data: Uint8Array | string }
  | { readonly type: "url"; readonly url: URL }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reference"; readonly reference: unknown }

/**
 * What a tool gave.
 *
 * @since 0.1.0
 * @category models
 */
export type ToolOutput =
  | { readonly type: "text" | "error-text"; readonly value: string }
  | { readonly type: "json" | "error-json"; readonly value: unknown }
  | { readonly type: "execution-denied"; readonly reason?: string | undefined }
  | { readonly type: "content"; readonly value: ReadonlyArray<OutputPart> }

/**
 * A part of what a tool gave.
 *
 * @since 0.1.0
 * @category models
 */
export interface OutputPart {
  readonly type: string
  readonly text?: string | undefined
  readonly data?: FileData | undefined
  readonly url?: string | undefined
  readonly mediaType?: string | undefined
  readonly filename?: string | undefined
}

interface Carrier {
  readonly providerOptions?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined
}

/**
 * A part of a message. Those that are not named here are left out, and said to be.
 *
 * @since 0.1.0
 * @category models
 */
export type MessagePart = Carrier &
  (
    | { readonly type: "text" | "reasoning"; readonly text: string }
    | {
        readonly type: "file"
        readonly data: FileData
        readonly mediaType: string
        readonly filename?: string | undefined
      }
    | { readonly type: "reasoning-file"; readonly data: FileData; readonly mediaType: string }
    | { readonly type: "custom"; readonly kind: string }
    | {
        readonly type: "tool-call"
        readonly toolCallId: string
        readonly toolName: string
        readonly input: unknown
        readonly providerExecuted?: boolean | undefined
      }
    | {
        readonly type: "tool-result"
        readonly toolCallId: string
        readonly toolName: string
        readonly output: ToolOutput
      }
    | {
        readonly type: "tool-approval-response"
        readonly approvalId: string
        readonly approved: boolean
        readonly reason?: string | undefined
      }
  )

/**
 * A message of a prompt.
 *
 * @since 0.1.0
 * @category models
 */
export type Message = Carrier &
  (
    | { readonly role: "system"; readonly content: string }
    | { readonly role: "user" | "assistant" | "tool"; readonly content: ReadonlyArray<MessagePart> }
  )

/**
 * A tool: a function of the program, or one that a provider defines.
 *
 * @since 0.1.0
 * @category models
 */
export type Tool =
  | {
      readonly type: "function"
      readonly name: string
      readonly description?: string | undefined
      readonly inputSchema: object | boolean
      readonly strict?: boolean | undefined
    }
  | { readonly type: "provider"; readonly id: string; readonly name: string }

/**
 * What a language model is asked.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions extends Carrier {
  readonly prompt: ReadonlyArray<Message>
  readonly maxOutputTokens?: number | undefined
  readonly temperature?: number | undefined
  readonly stopSequences?: ReadonlyArray<string> | undefined
  readonly topP?: number | undefined
  readonly topK?: number | undefined
  readonly presencePenalty?: number | undefined
  readonly frequencyPenalty?: number | undefined
  readonly responseFormat?:
    | { readonly type: "text" }
    | {
        readonly type: "json"
        readonly schema?: object | boolean | undefined
        readonly name?: string | undefined
        readonly description?: string | undefined
      }
    | undefined
  readonly seed?: number | undefined
  readonly tools?: ReadonlyArray<Tool> | undefined
  readonly toolChoice?:
    | { readonly type: "auto" | "none" | "required" }
    | { readonly type: "tool"; readonly toolName: string }
    | undefined
  readonly abortSignal?: AbortSignal | undefined
  readonly headers?: Readonly<Record<string, string | undefined>> | undefined
  /** Version 4. */
  readonly reasoning?: string | undefined
}

/**
 * What an embedding model is asked.
 *
 * @since 0.1.0
 * @category models
 */
export interface EmbedOptions extends Carrier {
  readonly values: ReadonlyArray<string>
  /** Version 4. */
  readonly dimensions?: number | undefined
  readonly abortSignal?: AbortSignal | undefined
  readonly headers?: Readonly<Record<string, string | undefined>> | undefined
}

// ---------------------------------------------------------------------------------------------------------------
// What is answered
// ---------------------------------------------------------------------------------------------------------------

/**
 * Something that could not be said, or not as it was.
 *
 * @since 0.1.0
 * @category models
 */
export type Warning =
  | { type: "unsupported" | "compatibility"; feature: string; details?: string }
  | { type: "other"; message: string }

/**
 * Why an answer ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface FinishReason {
  unified: "stop" | "length" | "content-filter" | "tool-calls" | "error" | "other"
  raw: string | undefined
}

/**
 * Tokens of an answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Usage {
  inputTokens: {
    total: number | undefined
    noCache: number | undefined
    cacheRead: number | undefined
    cacheWrite: number | undefined
  }
  outputTokens: { total: number | undefined; text: number | undefined; reasoning: number | undefined }
}

interface Marked {
  providerMetadata?: PerProvider
}

/**
 * A file of an answer: its data bare in version 3, with a type in version 4.
 *
 * @since 0.1.0
 * @category models
 */
export type File<V extends Version> = Marked & {
  type: "file"
  mediaType: string
  data: V extends "v3" ? string : { type: "data"; data: string }
}

/**
 * The parts that buffered and streamed answers share.
 *
 * @since 0.1.0
 * @category models
 */
export type SharedPart<V extends Version> =
  | File<V>
  | (Marked & {
      type: "tool-call"
      toolCallId: string
      toolName: string
      input: string
      providerExecuted?: boolean
      dynamic?: boolean
    })
  | (Marked & {
      type: "tool-result"
      toolCallId: string
      toolName: string
      result: NonNullable<Json>
      isError?: boolean
      preliminary?: boolean
      dynamic?: boolean
    })
  | (Marked & { type: "tool-approval-request"; approvalId: string; toolCallId: string })
  | (Marked & { type: "source"; sourceType: "url"; id: string; url: string; title?: string })
  | (Marked & {
      type: "source"
      sourceType: "document"
      id: string
      mediaType: string
      title: string
      filename?: string
    })

/**
 * A part of a whole answer.
 *
 * @since 0.1.0
 * @category models
 */
export type Content<V extends Version> = SharedPart<V> | (Marked & { type: "text" | "reasoning"; text: string })

/**
 * Who answered, by the provider's own word.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResponseMetadata {
  id?: string
  timestamp?: Date
  modelId?: string
}

/**
 * A part of a streamed answer.
 *
 * @since 0.1.0
 * @category models
 */
export type StreamPart<V extends Version> =
  | SharedPart<V>
  | { type: "stream-start"; warnings: Array<Warning> }
  | (Marked & { type: "text-start" | "text-end" | "reasoning-start" | "reasoning-end"; id: string })
  | (Marked & { type: "text-delta" | "reasoning-delta" | "tool-input-delta"; id: string; delta: string })
  | (Marked & { type: "tool-input-start"; id: string; toolName: string; providerExecuted?: boolean; dynamic?: boolean })
  | (Marked & { type: "tool-input-end"; id: string })
  | ({ type: "response-metadata" } & ResponseMetadata)
  | (Marked & { type: "finish"; usage: Usage; finishReason: FinishReason })
  | { type: "error"; error: unknown }

/**
 * A whole answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface GenerateResult<V extends Version> {
  content: Array<Content<V>>
  finishReason: FinishReason
  usage: Usage
  providerMetadata?: PerProvider
  response?: ResponseMetadata
  warnings: Array<Warning>
}

/**
 * A language model.
 *
 * @since 0.1.0
 * @category models
 */
export interface LanguageModel<V extends Version> {
  readonly specificationVersion: V
  readonly provider: string
  readonly modelId: string
  supportedUrls: Record<string, Array<RegExp>>
  doGenerate(options: CallOptions): Promise<GenerateResult<V>>
  doStream(options: CallOptions): Promise<{ stream: ReadableStream<StreamPart<V>> }>
}

/**
 * An embedding model.
 *
 * @since 0.1.0
 * @category models
 */
export interface EmbeddingModel<V extends Version> {
  readonly specificationVersion: V
  readonly provider: string
  readonly modelId: string
  readonly maxEmbeddingsPerCall: number | undefined
  readonly supportsParallelCalls: boolean
  doEmbed(options: EmbedOptions): Promise<{
    embeddings: Array<Array<number>>
    usage?: { tokens: number }
    providerMetadata?: PerProvider
    warnings: Array<Warning>
  }>
}
