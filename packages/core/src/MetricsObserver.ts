/**
 * Measures requests and attempts as they are told of. It knows no effect: what it is told becomes counts.
 *
 * The series of an attempt are found by nine names, one step each, and then kept: that is a tenth of the time that
 * a text made of them takes.
 *
 * @since 0.1.0
 */
import * as MetricNames from "./MetricNames.ts"
import * as MetricSeries from "./MetricSeries.ts"
import * as Observation from "./Observation.ts"
import type * as Plan from "./Plan.ts"
import type * as Route from "./Route.ts"

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly series: MetricSeries.Series
  /** The plan of now. */
  readonly plan: () => Plan.Root | undefined
  /** Whether tenants are told apart. */
  readonly tenantLabel: () => boolean
}

/**
 * An observer that measures.
 *
 * @since 0.1.0
 * @category models
 */
export interface MetricsObserver extends Observation.Observer {
  /** Finds the labels of everything anew: the plan has changed, or the settings have. What was counted stays. */
  readonly forget: () => void
}

type Extra = (x: string, y: string) => MetricSeries.Labels
type Found = MetricSeries.Count | MetricSeries.Histogram

/** What is found once for a set of labels. */
class Row {
  private readonly series: MetricSeries.Series
  /** None for what there is no room for. */
  private readonly labels: MetricSeries.Labels | undefined
  private readonly open: MetricSeries.Open
  private readonly isBeyond: boolean
  private readonly found = new Map<string, Map<string, Map<string, Found>>>()

  constructor(
    series: MetricSeries.Series,
    labels: MetricSeries.Labels | undefined,
    open: MetricSeries.Open,
    isBeyond = false
  ) {
    this.series = series
    this.labels = labels
    this.open = open
    this.isBeyond = isBeyond
  }

  add(name: MetricNames.NameOf<"counter">, amount: number, extra: Extra = nothing, x = "", y = ""): void {
    const known = this.look(name, x, y)
    const series =
      known === undefined ? this.series.count(name, this.labelled(extra, x, y), this.open, this.isBeyond) : known
    if (known === undefined) this.keep(name, x, y, series)
    ;(series as MetricSeries.Count).add(amount)
  }

  record(name: MetricNames.NameOf<"histogram">, value: number, extra: Extra = nothing, x = "", y = ""): void {
    const known = this.look(name, x, y)
    const series =
      known === undefined ? this.series.histogram(name, this.labelled(extra, x, y), this.open, this.isBeyond) : known
    if (known === undefined) this.keep(name, x, y, series)
    ;(series as MetricSeries.Histogram).record(value)
  }

  private labelled(extra: Extra, x: string, y: string): MetricSeries.Labels | undefined {
    return this.labels === undefined ? undefined : { ...this.labels, ...extra(x, y) }
  }

  private look(name: string, x: string, y: string): Found | undefined {
    return this.found.get(name)?.get(x)?.get(y)
  }

  private keep(name: string, x: string, y: string, made: Found): void {
    const byX = this.found.get(name) ?? new Map<string, Map<string, Found>>()
    const byY = byX.get(x) ?? new Map<string, Found>()
    this.found.set(name, byX)
    byX.set(x, byY)
    byY.set(y, made)
  }
}

interface Node {
  readonly below: Map<string | symbol | undefined, Node>
  row: Row | undefined
}

type Names = ReadonlyArray<string | symbol | undefined>

/** Stands for whatever a caller chose. */
const any = Symbol("any")

/** Rows by names. There are never more than the metric with the most room has series. */
class Rows {
  private root: Node = { below: new Map(), row: undefined }
  private size = 0
  private open = 0
  private other: Row | undefined

  forget(): void {
    this.root = { below: new Map(), row: undefined }
    this.size = 0
    this.open = 0
    this.other = undefined
  }

  find(names: Names): Row | undefined {
    let node: Node | undefined = this.root
    for (let i = 0; i < names.length && node !== undefined; i++) node = node.below.get(names[i])
    return node?.row
  }

  /** The row of what there is no room for, once there is one. */
  full(series: MetricSeries.Series, isOpen: boolean, beyond: Names): Row | undefined {
    const { maxSeries } = series
    if (this.size < maxSeries && !(isOpen && this.open >= MetricSeries.openRoom(maxSeries))) return undefined
    return (isOpen ? this.find(beyond) : undefined) ?? (this.size < maxSeries ? undefined : this.other)
  }

  /** The row of these names, or of what there is no room for. `beyond` are the names with what callers chose left out. */
  make(
    series: MetricSeries.Series,
    names: Names,
    labels: MetricSeries.Labels,
    open: MetricSeries.Open,
    beyond: Names
  ): Row {
    const { maxSeries } = series
    const isOpen = open.length > 0
    const isFull = this.size >= maxSeries
    if (!isFull && !(isOpen && this.open >= MetricSeries.openRoom(maxSeries)))
      return this.add(names, new Row(series, labels, open), isOpen)
    if (isOpen && !isFull)
      return this.add(beyond, new Row(series, MetricSeries.beyond(labels, open), open, true), false)
    this.other ??= new Row(series, undefined, [])
    return this.other
  }

  private add(names: Names, row: Row, isOpen: boolean): Row {
    let node = this.root
    for (const name of names) {
      const below: Node = node.below.get(name) ?? { below: new Map(), row: undefined }
      node.below.set(name, below)
      node = below
    }
    node.row = row
    this.size += 1
    if (isOpen) this.open += 1
    return row
  }
}

const nothing: Extra = () => ({})

/** How something ended, in a word: the reason when it failed. */
const endOf = ({ outcome, reason }: Pick<Route.Open, "outcome" | "reason">): string =>
  outcome === "failed" ? (reason ?? "Unknown") : outcome

const outcomeOf = (end: string): string => (end === "completed" || end === "cancelled" ? end : "failed")

const errorOf = (end: string): string | undefined =>
  end === "completed" ? undefined : end === "cancelled" ? "Cancelled" : end

const byKind: Extra = (kind) => ({ "echelon.kind": kind })
const byOutcome: Extra = (outcome) => ({ "echelon.outcome": outcome })
const byError: Extra = (end) => error(end)
const byEnd: Extra = (end) => ({ "echelon.outcome": outcomeOf(end), ...error(end) })
const byKindAndEnd: Extra = (kind, end) => ({ "echelon.kind": kind, ...byEnd(end, "") })
const byTokenType: Extra = (type) => ({ "gen_ai.token.type": type })
const bySource: Extra = (type, source) => ({ "echelon.token.type": type, "echelon.usage.source": source })

const error = (end: string): MetricSeries.Labels => {
  const type = errorOf(end)
  return type === undefined ? {} : { "error.type": type }
}

/** Where a provider is, when a file says so. */
const addressOf = (baseUrl: string | undefined): MetricSeries.Labels => {
  if (baseUrl === undefined || !URL.canParse(baseUrl)) return {}
  const { hostname, port, protocol } = new URL(baseUrl)
  return { "server.address": hostname, "server.port": port !== "" ? port : protocol === "https:" ? "443" : "80" }
}

/** The group of `group.echelonN`. */
const groupOf = (echelon: string | undefined): string | undefined =>
  echelon === undefined ? undefined : echelon.slice(0, Math.max(0, echelon.lastIndexOf(".")))

/** The attempt before this one that failed, when this one is there because of it. */
const failedBefore = ({ attempts }: Observation.Observation): Route.Open | undefined => {
  for (let i = attempts.length - 2; i >= 0; i--) {
    const entry = attempts[i] as Route.Open
    if (entry.outcome === "failed" && !Observation.isFree(entry)) return entry
  }
  return undefined
}

const second = 1_000

class Measuring implements MetricsObserver {
  private readonly options: Options
  private readonly attempts = new Rows()
  private readonly requests = new Rows()

  constructor(options: Options) {
    this.options = options
  }

  readonly forget = (): void => {
    this.attempts.forget()
    this.requests.forget()
  }

  readonly onAttemptStart = (observation: Observation.Observation, attempt: Route.Open): void => {
    if (!observation.isMeasured) return
    const row = this.attempt(observation, attempt)
    const { kind } = attempt
    row.add("echelon.attempts", 1, byKind, kind)
    if (kind === "cache") row.add("echelon.cache.hits", 1)
    if (kind === "coalesced") row.add("echelon.coalesced", 1)
    if (kind !== "call" || observation.attempts.length < 2) return
    const failed = failedBefore(observation)
    if (failed === undefined) return
    const name = failed.instance === attempt.instance ? "echelon.retries" : "echelon.failovers"
    this.attempt(observation, failed).add(name, 1, byError, endOf(failed))
  }

  readonly onAttemptEnd = (observation: Observation.Observation, attempt: Route.Open): void => {
    if (!observation.isMeasured) return
    const row = this.attempt(observation, attempt)
    const end = endOf(attempt)
    const { cost, endedAt = attempt.startedAt, firstOutputAt, kind, outcome, startedAt, usage } = attempt
    row.add("echelon.attempts.ended", 1, byKindAndEnd, kind, end)
    if (Observation.isFree(attempt)) return
    if (kind === "hedge") row.add("echelon.hedges", 1, byOutcome, outcome)
    row.record("gen_ai.client.operation.duration", (endedAt - startedAt) / second, byError, end)
    if (observation.isStream && firstOutputAt !== undefined)
      row.record("gen_ai.client.operation.time_to_first_chunk", (firstOutputAt - startedAt) / second)
    if (cost !== undefined) row.add("echelon.cost.usd", cost)
    else if (outcome === "completed") row.add("echelon.attempts.unpriced", 1)
    if (usage === undefined || usage.source === "unknown") return
    const { cacheReadTokens, cacheWriteTokens, inputTokens, outputTokens, reasoningTokens, source } = usage
    const isReported = source === "reported"
    const spent = (type: string, tokens: number | undefined): void => {
      if (tokens !== undefined) row.add("echelon.tokens", tokens, bySource, type, source)
    }
    spent("input", inputTokens)
    spent("output", outputTokens)
    spent("cache_read", cacheReadTokens)
    spent("cache_write", cacheWriteTokens)
    spent("reasoning", reasoningTokens)
    if (!isReported) return
    if (inputTokens !== undefined) row.record("gen_ai.client.token.usage", inputTokens, byTokenType, "input")
    if (outputTokens !== undefined) row.record("gen_ai.client.token.usage", outputTokens, byTokenType, "output")
    const perToken = observation.isStream && outcome === "completed" ? perTokenOf(attempt) : undefined
    if (perToken !== undefined && perToken > 0) row.record("echelon.output.tokens_per_second", second / perToken)
  }

  readonly onEnd = (observation: Observation.Observation): void => {
    if (!observation.isMeasured) return
    const end = endOf({ outcome: observation.outcome, reason: observation.reason })
    const { committedAt, endedAt = observation.startedAt, isStream, outcome, queuedMs, reason, startedAt } = observation
    const request = this.request(observation)
    request.add("echelon.requests", 1, byEnd, end)
    // Who found no room in the queue did not wait in it.
    if (observation.wrapper !== undefined && reason !== "QueueFull")
      request.record("echelon.queue.wait", queuedMs / second, byPriority, observation.priority)
    const answer = Observation.answering(observation)
    const row = answer === undefined ? request : this.attempt(observation, answer)
    row.record("gen_ai.server.request.duration", (endedAt - startedAt) / second, byError, end)
    if (outcome !== "completed" || !isStream || committedAt === undefined) return
    row.record("gen_ai.server.time_to_first_token", (committedAt - startedAt) / second)
    const perToken = answer === undefined || Observation.isFree(answer) ? undefined : perTokenOf(answer)
    if (perToken !== undefined) row.record("gen_ai.server.time_per_output_token", perToken / second)
  }

  private attempt(observation: Observation.Observation, attempt: Route.Open): Row {
    const tenant = this.tenant(observation)
    const instance = MetricSeries.clean(attempt.instance)
    const model = MetricSeries.clean(attempt.model)
    const names = [
      instance,
      attempt.echelon,
      observation.wrapper,
      observation.pool,
      observation.operation,
      model,
      attempt.provider?.name,
      observation.group,
      tenant
    ]
    const known = this.attempts.find(names)
    if (known !== undefined) return known
    const { series } = this.options
    const plan = this.options.plan()
    const planned = plan?.instances[attempt.instance]
    const open: MetricSeries.Open = [
      ...(tenant === undefined ? [] : (["echelon.tenant"] as const)),
      ...(planned === undefined ? (["echelon.instance", "gen_ai.request.model"] as const) : [])
    ]
    const isUnplanned = planned === undefined
    const beyond = [
      isUnplanned ? any : instance,
      ...names.slice(1, 5),
      isUnplanned ? any : model,
      ...names.slice(6, 8),
      tenant === undefined ? tenant : any
    ]
    const full = this.attempts.full(series, open.length > 0, beyond)
    if (full !== undefined) return full
    const provider = attempt.provider ?? planned?.provider
    const labels = {
      "gen_ai.operation.name": observation.operation,
      "gen_ai.provider.name": MetricNames.providerName(provider?.kind),
      "gen_ai.request.model": model,
      ...addressOf(provider === undefined ? undefined : plan?.providers[provider.name]?.baseUrl),
      ...optional("echelon.provider", provider?.name),
      "echelon.instance": instance,
      ...optional("echelon.echelon", attempt.echelon),
      ...optional("echelon.group", groupOf(attempt.echelon) ?? observation.group),
      ...optional("echelon.pool", observation.pool),
      ...optional("echelon.wrapper", observation.wrapper),
      ...optional("echelon.tenant", tenant)
    }
    return this.attempts.make(series, names, labels, open, beyond)
  }

  private request(observation: Observation.Observation): Row {
    const tenant = this.tenant(observation)
    const { group, operation, pool, target, wrapper } = observation
    const names = [wrapper, pool, group, target.kind, operation, tenant]
    const known = this.requests.find(names)
    if (known !== undefined) return known
    const { series } = this.options
    const open: MetricSeries.Open = tenant === undefined ? [] : ["echelon.tenant"]
    const beyond = [wrapper, pool, group, target.kind, operation, tenant === undefined ? tenant : any]
    const full = this.requests.full(series, open.length > 0, beyond)
    if (full !== undefined) return full
    const labels = {
      "gen_ai.operation.name": operation,
      "gen_ai.provider.name": MetricNames.providerName(undefined),
      "echelon.target": target.kind,
      ...optional("echelon.wrapper", wrapper),
      ...optional("echelon.pool", pool),
      ...optional("echelon.group", group),
      ...optional("echelon.tenant", tenant)
    }
    return this.requests.make(series, names, labels, open, beyond)
  }

  private tenant({ tenant }: Observation.Observation): string | undefined {
    return tenant !== undefined && this.options.tenantLabel() ? MetricSeries.clean(tenant) : undefined
  }
}

const byPriority: Extra = (priority) => ({ "echelon.priority": priority })

const optional = (label: MetricNames.Label, value: string | undefined): MetricSeries.Labels =>
  value === undefined ? {} : { [label]: value }

/** Milliseconds per output token after the first; `undefined` when that cannot be told. */
const perTokenOf = ({ endedAt, firstOutputAt, usage }: Route.Open): number | undefined =>
  usage?.source !== "reported" ||
  usage.outputTokens === undefined ||
  usage.outputTokens < 2 ||
  endedAt === undefined ||
  firstOutputAt === undefined
    ? undefined
    : (endedAt - firstOutputAt) / (usage.outputTokens - 1)

/**
 * Makes an observer that measures into series.
 *
 * **Details** What a wrapper wants unmeasured is left out. An attempt is counted when it begins and again, by outcome,
 * when it has ended: when all has ended, both are the same.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): MetricsObserver => new Measuring(options)
