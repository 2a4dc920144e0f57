/**
 * Recorded replies beside the repository: which test reads which of them. Tests ask here for their files, so that a file
 * which nobody claims is one that nobody reads.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const folder = fileURLToPath(new URL("../../../../../shared/wire-samples/", import.meta.url))

export const isPresent = existsSync(folder)

/** Says in one line that they are absent. */
export const sayAbsent = (what: string): void => {
  process.stdout.write(`wire samples: ../shared/wire-samples is absent, ${what} were not run\n`)
}

export type Reader = "chat" | "chat-error" | "responses" | "responses-error" | "messages" | "gemini" | "embeddings"

/** The first that claims a file reads it. */
const readers: ReadonlyArray<readonly [Reader, RegExp]> = [
  ["embeddings", /^openai\/openai-embedding\.json$/],
  ["chat-error", /^openai\/reasoning-model-legacy-parameter-error\.json$/],
  ["responses-error", /^openai-responses\/openai-error\.1\./],
  ["chat", /^(?:openai|openai-compatible|groq|deepseek|xai|mistral)\/[^/]+\.(?:json|chunks\.txt|sse)$/],
  ["responses", /^(?:openai-responses|azure)\/[^/]+\.(?:json|chunks\.txt)$/],
  ["messages", /^anthropic\/[^/]+\.(?:json|chunks\.txt)$/],
  ["gemini", /^google\/[^/]+\.(?:json|chunks\.txt)$/]
]

/** Every recording, by its path in the folder. */
export const files: ReadonlyArray<string> = isPresent
  ? readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== "README.md")
      .map((entry) => `${entry.parentPath}/${entry.name}`.replaceAll("//", "/").slice(folder.length))
      .sort()
  : []

export const readerOf = (file: string): Reader | undefined => readers.find(([, pattern]) => pattern.test(file))?.[0]

/** The files that a reader must read. */
export const of = (reader: Reader): ReadonlyArray<string> => files.filter((file) => readerOf(file) === reader)

export const read = (file: string): string => readFileSync(`${folder}${file}`, "utf8")

export const known: ReadonlyArray<Reader> = readers.map(([reader]) => reader)
