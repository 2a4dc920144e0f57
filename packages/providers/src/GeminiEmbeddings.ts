/**
 * Google Gemini's `batchEmbedContents`.
 *
 * Its sections are files that stand beside those of `OpenAiEmbeddings`: `GeminiEmbeddingsRequest` lowers,
 * `GeminiEmbeddingsReply` parses, `GeminiError` decodes errors.
 *
 * @since 0.1.0
 */
import * as GeminiEmbeddingsReply from "./GeminiEmbeddingsReply.ts"
import * as GeminiEmbeddingsRequest from "./GeminiEmbeddingsRequest.ts"
import * as GeminiError from "./GeminiError.ts"
import * as Protocol from "./Protocol.ts"

/**
 * Google Gemini embeddings.
 *
 * @since 0.1.0
 * @category protocols
 */
export const protocol: Protocol.Protocol = Protocol.make<GeminiEmbeddingsReply.State>({
  name: GeminiEmbeddingsRequest.protocol,
  lower: GeminiEmbeddingsRequest.lower,
  initial: GeminiEmbeddingsReply.initial,
  step: GeminiEmbeddingsReply.step,
  flush: GeminiEmbeddingsReply.flush,
  parse: GeminiEmbeddingsReply.parse,
  decodeError: GeminiError.decode
})
