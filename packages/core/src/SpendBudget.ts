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
 * The shares of a budget that are told when they are reached, whatever alerts look at.
 *
 * @default 0.5, 0.8, 1
 * @since 0.1.0
 * @category models
 */
export const marks: ReadonlyArray<number> = [0.5, 0.8, 1]

/**
 * The shares that are told where others are asked for too.
 *
 * @since 0.1.0
 * @category getters
 */
export const marksWith = (others: ReadonlyArray<number>): ReadonlyArray<number> =>
  [...new Set([...marks, ...others.filter((share) => share > 0)])].sort((a, b) => a - b)

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
  /** The shares that are told, the least first. */
  marks: ReadonlyArray<number>
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
  span: UsageCalendar.Span,
  shares: ReadonlyArray<number> = marks
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
  marks: shares,
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

/**
 * Whether it stays so until the period ends: what is only reserved may come free at any moment.
 *
 * @since 0.1.0
 * @category guards
 */
export const isSpent = ({ limit, spent }: Account): boolean => spent >= limit

/** Notes the marks that are reached now, and gives those that were not before. */
const advance = (account: Account): ReadonlyArray<number> => {
  const { marks, reached: before } = account
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
 * Changes what may be spent, and which marks are told. Gives the marks that it reached; where it took back some, or what
 * was told of has another limit now, the highest that still holds, and 0 when none does. Marks above what is spent now
 * will be told when they are reached.
 *
 * @since 0.1.0
 * @category combinators
 */
export const resize = (
  account: Account,
  { limit, unpriced }: Pick<Plan.SpendBudget, "limit" | "unpriced">,
  shares: ReadonlyArray<number> = account.marks
): ReadonlyArray<number> => {
  account.unpriced = unpriced
  const next = UsageRecord.toNanos(limit)
  const isSame = next === account.limit
  const told = account.marks.slice(0, account.reached)
  account.limit = next
  account.marks = shares
  const reached = shares.filter((mark) => account.spent >= next * mark)
  account.reached = reached.length
  const first = reached.findIndex((mark) => !told.includes(mark))
  if (first >= 0) return reached.slice(first)
  const top = reached[reached.length - 1] ?? 0
  return told.length === 0 || (isSame && top === told[told.length - 1]) ? none : [top]
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
