/** The books of a run of a stack: every request, every call, and what stood where. */
import type {
  Attempt,
  CircuitBreakerState,
  Control,
  LlmError,
  LlmReply,
  LlmRequest,
  Part,
  Plan,
  RateLimitCharge,
  Route,
  TokenEstimate
} from "@echelon/core"
import { Exit, Predicate } from "effect"
import type { Target } from "./stackPlans.ts"

/** One call that an instance was sent, and what stood where when it was sent. */
export interface Call {
  /** Its place in the order of everything. */
  readonly seq: number
  readonly at: number
  readonly instance: string
  readonly model: string
  readonly echelon: string | undefined
  readonly kind: Route.Kind
  readonly asked: Asked
  readonly recorder: Route.Recorder
  /** The plan that new requests had then. */
  readonly root: Plan.Root
  readonly seen: {
    readonly coolingUntil: number
    readonly isDrained: boolean
    readonly breaker: CircuitBreakerState.Snapshot | undefined
    readonly mustResume: boolean
    /** USD spent by calls of the request that had ended. */
    readonly spent: number
  }
  committedSeq: number | undefined
  endedSeq: number | undefined
  endedAt: number | undefined
  outcome: Attempt.Outcome | undefined
  charge: RateLimitCharge.Charge
}

/** One request, and what its caller saw. */
export interface Asked {
  readonly id: number
  readonly input: LlmRequest.Input
  readonly target: Target
  readonly isStreamed: boolean
  /** Parts after which its caller stops reading. */
  readonly take: number | undefined
  readonly estimate: TokenEstimate.Estimate
  readonly stop: "no" | "interrupt" | "scope"
  /** How many steps its fibers run on before others run. */
  readonly steps: number
  /** The plan it began with. */
  root: Plan.Root
  at: number
  deadline: number | undefined
  readonly parts: Array<Part.Part>
  answer: LlmReply.Answer | undefined
  /** How often its reply was told to have ended. */
  ends: number
  isOpened: boolean
  route: Route.Route | undefined
  irrevocableSeq: number | undefined
  exit: Exit.Exit<void, LlmError.LlmError> | undefined
  endedAt: number | undefined
  endedSeq: number | undefined
  stoppedSeq: number | undefined
  /** Its calls that were alive right after it was stopped. */
  leftover: number
}

/** Calls at a quiet moment: as the instances count them, and as the state between requests does. */
export interface Sample {
  readonly at: number
  readonly open: Readonly<Record<string, number>>
  readonly inFlight: Readonly<Record<string, number>>
  readonly breakers: ReadonlyArray<readonly [CircuitBreakerState.Snapshot, most: number]>
}

export interface World {
  readonly roots: ReadonlyArray<Plan.Root>
  readonly calls: ReadonlyArray<Call>
  readonly asked: ReadonlyArray<Asked>
  readonly samples: ReadonlyArray<Sample>
  readonly hasPins: boolean
  /** When shutting down began, and when it was to be over. */
  readonly shutdown: { readonly from: number; readonly to: number } | undefined
  readonly rest: {
    readonly sample: Sample
    readonly snapshot: Control.Snapshot
    /** Live reservations by limiter. */
    readonly inUse: Readonly<Record<string, number>>
    /** Sleeps that nobody has ended. */
    readonly sleeping: number
  }
  /** Who could not be answered by when everything was well again. */
  readonly unwell: ReadonlyArray<string>
}

/** A call, for people. */
export const show = (call: Call): string =>
  `#${call.seq} at ${call.at}: request ${call.asked.id} (${call.asked.target.name}) to ${call.instance} of ${call.echelon}, ${call.kind}, ${call.outcome?._tag} #${call.endedSeq}, ${call.asked.steps} steps, ${call.asked.stop} #${call.asked.stoppedSeq} end #${call.asked.endedSeq} at ${call.asked.endedAt}`

/** The pool that a request goes through, if it does. */
export const poolOf = ({ root, target }: Asked): string | undefined => {
  if (target.kind === "pool") return target.name
  const wrapped = target.kind === "wrapper" ? root.wrappers[target.name]?.target : undefined
  return wrapped?.kind === "pool" ? wrapped.name : undefined
}

/** The group that a request goes to, if it does; perhaps with an echelon to start at. */
export const groupOf = ({ root, target }: Asked): string | undefined => {
  if (target.kind === "group") return target.name
  const wrapped = target.kind === "wrapper" ? root.wrappers[target.name]?.target : undefined
  return wrapped?.kind === "group" ? wrapped.name : undefined
}

const echelonsOf = (root: Plan.Root) => Object.values(root.groups).flatMap(({ echelons }) => echelons)
/** An echelon by its reference. */
export const echelonOf = (root: Plan.Root, name: string | undefined): Plan.Echelon | undefined =>
  echelonsOf(root).find((echelon) => `${echelon.group}.${echelon.name}` === name)

/** The calls of a request, in order. */
export const callsOf = (world: World, asked: Asked): ReadonlyArray<Call> =>
  world.calls.filter((call) => call.asked === asked)
/** Whether a call has begun and not ended at a place in the order of everything. */
export const isLiveAt = (call: Call, seq: number): boolean =>
  call.seq <= seq && (call.endedSeq === undefined || call.endedSeq > seq)

/**
 * Whether nobody else runs between the steps of a request, but where it waits. Elsewhere something may change between
 * the pick and the call, and an aborted attempt may take a few steps to settle.
 */
export const isSteady = ({ steps }: Asked): boolean => steps === 2_048

/** The failure that the caller of a request met, if it met one. */
export const failureOf = (asked: Asked): LlmError.LlmError | undefined => {
  if (asked.exit === undefined || Exit.isSuccess(asked.exit)) return undefined
  const failure = asked.exit.cause.reasons.find((reason) => reason._tag === "Fail")
  return failure?.error
}

/** What a part says of a seam. */
export const seamOf = (part: Part.Part): { readonly to: string; readonly mode: string } | undefined => {
  const own = part.type === "response-metadata" ? part.metadata?.["echelon"] : undefined
  const seam = Predicate.isObject(own) && "seam" in own ? own["seam"] : undefined
  return Predicate.isObject(seam) && "to" in seam && "mode" in seam
    ? { to: String(seam["to"]), mode: String(seam["mode"]) }
    : undefined
}
