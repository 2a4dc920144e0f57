/** Reads the public surface of a package: the exports that its index reaches, from declarations and sources. */
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import * as Workspace from "./Workspace.ts"

/** An export, with the declaration that documents it. */
export interface Export {
  /** `Module.name`. */
  readonly name: string
  readonly kind: string
  /** The module's path without an extension, below `src` or `dist`. */
  readonly module: string
  /** The name inside the module. */
  readonly local: string
}

const declaration =
  /^(export )?(?:declare )?(?:abstract )?(const|let|var|function|class|interface|type|enum|namespace) ([\w$]+)/gm
const reExport = /^export (?:type )?\* (?:as ([\w$]+) )?from ["'](.+?)["']/gm
const list = /^export (?:type )?\{([^}]*)\}(?: from ["'](.+?)["'])?/gm

const stem = (path: string): string => path.replace(/\.(d\.ts|ts|js)$/, "")

/** The exports that a declaration file reaches, and the modules they stand in. */
export const read = (
  name: string
): { readonly exports: ReadonlyArray<Export>; readonly modules: ReadonlySet<string> } => {
  const dist = join(Workspace.root, "packages", name, "dist")
  const exports = new Map<string, Export>()
  const modules = new Set<string>()

  const add = (prefix: string, module: string, local: string, exported: string, kind: string) => {
    const found = {
      name: `${prefix}${exported}`,
      kind: kind === "let" || kind === "var" ? "const" : kind,
      module,
      local
    }
    exports.set(`${found.name} ${found.kind}`, found)
  }

  const visit = (module: string, prefix: string, only?: ReadonlyMap<string, string>): void => {
    const path = join(dist, `${module}.d.ts`)
    if (!existsSync(path)) throw new Error(`${Workspace.shown(path)} is missing: run \`pnpm build\` first`)
    const text = readFileSync(path, "utf8")
    modules.add(module)
    const at = (specifier: string) => stem(resolve(dirname(path), specifier)).slice(resolve(dist).length + 1)
    const local = new Map<string, Set<string>>()
    for (const [, exported, kind = "", id = ""] of text.matchAll(declaration)) {
      local.set(id, (local.get(id) ?? new Set()).add(kind))
      const alias = only === undefined ? id : only.get(id)
      if (exported !== undefined && alias !== undefined) add(prefix, module, id, alias, kind)
    }
    for (const [, as, specifier = ""] of text.matchAll(reExport)) {
      if (!specifier.startsWith(".") || (only !== undefined && (as === undefined || !only.has(as)))) continue
      visit(at(specifier), as === undefined ? prefix : `${prefix}${as}.`)
    }
    for (const [, names = "", specifier] of text.matchAll(list)) {
      const pairs = names
        .split(",")
        .map((entry) => entry.trim().replace(/^type /, ""))
        .filter((entry) => entry !== "")
        .map((entry) => entry.split(/ as /) as [string, string?])
      if (specifier?.startsWith(".")) {
        visit(at(specifier), prefix, new Map(pairs.map(([id, as = id]) => [id, as])))
      } else if (specifier === undefined) {
        for (const [id, as = id] of pairs) for (const kind of local.get(id) ?? []) add(prefix, module, id, as, kind)
      }
    }
  }

  visit("index", "")
  return { exports: [...exports.values()], modules }
}

/** The comment that ends right before `index`, when there is one. */
const commentBefore = (text: string, index: number): string | undefined => {
  const before = text.slice(0, index).trimEnd()
  if (!before.endsWith("*/")) return undefined
  const start = before.lastIndexOf("/**")
  return start < 0 ? undefined : before.slice(start)
}

/** What a comment lacks; empty when it says something and since when. */
const lacks = (comment: string | undefined): string | undefined => {
  if (comment === undefined) return "has no doc comment"
  const prose = comment
    .slice(3, -2)
    .split("\n")
    .map((line) => line.replace(/^\s*\*\s?/, "").trim())
  if (!prose.some((line) => /^@since \d/.test(line))) return "has no @since"
  return prose.find((line) => line !== "")?.startsWith("@") === true ? "has tags but no sentence" : undefined
}

/** The exports and modules that are not documented, as `file:line: problem`. */
export const undocumented = (name: string): ReadonlyArray<string> => {
  const { exports, modules } = read(name)
  const problems: Array<string> = []
  const source = (module: string) => join(Workspace.root, "packages", name, "src", `${module}.ts`)
  for (const module of modules) {
    const path = source(module)
    if (!existsSync(path)) {
      problems.push(`${Workspace.shown(path)}: is gone, but its declarations are there: remove dist and build anew`)
      continue
    }
    const text = readFileSync(path, "utf8")
    if (/^export \{\}\s*$/.test(text)) continue
    const head = /^(?:#!.*\n)?\/\*\*[\s\S]*?\*\//.exec(text)?.[0]
    const problem = lacks(head === undefined ? undefined : head.slice(head.indexOf("/**")))
    if (problem !== undefined) problems.push(`${Workspace.shown(path)}:1: the module ${problem}`)
    const declared = [...text.matchAll(declaration)]
    for (const item of exports) {
      if (item.module !== module) continue
      const named = declared.filter(([, , , id]) => id === item.local)
      const found = named.find(([, , kind]) => kind === item.kind) ?? named[0]
      const why = found === undefined ? "is not declared here" : lacks(commentBefore(text, found.index))
      if (why !== undefined)
        problems.push(
          `${Workspace.shown(path)}:${Workspace.lineOf(text, found?.index ?? 0)}: ${item.name} (${item.kind}) ${why}`
        )
    }
  }
  return problems
}
