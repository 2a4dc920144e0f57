/**
 * The books in memory: gone with the process.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as UsageLedger from "./UsageLedger.ts"
import * as UsageNames from "./UsageNames.ts"
import * as UsageRecord from "./UsageRecord.ts"

/**
 * Options of `layer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Rows that are kept; what comes beyond is counted without tenant and model. @default 100_000 */
  readonly maxRows?: number | undefined
}

const idOf = (key: UsageRecord.Key): string => JSON.stringify(UsageRecord.dimensions.map((one) => key[one]))

const make = ({ maxRows = 100_000 }: Options): UsageLedger.UsageLedger["Service"] => {
  const rows = new Map<string, UsageRecord.Row>()
  let writers = 0
  const put = ({ counters, key }: UsageRecord.Row): void => {
    const known = rows.get(idOf(key))
    const all = UsageNames.other
    if (known !== undefined) UsageRecord.add(known.counters, counters)
    else if (rows.size < maxRows) rows.set(idOf(key), { key, counters: { ...counters } })
    else if (key.tenant !== all) put({ counters, key: { ...key, tenant: all, model: all } })
    // A row a day at most comes beyond the bound.
    else if (key.instance !== all)
      put({
        counters,
        key: {
          day: key.day,
          tenant: all,
          wrapper: all,
          pool: all,
          group: all,
          provider: all,
          instance: all,
          model: all
        }
      })
    else rows.set(idOf(key), { key, counters: { ...counters } })
  }
  return {
    store: "memory",
    isShared: false,
    writer: () =>
      Effect.sync(() => {
        let applied = 0
        writers += 1
        return {
          id: `memory-${writers}`,
          write: ({ rows: batch, seq }) =>
            Effect.sync(() => {
              if (seq <= applied) return "repeated"
              applied = seq
              for (const row of batch) put(row)
              return "applied"
            }),
          renew: Effect.void,
          end: Effect.void
        }
      }),
    read: ({ by, from = "", to = "9999-12-31" }) =>
      Effect.sync(() => {
        const wanted = [...rows.values()].filter(({ key }) => key.day >= from && key.day <= to)
        return UsageRecord.sum(wanted, by)
      }),
    // Nothing outlives a process that ended.
    interrupted: Effect.succeed([]),
    noteInterrupted: Effect.succeed([]),
    prune: (day) =>
      Effect.sync(() => {
        for (const [id, { key }] of rows) if (key.day < day) rows.delete(id)
      })
  }
}

/**
 * Keeps the books in memory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<UsageLedger.UsageLedger> =>
  Layer.sync(UsageLedger.UsageLedger, () => make(options))
