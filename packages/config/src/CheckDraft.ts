/**
 * What the graph of a configuration with errors shows all the same: findings that mending the errors cannot undo.
 *
 * Where a value was refused its default stands in the plan, and what could not be read is not in it. So a finding is
 * left out that a refused key has part in, and one that only a whole graph proves.
 *
 * @since 0.1.0
 */
import type * as Plan from "@echelon/core/Plan"
import * as Check from "./Check.ts"
import * as Problem from "./Problem.ts"
import type * as Resolve from "./Resolve.ts"

/** More of the graph can only add to these. */
const certain: ReadonlySet<Problem.Code> = new Set(["cycle", "shadowed", "duplicate"])

/** These need no more than the table in which they stand. */
const own =
  /\.(?:ttft_timeout|idle_timeout|stream_timeout|retry_delay|retry_max_delay|(?:max_)?recovery_time|min_delay)$/

/** Keys that say who asks whom. */
const structural =
  /^(?:models|task_groups|fallback_groups|strategy|rotation_strategy|priority|name|pool_name|group_name|max_attempts|echelon.*)$/

const lastOf = (key: string): string => /([\w-]+)"?$/.exec(key.replace(/(\[\d+\])+$/, ""))?.[1] ?? key

/**
 * Finds what does not work together in the plan that is left of a configuration with errors.
 *
 * @since 0.1.0
 * @category getters
 */
export const analyze = (
  draft: Plan.Root,
  resolved: Pick<Resolve.Resolved, "tree">,
  problems: ReadonlyArray<Problem.Problem>
): ReadonlyArray<Problem.Problem> => {
  const errors = problems.filter(Problem.isError)
  const refused = new Set(errors.map(({ key }) => lastOf(key)))
  const isWhole = errors.every(
    ({ code, key }) => (code === "type" || code === "unknown_key") && !structural.test(lastOf(key))
  )
  const isTold = new Set(problems.map(({ code, key }) => `${code} ${key}`))
  return Check.analyze(draft, resolved).filter(
    (found) =>
      !Problem.isError(found) &&
      !isTold.has(`${found.code} ${found.key}`) &&
      (isWhole || certain.has(found.code) || (found.code === "clocks" && own.test(found.key))) &&
      !refused.has(lastOf(found.key)) &&
      !(found.message.match(/[\w-]+/g) ?? []).some((word) => refused.has(word))
  )
}
