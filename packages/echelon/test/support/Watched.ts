/** A tree that switches on everything that watches, real receivers of it, and all that came out. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import type * as RouteRecord from "@echelon/core/RouteRecord"
import * as RouteRecords from "@echelon/core/RouteRecord"
import * as UsageLedger from "@echelon/core/UsageLedger"
import { Echelon } from "@echelon/echelon"
import * as SqliteLedger from "@echelon/operations/SqliteLedger"
import { Cause, Effect, Layer, Logger, Queue, References, type Scope } from "effect"
import * as Collector from "./Collector.ts"
import * as Otlp from "./otlp.ts"

/** What must come out nowhere. Answers come in pieces: each of these is one word. */
export const planted = {
  key: "sk-PLANTEDkey0001",
  header: "PLANTEDheader0002",
  query: "PLANTEDquery0003",
  collector: "PLANTEDcollector0004",
  signature: "PLANTEDsignature0005",
  hook: "PLANTEDhook0006",
  prompt: "PLANTEDprompt0007",
  answer: "PLANTEDanswer0008",
  quoted: "PLANTEDquoted0009",
  file: "PLANTEDfile0010"
} as const

/** How a text may stand in bytes: as it is, or in base64, whatever stands before it. */
const formsOf = (text: string): ReadonlyArray<string> => [
  text.toLowerCase(),
  ...[0, 1, 2].map((shift) => {
    const all = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)]).toString("base64")
    // What the letters before and behind it would change.
    return all.slice(shift === 0 ? 0 : 4, -4).toLowerCase()
  })
]

/** The planted texts that stand in one of the outputs, by name. */
export const found = (outputs: Readonly<Record<string, Buffer | string>>): ReadonlyArray<string> =>
  Object.entries(outputs).flatMap(([name, output]) => {
    const text = (typeof output === "string" ? output : output.toString("latin1")).toLowerCase()
    return Object.entries(planted).flatMap(([what, secret]) =>
      formsOf(secret).some((form) => text.includes(form)) ? [`${what} in ${name}`] : []
    )
  })

export const sections = ["metrics", "tracing", "usage", "logging", "alerts"] as const
export type Section = (typeof sections)[number]

export interface Watched {
  readonly folder: string
  readonly metrics: Otlp.Receiver
  readonly traces: Collector.Collector
  readonly hook: Collector.Collector
  readonly lines: Array<Readonly<{ event: unknown; fields: Readonly<Record<string, unknown>> }>>
  /** All that was logged, in three formats. */
  readonly log: Array<string>
  /** Writes `global.toml`. */
  readonly write: (tree: string, off?: Section) => Effect.Effect<void>
  /** The services, with a logger that keeps. */
  readonly layer: Layer.Layer<Echelon.Services>
}

const watching = (
  { folder, hook, metrics, traces }: Pick<Watched, "folder" | "hook" | "metrics" | "traces">,
  off: Section | undefined
): string => {
  const text: Readonly<Record<Section, string>> = {
    metrics: `
[metrics]
tenant_label = true
[metrics.otlp]
endpoint = "${metrics.endpoint}"
interval = 3600
headers = { x-team = "${planted.collector}" }
[metrics.prometheus]
port = 0`,
    tracing: `
[tracing.otlp]
endpoint = "${traces.url}"
interval = 3600
encoding = "json"
headers = { x-team = "${planted.collector}" }`,
    usage: `
[usage]
store = "sqlite"
path = "${join(folder, "usage.sqlite")}"
flush_interval = 3600
[[usage.budgets]]
scope = "tenant"
name = "*"
period = "day"
limit = 1000000`,
    logging: `
[logging]
level = "debug"
[logging.routes]
file = "${join(folder, "routes.jsonl")}"`,
    alerts: `
[alerts]
group_wait = 0
[alerts.channels.ops]
type = "webhook"
url = "${hook.url}/hook?token=${planted.hook}"
secret = "${planted.signature}"
headers = { x-team = "${planted.hook}" }`
  }
  const disabled: Readonly<Record<Section, string>> = {
    metrics: text.metrics.replace("[metrics]", "[metrics]\nenabled = false"),
    tracing: `[tracing]\nenabled = false\n${text.tracing}`,
    usage: text.usage.replace("[usage]", "[usage]\nenabled = false"),
    logging: "[logging]\nrequests = false\nstate_changes = false",
    alerts: text.alerts.replace("[alerts]", "[alerts]\nenabled = false")
  }
  return sections.map((section) => (section === off ? disabled : text)[section]).join("\n")
}

export const make: Effect.Effect<Watched, never, Scope.Scope> = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "echelon-watched-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const parts = { folder, metrics: yield* Otlp.receiver, traces: yield* Collector.make, hook: yield* Collector.make }
  const lines: Array<Watched["lines"][number]> = []
  const log: Array<string> = []
  const keeping = Layer.merge(
    Logger.layer([
      Logger.make((options) => {
        const fields = options.fiber.getRef(References.CurrentLogAnnotations)
        lines.push({ event: fields["echelon.event"], fields })
        log.push(Logger.formatLogFmt.log(options), Logger.formatJson.log(options))
        log.push(inspect([options.message, Cause.pretty(options.cause), fields], { depth: 20 }))
      })
    ]),
    Layer.succeed(References.MinimumLogLevel, "All")
  )
  return {
    ...parts,
    lines,
    log,
    write: (tree, off) =>
      Effect.promise(() => writeFile(join(folder, "global.toml"), `${tree}\n${watching(parts, off)}\n`)),
    layer: Echelon.layer({ config: folder, variables: {} }).pipe(Layer.orDie, Layer.provide(keeping))
  }
})

/** Everything that is in the files and at the receivers, once all has ended. */
export const gather = Effect.fnUntraced(function* ({ folder, hook, lines, log, metrics, traces }: Watched) {
  const posts = yield* Queue.clear(metrics.posts)
  const names = yield* Effect.promise(() => readdir(folder))
  const files: Record<string, Buffer> = {}
  for (const name of names)
    if (name !== "global.toml") files[name] = yield* Effect.promise(() => readFile(join(folder, name)))
  const records: Array<RouteRecord.RouteRecord> = []
  for (const line of (files["routes.jsonl"] ?? Buffer.alloc(0)).toString().split("\n").slice(0, -1)) {
    const read = RouteRecords.decode(line)
    if (read._tag !== "Record") throw new Error(`no record: ${line}`)
    records.push(read.record)
  }
  const usage = names.includes("usage.sqlite")
    ? yield* Effect.provide(
        Effect.flatMap(UsageLedger.UsageLedger, (ledger) => ledger.read({ by: ["tenant"] })),
        SqliteLedger.layer({ path: join(folder, "usage.sqlite"), isReadOnly: true })
      )
    : []
  return {
    files,
    posts,
    records,
    usage,
    spans: traces.spans(),
    requests: lines.filter(({ event }) => event === "request").map(({ fields }) => fields),
    outputs: {
      ...files,
      log: log.join("\n"),
      metrics: Buffer.concat(posts.map(({ raw }) => raw)),
      spans: Buffer.concat(traces.posts.map(({ body }) => body)),
      webhooks: Buffer.concat(hook.posts.map(({ body }) => body))
    }
  }
})
