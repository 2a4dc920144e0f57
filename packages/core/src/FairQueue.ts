/**
 * The pure core of the admission queue: who waits, who is next, and whose time has come.
 *
 * Three lanes by priority, the higher first. Within a lane tenants share by weight, and a tenant's requests go
 * first come, first served. Beside the order stands one heap of times, so that one timer serves all.
 *
 * Source: start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996, doi 10.1145/248156.248171). A tenant's
 * next request has the start tag `max(virtual time, finish tag of its last)`, the least tag goes first, and each
 * request adds `1 / weight` to its tenant's finish tag. Virtual time is the tag served last, but never grows by
 * less than `1 / (weights that wait)` a request, as in WF2Q+ (Bennett, Zhang, SIGCOMM 1996). Without that, new
 * tenants that come one after another would all start before those who wait. Shares are counted in requests:
 * where requests differ widely in cost, a deficit round robin over tokens is the better choice.
 *
 * The state is mutable and belongs to one owner. Adding, removing and taking cost O(log n).
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "./LlmRequest.ts"

/**
 * A priority class.
 *
 * @since 0.1.0
 * @category models
 */
export type Priority = NonNullable<LlmRequest.Metadata["priority"]>

/**
 * The priority classes, the first to go first.
 *
 * @since 0.1.0
 * @category models
 */
export const priorities: ReadonlyArray<Priority> = ["critical", "normal", "batch"]

/**
 * How many requests of higher classes may go in a row while a class waits. The next is then its own, so that
 * strict priority starves nobody for ever: a lower class gets at least one in 33, or one in 34 when both lower
 * classes wait.
 *
 * @since 0.1.0
 * @category models
 */
export const patience = 32

/** Finish tags kept of tenants who do not wait, in each lane. Beyond it the oldest is forgiven. */
const maxOwed = 1_024

/** Tenants looked at when what stands before a newcomer is counted. */
const maxCounted = 16

interface Placed {
  /** The place in its heap; -1 when it is in none. */
  index: number
}

/**
 * One who waits. Only `value` is its owner's; the rest is kept here.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry<A> extends Placed {
  readonly value: A
  readonly priority: Priority
  readonly tenant: string | undefined
  /** When the timer looks at it, in milliseconds since the epoch. */
  at: number
  order: number
  flow: Flow<A> | undefined
  before: Entry<A> | undefined
  after: Entry<A> | undefined
}

/** The waiting requests of one tenant in one lane. */
interface Flow<A> extends Placed {
  readonly lane: Lane<A>
  readonly tenant: string | undefined
  weight: number
  /** The start tag of its first request. */
  start: number
  /** When its first request came. */
  order: number
  length: number
  head: Entry<A>
  tail: Entry<A>
}

interface Lane<A> {
  size: number
  /** Requests of higher lanes that went since one of this lane did, while it waited. */
  overtaken: number
  virtual: number
  /** The sum over the tenants who wait. */
  weight: number
  readonly flows: Map<string | undefined, Flow<A>>
  readonly heap: Heap<Flow<A>>
  /** Finish tags ahead of virtual time, of tenants who do not wait; the oldest first. */
  readonly owed: Map<string | undefined, number>
}

/** A binary heap whose items know their place. */
class Heap<T extends Placed> {
  readonly items: Array<T> = []
  private readonly precedes: (a: T, b: T) => boolean

  constructor(precedes: (a: T, b: T) => boolean) {
    this.precedes = precedes
  }

  add(item: T): void {
    item.index = this.items.length
    this.items.push(item)
    this.up(item)
  }

  remove(item: T): void {
    const hole = item.index
    const last = this.items.pop() as T
    item.index = -1
    if (last === item) return
    this.put(last, hole)
    this.fix(last)
  }

  fix(item: T): void {
    this.up(item)
    this.down(item)
  }

  private put(item: T, index: number): void {
    this.items[index] = item
    item.index = index
  }

  private up(item: T): void {
    let at = item.index
    while (at > 0) {
      const parent = this.items[(at - 1) >> 1] as T
      if (!this.precedes(item, parent)) break
      const next = parent.index
      this.put(parent, at)
      at = next
    }
    this.put(item, at)
  }

  private down(item: T): void {
    let at = item.index
    for (;;) {
      let child = this.items[2 * at + 1]
      if (child === undefined) break
      const right = this.items[2 * at + 2]
      if (right !== undefined && this.precedes(right, child)) child = right
      if (!this.precedes(child, item)) break
      const next = child.index
      this.put(child, at)
      at = next
    }
    this.put(item, at)
  }
}

/**
 * Everybody who waits. Its fields are for the functions of this module.
 *
 * @since 0.1.0
 * @category models
 */
export interface FairQueue<A> {
  readonly lanes: Readonly<Record<Priority, Lane<A>>>
  /** Entries that have a time, the earliest first. */
  readonly times: Heap<Entry<A>>
  weights: ReadonlyMap<string | undefined, number>
  /** Counts arrivals. */
  order: number
}

const lane = <A>(): Lane<A> => ({
  size: 0,
  overtaken: 0,
  virtual: 0,
  weight: 0,
  flows: new Map(),
  heap: new Heap<Flow<A>>((a, b) => (a.start === b.start ? a.order < b.order : a.start < b.start)),
  owed: new Map()
})

/**
 * Makes a queue in which nobody waits. Tenants without a weight have 1.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A>(tenants: Readonly<Record<string, number>> = {}): FairQueue<A> => ({
  lanes: { critical: lane(), normal: lane(), batch: lane() },
  times: new Heap<Entry<A>>((a, b) => a.at < b.at),
  weights: weightsOf(tenants),
  order: 0
})

const weightsOf = (tenants: Readonly<Record<string, number>>): ReadonlyMap<string | undefined, number> => {
  for (const [name, weight] of Object.entries(tenants)) {
    if (!(weight > 0 && Number.isFinite(weight)))
      throw new RangeError(`FairQueue.make: tenants."${name}" must be a finite number above 0, got ${weight}`)
  }
  return new Map(Object.entries(tenants))
}

const weightOf = <A>(self: FairQueue<A>, tenant: string | undefined): number => self.weights.get(tenant) ?? 1

/**
 * Makes an entry that waits nowhere yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const entry = <A>(value: A, priority: Priority, tenant: string | undefined): Entry<A> => ({
  value,
  priority,
  tenant,
  at: Number.POSITIVE_INFINITY,
  index: -1,
  order: 0,
  flow: undefined,
  before: undefined,
  after: undefined
})

/** The start tag of a tenant who begins to wait: no credit for idling, no escape from what it has had. */
const startOf = <A>(lane: Lane<A>, tenant: string | undefined): number =>
  Math.max(lane.virtual, lane.owed.get(tenant) ?? 0)

/**
 * Puts an entry last among those of its tenant.
 *
 * @since 0.1.0
 * @category mutations
 */
export const add = <A>(self: FairQueue<A>, entry: Entry<A>): void => {
  const lane = self.lanes[entry.priority]
  const flow = lane.flows.get(entry.tenant)
  entry.order = self.order++
  lane.size += 1
  if (flow !== undefined) {
    entry.flow = flow
    entry.before = flow.tail
    flow.tail.after = entry
    flow.tail = entry
    flow.length += 1
    return
  }
  const begun: Flow<A> = {
    lane,
    tenant: entry.tenant,
    weight: weightOf(self, entry.tenant),
    start: startOf(lane, entry.tenant),
    order: entry.order,
    length: 1,
    head: entry,
    tail: entry,
    index: -1
  }
  entry.flow = begun
  lane.owed.delete(entry.tenant)
  lane.flows.set(entry.tenant, begun)
  lane.weight += begun.weight
  lane.heap.add(begun)
}

/**
 * Sets when the timer looks at an entry.
 *
 * @since 0.1.0
 * @category mutations
 */
export const schedule = <A>(self: FairQueue<A>, entry: Entry<A>, at: number): void => {
  if (entry.index >= 0) self.times.remove(entry)
  entry.at = at
  if (at < Number.POSITIVE_INFINITY) self.times.add(entry)
}

/** Keeps what a tenant has had beyond virtual time, and drops what time has caught up with. */
const owe = <A>(lane: Lane<A>, tenant: string | undefined, finish: number): void => {
  if (finish > lane.virtual) lane.owed.set(tenant, finish)
  for (const [oldest, until] of lane.owed) {
    if (until > lane.virtual && lane.owed.size <= maxOwed) break
    lane.owed.delete(oldest)
  }
}

const take = <A>(self: FairQueue<A>, entry: Entry<A>, isServed: boolean): void => {
  if (entry.index >= 0) self.times.remove(entry)
  const flow = entry.flow
  if (flow === undefined) return
  const { lane } = flow
  const { after, before } = entry
  entry.flow = undefined
  entry.before = undefined
  entry.after = undefined
  lane.size -= 1
  flow.length -= 1
  if (isServed) {
    // The sum is kept by adding and subtracting; it is never less than one of its parts.
    lane.virtual = Math.max(lane.virtual + 1 / Math.max(lane.weight, flow.weight), flow.start)
    flow.start += 1 / flow.weight
  }
  if (after !== undefined) after.before = before
  else if (before !== undefined) flow.tail = before
  if (before !== undefined) before.after = after
  else if (after !== undefined) {
    flow.head = after
    flow.order = after.order
    lane.heap.fix(flow)
  } else {
    lane.heap.remove(flow)
    lane.flows.delete(flow.tenant)
    lane.weight = lane.size === 0 ? 0 : lane.weight - flow.weight
    owe(lane, flow.tenant, flow.start)
  }
  if (lane.size === 0) lane.overtaken = 0
}

/**
 * Takes an entry out, wherever it is. It costs its tenant nothing.
 *
 * @since 0.1.0
 * @category mutations
 */
export const remove = <A>(self: FairQueue<A>, entry: Entry<A>): void => take(self, entry, false)

/**
 * Takes out whoever is next in order.
 *
 * @since 0.1.0
 * @category mutations
 */
export const next = <A>(self: FairQueue<A>): Entry<A> | undefined => {
  let chosen: Lane<A> | undefined
  for (const priority of priorities) {
    const lane = self.lanes[priority]
    if (lane.size === 0) continue
    if (chosen === undefined) chosen = lane
    else if (lane.overtaken >= patience) {
      chosen = lane
      break
    }
  }
  const first = chosen?.heap.items[0]?.head
  if (chosen === undefined || first === undefined) return undefined
  let isLower = false
  for (const priority of priorities) {
    const lane = self.lanes[priority]
    if (lane === chosen) isLower = true
    else if (isLower && lane.size > 0) lane.overtaken += 1
  }
  chosen.overtaken = 0
  take(self, first, true)
  return first
}

/**
 * The time of the earliest entry, `Infinity` when none has one.
 *
 * @since 0.1.0
 * @category getters
 */
export const nextAt = <A>(self: FairQueue<A>): number => self.times.items[0]?.at ?? Number.POSITIVE_INFINITY

/**
 * An entry whose time has come, if there is one. It stays where it is.
 *
 * @since 0.1.0
 * @category getters
 */
export const due = <A>(self: FairQueue<A>, now: number): Entry<A> | undefined => {
  const first = self.times.items[0]
  return first !== undefined && first.at <= now ? first : undefined
}

/**
 * How many at least go before a newcomer, if nobody leaves.
 *
 * **Details** Counted by tags over a bounded number of tenants, so it may be too low and never too high.
 *
 * @since 0.1.0
 * @category getters
 */
export const ahead = <A>(self: FairQueue<A>, priority: Priority, tenant: string | undefined): number => {
  const lane = self.lanes[priority]
  const own = lane.flows.get(tenant)
  const tag = own === undefined ? startOf(lane, tenant) : own.start + own.length / own.weight
  let found = own?.length ?? 0
  const flows = lane.heap.items
  for (let i = 0; i < flows.length && i < maxCounted; i++) {
    const flow = flows[i] as Flow<A>
    if (flow !== own) found += Math.min(flow.length, Math.max(0, Math.ceil((tag - flow.start) * flow.weight)))
  }
  let higher = 0
  for (const above of priorities) {
    if (above === priority) break
    higher += self.lanes[above].size
  }
  return found + Math.min(higher, Math.max(0, patience * (found + 1) - lane.overtaken))
}

/**
 * How many wait in order in a class.
 *
 * @since 0.1.0
 * @category getters
 */
export const size = <A>(self: FairQueue<A>, priority: Priority): number => self.lanes[priority].size

/**
 * How many tenants are remembered, those who wait included.
 *
 * @since 0.1.0
 * @category getters
 */
export const tenants = <A>(self: FairQueue<A>): number => {
  let found = 0
  for (const priority of priorities) found += self.lanes[priority].flows.size + self.lanes[priority].owed.size
  return found
}

/**
 * Forgives what tenants have had. To be called when there is room and nobody waits: who takes what nobody else
 * wanted owes nothing for it.
 *
 * @since 0.1.0
 * @category mutations
 */
export const forgive = <A>(self: FairQueue<A>): void => {
  for (const priority of priorities) {
    const lane = self.lanes[priority]
    if (lane.size > 0 || lane.virtual === 0) continue
    lane.virtual = 0
    lane.owed.clear()
  }
}

/**
 * Changes the weights. Who waits keeps its place; the requests behind it are spaced by the new weight.
 *
 * @since 0.1.0
 * @category mutations
 */
export const setWeights = <A>(self: FairQueue<A>, tenants: Readonly<Record<string, number>>): void => {
  self.weights = weightsOf(tenants)
  for (const priority of priorities) {
    const lane = self.lanes[priority]
    lane.weight = 0
    for (const flow of lane.flows.values()) {
      flow.weight = weightOf(self, flow.tenant)
      lane.weight += flow.weight
    }
  }
}

/**
 * Takes everybody out: those in order, in no particular order, then those who had only a time.
 *
 * @since 0.1.0
 * @category mutations
 */
export const clear = <A>(self: FairQueue<A>): ReadonlyArray<Entry<A>> => {
  const found: Array<Entry<A>> = []
  for (const priority of priorities) {
    for (const flow of self.lanes[priority].flows.values()) {
      for (let at: Entry<A> | undefined = flow.head; at !== undefined; at = at.after) found.push(at)
    }
  }
  for (const timed of self.times.items) if (timed.flow === undefined) found.push(timed)
  for (const one of found) remove(self, one)
  return found
}
