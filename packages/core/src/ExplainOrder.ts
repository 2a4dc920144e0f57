/**
 * Who of a tier would be asked before whom: see `TiersPick`.
 *
 * @since 0.1.0
 */
import type * as Explain from "./Explain.ts"
import * as ExplainTiers from "./ExplainTiers.ts"
import * as InstanceStats from "./InstanceStats.ts"
import type * as Plan from "./Plan.ts"
import * as Selection from "./Selection.ts"

/** Rotations that follow the plan alone, and those that follow what was measured. */
const byPlan: ReadonlySet<Plan.Rotation> = new Set(["priority", "cost"])
const byMeasure: ReadonlySet<Plan.Rotation> = new Set(["least_busy", "shortest_delay", "latency", "usage", "sticky"])

/**
 * How the order of a tier is found.
 *
 * @since 0.1.0
 * @category getters
 */
export const of = (rotation: Plan.Rotation, { metadata, snapshot }: Explain.Options): Explain.Order => {
  if (rotation === "round_robin" || rotation === "weighted") return "turns"
  if (byPlan.has(rotation)) return "ranked"
  const isMeasured = byMeasure.has(rotation) && snapshot !== undefined
  return isMeasured && (rotation !== "sticky" || metadata?.sessionId === undefined) ? "ranked" : "any"
}

/**
 * Members by rank, from 1: the order of their picks, equals together.
 *
 * @since 0.1.0
 * @category getters
 */
export const ranks = (
  rotation: Plan.Rotation,
  placed: ReadonlyArray<ExplainTiers.Placed>,
  { snapshot }: Explain.Options
): ReadonlyMap<ExplainTiers.Placed, number> => {
  const candidates = placed.flatMap(({ echelon, engine, instance }, index): ReadonlyArray<Selection.Candidate> => {
    if (engine === undefined) return []
    const standing = snapshot?.instances.find(({ name }) => name === instance)
    const shared = echelon && snapshot?.echelons.find(({ name }) => name === ExplainTiers.nameOf(echelon))
    const shares = [...(standing?.limits ?? []), ...(shared?.limits ?? [])].flatMap(({ left, limit }) =>
      limit === undefined ? [] : [left / limit]
    )
    return [
      {
        index,
        id: instance,
        weight: engine.weight,
        priority: engine.priority,
        price: engine.price,
        inFlight: standing?.inFlight ?? 0,
        stats: standing?.stats ?? InstanceStats.empty,
        headroom: Math.max(0, Math.min(1, ...shares))
      }
    ]
  })
  const found = new Map<ExplainTiers.Placed, number>()
  let left: ReadonlyArray<Selection.Candidate> = candidates
  for (let rank = 1; left.length > 0; rank++) {
    const best = new Set<Selection.Candidate>()
    // Each pick is repeated with every way in which a tie can fall.
    for (let tie = 0; tie <= left.length; tie++) {
      let drawn = 0
      // The draw numbered `tie` lets the later candidate win, all others the earlier one.
      const random = () => (drawn++ === tie ? 0 : 0.999_999)
      const context = { random, session: undefined, servedBy: undefined, loadBound: 1 }
      const [picked] = Selection.pick(rotation, left, Selection.memory(placed.length), context)
      if (picked !== undefined) best.add(picked)
    }
    for (const { index } of best) {
      const member = placed[index]
      if (member !== undefined) found.set(member, rank)
    }
    left = left.filter((candidate) => !best.has(candidate))
  }
  return found
}
