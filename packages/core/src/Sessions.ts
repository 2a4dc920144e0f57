/**
 * Which instance a session was last served by, for prompt caches: bounded in number and in time.
 *
 * @since 0.1.0
 */

/**
 * Remembered sessions. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sessions {
  readonly get: (session: string, now: number) => string | undefined
  readonly set: (session: string, instance: string, now: number) => void
  readonly size: () => number
}

/**
 * Makes an empty memory. The session that was not used for longest makes room.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: { readonly ttl: number; readonly capacity?: number | undefined }): Sessions => {
  const { capacity = 10_000, ttl } = options
  const held = new Map<string, { readonly instance: string; readonly until: number }>()
  return {
    get: (session, now) => {
      const found = held.get(session)
      if (found === undefined) return undefined
      if (found.until > now) return found.instance
      held.delete(session)
      return undefined
    },
    set: (session, instance, now) => {
      // Insertion order is the order of use: the first is the oldest.
      held.delete(session)
      held.set(session, { instance, until: now + ttl })
      if (held.size > capacity) for (const [oldest] of held) return void held.delete(oldest)
    },
    size: () => held.size
  }
}
