/**
 * The OpenAI Embeddings protocol, as OpenAI and a dozen other servers speak it.
 *
 * Its sections are files that stand beside those of `OpenAiChat`: `OpenAiEmbeddingsRequest` lowers,
 * `OpenAiEmbeddingsReply` parses. Servers refuse in the shapes of Chat Completions, which `OpenAiChatError` decodes.
 *
 * @since 0.1.0
 */
import * as OpenAiChatError from "./OpenAiChatError.ts"
import * as OpenAiEmbeddingsReply from "./OpenAiEmbeddingsReply.ts"
import * as OpenAiEmbeddingsRequest from "./OpenAiEmbeddingsRequest.ts"
import * as Protocol from "./Protocol.ts"

/**
 * OpenAI Embeddings as a server understands it.
 *
 * @since 0.1.0
 * @category protocols
 */
export const make = (dialect: Partial<OpenAiEmbeddingsRequest.Dialect> = {}): Protocol.Protocol => {
  const understood = { ...OpenAiEmbeddingsRequest.defaults, ...dialect }
  return Protocol.make<OpenAiEmbeddingsReply.State>({
    name: OpenAiEmbeddingsRequest.protocol,
    lower: (request, options, dropped) => OpenAiEmbeddingsRequest.lower(request, options, dropped, understood),
    initial: OpenAiEmbeddingsReply.initial,
    step: OpenAiEmbeddingsReply.step,
    flush: OpenAiEmbeddingsReply.flush,
    parse: OpenAiEmbeddingsReply.parse,
    decodeError: OpenAiChatError.decode
  })
}

/**
 * OpenAI Embeddings.
 *
 * @since 0.1.0
 * @category protocols
 */
export const protocol: Protocol.Protocol = make()
