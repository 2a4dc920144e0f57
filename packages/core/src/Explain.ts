/**
 * What would become of a request: where it goes, in which order instances would be asked, and why the others would be
 * passed over.
 *
 * It reads the plan that is interpreted and decides as the engine does: `Router.decide`, `TaskGroup.chain` and
 * `Pool.merge` give the tiers, `Capability.missing`, `TokenEstimate.mayFit`, `TiersGate.passesUnhealthy` and
 * `RateLimiter.peek` who is kept from them, `Selection.pick` who comes first. Nothing is asked and nothing changes.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import type * as AdmissionQueue from "./AdmissionQueue.ts"
import type * as Capability from "./Capability.ts"
import * as Clocks from "./Clocks.ts"
import type * as Control from "./Control.ts"
import * as ExplainGate from "./ExplainGate.ts"
import * as ExplainOrder from "./ExplainOrder.ts"
import * as ExplainTiers from "./ExplainTiers.ts"
import type * as LlmError from "./LlmError.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import type * as Plan from "./Plan.ts"
import type * as RateLimiter from "./RateLimiter.ts"
import * as Router from "./Router.ts"
import type * as StateRegistry from "./StateRegistry.ts"
import * as TokenEstimate from "./TokenEstimate.ts"

/**
 * Why an instance would not be asked. Times are milliseconds since the epoch.
 *
 * **Details** `Behind` and `Never` are about the tier: `max_attempts` (or a pool without fallback) lets so many tiers
 * be tried, `max_total_attempts` so many attempts be made, and as many tiers that can be asked stand before it. A tier
 * before it that turns out to be passed over makes room again. `Unhealthy` holds while a healthy instance that could be
 * asked was not: when all of those have failed it is asked after all, as far as its tier has attempts left.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason =
  | { readonly _tag: "NoCredential"; readonly variable: string }
  | { readonly _tag: "NotConfigured" }
  | { readonly _tag: "Lacks"; readonly capabilities: ReadonlyArray<Capability.Capability> }
  /** `needed` tokens are the least that the request is thought to take. */
  | { readonly _tag: "ContextWindow"; readonly contextWindow: number; readonly needed: number }
  /** More than the limit grants at any time. */
  | { readonly _tag: "TooLarge"; readonly limit: string; readonly needed: number; readonly most: number }
  | { readonly _tag: "Drained" }
  | { readonly _tag: "Cooling"; readonly until: number }
  /** Put out by a health checker, while a healthy one can be asked. */
  | { readonly _tag: "Unhealthy" }
  /** Without `until` only a reset, a reload or an active probe ends it. */
  | {
      readonly _tag: "BreakerOpen"
      readonly group: string
      readonly until: number | undefined
      readonly because: "failures" | "credential" | "forced"
    }
  | { readonly _tag: "BreakerTesting"; readonly group: string; readonly probes: number }
  /** `until` is not known of concurrency, nor from a snapshot alone. */
  | { readonly _tag: "LimitFull"; readonly limit: string; readonly until: number | undefined }
  /** It stands in the tier already, as another echelon says. */
  | { readonly _tag: "Duplicate"; readonly echelon: string }
  | { readonly _tag: "Behind"; readonly maxTiers: number }
  | { readonly _tag: "Never"; readonly maxTotalAttempts: number }

/**
 * Whether an instance would be asked, should those before it fail in a way that lets the request go on.
 *
 * @since 0.1.0
 * @category models
 */
export type Verdict =
  | { readonly _tag: "Asked" }
  | { readonly _tag: "PassedOver"; readonly reasons: readonly [Reason, ...Array<Reason>] }

/**
 * An instance in a tier.
 *
 * @since 0.1.0
 * @category models
 */
export interface Member {
  readonly instance: string
  readonly provider: string | undefined
  /** The name on the wire. */
  readonly model: string | undefined
  /** `group.echelonN`; `undefined` for a direct call. */
  readonly echelon: string | undefined
  /** With what the request says of itself laid over them. */
  readonly clocks: Clocks.Clocks
  readonly weight: number
  /** From 1; a lower one is asked before a higher one, equal ones in any order. Only where the tier is `ranked`. */
  readonly rank: number | undefined
  readonly verdict: Verdict
}

/**
 * How a tier's order is found: `ranked` by the plan or by what was measured, by `turns` that other requests move on,
 * or `any`, where chance, a session or what nothing is known of decides.
 *
 * @since 0.1.0
 * @category models
 */
export type Order = "ranked" | "turns" | "any"

/**
 * Instances of equal rank.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tier {
  /** `group.echelonN`; a pool's tier may have several, a direct call's none. */
  readonly echelons: ReadonlyArray<string>
  readonly rotation: Plan.Rotation
  readonly order: Order
  /** Attempts beyond the first. */
  readonly maxRetries: number
  /** Different instances a request may try here; `undefined` when any number. */
  readonly maxInstances: number | undefined
  /**
   * Milliseconds that it has until first output where no `ttft_timeout` is set: its part of the deadline, if the tiers
   * before took theirs. `undefined` without a deadline, and when it has all that is left.
   */
  readonly share: number | undefined
  /** Whether it is there because somebody pinned its members. */
  readonly isPinned: boolean
  /** Those who would be asked first, then those passed over. */
  readonly members: ReadonlyArray<Member>
}

/**
 * An echelon of the group that this request would not come to, whatever fails: its group has no fallback, it stands
 * before the echelon that was named, or it is none of the fallbacks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outside {
  readonly echelon: string
  readonly instances: ReadonlyArray<string>
  readonly because: "no_fallback" | "before_start" | "not_a_fallback"
}

/**
 * What decided where the request goes: the request, a key of `[routing]`, or the last default.
 *
 * @since 0.1.0
 * @category models
 */
export type By = "request" | "default_wrapper" | "default_pool" | "default_provider" | "built_in"

/**
 * What would become of a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Explanation {
  readonly target: Router.Target
  readonly by: By
  readonly wrapper: Plan.Wrapper | undefined
  /** The wrapper's queue as it stands, when it was used. */
  readonly queue: AdmissionQueue.Snapshot | undefined
  /** Whose tiers these are. A client that no file describes has one member of which only the name is known. */
  readonly through: { readonly kind: "pool" | "group" | "client"; readonly name: string }
  /** Milliseconds until commit. */
  readonly deadline: number | undefined
  /** How many tiers may be tried, when that is fewer than there are. */
  readonly maxTiers: number | undefined
  readonly maxTotalAttempts: number | undefined
  readonly tiers: ReadonlyArray<Tier>
  readonly outside: ReadonlyArray<Outside>
  /** Whom one request at a time may try although nobody can be asked, since breakers alone stand in the way. */
  readonly panic: string | undefined
  /** When the state was read; `undefined` when only the plan was. */
  readonly at: number | undefined
}

/**
 * What is asked about.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** @default what `metadata` says */
  readonly target?: Router.Target | undefined
  readonly metadata?: LlmRequest.Metadata | undefined
  /** @default none */
  readonly needs?: ReadonlyArray<Capability.Capability> | undefined
  /** As `TokenEstimate` counts them. @default 0 */
  readonly inputTokens?: number | undefined
  /** What the request itself states. */
  readonly maxOutputTokens?: number | undefined
  /** How everything stands. @default as when nothing was asked yet */
  readonly snapshot?: Control.Snapshot | undefined
  /** Asks limits whether they would grant a request; with it `LimitFull` says until when. */
  readonly peek?:
    | ((
        limits: ReadonlyArray<readonly [StateRegistry.Owner, string]>,
        tokens: number
      ) => RateLimiter.Full | RateLimiter.TooLarge | undefined)
    | undefined
}

const byOf = (target: Router.Target, metadata: LlmRequest.Metadata, routing: Plan.Root["routing"]): By => {
  switch (target.kind) {
    case "wrapper":
      return metadata.wrapperName === undefined ? "default_wrapper" : "request"
    case "pool":
      return metadata.poolName === undefined ? "default_pool" : "request"
    case "group":
      return "request"
    case "client":
      if (metadata.provider !== undefined) return "request"
      return routing.defaultProvider === undefined ? "built_in" : "default_provider"
  }
}

const least = (...values: ReadonlyArray<number | undefined>): number | undefined => {
  const stated = values.filter((value) => value !== undefined)
  return stated.length === 0 ? undefined : Math.min(...stated)
}

/**
 * Explains what would become of a request.
 *
 * **Details** Without a snapshot everything counts as it is when nothing was asked yet. What only chance, other
 * requests or the failures to come decide is not foretold: see `Order` and `Verdict`.
 *
 * **Errors** `UnknownTarget` with the nearest known names.
 *
 * @example
 * ```ts
 * import { Explain, Plans } from "@echelon/core"
 * import { Result } from "effect"
 *
 * const local = Plans.provider({ name: "local", kind: "ollama" })
 * const model = Plans.model({ model: "llama3.2", capabilities: { features: ["tools"] } })
 * const root = Plans.root({
 *   instances: [Plans.instance({ provider: local, alias: "small", model })],
 *   groups: [Plans.group("chat", [Plans.echelon("chat", 1, ["local-small"])])]
 * })
 * const { tiers } = Result.getOrThrow(Explain.of(root, { metadata: { groupName: "chat" }, needs: ["images"] }))
 * const verdict = tiers[0]?.members[0]?.verdict
 * console.assert(verdict?._tag === "PassedOver" && Explain.describe(verdict.reasons[0]) === "lacks images")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (root: Plan.Root, options: Options = {}): Result.Result<Explanation, LlmError.LlmError> => {
  const { metadata = {}, snapshot } = options
  const target = options.target ?? Router.decide(metadata, root.routing)
  return Result.map(ExplainTiers.of(root, target), (way) => {
    const wrapper = target.kind === "wrapper" ? ExplainTiers.find(root.wrappers, target.name) : undefined
    const own = metadata.timeout === undefined ? undefined : Duration.toMillis(metadata.timeout)
    const deadline = least(wrapper?.requestTimeout, own)
    const maxTotalAttempts = least(way.maxTotalAttempts, metadata.maxTotalAttempts)
    const ranks = ExplainTiers.withPins(way.ranks, snapshot)
    const maxTiers = way.maxTiers + ranks.length - way.ranks.length
    const nothing = { messages: [], tools: [], responseFormat: { type: "text" }, settings: {} } as const
    const output = options.maxOutputTokens ?? TokenEstimate.of(nothing).output
    const input = options.inputTokens ?? 0
    const tokens = { input, output, statedOutput: options.maxOutputTokens, total: input + output }
    const order = ExplainOrder.of(way.rotation, options)
    const { timeout: _, ...clocks } = metadata

    let tried = 0
    let remaining = deadline
    // Nobody panics while somebody comes back by himself, in whatever tier.
    let isHopeless = way.pool !== undefined
    let panic: string | undefined
    const tiers = ranks.map((rank, place): Tier => {
      const gated = ExplainGate.of(root, way, rank, options, tokens)
      const { found } = gated
      const ready = found.flatMap(({ placed, reasons }) => (reasons.length === 0 ? [placed] : []))
      isHopeless &&= gated.isHopeless
      panic ??= gated.leastBad
      const behind: ReadonlyArray<Reason> = [
        ...(tried >= maxTiers ? [{ _tag: "Behind", maxTiers } as const] : []),
        ...(tried >= (maxTotalAttempts ?? Number.POSITIVE_INFINITY)
          ? [{ _tag: "Never", maxTotalAttempts: maxTotalAttempts ?? 0 } as const]
          : [])
      ]
      const isTried = ready.length > 0 && behind.length === 0
      const parts = Math.min(ranks.length - place, maxTiers - tried)
      const share = isTried && remaining !== undefined && parts > 1 ? remaining / parts : undefined
      if (share !== undefined && remaining !== undefined) remaining -= share
      if (isTried) tried += 1
      const rankOf = order === "ranked" && isTried ? ExplainOrder.ranks(way.rotation, ready, options) : undefined
      const members = found.map(({ placed, reasons }): Member => {
        const [first, ...others] = [...reasons, ...behind]
        const described = placed.plan ?? identify(root, placed.instance)
        return {
          instance: placed.instance,
          provider: described?.provider.name,
          model: described?.model.model,
          echelon: placed.echelon && ExplainTiers.nameOf(placed.echelon),
          clocks: Clocks.withCaller(placed.echelon?.clocks ?? Clocks.defaults, clocks),
          weight: placed.engine?.weight ?? 1,
          rank: rankOf?.get(placed),
          verdict: first === undefined ? { _tag: "Asked" } : { _tag: "PassedOver", reasons: [first, ...others] }
        }
      })
      const isAsked = ({ verdict }: Member): boolean => verdict._tag === "Asked"
      return {
        echelons: rank.echelons,
        rotation: way.rotation,
        order,
        maxRetries: rank.maxRetries,
        maxInstances: Number.isFinite(rank.maxInstances) ? rank.maxInstances : undefined,
        share,
        isPinned: rank.isPinned,
        members: [
          ...members.filter(isAsked).sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0)),
          ...members.filter((member) => !isAsked(member))
        ]
      }
    })
    return {
      target,
      by: options.target === undefined ? byOf(target, metadata, root.routing) : "request",
      wrapper,
      queue: snapshot?.wrappers.find(({ name }) => name === wrapper?.name)?.queue,
      through: way.through,
      deadline,
      maxTiers: maxTiers < ranks.length ? maxTiers : undefined,
      maxTotalAttempts,
      tiers,
      outside: way.outside,
      panic: tried === 0 && isHopeless ? panic : undefined,
      at: snapshot?.at
    }
  })
}

/**
 * The provider and the model behind the name of an instance, one without a credential too.
 *
 * @since 0.1.0
 * @category getters
 */
export const identify = (
  root: Plan.Root,
  instance: string
): { readonly provider: Plan.Provider; readonly alias: string; readonly model: Plan.Model } | undefined => {
  const known = ExplainTiers.find(root.instances, instance)
  if (known !== undefined) return known
  // Names are never split: which one it is, is looked up.
  for (const provider of Object.values(root.providers)) {
    for (const [alias, model] of Object.entries(provider.models)) {
      const bare = `${provider.name}-${alias}`
      if (instance === bare || instance.startsWith(`${bare}@`)) return { provider, alias, model }
    }
  }
  return undefined
}

const at = (until: number | undefined): string => (until === undefined ? "" : ` until ${new Date(until).toISOString()}`)

/**
 * Says a reason in a few words.
 *
 * @since 0.1.0
 * @category getters
 */
export const describe = (reason: Reason): string => {
  switch (reason._tag) {
    case "NoCredential":
      return `no credential: set ${reason.variable}`
    case "NotConfigured":
      return "no provider has such a model"
    case "Lacks":
      return `lacks ${reason.capabilities.join(", ")}`
    case "ContextWindow":
      return `context window of ${reason.contextWindow} tokens; at least ${reason.needed} are needed`
    case "TooLarge":
      return `${reason.limit} never grants more than ${reason.most} tokens; about ${reason.needed} are needed`
    case "Drained":
      return "drained"
    case "Cooling":
      return `cooling${at(reason.until)}`
    case "Unhealthy":
      return "unhealthy, and a healthy one can be asked"
    case "BreakerOpen":
      return reason.because === "forced"
        ? `breaker of ${reason.group} held open`
        : `breaker of ${reason.group} open${reason.because === "credential" ? " until its credential, quota or model is mended" : at(reason.until)}`
    case "BreakerTesting":
      return `breaker of ${reason.group} half-open: ${reason.probes === 1 ? "a probe runs" : `${reason.probes} probes run`}`
    case "LimitFull":
      return `limit ${reason.limit} full${at(reason.until)}`
    case "Duplicate":
      return `in this tier already, as ${reason.echelon} says`
    case "Behind":
      return reason.maxTiers === 1 ? "only one tier is tried" : `only ${reason.maxTiers} tiers are tried`
    case "Never":
      return `behind max_total_attempts = ${reason.maxTotalAttempts}`
  }
}
