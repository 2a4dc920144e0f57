/**
 * Whole stacks made and loaded at random, and the books of what happened: a router over wrappers, pools, groups and
 * echelons of scripted instances, under a `TestClock` of its own. A seed gives the same run every time.
 */
import {
  Clients,
  Control,
  HedgeState,
  InstanceFactory,
  type InstanceState,
  Interpreter,
  LlmError,
  type LlmRequest,
  Orchestrator,
  Part,
  type Plan,
  RateLimitCharge
} from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Random, Scheduler, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { dice } from "./dice.ts"
import type { Asked, Call, Sample, World } from "./stackBooks.ts"
import { edited, type NonEmpty, oneOf, type Profile, planOf, times } from "./stackPlans.ts"
import { askedOf } from "./stackRequests.ts"
import { scriptOf, truthOf } from "./stackScripts.ts"

/** A clock that counts who sleeps by it. Who has been put down is asleep at once, however often its fiber yields. */
const counting = (clock: Clock.Clock) => {
  let sleeping = 0
  const add = (n: number) =>
    Effect.sync(() => {
      sleeping += n
    })
  const sleep = (duration: Duration.Duration) =>
    Effect.acquireUseRelease(
      add(1),
      () => clock.sleep(duration),
      () => add(-1)
    ).pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, 2_048))
  return { clock: Object.assign(Object.create(clock) as Clock.Clock, { sleep }), sleeping: () => sleeping }
}

/** How long after the last thing that anybody does everything must have ended; Retry-After and clocks included. */
const far = Duration.hours(3)

const run = Effect.fnUntraced(function* (seed: number, profile: Profile, sleeping: () => number) {
  const die = dice(seed)
  const { below, of, random } = die
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  let seq = 0
  let healthy = profile.healthy
  const calls: Array<Call> = []
  const asked: Array<Asked> = []
  const samples: Array<Sample> = []
  const books: Array<readonly [string, ScriptedLlm.ScriptedLlm]> = []
  const states = new Set<readonly [string, InstanceState.InstanceState]>()
  const first = planOf(die, profile)
  const roots = [first]
  let root = first
  let hasPins = false
  let shutdown: World["shutdown"]

  // The instances.

  const byMetadata = new Map<LlmRequest.Metadata, Asked>()
  const build = (plan: Plan.Instance) =>
    Effect.map(
      ScriptedLlm.make({
        id: plan.name,
        model: plan.model.model,
        capabilities: plan.model.capabilities,
        prices: plan.model.prices,
        script: (_, request) => {
          note(plan, request)
          return scriptOf(die, healthy, truthOf(plan.model.model), request)
        }
      }),
      (scripted) => {
        books.push([plan.name, scripted])
        return scripted.llm
      }
    )
  const layer = Layer.provideMerge(
    Orchestrator.layer,
    Layer.provide(
      Interpreter.Interpreter.layer(first),
      Layer.merge(
        Layer.succeed(InstanceFactory.InstanceFactory, {
          make: (plan) => Effect.map(build(plan), (llm) => ({ llm, probe: Effect.succeed(Duration.zero) }))
        }),
        Layer.succeed(Clients.Clients, {
          get: (from, _, name = "") => {
            const plan = from.instances[name]
            const known = Object.keys(from.instances)
            return plan === undefined
              ? Effect.fail(LlmError.make({ reason: { _tag: "UnknownTarget", kind: "model", name, known } }))
              : build(plan)
          }
        })
      )
    )
  )
  const life = yield* Scope.make()
  const context = yield* Layer.buildWithScope(layer, life)
  const { registry, swap } = yield* Effect.provideContext(Interpreter.Interpreter, context)
  const control = yield* Effect.provideContext(Control.Control, context)
  const orchestrator = yield* Effect.provideContext(Orchestrator.Orchestrator, context)

  const note = (plan: Plan.Instance, request: LlmRequest.LlmRequest): void => {
    const { attempt, echelon, kind, metadata, recorder } = request
    const from = byMetadata.get(metadata)
    if (from === undefined || attempt === undefined) return
    const group = echelon?.split(".")[0]
    const call: Call = {
      seq: seq++,
      at: now(),
      instance: plan.name,
      model: plan.model.model,
      echelon,
      kind,
      asked: from,
      recorder,
      root,
      seen: {
        coolingUntil: registry.state(plan.name)?.cooldown().until ?? 0,
        isDrained: registry.isDrained(plan.name),
        breaker: registry
          .breakersOf(plan.name)
          .find((one) => one.group === group)
          ?.breaker.snapshot(now()),
        mustResume: request.messages.at(-1)?.role === "assistant",
        spent: recorder
          .snapshot(now())
          .reduce((sum, entry) => sum + (entry.outcome === "open" ? 0 : (entry.cost ?? 0)), 0)
      },
      committedSeq: undefined,
      endedSeq: undefined,
      endedAt: undefined,
      outcome: undefined,
      charge: undefined
    }
    calls.push(call)
    attempt.onCommit(() => {
      call.committedSeq = seq++
    })
    attempt.onSettle((outcome) => {
      call.endedSeq = seq++
      call.endedAt = now()
      call.outcome = outcome
      call.charge = RateLimitCharge.of(outcome, attempt.isCommitted())
    })
  }

  // What is seen at a quiet moment.

  const sum = (counts: Iterable<readonly [string, number]>) => {
    const total: Record<string, number> = {}
    for (const name of Object.keys(first.instances)) total[name] = 0
    for (const [name, count] of counts) total[name] = (total[name] ?? 0) + count
    return total
  }
  const sample = (): Sample => {
    for (const name of Object.keys(first.instances)) {
      const state = registry.state(name)
      if (state !== undefined && ![...states].some(([, known]) => known === state)) states.add([name, state])
    }
    return {
      at: now(),
      open: sum(books.map(([name, book]) => [name, book.open()] as const)),
      inFlight: sum([...states].map(([name, state]) => [name, state.inFlight()] as const)),
      breakers: Object.keys(first.instances).flatMap((name) =>
        registry
          .breakersOf(name)
          .map(
            ({ breaker, group }) =>
              [
                breaker.snapshot(now()),
                Math.max(...roots.map((one) => one.groups[group]?.fallback.breaker.halfOpenRequests ?? 1))
              ] as const
          )
      )
    }
  }
  sample()

  // Requests.

  const read = (one: Asked, pauses: ReadonlyArray<number>): Effect.Effect<void, LlmError.LlmError, Scope.Scope> =>
    one.isStreamed
      ? Effect.gen(function* () {
          const reply = yield* orchestrator.open(one.input)
          one.isOpened = true
          reply.attempt.onSettle(() => {
            one.ends += 1
          })
          if (one.take === 0) return yield* Effect.sleep(of([10, 3_000, 15_000]))
          yield* Stream.runForEach(
            one.take === undefined ? reply.parts : Stream.take(reply.parts, one.take),
            (part) => {
              one.parts.push(part)
              if (Part.isIrrevocable(part)) one.irrevocableSeq ??= seq++
              const pause = pauses[one.parts.length % pauses.length] ?? 0
              return pause === 0 ? Effect.void : Effect.sleep(pause)
            }
          )
          one.route = yield* reply.route
        })
      : Effect.map(orchestrator.generate(one.input), (answer) => {
          one.answer = answer
          one.route = answer.route
        })

  const begin = (one: Asked): void => {
    const { timeout } = one.input.metadata ?? {}
    const wrapped = one.target.kind === "wrapper" ? root.wrappers[one.target.name]?.requestTimeout : undefined
    const limit = Math.min(
      timeout === undefined ? Number.POSITIVE_INFINITY : Duration.toMillis(timeout),
      wrapped ?? Number.POSITIVE_INFINITY
    )
    one.root = root
    one.at = now()
    one.deadline = limit === Number.POSITIVE_INFINITY ? undefined : one.at + limit
  }

  const alive = (one: Asked) => calls.filter((call) => call.asked === one && call.endedSeq === undefined).length

  /** What happens when. All of one moment begins together, so that it interleaves. */
  const agenda = new Map<number, Array<Effect.Effect<unknown, LlmError.LlmError>>>()
  const at = (millis: number, act: Effect.Effect<unknown, LlmError.LlmError>) => {
    agenda.set(millis, [...(agenda.get(millis) ?? []), act])
  }

  const enter = Effect.fnUntraced(function* (one: Asked, millis: number) {
    asked.push(one)
    byMetadata.set(one.input.metadata ?? {}, one)
    const pauses = times(4, () => of([0, 0, 0, below(60), below(1_500)]))
    const scope = yield* Scope.make()
    const reading = one.stop === "scope" ? Scope.provide(read(one, pauses), scope) : Effect.scoped(read(one, pauses))
    let fiber: Fiber.Fiber<void, LlmError.LlmError> | undefined
    const living = Effect.andThen(
      Effect.sync(() => begin(one)),
      Effect.provideService(reading, Scheduler.MaxOpsBeforeYield, one.steps)
    )
    at(
      millis,
      Effect.map(Effect.forkDetach(living), (forked) => {
        fiber = forked
        // Whoever is interrupted before it has begun has ended, too.
        forked.addObserver((exit) => {
          one.exit = exit
          one.endedAt = now()
          one.endedSeq = seq++
        })
      })
    )
    if (one.stop === "no") return
    const ending = Effect.suspend((): Effect.Effect<unknown> => {
      if (one.stop === "scope") return Scope.close(scope, Exit.void)
      return fiber === undefined ? Effect.void : Fiber.interrupt(fiber)
    })
    at(
      millis + of([0, 1, below(400), below(4_000)]),
      Effect.map(ending, () => {
        one.stoppedSeq = seq++
        one.leftover = alive(one)
      })
    )
  })

  const bursts: NonEmpty<number> = [1, 1, 3_000, 12_000, 70_000]
  const moment = () => of(bursts) + of([0, below(100), below(2_000), below(9_000)])
  for (let i = 0; i < profile.requests; i++) {
    yield* enter(askedOf(die, profile, first, i), of(bursts) + of([0, below(60), below(1_000)]))
  }

  // What operators do.

  const names = Object.keys(first.instances)
  for (let i = 0; i < profile.controls; i++) {
    const name = oneOf(die, names)
    const act = below(9)
    if (act === 0 || act === 1) hasPins ||= act === 1
    at(
      moment(),
      act === 0
        ? control.drain(name)
        : act === 1
          ? control.pin(name)
          : act === 2
            ? control.unpin(name)
            : act === 3
              ? control.reset(random() < 0.5 ? name : undefined)
              : act === 4
                ? control.force({ instance: name }, of(["open", "closed"]))
                : act === 5 || act === 6
                  ? control.release({ instance: name })
                  : control.undrain(name)
    )
  }
  if (random() < profile.swap) {
    const next = edited(die, profile, first)
    at(
      // Between requests, so that each knows the plan it began with.
      moment() + 0.5,
      Effect.suspend(() => {
        roots.push(next)
        root = next
        return Effect.andThen(swap(next), Effect.sync(sample))
      })
    )
  }
  for (let i = 0; i < 14; i++) {
    const look = Effect.sync(() => samples.push(sample()))
    yield* Effect.forkDetach(Effect.delay(look, moment() + of([0, 7, below(3_000)])), { startImmediately: true })
  }
  if (random() < profile.shutdown) {
    at(
      // Between requests, so that each comes before or after.
      moment() + 0.25,
      Effect.suspend(() => {
        shutdown = { from: now(), to: now() + first.shutdownGrace }
        return Scope.close(life, Exit.void)
      })
    )
  }
  for (const { echelons } of Object.values(first.groups)) {
    for (const echelon of echelons) {
      const hedge = registry.hedge(echelon)
      if (hedge === undefined) continue
      for (let i = 0; i < 25; i++) for (const isStreamed of [true, false]) HedgeState.observe(hedge, isStreamed, 30, 1)
    }
  }

  // All of it, and the rest.

  for (const [millis, acts] of agenda) {
    const all = Effect.forEach(acts, (act) => Effect.forkDetach(Effect.ignore(act)), { discard: true })
    yield* Effect.forkDetach(Effect.delay(all, millis), { startImmediately: true })
  }
  yield* TestClock.adjust(far)
  const rest = {
    sample: sample(),
    snapshot: yield* control.snapshot,
    inUse: Object.fromEntries(
      [root, first].flatMap((plan) =>
        [
          ...Object.keys(plan.instances).map((name) => ["instance", name] as const),
          ...Object.keys(plan.pools).map((name) => ["pool", name] as const),
          ...Object.values(plan.groups).flatMap(({ echelons }) =>
            echelons.map(({ group, name }) => ["echelon", `${group}.${name}`] as const)
          )
        ].map(([owner, name]) => [`${owner} ${name}`, registry.findLimiter(owner, name)?.inUse ?? 0])
      )
    ),
    sleeping: sleeping()
  }

  const unwell: Array<string> = []
  if (shutdown === undefined) {
    healthy = 1
    for (const name of Object.keys(root.instances))
      yield* Effect.all([control.undrain(name), control.unpin(name), control.release({ instance: name })])
    yield* control.reset()
    const where: ReadonlyArray<LlmRequest.Metadata> = [
      ...Object.keys(root.wrappers).map((wrapperName) => ({ wrapperName })),
      ...Object.keys(root.pools).map((poolName) => ({ poolName })),
      ...Object.keys(root.groups).map((groupName) => ({ groupName }))
    ]
    for (const metadata of where) {
      const input = { prompt: "hi", settings: { maxOutputTokens: 10 }, metadata }
      const fiber = yield* Effect.forkDetach(Effect.exit(orchestrator.generate(input)), { startImmediately: true })
      yield* TestClock.adjust("5 minutes")
      const exit = fiber.pollUnsafe()
      const end = exit !== undefined && Exit.isSuccess(exit) ? exit.value : undefined
      if (end === undefined || Exit.isFailure(end)) unwell.push(`${JSON.stringify(metadata)} ${end ?? "waits"}`)
    }
  }
  const closing = yield* Effect.forkDetach(Scope.close(life, Exit.void), { startImmediately: true })
  yield* TestClock.adjust("1 minute")
  yield* Fiber.join(closing)
  const world: World = { roots, calls, asked, samples, hasPins, shutdown, rest, unwell }
  return world
})

/** Runs a stack for some minutes and then for hours, until nothing happens any more. */
export const simulate = (seed: number, profile: Profile): Effect.Effect<World, LlmError.LlmError> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    const counted = counting(clock)
    return Effect.provideService(run(seed, profile, counted.sleeping), Clock.Clock, counted.clock)
  }).pipe(Random.withSeed(String(seed)), Effect.provide(TestClock.layer()))
