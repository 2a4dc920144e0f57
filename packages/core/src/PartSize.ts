/**
 * About how much a part holds, so that what is kept of an answer can be bounded.
 *
 * @since 0.1.0
 */
import type * as Part from "./Part.ts"

/** What a part takes beside its text. */
const overhead = 64

/** Parts are JSON: what lies deeper than this is not counted. */
const maxDepth = 16

/** About what a number takes as JSON. */
const perNumber = 20

const weigh = (value: unknown, depth: number): number => {
  if (typeof value === "string") return value.length
  if (typeof value !== "object" || value === null || depth === maxDepth) return 8
  if (value instanceof Uint8Array) return value.length
  let sum = 0
  for (const one of Object.values(value)) sum += 8 + weigh(one, depth + 1)
  return sum
}

/**
 * The size of a part in characters: its text, raw event included, and a little for the part itself.
 *
 * @since 0.1.0
 * @category getters
 */
export const of = (part: Part.Part): number => {
  if ((part.type === "text-delta" || part.type === "reasoning-delta") && part.metadata === undefined)
    return overhead + part.delta.length + (part.raw?.data.length ?? 0)
  if (part.type !== "embeddings") return overhead + weigh(part, 0)
  const { vectors, ...rest } = part
  return overhead + weigh(rest, 0) + vectors.reduce((sum, vector) => sum + vector.length * perNumber, 0)
}

/**
 * The size of a batch of parts.
 *
 * @since 0.1.0
 * @category getters
 */
export const ofAll = (parts: ReadonlyArray<Part.Part>): number => {
  let sum = 0
  for (const part of parts) sum += of(part)
  return sum
}
