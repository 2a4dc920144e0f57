/**
 * Text that looks like a credential, wherever somebody put it: as the name of a key, as a kind, as an address.
 *
 * @since 0.1.0
 */

/** How providers begin their keys, a signed token, and what is too long and mixed to be a word. */
const shapes = new RegExp(
  [
    String.raw`(?<![A-Za-z0-9])(?:sk|gsk|xai|nvapi|pplx|glsa|ghp|gho|xox[abprs])[-_][\w-]{6,}`,
    "(?<![A-Za-z0-9])(?:pk|rk|csk|fw|tgp|hf|r8)_(?=[A-Za-z]*[0-9])[A-Za-z0-9]{16,}",
    String.raw`AIza[\w-]{16,}`,
    "(?<![A-Z0-9])A[KS]IA[A-Z0-9]{12,}",
    String.raw`eyJ[\w-]{10,}(?:\.[\w-]+)*`,
    String.raw`(?<![A-Za-z0-9])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{32,}`
  ].join("|"),
  "g"
)

/**
 * The text without what looks like a credential in it.
 *
 * @since 0.1.0
 * @category getters
 */
export const hide = (text: string): string => text.replace(shapes, "***")
