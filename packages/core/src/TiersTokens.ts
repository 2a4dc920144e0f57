/**
 * How many tokens one request takes, by the count of each member that it may go to. Nothing is counted before a limit
 * or a context window asks.
 *
 * @since 0.1.0
 */
import type * as Attempt from "./Attempt.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import type * as Member from "./Member.ts"
import type * as RateLimiter from "./RateLimiter.ts"
import * as TokenCounter from "./TokenCounter.ts"
import * as TokenEstimate from "./TokenEstimate.ts"

/**
 * The tokens of one request.
 *
 * @since 0.1.0
 * @category models
 */
export class Tokens implements RateLimiter.Cost {
  private readonly request: LlmRequest.LlmRequest
  private estimated: TokenEstimate.Estimate | undefined
  private bound: number | undefined
  /** By counter: members of one model share it. */
  private counts: Map<TokenCounter.Counter, TokenCounter.Count> | undefined
  private asked: Member.Member | undefined

  constructor(request: LlmRequest.LlmRequest) {
    this.request = request
  }

  /** What the limits of the member last asked about are charged, output included. */
  get tokens(): number {
    const estimate = this.estimate()
    const count = this.asked === undefined ? undefined : this.count(this.asked)
    return count === undefined ? estimate.total : count.tokens + estimate.output
  }

  /** The cost as it is for a member; it is read before another is asked about. */
  of(member: Member.Member): RateLimiter.Cost {
    this.asked = member
    return this
  }

  /** What the letters tell. */
  estimate(): TokenEstimate.Estimate {
    this.estimated ??= TokenEstimate.of(this.request)
    return this.estimated
  }

  /** Whether the request may fit the member's context window: only what surely does not is kept from it. */
  fits(member: Member.Member): boolean {
    const { contextWindow } = member
    if (contextWindow === undefined) return true
    // Most requests are far too small to be counted for this.
    this.bound ??= TokenEstimate.bound(this.request)
    const most = member.counter === undefined ? this.bound : this.bound * 2 * TokenCounter.maxRatio
    if (most <= contextWindow) return true
    const estimate = this.estimate()
    const count = this.count(member)
    if (count === undefined) return TokenEstimate.mayFit(estimate, contextWindow)
    return count.exact
      ? count.tokens + (estimate.statedOutput ?? 0) <= contextWindow
      : TokenEstimate.mayFit({ ...estimate, input: count.tokens }, contextWindow)
  }

  /** Tells the member's counter what the provider counted, when the attempt has ended well. */
  watch(member: Member.Member, attempt: Attempt.Attempt): void {
    const { counter } = member
    if (counter === undefined || this.request.embedding !== undefined) return
    attempt.onSettle((outcome) => {
      // Only what was estimated anyway is compared: who asks for no count pays for none.
      if (this.estimated === undefined || outcome._tag !== "Completed" || outcome.usage.source !== "reported") return
      const { inputTokens } = outcome.usage
      if (inputTokens !== undefined) counter.observe(this.request, this.estimated.input, inputTokens)
    })
  }

  /** Texts to embed have no frame and are counted by their letters. */
  private count({ counter }: Member.Member): TokenCounter.Count | undefined {
    if (counter === undefined || this.request.embedding !== undefined) return undefined
    const known = this.counts?.get(counter)
    if (known !== undefined) return known
    const count = counter.count(this.request, this.estimate().input)
    this.counts ??= new Map()
    this.counts.set(counter, count)
    return count
  }
}
