/**
 * Memory, each stack in a process of its own with `--expose-gc`: bytes a waiting request, and what stays on the heap
 * after many requests. Two run at a time: sizes, unlike times, do not depend on the neighbours.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { table, times } from "./harness.ts"

const child = fileURLToPath(new URL("memoryChild.ts", import.meta.url))

const run = (args: ReadonlyArray<string>): Promise<Readonly<Record<string, number>>> =>
  new Promise((resolve, reject) => {
    const from = spawn(process.execPath, ["--expose-gc", child, ...args], { stdio: ["ignore", "pipe", "inherit"] })
    let said = ""
    from.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      said += chunk
    })
    from.on("error", reject)
    from.on("close", (code) => {
      if (code === 0) resolve(JSON.parse(said))
      else reject(new Error(`memoryChild ${args.join(" ")} ended with ${code}`))
    })
  })

/** In order, two at a time. */
const all = async <A, B>(items: ReadonlyArray<A>, f: (item: A) => Promise<B>): Promise<ReadonlyArray<B>> => {
  const found: Array<B> = []
  let next = 0
  const worker = async () => {
    for (let i = next++; i < items.length; i = next++) found[i] = await f(items[i] as A)
  }
  await Promise.all([worker(), worker()])
  return found
}

const waiters: ReadonlyArray<readonly [id: string, name: string, count?: number]> = [
  ["promise", "bare: a promise that waits"],
  ["fiber", "bare: a fiber that waits"],
  ["echelon", "Echelon, whole stack, with a deadline"],
  ["echelon-promise", "Echelon, the same, a promise each"],
  // Each newcomer looks at all who wait: 100,000 of them take half a minute to line up, 10,000 a third of a second.
  ["effect", "effect's own: semaphore (10,000)", 10_000],
  ["effect-deadline", "effect's own: semaphore, with a deadline (10,000)", 10_000],
  ["effect-limiter", "effect's own: rate limiter that delays"],
  ["cockatiel", "cockatiel: bulkhead"],
  ["cockatiel-deadline", "cockatiel: bulkhead, with a deadline"],
  ["bottleneck", "bottleneck: queue"]
]

/** `isLong`: 100,000 of every kind. */
export const waiting = async (isLong: boolean): Promise<void> => {
  const count = 100_000
  const found = await all(waiters, ([id, , own]) => run(["waiting", id, String(isLong ? count : (own ?? count))]))
  const bare = found[0]?.["bytes"] ?? Number.NaN
  table(
    `Bytes a waiting request, ${count.toLocaleString("en")} waiting behind 64 that run`,
    ["", "bytes", "to bare", "left when served"],
    waiters.map(([, name], i) => {
      const { bytes = Number.NaN, left = Number.NaN } = found[i] ?? {}
      return [name, bytes.toFixed(0), times(bytes / bare), Number.isNaN(left) ? "-" : left.toFixed(0)]
    }),
    [
      "With a deadline: nothing waits longer than 30 minutes. Without: for ever.",
      "opossum has no queue: what finds no capacity is rejected. Echelon's queue also knows priority and tenant."
    ]
  )
}

const growers = [
  ["promise", "bare call, a promise"],
  ["fiber", "bare call, an effect"],
  ["echelon", "Echelon, whole stack"],
  ["effect", "effect's own"],
  ["cockatiel", "cockatiel"],
  ["opossum", "opossum"]
] as const

const kilobytes = (bytes: number): string => (bytes / 1_024).toFixed(0)

/** `isLong`: 10 million requests against 1 million; takes a quarter of an hour. */
export const heap = async (isLong: boolean): Promise<void> => {
  const [few, many] = isLong ? [1_000_000, 10_000_000] : [30_000, 150_000]
  const found = await all(growers, ([id]) => run(["heap", id, String(few), String(many)]))
  table(
    `Heap after ${many.toLocaleString("en")} requests against after ${few.toLocaleString("en")}`,
    ["", "kB before", "kB after", "growth, kB", "bytes a request"],
    growers.map(([, name], i) => {
      const { after = Number.NaN, before = Number.NaN } = found[i] ?? {}
      const grown = after - before
      return [name, kilobytes(before), kilobytes(after), kilobytes(grown), (grown / (many - few)).toFixed(3)]
    }),
    [
      "Used heap after a full collection, in one process a row. bottleneck is left out: at 3 ms a request it takes hours."
    ]
  )
}
