/** Renders the tables of docs/protocols.md from what the contract suite wrote down. */

/** What the suite of packages/providers writes: a cell for each protocol, by title, in the order of the tables. */
export interface Cells {
  /** What a protocol does: `yes`, or `no, because …`, buffered and streamed. */
  readonly features: Readonly<
    Record<string, Readonly<Record<string, { readonly buffered: string; readonly streamed: string }>>>
  >
  /** What a protocol of embeddings does: `yes`, or `no, because …`. */
  readonly embeddings: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** What becomes of a part of a request: `kept`, `approximated: …`, `left out, …`, `none: …`. */
  readonly translation: Readonly<Record<string, Readonly<Record<string, string>>>>
}

/** Reasons by number, in the order in which they are first given. */
const notes = () => {
  const given: Array<string> = []
  return {
    numberOf: (reason: string): number => {
      const at = given.indexOf(reason)
      return at === -1 ? given.push(reason) : at + 1
    },
    list: () => given.map((reason, at) => `${at + 1}. ${reason[0]?.toUpperCase()}${reason.slice(1)}.`)
  }
}

const why = (cell: string): string => cell.replace(/^(?:no, because|approximated:|left out,|none:|kept,) /, "")

const table = (columns: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const all = [["", ...columns], ...rows]
  const widths = all[0]?.map((_, at) => Math.max(...all.map((row) => row[at]?.length ?? 0))) ?? []
  const line = (row: ReadonlyArray<string>) => `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`
  return [line(all[0] ?? []), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.map(line)]
}

const titles = (by: Readonly<Record<string, object>>): ReadonlyArray<string> => [
  ...new Set(Object.values(by).flatMap((cells) => Object.keys(cells)))
]

/** The protocol by feature table. */
export const features = ({ features: by }: Pick<Cells, "features">): string => {
  const { list, numberOf } = notes()
  const rows = titles(by).map((title) => [
    title,
    ...Object.values(by).map((cells) => {
      const { buffered = "", streamed = "" } = cells[title] ?? {}
      if (buffered === streamed) return buffered === "yes" ? "yes" : `no (${numberOf(why(buffered))})`
      return buffered === "yes" ? `buffered (${numberOf(why(streamed))})` : `streamed (${numberOf(why(buffered))})`
    })
  ])
  return [...table(Object.keys(by), rows), "", "Where it is not a plain yes, because:", "", ...list()].join("\n")
}

/** The protocol by feature table of embeddings, which come whole. */
export const embeddings = ({ embeddings: by }: Cells): string =>
  features({
    features: Object.fromEntries(
      Object.entries(by).map(([protocol, cells]) => [
        protocol,
        Object.fromEntries(
          Object.entries(cells).map(([title, cell]) => [title, { buffered: cell, streamed: cell }] as const)
        )
      ])
    )
  })

/** The table of what a request keeps. */
export const translation = ({ translation: by }: Cells): string => {
  const { list, numberOf } = notes()
  const rows = titles(by).map((title) => [
    title,
    ...Object.values(by).map((cells) => {
      const cell = cells[title] ?? ""
      return cell === "kept" ? cell : `${/^[a-z ]+/.exec(cell)?.[0]} (${numberOf(why(cell))})`
    })
  ])
  return [...table(Object.keys(by), rows), "", ...list()].join("\n")
}

/** The page with its generated parts as they should be. */
export const render = (page: string, cells: Cells): string =>
  [
    ["features", features(cells)] as const,
    ["embeddings", embeddings(cells)] as const,
    ["translation", translation(cells)] as const
  ].reduce((text, [name, generated]) => {
    const pattern = new RegExp(`(<!-- generated: ${name} -->\n)[^]*?(<!-- end of ${name} -->)`)
    if (!pattern.test(text)) throw new Error(`docs/protocols.md has no place for ${name}`)
    return text.replace(pattern, (_, begin: string, end: string) => `${begin}\n${generated}\n\n${end}`)
  }, page)
