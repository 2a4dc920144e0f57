/**
 * Highest-random-weight hashing: which member a key belongs to, with the least movement when members come and go.
 *
 * Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (1998); weights after
 * Schindelhauer and Schomaker (2005). The hash is FNV-1a with a finalizer; it spreads keys, and protects nothing.
 *
 * @since 0.1.0
 */

/** FNV-1a over UTF-16 code units, mixed so that short names spread, as a number in (0, 1). */
const unit = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  hash ^= hash >>> 16
  return ((hash >>> 0) + 0.5) / 0x1_0000_0000
}

/**
 * The standing of a member for a key: the member with the highest is the key's.
 *
 * @since 0.1.0
 * @category getters
 */
export const standing = (key: string, member: string, weight: number): number =>
  -weight / Math.log(unit(`${key}\u0000${member}`))
