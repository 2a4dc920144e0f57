/**
 * Ratios within one run: variants take turns, round by round, so that a machine that slows down slows them alike.
 */
import { availableParallelism, cpus } from "node:os"

/** One thing to measure: runs `iterations` times and gives the milliseconds that took. */
export interface Variant {
  readonly name: string
  readonly run: (iterations: number) => Promise<number>
}

export interface Measured {
  readonly name: string
  /** Microseconds an iteration: the median over the rounds. */
  readonly micros: number
  /** To the first variant, round by round: the median. */
  readonly ratio: number
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
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
  const times = variants.map((): Array<number> => [])
  for (let round = -warmup; round < rounds; round++) {
    for (const [i, variant] of variants.entries()) {
      const millis = await variant.run(iterations)
      if (round >= 0) times[i]?.push((millis * 1_000) / iterations)
    }
  }
  const base = times[0] ?? []
  return variants.map(({ name }, i) => {
    const own = times[i] ?? []
    return { name, micros: median(own), ratio: median(own.map((time, round) => time / (base[round] ?? Number.NaN))) }
  })
}

export const print = (title: string, unit: string, measured: ReadonlyArray<Measured>): void => {
  console.log(`\n${title}`)
  const width = Math.max(...measured.map(({ name }) => name.length))
  for (const { micros, name, ratio } of measured) {
    console.log(`  ${name.padEnd(width)}  ${micros.toFixed(2).padStart(10)} ${unit}  ${ratio.toFixed(2).padStart(7)}x`)
  }
}

export const machine = (): string =>
  `Node ${process.version}, ${process.platform} ${process.arch}, ${cpus()[0]?.model.trim() ?? "unknown processor"}, ${availableParallelism()} cores`
