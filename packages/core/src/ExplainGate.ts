/**
 * What stands between a request and an instance, told from a plan and a snapshot: see `TiersGate`.
 *
 * @since 0.1.0
 */
import * as Capability from "./Capability.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import type * as CircuitBreakerState from "./CircuitBreakerState.ts"
import type * as Control from "./Control.ts"
import type * as Explain from "./Explain.ts"
import * as ExplainTiers from "./ExplainTiers.ts"
import type * as Failover from "./Failover.ts"
import * as Member from "./Member.ts"
import type * as Plan from "./Plan.ts"
import * as RateLimit from "./RateLimit.ts"
import * as RateLimiter from "./RateLimiter.ts"
import type * as StateRegistry from "./StateRegistry.ts"
import * as TiersGate from "./TiersGate.ts"
import * as TokenEstimate from "./TokenEstimate.ts"

/** How an instance stands, and the breaker of it in its group. */
const standingOf = (placed: ExplainTiers.Placed, snapshot: Control.Snapshot | undefined) => {
  const instance = snapshot?.instances.find(({ name }) => name === placed.instance)
  return { instance, breaker: instance?.breakers.find(({ group }) => group === placed.echelon?.group) }
}

/** What `CircuitBreaker.availability` says of a snapshot. */
const availabilityOf = (
  { outBecause, probes, state, until }: CircuitBreakerState.Snapshot,
  most: number,
  now: number
): Failover.Availability => {
  switch (state) {
    case "closed":
    case "forced_closed":
      return "ready"
    case "forced_open":
      return "out"
    case "open":
      return outBecause === "credential" || until === undefined ? "out" : { until }
    case "half_open":
      return probes < most ? "ready" : { until: now + 1 }
  }
}

/** A member of a tier as a snapshot has it, so that what the engine decides by is asked here, too. */
const asItStands = (
  placed: ExplainTiers.Placed,
  rank: ExplainTiers.Rank,
  groups: Plan.Root["groups"],
  snapshot: Control.Snapshot | undefined
): Member.Member | undefined => {
  const { engine } = placed
  if (engine === undefined || !rank.members.includes(engine)) return undefined
  const { breaker, instance } = standingOf(placed, snapshot)
  if (instance === undefined) return engine
  const { coolingUntil, isDrained, isUnhealthy } = instance
  const availability = isDrained ? "out" : coolingUntil === undefined ? "ready" : { until: coolingUntil }
  const health = { isOut: isUnhealthy, heard: undefined }
  const state = { ...engine.state, availability: () => availability, health } as const
  if (breaker === undefined) return { ...engine, state }
  const options = ExplainTiers.find(groups, breaker.group)?.fallback.breaker
  if (options === undefined) return { ...engine, state }
  return {
    ...engine,
    state,
    breaker: {
      ...CircuitBreaker.make(options),
      availability: (now) => availabilityOf(breaker, options.halfOpenRequests, now),
      outBecause: () => breaker.outBecause,
      snapshot: () => breaker
    }
  }
}

/** Those of each tier that breakers put out beyond the share they may. */
const readmitted = (
  { pool, ranks }: ExplainTiers.Way,
  groups: Plan.Root["groups"],
  snapshot: Control.Snapshot | undefined
): ReadonlySet<ExplainTiers.Placed["engine"]> => {
  const found = new Set<ExplainTiers.Placed["engine"]>()
  const maxEjected = pool?.fallback.maxEjected ?? 1
  if (maxEjected >= 1 || snapshot === undefined) return found
  for (const rank of ranks) {
    const placed = rank.placed.flatMap((one) => {
      const member = asItStands(one, rank, groups, snapshot)
      return member === undefined ? [] : [{ engine: one.engine, member }]
    })
    let out = placed.filter(({ member }) => Member.isEjected(member, snapshot.at))
    for (let over = out.length - Math.floor(maxEjected * rank.members.length); over > 0; over--) {
      const members = out.map(({ member }) => member)
      const best = Member.leastBad(members, snapshot.at)
      const readmit = out.find(({ member }) => member === best)
      if (readmit === undefined) break
      found.add(readmit.engine)
      out = out.filter((one) => one !== readmit)
    }
  }
  return found
}

/** What the request could never get past, whatever time it is. */
const forGood = (
  placed: ExplainTiers.Placed,
  rank: ExplainTiers.Rank,
  { needs = [] }: Explain.Options,
  tokens: TokenEstimate.Estimate
) => {
  const { engine, plan } = placed
  const reasons: Array<Explain.Reason> = []
  if (plan === undefined || engine === undefined) return reasons
  const first = rank.members.find(({ id }) => id === engine.id)
  if (first !== undefined && first !== engine) reasons.push({ _tag: "Duplicate", echelon: first.echelon ?? "" })
  const missing = Capability.missing(plan.model.capabilities, needs)
  if (missing.length > 0) reasons.push({ _tag: "Lacks", capabilities: missing })
  const { contextWindow } = engine
  if (contextWindow !== undefined && !TokenEstimate.mayFit(tokens, contextWindow)) {
    const needed = Math.ceil(tokens.input / 2) + (tokens.statedOutput ?? 0)
    reasons.push({ _tag: "ContextWindow", contextWindow, needed })
  }
  return reasons
}

/** Whether the unhealthy are passed over by a request that has asked nobody yet. */
const passesUnhealthy = (
  root: Plan.Root,
  way: ExplainTiers.Way,
  options: Explain.Options,
  tokens: TokenEstimate.Estimate
): boolean => {
  const { snapshot } = options
  if (snapshot?.instances.some(({ isUnhealthy }) => isUnhealthy) !== true) return false
  const able = new Set<Member.Member>()
  const tiers = way.ranks.map((rank) => ({
    members: rank.placed.flatMap((placed) => {
      const member = asItStands(placed, rank, root.groups, snapshot)
      if (member === undefined) return []
      if (forGood(placed, rank, options, tokens).length === 0) able.add(member)
      return [member]
    })
  }))
  return TiersGate.passesUnhealthy(tiers, (member) => able.has(member), snapshot.at)
}

/** What its limits say. */
const limited = (
  placed: ExplainTiers.Placed,
  way: ExplainTiers.Way,
  options: Explain.Options,
  tokens: number
): ReadonlyArray<Explain.Reason> => {
  const { echelon, plan } = placed
  if (plan === undefined) return []
  const owners: ReadonlyArray<readonly [StateRegistry.Owner, string, ReadonlyArray<RateLimit.Spec>]> = [
    ...(way.pool === undefined ? [] : [["pool", way.pool.name, RateLimit.ofPool(way.pool.rateLimit)] as const]),
    ...(echelon === undefined
      ? []
      : [["echelon", ExplainTiers.nameOf(echelon), RateLimit.ofLimits(echelon.limits)] as const]),
    ["instance", plan.name, RateLimit.ofLimits(plan.model.limits)]
  ]
  const empty = owners.map(([, name, specs]) => RateLimiter.make(specs, { name }))
  const full =
    RateLimiter.peek(empty, { tokens }, 0) ??
    options.peek?.(
      owners.map(([owner, name]) => [owner, name] as const),
      tokens
    )
  if (full?._tag === "TooLarge") return [full]
  if (full !== undefined) return [{ _tag: "LimitFull", limit: full.limit, until: full.retryAt }]
  const { snapshot } = options
  if (snapshot === undefined || options.peek !== undefined) return []
  const held = {
    pool: snapshot.pools,
    echelon: snapshot.echelons,
    instance: snapshot.instances
  }
  return owners
    .flatMap(([owner, name]) => held[owner].find((one) => one.name === name)?.limits ?? [])
    .filter(({ left, of }) => left < (of === "tokens" ? tokens : 1))
    .map(({ name }) => ({ _tag: "LimitFull", limit: name, until: undefined }))
}

/** What stands in the way now. */
const forNow = (
  placed: ExplainTiers.Placed,
  groups: Plan.Root["groups"],
  snapshot: Control.Snapshot | undefined,
  isHealthPreferred: boolean
): ReadonlyArray<Explain.Reason> => {
  const { breaker, instance } = standingOf(placed, snapshot)
  const reasons: Array<Explain.Reason> = []
  if (instance?.isDrained === true) reasons.push({ _tag: "Drained" })
  if (instance?.coolingUntil !== undefined) reasons.push({ _tag: "Cooling", until: instance.coolingUntil })
  if (isHealthPreferred && instance?.isUnhealthy === true) reasons.push({ _tag: "Unhealthy" })
  if (breaker?.state === "forced_open" || breaker?.state === "open") {
    const { group, outBecause: because = "failures", until } = breaker
    reasons.push({ _tag: "BreakerOpen", group, because, until: because === "failures" ? until : undefined })
  }
  if (breaker?.state === "half_open") {
    const most = ExplainTiers.find(groups, breaker.group)?.fallback.breaker.halfOpenRequests ?? 1
    if (breaker.probes >= most) reasons.push({ _tag: "BreakerTesting", group: breaker.group, probes: breaker.probes })
  }
  return reasons
}

/** Without credential, or without plan. A client that no file describes may still be asked. */
const absent = (
  root: Plan.Root,
  { instance, plan }: ExplainTiers.Placed,
  way: ExplainTiers.Way
): ReadonlyArray<Explain.Reason> => {
  if (plan !== undefined) return []
  const bare = Object.keys(root.disabled).find((name) => name === instance || name.startsWith(`${instance}@`))
  const variable = bare === undefined ? undefined : root.disabled[bare]
  if (variable !== undefined) return [{ _tag: "NoCredential", variable }]
  return way.through.kind === "client" ? [] : [{ _tag: "NotConfigured" }]
}

/**
 * An instance on its place, and all that is in its way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Found {
  readonly placed: ExplainTiers.Placed
  readonly reasons: ReadonlyArray<Explain.Reason>
}

/**
 * A tier: what stands in the way of each. `isHopeless` when nobody comes back by itself, so that the request may
 * panic; `leastBad` is whom it would try then, if anybody here.
 *
 * @since 0.1.0
 * @category models
 */
export interface Gated {
  readonly found: ReadonlyArray<Found>
  readonly isHopeless: boolean
  readonly leastBad: string | undefined
}

/**
 * What stands in the way of those of a tier.
 *
 * @since 0.1.0
 * @category getters
 */
export const of = (
  root: Plan.Root,
  way: ExplainTiers.Way,
  rank: ExplainTiers.Rank,
  options: Explain.Options,
  tokens: TokenEstimate.Estimate
): Gated => {
  const { snapshot } = options
  const now = snapshot?.at ?? 0
  const again = readmitted(way, root.groups, snapshot)
  const isHealthPreferred = passesUnhealthy(root, way, options, tokens)
  const ejected: Array<Member.Member> = []
  let isHopeless = true
  const found = rank.placed.map((placed): Found => {
    const never = [...absent(root, placed, way), ...forGood(placed, rank, options, tokens)]
    const full = limited(placed, way, options, tokens.total)
    const member = asItStands(placed, rank, root.groups, snapshot)
    if (member !== undefined) {
      const can = never.length === 0
      isHopeless &&= Member.isHopeless(member, can, now)
      if (can && full.length === 0 && Member.isEjected(member, now)) ejected.push(member)
    }
    const current = again.has(placed.engine) ? [] : forNow(placed, root.groups, snapshot, isHealthPreferred)
    return { placed, reasons: [...never, ...current, ...full] }
  })
  return { found, isHopeless, leastBad: Member.leastBad(ejected, now)?.id }
}
