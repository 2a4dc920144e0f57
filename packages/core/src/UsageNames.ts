/**
 * Names that callers choose, kept from filling memory or spoiling a table: so many are known, all others share one.
 *
 * @since 0.1.0
 */

/**
 * What names beyond the bound share, and names that are too long.
 *
 * @since 0.1.0
 * @category models
 */
export const other = "(other)"

/** No longer name is kept: all names of a row together must fit into a key of an index, 2,704 bytes in Postgres. */
const longest = 120

/** Control characters would break lines and end texts in some stores; those of direction would disguise what follows. */
const controls = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/**
 * A name without what cannot be stored or printed.
 *
 * @since 0.1.0
 * @category getters
 */
export const clean = (name: string): string =>
  name.length > longest ? other : name.replace(controls, "\ufffd").toWellFormed()

/**
 * Names that are known so far.
 *
 * @since 0.1.0
 * @category models
 */
export class UsageNames {
  private readonly known = new Map<string, string>()
  private readonly always = new Set<string>()
  private readonly capacity: number

  constructor(capacity: number) {
    this.capacity = capacity
  }

  /** What a name is counted under. */
  of(name: string): string {
    return this.known.get(name) ?? this.learn(name)
  }

  size(): number {
    return this.known.size
  }

  /** Names that have a place of their own, whoever else comes. */
  keep(names: Iterable<string>): void {
    for (const name of names) this.always.add(name)
  }

  /** Forgets all names but those that are kept. */
  clear(): void {
    this.known.clear()
  }

  private learn(name: string): string {
    if (this.known.size >= this.capacity && !this.always.has(name)) return other
    const cleaned = clean(name)
    // What is folded needs no place.
    if (cleaned !== other) this.known.set(name, cleaned)
    return cleaned
  }
}

/**
 * Knows nobody yet.
 *
 * **Errors** Throws `RangeError` when the capacity is below 1.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (capacity: number): UsageNames => {
  if (!(capacity >= 1)) throw new RangeError(`UsageNames.make: capacity must be at least 1, got ${capacity}`)
  return new UsageNames(capacity)
}
