/**
 * Where alerts are told: what a channel is, what it is told, and how it fails.
 *
 * A kind of channel is a maker, and makers are Layers: each adds its kind to those it is provided with. The log is
 * always there; `@echelon/operations` has the others, and a program may add its own.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as AlertRule from "./AlertRule.ts"
import type * as AlertState from "./AlertState.ts"
import * as AlertText from "./AlertText.ts"

/**
 * What came of an attempt to tell, when it failed.
 *
 * **Details** `rejected`: whoever is there refuses it, as it is or for who asks; `busy`: it is to come later;
 * `unreachable`: nobody answered, or not in a way that can be understood; `timeout`: nobody answered in time;
 * `settings`: it cannot work as it is set.
 *
 * @since 0.1.0
 * @category models
 */
export type Failure = "rejected" | "busy" | "unreachable" | "timeout" | "settings"

/**
 * A notification was not taken. Nothing of it is secret: no address, no credential, no text of the answer.
 *
 * @since 0.1.0
 * @category errors
 */
export class AlertChannelError extends Data.TaggedError("AlertChannelError")<{
  readonly failure: Failure
  /** A few words of ours, such as a status or an error code. */
  readonly detail: string
  /** When to come again, when it was said. */
  readonly retryAfter?: Duration.Duration | undefined
}> {
  get isRetryable(): boolean {
    return this.failure !== "rejected" && this.failure !== "settings"
  }

  override get message(): string {
    return `${this.failure}: ${this.detail}`
  }
}

/**
 * What is told: alerts of one group that fire or have resolved, all that happened in quiet hours, or a test.
 *
 * @since 0.1.0
 * @category models
 */
export interface Notification {
  /** The same in every try, so that a receiver can tell a repetition. */
  readonly id: string
  readonly kind: "alerts" | "summary" | "test"
  /** Milliseconds since the epoch. */
  readonly at: number
  /** What the alerts have in common: the family of their rules, and their provider when it is one. */
  readonly group: string
  /** The highest of its alerts. */
  readonly severity: AlertRule.Severity
  readonly firing: ReadonlyArray<AlertState.Alert>
  readonly resolved: ReadonlyArray<AlertState.Alert>
}

interface Common {
  readonly name: string
  /** The least that it is told. */
  readonly severity: AlertRule.Severity
  /** Whether it is told what has resolved. */
  readonly resolved: boolean
}

/**
 * The settings of a channel, by its kind. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Common &
  (
    | { readonly type: "log" }
    | {
        readonly type: "webhook"
        readonly url: Redacted.Redacted
        /** Signs what is sent. */
        readonly secret: Redacted.Redacted | undefined
        readonly headers: Readonly<Record<string, Redacted.Redacted>>
        readonly timeout: number
      }
    | { readonly type: "slack"; readonly url: Redacted.Redacted; readonly timeout: number }
    | {
        readonly type: "feishu" | "dingtalk"
        readonly url: Redacted.Redacted
        readonly secret: Redacted.Redacted | undefined
        readonly timeout: number
      }
    | {
        readonly type: "email"
        readonly host: string
        readonly port: number
        /** `starttls` goes on only when the connection could be secured. */
        readonly tls: "starttls" | "implicit" | "none"
        readonly user: string | undefined
        readonly password: Redacted.Redacted | undefined
        readonly from: string
        readonly to: ReadonlyArray<string>
        /** The path of a PEM file with certificate authorities to trust. */
        readonly caFile: string | undefined
        readonly timeout: number
      }
    | {
        /** A kind that a program adds. */
        readonly type: "custom"
        readonly kind: string
        readonly timeout?: number | undefined
      }
  )

/**
 * The kinds that a file may name.
 *
 * @since 0.1.0
 * @category models
 */
export const types = ["log", "webhook", "slack", "feishu", "dingtalk", "email"] as const

/**
 * Tells one notification, once. It must fail rather than wait without end; whoever calls it sets a time limit, too.
 *
 * @since 0.1.0
 * @category models
 */
export type Send = (notification: Notification) => Effect.Effect<void, AlertChannelError>

/**
 * Makes a channel of its settings, for as long as the scope is open.
 *
 * @since 0.1.0
 * @category models
 */
export type Maker = (options: Options) => Effect.Effect<Send, AlertChannelError, Scope.Scope>

const log: Maker = ({ name }) =>
  Effect.succeed((notification) =>
    Effect.suspend(() => {
      const text = AlertText.line(notification)
      const isBad = notification.firing.length > 0 && notification.severity !== "info"
      const write = !isBad ? Effect.logInfo : notification.severity === "critical" ? Effect.logError : Effect.logWarning
      return Effect.annotateLogs(write(text), {
        "echelon.alert.id": notification.id,
        "echelon.alert.group": notification.group,
        "echelon.alert.severity": notification.severity,
        "echelon.channel": name
      })
    })
  )

/**
 * The makers by kind.
 *
 * @default the log alone
 * @since 0.1.0
 * @category services
 */
export const Makers = Context.Reference<ReadonlyMap<string, Maker>>("@echelon/core/AlertChannel/Makers", {
  defaultValue: () => new Map([["log", log]])
})

/**
 * Adds kinds of channels to those that are there.
 *
 * @example
 * ```ts
 * import { AlertChannel, AlertSettings } from "@echelon/core"
 * import { Effect, Layer } from "effect"
 *
 * // Settings name it: { type: "custom", kind: "pager", name: "night shift", severity: "critical", resolved: true }
 * const pager: AlertChannel.Maker = ({ name }) =>
 *   Effect.succeed(({ id, severity }) => Effect.logInfo(`${name}: ${severity} ${id}`))
 * const layer = AlertChannel.layer({ pager })
 *
 * const kinds = Effect.map(AlertChannel.Makers, (makers) => [...makers.keys()])
 * console.assert((await Effect.runPromise(Effect.provide(kinds, layer))).join() === "log,pager")
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (makers: Readonly<Record<string, Maker>>): Layer.Layer<never> =>
  Layer.effect(
    Makers,
    Effect.map(Makers, (known) => new Map([...known, ...Object.entries(makers)]))
  )

/**
 * Makes a channel of its settings.
 *
 * **Errors** `settings` when nobody makes that kind.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Send, AlertChannelError, Scope.Scope> =>
  Effect.flatMap(Makers, (makers) => {
    const kind = options.type === "custom" ? options.kind : options.type
    const maker = makers.get(kind)
    return maker === undefined
      ? Effect.fail(
          new AlertChannelError({ failure: "settings", detail: `no channel of the kind "${kind}" is provided` })
        )
      : maker(options)
  })
