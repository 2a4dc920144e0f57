/** What holds of every run of a stack: laws over its books, each giving what breaks it. */
import { LlmReply, type Plan, TokenEstimate } from "@echelon/core"
import { Exit } from "effect"
import {
  type Asked,
  type Call,
  callsOf,
  echelonOf,
  failureOf,
  groupOf,
  isLiveAt,
  isSteady,
  poolOf,
  type Sample,
  seamOf,
  show,
  type World
} from "./stackBooks.ts"
import { truthOf } from "./stackScripts.ts"

export type Law = (world: World) => ReadonlyArray<string>

// At rest.

const counts = ({ inFlight, open }: Sample) =>
  JSON.stringify(open) === JSON.stringify(inFlight)
    ? []
    : [`calls ${JSON.stringify(open)}, counted ${JSON.stringify(inFlight)}`]

const nothingIsLeft: Law = ({ rest }) => {
  const { inUse, sample, sleeping, snapshot } = rest
  const left: Array<string> = []
  const none = (what: string, count: number | undefined) => {
    if (count !== undefined && count !== 0) left.push(`${what}: ${count}`)
  }
  for (const [name, count] of Object.entries(sample.open)) none(`calls of ${name}`, count)
  for (const [name, count] of Object.entries(sample.inFlight)) none(`in flight of ${name}`, count)
  for (const [name, count] of Object.entries(inUse)) none(`reservations of ${name}`, count)
  for (const [breaker] of sample.breakers) none("probes", breaker.probes)
  for (const { limits } of [...snapshot.instances, ...snapshot.echelons, ...snapshot.pools])
    for (const { left, limit, name, of } of limits)
      if (of === "concurrency") none(`slots of ${name}`, (limit ?? 0) - left)
  for (const { name, queue } of snapshot.wrappers) {
    none(`running in ${name}`, queue?.running)
    none(`waiting in ${name}`, queue?.waiting)
    none(`parked in ${name}`, queue?.parked)
  }
  none("requests", snapshot.requests)
  none("sleepers", sleeping)
  return left
}

const allIsWellAgain: Law = ({ unwell }) =>
  unwell.filter((said) => !said.includes("UnknownTarget") && !/unknown name|has no instance/.test(said))

// Limits.

/** The limits that a call was under, as the plan of that moment says, or, where it does not name them any more, its own. */
const limitsOf = (call: Call, owner: "echelon" | "instance"): Plan.Limits | undefined => {
  const of = (root: Plan.Root) =>
    owner === "echelon" ? echelonOf(root, call.echelon)?.limits : root.instances[call.instance]?.model.limits
  return of(call.root) ?? of(call.asked.root)
}

const limitsHold: Law = ({ calls }) =>
  calls.flatMap((call) =>
    (["echelon", "instance"] as const).flatMap((owner) => {
      const limits = limitsOf(call, owner)
      if (limits === undefined || call[owner] === undefined) return []
      const before = calls.filter((other) => other[owner] === call[owner] && other.seq <= call.seq)
      const live = before.filter((other) => isLiveAt(other, call.seq)).length
      const counted = before.filter((other) => other.at > call.at - 60_000 && other.charge !== "refund")
      let tokens = 0
      for (const other of before) {
        if (other.charge === "refund") continue
        const { total } = other.asked.estimate
        const used = other.endedSeq === undefined || other.endedSeq > call.seq ? undefined : other.charge
        if (other.at > call.at - 60_000) tokens += Math.min(total, used ?? total)
        if (used !== undefined && (other.endedAt ?? 0) > call.at - 60_000) tokens += Math.max(0, used - total)
      }
      const broken: Array<string> = []
      const most = (what: string, count: number, limit: number | undefined) => {
        if (limit !== undefined && count > limit)
          broken.push(`${show(call)}: ${owner} has ${count} ${what}, not ${limit}`)
      }
      most("calls", live, limits.concurrency)
      most("requests a minute", counted.length, limits.rpm)
      most("tokens a minute", tokens, limits.tpm)
      return broken
    })
  )

/** When each request through a pool was first sent to somebody who counted it. */
const grantsOf = (world: World, pool: string): ReadonlyArray<number> =>
  world.asked
    .filter((asked) => poolOf(asked) === pool)
    .map((asked) => callsOf(world, asked))
    .flatMap((calls) => calls.find(({ charge }) => charge !== "refund")?.at ?? [])
    .sort((a, b) => a - b)

const poolLimitsHold: Law = (world) =>
  Object.values(world.roots[0]?.pools ?? {}).flatMap(({ name, rateLimit }) => {
    if (rateLimit === undefined) return []
    const grants = grantsOf(world, name)
    return grants.flatMap((to, last) =>
      grants.slice(0, last + 1).flatMap((from, first) => {
        const count = last - first + 1
        const most =
          rateLimit.algorithm === "token_bucket"
            ? rateLimit.bucketSize + (rateLimit.refillRate * (to - from)) / 1_000
            : to - from < rateLimit.window
              ? rateLimit.limit
              : Number.POSITIVE_INFINITY
        return count > most + 1e-6 ? [`${name} let ${count} requests through from ${from} to ${to}`] : []
      })
    )
  })

const retriesStayInTheirBudget: Law = (world) =>
  Object.values(world.roots[0]?.pools ?? {}).flatMap(({ name, retryBudget }) => {
    const through = world.asked.filter((asked) => poolOf(asked) === name)
    // Who waits for capacity in a queue comes again, and counts again.
    if (through.some(({ target }) => target.kind === "wrapper")) return []
    const isRetry = (call: Call) =>
      call.kind === "call" &&
      world.calls.some((other) => other.asked === call.asked && (other.endedSeq ?? Number.POSITIVE_INFINITY) < call.seq)
    const retries = world.calls.filter((call) => through.includes(call.asked) && isRetry(call))
    return retries.flatMap((call) => {
      const since = Math.floor(call.at / 1_000) * 1_000 - 9_000
      const count = retries.filter((other) => other.seq <= call.seq && other.at >= since).length
      const requests = through.filter((asked) => asked.at >= since && asked.at <= call.at).length
      const most = Math.ceil(retryBudget.ratio * requests + retryBudget.minPerSecond * 10)
      return count > most ? [`${show(call)}: ${count} retries of ${name} in 10 s, not ${most}`] : []
    })
  })

// Who is asked.

const onlyWhoMayBeAsked: Law = ({ calls }) =>
  calls.flatMap((call) => {
    const { asked, seen } = call
    const { breaker } = seen
    const plan = asked.root.instances[call.instance]
    const { contextWindow, features } = plan?.model.capabilities ?? {}
    const broken: Array<string> = []
    const never = (is: boolean, what: string) => {
      if (is) broken.push(`${show(call)}, which ${what}`)
    }
    never(asked.input.tools !== undefined && features?.includes("tools") === false, "has no tools")
    never(seen.mustResume && features?.includes("prefill") !== true, "takes no prefill")
    never(!TokenEstimate.mayFit(asked.estimate, contextWindow), "has too small a window")
    never(seen.isDrained, "is drained")
    // An instance that became another one has another cooldown.
    if (call.root === asked.root) never(seen.coolingUntil > call.at, `cools until ${seen.coolingUntil}`)
    never(breaker?.state === "forced_open", "is forced open")
    never(breaker?.outBecause === "credential", "has no credential")
    if (poolOf(asked) === undefined) never(breaker?.state === "open", "has an open breaker")
    return broken
  })

const probesOf = (call: Call): number => {
  const group = call.echelon?.split(".")[0] ?? ""
  const most = [call.root, call.asked.root].map((root) => root.groups[group]?.fallback.breaker.halfOpenRequests ?? 1)
  return Math.max(...most)
}

const probesAreFew: Law = ({ calls, rest, samples }) => [
  ...[...samples, rest.sample].flatMap(({ at, breakers }) =>
    breakers.flatMap(([{ probes }, most]) => (probes > most || probes < 0 ? [`${probes} probes at ${at}`] : []))
  ),
  ...calls.flatMap((call) => {
    if (poolOf(call.asked) !== undefined || call.seen.breaker?.state !== "half_open") return []
    const undecided = calls.filter(
      (other) =>
        poolOf(other.asked) === undefined &&
        other.instance === call.instance &&
        other.echelon?.split(".")[0] === call.echelon?.split(".")[0] &&
        other.seen.breaker?.state === "half_open" &&
        isLiveAt(other, call.seq) &&
        (other.committedSeq === undefined || other.committedSeq > call.seq)
    )
    return undecided.length > probesOf(call) ? [`${show(call)}: one of ${undecided.length} probes`] : []
  })
]

const panicIsAlone: Law = ({ calls, roots }) => {
  const panics = calls.filter(({ asked, seen }) => {
    const pool = poolOf(asked)
    return pool !== undefined && asked.root.pools[pool]?.fallback.maxEjected === 1 && seen.breaker?.state === "open"
  })
  if (roots.length > 1) return []
  return panics.flatMap((call) => {
    const pool = poolOf(call.asked)
    const beside = panics.filter((other) => poolOf(other.asked) === pool && isLiveAt(other, call.seq))
    return beside.length > 1 ? [`${show(call)}: one of ${beside.length} in panic`] : []
  })
}

// What a request may spend.

/** The echelons that a request may reach, with the attempts each allows, as tiers. */
const tiersOf = (asked: Asked): ReadonlyArray<{ readonly priority: string; readonly attempts: number }> => {
  const { root } = asked
  const pool = poolOf(asked)
  const plan = pool === undefined ? undefined : root.pools[pool]
  if (plan !== undefined) {
    const all = plan.taskGroups.flatMap((name) => root.groups[name]?.echelons ?? [])
    return [...new Set(all.map(({ priority }) => priority))].map((priority) => ({
      priority: String(priority),
      attempts: 1 + Math.max(...all.filter((one) => one.priority === priority).map(({ maxRetries }) => maxRetries))
    }))
  }
  const reference = groupOf(asked)
  if (reference === undefined) return [{ priority: "direct", attempts: 1 }]
  const [name = "", start] = reference.split(".")
  const group = root.groups[name]
  const first = `${name}.${start ?? group?.echelons[0]?.name}`
  const { echelons = [], strategy } = group?.fallback ?? {}
  const walked = strategy === "none" ? [first] : [first, ...echelons.slice(echelons.indexOf(first) + 1)]
  return [...new Set(walked)].map((one) => ({ priority: one, attempts: 1 + (echelonOf(root, one)?.maxRetries ?? -1) }))
}

const attemptsAreBounded: Law = (world) =>
  world.asked.flatMap((asked) => {
    const calls = callsOf(world, asked)
    const pool = poolOf(asked)
    const group = groupOf(asked)?.split(".")[0]
    const groups = pool === undefined ? [group ?? ""] : (asked.root.pools[pool]?.taskGroups ?? [])
    const totals = groups.flatMap((name) => asked.root.groups[name]?.fallback.maxTotalAttempts ?? [])
    const own = asked.input.metadata?.maxTotalAttempts
    const broken: Array<string> = []
    const most = (what: string, count: number, limit: number | undefined) => {
      if (limit !== undefined && count > limit)
        broken.push(
          `request ${asked.id} (${asked.target.name}, ${asked.input.metadata?.onInterrupt}): ${count} ${what}, not ${limit}: ${calls.map((c) => `${c.kind[0]} ${c.instance} ${c.echelon} ${c.outcome?._tag}${c.committedSeq === undefined ? "" : "!"} ${c.seen.breaker?.state}`).join("; ")}`
        )
    }
    most("attempts of its own", calls.length, own)
    most("attempts of its group", calls.length, totals.length === 0 ? undefined : Math.min(...totals))
    if (world.hasPins) return broken
    const tiers = tiersOf(asked)
    most(
      "attempts in all",
      calls.length,
      tiers.reduce((sum, { attempts }) => sum + attempts, 0)
    )
    const fallback = pool === undefined ? undefined : asked.root.pools[pool]?.fallback
    const tierOf = (call: Call) =>
      pool === undefined ? String(call.echelon) : String(echelonOf(asked.root, call.echelon)?.priority)
    const used = [...new Set(calls.map(tierOf))]
    most(
      "tiers",
      used.length,
      fallback?.strategy === "none"
        ? 1
        : group === undefined
          ? undefined
          : asked.root.groups[group]?.fallback.maxAttempts
    )
    for (const tier of used) {
      const here = calls.filter((call) => tierOf(call) === tier)
      most(`attempts in ${tier}`, here.length, tiers.find(({ priority }) => priority === tier)?.attempts)
      most(`instances in ${tier}`, new Set(here.map(({ instance }) => instance)).size, fallback?.maxInstanceAttempts)
    }
    return broken
  })

const moneyIsBounded: Law = ({ calls }) =>
  calls.flatMap((call) => {
    const { maxCost = Number.POSITIVE_INFINITY } = call.asked.input.metadata ?? {}
    return call.seen.spent < maxCost ? [] : [`${show(call)}: ${call.seen.spent} of ${maxCost} USD were spent`]
  })

const nothingIsSentTooLate: Law = ({ calls }) =>
  calls.flatMap((call) => {
    const { deadline = Number.POSITIVE_INFINITY, endedSeq, irrevocableSeq, stoppedSeq } = call.asked
    const broken: Array<string> = []
    const never = (is: boolean, when: string) => {
      if (is) broken.push(`${show(call)}, ${when}`)
    }
    const committed = calls.find(
      (other) => other.asked === call.asked && other !== call && (other.committedSeq ?? call.seq) < call.seq
    )
    const hasBroken = committed?.outcome?._tag === "Failed" && (committed.endedSeq ?? call.seq) < call.seq
    never(committed === undefined && call.at >= deadline, `after its deadline at ${deadline}`)
    never(committed !== undefined && !hasBroken, "beside one who answers")
    never((endedSeq ?? Number.POSITIVE_INFINITY) < call.seq, "after its end")
    never((stoppedSeq ?? Number.POSITIVE_INFINITY) < call.seq, "after its caller left")
    never((irrevocableSeq ?? Number.POSITIVE_INFINITY) < call.seq, "after a tool call was delivered")
    return broken
  })

// How a request ends.

const everyRequestEnds: Law = (world) =>
  world.asked.flatMap((asked) => {
    const { deadline, endedAt, exit, id } = asked
    const calls = callsOf(world, asked)
    const broken: Array<string> = []
    const must = (is: boolean, what: string) => {
      if (!is) broken.push(`request ${id} (${asked.target.name}, ${asked.stop}, ${asked.steps} steps): ${what}`)
    }
    must(exit !== undefined, `has not ended: ${calls.map(show).join("; ")}`)
    if (exit === undefined) return broken
    const isCommitted = calls.some(({ committedSeq }) => committedSeq !== undefined)
    if (deadline !== undefined && !isCommitted)
      must((endedAt ?? 0) < deadline + 1, `ended at ${endedAt}, not by ${deadline}`)
    must(asked.leftover === 0, `left ${asked.leftover} calls behind when it was stopped`)
    must(asked.ends === (asked.isOpened ? 1 : 0), `its reply ended ${asked.ends} times`)
    const open = calls[0]?.recorder.snapshot(0).filter(({ outcome }) => outcome === "open") ?? []
    must(open.length === 0, "its route stays open")
    const error = failureOf(asked)
    if (error !== undefined) {
      must(error.route !== undefined, `fails without a route: ${error.message}`)
      must(error.reason._tag !== "Cancelled" || asked.stop === "scope", `is cancelled: ${error.message}`)
    } else if (Exit.isFailure(exit)) {
      const isBroken = /a broken adapter/.test(String(exit.cause))
      must(isBroken || (asked.stop === "interrupt" && asked.stoppedSeq !== undefined), `dies: ${exit.cause}`)
    }
    const route = asked.route ?? error?.route
    if (route === undefined || !isSteady(asked)) return broken
    must(
      route.every(({ outcome }) => outcome !== "open"),
      `tells a route that is open: ${JSON.stringify(route)}, ${error?.message}, ${JSON.stringify(asked.input.metadata)}`
    )
    must(
      route.map(({ instance }) => instance).join() === calls.map(({ instance }) => instance).join(),
      `tells ${route.map(({ instance }) => instance)}, but asked ${calls.map(({ instance }) => instance)}`
    )
    return broken
  })

const shuttingDownIsInTime: Law = ({ calls, shutdown }) =>
  shutdown === undefined
    ? []
    : calls.flatMap((call) => {
        const { asked, endedAt = Number.POSITIVE_INFINITY } = call
        const broken: Array<string> = []
        if (asked.at > shutdown.from) broken.push(`${show(call)}, admitted after ${shutdown.from}`)
        if (endedAt > shutdown.to) broken.push(`${show(call)}, not by ${shutdown.to}`)
        return broken
      })

/** Whether what was delivered is the beginning of what each model in turn says. */
const isTrue = (asked: Asked, model: (instance: string) => string, first: ReadonlyArray<string>): boolean => {
  let text = ""
  let from = ""
  let mode: string | undefined
  let truths = first.map(model)
  const fits = () => {
    if (text === "") return true
    if (mode !== "resume") return truths.some((truth) => truth.startsWith(text))
    // The prefill ends without white space; what the continuation says of it again is dropped.
    return truths.some((truth) => {
      let at = from.trimEnd().length
      while (at < from.length && truth[at] === from[at]) at += 1
      return truth.startsWith(text.slice(from.length), at)
    })
  }
  for (const part of asked.parts) {
    if (part.type === "text-delta") text += part.delta
    const seam = seamOf(part)
    if (seam === undefined) continue
    if (!fits()) return false
    from = text
    mode = seam.mode
    truths = [model(seam.to)]
  }
  return fits()
}

const whatIsDeliveredIsTrue: Law = (world) =>
  world.asked.flatMap((asked) => {
    const { answer, exit, id, isStreamed, parts, take } = asked
    const broken: Array<string> = []
    const must = (is: boolean, what: string) => {
      if (!is) broken.push(`request ${id} (${asked.target.name}): ${what}`)
    }
    const calls = callsOf(world, asked)
    const model = (instance: string) => truthOf(calls.find((call) => call.instance === instance)?.model ?? "")
    const error = failureOf(asked)
    const isWhole = exit !== undefined && Exit.isSuccess(exit)
    const { text } = LlmReply.toAnswer(parts, [])
    const isFull = ({ finishReason, text }: LlmReply.Answer, truth: string) =>
      finishReason === "stop" ? text === truth : truth.startsWith(text)
    if (answer !== undefined) {
      must(answer.content.filter(({ type }) => type === "finish").length === 1, "has not one finish")
      must(isFull(answer, model(answer.instance)), `${answer.instance} did not say ${JSON.stringify(answer.text)}`)
      must(calls.find(({ outcome }) => outcome?._tag === "Completed")?.instance === answer.instance, "is another's")
    }
    if (!isStreamed || take !== undefined) return broken
    const finishes = parts.filter(({ type }) => type === "finish").length
    if (error !== undefined || isWhole) must(finishes === (isWhole ? 1 : 0), `${finishes} finishes, ${error?.message}`)
    must(finishes === 0 || parts.at(-1)?.type === "finish", "goes on after its finish")
    const committed = calls.filter(({ committedSeq }) => committedSeq !== undefined).map(({ instance }) => instance)
    must(isTrue(asked, model, committed), `nobody said ${JSON.stringify(text)}`)
    if (error !== undefined && asked.isOpened) must(error.delivered === text, `tells ${error.delivered}, not ${text}`)
    return broken
  })

export const laws: Readonly<Record<string, Law>> = {
  "at rest nothing is held, counted, waited for or slept for": nothingIsLeft,
  "when all is well again everything answers": allIsWellAgain,
  "in-flight counts equal live calls": ({ samples }) => samples.flatMap(counts),
  "no limit of an echelon or an instance is exceeded": limitsHold,
  "no limit of a pool is exceeded": poolLimitsHold,
  "retries stay in their budget": retriesStayInTheirBudget,
  "only who may be asked is asked": onlyWhoMayBeAsked,
  "half-open takes no more than its probes": probesAreFew,
  "one request at a time panics": panicIsAlone,
  "attempts are bounded": attemptsAreBounded,
  "money is bounded": moneyIsBounded,
  "nothing is sent too late": nothingIsSentTooLate,
  "every request ends, with its route": everyRequestEnds,
  "shutting down admits nobody, and ends everything in time": shuttingDownIsInTime,
  "what is delivered is true, and ends once": whatIsDeliveredIsTrue
}

/** What a run has broken, a law and its first witnesses a line. */
export const broken = (world: World): string =>
  Object.entries(laws)
    .flatMap(([name, law]) =>
      law(world)
        .slice(0, 3)
        .map((found) => `NOT ${name}: ${found}`)
    )
    .join("\n")
