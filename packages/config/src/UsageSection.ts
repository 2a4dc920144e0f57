/**
 * `[usage]` of `global.toml`: where usage is kept, and what may be spent.
 *
 * @since 0.1.0
 */
import type * as Plan from "@echelon/core/Plan"
import * as Plans from "@echelon/core/Plans"
import * as UsageCalendar from "@echelon/core/UsageCalendar"
import * as Schema from "effect/Schema"
import * as Field from "./Field.ts"

const { usage } = Plans.defaults

const timeZone = Schema.String.check(
  Schema.makeFilter((s: string) => UsageCalendar.zoneOf(s) !== undefined, {
    expected: '"UTC", an offset such as "+02:00", or a name such as "Europe/Berlin"',
    kind: "time zone",
    stated: { pattern: UsageCalendar.zonePattern }
  })
)

const SpendBudget = Field.section(
  {
    scope: Field.required(Field.oneOf(["tenant", "wrapper", "pool"]), "whose spending it holds for"),
    name: Field.required(Field.name, 'the name of it; "*" gives each a budget that has none of its own'),
    period: Field.required(Field.oneOf(["day", "month"]), "how long it lasts, by the calendar of time_zone"),
    limit: Field.required(Field.measured("USD", Field.aboveZero), "what may be spent in it"),
    unpriced: Field.or(
      Field.oneOf(["allow", "refuse"]),
      usage.unpriced,
      "what becomes of requests that may reach an instance without a price, which no budget can count"
    )
  },
  "what may be spent"
)

/**
 * The section.
 *
 * @since 0.1.0
 * @category schemas
 */
export const UsageSection = Field.section(
  {
    enabled: Field.or(Field.flag, usage.enabled, "whether usage is accounted for, and budgets are kept"),
    store: Field.or(
      Field.oneOf(["memory", "sqlite", "postgres"]),
      usage.store,
      "where it is kept; memory is gone with the process"
    ),
    path: Field.or(Field.name, usage.path, "the file of the sqlite store, relative to the working directory"),
    url: Field.optional(Field.secret, "the address of the postgres store: postgres://user:password@host:5432/database"),
    flush_interval: Field.or(
      Field.secondsFromOneMilli,
      usage.flushInterval / 1000,
      "time between two batches; a crash loses at most the one that was not written"
    ),
    batch_size: Field.or(
      Field.measured("requests", Field.int(1)),
      usage.batchSize,
      "requests after which a batch is written before its time"
    ),
    // A month's budget is read from the days of that month.
    retention_days: Field.or(Field.measured("days", Field.int(32)), usage.retentionDays, "how long days are kept"),
    time_zone: Field.or(timeZone, usage.timeZone, "whose days and months are counted"),
    max_tenants: Field.or(
      Field.measured("tenants", Field.int(1)),
      usage.maxTenants,
      'tenants that are told apart in a month; all others are counted as "(other)"'
    ),
    budgets: Field.or(
      Schema.Array(SpendBudget).annotate({ expected: "a list of tables ([[usage.budgets]])" }),
      [],
      "what may be spent by a tenant, a wrapper or a pool in a day or a month"
    )
  },
  "how usage is accounted for"
)

/**
 * The decoded section.
 *
 * @since 0.1.0
 * @category models
 */
export type UsageSection = typeof UsageSection.Type

/**
 * What the plan says of it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const toPlan = (file: UsageSection): Plan.Accounting => ({
  enabled: file.enabled,
  store: file.store,
  path: file.path,
  url: file.url,
  flushInterval: file.flush_interval,
  batchSize: file.batch_size,
  retentionDays: file.retention_days,
  timeZone: file.time_zone,
  maxTenants: file.max_tenants,
  budgets: file.budgets
})
