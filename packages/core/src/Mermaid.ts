/**
 * A plan as a Mermaid flowchart: wrappers, pools, echelons in their groups, instances, providers.
 *
 * Solid arrows are the way of a request at first, dashed ones where it goes when that fails. Instances without a
 * credential are grey. The same plan gives the same text.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Explain from "./Explain.ts"
import * as ExplainTiers from "./ExplainTiers.ts"
import type * as LlmError from "./LlmError.ts"
import type * as Plan from "./Plan.ts"
import type * as Router from "./Router.ts"

/** What Mermaid takes as it is between quotes, in every theme and version; the rest is written by its number. */
const plain = /[\p{L}\p{N} _.,:/@()+=%-]/u

/**
 * Writes a label, a line each. Every character that may mean something to Mermaid is escaped.
 *
 * @since 0.1.0
 * @category getters
 */
export const label = (...lines: ReadonlyArray<string>): string => {
  const escaped = lines.map((line) =>
    [...line.replace(/\p{Cc}+/gu, " ")]
      .map((letter) => (plain.test(letter) ? letter : `#${letter.codePointAt(0)};`))
      .join("")
  )
  return `"${escaped.join("<br/>")}"`
}

const seconds = (millis: number): string => `${Math.round(millis) / 1_000} s`

const byName = <A>(record: Readonly<Record<string, A>>): ReadonlyArray<readonly [string, A]> =>
  Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))

/** Nodes of one kind in the order in which they were first named. */
class Nodes {
  private readonly ids = new Map<string, string>()
  private readonly letter: string

  constructor(letter: string) {
    this.letter = letter
  }

  id(name: string): string {
    const known = this.ids.get(name)
    if (known !== undefined) return known
    const id = `${this.letter}${this.ids.size + 1}`
    this.ids.set(name, id)
    return id
  }

  all(): ReadonlyArray<readonly [string, string]> {
    return [...this.ids]
  }
}

class Chart {
  private readonly root: Plan.Root
  private readonly wrappers = new Nodes("w")
  private readonly pools = new Nodes("p")
  private readonly groups = new Nodes("g")
  private readonly echelons = new Nodes("e")
  private readonly instances = new Nodes("i")
  private readonly providers = new Nodes("v")
  private readonly arrows = new Set<string>()
  private readonly plans: ReadonlyMap<string, Plan.Echelon>

  constructor(root: Plan.Root) {
    this.root = root
    this.plans = new Map(
      byName(root.groups).flatMap(([, group]) =>
        group.echelons.map((echelon) => [ExplainTiers.nameOf(echelon), echelon] as const)
      )
    )
  }

  wrapper(name: string, { target }: Plan.Wrapper, way: ExplainTiers.Way): void {
    const id = this.wrappers.id(name)
    if (target.kind === "pool") this.arrows.add(`${id} --> ${this.pools.id(target.name)}`)
    else for (const echelon of way.ranks[0]?.echelons ?? []) this.arrows.add(`${id} --> ${this.echelons.id(echelon)}`)
  }

  way({ maxTiers, ranks, through }: ExplainTiers.Way): void {
    if (through.kind === "client")
      for (const { placed } of ranks) for (const { instance } of placed) this.instance(instance)
    if (through.kind === "pool") {
      const pool = this.pools.id(through.name)
      // A pool without fallback does not come to its other tiers.
      for (const [i, { echelons }] of ranks.slice(0, maxTiers).entries()) {
        for (const echelon of echelons)
          this.arrows.add(`${pool} ${i === 0 ? "-->" : "-.->"}|${label(`tier ${i + 1}`)}| ${this.echelons.id(echelon)}`)
      }
    }
    if (through.kind === "group") {
      const chain = ranks.flatMap(({ echelons }) => echelons.map((name) => this.echelons.id(name)))
      for (const [i, id] of chain.entries())
        if (i > 0) this.arrows.add(`${chain[i - 1]} -.->|${label("fallback")}| ${id}`)
    }
  }

  echelon(name: string): void {
    this.echelons.id(name)
  }

  instance(name: string): string {
    const id = this.instances.id(name)
    const provider = Explain.identify(this.root, name)?.provider
    if (provider !== undefined) this.arrows.add(`${id} --> ${this.providers.id(provider.name)}`)
    return id
  }

  write(): string {
    for (const [name, id] of this.echelons.all())
      for (const instance of this.plans.get(name)?.instances ?? [])
        this.arrows.add(`${id} --> ${this.instance(instance)}`)
    const isDisabled = (name: string): boolean => this.root.instances[name] === undefined
    const grey = this.instances.all().flatMap(([name, id]) => (isDisabled(name) ? [id] : []))
    return [
      "flowchart LR",
      ...this.wrappers.all().map(([name, id]) => `  ${id}[${this.wrapperLabel(name)}]`),
      ...this.pools.all().map(([name, id]) => `  ${id}([${label(name, `pool, ${this.root.pools[name]?.rotation}`)}])`),
      ...this.groupLines(),
      ...this.instances.all().map(([name, id]) => `  ${id}[${this.instanceLabel(name)}]`),
      ...this.providers.all().map(([name, id]) => `  ${id}[[${label(name, this.root.providers[name]?.kind ?? "")}]]`),
      ...[...this.arrows].map((arrow) => `  ${arrow}`),
      ...(grey.length === 0
        ? []
        : [
            "  classDef disabled fill:#eeeeee,stroke:#bbbbbb,color:#888888,stroke-dasharray:4 3",
            `  class ${grey.join(",")} disabled`
          ]),
      ""
    ].join("\n")
  }

  private groupLines(): ReadonlyArray<string> {
    const own = new Map<string, Array<string>>()
    for (const [name, id] of this.echelons.all()) {
      const plan = this.plans.get(name)
      if (plan === undefined) continue
      const text = label(plan.name, `1 + ${plan.maxRetries} attempts, ${seconds(plan.clocks.attempt)} each`)
      own.set(plan.group, [...(own.get(plan.group) ?? []), `    ${id}[${text}]`])
    }
    return [...own].flatMap(([group, lines]) => [
      `  subgraph ${this.groups.id(group)}[${label(`group ${group}`)}]`,
      ...lines,
      "  end"
    ])
  }

  private wrapperLabel(name: string): string {
    const timeout = this.root.wrappers[name]?.requestTimeout
    return label(name, timeout === undefined ? "wrapper" : `wrapper, ${seconds(timeout)} until commit`)
  }

  private instanceLabel(name: string): string {
    const model = Explain.identify(this.root, name)?.model.model
    const variable = Object.hasOwn(this.root.disabled, name) ? this.root.disabled[name] : undefined
    const more = variable === undefined ? [] : [`set ${variable}`]
    return label(name, ...(model === undefined ? [] : [model]), ...more)
  }
}

/**
 * Draws a whole plan.
 *
 * @example
 * ```ts
 * import { Mermaid, Plans } from "@echelon/core"
 *
 * const local = Plans.provider({ name: "local", kind: "ollama" })
 * const small = Plans.instance({ provider: local, alias: "small", model: Plans.model({ model: "llama3.2" }) })
 * const root = Plans.root({
 *   instances: [small],
 *   groups: [Plans.group("chat", [Plans.echelon("chat", 1, ["local-small"])])],
 *   pools: [Plans.pool("chat_pool", ["chat"])]
 * })
 * console.assert(Mermaid.ofPlan(root).includes('p1 -->|"tier 1"| e1'))
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const ofPlan = (root: Plan.Root): string => {
  const chart = new Chart(root)
  for (const [name, wrapper] of byName(root.wrappers))
    Result.match(ExplainTiers.of(root, wrapper.target), {
      onFailure: () => undefined,
      onSuccess: (way) => chart.wrapper(name, wrapper, way)
    })
  for (const kind of ["pool", "group"] as const) {
    for (const [name] of byName<unknown>(kind === "pool" ? root.pools : root.groups))
      Result.match(ExplainTiers.of(root, { kind, name }), {
        onFailure: () => undefined,
        onSuccess: (way) => chart.way(way)
      })
  }
  for (const [, { echelons }] of byName(root.groups))
    for (const one of echelons) chart.echelon(ExplainTiers.nameOf(one))
  for (const [name] of byName(root.instances)) chart.instance(name)
  return chart.write()
}

/**
 * Draws what a request to a target can come to.
 *
 * **Errors** `UnknownTarget` with the nearest known names.
 *
 * @since 0.1.0
 * @category getters
 */
export const ofTarget = (root: Plan.Root, target: Router.Target): Result.Result<string, LlmError.LlmError> =>
  Result.map(ExplainTiers.of(root, target), (way) => {
    const chart = new Chart(root)
    const wrapper = target.kind === "wrapper" ? root.wrappers[target.name] : undefined
    if (wrapper !== undefined) chart.wrapper(wrapper.name, wrapper, way)
    chart.way(way)
    return chart.write()
  })
