/**
 * Takes secrets out of text that leaves this package.
 *
 * Providers, proxies and sockets repeat what they were sent. Whatever they say is cleaned here before it becomes
 * the detail of an error.
 *
 * @since 0.1.0
 */

/**
 * Replaces every occurrence of the secrets it was made of.
 *
 * @since 0.1.0
 * @category models
 */
export type Redaction = (text: string) => string

/**
 * Makes a redaction. A secret is also found as it looks inside JSON, inside a URL and in Base64.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (secrets: Iterable<string>): Redaction => {
  const forms = new Set<string>()
  for (const secret of secrets) {
    if (secret === "") continue
    forms.add(secret)
    forms.add(JSON.stringify(secret).slice(1, -1))
    forms.add(encodeURIComponent(secret.toWellFormed()))
    // Below that length Base64 is a word like any other.
    if (secret.length >= 8) forms.add(Buffer.from(secret).toString("base64").replace(/=+$/, ""))
  }
  // The longest first, so that no part of one is left behind by another.
  const sorted = [...forms].sort((a, b) => b.length - a.length)
  return (text) => sorted.reduce((cleaned, form) => cleaned.replaceAll(form, "[redacted]"), text)
}

/**
 * Redacts a text, then cuts it. A secret that the cut would have halved is gone before.
 *
 * @since 0.1.0
 * @category combinators
 */
export const truncate = (redaction: Redaction, text: string, max: number): string => {
  const clean = redaction(text)
  return clean.length <= max ? clean : `${clean.slice(0, max).toWellFormed()}…`
}
