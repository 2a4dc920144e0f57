/**
 * How times are spread, in so many buckets whatever comes in: each quantile is right to about 2.5 %.
 *
 * @since 0.1.0
 */

/** Each bucket is so much wider than the one before. */
const growth = 1.05
const scale = Math.log(growth)

/** The last bucket begins at about four days. */
const size = 400

/**
 * Times in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export class Quantiles {
  private readonly counts = new Uint32Array(size)
  private total = 0
  private least = Number.POSITIVE_INFINITY
  private most = 0

  add(millis: number): void {
    const at = millis < 1 ? 0 : Math.min(size - 1, 1 + Math.floor(Math.log(millis) / scale))
    this.counts[at] = (this.counts[at] ?? 0) + 1
    this.total += 1
    this.least = Math.min(this.least, millis)
    this.most = Math.max(this.most, millis)
  }

  merge(other: Quantiles): void {
    for (let i = 0; i < size; i++) this.counts[i] = (this.counts[i] ?? 0) + (other.counts[i] ?? 0)
    this.total += other.total
    this.least = Math.min(this.least, other.least)
    this.most = Math.max(this.most, other.most)
  }

  clear(): void {
    if (this.total === 0) return
    this.counts.fill(0)
    this.total = 0
    this.least = Number.POSITIVE_INFINITY
    this.most = 0
  }

  count(): number {
    return this.total
  }

  /** The time below which a share `p` (0 to 1) lies; `undefined` without any. */
  at(p: number): number | undefined {
    if (this.total === 0) return undefined
    if (p >= 1) return this.most
    let left = Math.max(1, Math.ceil(p * this.total))
    for (let i = 0; i < size; i++) {
      left -= this.counts[i] ?? 0
      if (left > 0) continue
      const middle = i === 0 ? 0 : growth ** (i - 0.5)
      return Math.min(this.most, Math.max(this.least, Math.round(middle)))
    }
    return this.most
  }
}
