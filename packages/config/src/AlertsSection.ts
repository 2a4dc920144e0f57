/**
 * `[alerts]` of `global.toml`: the rules, who is told, and when.
 *
 * @since 0.1.0
 */
import * as AlertChannel from "@echelon/core/AlertChannel"
import * as AlertRule from "@echelon/core/AlertRule"
import * as AlertSettings from "@echelon/core/AlertSettings"
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Field from "./Field.ts"

const { defaults } = AlertSettings

const severity = Field.oneOf(AlertRule.severities)

/** What any rule may say. */
const common = (name: AlertRule.Name) => ({
  enabled: Field.or(Field.flag, defaults.rules[name].enabled, "whether it is looked at"),
  for: Field.or(Field.secondsOrZero, defaults.rules[name].for / 1000, "how long it must hold before the alert fires"),
  severity: Field.or(severity, defaults.rules[name].severity, "how much it matters"),
  channels: Field.optional(
    Schema.Array(Field.name).annotate({ expected: "a list of channels" }),
    "names of the channels that are told; all when absent"
  )
})

const about = (name: AlertRule.Name): string => AlertRule.facts[name].meaning

const rule = (name: AlertRule.Name) => Field.or(Field.section(common(name), about(name)), {}, about(name))

const from = "from where on it holds"

const threshold = (name: AlertRule.Name): number => defaults.rules[name].threshold ?? 0

const share = (name: AlertRule.Name) =>
  Field.or(
    Field.section({ ...common(name), threshold: Field.or(Field.ratio, threshold(name), from) }, about(name)),
    {},
    about(name)
  )

/** What rules say that look at requests. */
const windowed = (name: AlertRule.Name) => ({
  ...common(name),
  window: Field.or(Field.seconds, defaults.rules[name].window / 1000, "how far back requests count"),
  min_requests: Field.or(
    Field.measured("requests", Field.int(1)),
    defaults.rules[name].minRequests,
    "requests in the window below which it does not hold"
  )
})

const slow = (name: AlertRule.Name) =>
  Field.or(
    Field.section({ ...windowed(name), threshold: Field.or(Field.seconds, threshold(name) / 1000, from) }, about(name)),
    {},
    about(name)
  )

const rules = Field.section(
  {
    breaker_open: rule("breaker_open"),
    provider_down: rule("provider_down"),
    pool_capacity: Field.or(
      Field.section(
        {
          ...common("pool_capacity"),
          threshold: Field.or(
            Field.measured("instances", Field.int(1)),
            threshold("pool_capacity"),
            "it holds while fewer may be asked"
          )
        },
        about("pool_capacity")
      ),
      {},
      about("pool_capacity")
    ),
    error_rate: Field.or(
      Field.section(
        { ...windowed("error_rate"), threshold: Field.or(Field.ratio, threshold("error_rate"), from) },
        about("error_rate")
      ),
      {},
      about("error_rate")
    ),
    slow_first_output: slow("slow_first_output"),
    queue_wait: slow("queue_wait"),
    queue_full: share("queue_full"),
    budget_half: share("budget_half"),
    budget_low: share("budget_low"),
    budget_spent: share("budget_spent"),
    credential_rejected: rule("credential_rejected"),
    reload_rejected: rule("reload_rejected")
  },
  "the rules"
)

/** How a file states a time of day. */
const clock = /^([01]\d|2[0-3]):([0-5]\d)$/

const timeOfDay = Schema.String.check(
  Schema.makeFilter((s: string) => clock.test(s), {
    expected: 'a time of day, such as "22:00"',
    kind: "time of day",
    stated: { pattern: clock.source, examples: ["22:00"] }
  })
)

/** What an editor can tell of a zone. */
const zone = /^(UTC|[+-]\d{2}:\d{2}|[A-Za-z]+\/[A-Za-z0-9_/+-]+)$/

const timeZone = Schema.String.check(
  Schema.makeFilter((s: string) => zone.test(s) && Option.isSome(DateTime.zoneFromString(s)), {
    expected: 'a time zone: "UTC", an offset such as "+02:00", or a name such as "Europe/Berlin"',
    kind: "time zone",
    stated: { pattern: zone.source, examples: ["Europe/Berlin"] }
  })
)

const port = Schema.Number.check(
  Schema.makeFilter((n: number) => Number.isInteger(n) && n >= 1 && n <= 65_535, {
    expected: "a port: a whole number from 1 to 65535",
    kind: "port",
    stated: { type: "integer", minimum: 1, maximum: 65_535 }
  })
)

/**
 * A channel.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Channel = Schema.Struct({
  type: Field.required(Field.oneOf(AlertChannel.types), "how it is told"),
  enabled: Field.or(Field.flag, true, "whether it is told at all"),
  severity: Field.or(Field.oneOf(AlertRule.severities), "info", "the least that it is told"),
  resolved: Field.or(Field.flag, true, "whether it is told what has resolved"),
  url: Field.optional(
    Field.secret,
    "where it is told: an address that begins with https:// or http://, for all but log and email; empty text disables the channel"
  ),
  secret: Field.optional(Field.secret, "signs what is sent, for webhook, feishu and dingtalk; unsigned when absent"),
  headers: Field.or(
    Schema.Record(Field.keyed("NAME"), Field.required(Field.secret, "the value of the header of that name")).annotate({
      expected: "a table of texts"
    }),
    {},
    "sent with what goes to a webhook"
  ),
  timeout: Field.or(Field.secondsFromOneMilli, 10, "the longest that one try may take"),
  host: Field.optional(Field.text, "the mail server, for email; empty text disables the channel"),
  port: Field.optional(
    port,
    'the port of the mail server; 587, or 465 with tls = "implicit", or 25 with "none", when absent'
  ),
  tls: Field.or(
    Field.oneOf(["starttls", "implicit", "none"]),
    "starttls",
    "how the connection to the mail server is secured; with starttls nothing is sent unless it could be"
  ),
  user: Field.optional(Field.name, "who signs in at the mail server; nobody when absent"),
  password: Field.optional(Field.secret, "the password of that user"),
  from: Field.optional(Field.name, "the sender of mails"),
  to: Field.optional(Field.names("addresses"), "the receivers of mails"),
  ca_file: Field.optional(
    Field.name,
    "a PEM file of certificate authorities that the mail server is to be known by, relative to this file"
  )
}).annotate({ expected: "a table with type" })

/**
 * The section.
 *
 * @since 0.1.0
 * @category schemas
 */
export const AlertsSection = Field.section(
  {
    enabled: Field.or(Field.flag, defaults.enabled, "whether rules are looked at; wrappers can opt out"),
    group_wait: Field.or(
      Field.secondsOrZero,
      defaults.groupWait / 1000,
      "how long alerts of one kind and provider are collected before they are told together"
    ),
    repeat_interval: Field.or(
      Field.secondsFromOneMilli,
      defaults.repeatInterval / 1000,
      "after what time it is told again what still fires"
    ),
    resolve_after: Field.or(
      Field.secondsOrZero,
      defaults.resolveAfter / 1000,
      "how long a condition must be gone before its alert resolves; doubled each time that it fires again within an hour"
    ),
    quiet_hours: Field.optional(
      Field.section(
        {
          from: Field.or(timeOfDay, "22:00", "when they begin"),
          to: Field.or(timeOfDay, "07:00", "when they end, on the next day when that is earlier"),
          time_zone: Field.or(timeZone, "UTC", "whose clock counts")
        },
        "hours in which only what is critical is told; the rest follows in one notification at their end"
      ),
      "hours in which only what is critical is told, once this table is there; the rest follows in one notification at their end"
    ),
    rules: Field.or(rules, {}, "the rules"),
    channels: Field.or(
      Schema.Record(Field.keyed("NAME"), Channel).annotate({
        expected: "tables ([alerts.channels.NAME])"
      }),
      {},
      'who is told, by name; "log" is there unless it is disabled'
    )
  },
  "when somebody is told, of what, and how"
)
