/**
 * The reference of every key, as Markdown: type, unit, default, meaning and since when, from the Schemas alone.
 *
 * @since 0.1.0
 */
import * as FileSchemas from "./FileSchemas.ts"
import type * as JsonSchema from "./JsonSchema.ts"

/** A table of a file with the path by which a file states it, `[models.ALIAS]` for example. */
interface Section {
  readonly path: ReadonlyArray<string>
  readonly isList: boolean
  readonly description: string
  readonly table: FileSchemas.Table
}

/** The table that a key holds, or a list of such tables. */
const tableOf = (value: FileSchemas.Value): FileSchemas.Table | undefined =>
  value._tag === "Table" ? value : value._tag === "List" && value.items._tag === "Table" ? value.items : undefined

const isSection = (key: FileSchemas.Key): boolean => tableOf(key.value) !== undefined

/** The tables below a table, those nested in them after each. */
const sectionsOf = (table: FileSchemas.Table, path: ReadonlyArray<string>): ReadonlyArray<Section> => {
  const named = table.rest === undefined ? undefined : tableOf(table.rest.value)
  const label = table.rest?.label ?? ""
  const ofNames: ReadonlyArray<Section> =
    named === undefined
      ? []
      : [
          { path: [...path, label], isList: false, description: "", table: named },
          ...sectionsOf(named, [...path, label])
        ]
  return [
    ...ofNames,
    ...table.keys.flatMap((key): ReadonlyArray<Section> => {
      const inner = tableOf(key.value)
      if (inner === undefined) return []
      const at = [...path, key.name]
      const isList = key.value._tag === "List"
      const { description } = key
      // A table that holds nothing but named tables says it all with those.
      const isBare = inner.keys.length === 0 && inner.rest !== undefined && tableOf(inner.rest.value) !== undefined
      const nested = sectionsOf(inner, at)
      return isBare
        ? nested.map((section, i) => (i === 0 ? { ...section, description } : section))
        : [{ path: at, isList, description, table: inner }, ...nested]
    })
  ]
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ")

const sentence = (text: string): string => `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}.`

const defaultOf = (key: FileSchemas.Key): string => {
  if (key.isRequired) return "required"
  const { whenAbsent } = key
  return whenAbsent === undefined || typeof whenAbsent === "object" ? "–" : `\`${JSON.stringify(whenAbsent)}\``
}

const columns = "| key | type | unit | default | meaning | since |\n| --- | --- | --- | --- | --- | --- |"

/** What the reference depends on beside the Schemas. */
type Options = JsonSchema.Options

const row = (id: string, key: FileSchemas.Key, options: Options): string => {
  const kinds = id === "provider.kind" ? options.kinds : undefined
  const type = kinds === undefined ? key.value.kind : kinds.map((kind) => JSON.stringify(kind)).join(", ")
  const cells = [cell(type), key.unit ?? "", defaultOf(key), cell(key.description), key.since]
  return `| <a id="${id}"></a>\`${key.name}\` | ${cells.join(" | ")} |`
}

const rowsOf = (id: string, table: FileSchemas.Table, options: Options): string => {
  const own = table.keys.filter((key) => !isSection(key)).map((key) => row(`${id}.${key.name}`, key, options))
  const named =
    table.rest === undefined || tableOf(table.rest.value) !== undefined
      ? []
      : [row(`${id}.${table.rest.label}`, { ...table.rest, name: table.rest.label, isRequired: false }, options)]
  const rows = [...own, ...named]
  if (rows.length > 0) return `\n${columns}\n${rows.join("\n")}\n`
  return table.keys.length > 0 ? "" : "\nThis table has no keys yet.\n"
}

const sectionText = (kind: FileSchemas.Kind, section: Section, options: Options): string => {
  const path = section.path.join(".")
  const id = `${kind}.${path}`
  const heading = section.isList ? `[[${path}]]` : `[${path}]`
  const description = section.description === "" ? "" : `\n${sentence(section.description)}\n`
  return `\n<a id="${id}"></a>\n\n### \`${heading}\`\n${description}${rowsOf(id, section.table, options)}`
}

const codes = (text: string): string =>
  text
    .split(", ")
    .map((part) => `\`${part}\``)
    .join(", ")

const fileText = (file: FileSchemas.FileSchema, options: Options): string => {
  const table = FileSchemas.outline(file, { isFile: true })
  const sections = sectionsOf(table, []).map((section) => sectionText(file.kind, section, options))
  const below =
    file.section === undefined
      ? FileSchemas.all.flatMap((other) =>
          other.section === undefined
            ? []
            : [`- \`[llms.${other.section}.NAME]\`: the keys of a [${other.title.toLowerCase()}](#${other.kind})`]
        )
      : []
  const llms =
    below.length === 0
      ? ""
      : `\nBelow \`llms\`, with nothing required and without \`inherits_from\`:\n\n${below.join("\n")}\n`
  return `\n<a id="${file.kind}"></a>\n\n## ${file.title}: ${codes(file.place)}\n\n${file.description}\n${rowsOf(file.kind, table, options)}${llms}${sections.join("")}`
}

/**
 * Writes the reference.
 *
 * @since 0.1.0
 * @category getters
 */
export const markdown = (options: Options = {}): string => {
  const contents = FileSchemas.all.map((file) => `- [${file.title}](#${file.kind}): ${codes(file.place)}`)
  return `# Configuration reference

<!-- Generated from the Schemas that decode the files: node scripts/reference.ts -->

Every key of every file. How files are laid over one another is told in [configuration](configuration.md).

- A **time** is a number of seconds, or text with a unit: \`"500ms"\`, \`"30s"\`, \`"5m"\`, \`"1h"\`; at most 24 days.
- A default of – means that the key may be absent, and what that means stands beside it.
- \`\${NAME}\`, \`\${NAME:-default}\` and \`\${NAME:?message}\` may stand for any value and any list of values, but not for \`inherits_from\`.
- A key that is not here is an error.
- Editors know all of this from the schemas in [\`configs/schemas\`](../configs/schemas): see \`echelon schema --help\`.

${contents.join("\n")}
${FileSchemas.all.map((file) => fileText(file, options)).join("")}`
}
