/**
 * The OpenAI Chat Completions protocol, as OpenAI and a dozen other servers speak it.
 *
 * Its sections are files that stand beside those of `AnthropicMessages`: `OpenAiChatRequest` lowers,
 * `OpenAiChatStream` parses streams and buffered replies, `OpenAiChatTools` puts tool calls together,
 * `OpenAiChatError` decodes errors.
 *
 * @since 0.1.0
 */
import * as OpenAiChatError from "./OpenAiChatError.ts"
import * as OpenAiChatRequest from "./OpenAiChatRequest.ts"
import * as OpenAiChatStream from "./OpenAiChatStream.ts"
import * as Protocol from "./Protocol.ts"

/**
 * OpenAI Chat Completions.
 *
 * @since 0.1.0
 * @category protocols
 */
export const protocol: Protocol.Protocol = Protocol.make<OpenAiChatStream.State>({
  name: OpenAiChatRequest.protocol,
  lower: OpenAiChatRequest.lower,
  initial: OpenAiChatStream.initial,
  step: OpenAiChatStream.step,
  flush: OpenAiChatStream.flush,
  parse: OpenAiChatStream.parse,
  decodeError: OpenAiChatError.decode
})
