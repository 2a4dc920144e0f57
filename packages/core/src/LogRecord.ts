/**
 * Lines of the log, before they are written: what is said of a request that has ended, and of a change of state.
 *
 * No line holds a word of a prompt or an answer, a provider's message, or a key: it is made of names, reasons, times
 * and figures.
 *
 * @since 0.1.0
 */
import type * as LogLevel from "effect/LogLevel"
import * as LogFields from "./LogFields.ts"
import * as Observation from "./Observation.ts"
import type * as Route from "./Route.ts"
import type * as StateChange from "./StateChange.ts"

/**
 * One line.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogRecord {
  readonly level: Extract<LogLevel.Severity, "Debug" | "Info" | "Warn" | "Error">
  readonly message: string
  readonly fields: LogFields.Fields
}

/** Attempts and instances that a line names. */
const named = 8

const { clean } = LogFields
const name = (text: string | undefined): string | undefined => (text === undefined ? undefined : clean(text))
const time = (millis: number | undefined): string | undefined =>
  // A provider's time may lie beyond what a date can say.
  millis === undefined || !Number.isFinite(millis) || Math.abs(millis) > 8.64e15
    ? undefined
    : new Date(millis).toISOString()
const usd = (amount: number | undefined): number | undefined =>
  amount === undefined ? undefined : Number(amount.toPrecision(6))
const aboveZero = (count: number): number | undefined => (count > 0 ? count : undefined)

/**
 * Calls that went to another instance after a failure.
 *
 * @since 0.1.0
 * @category getters
 */
export const failovers = (attempts: ReadonlyArray<Pick<Route.Open, "kind" | "instance" | "outcome">>): number => {
  let count = 0
  let failed: string | undefined
  for (const { instance, kind, outcome } of attempts) {
    if (kind === "call" && failed !== undefined && failed !== instance) count += 1
    if (outcome === "failed") failed = instance
  }
  return count
}

const step = ({ instance, kind, outcome, reason }: Route.Open): string => {
  const how = kind === "call" ? "" : ` (${kind})`
  if (outcome === "completed") return `${clean(instance)}${how}`
  return `${clean(instance)}${how}!${reason ?? outcome}`
}

const routeOf = (attempts: ReadonlyArray<Route.Open>): string | undefined => {
  if (attempts.length === 0) return undefined
  const more = attempts.length - named
  return `${attempts.slice(0, named).map(step).join(" > ")}${more > 0 ? ` > ${more} more` : ""}`
}

const targetOf = ({ kind, name: of }: Observation.Target): string => (kind === "router" ? kind : `${kind}:${clean(of)}`)

/**
 * The level of a request's line. It needs nothing but the outcome and the reason.
 *
 * @since 0.1.0
 * @category getters
 */
export const levelOf = ({
  outcome,
  reason
}: Pick<Observation.Observation, "outcome" | "reason">): LogRecord["level"] =>
  outcome === "failed" ? (reason === undefined ? "Warn" : LogFields.levels[reason]) : "Info"

/**
 * The line of a request that has ended.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofRequest = (observation: Observation.Observation): LogRecord => {
  const { attempts, committedAt, endedAt, error, outcome, priority, startedAt } = observation
  const answering = Observation.answering(observation)
  const usage = Observation.usage(observation)
  const calls = attempts.filter((attempt) => !Observation.isFree(attempt))
  const shared = answering !== undefined && Observation.isFree(answering) ? answering.kind : undefined
  return {
    level: levelOf(observation),
    message: `request ${outcome}`,
    fields: {
      "echelon.event": "request",
      "echelon.request_id": clean(observation.id),
      "echelon.outcome": outcome,
      "echelon.reason": observation.reason,
      "echelon.target": targetOf(observation.target),
      "echelon.wrapper": name(observation.wrapper),
      "echelon.pool": name(observation.pool),
      "echelon.group": name(observation.group),
      "echelon.tenant": name(observation.tenant),
      "echelon.priority": priority === "normal" ? undefined : priority,
      "echelon.operation": observation.operation,
      "echelon.stream": observation.isStream,
      "echelon.instance": name(answering?.instance),
      "echelon.model": name(answering?.model),
      "echelon.provider": name(answering?.provider?.name),
      "echelon.attempts": calls.length,
      "echelon.failovers": failovers(attempts),
      "echelon.hedges": aboveZero(attempts.filter(({ kind }) => kind === "hedge").length),
      "echelon.shared": shared,
      "echelon.route": routeOf(attempts),
      "echelon.queue_ms": aboveZero(Math.round(observation.queuedMs)),
      "echelon.ttft_ms": committedAt === undefined ? undefined : Math.round(committedAt - startedAt),
      "echelon.total_ms": endedAt === undefined ? undefined : Math.round(endedAt - startedAt),
      "echelon.input_tokens": usage?.inputTokens,
      "echelon.output_tokens": usage?.outputTokens,
      "echelon.cache_read_tokens": usage?.cacheReadTokens,
      "echelon.usage_source": usage?.source,
      "echelon.cost_usd": usd(Observation.cost(observation)),
      "echelon.retry_at": outcome === "failed" ? time(error?.retryAt) : undefined
    }
  }
}

/** That an instance works from the start is no news. */
const healthLevel = ({
  from,
  to
}: Extract<StateChange.StateChange, { readonly _tag: "Health" }>): LogRecord["level"] =>
  to === "unhealthy" || to === "degraded" ? "Warn" : to === "unknown" || from === "unknown" ? "Debug" : "Info"

/**
 * A change that is logged.
 *
 * @since 0.1.0
 * @category models
 */
export type Logged = Exclude<StateChange.StateChange, { readonly _tag: "Reload" }>

/**
 * The line of a change of state.
 *
 * **Details** A `Reload` has none: who reads configuration tells of it, with everything that is wrong in it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofChange = (change: Logged): LogRecord => {
  switch (change._tag) {
    case "Breaker": {
      const { from, group, instance, snapshot, to } = change
      const isOut = to === "open"
      return {
        level: isOut ? (snapshot.cause === "credential" ? "Error" : "Warn") : "Info",
        message: `breaker ${to}`,
        fields: {
          "echelon.event": "breaker",
          "echelon.instance": clean(instance),
          "echelon.group": clean(group),
          "echelon.from": from,
          "echelon.to": to,
          "echelon.cause": isOut ? snapshot.cause : undefined,
          "echelon.reason": isOut ? snapshot.reason : undefined,
          "echelon.until": isOut ? time(snapshot.until) : undefined
        }
      }
    }
    case "Cooldown":
      return {
        level: "Info",
        message: "instance cools down",
        fields: {
          "echelon.event": "cooldown",
          "echelon.instance": clean(change.instance),
          "echelon.until": time(change.until)
        }
      }
    case "Drained":
      return {
        level: "Info",
        message: change.isDrained ? "instance drained" : "instance undrained",
        fields: { "echelon.event": "drained", "echelon.instance": clean(change.instance) }
      }
    case "Pinned":
      return {
        level: "Info",
        message: change.isPinned ? "instance pinned" : "instance unpinned",
        fields: { "echelon.event": "pinned", "echelon.instance": clean(change.instance) }
      }
    case "Reset":
      return {
        level: "Info",
        message: "state reset",
        fields: { "echelon.event": "reset", "echelon.instance": name(change.instance) }
      }
    case "Swapped":
      return { level: "Debug", message: "plan swapped", fields: { "echelon.event": "plan" } }
    case "Health":
      return {
        level: healthLevel(change),
        message: `instance ${change.to}`,
        fields: {
          "echelon.event": "health",
          "echelon.instance": clean(change.instance),
          "echelon.provider": clean(change.provider),
          "echelon.from": change.from,
          "echelon.to": change.to,
          "echelon.detail": clean(change.message)
        }
      }
    case "ProviderHealth":
      return {
        level: change.isDown ? "Error" : "Info",
        message: change.isDown ? "provider down" : "provider up",
        fields: {
          "echelon.event": "provider",
          "echelon.provider": clean(change.provider),
          "echelon.instances": change.instances.slice(0, named).map(clean).join(", ") || undefined,
          "echelon.detail": clean(change.message)
        }
      }
    case "Spend":
      return {
        level: change.share >= 1 ? "Error" : change.share > 0 ? "Warn" : "Info",
        message: change.share > 0 ? "budget reached a mark" : "budget is whole again",
        fields: {
          "echelon.event": "budget",
          "echelon.scope": change.scope,
          "echelon.name": clean(change.name),
          "echelon.period": change.period,
          "echelon.share": change.share,
          "echelon.spent_usd": usd(change.spent),
          "echelon.limit_usd": usd(change.limit),
          "echelon.until": time(change.resetsAt)
        }
      }
    case "Phase":
      return {
        level: "Info",
        message: change.phase === "draining" ? "shutting down" : "shut down",
        fields: { "echelon.event": "phase" }
      }
  }
}

/**
 * What changes of the same thing have in common: those that come too often are held back together. `undefined` for
 * what never comes often.
 *
 * @since 0.1.0
 * @category getters
 */
export const keyOf = (change: Logged): string | undefined => {
  switch (change._tag) {
    case "Breaker":
      return JSON.stringify(["breaker", change.group, change.instance])
    case "Cooldown":
    case "Health":
    case "Drained":
    case "Pinned":
      return JSON.stringify([change._tag, change.instance])
    case "Reset":
      return JSON.stringify(["reset", change.instance ?? null])
    case "ProviderHealth":
      return JSON.stringify(["provider", change.provider])
    case "Spend":
      return JSON.stringify(["budget", change.scope, change.name, change.period])
    case "Swapped":
      return "plan"
    case "Phase":
      return undefined
  }
}
