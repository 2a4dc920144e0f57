/**
 * What became of every key of the files that are migrated. No key is forgotten: what nobody spoke of is lost, and
 * is said to be.
 *
 * @since 0.1.0
 */
import * as Nearest from "@echelon/core/Nearest"
import type * as MigrateSource from "./MigrateSource.ts"
import * as Source from "./MigrateSource.ts"
import * as Origin from "./Origin.ts"

/**
 * Carried over as it was meant; carried over with a difference, which the note states; or not carried over, for
 * the reason in the note.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = "carried" | "approximated" | "lost"

/**
 * What became of one key. `to` are places in the written files, `note` how or why, `todo` what to do about it.
 * Values are not in it, since they may be secret.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  readonly outcome: Outcome
  readonly origin: Origin.Origin
  readonly key: string
  readonly to: ReadonlyArray<string>
  readonly note: string | undefined
  readonly todo: string | undefined
}

/**
 * What is said of a key, and of all keys below it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Mark {
  readonly outcome: Outcome
  readonly to?: string | undefined
  readonly note?: string | undefined
  readonly todo?: string | undefined
}

/**
 * Takes marks, and gives one entry for each key. A key that is used twice is carried over when all uses are, lost
 * when none is, and else approximated.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ledger {
  readonly mark: (at: Pick<MigrateSource.Stated, "source" | "path">, mark: Mark) => void
  /** Marks what no mark has reached yet. */
  readonly rest: (at: Pick<MigrateSource.Stated, "source" | "path">, mark: Mark) => void
  readonly entries: () => ReadonlyArray<Entry>
}

const distinct = (texts: ReadonlyArray<string | undefined>): ReadonlyArray<string> => [
  ...new Set(texts.filter((text) => text !== undefined))
]

const joined = (texts: ReadonlyArray<string | undefined>): string | undefined => {
  const all = distinct(texts)
  return all.length === 0 ? undefined : all.join("; ")
}

interface Slot {
  readonly path: Origin.Path
  readonly marks: Array<Mark>
}

interface Slots {
  readonly all: ReadonlyArray<Slot>
  /** Keys are in the order of the file, so what stands below a path is a run of them. */
  readonly runs: ReadonlyMap<string, readonly [from: number, to: number]>
}

const slotsOf = (value: unknown): Slots => {
  const all = Source.keys(value).map((path): Slot => ({ path, marks: [] }))
  const runs = new Map<string, readonly [number, number]>()
  all.forEach(({ path }, i) => {
    for (let length = 0; length <= path.length; length++) {
      const key = Origin.pathKey(path.slice(0, length))
      runs.set(key, [runs.get(key)?.[0] ?? i, i + 1])
    }
  })
  return { all, runs }
}

const outcomeOf = (marks: ReadonlyArray<Mark>): Outcome => {
  const first = marks[0]?.outcome ?? "lost"
  return marks.every((mark) => mark.outcome === first) ? first : "approximated"
}

/**
 * Finds the name that a key may have meant.
 *
 * @since 0.1.0
 * @category models
 */
export type FindNearest = (source: MigrateSource.Source, path: Origin.Path) => string | undefined

/**
 * Finds it for the first segment that is none of these names.
 *
 * @since 0.1.0
 * @category constructors
 */
export const among =
  (known: ReadonlyArray<string>): FindNearest =>
  (_source, path) => {
    const name = path.find((segment) => typeof segment === "string" && !known.includes(segment))
    return typeof name === "string" ? Nearest.find(name, known)[0] : undefined
  }

/**
 * Makes a ledger of all keys of these files.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (sources: ReadonlyArray<MigrateSource.Source>, nearest: FindNearest = () => undefined): Ledger => {
  const slots = new Map(sources.map((source) => [source, slotsOf(source.value)] as const))
  const reached = ({ path, source }: Pick<MigrateSource.Stated, "source" | "path">): ReadonlyArray<Slot> => {
    const found = slots.get(source)
    const run = found?.runs.get(Origin.pathKey(path))
    return run === undefined ? [] : (found?.all.slice(...run) ?? [])
  }
  const unknown = (source: MigrateSource.Source, path: Origin.Path): string => {
    const near = nearest(source, path)
    return `a key that is not known here${near === undefined ? "" : `; did you mean ${JSON.stringify(near)}?`}`
  }
  return {
    mark: (at, mark) => {
      for (const slot of reached(at)) slot.marks.push(mark)
    },
    rest: (at, mark) => {
      for (const slot of reached(at)) if (slot.marks.length === 0) slot.marks.push(mark)
    },
    entries: () =>
      [...slots].flatMap(([source, { all }]) =>
        all.map(({ marks, path }) => ({
          outcome: outcomeOf(marks),
          origin: source.originAt(path),
          key: Origin.formatPath(path),
          to: distinct(marks.map((mark) => mark.to)),
          note: marks.length === 0 ? unknown(source, path) : joined(marks.map((mark) => mark.note)),
          todo: joined(marks.map((mark) => mark.todo))
        }))
      )
  }
}
