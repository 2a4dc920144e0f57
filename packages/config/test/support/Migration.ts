/** Migrations of texts, and what must hold of every one. */
import { readFileSync } from "node:fs"
import * as Migrate from "@echelon/config/Migrate"
import * as MigrateReport from "@echelon/config/MigrateReport"
import * as MigrateSource from "@echelon/config/MigrateSource"
import * as Origin from "@echelon/config/Origin"
import * as Problem from "@echelon/config/Problem"
import * as CatalogueLive from "@echelon/providers/CatalogueLive"
import { expect } from "@effect/vitest"
import * as Result from "effect/Result"
import { parse } from "smol-toml"

export const fixture = (name: string): string =>
  readFileSync(new URL(`../fixtures/migrate/${name}`, import.meta.url), "utf8")

export const attempt = (inputs: ReadonlyArray<MigrateSource.Input>, from?: Migrate.Kind) =>
  Migrate.migrate(inputs, { from, catalogue: CatalogueLive.catalogue })

export const run = (inputs: ReadonlyArray<MigrateSource.Input>, from?: Migrate.Kind): Migrate.Migration =>
  Result.getOrThrowWith(attempt(inputs, from), (problems) => new Error(problems.map(Problem.format).join("\n")))

export const one = (file: string, text: string, from?: Migrate.Kind): Migrate.Migration => run([{ file, text }], from)

/** Each key with its outcome. */
export const outcomes = (migration: Migrate.Migration): Readonly<Record<string, string>> =>
  Object.fromEntries(migration.entries.map(({ key, outcome }) => [key, outcome]))

const pathsOf = (value: unknown, path: Origin.Path = []): ReadonlyArray<string> => [
  Origin.formatPath(path),
  ...(typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)
    ? Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))
    : [])
]

/** What must hold whatever was migrated. */
export const expectSound = (migration: Migrate.Migration, inputs: ReadonlyArray<MigrateSource.Input>): void => {
  // Every key of the input stands in the report once, and nothing else does.
  const keys = inputs.flatMap((input) =>
    MigrateSource.keys(Result.getOrThrow(MigrateSource.parse(input)).value).map(
      (path) => `${input.file} ${Origin.formatPath(path)}`
    )
  )
  const told = migration.entries.map(({ key, origin }) => `${origin._tag === "File" ? origin.file : ""} ${key}`)
  expect([...told].sort()).toEqual([...keys].sort())
  // The result can be used.
  expect(migration.problems.map(Problem.format)).toEqual([])
  // Every place that the report names is there.
  const places = new Set(
    Object.entries(migration.files).flatMap(([file, text]) =>
      pathsOf(parse(text)).map((key) => `${file} ${key}`.trim())
    )
  )
  for (const { key, outcome, to } of migration.entries) {
    for (const place of to) {
      if (!place.startsWith("instance ")) expect([key, place, places.has(place)]).toEqual([key, place, true])
    }
    if (outcome === "lost") expect([key, to]).toEqual([key, []])
  }
  for (const { for: where } of migration.variables) for (const place of where) expect(places.has(place)).toBe(true)
}

/** All that a user gets to see. */
export const shown = (migration: Migrate.Migration): string =>
  [
    MigrateReport.listing(migration),
    ...MigrateReport.lines(migration),
    JSON.stringify(MigrateReport.json(migration))
  ].join("\n")
