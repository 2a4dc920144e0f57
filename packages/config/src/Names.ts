/**
 * Records by name, safe to index with a name that came from outside.
 *
 * @since 0.1.0
 */

/**
 * Makes a record without a prototype, so that `record["constructor"]` is `undefined`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const record = <A>(entries: Iterable<readonly [string, A]>): Readonly<Record<string, A>> => {
  const made: Record<string, A> = Object.create(null)
  for (const [name, value] of entries) made[name] = value
  return made
}
