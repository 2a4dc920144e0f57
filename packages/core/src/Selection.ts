/**
 * Which of several candidates is asked: pure functions of a typed snapshot.
 *
 * The policy decides, the tier acts: chance and the rotation's memory come from outside.
 *
 * @since 0.1.0
 */
import type * as Plan from "./Plan.ts"

/**
 * What a strategy sees of a member that may be asked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Candidate {
  /** The member's place in its tier. */
  readonly index: number
  readonly weight: number
  /** Requests it is serving now. */
  readonly inFlight: number
  /** Lower first. */
  readonly priority: number
}

/**
 * What a rotation remembers between picks of one tier.
 *
 * @since 0.1.0
 * @category models
 */
export interface Memory {
  /** The member after the one picked last. */
  readonly cursor: number
  /** Smooth weighted round robin: each member's standing, by index. */
  readonly standing: ReadonlyArray<number>
}

/**
 * The memory of a tier of `size` members.
 *
 * @since 0.1.0
 * @category constructors
 */
export const memory = (size: number): Memory => ({ cursor: 0, standing: new Array(size).fill(0) })

/** The candidate with the least score; a tie is broken at random. */
const least = (
  candidates: ReadonlyArray<Candidate>,
  score: (candidate: Candidate) => number,
  random: () => number
): Candidate | undefined => {
  let best: Candidate | undefined
  let bestScore = Number.POSITIVE_INFINITY
  let ties = 0
  for (const candidate of candidates) {
    const at = score(candidate)
    if (best === undefined || at < bestScore) {
      best = candidate
      bestScore = at
      ties = 1
    } else if (at === bestScore) {
      ties += 1
      if (random() * ties < 1) best = candidate
    }
  }
  return best
}

/** The first candidate at or after the cursor, by place in the tier. */
const afterCursor = (candidates: ReadonlyArray<Candidate>, cursor: number): Candidate | undefined => {
  let first: Candidate | undefined
  let next: Candidate | undefined
  for (const candidate of candidates) {
    if (first === undefined || candidate.index < first.index) first = candidate
    if (candidate.index >= cursor && (next === undefined || candidate.index < next.index)) next = candidate
  }
  return next ?? first
}

/**
 * Picks a candidate, or none when there is none.
 *
 * **Details** `weighted` is nginx's smooth weighted round robin: each pick adds every candidate's weight to its
 * standing, takes the highest, and subtracts the sum from it, so that `5,1,1` gives `a a b a c a a`.
 * `random` gives 0 (inclusive) to 1 (exclusive) and is called only where a strategy needs chance.
 *
 * @since 0.1.0
 * @category getters
 */
export const pick = (
  rotation: Plan.Rotation,
  candidates: ReadonlyArray<Candidate>,
  state: Memory,
  random: () => number
): readonly [Candidate | undefined, Memory] => {
  switch (rotation) {
    case "round_robin": {
      const found = afterCursor(candidates, state.cursor)
      return [found, found === undefined ? state : { ...state, cursor: found.index + 1 }]
    }
    case "weighted": {
      const standing = [...state.standing]
      let best: Candidate | undefined
      let total = 0
      for (const candidate of candidates) {
        const at = (standing[candidate.index] ?? 0) + candidate.weight
        standing[candidate.index] = at
        total += candidate.weight
        if (best === undefined || at > (standing[best.index] ?? 0)) best = candidate
      }
      if (best !== undefined) standing[best.index] = (standing[best.index] ?? 0) - total
      return [best, { ...state, standing }]
    }
    case "random":
      return [candidates[Math.floor(random() * candidates.length)], state]
    case "priority":
      return [least(candidates, (candidate) => candidate.priority, random), state]
    case "least_busy":
      return [least(candidates, (candidate) => candidate.inFlight / candidate.weight, random), state]
  }
}
