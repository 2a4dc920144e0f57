/**
 * The Converse protocol of Amazon Bedrock.
 *
 * Its sections are files that stand beside those of `OpenAiChat` and `AnthropicMessages`: `BedrockConverseRequest`
 * lowers, `BedrockConverseStream` parses streams and buffered replies, `BedrockConverseError` decodes errors.
 *
 * @since 0.1.0
 */
import * as BedrockConverseError from "./BedrockConverseError.ts"
import * as BedrockConverseRequest from "./BedrockConverseRequest.ts"
import * as BedrockConverseStream from "./BedrockConverseStream.ts"
import * as Protocol from "./Protocol.ts"

/**
 * Bedrock Converse.
 *
 * @since 0.1.0
 * @category protocols
 */
export const protocol: Protocol.Protocol = Protocol.make<BedrockConverseStream.State>({
  name: BedrockConverseRequest.protocol,
  lower: BedrockConverseRequest.lower,
  initial: BedrockConverseStream.initial,
  step: BedrockConverseStream.step,
  flush: BedrockConverseStream.flush,
  parse: BedrockConverseStream.parse,
  decodeError: BedrockConverseError.decode
})
