/**
 * A sliding window: at most `limit` in any `window` milliseconds, wherever the window begins.
 *
 * **Details** Grants are counted in slots of a hundredth of the window, and a slot counts until all of it has
 * left. So a window never holds more than the limit, and a grant is held for at most 1 % of the window (at least
 * a millisecond) too long: a window that is always full passes 99 % of its limit. Memory is fixed, under 1 kB.
 *
 * @since 0.1.0
 */

/** Slots a window is divided into. */
const resolution = 100

/**
 * A window.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  limit: number
  readonly window: number
  /** Milliseconds of a slot. */
  readonly width: number
  /** Counts by slot: those of the window, and the one that is leaving it. */
  readonly slots: Float64Array
  /** The sum of the slots; above `limit` in debt. */
  used: number
  /** The newest slot, by the clock. */
  head: number
  /** The newest slot, counted on whatever the clock does; what marks refer to. */
  serial: number
}

/**
 * Makes an empty window.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (limit: number, window: number): State => {
  const width = Math.ceil(window / resolution)
  return {
    limit,
    window,
    width,
    slots: new Float64Array(Math.ceil(window / width) + 1),
    used: 0,
    head: 0,
    serial: 0
  }
}

const advance = (state: State, now: number): void => {
  const head = Math.floor(now / state.width)
  const passed = head - state.head
  const { length } = state.slots
  // A clock that went back by less than a window is waited for.
  if (passed <= 0 && passed > -length) return
  if (passed > 0 && passed < length) {
    for (let i = 0; i < passed; i++) {
      state.serial += 1
      const place = state.serial % length
      state.used -= state.slots[place] ?? 0
      state.slots[place] = 0
    }
  } else {
    state.serial += length
    state.slots.fill(0)
    // After a jump back ages mean nothing: all that counts now counts as new.
    if (passed < 0) state.slots[state.serial % length] = state.used
    else state.used = 0
  }
  state.head = head
}

/**
 * The earliest time at which `units` can be had: `now` when they can be had at once, `Infinity` when never.
 *
 * @since 0.1.0
 * @category getters
 */
export const earliest = (state: State, units: number, now: number): number => {
  if (units > state.limit) return Number.POSITIVE_INFINITY
  advance(state, now)
  let excess = state.used + units - state.limit
  if (excess <= 0) return now
  const { length } = state.slots
  for (let age = length - 1; age >= 0; age--) {
    excess -= state.slots[(state.serial - age + length) % length] ?? 0
    if (excess <= 0) return (state.head - age + length) * state.width
  }
  return Number.POSITIVE_INFINITY
}

/**
 * Takes `units`, whether or not they are there, and gives a mark for `giveBack`.
 *
 * @since 0.1.0
 * @category mutations
 */
export const charge = (state: State, units: number, now: number): number => {
  advance(state, now)
  const place = state.serial % state.slots.length
  state.slots[place] = (state.slots[place] ?? 0) + units
  state.used += units
  return state.serial
}

/**
 * Returns `units` of a charge, once, unless the charge has left the window.
 *
 * @since 0.1.0
 * @category mutations
 */
export const giveBack = (state: State, units: number, mark: number, now: number): void => {
  advance(state, now)
  const { length } = state.slots
  if (state.serial - mark >= length) return
  const place = mark % length
  state.slots[place] = (state.slots[place] ?? 0) - units
  state.used -= units
}

/**
 * What counts in the window.
 *
 * @since 0.1.0
 * @category getters
 */
export const used = (state: State, now: number): number => {
  advance(state, now)
  return state.used
}
