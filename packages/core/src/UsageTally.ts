/**
 * Counts requests and attempts into rows as they end. It is on their way, so it does nothing but find a row and add.
 *
 * @since 0.1.0
 */
import type * as Observation from "./Observation.ts"
import type * as Route from "./Route.ts"
import type * as UsageCalendar from "./UsageCalendar.ts"
import * as UsageNames from "./UsageNames.ts"
import * as UsageRecord from "./UsageRecord.ts"

/**
 * Options of a tally.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly calendar: UsageCalendar.UsageCalendar
  /** Tenants that are told apart. */
  readonly tenants: UsageNames.UsageNames
  /** Whose an instance of the plan is; `undefined` when the plan has none of that name, which is then a caller's word. */
  readonly providerOf: (instance: string) => string | undefined
  /** Rows at a time; what comes beyond is counted in one row a day. @default 100_000 */
  readonly maxRows?: number | undefined
}

/** Instances and models that callers named, told apart in a month. */
const unplanned = 1_000

/**
 * What was counted since it was last taken.
 *
 * @since 0.1.0
 * @category models
 */
export class UsageTally {
  private rows = new Map<string, Map<string, Array<Entry>>>()
  private all: Array<UsageRecord.Row> = []
  private foldedRows = new Map<string, UsageRecord.Row>()
  private count = 0
  private requests = 0
  private folded = 0
  private month = ""
  /** The attempt that ended last, and its row: its request nearly always ends in the same breath. */
  private last: { readonly attempt: Route.Open; readonly row: UsageRecord.Row } | undefined = undefined
  private readonly options: Options
  private readonly maxRows: number
  private readonly callers = UsageNames.make(unplanned)

  constructor(options: Options) {
    this.options = options
    this.maxRows = options.maxRows ?? 100_000
  }

  /** Requests since they were last taken. */
  size(): number {
    return this.requests
  }

  isEmpty(): boolean {
    return this.count === 0
  }

  /** How often something was counted without its names, since there were too many rows. */
  foldedSoFar(): number {
    return this.folded
  }

  attemptEnded(observation: Observation.Observation, attempt: Route.Open): void {
    const row = this.row(observation, attempt, attempt.endedAt ?? observation.startedAt)
    this.last = { attempt, row }
    UsageRecord.countAttempt(row.counters, attempt)
  }

  requestEnded(observation: Observation.Observation): void {
    this.requests += 1
    const { attempts, endedAt, outcome, startedAt } = observation
    const only = attempts[0]
    // Nearly all have one attempt.
    const answering =
      attempts.length < 2
        ? only
        : (attempts.findLast((one) => one.outcome === "completed") ?? attempts[attempts.length - 1])
    const row =
      answering !== undefined && answering === this.last?.attempt
        ? this.last.row
        : this.row(observation, answering, endedAt ?? startedAt)
    UsageRecord.countRequest(row.counters, outcome)
  }

  /** Takes all rows, and begins anew. Some may be of the same names. */
  take(): { readonly rows: ReadonlyArray<UsageRecord.Row>; readonly requests: number } {
    const taken = { rows: this.all, requests: this.requests }
    this.rows = new Map()
    this.all = []
    this.foldedRows = new Map()
    this.count = 0
    this.requests = 0
    this.last = undefined
    return taken
  }

  private row(observation: Observation.Observation, attempt: Route.Open | undefined, at: number): UsageRecord.Row {
    const { calendar, providerOf, tenants } = this.options
    const { day } = calendar.of("day", at)
    const tenant = observation.tenant === undefined ? "" : tenants.of(observation.tenant)
    let instance = attempt?.instance ?? ""
    const provider = attempt === undefined ? "" : providerOf(instance)
    if (provider === undefined) instance = this.callers.of(instance)
    const found = this.rows.get(instance)?.get(tenant)
    if (found !== undefined) for (const entry of found) if (isOf(entry, observation, attempt, day)) return entry.row
    this.turn(day)
    if (this.count >= this.maxRows) return this.fold(day)
    const isOther = provider === undefined && instance === UsageNames.other
    const made = this.put({
      day,
      tenant,
      wrapper: UsageNames.clean(observation.wrapper ?? ""),
      pool: UsageNames.clean(observation.pool ?? ""),
      group: UsageNames.clean(observation.group ?? groupOf(attempt?.echelon)),
      provider: UsageNames.clean(provider ?? attempt?.provider?.name ?? ""),
      instance: UsageNames.clean(instance),
      model: isOther ? UsageNames.other : UsageNames.clean(attempt?.model ?? "")
    })
    const { group, pool, wrapper } = observation
    // Of what shares a name, one model stands for all.
    const model = isOther ? undefined : attempt?.model
    this.entries(instance, tenant).push({ row: made, day, wrapper, pool, group, echelon: attempt?.echelon, model })
    return made
  }

  private entries(instance: string, tenant: string): Array<Entry> {
    let byTenant = this.rows.get(instance)
    if (byTenant === undefined) {
      byTenant = new Map()
      this.rows.set(instance, byTenant)
    }
    let found = byTenant.get(tenant)
    if (found === undefined) {
      found = []
      byTenant.set(tenant, found)
    }
    return found
  }

  /** Names that nobody uses any more make place when a month is over. */
  private turn(day: string): void {
    const month = day.slice(0, 7)
    if (month <= this.month) return
    if (this.month !== "") {
      this.options.tenants.clear()
      this.callers.clear()
    }
    this.month = month
  }

  private fold(day: string): UsageRecord.Row {
    this.folded += 1
    const all = UsageNames.other
    const known = this.foldedRows.get(day)
    if (known !== undefined) return known
    const names = { tenant: all, wrapper: all, pool: all, group: all, provider: all, instance: all, model: all }
    const made = this.put({ day, ...names })
    this.foldedRows.set(day, made)
    return made
  }

  private put(key: UsageRecord.Key): UsageRecord.Row {
    const made = { key, counters: UsageRecord.zero() }
    this.count += 1
    this.all.push(made)
    return made
  }
}

/** A row of an instance and a tenant, and what else tells it from others, as requests say it. */
interface Entry {
  readonly row: UsageRecord.Row
  readonly day: string
  readonly wrapper: string | undefined
  readonly pool: string | undefined
  readonly group: string | undefined
  readonly echelon: string | undefined
  /** `undefined` when any is meant. */
  readonly model: string | undefined
}

const isOf = (
  entry: Entry,
  { group, pool, wrapper }: Observation.Observation,
  attempt: Route.Open | undefined,
  day: string
): boolean =>
  entry.echelon === attempt?.echelon &&
  entry.pool === pool &&
  entry.wrapper === wrapper &&
  entry.group === group &&
  entry.day === day &&
  (entry.model === undefined || entry.model === attempt?.model)

/** The group of an echelon, `group.echelonN`. */
const groupOf = (echelon: string | undefined): string => {
  if (echelon === undefined) return ""
  const dot = echelon.lastIndexOf(".")
  return dot === -1 ? echelon : echelon.slice(0, dot)
}

/**
 * Makes an empty tally.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): UsageTally => new UsageTally(options)
