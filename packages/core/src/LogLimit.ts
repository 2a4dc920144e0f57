/**
 * Holds back what is said too often: of each thing so many lines a minute, and at the minute's end the last that was
 * held back, with a count of the others. So a thing that flaps floods nobody, and its last word is always heard.
 *
 * @since 0.1.0
 */

/**
 * What may be said, and how much of the same was held back since it was last said.
 *
 * @since 0.1.0
 * @category models
 */
export interface Said<A> {
  readonly item: A
  readonly suppressed: number
}

interface Cell<A> {
  since: number
  said: number
  held: number
  last: A | undefined
}

/** How long a count lasts, in milliseconds. */
const minute = 60_000

/** How often room is looked for when there is none, in milliseconds. */
const second = 1_000

/** What things beyond the bound are counted as. */
const other = ""

/**
 * A limit. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export class LogLimit<A> {
  private readonly cells = new Map<string, Cell<A>>()
  private readonly capacity: number
  private prunedAt = Number.NEGATIVE_INFINITY

  /** Things that are told apart; all beyond are limited as one. */
  constructor(capacity = 1_000) {
    this.capacity = capacity
  }

  /** Tells whether something may be said now; if not, it is held back. */
  admit(thing: string, item: A, most: number, now: number): Said<A> | undefined {
    const cell = this.cell(thing, now)
    if (now - cell.since >= minute || now < cell.since) {
      const suppressed = cell.held
      Object.assign(cell, { since: now, said: 1, held: 0, last: undefined })
      return { item, suppressed }
    }
    if (cell.said < most) {
      cell.said += 1
      return { item, suppressed: 0 }
    }
    cell.held += 1
    cell.last = item
    return undefined
  }

  /** What was held back and whose minute is over. `isEnd` takes what is held back whatever the time. */
  due(now: number, isEnd = false): ReadonlyArray<Said<A>> {
    const found: Array<Said<A>> = []
    for (const [thing, cell] of this.cells) {
      if (!isEnd && now - cell.since < minute) continue
      if (cell.last === undefined) {
        this.cells.delete(thing)
        continue
      }
      found.push({ item: cell.last, suppressed: cell.held - 1 })
      Object.assign(cell, { since: now, said: 1, held: 0, last: undefined })
    }
    return found
  }

  /** When something is due next; `undefined` while nothing is held back. */
  dueAt(): number | undefined {
    let earliest: number | undefined
    for (const { last, since } of this.cells.values()) {
      if (last !== undefined && (earliest === undefined || since + minute < earliest)) earliest = since + minute
    }
    return earliest
  }

  private cell(thing: string, now: number): Cell<A> {
    const known = this.cells.get(thing)
    if (known !== undefined) return known
    if (this.cells.size >= this.capacity && (now - this.prunedAt >= second || now < this.prunedAt)) {
      this.prunedAt = now
      for (const [old, { last, since }] of this.cells) {
        if (last === undefined && now - since >= minute) this.cells.delete(old)
      }
    }
    const key = this.cells.size >= this.capacity ? other : thing
    const made = this.cells.get(key) ?? { since: now, said: 0, held: 0, last: undefined }
    this.cells.set(key, made)
    return made
  }
}
