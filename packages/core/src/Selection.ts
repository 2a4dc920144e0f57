/**
 * Which of several candidates is asked: pure functions of a typed snapshot.
 *
 * The policy decides, the tier acts: chance and the rotation's memory come from outside.
 *
 * @since 0.1.0
 */
import type * as InstanceStats from "./InstanceStats.ts"
import type * as Plan from "./Plan.ts"
import * as Rendezvous from "./Rendezvous.ts"

/**
 * What a strategy sees of a member that may be asked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Candidate {
  /** The member's place in its tier. */
  readonly index: number
  readonly id: string
  readonly weight: number
  /** Requests it is serving now. */
  readonly inFlight: number
  /** Lower first. */
  readonly priority: number
  readonly stats: InstanceStats.InstanceStats
  /** USD per million tokens, input and output together; `undefined` when it is not known. */
  readonly price: number | undefined
  /** What its limits leave, 0 to 1. */
  readonly headroom: number
}

/**
 * What a strategy sees of the request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context {
  /** Gives 0 (inclusive) to 1 (exclusive); called only where a strategy needs chance. */
  readonly random: () => number
  readonly session: string | undefined
  /** The instance that served this session last. */
  readonly servedBy: string | undefined
  /** How far above the mean load a session's instance may be. */
  readonly loadBound: number
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

/** Tokens of an answer that nobody can foresee. */
const expectedTokens = 256
/** A candidate that fails always is still worth something: its rate may be old. */
const leastRate = 0.05

const known = (values: ReadonlyArray<number | undefined>, pick: (...values: Array<number>) => number): number => {
  const stated = values.filter((value) => value !== undefined)
  return stated.length === 0 ? 1 : pick(...stated)
}

/**
 * The expected time of an answer, times what is under way, by how often it fails. Without a sample a candidate
 * counts as the best of the others, so that it is tried.
 */
const delays = (candidates: ReadonlyArray<Candidate>): ((candidate: Candidate) => number) => {
  const first = known(
    candidates.map(({ stats }) => stats.firstOutput),
    Math.min
  )
  const speed = known(
    candidates.map(({ stats }) => stats.tokensPerSecond),
    Math.max
  )
  return ({ inFlight, stats, weight }) =>
    (((stats.firstOutput ?? first) + (expectedTokens / (stats.tokensPerSecond ?? speed)) * 1_000) *
      ((inFlight + 1) / weight)) /
    Math.max(stats.successRate, leastRate)
}

/** The session's instance, if its load is within the bound; else the next by rendezvous. */
const sticky = (candidates: ReadonlyArray<Candidate>, context: Context): Candidate | undefined => {
  const { loadBound, random, servedBy, session } = context
  if (session === undefined) return least(candidates, ({ inFlight, weight }) => inFlight / weight, random)
  const total = candidates.reduce((sum, { inFlight }) => sum + inFlight, 1)
  const weights = candidates.reduce((sum, { weight }) => sum + weight, 0)
  const fits = ({ inFlight, weight }: Candidate) => inFlight + 1 <= Math.ceil((loadBound * total * weight) / weights)
  const last = candidates.find(({ id }) => id === servedBy)
  if (last !== undefined && fits(last)) return last
  const free = candidates.filter(fits)
  return least(
    free.length > 0 ? free : candidates,
    ({ id, weight }) => -Rendezvous.standing(session, id, weight),
    random
  )
}

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
 * `shortest_delay` scans all for the least expected time; `p2c` compares two random ones by the same score, which
 * spreads better over many (Mitzenmacher, "The Power of Two Choices", 2001). `sticky` is rendezvous hashing with
 * bounded load (Mirrokni, Thorup and Zadimoghaddam, 2018); a request without a session goes to the least busy.
 *
 * @since 0.1.0
 * @category getters
 */
export const pick = (
  rotation: Plan.Rotation,
  candidates: ReadonlyArray<Candidate>,
  state: Memory,
  context: Context
): readonly [Candidate | undefined, Memory] => {
  const { random } = context
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
    case "shortest_delay":
      return [least(candidates, delays(candidates), random), state]
    case "p2c": {
      const one = Math.floor(random() * candidates.length)
      const other = Math.floor(random() * (candidates.length - 1))
      const two = [candidates[one], candidates[other < one ? other : other + 1]].filter((found) => found !== undefined)
      return [least(two, delays(two), random), state]
    }
    case "latency": {
      const first = known(
        candidates.map(({ stats }) => stats.firstOutput),
        Math.min
      )
      return [least(candidates, ({ stats }) => stats.firstOutput ?? first, random), state]
    }
    case "cost":
      return [least(candidates, ({ price }) => price ?? Number.MAX_VALUE, random), state]
    case "usage":
      return [least(candidates, ({ headroom }) => -headroom, random), state]
    case "sticky":
      return [sticky(candidates, context), state]
  }
}
