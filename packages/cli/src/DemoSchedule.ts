/**
 * What goes wrong in the demo, and when.
 *
 * @since 0.1.0
 */
import type { EmbeddedProviders, FaultFront } from "@echelon/testing"

/**
 * A fault of one provider for a while. Times are milliseconds since the demo began.
 *
 * @since 0.1.0
 * @category models
 */
export interface Episode {
  readonly from: number
  readonly until: number
  readonly provider: EmbeddedProviders.Provider
  readonly fault: FaultFront.Fault
  readonly title: string
}

/**
 * The demo's episodes, in order.
 *
 * @since 0.1.0
 * @category models
 */
export const episodes: ReadonlyArray<Episode> = [
  {
    from: 1_500,
    until: 3_500,
    provider: "openai",
    fault: { _tag: "Status", status: 429, retryAfter: "1 second" },
    title: "openai answers 429 with Retry-After: 1"
  },
  {
    from: 4_500,
    until: 6_500,
    provider: "anthropic",
    fault: { _tag: "Reset" },
    title: "anthropic is down: every connection is reset"
  },
  {
    from: 7_500,
    until: 9_500,
    provider: "openai",
    fault: { _tag: "SlowFirstToken", delay: "5 seconds" },
    title: "openai takes 5 s to its first token"
  },
  {
    from: 10_500,
    until: 12_500,
    provider: "anthropic",
    fault: { _tag: "CutStream", afterEvents: 3 },
    title: "anthropic cuts its streams after three events"
  }
]

/**
 * How long requests are sent for.
 *
 * @since 0.1.0
 * @category models
 */
export const length = 14_000

/**
 * An episode as a line.
 *
 * @since 0.1.0
 * @category getters
 */
export const describe = ({ from, title, until }: Episode): string =>
  `${(from / 1_000).toFixed(1).padStart(5)} s to ${(until / 1_000).toFixed(1).padStart(4)} s  ${title}`
