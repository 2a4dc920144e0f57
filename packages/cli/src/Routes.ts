/**
 * `echelon routes`: what a file of recorded routes says.
 *
 * @since 0.1.0
 */
import * as RouteRecord from "@echelon/core/RouteRecord"
import * as Clock from "effect/Clock"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Columns from "./Columns.ts"
import * as Failure from "./Failure.ts"
import { Output } from "./Output.ts"
import * as RoutesFilter from "./RoutesFilter.ts"
import { RoutesSummary } from "./RoutesSummary.ts"

/**
 * What the command line says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly files: ReadonlyArray<string>
  readonly filter: RoutesFilter.RoutesFilter
  /** Only the last so many. */
  readonly limit: number | undefined
  readonly summary: boolean
  readonly json: boolean
}

/** What could not be read of the files. */
interface Skipped {
  broken: number
  readonly versions: Map<number, number>
}

/** No line that Echelon writes is longer, in characters. */
const longest = 1024 * 1024

/** Other versions that are told apart. */
const mostVersions = 10

/** Takes text apart into lines, whatever its length. Lines that are too long come as `undefined`. */
const splitter = (onLine: (line: string | undefined) => void) => {
  let rest = ""
  let isTooLong = false
  const take = (text: string): void => {
    let from = 0
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", from)) {
      end(rest + text.slice(from, at))
      from = at + 1
    }
    rest += text.slice(from)
    if (rest.length <= longest) return
    rest = ""
    isTooLong = true
  }
  const end = (line: string): void => {
    if (isTooLong) onLine(undefined)
    else if (line !== "" && line !== "\r") onLine(line)
    rest = ""
    isTooLong = false
  }
  return { take, end: () => end(rest) }
}

const targetOf = ({ kind, name }: RouteRecord.RouteRecord["target"]): string =>
  kind === "router" ? kind : `${kind}:${name}`

const attemptOf = ({ instance, kind, outcome, reason, totalMs }: RouteRecord.Attempt): string => {
  const how = kind === "call" ? "" : ` (${kind})`
  const end = outcome === "completed" ? "" : `!${reason ?? outcome}`
  return `${instance}${how}${end} ${Columns.time(totalMs)}`
}

/**
 * A record as a line for a person.
 *
 * @since 0.1.0
 * @category getters
 */
export const line = (record: RouteRecord.RouteRecord): string => {
  const { attempts, at, cost, id, omitted, outcome, reason, target, tenant, totalMs } = record
  const route = attempts.length === 0 ? "nobody asked" : attempts.map(attemptOf).join(" > ")
  return [
    at,
    (outcome === "failed" ? `failed ${reason ?? ""}` : outcome).trim().padEnd(9),
    Columns.time(totalMs).padStart(8),
    targetOf(target),
    omitted === undefined ? route : `${route} > ${omitted} more`,
    Columns.usd(cost),
    ...(tenant === undefined ? [] : [`tenant ${tenant}`]),
    id
  ].join("  ")
}

/**
 * Runs the command.
 *
 * @since 0.1.0
 * @category running
 */
export const run = Effect.fnUntraced(function* (options: Options) {
  const output = yield* Output
  const fs = yield* FileSystem.FileSystem
  const skipped: Skipped = { broken: 0, versions: new Map() }
  const summary = new RoutesSummary()
  let ready: Array<string> = []
  let shown = 0
  let read = 0

  const onLine = (text: string | undefined): void => {
    const decoded = text === undefined ? undefined : RouteRecord.decode(text)
    if (decoded === undefined || decoded._tag === "Broken") {
      skipped.broken += 1
      return
    }
    if (decoded._tag === "OtherVersion") {
      const { versions } = skipped
      const version = versions.has(decoded.version) || versions.size < mostVersions ? decoded.version : Number.NaN
      versions.set(version, (versions.get(version) ?? 0) + 1)
      return
    }
    read += 1
    const { record } = decoded
    if (!RoutesFilter.matches(options.filter, record)) return
    shown += 1
    if (options.summary) summary.add(record)
    else {
      ready.push(options.json ? JSON.stringify(record) : line(record))
      // Twice as many, so that dropping the older ones costs little for each.
      if (options.limit !== undefined && ready.length >= 2 * Math.max(options.limit, 1_000))
        ready = ready.slice(-options.limit)
    }
  }
  const flush = Effect.suspend(() => {
    const text = ready.map((one) => `${one}\n`).join("")
    ready = []
    return text === "" ? Effect.void : output.write(text)
  })

  for (const file of options.files) {
    const lines = splitter(onLine)
    const decoder = new TextDecoder()
    yield* Stream.runForEach(fs.stream(file), (bytes) =>
      Effect.suspend(() => {
        lines.take(decoder.decode(bytes, { stream: true }))
        return options.limit === undefined && !options.summary ? flush : Effect.void
      })
    ).pipe(
      Effect.catchTag("PlatformError", (error) =>
        Effect.andThen(
          output.diagnose(
            `error: ${file} ${error.reason._tag === "NotFound" ? "is not there" : `cannot be read (${error.reason._tag})`}`
          ),
          Effect.fail(new Failure.Failure({ exitCode: 1 }))
        )
      )
    )
    // Half a letter, where a file was cut.
    lines.take(decoder.decode())
    lines.end()
  }
  if (options.limit !== undefined) ready = options.limit === 0 ? [] : ready.slice(-options.limit)
  yield* flush
  if (options.summary)
    yield* output.write(
      options.json
        ? `${JSON.stringify({ ...summary.json(), skipped: { broken: skipped.broken, versions: versionsOf(skipped) } })}\n`
        : `${summary.lines().join("\n")}\n`
    )
  if (!options.json && !options.summary && shown === 0)
    yield* output.diagnose(read === 0 ? "no requests are recorded there" : `none of ${read} requests is meant`)
  if (skipped.broken > 0)
    yield* output.diagnose(
      `${skipped.broken} line${skipped.broken === 1 ? " is" : "s are"} no record (cut, or not written by Echelon) and left out`
    )
  for (const [version, count] of skipped.versions)
    yield* output.diagnose(
      `${count} record${count === 1 ? " is" : "s are"} of ${Number.isNaN(version) ? "other versions" : `version ${version}`} and left out; this echelon reads version ${RouteRecord.version}`
    )
})

const versionsOf = ({ versions }: Skipped) =>
  Object.fromEntries([...versions].map(([version, count]) => [Number.isNaN(version) ? "other" : version, count]))

const text = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.optional, Flag.map(Option.getOrUndefined))

const wrongUse = Effect.fnUntraced(function* (message: string) {
  const output = yield* Output
  yield* output.diagnose(`error: ${message}`)
  return yield* new Failure.Failure({ exitCode: 2 })
})

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "routes",
  {
    files: Argument.String("file").pipe(
      Argument.withDescription("Files of recorded routes, the oldest first: routes.jsonl.1 routes.jsonl"),
      Argument.variadic({ min: 1 })
    ),
    instance: text("instance", "Requests that asked this instance"),
    wrapper: text("wrapper", "Requests that passed this wrapper"),
    pool: text("pool", "Requests that passed this pool"),
    group: text("group", "Requests that passed this task group"),
    tenant: text("tenant", "Requests of this tenant"),
    id: text("id", "The request of this id"),
    outcome: Flag.Literals("outcome", ["completed", "failed", "cancelled"]).pipe(
      Flag.withDescription("How they ended"),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    ),
    reason: text("reason", "Why they, or one of their attempts, failed: RateLimited, Timeout, ..."),
    since: text("since", 'Begun since: "1h", "2d" or 2025-01-31T12:00Z'),
    slowerThan: text("slower-than", 'That took longer, until their end: "2s", "500ms"'),
    limit: Flag.Int("limit").pipe(
      Flag.withDescription("Only the last so many"),
      Flag.filter(
        (n) => n >= 1,
        (n) => `--limit must be 1 or above, got ${n}`
      ),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    ),
    summary: Flag.Boolean("summary").pipe(
      Flag.withDescription("What they come to: instances, failovers, times, cost"),
      Flag.withDefault(false)
    ),
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("Print one JSON object a record, as in the file; with --summary one object"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function* ({ files, json, limit, since, slowerThan, summary, ...filter }) {
    const now = yield* Clock.currentTimeMillis
    const from = since === undefined ? undefined : RoutesFilter.since(since, now)
    if (since !== undefined && from === undefined)
      return yield* wrongUse(
        `--since must be a length of time such as "1h", or a date such as 2025-01-31, got "${since}"`
      )
    const slower = slowerThan === undefined ? undefined : RoutesFilter.span(slowerThan)
    if (slowerThan !== undefined && slower === undefined)
      return yield* wrongUse(`--slower-than must be a length of time such as "2s", got "${slowerThan}"`)
    if (summary && limit !== undefined)
      return yield* wrongUse("--limit and --summary exclude each other; give one of them")
    yield* run({ files, filter: { ...filter, since: from, slowerThan: slower }, limit, summary, json })
  })
).pipe(
  Command.withDescription("Show recorded routes: who was asked for each request, why, and how long it took"),
  Command.withExamples([
    { command: "echelon routes routes.jsonl --limit 20", description: "The last 20 requests" },
    { command: "echelon routes routes.jsonl --outcome failed --since 1h", description: "What failed in the last hour" },
    { command: "echelon routes routes.jsonl.1 routes.jsonl --summary", description: "How instances did, and the cost" },
    { command: "echelon routes routes.jsonl --json | jq .id", description: "As JSON, one record a line" }
  ])
)
