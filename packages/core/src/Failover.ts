/**
 * The pure core of failing over: given what one request has already met, what is tried next.
 *
 * Within a tier a fresh instance comes first, then a repeat of one that may be asked again, then the next tier.
 * Only a repeat waits. What a failure forbids is read from `FailureClass`; what stands in the way for other
 * reasons (a cooldown, an open breaker, full limits) comes in as `availability`. Nothing here runs.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as FailureClass from "./FailureClass.ts"
import * as LlmError from "./LlmError.ts"

/**
 * A member of a tier, as far as deciding needs it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Member {
  readonly id: string
  /** The model behind it: what was too long for it once is too long for it again. */
  readonly model: string
  readonly contextWindow: number | undefined
  /** The longest wait, in milliseconds, after which a rate-limited instance is asked again. */
  readonly maxRetryAfterWait: number
  readonly contentPolicyFallback: boolean
}

/**
 * Members of equal rank.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tier<M extends Member = Member> {
  readonly members: ReadonlyArray<M>
  /** Attempts beyond the first. */
  readonly maxRetries: number
  /** Different members a request may try here. */
  readonly maxInstances: number
}

/**
 * Whether a member can be asked, whatever this request has met: now, from a time on, or not at all.
 *
 * @since 0.1.0
 * @category models
 */
export type Availability = "ready" | { readonly until: number } | "out"

/**
 * What one request has met.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly tier: number
  readonly attemptsInTier: number
  /** Members tried in this tier, by id. */
  readonly triedInTier: ReadonlyArray<string>
  /** What was done in each tier so far, the present one included: coming back to a tier begins no new count. */
  readonly byTier: ReadonlyMap<number, { readonly attempts: number; readonly tried: ReadonlyArray<string> }>
  readonly tiersTried: number
  /** The last failure of each member this request has asked, by id. */
  readonly failures: ReadonlyMap<string, LlmError.Reason>
  /** When each of them failed. */
  readonly failedAt: ReadonlyMap<string, number>
  /** Until when members asked to be left alone that this request may ask again, by id. */
  readonly notBefore: ReadonlyMap<string, number>
  /** Members whose context was too small. */
  readonly tooLong: ReadonlyArray<{ readonly model: string; readonly contextWindow: number | undefined }>
  /** The first failure of the tier attempted last. */
  readonly cause: LlmError.LlmError | undefined
  /** The tier of that failure. */
  readonly causeTier: number | undefined
  /** Set when a failure forbids everything else. */
  readonly ended: boolean
  /** Members that have spent what they had, by id: a pool within, whose own policies gave up. */
  readonly spent: ReadonlyArray<string>
  /** Why the first member that asked nobody was passed over. */
  readonly passedOver: LlmError.LlmError | undefined
}

/**
 * Whose failure it is: an instance's; that of a member that has policies of its own; or that of such a member that
 * asked nobody, which counts as one that was not available.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "instance" | "composite" | "passed_over"

/**
 * A request that has met nothing yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial: State = {
  tier: 0,
  attemptsInTier: 0,
  triedInTier: [],
  byTier: new Map(),
  tiersTried: 0,
  failures: new Map(),
  failedAt: new Map(),
  notBefore: new Map(),
  tooLong: [],
  cause: undefined,
  causeTier: undefined,
  ended: false,
  spent: [],
  passedOver: undefined
}

/**
 * What to do next. `Pick` leaves the choice among members (by place in the tier) to the rotation; `Repeat` asks
 * one again after the backoff, not before `notBefore`. `Stop` ends the request with its cause, or, when nothing
 * was ever asked, with why: `retryAt` is the earliest time at which a member comes back.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision =
  | { readonly _tag: "Pick"; readonly tier: number; readonly members: ReadonlyArray<number> }
  | { readonly _tag: "Repeat"; readonly tier: number; readonly member: number; readonly notBefore: number }
  | { readonly _tag: "Stop"; readonly cause: LlmError.LlmError | undefined; readonly retryAt: number | undefined }

/**
 * Limits of the whole walk.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  /** Tiers in which a request may make an attempt; a tier passed over is not counted. */
  readonly maxTiers: number
}

/** Whether this request's own failures forbid the member for good. */
const isForbidden = (member: Member, state: State): boolean => {
  if (state.spent.includes(member.id)) return true
  for (const long of state.tooLong) {
    if (member.model === long.model) return true
    if (
      member.contextWindow !== undefined &&
      long.contextWindow !== undefined &&
      member.contextWindow <= long.contextWindow
    )
      return true
  }
  const failure = state.failures.get(member.id)
  return failure !== undefined && FailureClass.of(failure).sameInstance === "no"
}

/** When a member that failed in this request may be asked again, if it may. */
const repeatFrom = (
  member: Member,
  failure: LlmError.Reason,
  notBefore: number,
  availability: Availability,
  now: number
): number | undefined => {
  if (availability === "out" || notBefore - now > member.maxRetryAfterWait) return undefined
  if (availability === "ready") return Math.max(now, notBefore)
  // The request that was told to wait may wait for its instance; others pass it over.
  const waits = FailureClass.of(failure).sameInstance === "retry_after"
  return waits && availability.until - now <= member.maxRetryAfterWait ? availability.until : undefined
}

/**
 * Members of a tier that the request has not asked and may ask now, by place.
 *
 * @since 0.1.0
 * @category getters
 */
export const fresh = (
  tier: Tier,
  state: State,
  availability: (member: Member) => Availability
): ReadonlyArray<number> => {
  const found: Array<number> = []
  for (let i = 0; i < tier.members.length; i++) {
    const member = tier.members[i] as Member
    if (!state.failures.has(member.id) && !isForbidden(member, state) && availability(member) === "ready") found.push(i)
  }
  return found
}

/**
 * Decides what is tried next, and moves the state to the tier where that is.
 *
 * @since 0.1.0
 * @category getters
 */
export const decide = (
  tiers: ReadonlyArray<Tier>,
  limits: Limits,
  state: State,
  availability: (member: Member) => Availability,
  now: number
): readonly [Decision, State] => {
  let at = state
  while (!at.ended) {
    const tier = tiers[at.tier]
    if (tier === undefined || (at.attemptsInTier === 0 && at.tiersTried >= limits.maxTiers)) break
    if (at.attemptsInTier <= tier.maxRetries) {
      const fresh: Array<number> = []
      let repeat: { readonly member: number; readonly from: number } | undefined
      const full = at.triedInTier.length >= tier.maxInstances
      for (let i = 0; i < tier.members.length; i++) {
        const member = tier.members[i] as Member
        if (isForbidden(member, at)) continue
        const failure = at.failures.get(member.id)
        const here = at.triedInTier.includes(member.id)
        if (full && !here) continue
        const can = availability(member)
        if (failure === undefined) {
          if (can === "ready") fresh.push(i)
          continue
        }
        const from = repeatFrom(member, failure, at.notBefore.get(member.id) ?? now, can, now)
        if (from === undefined) continue
        // Of several, the one that may come first; of equals the one asked longest ago.
        if (repeat === undefined || from < repeat.from || (from === repeat.from && older(at, tier, i, repeat.member)))
          repeat = { member: i, from }
      }
      if (fresh.length > 0) return [{ _tag: "Pick", tier: at.tier, members: fresh }, at]
      if (repeat !== undefined)
        return [{ _tag: "Repeat", tier: at.tier, member: repeat.member, notBefore: repeat.from }, at]
    }
    at = nextTier(at)
  }
  const late = lastLook(tiers, at, availability)
  if (late !== undefined) return late
  const retryAt = earliest(tiers, availability)
  const within = at.passedOver?.retryAt
  return [
    {
      _tag: "Stop",
      cause: at.cause ?? at.passedOver,
      retryAt: within === undefined ? retryAt : Math.min(within, retryAt ?? within)
    },
    at
  ]
}

/**
 * When nobody else can be asked, a repeat waits for its instance to be free again, if that is soon: whoever failed
 * while all was full must not lose its retries to those who came later.
 */
const lastLook = (
  tiers: ReadonlyArray<Tier>,
  state: State,
  availability: (member: Member) => Availability
): readonly [Decision, State] | undefined => {
  if (state.ended) return undefined
  let found: { readonly tier: number; readonly member: number; readonly from: number } | undefined
  for (const [tier, { attempts, tried }] of state.byTier) {
    const { maxRetries = 0, members = [] } = tiers[tier] ?? {}
    if (attempts > maxRetries) continue
    for (let i = 0; i < members.length; i++) {
      const member = members[i] as Member
      const failure = state.failures.get(member.id)
      if (failure === undefined || !tried.includes(member.id) || isForbidden(member, state)) continue
      const can = availability(member)
      const since = state.failedAt.get(member.id) ?? 0
      if (typeof can !== "object" || can.until - since > member.maxRetryAfterWait) continue
      if (found === undefined || can.until < found.from) found = { tier, member: i, from: can.until }
    }
  }
  if (found === undefined) return undefined
  return [{ _tag: "Repeat", tier: found.tier, member: found.member, notBefore: found.from }, moveTo(state, found.tier)]
}

/** When the first of all cooling members comes back. */
const earliest = (tiers: ReadonlyArray<Tier>, availability: (member: Member) => Availability): number | undefined => {
  let found: number | undefined
  for (const tier of tiers) {
    for (const member of tier.members) {
      const can = availability(member)
      if (typeof can === "object") found = Math.min(found ?? can.until, can.until)
    }
  }
  return found
}

const older = (state: State, tier: Tier, a: number, b: number): boolean => {
  const order = [...state.failures.keys()]
  return order.indexOf(tier.members[a]?.id ?? "") < order.indexOf(tier.members[b]?.id ?? "")
}

/**
 * Leaves the tier for the next one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const nextTier = (state: State): State => moveTo(state, state.tier + 1)

/**
 * Goes to a tier, with what was done there.
 *
 * @since 0.1.0
 * @category combinators
 */
export const moveTo = (state: State, tier: number): State => {
  const before = state.byTier.get(tier)
  return { ...state, tier, attemptsInTier: before?.attempts ?? 0, triedInTier: before?.tried ?? [] }
}

/** Counts an attempt at a member of the present tier. */
const counted = (state: State, id: string): State => {
  const attemptsInTier = state.attemptsInTier + 1
  const triedInTier = state.triedInTier.includes(id) ? state.triedInTier : [...state.triedInTier, id]
  const byTier = new Map(state.byTier).set(state.tier, { attempts: attemptsInTier, tried: triedInTier })
  return { ...state, attemptsInTier, triedInTier, byTier }
}

/**
 * Records an attempt that was given up for a better one: it counts, and says nothing of its member.
 *
 * @since 0.1.0
 * @category combinators
 */
export const lost = (state: State, member: Member): State => ({
  ...counted(state, member.id),
  tiersTried: state.tiersTried + (state.attemptsInTier === 0 ? 1 : 0)
})

/** What ends a request whoever says it. */
const endsAll: ReadonlySet<LlmError.ReasonTag> = new Set(["Cancelled", "DeadlineExceeded", "BudgetExhausted"])

/** Until when the failed instance asked to be left alone. */
const leftAlone = (reason: LlmError.Reason, now: number): number | undefined =>
  (reason._tag === "Overloaded" || reason._tag === "ProviderError") && reason.retryAfter !== undefined
    ? now + Duration.toMillis(reason.retryAfter)
    : undefined

/** A deadline ends a request in the middle of what went wrong before it. */
const ending = (error: LlmError.LlmError, before: LlmError.LlmError | undefined): LlmError.LlmError =>
  error.reason._tag === "DeadlineExceeded" && error.detail === undefined && before !== undefined
    ? LlmError.update(error, { detail: `before that ${before.message}` })
    : error

/**
 * Records that an attempt failed at `now`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const failed = (
  state: State,
  member: Member,
  error: LlmError.LlmError,
  now: number,
  kind: Kind = "instance"
): State => {
  const consequence = FailureClass.of(error.reason)
  if (kind === "passed_over" && !endsAll.has(error.reason._tag)) {
    return { ...state, spent: [...state.spent, member.id], passedOver: state.passedOver ?? error }
  }
  const failures = new Map(state.failures)
  failures.delete(member.id)
  failures.set(member.id, error.reason)
  const until = leftAlone(error.reason, now)
  const first = state.attemptsInTier === 0
  const refusedHere = consequence.nextEchelon === "content_policy_fallback" && member.contentPolicyFallback
  const recorded: State = {
    ...counted(state, member.id),
    failures,
    failedAt: new Map(state.failedAt).set(member.id, now),
    notBefore: until === undefined ? state.notBefore : new Map([...state.notBefore, [member.id, until]]),
    tiersTried: state.tiersTried + (first ? 1 : 0),
    tooLong:
      error.reason._tag === "ContextLength"
        ? [...state.tooLong, { model: member.model, contextWindow: member.contextWindow }]
        : state.tooLong,
    cause: state.causeTier === state.tier ? state.cause : error,
    causeTier: state.tier,
    spent: kind === "instance" ? state.spent : [...state.spent, member.id]
  }
  switch (consequence.nextEchelon) {
    case "no":
      return { ...recorded, ended: true, cause: ending(error, state.cause) }
    case "content_policy_fallback":
      return refusedHere ? nextTier(recorded) : { ...recorded, ended: true, cause: error }
    default:
      return recorded
  }
}
