/**
 * When to look at what next: a heap of times, so that one timer serves any number of instances.
 *
 * @since 0.1.0
 */

/**
 * Something that is looked at when its time has come. `due` is the schedule's to write.
 *
 * @since 0.1.0
 * @category models
 */
export interface Item {
  due: number
}

/**
 * A schedule. Each item has at most one time; one that is set again leaves its old time behind, which is dropped when
 * it is met, or once such times are the most of what is held.
 *
 * @since 0.1.0
 * @category models
 */
export class Schedule<A extends Item> {
  private heap: Array<{ readonly at: number; readonly item: A }> = []
  private readonly live = new Set<A>()

  /** Sets when the item is due; never when it is infinite. */
  set(item: A, at: number): void {
    if (item.due === at && this.live.has(item)) return
    item.due = at
    if (at === Number.POSITIVE_INFINITY) {
      this.live.delete(item)
      return
    }
    this.live.add(item)
    if (this.heap.length > 2 * this.live.size + 64) this.compact()
    else this.push({ at, item })
  }

  /** When the first one is due. */
  first(): number {
    this.clean()
    return this.heap[0]?.at ?? Number.POSITIVE_INFINITY
  }

  /** Takes out one that is due. */
  take(now: number): A | undefined {
    this.clean()
    const first = this.heap[0]
    if (first === undefined || first.at > now) return undefined
    this.pop()
    this.live.delete(first.item)
    first.item.due = Number.POSITIVE_INFINITY
    return first.item
  }

  /** How much is held. */
  size(): number {
    return this.heap.length
  }

  private clean(): void {
    for (let first = this.heap[0]; first !== undefined && first.at !== first.item.due; first = this.heap[0]) this.pop()
  }

  private compact(): void {
    this.heap = [...this.live].map((item) => ({ at: item.due, item })).sort((a, b) => a.at - b.at)
  }

  private push(entry: { readonly at: number; readonly item: A }): void {
    const { heap } = this
    let i = heap.length
    heap.push(entry)
    while (i > 0) {
      const above = (i - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || parent.at <= entry.at) break
      heap[i] = parent
      i = above
    }
    heap[i] = entry
  }

  private pop(): void {
    const { heap } = this
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let i = 0
    for (;;) {
      const left = 2 * i + 1
      const right = heap[left + 1]
      const below = right !== undefined && right.at < (heap[left]?.at ?? Number.POSITIVE_INFINITY) ? left + 1 : left
      const child = heap[below]
      if (child === undefined || child.at >= last.at) break
      heap[i] = child
      i = below
    }
    heap[i] = last
  }
}
