/**
 * Ratios within one run: variants take turns, round by round, and of each its quickest round counts. What neighbours on
 * the machine do only ever adds time, so that round is the one that they disturbed least. Many short rounds find one
 * better than few long ones.
 */
import { availableParallelism, cpus } from "node:os"

/** One thing to measure: runs `iterations` times and gives the milliseconds that took. */
export interface Variant {
  readonly name: string
  /**
   * For one that mostly waits: fewer iterations, in few rounds of its own after those of the others, as a process that
   * was idle is slow at what it does next.
   */
  readonly iterations?: number | undefined
  readonly run: (iterations: number) => Promise<number>
}

export interface Measured {
  readonly name: string
  /** Microseconds an iteration, in the quickest round. */
  readonly micros: number
  /** To the first variant. */
  readonly ratio: number
}

/** Times a function that runs `iterations` times. */
export const timed = async (run: () => unknown): Promise<number> => {
  const from = performance.now()
  await run()
  return performance.now() - from
}

export const compare = async (
  variants: ReadonlyArray<Variant>,
  options: { readonly iterations: number; readonly rounds?: number; readonly warmup?: number }
): Promise<ReadonlyArray<Measured>> => {
  const { iterations, rounds = 9, warmup = 2 } = options
  const quickest = variants.map(() => Number.POSITIVE_INFINITY)
  for (const isApart of [false, true]) {
    const turns = [...variants.entries()].filter(([, variant]) => (variant.iterations !== undefined) === isApart)
    const [first, last] = isApart ? [-1, Math.min(rounds, 5)] : [-warmup, rounds]
    for (let round = first; round < last; round++) {
      for (const [i, variant] of turns) {
        const own = variant.iterations ?? iterations
        const millis = await variant.run(own)
        if (round >= 0) quickest[i] = Math.min(quickest[i] ?? Number.NaN, (millis * 1_000) / own)
      }
    }
  }
  const base = quickest[0] ?? Number.NaN
  return variants.map(({ name }, i) => {
    const micros = quickest[i] ?? Number.NaN
    return { name, micros, ratio: micros / base }
  })
}

export const print = (title: string, unit: string, measured: ReadonlyArray<Measured>): void => {
  console.log(`\n${title}`)
  const width = Math.max(...measured.map(({ name }) => name.length))
  for (const { micros, name, ratio } of measured) {
    console.log(`  ${name.padEnd(width)}  ${micros.toFixed(2).padStart(10)} ${unit}  ${ratio.toFixed(2).padStart(7)}x`)
  }
}

/** Prints rows under a head, the first column to the left and the others to the right. */
export const table = (
  title: string,
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  notes: ReadonlyArray<string> = []
): void => {
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  ")
  console.log(`\n${title}`)
  for (const row of [head, ...rows]) console.log(`  ${line(row)}`.trimEnd())
  for (const note of notes) console.log(`  ${note}`)
}

export const micros = (value: number): string => value.toFixed(value < 10 ? 2 : 1)
export const times = (value: number): string => `${value < 100 ? value.toFixed(1) : value.toFixed(0)}x`

export const machine = (): string =>
  `Node ${process.version}, ${process.platform} ${process.arch}, ${cpus()[0]?.model.trim() ?? "unknown processor"}, ${availableParallelism()} cores`
