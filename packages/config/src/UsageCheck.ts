/**
 * `[usage]` against the rest of the tree: names that nobody has, and what contradicts itself.
 *
 * @since 0.1.0
 */
import * as Nearest from "@echelon/core/Nearest"
import * as Decode from "./Decode.ts"
import * as Names from "./Names.ts"
import * as Problem from "./Problem.ts"
import * as Tree from "./Tree.ts"
import type * as UsageSection from "./UsageSection.ts"

/**
 * Reports what no Schema can see: names that nobody has, and what contradicts itself.
 *
 * @since 0.1.0
 * @category running
 */
export const check = (
  file: UsageSection.UsageSection,
  tree: Tree.Table,
  known: { readonly wrapper: ReadonlyArray<string>; readonly pool: ReadonlyArray<string> },
  report: (problem: Problem.Problem) => void
): void => {
  if (file.enabled && file.store === "postgres" && file.url === undefined) {
    const at = ["usage", "url"]
    report(Problem.error("missing_key", Tree.originOf(tree, at), at, 'missing; the store "postgres" needs its address'))
  }
  const seen = new Set<string>()
  for (const [i, { name, period, scope }] of file.budgets.entries()) {
    const at = ["usage", "budgets", i]
    const origin = Tree.originOf(tree, [...at, "name"])
    if (scope !== "tenant" && name !== "*" && !known[scope].includes(name)) {
      const shown = Decode.quoted(tree, [...at, "name"], name)
      const message = `unknown ${scope} ${shown}; ${Nearest.hint(name, Names.shown(tree, known[scope]))}`
      report(Problem.error("reference", origin, [...at, "name"], message))
    }
    const id = JSON.stringify([scope, name, period])
    if (seen.has(id)) {
      const message = `there is a budget of this ${scope} for the ${period} already`
      report(Problem.error("duplicate", origin, [...at, "name"], message))
    }
    seen.add(id)
    if (file.enabled) continue
    const message = "no budget is kept while usage is not accounted for: usage.enabled is false"
    report(Problem.warning("unused", origin, at, message))
  }
}
