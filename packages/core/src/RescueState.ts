/**
 * The pure core of going on elsewhere after a stream broke: what was delivered, what the next instance is
 * asked, and what of its answer is passed on.
 *
 * The state belongs to one reply and is changed in place, as every part of a stream runs through it.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import * as FailureClass from "./FailureClass.ts"
import type * as LlmError from "./LlmError.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import * as Part from "./Part.ts"
import * as Usage from "./Usage.ts"

/**
 * How another instance goes on: from the delivered text, or from the beginning.
 *
 * @since 0.1.0
 * @category models
 */
export type Mode = "resume" | "restart"

/**
 * What the `response-metadata` part at a seam says, as `metadata.echelon.seam`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Seam {
  /** The instance whose output was delivered before. */
  readonly from: string
  readonly to: string
  readonly mode: Mode
}

/**
 * How a break is met: what is asked, and which text the new answer is expected to say again.
 *
 * @since 0.1.0
 * @category models
 */
export interface Plan {
  readonly mode: Mode
  readonly request: LlmRequest.LlmRequest
  readonly expected: string
  /** Whether an answer that does not begin with `expected` is refused, or what it does not repeat is let be. */
  readonly isStrict: boolean
}

/** A block as the consumer sees it. */
interface Block {
  readonly type: "text" | "reasoning"
  readonly id: string
}

/** An answer that goes on where another broke. */
interface Continuation {
  readonly plan: Plan
  readonly to: string
  /** What the answers before it used, as far as that can be told. */
  readonly spent: Usage.Usage | undefined
  /** Put before block ids, which two answers may share. */
  readonly prefix: string
  /** How much of the expected text has come again. */
  matched: number
  seamShown: boolean
  /** Held until the seam is shown. */
  metadata: Array<Part.Part>
  /** Starts of blocks of which nothing was passed on yet, by key. */
  starts: Map<string, Part.Part>
}

/**
 * What one reply has delivered, and who goes on with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly chunks: Array<string>
  /** Delivered blocks that have not ended, by key. */
  readonly open: Map<string, Block>
  /** Set once something was delivered that may already have had an effect. */
  hasIrrevocable: boolean
  /** Whose output was delivered last. */
  from: string
  continuation: Continuation | undefined
}

/**
 * Starts with the first instance; nothing is delivered yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (instance: string): State => ({
  chunks: [],
  open: new Map(),
  hasIrrevocable: false,
  from: instance,
  continuation: undefined
})

/**
 * The delivered text.
 *
 * @since 0.1.0
 * @category getters
 */
export const text = (state: State): string => {
  const { chunks } = state
  if (chunks.length > 1) chunks.splice(0, chunks.length, chunks.join(""))
  return chunks[0] ?? ""
}

/**
 * Who answers now.
 *
 * @since 0.1.0
 * @category getters
 */
export const instance = (state: State): string => state.continuation?.to ?? state.from

/**
 * Whether another instance may go on after this failure: nothing but text or reasoning was delivered, and the
 * failure is one after which the next echelon may be asked.
 *
 * @since 0.1.0
 * @category getters
 */
export const canRescue = (state: State, reason: LlmError.Reason): boolean =>
  !state.hasIrrevocable && FailureClass.of(reason).nextEchelon === "yes"

/**
 * The error to raise when nobody goes on: the first cause, unless it is the consumer who has stopped reading.
 *
 * @since 0.1.0
 * @category getters
 */
export const causeOf = (first: LlmError.LlmError | undefined, error: LlmError.LlmError): LlmError.LlmError =>
  error.reason._tag === "Timeout" && error.reason.clock === "consumer_idle" ? error : (first ?? error)

/**
 * How a policy meets a break.
 *
 * **Details** The deadline and the fidelity lane end here. A resume without text to go on from starts over. Its
 * prefill ends without white space, as some providers refuse any and others cut it off: white space that the
 * continuation says again is then dropped.
 *
 * @since 0.1.0
 * @category getters
 */
export const plan = (
  state: State,
  request: LlmRequest.LlmRequest,
  policy: Exclude<LlmRequest.OnInterrupt, "fail">
): Plan => {
  const delivered = text(state)
  const base: LlmRequest.LlmRequest = {
    ...request,
    commit: "first_output",
    deadline: undefined,
    firstOutputBy: undefined,
    attempt: undefined,
    raw: undefined
  }
  if (policy === "restart") return { mode: "restart", request: base, expected: delivered, isStrict: true }
  const prefill = delivered.trimEnd()
  return prefill === ""
    ? { mode: "restart", request: base, expected: delivered, isStrict: false }
    : {
        mode: "resume",
        request: { ...base, messages: withPrefill(base.messages, prefill) },
        expected: delivered.slice(prefill.length),
        isStrict: false
      }
}

/** Ends the conversation with what the model has said; a prefill of the caller's own is continued. */
const withPrefill = (
  messages: ReadonlyArray<LlmRequest.Message>,
  prefill: string
): ReadonlyArray<LlmRequest.Message> => {
  const last = messages.at(-1)
  if (last?.role !== "assistant") return [...messages, { role: "assistant", content: prefill }]
  const before = messages.slice(0, -1)
  if (typeof last.content === "string") return [...before, { ...last, content: last.content + prefill }]
  const end = last.content.at(-1)
  const content =
    end?.type === "text"
      ? [...last.content.slice(0, -1), { ...end, text: end.text + prefill }]
      : [...last.content, { type: "text" as const, text: prefill }]
  return [...before, { ...last, content }]
}

/**
 * Lets another instance go on. `nth` is a number that no other continuation of the reply has; `spent` is what the
 * answers before it used, as far as that can be told.
 *
 * @since 0.1.0
 * @category mutations
 */
export const goOn = (state: State, plan: Plan, to: string, nth: number, spent: Usage.Usage | undefined): void => {
  state.continuation = {
    plan,
    to,
    spent,
    prefix: `seam${nth}:`,
    matched: 0,
    seamShown: false,
    metadata: [],
    starts: new Map()
  }
}

/**
 * Takes a batch of the current answer: the parts to deliver, which may be none, or `diverged` when a new answer
 * does not begin with the delivered text.
 *
 * **Details** Before the first break a batch passes as it is. Afterwards raw events are taken off, block ids
 * made unique, and the finish part tells the usage of all. While a new answer repeats the
 * delivered text nothing is passed on; its reasoning up to there is dropped. The blocks left open by the broken
 * answer end before the seam.
 *
 * @since 0.1.0
 * @category mutations
 */
export const take = (state: State, batch: ReadonlyArray<Part.Part>): ReadonlyArray<Part.Part> | "diverged" => {
  const at = state.continuation
  let parts = batch
  if (at !== undefined) {
    const out: Array<Part.Part> = []
    if (!isRepeating(at)) showSeam(state, at, out)
    for (const part of batch) {
      if (!isRepeating(at)) pass(at, part, out)
      else if (!repeat(state, at, part, out)) return "diverged"
    }
    parts = out
  }
  for (const part of parts) record(state, part)
  return parts
}

const isRepeating = ({ matched, plan }: Continuation): boolean => plan.isStrict && matched < plan.expected.length

const keyOf = (block: Block): string => `${block.type}:${block.id}`

/** The block that a part belongs to, when it is of text or reasoning. */
const blockOf = (part: Part.Part): (Block & { readonly at: "start" | "delta" | "end" }) | undefined => {
  switch (part.type) {
    case "text-start":
      return { type: "text", id: part.id, at: "start" }
    case "text-delta":
      return { type: "text", id: part.id, at: "delta" }
    case "text-end":
      return { type: "text", id: part.id, at: "end" }
    case "reasoning-start":
      return { type: "reasoning", id: part.id, at: "start" }
    case "reasoning-delta":
      return { type: "reasoning", id: part.id, at: "delta" }
    case "reasoning-end":
      return { type: "reasoning", id: part.id, at: "end" }
    default:
      return undefined
  }
}

/** A part of an answer that has not yet said all it must repeat; false when it goes another way. */
const repeat = (state: State, at: Continuation, part: Part.Part, out: Array<Part.Part>): boolean => {
  const block = blockOf(part)
  if (block?.at === "start") at.starts.set(keyOf(block), part)
  else if (block?.at === "end") at.starts.delete(keyOf(block))
  else if (part.type === "text-delta") {
    const { expected } = at.plan
    const same = part.delta.slice(0, expected.length - at.matched)
    if (!expected.startsWith(same, at.matched)) return false
    at.matched += same.length
    if (isRepeating(at)) return true
    showSeam(state, at, out)
    if (same.length < part.delta.length) pass(at, { ...part, delta: part.delta.slice(same.length) }, out)
  } else if (part.type === "response-metadata") at.metadata.push(part)
  else return part.type === "reasoning-delta"
  return true
}

const showSeam = (state: State, at: Continuation, out: Array<Part.Part>): void => {
  if (at.seamShown) return
  at.seamShown = true
  for (const block of state.open.values()) out.push({ type: `${block.type}-end`, id: block.id })
  const seam = { from: state.from, to: at.to, mode: at.plan.mode }
  state.from = at.to
  out.push({ type: "response-metadata", metadata: { echelon: { seam } } })
  for (const part of at.metadata) pass(at, part, out)
  at.metadata = []
}

/** Passes a part on, as it reads after a seam. */
const pass = (at: Continuation, part: Part.Part, out: Array<Part.Part>): void => {
  const { raw: _, ...parsed } = part
  const block = blockOf(parsed)
  if (block === undefined) {
    out.push(parsed.type === "finish" ? withSpent(parsed, at.spent) : parsed)
    return
  }
  const key = keyOf(block)
  const start = at.starts.get(key)
  if (start !== undefined) {
    at.starts.delete(key)
    // What was in the block was said before the seam.
    if (block.at === "end") return
    pass(at, start, out)
  }
  const named = { ...parsed, id: at.prefix + block.id } as Part.Part
  out.push(named.type === "text-delta" ? { ...named, delta: unrepeated(at, named.delta) } : named)
}

/** Text without the white space at its beginning that was delivered before. */
const unrepeated = (at: Continuation, delta: string): string => {
  const { expected } = at.plan
  if (at.matched === expected.length) return delta
  let same = 0
  while (same < delta.length && at.matched < expected.length && delta[same] === expected[at.matched]) {
    same += 1
    at.matched += 1
  }
  if (same < delta.length) at.matched = expected.length
  return delta.slice(same)
}

/** What Echelon itself says of a finish part. */
const ownOf = ({ metadata }: Part.Finish): Schema.JsonObject => {
  const own = metadata?.["echelon"]
  return typeof own === "object" && own !== null && !Array.isArray(own) ? (own as Schema.JsonObject) : {}
}

/** Adds what the broken answers used, or says that it is not known. */
const withSpent = (finish: Part.Finish, spent: Usage.Usage | undefined): Part.Finish => {
  const { inputTokens, outputTokens } = finish.usage
  const isKnown = inputTokens.total !== undefined && outputTokens.total !== undefined
  const [input, output] = [spent?.inputTokens, spent?.outputTokens]
  if (!isKnown || input === undefined || output === undefined)
    return { ...finish, metadata: { ...finish.metadata, echelon: { ...ownOf(finish), usage: "partial" } } }
  return {
    ...finish,
    usage: {
      ...finish.usage,
      inputTokens: { ...inputTokens, total: inputTokens.total + input },
      outputTokens: { ...outputTokens, total: outputTokens.total + output }
    },
    metadata: { ...finish.metadata, echelon: { ...ownOf(finish), usage: "estimated" } }
  }
}

const record = (state: State, part: Part.Part): void => {
  if (part.type === "text-delta") state.chunks.push(part.delta)
  const block = blockOf(part)
  if (block === undefined) {
    if (Part.isIrrevocable(part)) state.hasIrrevocable = true
  } else if (block.at === "end") state.open.delete(keyOf(block))
  else if (!state.open.has(keyOf(block))) state.open.set(keyOf(block), { type: block.type, id: block.id })
}

/**
 * The usage of a whole reply by its finish part. After a seam the figures hold an estimate of what the broken answers
 * used, and their source is `estimated`; where that cannot be told they are those of the last answer alone, and their
 * source is `unknown`.
 *
 * @since 0.1.0
 * @category getters
 */
export const usageOf = (finish: Part.Finish): Usage.Usage => {
  const usage = Usage.fromFinish(finish.usage)
  const said = ownOf(finish)["usage"]
  if (said === "estimated") return { ...usage, source: "estimated" }
  return said === "partial" ? Usage.add(usage, Usage.unknown) : usage
}
