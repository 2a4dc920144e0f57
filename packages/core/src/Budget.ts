/**
 * What one request may spend at most, through every nested policy: attempts and, when it says so, money.
 * Time is the request's deadline. A retry in a group in a pool takes from the same budget as all others, so
 * retries never multiply.
 *
 * @since 0.1.0
 */

/**
 * The budget of one request. It is shared by reference between all policies that serve the request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Budget {
  /** Attempts not yet made. `Infinity` when nothing limits them. */
  readonly attemptsLeft: () => number
  /** What has run out, if anything. */
  readonly exhausted: () => "attempts" | "cost" | undefined
  /** Takes one attempt, or says what has run out. Called where an instance is asked, and nowhere else. */
  readonly take: () => "taken" | "attempts" | "cost"
  /** Lowers the attempts left to `attempts` when that is fewer. Never raises them. */
  readonly limit: (attempts: number) => void
  /** Records money spent, in USD. */
  readonly spend: (usd: number) => void
  readonly spent: () => number
}

/**
 * Limits of a budget.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Attempts of all policies together. @default Infinity */
  readonly attempts?: number | undefined
  /** USD: once this is spent no further attempt starts. @default Infinity */
  readonly maxCost?: number | undefined
}

/**
 * Makes the budget of one request.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Budget => {
  const { attempts = Number.POSITIVE_INFINITY, maxCost = Number.POSITIVE_INFINITY } = options
  if (!(attempts >= 1)) throw new RangeError(`Budget.make: attempts must be at least 1, got ${attempts}`)
  if (!(maxCost > 0)) throw new RangeError(`Budget.make: maxCost must be above 0, got ${maxCost}`)
  let left = attempts
  let spent = 0
  const exhausted = () => (left <= 0 ? "attempts" : spent >= maxCost ? "cost" : undefined)
  return {
    attemptsLeft: () => left,
    exhausted,
    take: () => {
      const out = exhausted()
      if (out !== undefined) return out
      left -= 1
      return "taken"
    },
    limit: (most) => {
      left = Math.min(left, most)
    },
    spend: (usd) => {
      spent += usd
    },
    spent: () => spent
  }
}
