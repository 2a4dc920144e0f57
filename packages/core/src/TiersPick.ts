/**
 * Picks one of the members that a request may ask: those who came back lately now and then, then by the rotation.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "./LlmRequest.ts"
import * as Member from "./Member.ts"
import * as Plans from "./Plans.ts"
import * as Selection from "./Selection.ts"
import type * as TiersEngine from "./TiersEngine.ts"

/**
 * The member at a place of a tier.
 *
 * @since 0.1.0
 * @category getters
 */
export const memberOf = (tier: TiersEngine.Tier, index: number): Member.Member => {
  const member = tier.members[index]
  if (member === undefined) throw new RangeError(`TiersPick.memberOf: no member ${index} of ${tier.members.length}`)
  return member
}

/** A member that came back is passed over now and then, until it has its whole share again. */
const thinned = (
  engine: TiersEngine.Engine,
  tier: TiersEngine.Tier,
  indices: ReadonlyArray<number>,
  now: number,
  random: () => number
): ReadonlyArray<number> => {
  const { slowStart } = engine
  if (slowStart === undefined || slowStart.duration <= 0) return indices
  const kept = indices.filter((index) => {
    const recoveredAt = memberOf(tier, index).breaker?.recoveredAt()
    if (recoveredAt === undefined || now - recoveredAt >= slowStart.duration) return true
    return random() < Math.max(slowStart.minShare, (now - recoveredAt) / slowStart.duration)
  })
  return kept.length > 0 ? kept : indices
}

/**
 * Picks one of `indices`, which must not be empty.
 *
 * @since 0.1.0
 * @category mutations
 */
export const pick = (
  engine: TiersEngine.Engine,
  tier: TiersEngine.Tier,
  indices: ReadonlyArray<number>,
  request: LlmRequest.LlmRequest,
  now: number,
  random: () => number
): Member.Member => {
  const { memories, rotation, sessions, sticky = Plans.defaults.pool.sticky } = engine
  const { sessionId: session } = request.metadata
  const candidates = thinned(engine, tier, indices, now, random).map((index): Selection.Candidate => {
    const member = memberOf(tier, index)
    const { id, price, priority, state, weight } = member
    const headroom = rotation === "usage" ? Member.headroom(member, now) : 1
    return { index, id, weight, priority, price, headroom, inFlight: state.inFlight(), stats: state.stats() }
  })
  const keeps = rotation === "sticky" && session !== undefined
  const memory = memories.get(tier)
  const [picked, remembered] = Selection.pick(rotation, candidates, memory ?? Selection.memory(tier.members.length), {
    random,
    session,
    servedBy: keeps ? sessions.get(session, now) : undefined,
    loadBound: sticky.loadBound
  })
  // A tier made for one request (of the pinned) keeps nothing.
  if (memory !== undefined) memories.set(tier, remembered)
  const member = memberOf(tier, picked?.index ?? indices[0] ?? 0)
  if (keeps) sessions.set(session, member.id, now)
  return member
}
