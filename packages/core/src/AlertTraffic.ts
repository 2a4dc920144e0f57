/**
 * What alerting keeps of requests: how many failed, how long first output took, how long they queued, for each
 * target over a window. Memory is bounded whatever names come in.
 *
 * @since 0.1.0
 */
import type * as AlertRule from "./AlertRule.ts"
import * as AlertWindow from "./AlertWindow.ts"
import * as Observation from "./Observation.ts"

/**
 * What the windows of a target hold. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Figures {
  readonly target: Observation.Target
  readonly requests: number
  readonly failures: number
  /** The 95th percentile, and of how many. */
  readonly firstOutput: { readonly value: number; readonly count: number } | undefined
  readonly queued: { readonly value: number; readonly count: number } | undefined
}

interface Entry {
  readonly target: Observation.Target
  readonly ends: AlertWindow.Window
  readonly firstOutput: AlertWindow.Window
  readonly queued: AlertWindow.Window
}

/** Targets that are told apart. What comes beyond is one target of its kind, `other`. */
const most = 200

const succeeded = 0
const failed = 1

/**
 * The time to first output as the caller has it; `undefined` where nothing can be learned: there was none, it came
 * from a cache, or it cannot be told from the end.
 *
 * @since 0.1.0
 * @category getters
 */
export const firstOutputOf = (observation: Observation.Observation): number | undefined => {
  const answering = Observation.answering(observation)
  if (answering?.firstOutputAt === undefined || Observation.isFree(answering)) return undefined
  if (observation.isStream) {
    return observation.committedAt === undefined ? undefined : observation.committedAt - observation.startedAt
  }
  // A buffered reply has its first output when it is whole.
  return answering.endedAt === undefined || answering.firstOutputAt < answering.endedAt
    ? answering.firstOutputAt - observation.startedAt
    : undefined
}

/**
 * The windows of every target.
 *
 * @since 0.1.0
 * @category models
 */
export class Traffic {
  private readonly rules: Readonly<Record<AlertRule.Name, AlertRule.Rule>>
  private readonly kinds = new Map<Observation.Target["kind"], Map<string, Entry>>()
  private size = 0

  constructor(rules: Readonly<Record<AlertRule.Name, AlertRule.Rule>>) {
    this.rules = rules
  }

  private entry({ kind, name }: Observation.Target): Entry {
    let byName = this.kinds.get(kind)
    if (byName === undefined) {
      byName = new Map()
      this.kinds.set(kind, byName)
    }
    const known = byName.get(name)
    if (known !== undefined) return known
    const isRoom = this.size < most
    const kept = isRoom ? name : "other"
    const other = isRoom ? undefined : byName.get(kept)
    if (other !== undefined) return other
    const { error_rate, queue_wait, slow_first_output } = this.rules
    const made: Entry = {
      target: { kind, name: kept },
      ends: AlertWindow.make(error_rate.window, 2),
      firstOutput: AlertWindow.make(slow_first_output.window, AlertWindow.timeBuckets),
      queued: AlertWindow.make(queue_wait.window, AlertWindow.timeBuckets)
    }
    byName.set(kept, made)
    this.size += 1
    return made
  }

  /** Takes in a request that has ended. */
  ended(observation: Observation.Observation): void {
    const { endedAt, error, isAlerting, outcome, queuedMs, target } = observation
    if (!isAlerting || endedAt === undefined) return
    // What a caller did wrong or gave up tells nothing of who was to answer.
    const isFault = outcome === "failed" && error !== undefined && error.blame !== "caller"
    const isLate = outcome === "failed" && error?.reason._tag === "DeadlineExceeded"
    if (outcome !== "completed" && !isFault && !isLate) return
    const entry = this.entry(target)
    AlertWindow.add(entry.ends, outcome === "completed" ? succeeded : failed, endedAt)
    if (target.kind === "wrapper") AlertWindow.add(entry.queued, AlertWindow.bucketOf(queuedMs), endedAt)
    if (observation.operation !== "chat") return
    const firstOutput = firstOutputOf(observation)
    if (firstOutput !== undefined) {
      AlertWindow.add(entry.firstOutput, AlertWindow.bucketOf(firstOutput), endedAt)
    }
  }

  /** What the windows hold. Targets of which they hold nothing any more are forgotten. */
  read(now: number): ReadonlyArray<Figures> {
    const all: Array<Figures> = []
    for (const byName of this.kinds.values()) {
      for (const [name, { ends, firstOutput, queued, target }] of byName) {
        const counts = AlertWindow.sums(ends, now)
        const figures: Figures = {
          target,
          requests: (counts[succeeded] ?? 0) + (counts[failed] ?? 0),
          failures: counts[failed] ?? 0,
          firstOutput: AlertWindow.percentile(AlertWindow.sums(firstOutput, now), 0.95),
          queued: AlertWindow.percentile(AlertWindow.sums(queued, now), 0.95)
        }
        if (figures.requests === 0 && figures.firstOutput === undefined && figures.queued === undefined) {
          byName.delete(name)
          this.size -= 1
        } else all.push(figures)
      }
    }
    return all
  }
}
