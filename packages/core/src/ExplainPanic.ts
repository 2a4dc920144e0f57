/**
 * When a request in panic may try somebody although nobody can be asked.
 *
 * @since 0.1.0
 */
import * as Member from "./Member.ts"

/**
 * Whether the member takes no request, and only a breaker, or what the request needs, is to blame: `can` tells whether
 * the member could ever answer it. Who is merely busy, cooling or being tested comes back by itself.
 *
 * @since 0.1.0
 * @category guards
 */
export const isHopeless = (member: Member.Member, can: boolean, now: number): boolean => {
  if (!can || member.breaker?.outBecause() === "credential") return true
  if (Member.isEjected(member, now)) return member.breaker?.snapshot(now).state !== "half_open"
  return Member.availability(member, now) === "out"
}
