/** What callers ask of a stack at random: of whom, how long, how often, and when they leave. */
import { type LlmRequest, type Plan, TokenEstimate } from "@echelon/core"
import type { Asked } from "./stackBooks.ts"
import { type Dice, onInterrupts, type Profile } from "./stackPlans.ts"

/** A request made at random. */
export const askedOf = (die: Dice, profile: Profile, root: Plan.Root, id: number): Asked => {
  const { below, of, random } = die
  const kind = of(profile.targets)
  const groups = Object.values(root.groups)
  const group = groups[below(groups.length)]
  const instances = Object.values(root.instances)
  const direct = instances[below(instances.length)]
  const name = {
    wrapper: `w${below(2)}`,
    pool: `p${below(2)}`,
    group: random() < 0.7 ? `${group?.name}` : `${group?.name}.echelon${group?.echelons.length}`,
    direct: `${direct?.name}`
  }[kind]
  const where: LlmRequest.Metadata = {
    wrapper: { wrapperName: name },
    pool: { poolName: name },
    group: { groupName: name },
    direct: { provider: `${direct?.provider.name}`, model: name }
  }[kind]
  const input = {
    prompt: random() < 0.85 ? "hi" : "word ".repeat(1_000),
    ...(random() < 0.1 ? { tools: [{ name: "f", description: "does", parameters: { type: "object" } }] } : {}),
    settings: { maxOutputTokens: of([10, 40, 900, 900, 2_600]) },
    metadata: {
      ...where,
      tenant: of([undefined, "t0", "t1"]),
      sessionId: of([undefined, "s0", "s1"]),
      priority: of([undefined, "critical", "normal", "batch"]),
      timeout: of([undefined, undefined, 200, 1_500, 10_000]),
      maxTotalAttempts: of([undefined, undefined, 1 + below(5)]),
      maxCost: of([undefined, undefined, undefined, 0.5, 2]),
      commit: of([undefined, undefined, "finish", "first_output"]),
      onInterrupt: of([undefined, of(onInterrupts)]),
      ...(random() < 0.1 ? { ttftTimeout: 300, idleTimeout: 150 } : {})
    }
  } satisfies LlmRequest.Input
  const isStreamed = random() < 0.7
  return {
    id,
    input,
    target: { kind, name },
    isStreamed,
    steps: of([2_048, 2_048, 40, 13, 7]),
    take: random() < profile.leaves / 3 ? below(8) : undefined,
    estimate: TokenEstimate.of({
      messages: [{ role: "user", content: input.prompt }],
      tools: input.tools ?? [],
      responseFormat: { type: "text" },
      settings: input.settings ?? {}
    }),
    stop: random() < profile.leaves ? (isStreamed ? of(["interrupt", "scope"]) : "interrupt") : "no",
    root,
    at: 0,
    deadline: undefined,
    parts: [],
    answer: undefined,
    ends: 0,
    isOpened: false,
    route: undefined,
    irrevocableSeq: undefined,
    exit: undefined,
    endedAt: undefined,
    endedSeq: undefined,
    stoppedSeq: undefined,
    leftover: 0
  }
}
