/**
 * What one tenant, wrapper or pool spends in a period against what it may: the decision, without the plan around it.
 *
 * Amounts are whole nano-USD. Spending is what is known to have been spent; what runs is reserved at its estimate until
 * its real cost is known.
 *
 * @since 0.1.0
 */
import type * as Plan from "./Plan.ts"
import type * as UsageCalendar from "./UsageCalendar.ts"
import * as UsageRecord from "./UsageRecord.ts"

/**
 * The shares of a budget that are told when they are reached.
 *
 * @default 0.5, 0.8, 1
 * @since 0.1.0
 * @category models
 */
export const marks = [0.5, 0.8, 1] as const

/**
 * One account: somebody's budget in the present period.
 *
 * @since 0.1.0
 * @category models
 */
export interface Account {
  readonly scope: Plan.SpendBudget["scope"]
  readonly name: string
  readonly period: Plan.SpendBudget["period"]
  unpriced: Plan.SpendBudget["unpriced"]
  limit: number
  span: UsageCalendar.Span
  spent: number
  reserved: number
  /** Attempts of this process whose cost is not known. */
  unknown: number
  /** Marks reached, in their order. */
  reached: number
}

/**
 * Opens an account with nothing spent.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = (
  { limit, period, scope, unpriced }: Plan.SpendBudget,
  name: string,
  span: UsageCalendar.Span
): Account => ({
  scope,
  name,
  period,
  unpriced,
  limit: UsageRecord.toNanos(limit),
  span,
  spent: 0,
  reserved: 0,
  unknown: 0,
  reached: 0
})

/**
 * Whether nothing is left: spent, or reserved for what runs. So a budget is overspent by at most what the last request
 * that was let in costs, and by what those that ran with it cost beyond their estimates.
 *
 * @since 0.1.0
 * @category guards
 */
export const isExhausted = ({ limit, reserved, spent }: Account): boolean => spent + reserved >= limit

/** Notes the marks that are reached now, and gives those that were not before. */
const advance = (account: Account): ReadonlyArray<number> => {
  const before = account.reached
  while (account.reached < marks.length && account.spent >= account.limit * (marks[account.reached] ?? 1))
    account.reached += 1
  return account.reached === before ? none : marks.slice(before, account.reached)
}

const none: ReadonlyArray<number> = []

/**
 * Adds spending. Gives the marks that it reached.
 *
 * @since 0.1.0
 * @category combinators
 */
export const charge = (account: Account, nanos: number): ReadonlyArray<number> => {
  account.spent += nanos
  return advance(account)
}

/**
 * Takes on what the ledger says has been spent in the period that began at `from`. It knows what others spent, this
 * process what is not written yet: neither says too much, so the larger one holds.
 *
 * @since 0.1.0
 * @category combinators
 */
export const correct = (account: Account, nanos: number, from: number): ReadonlyArray<number> => {
  if (account.span.from !== from || nanos <= account.spent) return none
  account.spent = nanos
  return advance(account)
}

/**
 * Changes what may be spent. Marks above what is spent now will be told when they are reached.
 *
 * @since 0.1.0
 * @category combinators
 */
export const resize = (
  account: Account,
  { limit, unpriced }: Pick<Plan.SpendBudget, "limit" | "unpriced">
): ReadonlyArray<number> => {
  account.unpriced = unpriced
  const next = UsageRecord.toNanos(limit)
  if (next === account.limit) return none
  account.limit = next
  account.reached = marks.filter((mark, i) => i < account.reached && account.spent >= next * mark).length
  return advance(account)
}

/**
 * Begins the period anew when it is over. Tells whether a mark had been reached in the one that ended. What runs stays
 * reserved.
 *
 * @since 0.1.0
 * @category combinators
 */
export const roll = (account: Account, span: UsageCalendar.Span): boolean => {
  if (account.span.from === span.from) return false
  const had = account.reached > 0
  account.span = span
  account.spent = 0
  account.unknown = 0
  account.reached = 0
  return had
}
