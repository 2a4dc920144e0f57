/** What the scripts know of the repository: its root, its packages, its files. */
import { existsSync, readdirSync } from "node:fs"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"

/** The repository's root. */
export const root: string = fileURLToPath(new URL("../../", import.meta.url)).replace(/[/\\]$/, "")

/** The folders below `packages` that are packages. */
export const packages = (): ReadonlyArray<string> =>
  readdirSync(join(root, "packages"))
    .filter((name) => existsSync(join(root, "packages", name, "package.json")))
    .sort()

/** Files below a folder, as absolute paths in order; none when it is absent. */
export const files = (folder: string, suffix: string): ReadonlyArray<string> =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: "utf8" })
        .filter((path) => path.endsWith(suffix) && !path.split(/[/\\]/).includes("node_modules"))
        .sort()
        .map((path) => join(folder, path))
    : []

/** A path as people write it: from the root, with slashes. */
export const shown = (path: string): string => relative(root, path).replaceAll("\\", "/")

/** The number of the line that holds a character, from 1. */
export const lineOf = (text: string, index: number): number => text.slice(0, index).split("\n").length
