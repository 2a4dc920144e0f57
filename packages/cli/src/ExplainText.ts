/**
 * An explanation for a person, no line wider than 80 columns where names allow it.
 *
 * @since 0.1.0
 */
import * as Listing from "@echelon/config/Listing"
import * as Origin from "@echelon/config/Origin"
import * as Wording from "@echelon/config/Wording"
import type * as WorstCase from "@echelon/config/WorstCase"
import type * as Clocks from "@echelon/core/Clocks"
import * as Explain from "@echelon/core/Explain"
import type * as Plan from "@echelon/core/Plan"

const width = 80

/** Breaks a text between words; lines after the first are indented by `hanging`. */
const wrap = (text: string, hanging: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  const indent = " ".repeat(hanging)
  let line = ""
  for (const word of text.split(/(?<=\S) /)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line)
      line = indent + word.trimStart()
    } else line = line === "" ? word : `${line} ${word}`
  }
  return [...lines, line]
}

/** Rows of a name and a text, the texts in one column. */
const rows = (all: ReadonlyArray<readonly [string, string]>, indent = 2): ReadonlyArray<string> => {
  const widest = Math.max(0, ...all.map(([name]) => name.length))
  return all.flatMap(([name, text]) =>
    wrap(`${" ".repeat(indent)}${name.padEnd(widest)}  ${text}`, indent + widest + 2)
  )
}

const by: Readonly<Record<Explain.By, string>> = {
  request: "",
  default_wrapper: ", the default_wrapper of [routing]",
  default_pool: ", the default_pool of [routing]",
  default_provider: ", the default_provider of [routing]",
  built_in: ", since nothing says otherwise"
}

/**
 * Says the clocks of an attempt.
 *
 * @since 0.1.0
 * @category getters
 */
export const clocks = ({ attempt, idle, stream, ttft }: Clocks.Clocks): string =>
  [
    `timeout ${Wording.seconds(attempt)}`,
    ...(ttft === undefined ? [] : [`first output ${Wording.seconds(ttft)}`]),
    `idle ${Wording.seconds(idle)}`,
    ...(stream === undefined ? [] : [`stream ${Wording.seconds(stream)}`])
  ].join(", ")

const limitsOf = ({ concurrency, rpd, rpm, tpm }: Plan.Limits): ReadonlyArray<string> => [
  ...(concurrency === undefined ? [] : [`${concurrency} at a time`]),
  ...(rpm === undefined ? [] : [`${rpm} requests a minute`]),
  ...(tpm === undefined ? [] : [`${tpm} tokens a minute`]),
  ...(rpd === undefined ? [] : [`${rpd} requests a day`])
]

const poolLimit = (limit: Plan.Pool["rateLimit"]): ReadonlyArray<readonly [string, string]> => {
  if (limit === undefined) return []
  const text =
    limit.algorithm === "token_bucket"
      ? `${limit.bucketSize} requests at once, ${limit.refillRate} a second for as long as it lasts`
      : `${limit.limit} requests in ${Wording.seconds(limit.window)}`
  return [["limit", text]]
}

const head = (found: Explain.Explanation, plan: Plan.Root): ReadonlyArray<string> => {
  const { deadline, maxTiers, maxTotalAttempts, target, through, wrapper } = found
  const name = target.kind === "client" ? through.name : target.name
  const pool = through.kind === "pool" ? plan.pools[through.name] : undefined
  const most = wrapper?.maxConcurrentRequests
  return [
    ...wrap(`${target.kind === "client" ? "direct call to" : target.kind} ${name}${by[found.by]}`, 2),
    ...rows([
      ...(wrapper === undefined ? [] : [["leads to", `${through.kind} ${through.name}`] as const]),
      ...(deadline === undefined
        ? []
        : [["deadline", `${Wording.seconds(deadline)} until commit, waiting included`] as const]),
      ...(most === undefined ? [] : [["queue", `${most} run at a time, ${wrapper?.queueSize} may wait`] as const]),
      ...poolLimit(pool?.rateLimit),
      ...(pool === undefined || (pool.cache === undefined && !pool.coalesce)
        ? []
        : [["before", "an answer that is known, or the call of an identical request, is given instead"] as const]),
      ...(maxTiers === undefined ? [] : [["at most", Wording.count(maxTiers, "tier")] as const]),
      ...(maxTotalAttempts === undefined
        ? []
        : [["at most", `${Wording.count(maxTotalAttempts, "attempt")} in all`] as const])
    ])
  ]
}

const orders: Readonly<Record<Explain.Order, string>> = {
  ranked: "in this order",
  turns: "in turns",
  any: "in any order"
}

const tierLines = (tier: Explain.Tier, place: number, plan: Plan.Root, paint: Paint): ReadonlyArray<string> => {
  const { echelons, isPinned, maxInstances, maxRetries, members, order, rotation, share } = tier
  const asked = members.filter(({ verdict }) => verdict._tag === "Asked")
  const attempts = maxRetries + 1
  const how = [
    `${attempts === 1 ? "one attempt" : `up to ${attempts} attempts`}`,
    ...(maxInstances !== undefined && maxInstances < asked.length ? [`${maxInstances} different instances`] : []),
    ...(asked.length > 1 ? [`${orders[order]} (${rotation})`] : []),
    ...(share === undefined ? [] : [`first output within ${Wording.seconds(share)}, its share of the deadline`])
  ]
  const limits = echelons.flatMap((name) => {
    const echelon = Object.values(plan.groups)
      .flatMap((group) => group.echelons)
      .find((one) => `${one.group}.${one.name}` === name)
    const stated = limitsOf(
      echelon?.limits ?? { concurrency: undefined, rpm: undefined, tpm: undefined, rpd: undefined }
    )
    return stated.length === 0 ? [] : [`${echelons.length === 1 ? "" : `${name}: `}${stated.join(", ")}`]
  })
  return [
    "",
    ...wrap(
      `tier ${place}${isPinned ? " (pinned)" : ""}${echelons.length === 0 ? "" : `: ${echelons.join(" + ")}`}`,
      2
    ),
    ...(asked.length === 0 ? [] : wrap(`  ${how.join("; ")}`, 4)),
    ...(asked.length === 0 ? [] : limits.flatMap((limit) => wrap(`  limit ${limit}`, 4))),
    ...rows(
      members.map(({ clocks: own, instance, model, rank, verdict }) => {
        const number = order === "ranked" && rank !== undefined && asked.length > 1 ? `${rank}. ` : ""
        if (verdict._tag === "Asked")
          return [`asked   ${number}${instance}`, `${model === undefined ? "" : `${model}; `}${clocks(own)}`] as const
        return [`passed  ${instance}`, verdict.reasons.map(Explain.describe).join("; ")] as const
      }),
      2
    ).map((line) => paint(line))
  ]
}

const because: Readonly<Record<Explain.Outside["because"], string>> = {
  no_fallback: "its group has no fallback",
  before_start: "it stands before the echelon that is asked for",
  not_a_fallback: "it is none of its group's fallback_groups"
}

/**
 * Colors a line that tells of an instance.
 *
 * @since 0.1.0
 * @category models
 */
export type Paint = (line: string) => string

/**
 * Writes an explanation. `worst` is absent for a direct call, and "none" when nobody would be asked.
 *
 * @since 0.1.0
 * @category getters
 */
export const lines = (
  found: Explain.Explanation,
  plan: Plan.Root,
  worst: { readonly worst: WorstCase.WorstCase; readonly formula: WorstCase.Formula } | "none" | undefined,
  paint: Paint
): ReadonlyArray<string> => [
  ...head(found, plan),
  ...found.tiers.flatMap((tier, i) => tierLines(tier, i + 1, plan, paint)),
  ...(found.outside.length === 0 ? [] : ["", "never tried"]),
  ...rows(found.outside.map(({ because: why, echelon }) => [echelon, because[why]] as const)),
  ...(worst === "none" ? ["", "worst case: none, for nobody would be asked"] : []),
  ...(worst === undefined || worst === "none"
    ? []
    : [
        "",
        `worst case, for ${worst.worst.assumed.inputTokens} tokens of input and the most output`,
        ...rows([
          ["attempts", worst.formula.attempts],
          ["time", worst.formula.time],
          ["cost", worst.formula.cost]
        ])
      ])
]

/**
 * Writes values, each after where it comes from, table by table below `base`.
 *
 * @since 0.1.0
 * @category getters
 */
export const values = (entries: ReadonlyArray<Listing.Entry>, base: Origin.Path): ReadonlyArray<string> => {
  // Long names of folders must not push everything to the right.
  const widest = Math.min(46, Math.max(0, ...entries.map(({ origin }) => Listing.formatOrigin(origin).length)))
  let current = Origin.formatPath([])
  return entries.flatMap(({ origin, path, value }) => {
    const table = Origin.formatPath(path.slice(base.length, -1))
    const heading = table === current ? [] : [`  [${table}]`]
    current = table
    const from = Listing.formatOrigin(origin)
    const text = `${Origin.formatPath(path.slice(Math.max(base.length, path.length - 1)))} = ${value}`
    const line = [`  ${from.padEnd(widest)}  ${text}`, `  ${from}  ${text}`].find((one) => one.length <= width)
    return [...heading, ...(line === undefined ? [`  ${from}`, `    ${text}`] : [line])]
  })
}

/**
 * Writes one value with its layers, the strongest first.
 *
 * @since 0.1.0
 * @category getters
 */
export const layers = (path: Origin.Path, found: ReadonlyArray<Listing.Entry>): ReadonlyArray<string> => {
  const [first, ...others] = found
  const known = Listing.keyOf(path)
  const name = Origin.formatPath(path)
  const unit = known?.unit === undefined ? "" : ` (${known.unit})`
  const meaning = known === undefined || known.description === "" ? [] : wrap(`  ${known.description}${unit}`, 2)
  if (first === undefined) return [`${name} is not set and has no default`, ...meaning]
  const told = others.map((entry) => [entry.origin === undefined ? "default" : "overrides", entry] as const)
  return [
    `${name} = ${first.value}`,
    ...rows([
      first.origin === undefined ? ["default", "nothing sets it"] : ["set by", Listing.formatOrigin(first.origin)],
      ...told.map(([what, { origin, value }]) =>
        origin === undefined
          ? ([what, value] as const)
          : ([what, `${value} of ${Listing.formatOrigin(origin)}`] as const)
      )
    ]),
    ...meaning
  ]
}
