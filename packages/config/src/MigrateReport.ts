/**
 * What a migration did, for a reader and for programs.
 *
 * @since 0.1.0
 */
import type * as Migrate from "./Migrate.ts"
import type * as MigrateLedger from "./MigrateLedger.ts"
import * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"

const names: Readonly<Record<Migrate.Kind, string>> = {
  litellm: "LiteLLM",
  portkey: "Portkey",
  older: "an older configuration"
}

const sections: ReadonlyArray<readonly [MigrateLedger.Outcome, string]> = [
  ["carried", "carried over"],
  ["approximated", "approximated"],
  ["lost", "could not be carried over"]
]

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`

const places = (to: ReadonlyArray<string>): string => {
  if (to.length === 0) return ""
  const more = to.length > 2 ? ` and ${to.length - 2} more` : ""
  return ` -> ${to.slice(0, 2).join(", ")}${more}`
}

/** One entry as a line; what is known of it follows a colon. */
const line = ({ key, note, origin, to, todo }: MigrateLedger.Entry): string => {
  const about = [note, todo === undefined || todo === "nothing" ? undefined : `to do: ${todo}`]
  const said = about.filter((part) => part !== undefined).join("; ")
  return `  ${Origin.format(origin)} ${key}${places(to)}${said === "" ? "" : `: ${said}`}`
}

/**
 * The report in lines: every key of the input once, then the variables to set, and what would still be wrong.
 *
 * @since 0.1.0
 * @category getters
 */
export const lines = (migration: Migrate.Migration): ReadonlyArray<string> => {
  const { current, entries, files, kind, problems, variables } = migration
  const mend = problems.length === 0 ? [] : ["still to mend:", ...problems.map((problem) => `  ${shown(problem)}`)]
  if (current && problems.length === 0) return ["the configuration is current; nothing was changed"]
  if (current) return ["no key has to change", ...mend]
  return [
    `${names[kind]}: ${count(entries.length, "key")} into ${count(Object.keys(files).length, "file")}`,
    ...sections.flatMap(([outcome, title]) => {
      const found = entries.filter((entry) => entry.outcome === outcome)
      return found.length === 0 ? [] : [`${title} (${found.length}):`, ...found.map(line)]
    }),
    ...(variables.length === 0 ? [] : ["variables to set:"]),
    ...variables.map(
      ({ for: to, name, stated }) =>
        `  ${name}${places(to)}${stated ? ": the value was in the input and was not copied" : ""}`
    ),
    ...mend
  ]
}

/** The files have no folder yet. */
const shown = (problem: Problem.Problem): string => Problem.format(problem).replace(/^\//, "")

/**
 * The files as one text, for a terminal or a comparison: each below a comment with its path, in the order of
 * their paths.
 *
 * @since 0.1.0
 * @category getters
 */
export const listing = ({ files }: Migrate.Migration): string =>
  Object.entries(files)
    .map(([path, text]) => `# ---- ${path}\n${text}`)
    .join("\n")

const entryJson = ({ key, note, origin, to, todo }: MigrateLedger.Entry) => ({
  file: origin._tag === "File" ? origin.file : null,
  line: origin._tag === "File" ? origin.line : null,
  column: origin._tag === "File" ? origin.column : null,
  key,
  to,
  note: note ?? null,
  todo: todo ?? null
})

/**
 * The JSON form, with the files.
 *
 * @since 0.1.0
 * @category getters
 */
export const json = (migration: Migrate.Migration) => {
  const of = (outcome: MigrateLedger.Outcome) =>
    migration.entries.filter((entry) => entry.outcome === outcome).map(entryJson)
  return {
    kind: migration.kind,
    current: migration.current,
    // Files that need no change may hold secrets, and are where they were.
    files: migration.current ? {} : migration.files,
    carried: of("carried"),
    approximated: of("approximated"),
    lost: of("lost"),
    variables: migration.variables,
    problems: migration.problems.map(shown)
  }
}
