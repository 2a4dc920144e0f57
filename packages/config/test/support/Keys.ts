/** Every key of a kind of file, and the smallest valid file around a value at one of them. */

import * as FileSchemas from "@echelon/config/FileSchemas"

type Path = ReadonlyArray<string | number>

/** A key's place in a file, by one example of every name. */
export interface Place {
  readonly path: Path
  readonly key: FileSchemas.Key
}

const names: Readonly<Record<string, string>> = { echelonN: "echelon1", ALIAS: "a", NAME: "n" }

const below = (value: FileSchemas.Value, path: Path): ReadonlyArray<Place> => {
  if (value._tag === "List") return below(value.items, [...path, 0])
  if (value._tag !== "Table") return []
  const own = value.keys.flatMap((key) => [
    { path: [...path, key.name], key },
    ...below(key.value, [...path, key.name])
  ])
  const rest = value.rest === undefined ? [] : below(value.rest.value, [...path, names[value.rest.label] ?? "n"])
  return [...own, ...rest]
}

/** Every key of a kind, at any depth. */
export const places = (file: FileSchemas.FileSchema): ReadonlyArray<Place> =>
  below(FileSchemas.outline(file, { isFile: false }), [])

/** A value that is allowed. */
export const sample = (value: FileSchemas.Value): unknown => {
  switch (value._tag) {
    case "Scalar": {
      const { enum: choices, pattern, type } = value.json
      if (Array.isArray(choices)) return choices[0]
      if (type === "boolean") return true
      if (type !== "string") return 1
      return String(pattern ?? "").startsWith("^https") ? "https://host.test/v1" : "x"
    }
    case "List":
      return [sample(value.items)]
    case "Either":
      return value.options[0] === undefined ? undefined : sample(value.options[0])
    case "Table":
      return required(value)
  }
}

const required = (table: FileSchemas.Table): Record<string, unknown> =>
  Object.fromEntries(table.keys.filter((key) => key.isRequired).map((key) => [key.name, sample(key.value)]))

const place = (value: FileSchemas.Value, path: Path, placed: unknown): unknown => {
  const [segment, ...rest] = path
  if (segment === undefined) return placed
  if (value._tag === "List") return [place(value.items, rest, placed)]
  if (value._tag !== "Table") throw new Error(`there is no ${path.join(".")}`)
  const inner = value.keys.find((key) => key.name === segment)?.value ?? value.rest?.value
  if (inner === undefined) throw new Error(`there is no ${path.join(".")}`)
  return { ...required(value), [segment]: place(inner, rest, placed) }
}

/** The smallest valid file with a value at a path. */
export const fileWith = (file: FileSchemas.FileSchema, path: Path, value: unknown): unknown =>
  place(FileSchemas.outline(file, { isFile: false }), path, value)

/** The smallest valid file around a key that is left out. */
export const fileWithout = (file: FileSchemas.FileSchema, path: Path): unknown =>
  JSON.parse(JSON.stringify(fileWith(file, path, undefined)))
