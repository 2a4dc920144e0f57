/**
 * Where a command writes: data to standard output, diagnostics to standard error.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"

/**
 * Sends log lines where diagnostics go, since standard output is for data.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerLogger: Layer.Layer<never, never, Output> = Layer.unwrap(
  Effect.gen(function* () {
    const output = yield* Output
    const context = yield* Effect.context()
    return Logger.layer([
      Logger.make(({ message }) => {
        const text = (Array.isArray(message) ? message : [message]).map(String).join(" ")
        Effect.runForkWith(context)(output.diagnose(text))
      })
    ])
  })
)

/**
 * The two outputs of a command.
 *
 * @since 0.1.0
 * @category services
 */
export class Output extends Context.Service<
  Output,
  {
    /** Writes data. A reader that has gone away ends the command. */
    readonly write: (text: string) => Effect.Effect<void>
    /** Writes one diagnostic line. */
    readonly diagnose: (line: string) => Effect.Effect<void>
    /** Whether a person watches standard output: only then are there colours and a table that redraws. */
    readonly isTerminal: boolean
    readonly columns: () => number
  }
>()("@echelon/cli/Output") {
  /** The process's own. */
  static readonly layer: Layer.Layer<Output> = Layer.sync(Output, () => {
    const to = (stream: NodeJS.WriteStream) => (text: string) =>
      Effect.callback<void>((resume) => {
        // A broken pipe is how a reader says that it has seen enough.
        stream.write(text, (error) => resume(error ? Effect.interrupt : Effect.void))
      })
    // Without a listener a broken pipe would be an uncaught exception; the write above has reported it.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined)
    const diagnose = to(process.stderr)
    return Output.of({
      write: to(process.stdout),
      diagnose: (line) => diagnose(`${line}\n`),
      isTerminal: process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined,
      columns: () => process.stdout.columns || 100
    })
  })
}
