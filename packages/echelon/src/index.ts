/**
 * The one package most programs install: `Echelon.layer` and `Echelon.runtime`, and the modules of the core that
 * programs use beside them.
 *
 * @since 0.1.0
 */
export { ConfigError, ConfigManagement } from "@echelon/config"
export {
  Alerting,
  Control,
  Interpreter,
  Llm,
  LlmEmbedding,
  LlmError,
  LlmReply,
  LlmRequest,
  MetricNames,
  Metrics,
  MetricsSnapshot,
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
  Tracing,
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
export * as MetricsExport from "./MetricsExport.ts"
export * as OpenedReply from "./OpenedReply.ts"
export * as Runtime from "./Runtime.ts"
export * as TracingExport from "./TracingExport.ts"
