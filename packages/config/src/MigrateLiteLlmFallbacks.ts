/**
 * What LiteLLM asks when a model fails: one list for any failure, one for a context that is too long, one for a
 * refusal. Here they are one chain of echelons, and what a failure allows decides which of them are tried.
 *
 * @since 0.1.0
 */
import type * as Models from "./MigrateLiteLlmModels.ts"
import * as Source from "./MigrateSource.ts"
import type * as MigrateTree from "./MigrateTree.ts"

/**
 * What all groups of a file share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context {
  readonly tree: MigrateTree.MigrateTree
  /** A value of `router_settings`, else of `litellm_settings`. */
  readonly setting: (key: string) => Source.Stated | undefined
  readonly groups: ReadonlyMap<string, ReadonlyArray<Models.Deployment>>
}

/**
 * Says of names that nothing is behind them.
 *
 * @since 0.1.0
 * @category getters
 */
export const left = (names: ReadonlyArray<string>): string => {
  // What a terminal would act on is escaped.
  const shown = names.map((name) =>
    JSON.stringify(name).replace(
      /[\u007f-\u009f\u2028\u2029]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`
    )
  )
  const verb = names.length === 1 ? "is not in model_list, or was lost" : "are not in model_list, or were lost"
  return `${shown.join(", ")} ${verb}`
}

interface Fallbacks {
  readonly from: Source.Stated
  readonly targets: ReadonlyArray<string>
}

/** A list of tables from a model's name to the names that follow it. */
const fallbackTable = (context: Context, key: string): ReadonlyMap<string, Fallbacks> => {
  const { groups, tree } = context
  const stated = context.setting(key)
  const tables = Source.isTable(stated?.value) ? [stated] : Source.below(stated)
  const found = new Map<string, Fallbacks>()
  for (const from of tables.flatMap((table) => (table === undefined ? [] : Source.below(table)))) {
    const items: ReadonlyArray<unknown> = Array.isArray(from.value) ? from.value : []
    const names = items.flatMap((item) =>
      typeof item === "string"
        ? [item]
        : Source.isTable(item) && typeof item["model"] === "string"
          ? [item["model"]]
          : []
    )
    const targets = names.filter((name) => groups.has(name))
    const name = String(from.key)
    const missing = [...(name === "*" ? [] : [name]), ...names].filter((one) => !groups.has(one))
    if (targets.length === 0 || (name !== "*" && !groups.has(name))) {
      const note = missing.length === 0 ? "it names no model" : left(missing)
      tree.ledger.mark(from, { outcome: "lost", note, todo: "add the models, or fallbacks by hand" })
      continue
    }
    found.set(name, { from, targets })
    const notes = [
      missing.length === 0 ? undefined : left(missing),
      items.some((item) => typeof item !== "string") ? "changes to the request are left out" : undefined
    ].filter((note) => note !== undefined)
    if (notes.length > 0) tree.ledger.mark(from, { outcome: "approximated", note: notes.join("; ") })
  }
  return found
}

/**
 * The groups that follow one, and where that is said.
 *
 * @since 0.1.0
 * @category models
 */
export interface Chain {
  readonly targets: ReadonlyArray<Fallbacks & { readonly approximated: string | undefined }>
  readonly policy: Source.Stated | undefined
}

/**
 * What follows a group: after any failure, after a context that is too long, after a refusal.
 *
 * @since 0.1.0
 * @category constructors
 */
export const chains = (context: Context): ((group: string) => Chain) => {
  const { groups, setting } = context
  const general = fallbackTable(context, "fallbacks")
  const window = fallbackTable(context, "context_window_fallbacks")
  const policy = fallbackTable(context, "content_policy_fallbacks")
  const stated = setting("default_fallbacks")
  const items: ReadonlyArray<unknown> = Array.isArray(stated?.value) ? stated.value : []
  const names = items.filter((item): item is string => typeof item === "string" && groups.has(item))
  const missing = items.filter((item): item is string => typeof item === "string" && !groups.has(item))
  if (stated !== undefined && missing.length > 0) {
    const outcome = names.length > 0 ? "approximated" : "lost"
    const todo = "add the models, or fallbacks by hand"
    context.tree.ledger.mark(stated, { outcome, note: left(missing), todo })
  }
  const rest = stated !== undefined && names.length > 0 ? { from: stated, targets: names } : undefined
  return (group) => {
    const of = (table: ReadonlyMap<string, Fallbacks>) => table.get(group) ?? table.get("*")
    const only = (one: Fallbacks | undefined, when: string) =>
      one === undefined
        ? []
        : [{ ...one, approximated: `tried after every failure that another model may mend, not only ${when}` }]
    const always = of(general) ?? rest
    return {
      targets: [
        ...(always === undefined ? [] : [{ ...always, approximated: undefined }]),
        ...only(of(window), "when a context is too long"),
        ...only(of(policy), "after a refusal")
      ],
      policy: of(policy)?.from
    }
  }
}
