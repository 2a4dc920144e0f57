/**
 * Llm calls as one contract; pools, task groups, echelons and wrappers as Effect Services and Layers.
 *
 * @since 0.1.0
 */
export * as Attempt from "./Attempt.ts"
export * as Budget from "./Budget.ts"
export * as Capability from "./Capability.ts"
export * as Catalogue from "./Catalogue.ts"
export * as Clients from "./Clients.ts"
export * as Clocks from "./Clocks.ts"
export * as InstanceFactory from "./InstanceFactory.ts"
export * as Llm from "./Llm.ts"
export * as LlmError from "./LlmError.ts"
export * as LlmReply from "./LlmReply.ts"
export * as LlmRequest from "./LlmRequest.ts"
export * as Nearest from "./Nearest.ts"
export * as Part from "./Part.ts"
export * as Plan from "./Plan.ts"
export * as Route from "./Route.ts"
export * as Usage from "./Usage.ts"
export * as Watchdog from "./Watchdog.ts"
