/**
 * The OpenAI Responses protocol.
 *
 * Its sections are files that stand beside those of `OpenAiChat`: `OpenAiResponsesRequest` lowers with
 * `OpenAiResponsesInput` for the messages, `OpenAiResponsesStream` parses streams and buffered replies with
 * `OpenAiResponsesItems` for what an answer is made of, `OpenAiResponsesError` decodes errors.
 *
 * @since 0.1.0
 */
import * as OpenAiResponsesError from "./OpenAiResponsesError.ts"
import * as OpenAiResponsesRequest from "./OpenAiResponsesRequest.ts"
import * as OpenAiResponsesStream from "./OpenAiResponsesStream.ts"
import * as Protocol from "./Protocol.ts"

/**
 * OpenAI Responses.
 *
 * @since 0.1.0
 * @category protocols
 */
export const protocol: Protocol.Protocol = Protocol.make<OpenAiResponsesStream.State>({
  name: OpenAiResponsesRequest.protocol,
  lower: OpenAiResponsesRequest.lower,
  initial: OpenAiResponsesStream.initial,
  step: OpenAiResponsesStream.step,
  flush: OpenAiResponsesStream.flush,
  parse: OpenAiResponsesStream.parse,
  decodeError: OpenAiResponsesError.decode
})
