/**
 * The Anthropic Messages protocol.
 *
 * Its sections are files that stand beside those of `OpenAiChat`: `AnthropicMessagesRequest` lowers,
 * `AnthropicMessagesStream` parses streams and buffered replies, `AnthropicMessagesError` decodes errors.
 *
 * @since 0.1.0
 */
import * as AnthropicMessagesError from "./AnthropicMessagesError.ts"
import * as AnthropicMessagesRequest from "./AnthropicMessagesRequest.ts"
import * as AnthropicMessagesStream from "./AnthropicMessagesStream.ts"
import * as Protocol from "./Protocol.ts"

/**
 * Anthropic Messages.
 *
 * @since 0.1.0
 * @category protocols
 */
export const protocol: Protocol.Protocol = Protocol.make<AnthropicMessagesStream.State>({
  name: AnthropicMessagesRequest.protocol,
  lower: AnthropicMessagesRequest.lower,
  initial: AnthropicMessagesStream.initial,
  step: AnthropicMessagesStream.step,
  flush: AnthropicMessagesStream.flush,
  parse: AnthropicMessagesStream.parse,
  decodeError: AnthropicMessagesError.decode
})
