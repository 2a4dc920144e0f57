/** Every protocol that the contract is held against, in the order of the tables. A new one is a line here. */
import * as AnthropicMessages from "./ContractAnthropicMessages.ts"
import * as BedrockConverse from "./ContractBedrockConverse.ts"
import * as Gemini from "./ContractGemini.ts"
import * as OpenAiChat from "./ContractOpenAiChat.ts"
import * as OpenAiResponses from "./ContractOpenAiResponses.ts"
import type * as ProtocolContract from "./ProtocolContract.ts"

export const contracts: ReadonlyArray<ProtocolContract.Contract> = [
  OpenAiChat.contract,
  OpenAiResponses.contract,
  AnthropicMessages.contract,
  Gemini.contract,
  BedrockConverse.contract
]

/** Those whose requests can be read back. */
export const liftable = contracts.filter((contract) => typeof contract.lift === "function")
