/**
 * The known names nearest to one that is not known, for error messages.
 *
 * Levenshtein distance by two rows (Wagner and Fischer, 1974). Meant for lists of names a person wrote, not for
 * thousands of them.
 *
 * @since 0.1.0
 */
const distance = (a: string, b: string): number => {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(substituted, (previous[j] as number) + 1, (row[j - 1] as number) + 1))
    }
    previous = row
  }
  return previous[b.length] as number
}

/**
 * Up to three known names within a third of the name's length, nearest first.
 *
 * @example
 * ```ts
 * import { Nearest } from "@echelon/core"
 *
 * console.assert(Nearest.find("fast_pol", ["fast_pool", "thinking_pool"])[0] === "fast_pool")
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const find = (name: string, known: Iterable<string>): ReadonlyArray<string> => {
  const wanted = name.slice(0, 200).toLowerCase()
  const most = Math.max(2, Math.ceil(wanted.length / 3))
  return [...known]
    .map((candidate) => ({ candidate, at: distance(wanted, candidate.slice(0, 200).toLowerCase()) }))
    .filter(({ at }) => at <= most)
    .sort((a, b) => a.at - b.at || a.candidate.localeCompare(b.candidate))
    .slice(0, 3)
    .map(({ candidate }) => candidate)
}

/**
 * A hint to append to a message: the nearest names, or all of them when none is near and they are few.
 *
 * @since 0.1.0
 * @category getters
 */
export const hint = (name: string, known: ReadonlyArray<string>): string => {
  const near = find(name, known)
  if (near.length > 0) return `did you mean ${near.map((n) => `"${n}"`).join(" or ")}?`
  if (known.length === 0) return "none is configured"
  const shown = known
    .slice(0, 10)
    .map((n) => `"${n}"`)
    .join(", ")
  return `known: ${shown}${known.length > 10 ? `, and ${known.length - 10} more` : ""}`
}
