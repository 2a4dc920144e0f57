/**
 * How quantities and lists are written in findings and tables.
 *
 * @since 0.1.0
 */

/** At most four digits after the point, without trailing zeros. */
const short = (value: number): string => String(Math.round(value * 10_000) / 10_000)

/**
 * Writes milliseconds as seconds: `30 s`, `0.5 s`.
 *
 * @since 0.1.0
 * @category getters
 */
export const seconds = (millis: number): string => `${short(millis / 1_000)} s`

/**
 * Writes a number without a tail of digits.
 *
 * @since 0.1.0
 * @category getters
 */
export const number = (value: number): string => short(value)

/**
 * Writes an amount of money: two digits after the point, or as many as it takes to show two that count.
 *
 * @since 0.1.0
 * @category getters
 */
export const usd = (value: number): string =>
  value === 0 || value >= 1
    ? `$${value.toFixed(2)}`
    : `$${value.toFixed(Math.min(20, 1 - Math.floor(Math.log10(value))))}`

/**
 * Writes names one after another, the first `most` of them.
 *
 * @since 0.1.0
 * @category getters
 */
export const list = (names: ReadonlyArray<string>, most = 6): string => {
  const shown = names.slice(0, most).join(", ")
  return names.length > most ? `${shown} and ${names.length - most} more` : shown
}

/**
 * Writes a count with what is counted: `1 attempt`, `3 attempts`.
 *
 * @since 0.1.0
 * @category getters
 */
export const count = (value: number, what: string): string => `${short(value)} ${what}${value === 1 ? "" : "s"}`
