/** Chance from a seed, for long random interleavings: `below(n)` is 0 to n - 1, `of` picks from a list. */
export const dice = (seed: number) => {
  let state = seed | 0
  // mulberry32
  const random = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (n: number) => Math.floor(random() * n)
  return { random, below, of: <A>(items: readonly [A, ...Array<A>]): A => items[below(items.length)] ?? items[0] }
}
