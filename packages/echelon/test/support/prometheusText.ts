/** A strict reader of the text format of Prometheus, version 0.0.4: what is not plainly allowed throws. */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}
export interface Family {
  readonly name: string
  readonly type: string
  readonly help: string | undefined
  readonly samples: ReadonlyArray<Sample>
}

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*/
const types = ["counter", "gauge", "histogram", "summary", "untyped"]

const fail = (line: string, what: string): never => {
  throw new Error(`${what}: ${JSON.stringify(line)}`)
}

const unescape = (line: string, value: string, allowed: string): string => {
  let out = ""
  for (let i = 0; i < value.length; i++) {
    const at = value[i] as string
    if (at !== "\\") {
      out += at
      continue
    }
    i += 1
    const next = value[i]
    if (next === undefined || !allowed.includes(next)) return fail(line, `no escape \\${next}`)
    out += next === "n" ? "\n" : next
  }
  return out
}

const numberOf = (line: string, text: string): number => {
  if (text === "+Inf") return Number.POSITIVE_INFINITY
  if (text === "-Inf") return Number.NEGATIVE_INFINITY
  if (text === "NaN") return Number.NaN
  if (!/^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text)) return fail(line, `no number ${text}`)
  return Number(text)
}

const sampleOf = (line: string): Sample => {
  const name = metricName.exec(line)?.[0] ?? fail(line, "no name")
  let rest = line.slice(name.length)
  const labels: Record<string, string> = {}
  if (rest.startsWith("{")) {
    rest = rest.slice(1)
    while (!rest.startsWith("}")) {
      const label = labelName.exec(rest)?.[0] ?? fail(line, "no label name")
      if (label.startsWith("__")) fail(line, "a reserved label")
      if (Object.hasOwn(labels, label)) fail(line, `label ${label} twice`)
      rest = rest.slice(label.length)
      const value = /^="((?:[^"\\\n]|\\.)*)"/.exec(rest) ?? fail(line, "no label value")
      labels[label] = unescape(line, value[1] ?? "", '\\"n')
      rest = rest.slice(value[0].length)
      if (rest.startsWith(",")) rest = rest.slice(1)
      else if (!rest.startsWith("}")) fail(line, "neither , nor }")
    }
    rest = rest.slice(1)
  }
  const value = /^ (\S+)$/.exec(rest)?.[1] ?? fail(line, "no value")
  return { name, labels, value: numberOf(line, value) }
}

const key = (name: string, labels: Readonly<Record<string, string>>): string =>
  JSON.stringify([name, Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))])

const checkHistogram = ({ name, samples }: Family): void => {
  const groups = new Map<string, { le: Array<[number, number]>; sum?: number; count?: number }>()
  for (const sample of samples) {
    const { le, ...labels } = sample.labels
    const group = groups.get(key(name, labels)) ?? { le: [] }
    groups.set(key(name, labels), group)
    if (sample.name === `${name}_bucket`) group.le.push([numberOf(name, le ?? fail(name, "no le")), sample.value])
    else if (sample.name === `${name}_sum`) group.sum = sample.value
    else if (sample.name === `${name}_count`) group.count = sample.value
    else fail(sample.name, "no sample of a histogram")
  }
  for (const [id, { count, le, sum }] of groups) {
    if (count === undefined || sum === undefined) fail(id, "no _sum or no _count")
    for (const [i, [bound, value]] of le.entries()) {
      const [before, below] = le[i - 1] ?? [Number.NEGATIVE_INFINITY, 0]
      if (!(bound > before)) fail(id, "bounds that do not grow")
      if (value < below) fail(id, "buckets that shrink")
    }
    const last = le.at(-1)
    if (last?.[0] !== Number.POSITIVE_INFINITY || last[1] !== count) fail(id, "+Inf is not the count")
  }
}

/** Every family by name. */
export const parse = (text: string): ReadonlyMap<string, Family> => {
  if (text !== "" && !text.endsWith("\n")) fail(text.slice(-20), "the last line does not end")
  const families = new Map<string, { name: string; type: string; help: string | undefined; samples: Array<Sample> }>()
  const seen = new Set<string>()
  let help: readonly [string, string] | undefined
  let current: { name: string; type: string; help: string | undefined; samples: Array<Sample> } | undefined
  for (const line of text.split("\n").slice(0, -1)) {
    if (line === "") fail(line, "an empty line")
    if (line.startsWith("# HELP ")) {
      const [, name = "", words = ""] = /^# HELP (\S+) (.*)$/.exec(line) ?? fail(line, "no HELP")
      if (families.has(name) || help !== undefined) fail(line, "HELP out of place")
      help = [name, unescape(line, words, "\\n")]
    } else if (line.startsWith("# TYPE ")) {
      const [, name = "", type = ""] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? fail(line, "no TYPE")
      if (!types.includes(type)) fail(line, "no such type")
      if (metricName.exec(name)?.[0] !== name) fail(line, "no name")
      if (families.has(name)) fail(line, "TYPE twice")
      if (help !== undefined && help[0] !== name) fail(line, "HELP of another")
      current = { name, type, help: help?.[1], samples: [] }
      families.set(name, current)
      help = undefined
    } else if (line.startsWith("#")) fail(line, "a comment")
    else {
      const sample = sampleOf(line)
      if (current === undefined || help !== undefined) return fail(line, "a sample without TYPE")
      const suffix = sample.name.slice(current.name.length)
      const allowed = current.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""]
      if (!sample.name.startsWith(current.name) || !allowed.includes(suffix)) fail(line, `not of ${current.name}`)
      if (seen.has(key(sample.name, sample.labels))) fail(line, "a series twice")
      seen.add(key(sample.name, sample.labels))
      if (current.type === "counter" && !(sample.value >= 0)) fail(line, "a counter below 0")
      current.samples.push(sample)
    }
  }
  for (const family of families.values()) {
    if (family.samples.length === 0) fail(family.name, "no samples")
    if (family.type === "histogram") checkHistogram(family)
  }
  return families
}
