/** What scripted instances do at random: they say what their model always says, or fail in every way there is. */
import type { LlmError, LlmRequest, Part } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { Duration } from "effect"
import type { Dice, NonEmpty } from "./stackPlans.ts"

/** What each model says, always: the two part after a while. */
const truths: Readonly<Record<string, string>> = {
  sky: "The sky is  blue because the air scatters\nlight",
  sea: "The sky is  grey because it rains today"
}
export const truthOf = (model: string): string => truths[model] ?? ""

const retryAfters: NonEmpty<Duration.Duration | undefined> = [
  undefined,
  Duration.millis(400),
  Duration.seconds(2),
  Duration.seconds(20),
  Duration.seconds(1e9),
  Duration.seconds(-5)
]

const refusals = ({ of }: Dice): LlmError.Reason =>
  of<LlmError.Reason>([
    { _tag: "RateLimited", retryAfter: of(retryAfters) },
    { _tag: "RateLimited", retryAfter: of(retryAfters) },
    { _tag: "Overloaded", retryAfter: of(retryAfters) },
    { _tag: "Overloaded" },
    { _tag: "ProviderError" },
    { _tag: "Network", kind: of(["refused", "reset", "dns", "tls", "connect_timeout", "other"]) },
    { _tag: "Network", kind: "refused" },
    { _tag: "Timeout", clock: "attempt", limit: Duration.seconds(1), shortened: false },
    { _tag: "Authentication" },
    { _tag: "QuotaExhausted", retryAfter: of(retryAfters) },
    { _tag: "ModelNotFound" },
    { _tag: "ContextLength" },
    { _tag: "ContentPolicy" },
    { _tag: "InvalidRequest" },
    { _tag: "MalformedOutput" },
    { _tag: "Unknown", status: 418 }
  ])

/** What one call does. The text goes on from where the conversation stands. */
export const scriptOf = (
  die: Dice,
  healthy: number,
  truth: string,
  { messages }: LlmRequest.LlmRequest
): ScriptedLlm.Script => {
  const { below, of, random } = die
  const last = messages.at(-1)
  let rest = truth.slice(last?.role === "assistant" ? String(last.content).length : 0)
  const steps: Array<ScriptedLlm.Step> = [
    ScriptedLlm.wait(of([0, 0, 5, 50, below(300), below(1_500)])),
    ScriptedLlm.accepted
  ]
  const say = (cuts: number) => {
    for (let i = 0; i < cuts && rest !== ""; i++) {
      const delta = rest.slice(0, 1 + below(i === cuts - 1 ? rest.length : 12))
      rest = rest.slice(delta.length)
      if (random() < 0.4) steps.push(ScriptedLlm.wait(of([0, 20, below(250)])))
      steps.push(ScriptedLlm.parts({ type: "text-delta", id: "0", delta }))
    }
  }
  const whole = (reason?: Part.FinishReason): ScriptedLlm.Script => {
    say(3)
    if (rest !== "" && reason !== "content-filter")
      steps.push(ScriptedLlm.parts({ type: "text-delta", id: "0", delta: rest }))
    const usage = of<ScriptedLlm.Tokens>([
      {},
      { inputTokens: 3, outputTokens: 20 },
      { inputTokens: 900, outputTokens: 1_400 }
    ])
    return [...steps, ScriptedLlm.parts({ type: "text-end", id: "0" }), ScriptedLlm.finish(usage, reason)]
  }
  if (healthy === 1) return ScriptedLlm.text(truth)
  if (random() < 0.5) steps.push(ScriptedLlm.parts({ type: "text-start", id: "0" }))
  if (random() < healthy) return whole()
  switch (below(10)) {
    case 0:
      return [ScriptedLlm.never]
    case 1:
      return [...steps, ScriptedLlm.never]
    case 2:
    case 3:
      return [...steps.slice(0, 1 + below(2)), ScriptedLlm.fail(refusals(die))]
    case 4:
      return random() < 0.1 ? [ScriptedLlm.die("a broken adapter")] : [ScriptedLlm.fail(refusals(die))]
    case 5:
      return random() < 0.5 ? [...steps, ScriptedLlm.finish({}, "content-filter")] : whole("content-filter")
    case 6:
      say(1 + below(3))
      return [...steps, of([ScriptedLlm.never, ScriptedLlm.end, ScriptedLlm.end])]
    case 7: {
      if (random() < 0.5) say(1)
      steps.push(ScriptedLlm.parts({ type: "tool-params-start", id: "t", name: "f" }), ScriptedLlm.wait(of([0, 30])))
      const call = ScriptedLlm.parts({ type: "tool-call", id: "t", name: "f", params: {} })
      return random() < 0.5
        ? [...steps, call, ScriptedLlm.finish({}, "tool-calls")]
        : [...steps, ScriptedLlm.fail(refusals(die))]
    }
    default:
      say(1 + below(4))
      return [...steps, ScriptedLlm.fail(refusals(die))]
  }
}
