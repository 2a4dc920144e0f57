/** Finds the examples in doc comments and pages. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Workspace from "./Workspace.ts"

/** What is done with an example. */
export type Mode = "run" | "check" | "skip"

/** An example and where it stands. */
export interface Example {
  readonly code: string
  /** `packages/core/src/Llm.ts:12`, the line of the code's first line. */
  readonly place: string
  readonly mode: Mode
}

const fence = /^[ \t]*```ts(?:[ \t]+([^\n]*))?\n([\s\S]*?)^[ \t]*```[ \t]*$/gm

const modeOf = (info: string | undefined): Mode =>
  info?.includes("no-check") === true ? "skip" : info?.includes("no-run") === true ? "check" : "run"

const blocks = (text: string, path: string, firstLine: number): ReadonlyArray<Example> =>
  [...text.matchAll(fence)].map(({ 1: info, 2: code = "", index }) => ({
    code,
    place: `${Workspace.shown(path)}:${firstLine + Workspace.lineOf(text, index)}`,
    mode: modeOf(info)
  }))

/** The blocks after `@example` of a source file's doc comments. */
const fromSource = (path: string): ReadonlyArray<Example> => {
  const text = readFileSync(path, "utf8")
  return [...text.matchAll(/\/\*\*[\s\S]*?\*\//g)].flatMap((comment) => {
    const first = Workspace.lineOf(text, comment.index)
    // Lines are kept, so that places stay right.
    const plain = comment[0]
      .split("\n")
      .map((line) => line.replace(/^\s*\* ?/, ""))
      .join("\n")
    // A tag ends the example before it, unless the line is code of a block.
    let isExample = false
    let isBlock = false
    const kept = plain.split("\n").map((line) => {
      if (line.startsWith("```")) isBlock = !isBlock
      else if (!isBlock && line.startsWith("@")) isExample = line.startsWith("@example")
      return isExample ? line : ""
    })
    return blocks(kept.join("\n"), path, first)
  })
}

/** Every example of the repository. */
export const all = (): ReadonlyArray<Example> => [
  ...Workspace.packages().flatMap((name) =>
    Workspace.files(join(Workspace.root, "packages", name, "src"), ".ts").flatMap(fromSource)
  ),
  ...[
    ...Workspace.files(join(Workspace.root, "docs"), ".md"),
    ...["README.md", "README.zh-CN.md"].flatMap((name) =>
      Workspace.files(Workspace.root, name).filter((path) => path === join(Workspace.root, name))
    )
  ].flatMap((path) => blocks(readFileSync(path, "utf8"), path, 1))
]
