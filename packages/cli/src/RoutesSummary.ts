/**
 * What many recorded requests come to: how instances did, who stood in for whom, what it cost.
 *
 * @since 0.1.0
 */
import type { Attempt, RouteRecord } from "@echelon/core/RouteRecord"
import * as Columns from "./Columns.ts"
import { Quantiles } from "./Quantiles.ts"

/** Names that are told apart; whatever a file holds, no more are kept. */
const most = 1_000
const other = "(other)"

const counted = (counts: Map<string, number>, key: string, by = 1): void => {
  const known = counts.has(key) || counts.size < most ? key : other
  counts.set(known, (counts.get(known) ?? 0) + by)
}

interface Instance {
  attempts: number
  completed: number
  cancelled: number
  readonly failures: Map<string, number>
  readonly ttft: Quantiles
  readonly total: Quantiles
  cost: number
  unpriced: number
}

/**
 * A sum of records.
 *
 * @since 0.1.0
 * @category models
 */
export class RoutesSummary {
  private requests = 0
  private readonly outcomes = new Map<string, number>()
  private readonly reasons = new Map<string, number>()
  private readonly instances = new Map<string, Instance>()
  private readonly failovers = new Map<string, Map<string, Map<string, number>>>()
  private readonly ttft = new Quantiles()
  private readonly total = new Quantiles()
  private readonly queue = new Quantiles()
  private cost = 0
  private unpriced = 0
  private first: string | undefined
  private last: string | undefined

  add(record: RouteRecord): void {
    this.requests += 1
    counted(this.outcomes, record.outcome)
    if (record.reason !== undefined) counted(this.reasons, record.reason)
    if (this.first === undefined || record.at < this.first) this.first = record.at
    if (this.last === undefined || record.at > this.last) this.last = record.at
    if (record.ttftMs !== undefined) this.ttft.add(record.ttftMs)
    if (record.totalMs !== undefined && record.outcome === "completed") this.total.add(record.totalMs)
    this.queue.add(record.queueMs)
    let failed: Attempt | undefined
    for (const attempt of record.attempts) {
      // Nobody was asked.
      if (attempt.kind === "cache" || attempt.kind === "coalesced") continue
      if (attempt.kind === "call" && failed !== undefined && failed.instance !== attempt.instance)
        this.failover(failed, attempt)
      if (attempt.outcome === "failed") failed = attempt
      this.attempt(attempt)
    }
  }

  private attempt(attempt: Attempt): void {
    const one = this.instance(attempt.instance)
    one.attempts += 1
    if (attempt.outcome === "completed") one.completed += 1
    else if (attempt.outcome === "failed") counted(one.failures, attempt.reason ?? "Unknown")
    else one.cancelled += 1
    if (attempt.ttftMs !== undefined) one.ttft.add(attempt.ttftMs)
    if (attempt.totalMs !== undefined && attempt.outcome === "completed") one.total.add(attempt.totalMs)
    if (attempt.cost !== undefined) {
      one.cost += attempt.cost
      this.cost += attempt.cost
    } else if (attempt.outcome === "completed") {
      one.unpriced += 1
      this.unpriced += 1
    }
  }

  private failover(from: Attempt, to: Attempt): void {
    const name = (of: string) => (this.instances.has(of) || this.instances.size < most ? of : other)
    const targets = this.failovers.get(name(from.instance)) ?? new Map<string, Map<string, number>>()
    this.failovers.set(name(from.instance), targets)
    const reasons = targets.get(name(to.instance)) ?? new Map<string, number>()
    targets.set(name(to.instance), reasons)
    counted(reasons, from.reason ?? "Unknown")
  }

  private instance(named: string): Instance {
    const name = this.instances.has(named) || this.instances.size < most ? named : other
    const known = this.instances.get(name)
    if (known !== undefined) return known
    const made: Instance = {
      attempts: 0,
      completed: 0,
      cancelled: 0,
      failures: new Map(),
      ttft: new Quantiles(),
      total: new Quantiles(),
      cost: 0,
      unpriced: 0
    }
    this.instances.set(name, made)
    return made
  }

  /** As an object. Times are milliseconds; what is not known is `null`. */
  json() {
    const spread = (times: Quantiles) => ({ p50: times.at(0.5) ?? null, p95: times.at(0.95) ?? null })
    return {
      requests: this.requests,
      from: this.first ?? null,
      to: this.last ?? null,
      outcomes: byCount(this.outcomes),
      reasons: byCount(this.reasons),
      queueMs: spread(this.queue),
      ttftMs: spread(this.ttft),
      totalMs: spread(this.total),
      costUsd: this.cost,
      unpriced: this.unpriced,
      instances: [...this.instances]
        .sort(([, a], [, b]) => b.attempts - a.attempts)
        .map(([name, one]) => ({
          instance: name,
          attempts: one.attempts,
          completed: one.completed,
          failed: [...one.failures.values()].reduce((sum, count) => sum + count, 0),
          cancelled: one.cancelled,
          failures: byCount(one.failures),
          ttftMs: spread(one.ttft),
          totalMs: spread(one.total),
          costUsd: one.cost,
          unpriced: one.unpriced
        })),
      failovers: [...this.failovers].flatMap(([from, targets]) =>
        [...targets].map(([to, reasons]) => ({
          from,
          to,
          count: [...reasons.values()].reduce((sum, count) => sum + count, 0),
          reasons: byCount(reasons)
        }))
      )
    }
  }

  /** In lines for a person. */
  lines(): ReadonlyArray<string> {
    const all = this.json()
    const outcomes = Object.entries(all.outcomes).map(([outcome, count]) => `${count} ${outcome}`)
    const unpriced = all.unpriced === 0 ? "" : `; ${all.unpriced} answers whose cost is not known`
    const head = [
      `requests  ${all.requests}${outcomes.length === 0 ? "" : ` (${outcomes.join(", ")})`}`,
      `between   ${all.from ?? "-"} and ${all.to ?? "-"}`,
      `reasons   ${reasonsText(all.reasons) || "none"}`,
      `queue     p50 ${Columns.time(all.queueMs.p50 ?? undefined)}, p95 ${Columns.time(all.queueMs.p95 ?? undefined)}`,
      `ttft      p50 ${Columns.time(all.ttftMs.p50 ?? undefined)}, p95 ${Columns.time(all.ttftMs.p95 ?? undefined)}`,
      `total     p50 ${Columns.time(all.totalMs.p50 ?? undefined)}, p95 ${Columns.time(all.totalMs.p95 ?? undefined)}`,
      `cost      ${Columns.usd(all.costUsd)}${unpriced}`
    ]
    if (all.instances.length === 0) return head
    const instances = Columns.align(
      [
        ["instance", "attempts", "completed", "failed", "ttft p50", "p95", "total p50", "p95", "cost", "failures"],
        ...all.instances.map((one) => [
          one.instance,
          String(one.attempts),
          Columns.percent(one.completed / one.attempts),
          String(one.failed),
          Columns.time(one.ttftMs.p50 ?? undefined),
          Columns.time(one.ttftMs.p95 ?? undefined),
          Columns.time(one.totalMs.p50 ?? undefined),
          Columns.time(one.totalMs.p95 ?? undefined),
          one.costUsd === 0 && one.unpriced > 0 ? "-" : Columns.usd(one.costUsd),
          reasonsText(one.failures)
        ])
      ],
      new Set([1, 2, 3, 4, 5, 6, 7, 8])
    )
    const failovers = Columns.align(
      [
        ["failed over from", "to", "times", "because of"],
        ...[...all.failovers]
          .sort((a, b) => b.count - a.count)
          .map(({ count, from, reasons, to }) => [from, to, String(count), reasonsText(reasons)])
      ],
      new Set([2])
    )
    return [...head, "", ...instances, ...(all.failovers.length === 0 ? [] : ["", ...failovers])]
  }
}

const byCount = (counts: ReadonlyMap<string, number>): Readonly<Record<string, number>> =>
  Object.fromEntries([...counts].sort(([, a], [, b]) => b - a))

const reasonsText = (reasons: Readonly<Record<string, number>>): string =>
  Object.entries(reasons)
    .map(([reason, count]) => `${reason} ${count}`)
    .join(", ")
