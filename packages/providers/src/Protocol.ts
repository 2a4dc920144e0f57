/**
 * A wire protocol: how a request is said, and how a reply is read.
 *
 * Every protocol has the same sections in the same order: wire types, lowering a request, parsing a stream,
 * parsing a buffered reply, decoding errors. A stream is parsed by a pure step `(state, event) => [state, parts]`
 * and a flush at the end of input; a buffered reply goes through the same step, so that both give the same answer.
 *
 * @since 0.1.0
 */
import type * as LlmError from "@echelon/core/LlmError"
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Part from "@echelon/core/Part"
import type * as Dialect from "./Dialect.ts"
import type * as ErrorReply from "./ErrorReply.ts"
import type * as Json from "./Json.ts"
import * as Lane from "./Lane.ts"
import type * as Sse from "./Sse.ts"

/**
 * What a protocol has to know of the instance it speaks for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The provider's kind: the key of its own options in a request and of its own metadata in a part. */
  readonly kind: string
  /** The model's name on the wire. */
  readonly model: string
  readonly maxOutputTokens: number | undefined
  readonly dialect: Dialect.Dialect
}

/**
 * A protocol as it is written.
 *
 * **Details** `step` and `flush` never throw. A failure is a part of type `error` that holds an `LlmError`; it is
 * the last part.
 *
 * @since 0.1.0
 * @category models
 */
export interface Spec<State> {
  readonly name: string
  /** The body of a request. Fields that cannot be said are named to `dropped`. */
  readonly lower: (
    request: LlmRequest.LlmRequest,
    options: Options,
    dropped: (field: string) => void
  ) => Readonly<Record<string, unknown>>
  readonly initial: (options: Options) => State
  readonly step: (state: State, event: Sse.Event) => readonly [State, ReadonlyArray<Part.Part>]
  readonly flush: (state: State) => ReadonlyArray<Part.Part>
  readonly parse: (body: Json.JsonObject, options: Options) => ReadonlyArray<Part.Part>
  /** What an error body says; `undefined` when it is none of this protocol's. */
  readonly decodeError: (body: Json.Json, options: Options) => ErrorReply.Decoded | undefined
}

/**
 * Reads one stream.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reader {
  readonly push: (event: Sse.Event) => ReadonlyArray<Part.Part>
  readonly end: () => ReadonlyArray<Part.Part>
}

/**
 * A protocol as it is used: its state is nobody else's business.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protocol extends Pick<Spec<unknown>, "name" | "lower" | "parse" | "decodeError"> {
  readonly reader: (options: Options) => Reader
}

/**
 * Makes a protocol of its spec.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <State>(spec: Spec<State>): Protocol => ({
  name: spec.name,
  lower: (request, options, dropped) => {
    const told = Lane.once(dropped)
    return spec.lower(Lane.enter(request, { protocol: spec.name, kind: options.kind }, told), options, told)
  },
  parse: spec.parse,
  decodeError: spec.decodeError,
  reader: (options) => {
    let state = spec.initial(options)
    return {
      push: (event) => {
        const [next, parts] = spec.step(state, event)
        state = next
        return parts
      },
      end: () => spec.flush(state)
    }
  }
})

/**
 * The part that ends a stream by a failure.
 *
 * @since 0.1.0
 * @category constructors
 */
export const failed = (error: LlmError.LlmError): Part.Part => ({ type: "error", error })
