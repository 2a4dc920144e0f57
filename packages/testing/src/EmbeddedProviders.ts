/**
 * Providers inside the process: a server that speaks OpenAI's Chat Completions and Anthropic's Messages on
 * loopback and answers every prompt alike, behind fronts that misbehave as told.
 *
 * They serve demonstrations, `ask --env embedded` and end-to-end tests: no key, no network, real sockets.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as FaultFront from "./FaultFront.ts"

/**
 * The provider whose protocol is spoken.
 *
 * @since 0.1.0
 * @category models
 */
export type Provider = "openai" | "anthropic"

/**
 * What is embedded.
 *
 * @since 0.1.0
 * @category models
 */
export interface Shape {
  /** Ends in `/v1`. */
  readonly openaiUrl: string
  /** Ends in `/v1`. */
  readonly anthropicUrl: string
  /** The environment that a configuration reads: `ECHELON_EMBEDDED_OPENAI_URL`, `ECHELON_EMBEDDED_ANTHROPIC_URL`. */
  readonly variables: Readonly<Record<string, string>>
  /**
   * Sets or, with `undefined`, lifts the fault of a provider's requests to come: of those that name one of
   * `models` on the wire, or of all. Setting it for all forgets what was set for single models.
   */
  readonly setFault: (
    provider: Provider,
    fault: FaultFront.Fault | undefined,
    models?: ReadonlyArray<string> | undefined
  ) => Effect.Effect<void>
  readonly served: Effect.Effect<Readonly<Record<Provider, FaultFront.Served>>>
}

/**
 * Why the providers did not start: the server's package could not be loaded, or no port could be had.
 *
 * @since 0.1.0
 * @category errors
 */
export class EmbeddedProvidersError extends Data.TaggedError("EmbeddedProvidersError")<{
  readonly reason: { readonly _tag: "Load" | "Listen"; readonly cause: unknown }
}> {
  override get message(): string {
    const { _tag, cause } = this.reason
    const head = _tag === "Load" ? "@copilotkit/aimock could not be loaded" : "no port could be had on loopback"
    return cause instanceof Error ? `${head}: ${cause.message}` : head
  }
}

/**
 * Options of `makeWith`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The answer to every prompt, by the model asked. @default one sentence that names the model */
  readonly text?: ((model: string) => string) | undefined
  /** Characters an event of a stream holds. @default 8 */
  readonly chunkSize?: number | undefined
}

const defaultText = (model: string): string =>
  `This is ${model}, embedded in the process. It gives every prompt these same words, part by part.`

/** About four characters a token, as English text has them. */
const tokens = (characters: number): number => Math.max(1, Math.ceil(characters / 4))

/**
 * Starts the embedded providers; they close with the scope.
 *
 * **Details** Streamed and buffered answers report usage. The server's package is loaded when this runs, so
 * that importing this module costs nothing.
 *
 * **Errors** `EmbeddedProvidersError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeWith = (options: Options): Effect.Effect<Shape, EmbeddedProvidersError, Scope.Scope> =>
  Effect.gen(function* () {
    const { chunkSize = 8, text = defaultText } = options
    const failed = (_tag: "Load" | "Listen") => (cause: unknown) =>
      new EmbeddedProvidersError({ reason: { _tag, cause } })
    const { LLMock } = yield* Effect.tryPromise({ try: () => import("@copilotkit/aimock"), catch: failed("Load") })
    // It keeps every request when told to keep none.
    const mock = new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent", chunkSize, journalMaxEntries: 1 })
    mock.on({ endpoint: "chat" }, ({ messages, model }) => {
      const content = text(model)
      return {
        content,
        usage: {
          prompt_tokens: tokens(JSON.stringify(messages).length),
          completion_tokens: tokens(content.length)
        }
      }
    })
    mock.onEmbedding(/(?:)/, { embedding: [0.25, 0.5, 0.75, 1] })
    const upstream = yield* Effect.acquireRelease(
      Effect.tryPromise({ try: () => mock.start(), catch: failed("Listen") }),
      () => Effect.promise(() => mock.stop())
    )
    const front = Effect.mapError(FaultFront.make({ upstream }), failed("Listen"))
    const fronts = { openai: yield* front, anthropic: yield* front }
    const openaiUrl = `${fronts.openai.url}/v1`
    const anthropicUrl = `${fronts.anthropic.url}/v1`
    return {
      openaiUrl,
      anthropicUrl,
      variables: { ECHELON_EMBEDDED_OPENAI_URL: openaiUrl, ECHELON_EMBEDDED_ANTHROPIC_URL: anthropicUrl },
      setFault: (provider, fault, models) => fronts[provider].setFault(fault, models),
      served: Effect.all({ openai: fronts.openai.served, anthropic: fronts.anthropic.served })
    }
  })

/**
 * Starts the embedded providers with their defaults; they close with the scope.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { EmbeddedProviders } from "@echelon/testing"
 *
 * const program = Effect.gen(function* () {
 *   const providers = yield* EmbeddedProviders.make
 *   const ask = Effect.promise(() =>
 *     fetch(`${providers.openaiUrl}/chat/completions`, {
 *       method: "POST",
 *       headers: { "content-type": "application/json" },
 *       body: JSON.stringify({ model: "small", messages: [{ role: "user", content: "hi" }] })
 *     })
 *   )
 *   console.assert((yield* ask).status === 200)
 *   yield* providers.setFault("openai", { _tag: "Status", status: 429, retryAfter: "1 second" })
 *   console.assert((yield* ask).status === 429)
 *   console.assert((yield* providers.served).openai.requests === 2)
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Shape, EmbeddedProvidersError, Scope.Scope> = makeWith({})

/**
 * The embedded providers as a service.
 *
 * @since 0.1.0
 * @category services
 */
export class EmbeddedProviders extends Context.Service<EmbeddedProviders, Shape>()(
  "@echelon/testing/EmbeddedProviders"
) {}

/**
 * Starts the embedded providers with the Layer and closes them with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<EmbeddedProviders, EmbeddedProvidersError> = Layer.effect(EmbeddedProviders, make)
