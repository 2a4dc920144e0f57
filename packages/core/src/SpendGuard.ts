/**
 * Keeps budgets: refuses what nobody may pay for any more, and tells when a share of a budget is spent.
 *
 * **Ordering** Above all else: what is refused here is neither queued nor asked, and is counted as failed.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Interpreter from "./Interpreter.ts"
import * as LlmError from "./LlmError.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import type * as Observation from "./Observation.ts"
import type * as Plan from "./Plan.ts"
import type * as Route from "./Route.ts"
import * as SpendBook from "./SpendBook.ts"
import * as SpendBudget from "./SpendBudget.ts"
import * as SpendReach from "./SpendReach.ts"
import type * as StateRegistry from "./StateRegistry.ts"
import * as TokenEstimate from "./TokenEstimate.ts"
import * as UsageLedger from "./UsageLedger.ts"
import * as UsageMeter from "./UsageMeter.ts"
import * as UsageRecord from "./UsageRecord.ts"

/**
 * A budget as it stands. Amounts are USD, times milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status {
  readonly scope: Plan.SpendBudget["scope"]
  readonly name: string
  readonly period: Plan.SpendBudget["period"]
  readonly limit: number
  readonly spent: number
  /** For what runs now. */
  readonly reserved: number
  /** What is spent, of the limit. */
  readonly share: number
  /** Attempts of this process whose cost is not known and not in `spent`. */
  readonly unknown: number
  readonly resetsAt: number
}

/**
 * The keeper of budgets.
 *
 * **Details** A request is refused while what was spent and what is reserved for running requests reach the limit. The
 * reservation is the request's estimated tokens at the highest prices of its target, with 256 of output where the
 * request states no limit. What each process counts is
 * corrected by the ledger every 30 seconds: several that share one keep a budget together, that much late.
 *
 * Where a completed attempt has a price and no usage, the estimate is charged. What has no price cannot be charged: it
 * is counted as unknown, or refused with `unpriced = "refuse"`.
 *
 * **Errors** `BudgetExhausted` with the scope, the name, the period and when it resets. It has a `retryAt` only where the
 * money is spent: what is reserved by requests that run may come free at any moment.
 *
 * @since 0.1.0
 * @category services
 */
export class SpendGuard extends Context.Service<
  SpendGuard,
  {
    /** Every budget that somebody has drawn on, or that names whose it is. */
    readonly status: Effect.Effect<ReadonlyArray<Status>>
    /** Reads what others spent from the ledger. */
    readonly refresh: Effect.Effect<void, UsageLedger.UsageLedgerError>
  }
>()("@echelon/core/SpendGuard") {
  /** Reads what has been spent, then keeps the budgets of the plan. */
  static readonly layer: Layer.Layer<
    SpendGuard,
    UsageLedger.UsageLedgerError,
    UsageLedger.UsageLedger | UsageMeter.UsageMeter | Interpreter.Interpreter
  > = Layer.effect(
    SpendGuard,
    Effect.suspend(() => make)
  )
}

/** How often the ledger is asked what others spent, in milliseconds. */
const refreshEvery = 30_000

/** Output that is reserved for a request that does not limit it. */
const assumedOutput = 256

/** What a request has reserved, and where. */
interface Hold {
  readonly nanos: number
  readonly accounts: Array<SpendBudget.Account>
}

const iso = (at: number): string => new Date(at).toISOString()

/** Refuses, reserves and charges, one request at a time. */
class Keeper {
  readonly book: SpendBook.SpendBook
  private readonly registry: StateRegistry.StateRegistry
  private readonly holds = new Map<Observation.Observation, Hold>()
  /** Of the request whose observation begins in the same breath. */
  private beginning: Hold | undefined = undefined
  private reaches = new Map<string, SpendReach.Reach>()
  private root: Plan.Root | undefined = undefined

  constructor(book: SpendBook.SpendBook, registry: StateRegistry.StateRegistry) {
    this.book = book
    this.registry = registry
  }

  readonly guard = (target: Observation.Target, request: LlmRequest.LlmRequest): LlmError.LlmError | undefined => {
    if (request.observation === undefined) this.beginning = undefined
    const isFirst = request.observation === undefined
    const accounts = this.book.at(target, isFirst, request.metadata.tenant)
    if (accounts.length === 0) return undefined
    const known = request.observation === undefined ? undefined : this.holds.get(request.observation)
    const reach = this.reach(target)
    for (const account of accounts) {
      // Who waited for capacity passes again, and has its place.
      if (known?.accounts.includes(account) === true) continue
      if (reach.hasUnpriced && account.unpriced === "refuse") return refusal(account, "unpriced", target)
      if (SpendBudget.isExhausted(account)) return refusal(account, "spend", target)
    }
    const hold = known ?? { nanos: estimate(request, reach), accounts: [] }
    for (const account of accounts) {
      if (hold.accounts.includes(account)) continue
      account.reserved += hold.nanos
      hold.accounts.push(account)
    }
    if (request.observation === undefined) this.beginning = hold
    else this.holds.set(request.observation, hold)
    return undefined
  }

  readonly observer: Observation.Observer = {
    onStart: (observation) => {
      if (this.beginning !== undefined) this.holds.set(observation, this.beginning)
      this.beginning = undefined
    },
    onAttemptEnd: (observation, attempt) => {
      if (!this.book.isEmpty()) this.charge(observation, attempt)
    },
    onEnd: (observation) => {
      const hold = this.holds.get(observation)
      if (hold === undefined) return
      this.holds.delete(observation)
      for (const account of hold.accounts) account.reserved -= hold.nanos
    }
  }

  private charge(observation: Observation.Observation, attempt: Route.Open): void {
    if (attempt.kind === "cache" || attempt.kind === "coalesced") return
    const { cost } = attempt
    const isKnown = cost !== undefined && Number.isFinite(cost)
    if (!isKnown && !UsageRecord.isUntold(attempt) && attempt.usage === undefined) return
    const accounts = this.book.of(observation)
    if (accounts.length === 0) return
    const assumed = isKnown || attempt.outcome !== "completed" ? 0 : this.assumed(observation, attempt)
    for (const account of accounts) {
      if (!isKnown && assumed === 0) account.unknown += 1
      this.tell(account, SpendBudget.charge(account, isKnown ? UsageRecord.toNanos(cost) : assumed))
    }
  }

  /** What an answer is taken to have cost whose instance has a price, and whose provider told no usage. */
  private assumed(observation: Observation.Observation, { instance }: Route.Open): number {
    const isPriced = this.registry.plan()?.instances[instance]?.model.prices !== undefined
    return isPriced ? (this.holds.get(observation)?.nanos ?? 0) : 0
  }

  tell(account: SpendBudget.Account, reached: ReadonlyArray<number>): void {
    for (const share of reached) this.emit(account, share)
  }

  emit({ limit, name, period, scope, span, spent }: SpendBudget.Account, share: number): void {
    this.registry.emit({
      _tag: "Spend",
      scope,
      name,
      period,
      share,
      spent: UsageRecord.toUsd(spent),
      limit: UsageRecord.toUsd(limit),
      resetsAt: span.until,
      at: this.registry.now()
    })
  }

  private reach(target: Observation.Target): SpendReach.Reach {
    const root = this.registry.plan()
    if (root !== this.root) {
      this.root = root
      this.reaches = new Map()
    }
    // A direct client's name is its caller's, and there is one instance to look at.
    if (root !== undefined && target.kind === "client") return SpendReach.of(root, target)
    const id = `${target.kind} ${target.name}`
    const known = this.reaches.get(id)
    if (known !== undefined || root === undefined) return known ?? { input: 0, output: 0, hasUnpriced: true }
    const found = SpendReach.of(root, target)
    this.reaches.set(id, found)
    return found
  }
}

/** What a request is thought to cost at most, in nano-USD. */
const estimate = (request: LlmRequest.LlmRequest, { input, output }: SpendReach.Reach): number => {
  if (input === 0 && output === 0) return 0
  const tokens = TokenEstimate.of(request, { output: assumedOutput })
  return UsageRecord.toNanos((tokens.input * input + tokens.output * output) / 1_000_000)
}

const refusal = (
  account: SpendBudget.Account,
  of: "spend" | "unpriced",
  target: Observation.Target
): LlmError.LlmError => {
  const { limit, name, period, reserved, scope, span, spent } = account
  const whose = `the ${period}'s budget of ${scope} ${JSON.stringify(name)}`
  const isSpent = SpendBudget.isSpent(account)
  const full = isSpent
    ? `${whose}, ${UsageRecord.toUsd(limit)} USD, is used up; it resets at ${iso(span.until)}`
    : `of ${whose}, ${UsageRecord.toUsd(limit)} USD, ${UsageRecord.toUsd(spent)} USD are spent, and ${UsageRecord.toUsd(reserved)} USD are reserved for requests that run now`
  return LlmError.make({
    reason: { _tag: "BudgetExhausted", of, scope, name, period, resetsAt: span.until },
    detail:
      of === "spend"
        ? full
        : `${whose} refuses what has no price, and ${target.kind} ${JSON.stringify(target.name)} may ask an instance that has none`,
    retryAt: of === "spend" && isSpent ? span.until : undefined
  })
}

/** What alerts look at is told, too. */
const marksOf = ({ rules }: Plan.Root["alerts"]): ReadonlyArray<number> =>
  SpendBudget.marksWith(
    [rules.budget_half, rules.budget_low, rules.budget_spent].map(({ threshold }) => threshold ?? 1)
  )

const make = Effect.gen(function* () {
  const ledger = yield* UsageLedger.UsageLedger
  const { calendar, settings, tenants } = yield* UsageMeter.UsageMeter
  const { plan, registry } = yield* Interpreter.Interpreter
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const book = SpendBook.make({
    span: (period) => calendar.of(period, now()),
    tenants,
    onReset: (account) => keeper.emit(account, 0)
  })
  const keeper: Keeper = new Keeper(book, registry)
  const changed = Latch.makeUnsafe(false)

  const refresh = Effect.gen(function* () {
    book.roll()
    for (const { period, scope } of book.kinds()) {
      const { day, from } = calendar.of(period, now())
      const spent = new Map<SpendBudget.Account, number>()
      for (const { counters, key } of yield* ledger.read({ from: day, by: [scope] })) {
        const account = book.find(scope, period, key[scope] ?? "")
        // Several tenants may share one account.
        if (account !== undefined) spent.set(account, (spent.get(account) ?? 0) + UsageRecord.cost(counters))
      }
      for (const [account, nanos] of spent) keeper.tell(account, SpendBudget.correct(account, nanos, from))
    }
  })

  const take = ({ alerts, usage }: Plan.Root): void => {
    const isOn = settings.enabled && usage.enabled
    for (const [account, reached] of book.take(isOn ? usage.budgets : [], marksOf(alerts)))
      keeper.tell(account, reached)
    if (isOn && usage.budgets.length > 0) {
      registry.observers.guards.add(keeper.guard)
      registry.observers.add(keeper.observer)
    } else {
      // What runs is still settled by the observer.
      registry.observers.guards.delete(keeper.guard)
      if (!book.isEmpty()) return
      registry.observers.observers.delete(keeper.observer)
    }
  }

  const first = yield* plan
  // Nobody must be let in before it is known what has been spent.
  if (settings.enabled && first.usage.enabled) book.take(first.usage.budgets, marksOf(first.alerts))
  yield* refresh
  take(first)
  registry.listen((change) => {
    if (change._tag !== "Swapped") return
    const next = registry.plan()
    if (next === undefined) return
    take(next)
    changed.openUnsafe()
  })

  /** Until the ledger is to be asked again, or a period is over: it is told on time, whether anybody asks or not. */
  const wait = Effect.suspend(() => {
    const midnight = calendar.of("day", now()).until - now()
    return Effect.sleep(ledger.isShared && !book.isEmpty() ? Math.min(refreshEvery, midnight) : midnight)
  })
  let isFailing = false
  const loop = Effect.gen(function* () {
    yield* Effect.raceFirst(changed.await, wait)
    changed.closeUnsafe()
    const failed = yield* Effect.match(refresh, { onSuccess: () => undefined, onFailure: (error) => error })
    if (failed !== undefined && !isFailing)
      yield* Effect.logWarning(`budgets: ${failed.message}; what others spend is not known`)
    isFailing = failed !== undefined
  })
  yield* Effect.forkScoped(Effect.forever(loop))

  return SpendGuard.of({
    refresh,
    status: Effect.sync(() => {
      book.roll()
      return book.accounts().map(
        ({ limit, name, period, reserved, scope, span, spent, unknown }): Status => ({
          scope,
          name,
          period,
          limit: UsageRecord.toUsd(limit),
          spent: UsageRecord.toUsd(spent),
          reserved: UsageRecord.toUsd(reserved),
          share: spent / limit,
          unknown,
          resetsAt: span.until
        })
      )
    })
  })
})
