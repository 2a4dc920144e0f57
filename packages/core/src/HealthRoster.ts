/**
 * Every instance of a plan with what is known of its health: who is to be probed next, and what follows from what is
 * heard. It waits for nothing and asks nobody; `HealthChecker` does.
 *
 * @since 0.1.0
 */
import type * as CircuitBreakerState from "./CircuitBreakerState.ts"
import * as FailureClass from "./FailureClass.ts"
import * as HealthBudget from "./HealthBudget.ts"
import * as HealthEntry from "./HealthEntry.ts"
import * as HealthProbes from "./HealthProbes.ts"
import * as HealthProvider from "./HealthProvider.ts"
import * as HealthSchedule from "./HealthSchedule.ts"
import * as HealthState from "./HealthState.ts"
import type * as InstanceState from "./InstanceState.ts"
import type * as Plan from "./Plan.ts"
import type * as Reason from "./Reason.ts"
import type * as StateChange from "./StateChange.ts"
import type * as StateRegistry from "./StateRegistry.ts"

type Entry = HealthEntry.Entry
type Group = HealthEntry.Group
type Task = HealthEntry.Task
type Result = HealthEntry.Result

interface Provider {
  readonly members: Set<Entry>
  state: HealthProvider.State
}

/**
 * The roster. Its owner calls it when something happened; it calls `wake` when something is due sooner than before.
 *
 * @since 0.1.0
 * @category models
 */
export class Roster {
  readonly entries = new Map<string, Entry>()
  private readonly groups = new Map<string, Group>()
  private readonly providers = new Map<string, Provider>()
  /** Providers of which something changed. */
  private readonly doubted = new Set<string>()
  /** What may be spent on probes. */
  readonly purse = new HealthBudget.Purse()
  private readonly schedule = new HealthSchedule.Schedule<Entry>()
  private readonly registry: StateRegistry.StateRegistry
  private readonly random: () => number
  private readonly wake: () => void
  private root: Plan.Root | undefined

  constructor(registry: StateRegistry.StateRegistry, random: () => number, wake: () => void) {
    this.registry = registry
    this.random = random
    this.wake = wake
  }

  // What happened.

  /** Takes on a plan. What stays the same keeps what is known of it. */
  apply(root: Plan.Root, now: number): void {
    this.root = root
    const settings = HealthProbes.settingsOf(root)
    for (const entry of [...this.entries.values()])
      if (root.instances[entry.name] === undefined) this.remove(entry, "it is not configured any more", now)
    for (const plan of Object.values(root.instances)) {
      const instance = this.registry.instance(plan)
      const known = this.entries.get(plan.name)
      const own = settings.get(plan.name) ?? HealthProbes.unchecked
      if (known?.instance !== instance) {
        if (known !== undefined) this.remove(known, "it was configured anew", now)
        this.add(plan, instance, own, now)
        continue
      }
      known.plan = plan
      known.settings = own
      for (const group of known.open.keys()) {
        const isNamed = root.groups[group]?.echelons.some(({ instances }) => instances.includes(known.name)) === true
        if (!isNamed) known.open.delete(group)
      }
      // Whoever changed the plan may have mended what was refused.
      if (HealthState.isRefused(known.state)) HealthState.reset(known.state, now)
    }
    this.purse.keep(new Set([...settings.values()].flatMap((one) => one.payers.map(({ name }) => name))))
    for (const entry of this.entries.values()) {
      this.judge(entry, now)
      this.look(entry, now)
    }
  }

  private add(plan: Plan.Instance, instance: InstanceState.InstanceState, own: HealthProbes.Settings, now: number) {
    const entry: Entry = {
      name: plan.name,
      since: now,
      state: HealthState.make(now),
      instance,
      provider: plan.provider.name,
      credential: plan.credential.name,
      plan,
      settings: own,
      open: new Map(),
      isProbing: false,
      probedAt: undefined,
      askedAt: undefined,
      outProbes: 0,
      outProbedAt: undefined,
      chance: this.random(),
      due: Number.POSITIVE_INFINITY,
      deafen: () => {}
    }
    const { heard } = instance.health
    const hears: InstanceState.Health["heard"] = (verdict, reason, firstOutput, at) => {
      heard?.(verdict, reason, firstOutput, at)
      this.heard(entry, verdict, reason, firstOutput, at)
    }
    instance.health.heard = hears
    entry.deafen = () => {
      if (instance.health.heard === hears) instance.health.heard = heard
    }
    this.entries.set(plan.name, entry)
    const group = this.groupOf(entry)
    group.members.add(entry)
    // It may be of another kind than those before it.
    group.usual = undefined
    this.providerOf(entry, now).members.add(entry)
    for (const { breaker, group } of this.registry.breakersOf(plan.name)) this.heed(entry, group, breaker.snapshot(now))
  }

  private remove(entry: Entry, message: string | undefined, now: number): void {
    this.entries.delete(entry.name)
    this.schedule.set(entry, Number.POSITIVE_INFINITY)
    entry.deafen()
    entry.instance.health.isOut = false
    const group = this.groupOf(entry)
    group.members.delete(entry)
    if (group.members.size === 0) this.groups.delete(HealthEntry.key(entry))
    const { state } = entry
    if (message !== undefined && state.status !== "unknown") this.tell(entry, state.status, "unknown", message, now)
    const provider = this.providerOf(entry, now)
    provider.members.delete(entry)
    if (message !== undefined) this.judgeProvider(entry.provider, now)
    if (provider.members.size === 0) this.providers.delete(entry.provider)
  }

  /** Lets go of every instance. */
  close(now: number): void {
    for (const entry of [...this.entries.values()]) this.remove(entry, undefined, now)
  }

  private heard(
    entry: Entry,
    verdict: CircuitBreakerState.Verdict,
    reason: Reason.Reason | undefined,
    firstOutput: number | undefined,
    now: number
  ): void {
    const { state } = entry
    if (verdict === "success") {
      HealthState.succeeded(state, firstOutput, now)
      if (HealthState.mattersNow(state) || this.providers.get(entry.provider)?.state.isDown === true)
        this.judge(entry, now)
    } else if (verdict === "ignored" || reason === undefined) HealthState.ignored(state, now)
    else {
      const isOut = state.status === "unhealthy"
      HealthState.failed(state, reason, now)
      // One that is out stays out.
      if (!isOut) this.judge(entry, now)
    }
  }

  /** Hears of a change of the state of everything. */
  changed(change: StateChange.StateChange): void {
    const { at } = change
    switch (change._tag) {
      case "Swapped": {
        const root = this.registry.plan()
        if (root !== undefined) this.apply(root, at)
        return
      }
      case "Breaker":
        this.touch(change.instance, at, (entry) => this.heed(entry, change.group, change.snapshot))
        return
      case "Cooldown":
      case "Drained":
        this.touch(change.instance, at, () => {})
        return
      case "Reset":
        for (const { name } of [...this.entries.values()]) {
          if (change.instance !== undefined && change.instance !== name) continue
          this.touch(name, at, ({ state }) => HealthState.reset(state, at))
        }
        return
      default:
        return
    }
  }

  private touch(name: string, now: number, f: (entry: Entry) => void): void {
    const entry = this.entries.get(name)
    if (entry === undefined) return
    f(entry)
    this.judge(entry, now)
    this.look(entry, now)
  }

  /** What somebody forced open or closed is no matter of health. */
  private heed(entry: Entry, group: string, snapshot: CircuitBreakerState.Snapshot): void {
    if (snapshot.state === "open" || snapshot.state === "half_open") entry.open.set(group, snapshot)
    else entry.open.delete(group)
  }

  // How they do.

  private judge(entry: Entry, now: number): void {
    const { instance, settings, state } = entry
    const change = HealthState.judge(state, HealthEntry.facts(entry), settings, now)
    instance.health.isOut = settings.isChecked && state.status === "unhealthy"
    if (!HealthState.isFailing(state) && entry.open.size === 0) {
      entry.outProbes = 0
      entry.outProbedAt = undefined
    }
    if (change !== undefined) {
      this.tell(entry, change.from, change.to, change.message, now)
      this.look(entry, now)
    }
    if (change === undefined && this.providers.get(entry.provider)?.state.isDown !== true) return
    // Not on a request's way: a provider may have thousands.
    this.doubted.add(entry.provider)
    this.wake()
  }

  private tell(
    { name, provider }: Entry,
    from: StateChange.HealthStatus,
    to: StateChange.HealthStatus,
    message: string,
    at: number
  ): void {
    this.registry.emit({ _tag: "Health", instance: name, provider, from, to, message, at })
  }

  /** Judges the providers of which something changed. */
  settleProviders(now: number): void {
    for (const name of this.doubted) {
      this.doubted.delete(name)
      this.judgeProvider(name, now)
    }
  }

  private judgeProvider(name: string, now: number): void {
    const provider = this.providers.get(name)
    if (provider === undefined) return
    const members = [...provider.members].map((one) => HealthProvider.memberOf(one.name, one.state))
    const before = provider.state
    provider.state = HealthProvider.judge(before, members, now)
    const { instances, isDown, message } = provider.state
    if (isDown === before.isDown) return
    this.registry.emit({ _tag: "ProviderHealth", provider: name, isDown, instances, message, at: now })
  }

  groupOf(entry: Entry): Group {
    const key = HealthEntry.key(entry)
    const found = this.groups.get(key) ?? {
      members: new Set(),
      probes: 0,
      hasNoList: false,
      chance: this.random()
    }
    this.groups.set(key, found)
    return found
  }

  private providerOf({ provider }: Entry, now: number): Provider {
    const found = this.providers.get(provider) ?? { members: new Set(), state: HealthProvider.make(now) }
    this.providers.set(provider, found)
    return found
  }

  /** How a provider does. */
  providerStates(now: number): ReadonlyArray<readonly [string, HealthProvider.State]> {
    this.settleProviders(now)
    return [...this.providers].map(([name, { state }]) => [name, state] as const)
  }

  /** Judges an instance as it stands. */
  standing(entry: Entry, now: number): HealthState.State {
    this.judge(entry, now)
    return entry.state
  }

  // Who is probed.

  /** Has an entry looked at as soon as possible. */
  private look(entry: Entry, now: number): void {
    this.at(entry, now)
  }

  private at(entry: Entry, time: number): void {
    // A timer does not tell parts of a millisecond apart, and would be early by one.
    const at = Math.ceil(time)
    const isSooner = at < this.schedule.first()
    this.schedule.set(entry, at)
    if (isSooner) this.wake()
  }

  /** When somebody is to be looked at next. */
  nextAt(): number {
    return this.schedule.first()
  }

  /** The next probe that is due, if one is. Its budget is spent and it counts as begun. */
  next(now: number): Task | undefined {
    for (let entry = this.schedule.take(now); entry !== undefined; entry = this.schedule.take(now)) {
      const task = this.visit(entry, now)
      if (task !== undefined) return task
    }
    return undefined
  }

  private visit(entry: Entry, now: number): Task | undefined {
    this.judge(entry, now)
    const { settings, state } = entry
    const group = this.groupOf(entry)
    let at = HealthState.judgeAt(state, HealthEntry.facts(entry), settings, now)
    let isHelpless = !this.mayProbe(entry)
    let task: Task | undefined
    // While one of its group is probed, its end brings this one here again.
    if (!isHelpless && group.probes === 0 && !entry.isProbing) {
      const want = HealthEntry.want(entry, group, now)
      if (want.at > now) at = Math.min(at, want.at)
      else {
        const chosen = want.isIdle ? this.longestUnasked(entry, group, now) : entry
        const kind = HealthEntry.kind(chosen, group, want.isIdle)
        const until = this.charge(chosen, kind, want.isIdle, now)
        if (until === undefined) task = { entry: chosen, kind, isIdle: want.isIdle }
        else {
          isHelpless = true
          at = Math.min(at, until)
        }
      }
    }
    if (isHelpless && state.status === "unhealthy" && state.outSince !== undefined) {
      const trial = state.outSince + settings.recoveryTime * HealthProbes.jitter(entry.chance)
      if (now < trial) at = Math.min(at, trial)
      else if (HealthState.tried(state)) {
        this.judge(entry, now)
        at = now + HealthState.calm
      }
    }
    if (at > now) this.at(entry, at)
    if (task !== undefined) this.begin(task)
    return task
  }

  private mayProbe(entry: Entry): boolean {
    const { name, plan, settings } = entry
    const { usual } = this.groupOf(entry)
    return settings.isActive && HealthProbes.kindOf(plan, usual) !== "none" && !this.registry.isDrained(name)
  }

  /** Of those that are due and idle under one credential the one that was asked longest ago, so that each has its turn. */
  private longestUnasked(entry: Entry, group: Group, now: number): Entry {
    let found = entry
    for (const one of group.members) {
      if (one.isProbing || (one.askedAt ?? 0) >= (found.askedAt ?? 0) || !this.mayProbe(one)) continue
      const { at, isIdle } = HealthEntry.want(one, group, now)
      if (isIdle && at <= now) found = one
    }
    return found
  }

  /** Charges a probe; otherwise tells when it may be made, `Infinity` when never. */
  charge({ plan, settings }: Entry, kind: HealthProbes.Kind, isIdle: boolean, now: number): number | undefined {
    return this.purse.charge(settings.payers, { usd: HealthProbes.costOf(kind, plan.model.prices), isIdle }, now)
  }

  /** Charges a question that is asked because a list was refused: nobody stops in the middle. */
  chargeMore({ plan, settings }: Entry, now: number): void {
    this.purse.insist(settings.payers, { usd: HealthProbes.costOf("ping", plan.model.prices), isIdle: false }, now)
  }

  /** Notes that a probe has begun. */
  begin({ entry }: Task): void {
    entry.isProbing = true
    this.groupOf(entry).probes += 1
  }

  /** Notes that nothing came of a probe. */
  abandon({ entry }: Task, now: number): void {
    this.settle(entry, now)
  }

  private settle(entry: Entry, now: number): void {
    entry.isProbing = false
    const group = this.groups.get(HealthEntry.key(entry))
    if (group === undefined) return
    group.probes = Math.max(0, group.probes - 1)
    group.chance = this.random()
    for (const one of group.members) this.look(one, now)
  }

  /** Takes in what a probe found, and what it tells of those under the same credential. */
  finish({ entry, isIdle }: Task, result: Result, now: number): void {
    if (this.entries.get(entry.name) === entry) {
      const { isListRefused, kind, latency, reason, usual } = result
      const group = this.groupOf(entry)
      if (usual !== undefined) group.usual = usual
      entry.askedAt = now
      if (isListRefused && reason === undefined) group.hasNoList = true
      const proves = HealthProbes.proves(kind, entry.state.cause?._tag)
      this.learn(entry, { reason, latency, proves }, kind, !isIdle, now)
      const isRefusedToAll =
        isListRefused && reason?._tag === "Authentication" && HealthProbes.kindOf(entry.plan) === "models"
      if (reason === undefined || isRefusedToAll || HealthProbes.isShared(kind, reason))
        for (const one of group.members) if (one !== entry) this.share(one, result, now)
    }
    this.settle(entry, now)
  }

  private learn(entry: Entry, probe: HealthState.Probe, kind: HealthProbes.Kind, isOut: boolean, now: number): void {
    HealthState.probed(entry.state, probe, entry.settings, now)
    entry.probedAt = now
    if (isOut) {
      entry.outProbes += 1
      entry.outProbedAt = now
    }
    const { reason } = probe
    if (reason === undefined || FailureClass.of(reason).breaker !== "ignored")
      this.tellBreakers(entry, reason === undefined, kind, now)
    this.judge(entry, now)
  }

  /** What one found holds for another, unless requests tell more of that one. */
  private share(one: Entry, { kind, reason }: Result, now: number): void {
    const { open, settings, state } = one
    const isOut = state.status === "unhealthy" || open.size > 0
    const isBusy = state.trafficAt !== undefined && now - state.trafficAt < settings.interval
    if (one.isProbing || (isBusy && !isOut)) return
    if (reason !== undefined) {
      this.learn(one, { reason, latency: undefined, proves: false }, "models", isOut, now)
      return
    }
    const tag = state.cause?._tag
    // Whose own question would prove more is asked itself.
    if (isOut && kind === "ping" && tag !== "Network") return
    this.learn(one, { reason, latency: undefined, proves: HealthProbes.proves("models", tag) }, "models", false, now)
  }

  /** Nobody's force is undone, and the time a breaker stays open is its own. */
  private tellBreakers(entry: Entry, ok: boolean, kind: HealthProbes.Kind, now: number): void {
    for (const group of [...entry.open.keys()]) {
      const plan = this.root?.groups[group]
      if (plan === undefined) continue
      const breaker = this.registry.breaker(plan, entry.name)
      const { cause, reason, state, until } = breaker.snapshot(now)
      if ((state !== "open" && state !== "half_open") || until !== undefined) continue
      if (!ok) breaker.probed(false, now, this.random)
      else if (cause !== "slow_calls" && HealthProbes.proves(kind, reason)) breaker.probed(true, now, this.random)
    }
  }
}
