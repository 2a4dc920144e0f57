import * as RouteFileWriter from "@echelon/operations/RouteFileWriter"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, FileSystem } from "effect"

const [file = "", name = "", batches = "0"] = process.argv.slice(2)

/** Writes batches of ten numbered lines, as another process does at the same time. */
const program = Effect.gen(function* () {
  const writer = yield* RouteFileWriter.make(yield* FileSystem.FileSystem)
  const settings = { file, maxBytes: 65_536, keep: 50 }
  for (let batch = 0; batch < Number(batches); batch++) {
    const lines = Array.from({ length: 10 }, (_, i) => `${name} ${batch * 10 + i} ${"x".repeat(300)}\n`)
    const { count, failure } = yield* writer.write(settings, lines)
    if (count !== lines.length) return yield* Effect.die(new Error(`${name}: ${failure}`))
    // The other process is given its turn.
    yield* Effect.sleep(1)
  }
})
await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))
