/**
 * Tells who is on call before users notice: the rules, looked at while a plan runs, and the channels that are told.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as AlertChannel from "./AlertChannel.ts"
import * as AlertConditions from "./AlertConditions.ts"
import * as AlertDelivery from "./AlertDelivery.ts"
import * as AlertGroups from "./AlertGroups.ts"
import * as AlertInbox from "./AlertInbox.ts"
import type * as AlertRule from "./AlertRule.ts"
import type * as AlertSettings from "./AlertSettings.ts"
import * as AlertState from "./AlertState.ts"
import * as Control from "./Control.ts"
import * as Interpreter from "./Interpreter.ts"

/**
 * Looks at the rules and tells the channels.
 *
 * **Details** Rules are looked at every five seconds, and at once when something changes that may make one hold.
 * Settings are those of the plan that is used now: a reload takes them on. Nothing waits for a channel: each has a
 * queue of its own, of which the oldest is dropped when it is full.
 *
 * Closing the Layer tells what is still to be told, and gives the channels five seconds.
 *
 * @example
 * ```ts
 * import { Alerting, Echelon } from "@echelon/echelon"
 * import { EmbeddedProviders } from "@echelon/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const { variables } = yield* EmbeddedProviders.make
 *   return yield* Effect.gen(function* () {
 *     const alerting = yield* Alerting.AlertingService
 *     yield* alerting.silence("breaker_open", "1 hour")
 *     const [log] = yield* alerting.test("log")
 *     return [log?.error, (yield* alerting.firing).length]
 *   }).pipe(Effect.provide(Echelon.layer({ config: "configs", env: "embedded", variables })))
 * })
 * const [error, firing] = await Effect.runPromise(Effect.scoped(program))
 * console.assert(error === undefined && firing === 0)
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class AlertingService extends Context.Service<
  AlertingService,
  {
    /** The alerts that fire now, in the order in which they began; those of silenced rules too. */
    readonly firing: Effect.Effect<ReadonlyArray<AlertState.Alert>>
    /** What fires and resolves from the moment the stream is run. A reader that falls far behind loses the oldest. */
    readonly changes: Stream.Stream<AlertState.Event>
    /** The last 500 changes, the oldest first. */
    readonly history: Effect.Effect<ReadonlyArray<AlertState.Event>>
    /** Tells nobody of a rule for so long; a length of zero ends that. What still fires then is told. */
    readonly silence: (rule: AlertRule.Name, duration: Duration.Input) => Effect.Effect<void>
    /** Sends a test to a channel, or to all, and says what came of it; empty when there is none of that name. */
    readonly test: (channel?: string) => Effect.Effect<ReadonlyArray<AlertDelivery.Tested>>
    /** What became of notifications, by channel. */
    readonly deliveries: Effect.Effect<ReadonlyArray<AlertDelivery.Delivery>>
  }
>()("@echelon/core/AlertingService") {
  static readonly layer: Layer.Layer<AlertingService, never, Interpreter.Interpreter | Control.Control> = Layer.effect(
    AlertingService,
    Effect.suspend(() => make)
  )
}

/** How often everything is looked at, and how soon after a look the next one may follow. */
const interval = 5_000
const leastGap = 200

/** Changes that are kept, and those kept for a reader that is slow. */
const remembered = 500
const backlog = 1_024

/** What the channels are given at the end. */
const lastWait = 5_000

interface Way {
  readonly outlet: AlertDelivery.Outlet
  readonly scope: Scope.Closeable
}

/** The ways out to the channels of the settings in use. */
const makeWays = Effect.gen(function* () {
  // Channels that come later, too, close after the last has been told.
  const scope = yield* Effect.flatMap(Scope.Scope, Scope.fork)
  const makers = yield* AlertChannel.Makers
  const ways = new Map<string, Way>()
  const close = ({ outlet, scope: own }: Way): Effect.Effect<void> =>
    Effect.andThen(
      Effect.timeoutOption(Effect.interruptible(outlet.idle), Duration.millis(lastWait)),
      Scope.close(own, Exit.void)
    )
  return {
    ways,
    /** Opens what is new and closes what has gone, without waiting for it. */
    apply: Effect.fnUntraced(function* (channels: ReadonlyArray<AlertChannel.Options>) {
      for (const [name, way] of ways) {
        if (channels.some((options) => Equal.equals(options, way.outlet.options))) continue
        ways.delete(name)
        yield* Effect.forkIn(close(way), scope)
      }
      for (const options of channels) {
        if (ways.has(options.name)) continue
        const own = yield* Scope.fork(scope)
        const outlet = yield* AlertDelivery.make(options).pipe(
          Scope.provide(own),
          Effect.provideService(AlertChannel.Makers, makers)
        )
        ways.set(options.name, { outlet, scope: own })
      }
    }),
    drain: Effect.suspend(() =>
      Effect.forEach([...ways.values()], ({ outlet }) => Effect.interruptible(outlet.idle), {
        concurrency: "unbounded",
        discard: true
      }).pipe(Effect.interruptible, Effect.timeoutOption(Duration.millis(lastWait)), Effect.asVoid)
    )
  }
})

const make: Effect.Effect<AlertingService["Service"], never, Interpreter.Interpreter | Control.Control | Scope.Scope> =
  Effect.gen(function* () {
    const { plan, registry } = yield* Interpreter.Interpreter
    const { snapshot } = yield* Control.Control
    const clock = yield* Clock.Clock
    const makers = yield* AlertChannel.Makers
    const boot = (yield* Random.nextIntBetween(0, 2 ** 40)).toString(36)
    const now = () => clock.currentTimeMillisUnsafe()
    const channels = yield* makeWays
    const alerts = AlertState.make()
    const groups = AlertGroups.make()
    const history: Array<AlertState.Event> = []
    const listeners = new Set<(event: AlertState.Event) => void>()
    const wake = yield* Latch.make(false)
    const inbox = AlertInbox.make((yield* plan).alerts, () => wake.openUnsafe())
    let settings: AlertSettings.Settings = (yield* plan).alerts
    let count = 0

    /** Requests are observed only while a rule looks at them. */
    let unobserve: (() => void) | undefined
    const observe = (): void => {
      const { enabled, rules } = settings
      const { credential_rejected, error_rate, queue_wait, slow_first_output } = rules
      const isWanted =
        enabled && [credential_rejected, error_rate, queue_wait, slow_first_output].some((rule) => rule.enabled)
      if (isWanted) unobserve ??= registry.observers.add(inbox.observer)
      else {
        unobserve?.()
        unobserve = undefined
      }
    }

    const look = Effect.fnUntraced(function* (isLast: boolean) {
      const root = yield* plan
      settings = root.alerts
      inbox.use(settings)
      observe()
      yield* channels.apply(settings.enabled ? settings.channels : [])
      if (!settings.enabled && alerts.cells.size === 0) return
      const found = yield* snapshot
      const at = found.at
      const conditions = settings.enabled
        ? AlertConditions.of({
            plan: root,
            settings,
            snapshot: found,
            traffic: inbox.traffic(at),
            heard: inbox.heard(at)
          })
        : []
      const events = AlertState.step(alerts, conditions, settings, at)
      for (const event of events) {
        history.push(event)
        if (history.length > remembered) history.shift()
        for (const listener of [...listeners]) listener(event)
      }
      for (const draft of AlertGroups.step(groups, alerts, events, settings, at, isLast)) {
        count += 1
        const notification: AlertChannel.Notification = { ...draft, id: `${boot}-${count}` }
        for (const { outlet } of channels.ways.values()) {
          const own = AlertGroups.forChannel(notification, outlet.options, settings.rules)
          if (own !== undefined) outlet.offer(own)
        }
      }
    })

    const loop = Effect.gen(function* () {
      yield* look(false)
      yield* Effect.sleep(Duration.millis(leastGap))
      const at = now()
      const next = Math.min(
        at + interval,
        AlertState.nextAt(alerts, settings, at),
        AlertGroups.nextAt(groups, settings, at)
      )
      const pause = settings.enabled ? Math.max(0, next - at) : undefined
      if (pause === undefined) yield* wake.await
      else yield* Effect.timeoutOption(wake.await, Duration.millis(pause))
      wake.closeUnsafe()
    })

    observe()
    const unlisten = registry.listen(inbox.changed)
    yield* channels.apply(settings.enabled ? settings.channels : [])
    const fiber = yield* Effect.forkScoped(Effect.forever(loop))
    yield* Effect.addFinalizer(() =>
      Effect.gen(function* () {
        unlisten()
        unobserve?.()
        yield* Fiber.interrupt(fiber)
        yield* look(true)
        yield* channels.drain
      })
    )

    return AlertingService.of({
      firing: Effect.sync(() => AlertState.firing(alerts)),
      changes: Stream.callback<AlertState.Event>(
        (queue) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              const listener = (event: AlertState.Event) => void Queue.offerUnsafe(queue, event)
              listeners.add(listener)
              return listener
            }),
            (listener) => Effect.sync(() => void listeners.delete(listener))
          ),
        { bufferSize: backlog, strategy: "sliding" }
      ),
      history: Effect.sync(() => [...history]),
      silence: (rule, duration) =>
        Effect.sync(() => {
          groups.silences.set(rule, now() + Duration.toMillis(duration))
          wake.openUnsafe()
        }),
      test: (channel) =>
        Effect.flatMap(plan, (root) =>
          Effect.forEach(
            root.alerts.channels.filter(({ name }) => channel === undefined || name === channel),
            AlertDelivery.test,
            { concurrency: "unbounded" }
          )
        ).pipe(Effect.provideService(AlertChannel.Makers, makers)),
      deliveries: Effect.sync(() => [...channels.ways.values()].map(({ outlet }) => outlet.read()))
    })
  })
