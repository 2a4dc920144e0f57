import { Plans } from "@echelon/core"
import * as Mermaid from "@echelon/core/Mermaid"
import { expect, it } from "@effect/vitest"
import { Result } from "effect"

const provider = Plans.provider({
  name: "open ai",
  kind: "openai",
  models: { big: Plans.model({ model: "gpt-4" }), small: Plans.model({ model: "gpt-3" }) }
})
const other = Plans.provider({ name: "other", kind: "ollama", models: { x: Plans.model({ model: "x" }) } })
const instance = (alias: string, from = provider) =>
  Plans.instance({ provider: from, alias, model: from.models[alias] ?? Plans.model({ model: alias }) })

const root = Plans.root({
  instances: [instance("small"), instance("x", other)],
  disabled: { "open ai-big": "OPENAI_API_KEY" },
  groups: [
    Plans.group("fast", [
      Plans.echelon("fast", 1, ["open ai-big", "open ai-small"], { maxRetries: 3 }),
      Plans.echelon("fast", 2, ["open ai-small"], { maxRetries: 0 })
    ]),
    Plans.group("slow", [Plans.echelon("slow", 1, ["other-x"])], { strategy: "none" })
  ],
  pools: [
    Plans.pool("pool", ["fast"]),
    Plans.pool("a pool", ["fast"], { fallback: { strategy: "none", maxInstanceAttempts: 1, maxEjected: 1 } })
  ],
  wrappers: [
    Plans.wrapper("w", { kind: "pool", name: "pool" }, { requestTimeout: 1_500 }),
    Plans.wrapper("g", { kind: "group", name: "slow" })
  ]
})

it("draws a target: fallbacks dashed, instances without a credential grey", () => {
  expect(Result.getOrThrow(Mermaid.ofTarget(root, { kind: "wrapper", name: "w" }))).toBe(`flowchart LR
  w1["w<br/>wrapper, 1.5 s until commit"]
  p1(["pool<br/>pool, round_robin"])
  subgraph g1["group fast"]
    e1["echelon1<br/>1 + 3 attempts, 60 s each"]
    e2["echelon2<br/>1 + 0 attempts, 60 s each"]
  end
  i1["open ai-big<br/>gpt-4<br/>set OPENAI_API_KEY"]
  i2["open ai-small<br/>gpt-3"]
  v1[["open ai<br/>openai"]]
  w1 --> p1
  p1 -->|"tier 1"| e1
  p1 -.->|"tier 2"| e2
  i1 --> v1
  e1 --> i1
  i2 --> v1
  e1 --> i2
  e2 --> i2
  classDef disabled fill:#eeeeee,stroke:#bbbbbb,color:#888888,stroke-dasharray:4 3
  class i1 disabled
`)
})

it("draws a group's own fallbacks, from where it starts, and a direct call", () => {
  const of = (name: string) => Result.getOrThrow(Mermaid.ofTarget(root, { kind: "group", name }))
  expect(of("fast")).toContain('\n  e1 -.->|"fallback"| e2\n')
  expect(of("fast.echelon2")).not.toContain("fallback")
  const direct = Mermaid.ofTarget(root, { kind: "client", provider: "other", model: "x" })
  expect(Result.getOrThrow(direct).split("\n")).toEqual([
    "flowchart LR",
    '  i1["other-x<br/>x"]',
    '  v1[["other<br/>ollama"]]',
    "  i1 --> v1",
    ""
  ])
  expect(Result.isFailure(Mermaid.ofTarget(root, { kind: "pool", name: "nowhere" }))).toBe(true)
})

it("draws a whole plan, the same whatever the order in which it was written", () => {
  const chart = Mermaid.ofPlan(root)
  const reversed = <A>(record: Readonly<Record<string, A>>) => Object.fromEntries(Object.entries(record).reverse())
  const again = Mermaid.ofPlan({
    ...root,
    wrappers: reversed(root.wrappers),
    pools: reversed(root.pools),
    groups: reversed(root.groups),
    instances: reversed(root.instances)
  })
  expect(again).toBe(chart)
  for (const name of ["w", "g", "pool", "a pool", "group fast", "group slow", "open ai-big", "other-x"])
    expect(chart).toContain(`"${name}`)
  // The pool without fallback has one tier.
  const pool = /(p\d)\(\["a pool/.exec(chart)?.[1]
  expect(chart.split("\n").filter((line) => line.startsWith(`  ${pool} `))).toEqual([`  ${pool} -->|"tier 1"| e2`])
})

it("escapes what Mermaid would read", () => {
  expect(Mermaid.label('a"]; click #1 <b>`x`\n% 模型 é')).toBe(
    '"a#34;#93;#59; click #35;1 #60;b#62;#96;x#96; % 模型 é"'
  )
  const names = Plans.root({ groups: [Plans.group('x"]', [Plans.echelon('x"]', 1, ["end"])])] })
  expect(Mermaid.ofPlan(names)).toContain('subgraph g1["group x#34;#93;"]')
})
