/**
 * What tiers of members are made of, and what all requests through them share.
 *
 * @since 0.1.0
 */
import type * as Failover from "./Failover.ts"
import type * as Member from "./Member.ts"
import type * as Plan from "./Plan.ts"
import * as Plans from "./Plans.ts"
import type * as RateLimiter from "./RateLimiter.ts"
import type * as RetryBudget from "./RetryBudget.ts"
import * as Selection from "./Selection.ts"
import * as Sessions from "./Sessions.ts"
import type * as StateRegistry from "./StateRegistry.ts"

/**
 * Options of `Tiers.make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly id: string
  readonly tiers: ReadonlyArray<Failover.Tier<Member.Member>>
  readonly rotation: Plan.Rotation
  /** Tiers in which a request may make an attempt. @default all */
  readonly maxTiers?: number | undefined
  /** Attempts of one request through all tiers. @default unlimited */
  readonly maxTotalAttempts?: number | undefined
  /** Said when no tier has a member: what the operator can do. */
  readonly whenEmpty?: string | undefined
  /** Limits of requests to all of it; a request counts once, however many attempts it makes. @default none */
  readonly limiters?: ReadonlyArray<RateLimiter.RateLimiter> | undefined
  /** How much of the traffic may be retries. @default unlimited */
  readonly retryBudget?: RetryBudget.RetryBudget | undefined
  /** Share of a tier's members that breakers may put out. @default 1 */
  readonly maxEjected?: number | undefined
  /**
   * Whether one request at a time may try the least bad member when breakers alone have put all out.
   *
   * @default false
   */
  readonly panic?: boolean | undefined
  /** How a member that came back grows to its whole share; milliseconds. @default at once */
  readonly slowStart?: Plan.Pool["slowStart"] | undefined
  /** For the rotation `sticky`. @default the defaults of a pool */
  readonly sticky?: Plan.Pool["sticky"] | undefined
  /** Which session was served by whom, for the rotation `sticky`. @default forgotten with the tiers */
  readonly sessions?: Sessions.Sessions | undefined
  /** Who is pinned, and whether all is shutting down. @default nobody, never */
  readonly registry?: StateRegistry.StateRegistry | undefined
}

/**
 * A tier of members.
 *
 * @since 0.1.0
 * @category models
 */
export type Tier = Failover.Tier<Member.Member>

/**
 * What all requests of one engine share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Engine extends Options {
  /** What a rotation remembers, by tier. */
  readonly memories: Map<Tier, Selection.Memory>
  readonly sessions: Sessions.Sessions
  /** The limits of the whole and those of a member, together. */
  readonly limitersOf: ReadonlyMap<Member.Member, ReadonlyArray<RateLimiter.RateLimiter>>
  readonly isLimited: boolean
  /** Whether a request is trying a member in panic. */
  panicking: boolean
}

/**
 * Makes an engine that has served nobody yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Engine => {
  const { limiters = [], sticky = Plans.defaults.pool.sticky, tiers } = options
  const members = tiers.flatMap((tier) => tier.members)
  return {
    ...options,
    memories: new Map(tiers.map((tier) => [tier, Selection.memory(tier.members.length)])),
    sessions: options.sessions ?? Sessions.make({ ttl: sticky.ttl }),
    limitersOf: new Map(members.map((member) => [member, [...limiters, ...member.limiters]])),
    isLimited: limiters.length > 0 || members.some((member) => member.limiters.length > 0),
    panicking: false
  }
}

/**
 * The tiers of a request: those of the engine, and before them, while somebody is pinned, the pinned.
 *
 * @since 0.1.0
 * @category getters
 */
export const tiersOf = ({ registry, tiers }: Engine): ReadonlyArray<Tier> => {
  if (registry?.hasPins() !== true) return tiers
  const first = tiers.flatMap((tier): ReadonlyArray<Tier> => {
    const members = tier.members.filter(({ id }) => registry.isPinned(id))
    return members.length === 0 ? [] : [{ ...tier, members }]
  })
  return [...first, ...tiers]
}
