import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  Echelon,
  Interpreter,
  type LlmError,
  LlmReply,
  type LlmRequest,
  Orchestrator,
  type Part
} from "@echelon/echelon"
import { FaultServer, type FaultServerAnswer } from "@echelon/testing"
import { it } from "@effect/vitest"
import { Clock, Context, Effect, Fiber, Layer, Random, Result, type Scope, Stream } from "effect"
import * as StepClock from "./StepClock.ts"

export type Protocol = FaultServerAnswer.Protocol
export type Mode = "buffered" | "streamed"

/** Every protocol, buffered and streamed. */
export const cases: ReadonlyArray<readonly [Protocol, Mode]> = [
  ["openai", "buffered"],
  ["openai", "streamed"],
  ["anthropic", "buffered"],
  ["anthropic", "streamed"]
]

/** Runs a test in every protocol, buffered and streamed, or in one mode alone. */
export const everywhere = (
  title: string,
  test: (protocol: Protocol, mode: Mode) => Effect.Effect<void, never, Scope.Scope>,
  only?: Mode
) => {
  for (const [protocol, mode] of cases)
    if (only === undefined || only === mode)
      it.effect(`${title} (${protocol}${only === undefined ? `, ${mode}` : ""})`, () => test(protocol, mode))
}

export interface Options {
  readonly protocol: Protocol
  readonly mode: Mode
  /** A fault server of that name for each; its provider has the same name. */
  readonly servers: Readonly<Record<string, FaultServer.Script>>
  /** The whole configuration but for the addresses and keys of the providers. */
  readonly toml: string
  /** The texts of the servers. @default "NAME says one two three" */
  readonly texts?: Readonly<Record<string, string>>
  /** Further keys of providers, as TOML. */
  readonly provider?: Readonly<Record<string, string>>
  /** Addresses of providers in place of a server's. */
  readonly addresses?: Readonly<Record<string, string>>
  /** What all chance gives. @default 0.5 */
  readonly chance?: number
}

/** A request as a server saw it. */
export interface Seen {
  /** Milliseconds since the test began. */
  readonly at: number
  readonly model: string
  readonly stream: boolean
  readonly body: unknown
  readonly closedAt: number | undefined
  readonly aborted: boolean
}

export interface Server {
  readonly fault: FaultServer.FaultServer
  /** The requests for an answer, of one model or of all. */
  readonly seen: (model?: string) => ReadonlyArray<Seen>
}

/** What came of a request. */
export interface Outcome {
  /** The text that came out, whole or not. */
  readonly text: string
  /** Why it ended: the finish reason, or the error's reason. */
  readonly end: string
  /** Each attempt: `instance reason-or-outcome @milliseconds`. */
  readonly attempts: ReadonlyArray<string>
  readonly error: LlmError.LlmError | undefined
  /** Milliseconds since the test began. */
  readonly retryAt: number | undefined
  readonly parts: ReadonlyArray<Part.Part>
  readonly usage: readonly [input: number | undefined, output: number | undefined, source: string] | undefined
}

/** Goes on to a time once somebody waits for it, or for one before it, and once all that is said here has happened. */
export interface Step {
  readonly to: number
  /** So many requests have been seen, by all servers together. */
  readonly requests?: number
  /** That much text has come out. */
  readonly text?: string
  /** Such a part has come out. */
  readonly part?: Part.Part["type"]
}

export interface World {
  readonly server: (name: string) => Server
  readonly time: StepClock.StepClock
  /** Asks and takes steps until it has ended. Then no connection is busy, no timer runs and nothing is in flight. */
  readonly ask: (input?: Partial<LlmRequest.Input>, steps?: ReadonlyArray<Step>) => Effect.Effect<Outcome>
  /** Asks, and lets time go on to whatever is waited for within so many milliseconds, until it has ended. */
  readonly askFreely: (input: Partial<LlmRequest.Input>, within: number) => Effect.Effect<Outcome>
  /** Asks, and gives the fiber. */
  readonly begin: (input?: Partial<LlmRequest.Input>) => Effect.Effect<Asking, never, Scope.Scope>
  /** Takes steps while a request is under way. */
  readonly steps: (asking: Asking, steps: ReadonlyArray<Step>) => Effect.Effect<void>
  /** Waits until nothing of any request is left. */
  readonly rest: Effect.Effect<void>
  /** Runs a program with this Echelon's services. */
  readonly run: <A, E, R>(program: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, Echelon.AnsweringServices>>
  /** Reads the configuration again. */
  readonly reload: Effect.Effect<void>
}

export interface Asking {
  readonly fiber: Fiber.Fiber<Outcome>
  readonly parts: ReadonlyArray<Part.Part>
  readonly untilText: (text: string) => Effect.Effect<void>
  readonly untilPart: (type: Part.Part["type"]) => Effect.Effect<void>
}

/** A provider for each server, in TOML. */
const providers = (options: Options, addresses: Readonly<Record<string, string>>): string =>
  Object.entries(addresses)
    .map(
      ([name, url]) => `
[llms.provider.${name}]
kind = "${options.protocol}"
base_url = "${options.addresses?.[name] ?? url}/v1"
api_key = "sk-secret-of-${name}"
${options.provider?.[name] ?? ""}
`
    )
    .join("")

const folder = (toml: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const path = await mkdtemp(join(tmpdir(), "echelon-"))
      await writeFile(join(path, "global.toml"), toml)
      return path
    }),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )

/** What has come out so far, and can be waited for. */
const output = () => {
  const parts: Array<Part.Part> = []
  let text = ""
  const checks = new Set<() => void>()
  return {
    parts,
    text: () => text,
    add: (part: Part.Part) => {
      parts.push(part)
      if (part.type === "text-delta") text += part.delta
      for (const check of checks) check()
    },
    set: (whole: string) => {
      text = whole
    },
    until: (predicate: () => boolean) =>
      Effect.callback<void>((resume) => {
        const check = () => {
          if (!predicate()) return
          checks.delete(check)
          resume(Effect.void)
        }
        checks.add(check)
        check()
        return Effect.sync(() => checks.delete(check))
      })
  }
}

/**
 * Starts the servers and an Echelon over them: TOML in a folder, real sockets, the test's clock and a chance that is
 * always the same.
 */
export const make = (options: Options): Effect.Effect<World, never, Scope.Scope> =>
  Effect.gen(function* () {
    const time = yield* StepClock.make
    const chance = options.chance ?? 0.5
    const within = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      effect.pipe(
        Effect.provideService(Clock.Clock, time.clock),
        Effect.provideService(Random.Random, { nextDoubleUnsafe: () => chance, nextIntUnsafe: () => 0 })
      )
    const servers = new Map<string, Server>()
    for (const [name, script] of Object.entries(options.servers)) {
      const times: Array<{ readonly index: number; readonly at: number }> = []
      const text = options.texts?.[name] ?? `${name} says one two three`
      const fault = yield* Effect.orDie(within(FaultServer.make({ script, text })))
      const seen = (model?: string) =>
        fault.requests().flatMap((one): ReadonlyArray<Seen> => {
          if (one.endpoint !== "generate" || (model !== undefined && one.model !== model)) return []
          const { aborted, body, closedAt, index, stream } = one
          const at = times.find((time) => time.index === index)?.at ?? Number.NaN
          return [
            {
              at,
              model: one.model,
              stream,
              body,
              aborted,
              closedAt: closedAt === undefined ? undefined : closedAt - StepClock.origin
            }
          ]
        })
      // The server tells of a request in the turn in which it came.
      yield* Effect.forkScoped(
        fault.waitFor((one) => {
          const { length } = one.requests()
          while (times.length < length) times.push({ index: times.length, at: time.now() })
          return false
        }),
        { startImmediately: true }
      )
      servers.set(name, { fault, seen })
    }
    const server = (name: string): Server => {
      const found = servers.get(name)
      if (found === undefined) throw new RangeError(`no server ${name}`)
      return found
    }
    const addresses = Object.fromEntries([...servers].map(([name, { fault }]) => [name, fault.url]))
    // The folder is not watched: a timer that runs is then a request's.
    const config = yield* folder(`${options.toml}\n${providers(options, addresses)}\n[reload]\nwatch = false\n`)
    const context = yield* Effect.orDie(within(Layer.build(Echelon.layerAnswering({ config, variables: {} }))))
    const { current } = Context.get(context, Interpreter.Interpreter)

    const begin = (input: Partial<LlmRequest.Input> = {}): Effect.Effect<Asking, never, Scope.Scope> =>
      Effect.gen(function* () {
        const out = output()
        const { parts } = out
        const whole = { prompt: "hi", ...input }
        const run =
          options.mode === "buffered"
            ? Effect.map(Orchestrator.generate(whole), ({ finishReason, route, text, usage }) => {
                out.set(text)
                return { end: finishReason as string, route, usage }
              })
            : Effect.scoped(
                Effect.gen(function* () {
                  const reply = yield* Orchestrator.open(whole)
                  yield* Stream.runForEach(reply.parts, (part) => Effect.sync(() => out.add(part)))
                  const last = parts.at(-1)
                  const { route, usage } = LlmReply.toAnswer(parts, yield* reply.route)
                  return { end: last?.type === "finish" ? last.reason : "no finish", route, usage }
                })
              )
        const outcome = Effect.map(Effect.result(run), (result): Outcome => {
          const route = Result.isSuccess(result) ? result.success.route : (result.failure.route ?? [])
          const usage = Result.isSuccess(result) ? result.success.usage : undefined
          const retryAt = Result.isFailure(result) ? result.failure.retryAt : undefined
          return {
            text: out.text(),
            end: Result.isSuccess(result) ? result.success.end : result.failure.reason._tag,
            attempts: route.map(
              ({ instance, outcome, reason, startedAt }) =>
                `${instance} ${reason ?? outcome} @${startedAt - StepClock.origin}`
            ),
            error: Result.isFailure(result) ? result.failure : undefined,
            retryAt: retryAt === undefined ? undefined : retryAt - StepClock.origin,
            parts,
            usage: usage === undefined ? undefined : [usage.inputTokens, usage.outputTokens, usage.source]
          }
        })
        const fiber = yield* Effect.forkScoped(within(Effect.provideContext(outcome, context)))
        return {
          fiber,
          parts,
          untilText: (text) => out.until(() => out.text() === text),
          untilPart: (type) => out.until(() => parts.some((part) => part.type === type))
        }
      })

    const total = () => [...servers.values()].reduce((sum, one) => sum + one.seen().length, 0)

    /** Waits for a number of requests to all servers. */
    const untilRequests = (wanted: number): Effect.Effect<void> =>
      Effect.raceAllFirst([...servers.values()].map(({ fault }) => fault.waitFor(() => total() >= wanted)))

    const steps = (asking: Asking, all: ReadonlyArray<Step>) =>
      Effect.forEach(
        all,
        ({ part, requests, text, to }) => {
          const before = Effect.all(
            [
              ...(requests === undefined ? [] : [untilRequests(requests)]),
              ...(text === undefined ? [] : [asking.untilText(text)]),
              ...(part === undefined ? [] : [asking.untilPart(part)])
            ],
            { discard: true }
          )
          return patient(
            Effect.raceFirst(Effect.andThen(before, time.advance(to)), Effect.asVoid(Fiber.await(asking.fiber))),
            () => `the step to ${to}; ${requests ?? 0} requests and the text "${text ?? ""}" were wanted before`
          )
        },
        { discard: true }
      )

    /** Tells what a test waits for in vain, instead of hanging. */
    const patient = <A>(effect: Effect.Effect<A>, what: () => string): Effect.Effect<A> =>
      Effect.raceFirst(
        effect,
        time.live(
          Effect.andThen(
            Effect.sleep("4 seconds"),
            Effect.suspend(() => {
              const asked = [...servers].map(([name, { fault, seen }]) => `${name} ${seen().length}/${fault.open()}`)
              const state = `at ${time.now()}; somebody waits for ${time.pending().join(", ") || "no time"}`
              return Effect.die(new Error(`in vain: ${what()}; ${state}; requests/open: ${asked.join(", ")}`))
            })
          )
        )
      )

    const rest = Effect.gen(function* () {
      for (const [name, { fault }] of servers)
        yield* patient(
          fault.waitFor((one) => one.open() === 0),
          () => `no busy connection to ${name}`
        )
      yield* patient(
        time.until((pending) => pending.length === 0),
        () => "no timer"
      )
      const { root, state } = yield* Effect.orDie(Effect.scoped(current))
      for (const name of Object.keys(root.instances))
        if (state(name)?.inFlight() !== 0) return yield* Effect.die(new Error(`${name} is still in flight`))
    })

    const asked = (input: Partial<LlmRequest.Input> | undefined, meanwhile: (asking: Asking) => Effect.Effect<void>) =>
      Effect.scoped(
        Effect.gen(function* () {
          const asking = yield* begin(input)
          yield* meanwhile(asking)
          const outcome = yield* patient(Fiber.join(asking.fiber), () => "the end of a request")
          yield* rest
          return outcome
        })
      )
    const ask: World["ask"] = (input, all = []) => asked(input, (asking) => steps(asking, all))
    const askFreely: World["askFreely"] = (input, millis) => {
      const end = time.now() + millis
      const goOn: Effect.Effect<void> = Effect.andThen(
        time.until((pending) => pending.some((at) => at < end)),
        Effect.suspend(() => Effect.andThen(time.set(Math.min(...time.pending())), goOn))
      )
      return asked(input, (asking) => Effect.raceFirst(goOn, Effect.asVoid(Fiber.await(asking.fiber))))
    }

    const run: World["run"] = (program) => within(Effect.provideContext(program, context))
    const reload = run(Effect.orDie(Echelon.reload))

    return { server, time, ask, askFreely, begin, steps, rest, run, reload }
  })
