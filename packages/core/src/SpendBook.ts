/**
 * The accounts of all budgets, found by whom a request asks and who asks.
 *
 * @since 0.1.0
 */
import type * as Observation from "./Observation.ts"
import type * as Plan from "./Plan.ts"
import * as SpendBudget from "./SpendBudget.ts"
import type * as UsageCalendar from "./UsageCalendar.ts"
import type * as UsageNames from "./UsageNames.ts"

type Scope = Plan.SpendBudget["scope"]
type Period = Plan.SpendBudget["period"]

/**
 * Options of a book.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The present day or month. */
  readonly span: (period: Period) => UsageCalendar.Span
  /** The tenants that are told apart; those beyond share the budget of one. */
  readonly tenants: UsageNames.UsageNames
  /** Hears of an account whose period is over, when a mark had been reached in it. */
  readonly onReset: (account: SpendBudget.Account) => void
}

/** The budgets of one scope and period: of those that are named, and of each other one. */
interface Shelf {
  readonly scope: Scope
  readonly period: Period
  named: ReadonlyMap<string, Plan.SpendBudget>
  each: Plan.SpendBudget | undefined
  readonly accounts: Map<string, SpendBudget.Account>
}

/**
 * What requests without a tenant are called where a budget is for each tenant: they share one.
 *
 * @since 0.1.0
 * @category models
 */
export const nobody = "(none)"

const none: ReadonlyArray<SpendBudget.Account> = []

/**
 * The book.
 *
 * @since 0.1.0
 * @category models
 */
export class SpendBook {
  private shelves: ReadonlyArray<Shelf> = []
  private marks: ReadonlyArray<number> = SpendBudget.marks
  private readonly options: Options

  constructor(options: Options) {
    this.options = options
  }

  isEmpty(): boolean {
    return this.shelves.length === 0
  }

  /**
   * Takes on other budgets. Who had an account keeps what was spent. Gives what is to be told of accounts: marks that
   * they reached by it, and of what was told and holds no more what does, 0 for an account without a budget.
   */
  take(
    budgets: ReadonlyArray<Plan.SpendBudget>,
    marks: ReadonlyArray<number> = SpendBudget.marks
  ): ReadonlyArray<readonly [SpendBudget.Account, ReadonlyArray<number>]> {
    this.marks = marks
    const before = this.shelves
    const found: Array<readonly [SpendBudget.Account, ReadonlyArray<number>]> = []
    const shelves = new Map<string, Shelf>()
    for (const budget of budgets) {
      const { period, scope } = budget
      const id = `${scope} ${period}`
      const known = before.find((one) => one.scope === scope && one.period === period)
      const shelf = shelves.get(id) ?? {
        scope,
        period,
        named: new Map(),
        each: undefined,
        accounts: known?.accounts ?? new Map()
      }
      shelves.set(id, shelf)
      if (budget.name === "*") shelf.each = budget
      else shelf.named = new Map([...shelf.named, [budget.name, budget]])
    }
    this.shelves = [...shelves.values()]
    for (const { accounts, period, scope } of before) {
      if (shelves.has(`${scope} ${period}`)) continue
      for (const account of accounts.values()) if (account.reached > 0) found.push([account, [0]])
    }
    // Or what they spent would not be found again under their name.
    for (const { named, scope } of this.shelves) if (scope === "tenant") this.options.tenants.keep(named.keys())
    for (const shelf of this.shelves) {
      for (const [name, account] of shelf.accounts) {
        const budget = shelf.named.get(name) ?? shelf.each
        if (budget !== undefined) found.push([account, SpendBudget.resize(account, budget, marks)])
        else {
          shelf.accounts.delete(name)
          if (account.reached > 0) found.push([account, [0]])
        }
      }
      for (const name of shelf.named.keys()) this.account(shelf, name)
    }
    return found
  }

  /** Whom a request draws on at one level: at its first also on its tenant. */
  at(
    { kind, name }: Observation.Target,
    isFirst: boolean,
    tenant: string | undefined
  ): ReadonlyArray<SpendBudget.Account> {
    let found: Array<SpendBudget.Account> | undefined
    for (const shelf of this.shelves) {
      const isTenant = shelf.scope === "tenant"
      if (isTenant ? !isFirst : shelf.scope !== kind) continue
      const account = this.account(shelf, isTenant ? this.tenant(shelf, tenant) : name)
      if (account !== undefined) found = found === undefined ? [account] : [...found, account]
    }
    return found ?? none
  }

  /** Whom a request draws on in all. */
  of({ pool, tenant, wrapper }: Observation.Observation): ReadonlyArray<SpendBudget.Account> {
    let found: Array<SpendBudget.Account> | undefined
    for (const shelf of this.shelves) {
      const { scope } = shelf
      const name = scope === "tenant" ? this.tenant(shelf, tenant) : scope === "wrapper" ? wrapper : pool
      const account = name === undefined ? undefined : this.account(shelf, name)
      if (account !== undefined) found = found === undefined ? [account] : [...found, account]
    }
    return found ?? none
  }

  /** The account of a name as the ledger has it. */
  find(scope: Scope, period: Period, name: string): SpendBudget.Account | undefined {
    const shelf = this.shelves.find((one) => one.scope === scope && one.period === period)
    if (shelf === undefined) return undefined
    if (scope !== "tenant") return name === "" ? undefined : this.account(shelf, name)
    return this.account(shelf, this.tenant(shelf, name === "" ? undefined : name))
  }

  /** Scopes and periods that there are budgets for. */
  kinds(): ReadonlyArray<{ readonly scope: Scope; readonly period: Period }> {
    return this.shelves
  }

  accounts(): ReadonlyArray<SpendBudget.Account> {
    return this.shelves.flatMap(({ accounts }) => [...accounts.values()])
  }

  /** Begins anew what is over, and forgets accounts that nobody draws on any more. */
  roll(): void {
    for (const shelf of this.shelves) {
      const { from } = this.options.span(shelf.period)
      for (const [name, account] of shelf.accounts) {
        if (account.span.from === from) continue
        this.renewed(account)
        if (account.reserved === 0 && !shelf.named.has(name)) shelf.accounts.delete(name)
      }
    }
  }

  /** A tenant that a budget names is known by that name; others by what they are counted under. */
  private tenant(shelf: Shelf, tenant: string | undefined): string {
    if (tenant === undefined || tenant === "") return nobody
    return shelf.named.has(tenant) ? tenant : this.options.tenants.of(tenant)
  }

  private account(shelf: Shelf, name: string): SpendBudget.Account | undefined {
    const known = shelf.accounts.get(name)
    if (known !== undefined) return this.renewed(known)
    const budget = shelf.named.get(name) ?? shelf.each
    if (budget === undefined) return undefined
    const made = SpendBudget.open(budget, name, this.options.span(shelf.period), this.marks)
    shelf.accounts.set(name, made)
    return made
  }

  private renewed(account: SpendBudget.Account): SpendBudget.Account {
    if (SpendBudget.roll(account, this.options.span(account.period))) this.options.onReset(account)
    return account
  }
}

/**
 * Makes a book without budgets.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): SpendBook => new SpendBook(options)
