/**
 * The command as a process: signals, services, exit code.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Main from "./Main.ts"
import { layerLogger, Output } from "./Output.ts"

const services = Layer.mergeAll(NodeServices.layer, Layer.provideMerge(layerLogger, Output.layer))

/**
 * Runs the command line until it ends or a signal interrupts it.
 *
 * @since 0.1.0
 * @category running
 */
export const main = (args: ReadonlyArray<string>, version: string): void => {
  const program = Effect.provide(Main.run(args, version), services)
  NodeRuntime.runMain(program, { disableErrorReporting: true })
}
