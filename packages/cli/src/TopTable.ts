/**
 * The live table, as text: how instances, pools and wrappers stand, and what is wrong.
 *
 * @since 0.1.0
 */
import type * as CircuitBreakerState from "@echelon/core/CircuitBreakerState"
import type * as Control from "@echelon/core/Control"
import type * as RateLimiter from "@echelon/core/RateLimiter"
import type * as StateChange from "@echelon/core/StateChange"
import * as Columns from "./Columns.ts"
import type * as TopRates from "./TopRates.ts"

/**
 * An alert that fires. Times are milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface Alert {
  readonly rule: string
  readonly subject: string
  readonly severity: "info" | "warning" | "critical"
  readonly text: string
  readonly since: number
}

/**
 * What is known of an instance's health.
 *
 * @since 0.1.0
 * @category models
 */
export interface Health {
  readonly status: StateChange.HealthStatus
  readonly message: string
}

/**
 * What the table shows.
 *
 * @since 0.1.0
 * @category models
 */
export interface View {
  readonly snapshot: Control.Snapshot
  readonly rates: TopRates.Rates
  /** By instance. */
  readonly health: Readonly<Record<string, Health>>
  readonly alerts: ReadonlyArray<Alert>
  /** What is said in the first line. @default nothing */
  readonly title?: string | undefined
  /** Only these instances, pools and wrappers. @default all */
  readonly only?: ReadonlySet<string> | undefined
}

/**
 * How the table is drawn.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** No line is wider. */
  readonly columns: number
  /** @default false */
  readonly color?: boolean | undefined
}

const paints = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 } as const
type Paint = keyof typeof paints

const healthPaints: Readonly<Record<StateChange.HealthStatus, Paint>> = {
  healthy: "green",
  degraded: "yellow",
  unhealthy: "red",
  unknown: "dim"
}

interface Cell {
  readonly text: string
  readonly paint?: Paint | undefined
}

const plain = (text: string): Cell => ({ text })
const ranks: Readonly<Record<CircuitBreakerState.Status, number>> = {
  open: 4,
  forced_open: 3,
  half_open: 2,
  forced_closed: 1,
  closed: 0
}

/**
 * The least that is left of any limit, as a share of 0 to 1, and which limit that is; `undefined` without limits.
 *
 * @since 0.1.0
 * @category getters
 */
export const headroom = (
  limits: ReadonlyArray<RateLimiter.Level>
): { readonly share: number; readonly name: string } | undefined => {
  let least: { readonly share: number; readonly name: string } | undefined
  for (const { left, limit, name } of limits) {
    if (limit === undefined || limit <= 0) continue
    const share = Math.min(1, Math.max(0, left / limit))
    if (least === undefined || share < least.share) least = { share, name }
  }
  return least
}

const left = (limits: ReadonlyArray<RateLimiter.Level>): Cell => {
  const least = headroom(limits)
  if (least === undefined) return plain("-")
  return { text: Columns.percent(least.share), paint: least.share < 0.1 ? "red" : undefined }
}

/**
 * How an instance may be asked now, in a few words.
 *
 * @since 0.1.0
 * @category getters
 */
export const stateOf = (instance: Control.InstanceSnapshot, now: number): Cell => {
  if (instance.isDrained) return { text: "drained", paint: "yellow" }
  const pinned = instance.isPinned ? " pinned" : ""
  let worst: Control.InstanceSnapshot["breakers"][number] | undefined
  for (const one of instance.breakers) if (worst === undefined || ranks[one.state] > ranks[worst.state]) worst = one
  const why = worst?.reason === undefined ? "" : ` ${worst.reason}`
  switch (worst?.state) {
    case "open": {
      const wait = worst.until === undefined ? "" : ` ${Columns.time(Math.max(0, worst.until - now))}`
      return { text: `open${wait}${why}${pinned}`, paint: "red" }
    }
    case "forced_open":
      return { text: `held open${pinned}`, paint: "red" }
    case "half_open":
      return { text: `half-open${why}${pinned}`, paint: "yellow" }
    default:
      break
  }
  if (instance.coolingUntil !== undefined)
    return { text: `cooling ${Columns.time(Math.max(0, instance.coolingUntil - now))}${pinned}`, paint: "yellow" }
  return plain(`${worst?.state === "forced_closed" ? "held closed" : "ready"}${pinned}`)
}

const failed = (share: number | undefined): Cell => ({
  text: Columns.percent(share),
  paint: share !== undefined && share > 0.1 ? "red" : share !== undefined && share > 0 ? "yellow" : undefined
})
const rate = (perSecond: number | undefined): Cell =>
  plain(perSecond === undefined || perSecond === 0 ? "-" : perSecond.toFixed(1))
const time = (millis: number | undefined): Cell => plain(Columns.time(millis))

const drawn = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<Cell>>,
  right: ReadonlySet<number>,
  { color = false, columns }: Options
): ReadonlyArray<string> => {
  const all: ReadonlyArray<ReadonlyArray<Cell>> = [head.map((text): Cell => ({ text, paint: "bold" })), ...rows]
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]?.text.length ?? 0)))
  return all.map((row) => {
    const cells = row.map(({ paint, text }, i) => {
      const width = widths[i] ?? 0
      return { paint, text: right.has(i) ? text.padStart(width) : text.padEnd(width) }
    })
    const line = cells
      .map(({ text }) => text)
      .join("  ")
      .trimEnd()
    if (!color || line.length > columns) return line.slice(0, columns)
    return cells.map(({ paint, text }) => painted(text, paint, color)).join("  ")
  })
}

const painted = (text: string, paint: Paint | undefined, color: boolean): string =>
  !color || paint === undefined ? text : `\u001b[${paints[paint]}m${text}\u001b[0m`

const severities: Readonly<Record<Alert["severity"], Paint>> = { info: "dim", warning: "yellow", critical: "red" }

/** Alerts that are shown. */
const most = 8

const alertLines = (alerts: ReadonlyArray<Alert>, now: number, options: Options): ReadonlyArray<string> => {
  if (alerts.length === 0) return []
  const lines = alerts.slice(0, most).map(({ rule, severity, since, subject, text }) => {
    const line = `${severity.padEnd(8)}  ${rule} ${subject}: ${text} (for ${Columns.time(Math.max(0, now - since))})`
    return painted(line.slice(0, options.columns), severities[severity], options.color === true)
  })
  const more = alerts.length - most
  return ["", ...lines, ...(more > 0 ? [`and ${more} more alerts`] : [])]
}

const headLine = ({ rates, snapshot, title }: View): string => {
  const { all, cost } = rates
  return [
    ...(title === undefined ? [] : [title]),
    ...(snapshot.phase === "open" ? [] : [snapshot.phase]),
    `${snapshot.requests} in flight`,
    `${all.perSecond.toFixed(1)} requests/s`,
    `${Columns.percent(all.failedShare)} failed`,
    `first output p50 ${Columns.time(all.ttft.p50)} p95 ${Columns.time(all.ttft.p95)}`,
    Columns.usd(cost)
  ].join("  ")
}

/**
 * The table in lines, none wider than `columns`.
 *
 * @since 0.1.0
 * @category getters
 */
export const lines = (view: View, options: Options): ReadonlyArray<string> => {
  const { alerts, health, only, rates, snapshot } = view
  const now = snapshot.at
  const isMeant = ({ name }: { readonly name: string }) => only === undefined || only.has(name)
  const instances = snapshot.instances.filter(isMeant).map((instance) => {
    const one = rates.instances.get(instance.name)
    const status = health[instance.name]?.status ?? "unknown"
    return [
      plain(instance.name),
      { text: status, paint: healthPaints[status] },
      stateOf(instance, now),
      plain(String(instance.inFlight)),
      left(instance.limits),
      rate(one?.perSecond),
      time(one?.ttft.p50),
      time(one?.ttft.p95),
      plain(one?.tokensPerSecond === undefined ? "-" : one.tokensPerSecond.toFixed(0)),
      failed(one?.failedShare),
      plain(String(one?.answered ?? 0)),
      plain(Columns.usd(one?.cost)),
      plain(one?.lastReason ?? "")
    ]
  })
  const pools = snapshot.pools.filter(isMeant).map(({ limits, name }) => {
    const one = rates.pools.get(name)
    return [
      plain(name),
      left(limits),
      rate(one?.perSecond),
      failed(one?.failedShare),
      time(one?.ttft.p50),
      time(one?.ttft.p95),
      time(one?.total.p95)
    ]
  })
  const wrappers = snapshot.wrappers.filter(isMeant).map(({ name, queue }) => {
    const one = rates.wrappers.get(name)
    const isFull = queue !== undefined && queue.queueSize > 0 && queue.waiting >= 0.8 * queue.queueSize
    return [
      plain(name),
      plain(queue === undefined ? "-" : `${queue.running}${queue.limit === undefined ? "" : ` of ${queue.limit}`}`),
      { text: queue === undefined ? "-" : `${queue.waiting} of ${queue.queueSize}`, paint: isFull ? "red" : undefined },
      rate(one?.perSecond),
      failed(one?.failedShare),
      time(one?.queue.p95)
    ] satisfies ReadonlyArray<Cell>
  })
  const section = (
    head: ReadonlyArray<string>,
    rows: ReadonlyArray<ReadonlyArray<Cell>>,
    right: ReadonlyArray<number>
  ): ReadonlyArray<string> => (rows.length === 0 ? [] : ["", ...drawn(head, rows, new Set(right), options)])
  return [
    headLine(view).slice(0, options.columns),
    ...section(
      [
        "instance",
        "health",
        "state",
        "now",
        "left",
        "req/s",
        "out p50",
        "p95",
        "tok/s",
        "failed",
        "answered",
        "cost",
        "last failure"
      ],
      instances,
      [3, 4, 5, 6, 7, 8, 9, 10, 11]
    ),
    ...section(["pool", "left", "req/s", "failed", "out p50", "p95", "total p95"], pools, [1, 2, 3, 4, 5, 6]),
    ...section(["wrapper", "running", "waiting", "req/s", "failed", "wait p95"], wrappers, [1, 2, 3, 4, 5]),
    ...alertLines(alerts, now, options)
  ]
}

/**
 * The same as an object. Times are milliseconds; what is not known is `null`.
 *
 * @since 0.1.0
 * @category getters
 */
export const json = ({ alerts, health, rates, snapshot }: View) => {
  const now = snapshot.at
  const spread = ({ p50, p95 }: TopRates.Spread) => ({ p50: p50 ?? null, p95: p95 ?? null })
  const none: TopRates.Spread = { p50: undefined, p95: undefined }
  const limits = (levels: ReadonlyArray<RateLimiter.Level>) =>
    levels.map(({ isReported, left: rest, limit, name, of }) => ({
      name,
      of,
      left: rest,
      limit: limit ?? null,
      reported: isReported
    }))
  const requests = (one: TopRates.RequestRates | undefined) => ({
    perSecond: one?.perSecond ?? 0,
    failedShare: one?.failedShare ?? null,
    ttftMs: spread(one?.ttft ?? none),
    totalMs: spread(one?.total ?? none),
    queueMs: spread(one?.queue ?? none)
  })
  return {
    at: new Date(now).toISOString(),
    phase: snapshot.phase,
    requests: snapshot.requests,
    ...requests(rates.all),
    costUsd: rates.cost,
    instances: snapshot.instances.map((instance) => {
      const one = rates.instances.get(instance.name)
      return {
        instance: instance.name,
        provider: instance.provider,
        model: instance.model,
        health: health[instance.name]?.status ?? "unknown",
        message: health[instance.name]?.message ?? null,
        state: stateOf(instance, now).text,
        drained: instance.isDrained,
        pinned: instance.isPinned,
        inFlight: instance.inFlight,
        coolingUntil: instance.coolingUntil === undefined ? null : new Date(instance.coolingUntil).toISOString(),
        breakers: instance.breakers.map(({ group, reason, state }) => ({ group, state, reason: reason ?? null })),
        limits: limits(instance.limits),
        perSecond: one?.perSecond ?? 0,
        ttftMs: spread(one?.ttft ?? none),
        tokensPerSecond: one?.tokensPerSecond ?? null,
        failedShare: one?.failedShare ?? null,
        answered: one?.answered ?? 0,
        failed: one?.failed ?? 0,
        lastReason: one?.lastReason ?? null,
        costUsd: one?.cost ?? null
      }
    }),
    pools: snapshot.pools.map((pool) => ({
      pool: pool.name,
      limits: limits(pool.limits),
      ...requests(rates.pools.get(pool.name))
    })),
    wrappers: snapshot.wrappers.map(({ name, queue }) => ({
      wrapper: name,
      running: queue?.running ?? 0,
      waiting: queue?.waiting ?? 0,
      limit: queue?.limit ?? null,
      queueSize: queue?.queueSize ?? null,
      ...requests(rates.wrappers.get(name))
    })),
    providers: rates.providers.map(({ cost, ...rest }) => ({ ...rest, costUsd: cost ?? null })),
    alerts: alerts.map(({ since, ...rest }) => ({ ...rest, since: new Date(since).toISOString() }))
  }
}

/**
 * What providers cost, in lines.
 *
 * @since 0.1.0
 * @category getters
 */
export const costLines = (rates: Pick<TopRates.Rates, "providers" | "cost">): ReadonlyArray<string> =>
  Columns.align(
    [
      ["provider", "attempts", "input tokens", "output tokens", "cost"],
      ...rates.providers.map(({ attempts, cost, inputTokens, outputTokens, provider }) => [
        provider,
        String(attempts),
        String(inputTokens),
        String(outputTokens),
        Columns.usd(cost)
      ]),
      ["all", "", "", "", Columns.usd(rates.cost)]
    ],
    new Set([1, 2, 3, 4])
  )
