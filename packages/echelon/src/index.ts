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
export * as Echelon from "./Echelon.ts"
export * as Health from "./Health.ts"
export * as Runtime from "./Runtime.ts"
