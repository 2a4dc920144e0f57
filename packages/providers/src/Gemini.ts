/**
 * The Google Gemini protocol: `generateContent` and `streamGenerateContent`.
 *
 * Its sections are files that stand beside those of `OpenAiChat`: `GeminiRequest` lowers, with `GeminiContents` for
 * the conversation and `GeminiModel` for what models differ in; `GeminiStream` parses streams and buffered replies,
 * with `GeminiTools` for calls; `GeminiError` decodes errors.
 *
 * @since 0.1.0
 */
import * as GeminiError from "./GeminiError.ts"
import * as GeminiRequest from "./GeminiRequest.ts"
import * as GeminiStream from "./GeminiStream.ts"
import * as Protocol from "./Protocol.ts"

/**
 * Google Gemini.
 *
 * @since 0.1.0
 * @category protocols
 */
export const protocol: Protocol.Protocol = Protocol.make<GeminiStream.State>({
  name: GeminiRequest.protocol,
  lower: GeminiRequest.lower,
  initial: GeminiStream.initial,
  step: GeminiStream.step,
  flush: GeminiStream.flush,
  parse: GeminiStream.parse,
  decodeError: GeminiError.decode
})
