/**
 * Older configurations of this shape, LiteLLM's `config.yaml` and Portkey's config JSON as a tree of ours, with a
 * report in which every key of the input appears once: carried over, approximated, or lost with the reason.
 *
 * Secrets are not copied: a variable stands for each, and the report says which to set.
 *
 * @since 0.1.0
 */
import type * as Catalogue from "@echelon/core/Catalogue"
import * as Result from "effect/Result"
import * as Check from "./Check.ts"
import * as Compile from "./Compile.ts"
import * as MigrateInstances from "./MigrateInstances.ts"
import * as MigrateKinds from "./MigrateKinds.ts"
import * as MigrateLedger from "./MigrateLedger.ts"
import * as LiteLlm from "./MigrateLiteLlm.ts"
import * as Older from "./MigrateOlder.ts"
import * as Portkey from "./MigratePortkey.ts"
import * as Source from "./MigrateSource.ts"
import * as MigrateTree from "./MigrateTree.ts"
import * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"
import * as Resolve from "./Resolve.ts"

/**
 * What can be migrated.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = MigrateKinds.Kind

/**
 * What a migration gives. `files` are those to write, by their path in the folder. A current input needs nothing:
 * its files are as they were, with the secrets that may stand in them. `problems` are the errors that `check` would still tell, with every variable set.
 *
 * @since 0.1.0
 * @category models
 */
export interface Migration {
  readonly kind: Kind
  readonly current: boolean
  readonly files: Readonly<Record<string, string>>
  readonly entries: ReadonlyArray<MigrateLedger.Entry>
  readonly variables: ReadonlyArray<MigrateTree.Variable>
  readonly problems: ReadonlyArray<Problem.Problem>
}

/** What a variable may hold: a name, an address, a number or a flag. */
const samples = ["set", "https://example.invalid/v1", "1", "true"]

/** Read where a file states no credential, beside the variables of the kinds. */
const credentials = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS"]

const references = /(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)/g

/** What is wrong with files that have been written, when every variable that they name holds what fits there. */
const problemsOf = (
  files: Readonly<Record<string, string>>,
  catalogue: Catalogue.Catalogue,
  chosen: ReadonlyMap<string, number> = new Map()
): ReadonlyArray<Problem.Problem> => {
  const names = Object.values(files).flatMap((text) => [...text.matchAll(references)].map((match) => match[1] ?? ""))
  const usual = Object.values(catalogue.kinds ?? {}).flatMap(({ keyVariable }) => keyVariable ?? [])
  const all = [...usual, ...credentials, ...names]
  const variables = Object.fromEntries(all.map((name) => [name, samples[chosen.get(name) ?? 0]]))
  const resolved = Resolve.resolve({ root: "", files, env: undefined, variables })
  const compiled = Compile.compile(resolved, catalogue)
  const found = compiled.plan === undefined ? [] : Check.analyze(compiled.plan, resolved)
  const problems = [...compiled.problems, ...found].filter(Problem.isError)
  // A value of the wrong kind is quoted as it was written, with its variable.
  const wrong = problems.flatMap(({ message }) => [...message.matchAll(references)].map((match) => match[1] ?? ""))
  const next = new Map(chosen)
  for (const name of new Set(wrong)) next.set(name, Math.min((chosen.get(name) ?? 0) + 1, samples.length))
  const again = [...next].some(([name, n]) => n < samples.length && n !== chosen.get(name))
  return again ? problemsOf(files, catalogue, next) : problems
}

/**
 * Migrates files of one kind. Several LiteLLM or Portkey files come into one tree; older files of a folder are
 * migrated as that folder.
 *
 * **Errors** Every file that is broken or too large, each with its line and column; files of different kinds; files of
 * which nothing is known, with what was expected. In a folder one that is known is enough.
 *
 * @example
 * ```ts
 * import { Migrate } from "@echelon/config"
 * import * as Catalogue from "@echelon/core/Catalogue"
 * import * as Result from "effect/Result"
 *
 * const text = "model_list:\n  - model_name: fast\n    litellm_params: { model: openai/gpt-4o }\n"
 * const catalogue = Catalogue.Catalogue.defaultValue()
 * const { files, variables } = Result.getOrThrow(
 *   Migrate.migrate([{ file: "config.yaml", text }], { from: undefined, catalogue })
 * )
 * console.assert(files["llms/groups/fast_group.toml"]?.includes('models = ["openai-gpt-4o"]'))
 * console.assert(variables[0]?.name === "OPENAI_API_KEY")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const migrate = (
  inputs: ReadonlyArray<Source.Input>,
  options: { readonly from: Kind | undefined; readonly catalogue: Catalogue.Catalogue }
): Result.Result<Migration, ReadonlyArray<Problem.Problem>> => {
  const expected = MigrateKinds.expected(options.from)
  const parsed = inputs.map(Source.parse)
  const failures = parsed.flatMap((one) => {
    if (Result.isSuccess(one)) return []
    const { failure } = one
    return [failure.code === "type" ? { ...failure, message: `${failure.message}; ${expected}` } : failure]
  })
  const sources = parsed.flatMap((one) => (Result.isSuccess(one) ? [one.success] : []))
  if (failures.length > 0) return Result.fail(Problem.sort(failures))
  const strange = MigrateKinds.strange(sources, options.from)
  if (strange.length > 0) return Result.fail(Problem.sort(strange))
  const found = sources.map((source) => options.from ?? MigrateKinds.detect(source))
  const kind = found[0] ?? "older"
  const odd = sources[found.findIndex((one) => one !== kind)]
  if (odd !== undefined) {
    const message = `looks like ${MigrateKinds.detect(odd)}, and ${sources[0]?.file} like ${kind}; migrate one kind at a time, or say --from`
    return Result.fail([Problem.error("kind", Origin.file(odd.file), "file", message)])
  }

  const nearest = {
    litellm: MigrateLedger.among(LiteLlm.known),
    portkey: MigrateLedger.among(Portkey.known),
    older: Older.nearest
  }
  const ledger = MigrateLedger.make(sources, nearest[kind])
  const tree = MigrateTree.make(ledger)
  const instances = MigrateInstances.make(tree)
  let changed = true
  if (kind === "older") changed = Older.migrate(sources, tree, instances)
  else for (const source of sources) (kind === "litellm" ? LiteLlm : Portkey).migrate(source, tree, instances)
  for (const source of sources) {
    for (const path of Source.keys(source.value)) {
      if (Source.get(source, path)?.value !== null) continue
      ledger.rest({ source, path }, { outcome: "carried", note: "nothing is stated" })
    }
  }
  const files = tree.files()
  return Result.succeed({
    kind,
    current: !changed,
    files,
    entries: ledger.entries(),
    variables: tree.variables(),
    problems: problemsOf(files, options.catalogue)
  })
}
