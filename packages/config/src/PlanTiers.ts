/**
 * The tiers that requests go through, read from a plan: what `check` and the worst case reason about. The rules are
 * those of `explain`, in `ExplainTiers`.
 *
 * @since 0.1.0
 */
import * as ExplainTiers from "@echelon/core/ExplainTiers"
import type * as Plan from "@echelon/core/Plan"
import * as Result from "effect/Result"

/**
 * Who is asked: a wrapper, a pool, a group, or one of a group's echelons (`fast_group.echelon2`) as a group.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly kind: "wrapper" | "pool" | "group"
  readonly name: string
}

/**
 * An echelon with the group it stands in.
 *
 * @since 0.1.0
 * @category models
 */
export type Placed = ExplainTiers.Located

/**
 * The way of a request: tiers in the order in which they are tried, and what bounds it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Walk {
  /** Echelons of equal rank, tier by tier. */
  readonly tiers: ReadonlyArray<ReadonlyArray<Placed>>
  /** Tiers in which an attempt may be made; one that is passed over does not count. */
  readonly maxTiers: number
  readonly maxTotalAttempts: number | undefined
}

/**
 * The way of a request to a target; `undefined` when there is no such target. `all` is what `ExplainTiers.echelons`
 * gives, for a caller who asks about many targets.
 *
 * @since 0.1.0
 * @category getters
 */
export const of = (
  plan: Plan.Root,
  target: Target,
  all: ReadonlyMap<string, Placed> = ExplainTiers.echelons(plan)
): Walk | undefined => {
  const found = ExplainTiers.of(plan, target, all)
  if (Result.isFailure(found)) return undefined
  const { maxTiers, maxTotalAttempts, ranks } = found.success
  const tiers = ranks.map(({ echelons }) => echelons.flatMap((name) => all.get(name) ?? []))
  return { tiers, maxTiers, maxTotalAttempts }
}
