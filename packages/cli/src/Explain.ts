/**
 * `echelon explain`: whom a request would ask, in which order, and why not the others; and which file set a value.
 *
 * @since 0.1.0
 */

import * as Capability from "@echelon/core/Capability"
import type * as CoreExplain from "@echelon/core/Explain"
import type * as LlmError from "@echelon/core/LlmError"
import type * as LlmRequest from "@echelon/core/LlmRequest"
import * as Nearest from "@echelon/core/Nearest"
import type * as Plan from "@echelon/core/Plan"
import type * as Router from "@echelon/core/Router"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as EmbeddedVariables from "./EmbeddedVariables.ts"
import * as Failure from "./Failure.ts"
import { Output } from "./Output.ts"

/**
 * What the command line says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The path of a value, instead of a target. */
  readonly key: string | undefined
  readonly config: string
  readonly env: string | undefined
  readonly metadata: LlmRequest.Metadata
  /** Capabilities, between commas. */
  readonly needs: string | undefined
  /** Tokens of input. */
  readonly tokens: number | undefined
  readonly values: boolean
  readonly mermaid: boolean
  readonly json: boolean
}

/** Loaded when it is used, so that `--help` need not wait for it. */
const modules = Effect.promise(async () => {
  const [Check, Compile, ConfigError, ConfigTree, Listing, Problem, Resolve, Tree, Variables, WorstCase] =
    await Promise.all([
      import("./Check.ts"),
      import("@echelon/config/Compile"),
      import("@echelon/config/ConfigError"),
      import("@echelon/config/ConfigTree"),
      import("@echelon/config/Listing"),
      import("@echelon/config/Problem"),
      import("@echelon/config/Resolve"),
      import("@echelon/config/Tree"),
      import("@echelon/config/Variables"),
      import("@echelon/config/WorstCase")
    ])
  const [Explain, LlmErrors, Mermaid, catalogue, kinds, Text, Json] = await Promise.all([
    import("@echelon/core/Explain"),
    import("@echelon/core/LlmError"),
    import("@echelon/core/Mermaid"),
    import("@echelon/providers/CatalogueLive"),
    import("@echelon/providers/ProviderTable"),
    import("./ExplainText.ts"),
    import("./ExplainJson.ts")
  ])
  const config = { Compile, ConfigError, ConfigTree, Listing, Problem, Resolve, Tree, Variables, WorstCase }
  const core = { Explain, LlmErrors, Mermaid }
  return { ...config, ...core, Check, Text, Json, catalogue: catalogue.catalogue, kinds: kinds.kinds }
})

const wrongUse = Effect.fnUntraced(function* (message: string) {
  const output = yield* Output
  yield* output.diagnose(`error: ${message}`)
  return yield* new Failure.Failure({ exitCode: 2 })
})

const read = Effect.fnUntraced(function* ({ config, env }: Options) {
  const { ConfigTree, Resolve, Variables } = yield* modules
  const folder = yield* ConfigTree.read(config)
  const own = yield* yield* Variables.Variables
  const variables = EmbeddedVariables.withStandIns(env, own)
  const input = { root: folder.root, files: folder.files, unreadable: folder.unreadable, env, variables }
  return { folder, input, resolved: Resolve.resolve(input) }
})

/** Which layer set a value, or every value of a table. It needs no plan, so it works on a tree that has errors. */
const explainKey = Effect.fnUntraced(function* (options: Options, key: string) {
  const output = yield* Output
  const { ConfigError, Json, Listing, Problem, Text, Tree } = yield* modules
  const { folder, input, resolved } = yield* read(options)
  if (Object.keys(folder.files).length === 0) return yield* Effect.fail(ConfigError.make(folder.problems))
  for (const problem of [...folder.problems, ...resolved.problems].filter(Problem.isError))
    yield* output.diagnose(Problem.render(problem))
  const parsed = Listing.parsePath(resolved.tree, key)
  if (Result.isFailure(parsed)) {
    if (options.json)
      yield* output.write(`${JSON.stringify({ error: { reason: "UnknownKey", message: parsed.failure } })}\n`)
    else yield* output.diagnose(`error: ${parsed.failure}`)
    return yield* new Failure.Failure({ exitCode: 1 })
  }
  const path = parsed.success
  const node = Tree.get(resolved.tree, path)
  if (node?._tag === "Table" || (node === undefined && Listing.keyOf(path)?.value._tag === "Table")) {
    const entries = Listing.at(resolved.tree, path)
    if (options.json) return yield* output.write(`${JSON.stringify({ values: entries.map(Json.value) })}\n`)
    return yield* output.write(`${Text.values(entries, []).join("\n")}\n`)
  }
  const layers = Listing.layers(input, path)
  if (!options.json) return yield* output.write(`${Text.layers(path, layers).join("\n")}\n`)
  const [first, ...overridden] = layers.map(Json.value)
  const known = Listing.keyOf(path)
  const meaning = { description: known?.description ?? null, unit: known?.unit ?? null }
  yield* output.write(`${JSON.stringify({ value: first ?? null, overrides: overridden, ...meaning })}\n`)
})

/** Parts of the tree that a request touches: a path, and of a provider the models that are named. */
const involved = Effect.fnUntraced(function* (found: CoreExplain.Explanation, resolved: Resolved, plan: Plan.Root) {
  const { Explain, Listing, Tree } = yield* modules
  const { tree } = resolved
  const pathOf = (section: string, name: string): ReadonlyArray<string> => {
    const table = Tree.get(tree, ["llms", section])
    for (const key of table?._tag === "Table" ? table.entries.keys() : []) {
      const stated = Tree.get(tree, ["llms", section, key, "name"])
      if ((stated?._tag === "Leaf" ? Tree.valueOf(stated) : key) === name) return ["llms", section, key]
    }
    return ["llms", section, name]
  }
  const instances = found.tiers.flatMap(({ members }) => members.map(({ instance }) => instance))
  const models = instances.flatMap((name) => Explain.identify(plan, name) ?? [])
  const groups = found.tiers
    .flatMap(({ echelons }) => echelons)
    .map((name) =>
      Object.values(plan.groups).find((group) => group.echelons.some((one) => `${one.group}.${one.name}` === name))
    )
  const names = (all: ReadonlyArray<string | undefined>) => [...new Set(all.filter((name) => name !== undefined))]
  const bases = [
    ...(found.by === "request" || found.by === "built_in" ? [] : [["routing"]]),
    ...(found.wrapper === undefined ? [] : [pathOf("wrappers", found.wrapper.name)]),
    ...(found.through.kind === "pool" ? [pathOf("polling_pools", found.through.name)] : []),
    ...names(groups.map((group) => group?.name)).map((name) => pathOf("groups", name)),
    ...names(models.map(({ provider }) => provider.name)).map((name) => pathOf("provider", name))
  ]
  const isNamed = (path: ReadonlyArray<string | number>): boolean =>
    path[1] !== "provider" ||
    path[3] !== "models" ||
    models.some(({ alias, provider }) => alias === path[4] && pathOf("provider", provider.name)[2] === path[2])
  return bases.map((base) => ({ base, entries: Listing.at(tree, base).filter(({ path }) => isNamed(path)) }))
})

type Resolved = Effect.Success<ReturnType<typeof read>>["resolved"]

/** A provider that no file describes is known by its kind, or not at all. */
const checkProvider = Effect.fnUntraced(function* (target: Router.Target, plan: Plan.Root) {
  const { LlmErrors, kinds } = yield* modules
  if (target.kind !== "client" || Object.hasOwn(plan.providers, target.provider)) return
  const { model, provider: name } = target
  if (!kinds.includes(name)) {
    const known = [...new Set([...Object.keys(plan.providers), ...kinds])]
    const detail = `no provider is called "${name}"; ${Nearest.hint(name, known)}`
    return yield* Effect.fail(
      LlmErrors.make({ reason: { _tag: "UnknownTarget", kind: "provider", name, known }, detail })
    )
  }
  if (model === undefined) {
    const detail = `no file describes the provider "${name}", so there is no default model; ask for one`
    const reason = { _tag: "UnknownTarget", kind: "model", name: "", known: [] } as const
    return yield* Effect.fail(LlmErrors.make({ reason, detail }))
  }
  const output = yield* Output
  yield* output.diagnose(`no file describes the provider "${name}": its kind's defaults hold, and its variable its key`)
})

/** Reasons that hold only while those before do their part: a request may come to such an instance after all. */
const inTurn: ReadonlySet<CoreExplain.Reason["_tag"]> = new Set(["Behind", "Never", "Duplicate"])

/** Instances that the request may ask, should others fail or be passed over. */
const ableIn = ({ tiers }: CoreExplain.Explanation): ReadonlySet<string> => {
  const members = tiers.flatMap((tier) => tier.members)
  const isAble = ({ verdict }: CoreExplain.Member): boolean =>
    verdict._tag === "Asked" || verdict.reasons.every(({ _tag }) => inTurn.has(_tag))
  return new Set(members.filter(isAble).map(({ instance }) => instance))
}

/** The plan with no other instances. */
const only = (plan: Plan.Root, instances: ReadonlySet<string>): Plan.Root => ({
  ...plan,
  instances: Object.fromEntries(Object.entries(plan.instances).filter(([name]) => instances.has(name)))
})

const green = "\u001b[32m"
const grey = "\u001b[90m"
const plain = "\u001b[39m"

const explainTarget = Effect.fnUntraced(function* (options: Options, needs: ReadonlyArray<Capability.Capability>) {
  const output = yield* Output
  const { Check, Compile, ConfigError, Explain, Json, Mermaid, Problem, Text, WorstCase, catalogue } = yield* modules
  const { folder, resolved } = yield* read(options)
  const isEmpty = Object.keys(folder.files).length === 0
  const { plan, problems } = isEmpty ? { plan: undefined, problems: [] } : Compile.compile(resolved, catalogue)
  if (plan === undefined || folder.problems.some(Problem.isError))
    return yield* Effect.fail(ConfigError.make(Problem.sort([...folder.problems, ...problems])))
  const { metadata, tokens } = options
  const isNamed = Object.values(metadata).some((value) => value !== undefined)
  if (options.mermaid && !options.json && !isNamed) return yield* output.write(Mermaid.ofPlan(plan))
  const found = yield* Effect.fromResult(Explain.of(plan, { metadata, needs, inputTokens: tokens }))
  const { target } = found
  yield* checkProvider(target, plan)
  const chart = options.mermaid ? yield* Effect.fromResult(Mermaid.ofTarget(plan, target)) : undefined
  if (chart !== undefined && !options.json) return yield* output.write(chart)
  const able = ableIn(found)
  const worst =
    target.kind === "client" || able.size === 0
      ? undefined
      : WorstCase.of(only(plan, able), target, tokens === undefined ? {} : { inputTokens: tokens })
  const bounds = worst && { worst, formula: WorstCase.formula(worst) }
  const parts = options.values ? yield* involved(found, resolved, plan) : []
  if (options.json) {
    const shown = {
      ...Json.of(found),
      worstCase: bounds === undefined ? null : Check.worstJson(bounds.worst, bounds.formula),
      ...(options.values ? { values: parts.flatMap(({ entries }) => entries.map(Json.value)) } : {}),
      ...(chart === undefined ? {} : { mermaid: chart })
    }
    return yield* output.write(`${JSON.stringify(shown)}\n`)
  }
  const paint = (line: string): string =>
    output.isTerminal
      ? line.replace(
          /^( {2})(asked|passed)/,
          (_, gap, word) => `${gap}${word === "asked" ? green : grey}${word}${plain}`
        )
      : line
  const lines = [
    ...Text.lines(found, plan, bounds ?? (target.kind !== "client" && able.size === 0 ? "none" : undefined), paint),
    ...parts.flatMap(({ base, entries }) => ["", `values of ${base.join(".")}`, ...Text.values(entries, base)])
  ]
  yield* output.write(`${lines.join("\n")}\n`)
})

/** The capabilities that were written, or the first text that is none. */
const needsOf = (text: string | undefined): Result.Result<ReadonlyArray<Capability.Capability>, string> => {
  const words = (text ?? "").split(",").map((word) => word.trim())
  const found: Array<Capability.Capability> = []
  for (const word of words.filter((one) => one !== "")) {
    const capability = Capability.all.find((one) => one === word)
    if (capability === undefined)
      return Result.fail(`--needs: there is no capability "${word}"; known: ${Capability.all.join(", ")}`)
    found.push(capability)
  }
  return Result.succeed(found)
}

/** What contradicts itself on the command line. */
const misuse = ({ json, key, mermaid, metadata, needs, tokens, values }: Options): string | undefined => {
  const { groupName, model, poolName, provider, wrapperName } = metadata
  const targets = Object.entries({ wrapper: wrapperName, pool: poolName, group: groupName, provider })
  const named = targets.flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`]))
  if (named.length > 1) return `${named.join(" and ")} exclude each other; give one of them`
  if (model !== undefined && named.length > 0 && provider === undefined)
    return `--model goes with --provider, not with ${named[0]}`
  const others = [...named, ...(model === undefined ? [] : ["--model"]), ...(values ? ["--values"] : [])]
  const more = [...(mermaid ? ["--mermaid"] : []), ...(needs === undefined ? [] : ["--needs"])]
  const all = [...others, ...more, ...(tokens === undefined ? [] : ["--tokens"])]
  if (key !== undefined && all.length > 0) return `a key is explained alone, without ${all.join(" and ")}`
  if (mermaid && values && !json) return "--mermaid prints a diagram alone, without --values; --json has both"
  return undefined
}

/**
 * Runs the command.
 *
 * @since 0.1.0
 * @category running
 */
export const run = (
  options: Options
): Effect.Effect<void, Failure.Failure, Output | FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const wrong = misuse(options)
    if (wrong !== undefined) return yield* wrongUse(wrong)
    const needs = needsOf(options.needs)
    if (Result.isFailure(needs)) return yield* wrongUse(needs.failure)
    return yield* options.key === undefined ? explainTarget(options, needs.success) : explainKey(options, options.key)
  }).pipe(
    Effect.catch(
      (error: Failure.Failure | LlmError.LlmError | { readonly _tag: "ConfigError"; readonly message: string }) =>
        error._tag === "Failure"
          ? Effect.fail(error)
          : Effect.flatMap(
              Effect.promise(() => import("./Ask.ts")),
              ({ tellFailure }) => tellFailure(error, options.json)
            )
    )
  )

const text = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.optional, Flag.map(Option.getOrUndefined))

const flag = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "explain",
  {
    key: Argument.String("key").pipe(
      Argument.withDescription("Tell which file set this value, for example llms.groups.fast_group.echelon1.timeout"),
      Argument.optional,
      Argument.map(Option.getOrUndefined)
    ),
    config: Flag.String("config").pipe(Flag.withDescription("The folder of TOML files"), Flag.withDefault("configs")),
    env: text("env", "environments/<name>.toml of the folder"),
    wrapper: text("wrapper", "A request to this wrapper"),
    pool: text("pool", "A request to this pool"),
    group: text("group", "A request to this task group, or to start at one of its echelons: fast_group.echelon2"),
    provider: text("provider", "A direct call to this provider"),
    model: text("model", "With --provider: the alias or the name of its model"),
    needs: text("needs", `What the request needs, between commas: ${Capability.all.join(", ")}`),
    tokens: Flag.Int("tokens").pipe(
      Flag.withDescription("Tokens of input that the request has"),
      Flag.filter(
        (n) => n >= 0,
        (n) => `--tokens must be 0 or above, got ${n}`
      ),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    ),
    values: flag("values", "Also print every value that is involved, each with where it comes from"),
    mermaid: flag("mermaid", "Print a Mermaid flowchart instead: of the target, or of everything without one"),
    json: flag("json", "Print one JSON object")
  },
  ({ group, model, pool, provider, wrapper, ...options }) =>
    run({ ...options, metadata: { wrapperName: wrapper, poolName: pool, groupName: group, provider, model } })
).pipe(
  Command.withDescription("Tell whom a request would ask, in which order, and why not the others; or who set a value"),
  Command.withExamples([
    { command: "echelon explain --pool fast_pool", description: "Tiers, instances, verdicts and the worst case" },
    { command: "echelon explain --group fast_group --needs tools --tokens 20000", description: "For such a request" },
    { command: "echelon explain llms.groups.fast_group.echelon1.timeout", description: "Which file set this value" },
    { command: "echelon explain --wrapper pool_wrapper --values", description: "Every value with its origin" },
    { command: "echelon explain --mermaid > plan.mmd", description: "The whole plan as a diagram" }
  ])
)
