/**
 * Reads the graph of a compiled plan: what is allowed key by key, and does not work together.
 *
 * Compiling finds what is wrong with a value, a key or a name. This finds what only the whole shows: echelons that
 * no request reaches, models nobody uses, fallbacks that cannot do what was asked, limits and clocks that contradict
 * one another.
 *
 * @since 0.1.0
 */
import type * as Plan from "@echelon/core/Plan"
import * as CheckClocks from "./CheckClocks.ts"
import * as CheckContext from "./CheckContext.ts"
import * as CheckFallback from "./CheckFallback.ts"
import * as CheckGraph from "./CheckGraph.ts"
import * as CheckLimits from "./CheckLimits.ts"
import * as Problem from "./Problem.ts"
import type * as Resolve from "./Resolve.ts"

/**
 * Finds what does not work together in a plan, each finding at the key that causes it.
 *
 * **Details** Every finding on a compiled plan is a warning: such a plan can be used. A key that nobody has stated is
 * never at fault. Nothing depends on which credentials are set, except the worst case that `request_timeout` is
 * compared with. Problems of compiling are not repeated.
 *
 * @example
 * ```ts
 * import { Check, Compile, Problem, Resolve } from "@echelon/config"
 *
 * const resolved = Resolve.resolve({
 *   root: "configs",
 *   files: {
 *     "llms/provider/local.toml": 'kind = "ollama"\n[models.small]',
 *     "llms/groups/chat.toml": '[echelon1]\nmodels = ["local-small"]\ntimeout = 30\nttft_timeout = 60'
 *   },
 *   env: undefined,
 *   variables: {}
 * })
 * const { plan } = Compile.compile(resolved, { kinds: undefined, model: () => ({}) })
 * const found = plan === undefined ? [] : Check.analyze(plan, resolved).map(Problem.format)
 * console.assert(
 *   found[0] ===
 *     "configs/llms/groups/chat.toml:4:1 warning llms.groups.chat.echelon1.ttft_timeout: 60 s never run out: timeout = 30 s ends an attempt before"
 * )
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const analyze = (plan: Plan.Root, resolved: Pick<Resolve.Resolved, "tree">): ReadonlyArray<Problem.Problem> => {
  const context = CheckContext.make(plan, resolved)
  for (const { check } of [CheckGraph, CheckFallback, CheckLimits, CheckClocks]) check(context)
  return Problem.sort(context.problems)
}
