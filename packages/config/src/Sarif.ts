/**
 * Problems as SARIF 2.1.0, the format in which code scanning services take the findings of a checker.
 *
 * Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0, 2020.
 *
 * @since 0.1.0
 */
import * as Origin from "./Origin.ts"
import type * as Problem from "./Problem.ts"

interface Help {
  /** What it is, in a few words. */
  readonly short: string
  /** What to do about it. */
  readonly help: string
}

/**
 * What each kind of problem means and what to do about it.
 *
 * @since 0.1.0
 * @category models
 */
export const rules: Readonly<Record<Problem.Code, Help>> = {
  folder: { short: "No folder of configuration", help: "Name the folder that holds global.toml and llms/." },
  unreadable: { short: "A file cannot be read", help: "Give the process the right to read the file." },
  encoding: { short: "A file is not UTF-8", help: "Save the file as UTF-8." },
  size: { short: "A file is too large", help: "A file may have 1 MiB; split it, or move what is no configuration." },
  loop: { short: "A symbolic link leads back", help: "Remove the link; every file must be reached by one way." },
  syntax: { short: "Broken TOML", help: "Mend the line; the message shows what was expected there." },
  inheritance: {
    short: "A parent is missing or inherits its child",
    help: "inherits_from names files relative to the one that says it, without a cycle."
  },
  environment: { short: "Unknown environment", help: "Name a file of environments/, without .toml." },
  override: {
    short: "A variable that overrides nothing",
    help: "ECHELON__A__B__C sets the key a.b.c; the part it names must exist."
  },
  variable: {
    short: "A variable that is not set, or malformed",
    help: "Set it, or write a default behind :- in the braces."
  },
  credential: {
    short: "A credential is not set",
    help: "The instances of this credential are disabled. Set the variable to use them."
  },
  unused: { short: "Nothing uses it", help: "Remove it, or name it where it was meant to be used." },
  type: { short: "A value of the wrong kind", help: "The message says what is allowed." },
  unknown_key: { short: "Unknown key", help: "Correct the spelling; the message names the nearest known keys." },
  missing_key: { short: "A required key is missing", help: "State the key." },
  contradiction: { short: "Two keys exclude each other", help: "State one of the two." },
  kind: { short: "Unknown kind of provider", help: 'Use a known kind, or "openai-compatible" with a base_url.' },
  reference: { short: "Unknown name", help: "Correct the name; the message names the nearest known ones." },
  duplicate: { short: "Said twice", help: "Only one of the two counts; remove or rename the other." },
  no_instance: {
    short: "No instance is left to ask",
    help: "Set the credential of at least one instance, or use --env embedded."
  },
  unreachable: {
    short: "An echelon that is never, or hardly ever, reached",
    help: "Name it in fallback_groups, put its group into a pool, raise max_attempts, or remove it."
  },
  cycle: {
    short: "Groups that fall back on one another",
    help: "Shorten one of the lists, unless each is meant as it stands: no list is followed into another."
  },
  shadowed: { short: "A name that another one hides", help: "Rename one of the two, or remove the one never used." },
  fallback: {
    short: "An order of fallbacks that cannot be meant",
    help: "fallback_groups lists each echelon once, in the order in which they are tried after the first."
  },
  context_window: {
    short: "Fallback to a smaller context window",
    help: "Long requests have no fallback there. Put a model with a window as large into that echelon."
  },
  capability: {
    short: "Fallback to models that cannot do what was asked",
    help: "Requests that need the capability have no fallback there. Put a model that has it into that echelon."
  },
  limits: {
    short: "Limits that contradict one another",
    help: "The stricter limit stands. Bring the two together, or remove the one without effect."
  },
  clocks: {
    short: "Clocks or waits that contradict one another",
    help: "The shorter one stands. Bring the two together, or remove the one without effect."
  },
  attempts: {
    short: "A number of attempts that there cannot be",
    help: "The number has no effect as stated. Lower it, or add what it counts."
  }
}

/** An address of a file, as a log may hold it: relative where the file is below the working directory. */
const uriOf = (file: string, cwd: string | undefined): string => {
  const full = file.replaceAll("\\", "/")
  const above = cwd === undefined ? undefined : `${cwd.replaceAll("\\", "/").replace(/\/+$/, "")}/`
  const path = (above !== undefined && full.startsWith(above) ? full.slice(above.length) : full).replace(/^(\.\/)+/, "")
  const encoded = path.split("/").map(encodeURIComponent).join("/")
  if (path.startsWith("/")) return `file://${encoded}`
  return /^[A-Za-z]:\//.test(path) ? `file:///${encoded.replace("%3A", ":")}` : encoded
}

const resultOf = (problem: Problem.Problem, options: Options, ids: ReadonlyArray<string>) => {
  const { origin } = problem
  // A variable stands in no file, and a folder is none: a file of the folder is shown instead.
  const isFile = origin._tag === "File" && origin.file.endsWith(".toml")
  const uri = uriOf(isFile ? origin.file : (options.file ?? `${options.root}/global.toml`), options.cwd)
  const text =
    origin._tag === "File"
      ? `${problem.key}: ${problem.message}`
      : `${problem.key} (from ${Origin.format(origin).replace(/:1:1$/, "")}): ${problem.message}`
  return {
    ruleId: problem.code,
    ruleIndex: ids.indexOf(problem.code),
    level: problem.severity,
    message: { text },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri },
          region: isFile ? { startLine: origin.line, startColumn: origin.column } : { startLine: 1, startColumn: 1 }
        },
        logicalLocations: [{ fullyQualifiedName: problem.key, kind: "member" }]
      }
    ],
    // The line may move: what it is about stays.
    partialFingerprints: { "echelonProblem/v1": [problem.code, uri, problem.key].join(" ") }
  }
}

/**
 * Of what a log is made.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The folder that was checked. */
  readonly root: string
  readonly version: string
  /**
   * Where problems are shown that stand in no file, those of variables for example.
   * @default global.toml of the folder
   */
  readonly file?: string | undefined
  /** The working directory: addresses of files below it are relative. */
  readonly cwd?: string | undefined
}

/** Two problems may be alike in all that a fingerprint tells. */
const numbered = <A extends { readonly partialFingerprints: Readonly<Record<string, string>> }>(
  results: ReadonlyArray<A>
): ReadonlyArray<A> => {
  const seen = new Map<string, number>()
  return results.map((result) => {
    const partialFingerprints = Object.fromEntries(
      Object.entries(result.partialFingerprints).map(([name, text]) => {
        const count = (seen.get(text) ?? 0) + 1
        seen.set(text, count)
        return [name, `${text}:${count}`]
      })
    )
    return { ...result, partialFingerprints }
  })
}

/**
 * Makes a log of one run.
 *
 * @example
 * ```ts
 * import { Origin, Problem, Sarif } from "@echelon/config"
 *
 * const problem = Problem.warning("clocks", Origin.file("configs/llms/groups/a.toml", 3), ["ttft_timeout"], "too long")
 * const log = Sarif.make([problem], { root: "configs", version: "0.1.0" })
 * console.assert(log.runs[0]?.results[0]?.ruleId === "clocks")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (problems: ReadonlyArray<Problem.Problem>, options: Options) => {
  const ids = Object.keys(rules)
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "echelon check",
            version: options.version,
            rules: Object.entries(rules).map(([id, { help, short }]) => ({
              id,
              name: id.replace(/(^|_)([a-z])/g, (_, _start, letter: string) => letter.toUpperCase()),
              shortDescription: { text: short },
              fullDescription: { text: `${short}.` },
              help: { text: help }
            }))
          }
        },
        columnKind: "utf16CodeUnits",
        results: numbered(problems.map((problem) => resultOf(problem, options, ids)))
      }
    ]
  }
}
