/**
 * The pure core of a shared call: an answer that several readers take at their own pace, each from its beginning.
 *
 * What is held is the answer itself. Up to `maxSize` all of it is kept, so that whoever joins gets the whole; past
 * that nobody joins any more, and what every reader has taken is let go. A slow reader loses nothing and holds up
 * nobody: at worst the answer is held from where the slowest stands.
 *
 * The state belongs to one shared call and is changed in place, as every part of a stream runs through it.
 *
 * @since 0.1.0
 */
import type * as LlmError from "./LlmError.ts"
import type * as Part from "./Part.ts"
import * as PartSize from "./PartSize.ts"

/**
 * Parts that came together.
 *
 * @since 0.1.0
 * @category models
 */
export type Batch = readonly [Part.Part, ...Array<Part.Part>]

/**
 * Where a reader stands: the number of batches it has taken.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cursor {
  at: number
}

/**
 * What was received of a shared answer, and who reads it.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly maxSize: number
  readonly batches: Array<Batch>
  /** Batches let go of, before the first that is held. */
  dropped: number
  /** Characters received. */
  size: number
  readonly readers: Set<Cursor>
}

/**
 * Starts with nothing received and nobody reading.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (maxSize: number): State => ({ maxSize, batches: [], dropped: 0, size: 0, readers: new Set() })

/**
 * Whether the answer has grown past what is kept whole: nobody can join any more.
 *
 * @since 0.1.0
 * @category getters
 */
export const isFull = (state: State): boolean => state.size > state.maxSize

/**
 * Adds a reader, who stands at the beginning.
 *
 * @since 0.1.0
 * @category mutations
 */
export const join = (state: State): Cursor => {
  const cursor: Cursor = { at: 0 }
  state.readers.add(cursor)
  return cursor
}

/**
 * Takes a reader away; tells whether it was there and was the last.
 *
 * @since 0.1.0
 * @category mutations
 */
export const leave = (state: State, cursor: Cursor): "gone" | "last" | "left" => {
  if (!state.readers.delete(cursor)) return "gone"
  if (state.readers.size === 0) return "last"
  trim(state)
  return "left"
}

/**
 * Receives a batch.
 *
 * @since 0.1.0
 * @category mutations
 */
export const add = (state: State, batch: Batch): void => {
  state.batches.push(batch)
  state.size += PartSize.ofAll(batch)
  trim(state)
}

/**
 * The next batch for a reader; `undefined` when it has taken all that was received.
 *
 * @since 0.1.0
 * @category mutations
 */
export const take = (state: State, cursor: Cursor): Batch | undefined => {
  const batch = state.batches[cursor.at - state.dropped]
  if (batch === undefined) return undefined
  cursor.at += 1
  trim(state)
  return batch
}

/** Lets go of what all have taken, once nobody can join. */
const trim = (state: State): void => {
  if (!isFull(state)) return
  let slowest = Number.POSITIVE_INFINITY
  for (const { at } of state.readers) slowest = Math.min(slowest, at)
  const passed = slowest - state.dropped
  if (passed <= 0 || passed === Number.POSITIVE_INFINITY) return
  state.batches.splice(0, passed)
  state.dropped = slowest
}

/**
 * Whether a failure before commit is that of the request that made the call, not of the call: its deadline, its
 * budget, its end, or a clock that its deadline cut short. Whoever joined asks anew.
 *
 * @since 0.1.0
 * @category getters
 */
export const isLeadersOwn = (reason: LlmError.Reason, leader: { readonly deadline: number | undefined }): boolean => {
  switch (reason._tag) {
    case "DeadlineExceeded":
    case "BudgetExhausted":
    case "Cancelled":
      return true
    case "Timeout":
      // The caller's own clocks are the same for all who share a call.
      return reason.shortened && leader.deadline !== undefined
    default:
      return false
  }
}
