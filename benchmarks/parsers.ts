/**
 * Streams to parts, for each protocol: events a second and bytes allocated an event, beside `JSON.parse` of the same
 * events, the `ai` package's parsers and the vendors' SDKs, on the same bytes in one run.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { compare, table, timed, times } from "./harness.ts"
import { check, contenders } from "./parserContenders.ts"
import * as Streams from "./parserStreams.ts"

const child = fileURLToPath(new URL("parserChild.ts", import.meta.url))

/** Room for everything that one stream allocates, so that nothing is collected meanwhile. */
const flags = ["--expose-gc", "--single-threaded-gc", "--min-semi-space-size=256", "--max-semi-space-size=256"]

const allocated = (protocol: string, index: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const from = spawn(process.execPath, [...flags, child, protocol, String(index)], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    let said = ""
    from.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      said += chunk
    })
    from.on("error", reject)
    from.on("close", (code) => {
      if (code === 0) resolve(JSON.parse(said).bytes)
      else reject(new Error(`parserChild ${protocol} ${index} ended with ${code}`))
    })
  })

export const parsers = async (): Promise<void> => {
  for (const protocol of Streams.protocols) {
    const recording = Streams.recording(protocol)
    const all = await contenders(recording)
    await check(all)
    const events = recording.events.length
    const measured = await compare(
      all.map(({ name, run }) => ({
        name,
        run: (iterations) =>
          timed(async () => {
            for (let i = 0; i < iterations; i++) await run()
          })
      })),
      { iterations: Math.ceil(6_000 / events), rounds: 7 }
    )
    const bytes: Array<number> = []
    for (const index of all.keys()) bytes.push(await allocated(protocol, index))
    const bareBytes = bytes[0] ?? Number.NaN
    table(
      `${recording.title}, ${events} events (${recording.source})`,
      ["", "events a second", "us an event", "to JSON.parse", "bytes an event", "to JSON.parse"],
      measured.map(({ micros, name, ratio }, i) => [
        name,
        Math.round((events * 1e6) / micros).toLocaleString("en"),
        (micros / events).toFixed(2),
        times(ratio),
        Math.round((bytes[i] ?? Number.NaN) / events).toLocaleString("en"),
        times((bytes[i] ?? Number.NaN) / bareBytes)
      ])
    )
  }
}
