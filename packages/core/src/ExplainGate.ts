/**
 * What stands between a request and an instance, told from a plan and a snapshot: see `TiersGate`.
 *
 * @since 0.1.0
 */
import * as Capability from "./Capability.ts"
import type * as Control from "./Control.ts"
import type * as Explain from "./Explain.ts"
import * as ExplainTiers from "./ExplainTiers.ts"
import type * as Plan from "./Plan.ts"
import * as RateLimit from "./RateLimit.ts"
import * as RateLimiter from "./RateLimiter.ts"
import type * as StateRegistry from "./StateRegistry.ts"
import * as TokenEstimate from "./TokenEstimate.ts"

/** How an instance stands, and the breaker of it in its group. */
const standingOf = (placed: ExplainTiers.Placed, snapshot: Control.Snapshot | undefined) => {
  const instance = snapshot?.instances.find(({ name }) => name === placed.instance)
  return { instance, breaker: instance?.breakers.find(({ group }) => group === placed.echelon?.group) }
}

/** Whether only its own failures keep it out: see `Member.isEjected`. */
const isEjected = (placed: ExplainTiers.Placed, snapshot: Control.Snapshot | undefined): boolean => {
  const { breaker, instance } = standingOf(placed, snapshot)
  return breaker?.outBecause === "failures" && instance?.isDrained === false && instance.coolingUntil === undefined
}

/**
 * The least bad of ejected instances: see `Member.leastBad`.
 *
 * @since 0.1.0
 * @category getters
 */
export const leastBad = (
  placed: ReadonlyArray<ExplainTiers.Placed>,
  snapshot: Control.Snapshot | undefined
): ExplainTiers.Placed | undefined =>
  [...placed].sort((a, b) => {
    const [one, two] = [standingOf(a, snapshot).breaker, standingOf(b, snapshot).breaker]
    return (one?.failureRatio ?? 0) - (two?.failureRatio ?? 0) || (one?.openedAt ?? 0) - (two?.openedAt ?? 0)
  })[0]

/** Those of each tier that breakers put out beyond the share they may. */
const readmitted = (
  { pool, ranks }: ExplainTiers.Way,
  snapshot: Control.Snapshot | undefined
): ReadonlySet<ExplainTiers.Placed> => {
  const found = new Set<ExplainTiers.Placed>()
  const maxEjected = pool?.fallback.maxEjected ?? 1
  if (maxEjected >= 1) return found
  for (const { members, placed } of ranks) {
    const own = placed.filter(({ engine }) => engine !== undefined && members.includes(engine))
    let out = own.filter((one) => isEjected(one, snapshot))
    for (let over = out.length - Math.floor(maxEjected * own.length); over > 0; over--) {
      const best = leastBad(out, snapshot)
      if (best === undefined) break
      found.add(best)
      out = out.filter((one) => one !== best)
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
  options: Explain.Options
): ReadonlyArray<Explain.Reason> => {
  const { breaker, instance } = standingOf(placed, options.snapshot)
  const reasons: Array<Explain.Reason> = []
  if (instance?.isDrained === true) reasons.push({ _tag: "Drained" })
  if (instance?.coolingUntil !== undefined) reasons.push({ _tag: "Cooling", until: instance.coolingUntil })
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
 * An instance on its place, and all that is in its way. `mayPanic` when nothing but its own failures are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Found {
  readonly placed: ExplainTiers.Placed
  readonly reasons: ReadonlyArray<Explain.Reason>
  readonly mayPanic: boolean
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
): ReadonlyArray<Found> => {
  const again = readmitted(way, options.snapshot)
  return rank.placed.map((placed) => {
    const never = [...absent(root, placed, way), ...forGood(placed, rank, options, tokens)]
    const full = limited(placed, way, options, tokens.total)
    const now = again.has(placed) ? [] : forNow(placed, root.groups, options)
    return {
      placed,
      reasons: [...never, ...now, ...full],
      mayPanic: never.length + full.length === 0 && isEjected(placed, options.snapshot)
    }
  })
}
