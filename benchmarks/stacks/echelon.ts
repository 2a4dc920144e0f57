/**
 * Echelon: router > wrapper with a queue > pool > group > two echelons, three instances.
 *
 * On: deadline; slots and queue of the wrapper; the pool's token bucket; requests and tokens a minute and
 * concurrency of the echelon and of the instance (so tokens are estimated); breakers by count, rate and slow calls;
 * retries, retry budget and backoff; clocks of the attempt; the route, usage and cost of the answer.
 */
import { Clients, InstanceFactory, Interpreter, Llm, LlmError, Orchestrator, type Plan, Plans } from "@echelon/core"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import * as Op from "./operation.ts"

/** What an adapter of a promise-returning client does: asks, then gives text and finish. */
export const open =
  (operation: Op.Operation): Llm.Options["open"] =>
  () =>
    Effect.map(
      Effect.promise(() => operation()),
      ({ text, usage }) => {
        let isSent = false
        return Effect.suspend(() => {
          if (isSent) return Cause.done()
          isSent = true
          return Effect.succeed([
            { type: "text-delta", id: "0", delta: text },
            { type: "finish", reason: "stop", usage }
          ] as const)
        })
      }
    )

/** An instance whose credential is wrong: its breaker opens at once and stays open. */
export const refused: Llm.Options["open"] = () => Effect.fail(LlmError.make({ reason: { _tag: "Authentication" } }))

export interface Options {
  readonly open: Llm.Options["open"]
  /** Instances of the first echelon. @default 2 */
  readonly instances?: number | undefined
  readonly rotation?: Plan.Rotation | undefined
  readonly slots?: number | undefined
  readonly queue?: number | undefined
  /** Milliseconds. @default 30_000 */
  readonly timeout?: number | undefined
  readonly bucket?: { readonly size: number; readonly rate: number } | undefined
}

const limits: Plan.Limits = { concurrency: 1_000_000, rpm: Op.plenty, tpm: Op.plenty * 1_000, rpd: undefined }

const planOf = (options: Options): Plan.Root => {
  const provider = Plans.provider({ name: "p", kind: "bench" })
  const { bucket = { size: Op.plenty, rate: Op.plenty }, instances = 2 } = options
  const aliases = Array.from({ length: instances + 1 }, (_, i) => `m${i}`)
  const model = Plans.model({ model: "m", limits, prices: { input: 1, output: 2 } })
  const names = aliases.map((alias) => `p-${alias}`)
  return Plans.root({
    instances: aliases.map((alias) => Plans.instance({ provider, alias, model })),
    groups: [
      Plans.group(
        "group",
        [
          Plans.echelon("group", 1, names.slice(0, -1), { limits }),
          Plans.echelon("group", 2, names.slice(-1), { limits })
        ],
        { breaker: { ...Plans.defaults.breaker, failureRate: 0.5, slowCall: 10_000 } }
      )
    ],
    pools: [
      Plans.pool("pool", ["group"], {
        rotation: options.rotation ?? "round_robin",
        rateLimit: { algorithm: "token_bucket", bucketSize: bucket.size, refillRate: bucket.rate }
      })
    ],
    wrappers: [
      Plans.wrapper(
        "wrapper",
        { kind: "pool", name: "pool" },
        {
          requestTimeout: options.timeout ?? Op.timeout,
          maxConcurrentRequests: options.slots ?? Op.slots,
          queueSize: options.queue ?? Op.queue
        }
      )
    ]
  })
}

const prompt = "Why is the sky blue?"

/** The whole stack, as `Echelon.layer` wires it, over instances in this process. */
export const make = async (options: Options) => {
  const provided = Layer.mergeAll(
    Layer.succeed(InstanceFactory.InstanceFactory, {
      make: ({ name }) =>
        Effect.succeed({ llm: Llm.make({ id: name, open: options.open }), probe: Effect.succeed(Duration.zero) })
    }),
    Layer.succeed(Clients.Clients, { get: () => Effect.die(new Error("no direct clients here")) })
  )
  const interpreter = Layer.provide(Interpreter.Interpreter.layer(planOf(options)), provided)
  const runtime = ManagedRuntime.make(Layer.provide(Orchestrator.layer, interpreter))
  const context = await runtime.context()
  const orchestrator = Context.get(context, Orchestrator.Orchestrator)
  const behindWrapper = { prompt, metadata: { wrapperName: "wrapper" } }
  const request = orchestrator.generate(behindWrapper)
  return {
    request,
    streamed: Stream.runDrain(orchestrator.stream(behindWrapper)),
    /** Without the wrapper: nobody waits for capacity. */
    unqueued: orchestrator.generate({ prompt, metadata: { poolName: "pool" } }),
    /** As `Echelon.runtime(...).generate` does it. */
    promise: () => Effect.runPromiseWith(context)(Effect.andThen(Effect.void, Orchestrator.generate(behindWrapper))),
    /** A request in a fiber of its own, that nobody has made a promise of. */
    fork: () => Effect.runForkWith(context)(request)
  }
}

/** One instance and nothing before it. */
export const instance = (operation: Op.Operation) =>
  Llm.generate(Llm.make({ id: "bare", open: open(operation) }), { prompt })
