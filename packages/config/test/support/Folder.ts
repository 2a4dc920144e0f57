/** A folder named `configs` on disk, removed when the test ends. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"

export const services = NodeServices.layer

export const make = Effect.fnUntraced(function* (files: Readonly<Record<string, string | Uint8Array>>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const root = path.join(yield* fs.makeTempDirectoryScoped({ prefix: "echelon-config-" }), "configs")
  const write = Effect.fnUntraced(function* (name: string, content: string | Uint8Array) {
    const file = path.join(root, name)
    yield* fs.makeDirectory(path.dirname(file), { recursive: true })
    yield* fs.writeFile(file, typeof content === "string" ? new TextEncoder().encode(content) : content)
  })
  for (const [name, content] of Object.entries(files)) yield* write(name, content)
  return { root, write }
})

/** What is shown of files in the folder, without where the test has put it. */
export const short = (text: string): string => text.replaceAll(/\S*\/(?=configs\b)/g, "")
