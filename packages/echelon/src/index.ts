/**
 * The one package most programs install: `Echelon.layer` and `Echelon.runtime`, and the modules of the core that
 * programs use beside them.
 *
 * @since 0.1.0
 */
export { ConfigError, ConfigManagement } from "@echelon/config"
export {
  Control,
  Interpreter,
  Llm,
  LlmEmbedding,
  LlmError,
  LlmReply,
  LlmRequest,
  Orchestrator,
  Part,
  Plan,
  Pool,
  PoolManager,
  Route,
  Router,
  StateChange,
  TaskGroup,
  TaskGroupManager,
  Usage,
  Wrapper,
  WrapperManager
} from "@echelon/core"
export * as AiSdk from "./AiSdk.ts"
export * as AiSdkReply from "./AiSdkReply.ts"
export * as AiSdkRequest from "./AiSdkRequest.ts"
export * as AiSdkSpec from "./AiSdkSpec.ts"
export * as Echelon from "./Echelon.ts"
export * as Health from "./Health.ts"
export * as OpenedReply from "./OpenedReply.ts"
export * as Runtime from "./Runtime.ts"
