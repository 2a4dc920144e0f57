/**
 * Counts over a sliding window, in fixed memory: how often, and how long.
 *
 * The window slides by tenths: it covers nine tenths to the whole of its length. Lengths of time are counted in
 * buckets of which each is 15 % wider than the one before, so that a percentile is at most 7 % off. C. Masson et al.,
 * "DDSketch" (2019), for buckets of growing width; here their number is fixed.
 *
 * @since 0.1.0
 */

const slices = 10

/**
 * Counts by bucket over a window.
 *
 * @since 0.1.0
 * @category models
 */
export interface Window {
  readonly width: number
  readonly size: number
  readonly counts: Array<Uint32Array | undefined>
  /** The newest slice, by the clock. */
  head: number
}

/**
 * Makes an empty window of so many buckets.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (window: number, size: number): Window => ({
  width: Math.max(1, Math.ceil(window / slices)),
  size,
  counts: new Array<Uint32Array | undefined>(slices),
  head: 0
})

const advance = (self: Window, now: number): void => {
  const head = Math.floor(now / self.width)
  const passed = head - self.head
  if (passed === 0) return
  // A clock that went back by less than the window is waited for.
  if (passed < 0 && passed > -slices) return
  if (passed > 0 && passed < slices) {
    for (let i = 1; i <= passed; i++) self.counts[(self.head + i) % slices]?.fill(0)
  } else for (const slice of self.counts) slice?.fill(0)
  self.head = head
}

/**
 * Counts one.
 *
 * @since 0.1.0
 * @category mutations
 */
export const add = (self: Window, bucket: number, now: number): void => {
  advance(self, now)
  const place = self.head % slices
  let slice = self.counts[place]
  if (slice === undefined) {
    slice = new Uint32Array(self.size)
    self.counts[place] = slice
  }
  slice[bucket] = (slice[bucket] ?? 0) + 1
}

/**
 * What the window holds, by bucket.
 *
 * @since 0.1.0
 * @category getters
 */
export const sums = (self: Window, now: number): Float64Array => {
  advance(self, now)
  const all = new Float64Array(self.size)
  for (const slice of self.counts) {
    if (slice === undefined) continue
    for (let i = 0; i < slice.length; i++) all[i] = (all[i] ?? 0) + (slice[i] ?? 0)
  }
  return all
}

const growth = Math.log(1.15)

/**
 * Buckets that lengths of time fall into: up to an hour and more.
 *
 * @since 0.1.0
 * @category models
 */
export const timeBuckets = 110

/**
 * The bucket of a length of time in milliseconds.
 *
 * @since 0.1.0
 * @category getters
 */
export const bucketOf = (millis: number): number =>
  millis <= 1 ? 0 : Math.min(timeBuckets - 1, Math.ceil(Math.log(millis) / growth))

/** The middle of a bucket. */
const middle = (bucket: number): number => (bucket === 0 ? 0 : Math.exp((bucket - 0.5) * growth))

/**
 * A percentile of lengths of time, `at` from 0 to 1, and how many there are; `undefined` without any.
 *
 * @since 0.1.0
 * @category getters
 */
export const percentile = (
  counts: Float64Array,
  at: number
): { readonly value: number; readonly count: number } | undefined => {
  let count = 0
  for (const one of counts) count += one
  if (count === 0) return undefined
  let rest = Math.max(1, Math.ceil(count * at))
  for (let i = 0; i < counts.length; i++) {
    rest -= counts[i] ?? 0
    if (rest <= 0) return { value: middle(i), count }
  }
  return { value: middle(counts.length - 1), count }
}
