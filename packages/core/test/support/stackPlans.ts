/** Plans made at random, and as somebody has edited them, for properties of whole stacks. */
import { Clocks, type LlmRequest, Plan, Plans } from "@echelon/core"
import type { dice } from "./dice.ts"

export type Dice = ReturnType<typeof dice>
export type NonEmpty<A> = readonly [A, ...Array<A>]

/** What a run is full of. Shares are 0 to 1. */
export interface Profile {
  readonly requests: number
  /** Share of calls that answer well. */
  readonly healthy: number
  /** Share of owners with a limit of each kind. */
  readonly limits: number
  /** Share of groups whose breakers open soon. */
  readonly breakers: number
  readonly hedge: number
  /** Share of requests that are interrupted, or whose scope is closed, or that stop reading. */
  readonly leaves: number
  readonly targets: NonEmpty<Target["kind"]>
  readonly controls: number
  readonly swap: number
  readonly shutdown: number
}

export interface Target {
  readonly kind: "wrapper" | "pool" | "group" | "direct"
  readonly name: string
}

/** One of a list that is known to hold something. */
export const oneOf = <A>({ below }: Dice, items: ReadonlyArray<A>): A => {
  const found = items[below(items.length)]
  if (found === undefined) throw new RangeError("stackPlans.oneOf: items must not be empty")
  return found
}

export const times = <A>(n: number, f: (i: number) => A): ReadonlyArray<A> => Array.from({ length: n }, (_, i) => f(i))

const limitsOf = ({ below, of, random }: Dice, share: number): Plan.Limits => {
  const perhaps = (value: number) => (random() < share ? value : undefined)
  return {
    concurrency: perhaps(1 + below(3)),
    rpm: perhaps(1 + below(6)),
    tpm: random() < 0.5 ? perhaps(of([2_500, 5_000])) : undefined,
    rpd: undefined
  }
}

export const onInterrupts: NonEmpty<ReadonlyArray<LlmRequest.OnInterrupt>> = [
  ["fail"],
  ["restart"],
  ["resume"],
  ["resume", "restart"],
  ["restart", "resume", "fail"]
]

/** A plan made at random: small limits, short clocks, everything that a group, a pool or a wrapper can say. */
export const planOf = (die: Dice, profile: Profile): Plan.Root => {
  const { below, of, random } = die
  const some = <A>(items: ReadonlyArray<A>): ReadonlyArray<A> => {
    const from = below(items.length)
    return [...items.slice(from), ...items.slice(0, from)].slice(0, 1 + below(items.length))
  }
  const scopes = ["model", "model", "credential", "provider"] as const
  const providers = ["one", "two"].map((name) =>
    Plans.provider({
      name,
      kind: "scripted",
      limitScope: of(scopes),
      maxCooldown: of([3_000, 3_000, 60_000, 3_600_000])
    })
  )
  const instances = times(2 + below(5), (i) =>
    Plans.instance({
      name: `i${i}`,
      provider: oneOf(die, providers),
      alias: `i${i}`,
      model: Plans.model({
        model: of(["sky", "sky", "sea"]),
        capabilities: {
          features: of([undefined, ["tools", "prefill"], ["prefill"], []]),
          contextWindow: of([undefined, undefined, undefined, 1_000, 4_000])
        },
        prices: { input: 1_000, output: 1_000 },
        weight: 1 + below(3),
        limits: limitsOf(die, profile.limits / 2)
      })
    })
  )
  const names = instances.map(({ name }) => name)
  const echelonOf = (group: string, n: number) =>
    Plans.echelon(group, n, some(names).slice(0, 3), {
      limits: limitsOf(die, profile.limits),
      clocks: Clocks.make({
        timeout: of([500, 2_000, 8_000]),
        ttftTimeout: of([undefined, undefined, 400, 1_500]),
        idleTimeout: of([300, 2_000]),
        streamTimeout: of([undefined, undefined, 5_000]),
        consumerIdleTimeout: of([1_000, 10_000])
      }),
      maxRetries: below(4),
      rotation: oneOf(die, Plan.rotations),
      upstream: of(["as_asked", "stream"]),
      hedge: random() < profile.hedge ? { percentile: 0.5, minDelay: of([10, 60]), budget: 1 } : undefined
    })
  const sizes = times(1 + below(3), () => 1 + below(3))
  const references = sizes.flatMap((size, g) => times(size, (n) => `g${g}.echelon${n + 1}`))
  const groups = sizes.map((size, g) => {
    const delay = of([10, 300])
    const easily = random() < profile.breakers
    return Plans.group(
      `g${g}`,
      times(size, (n) => echelonOf(`g${g}`, n + 1)),
      {
        strategy: of(["echelon_down", "echelon_down", "echelon_down", "none"]),
        ...(random() < 0.3 ? { echelons: some(references), maxAttempts: 1 + below(3) } : {}),
        retryDelay: delay,
        retryMaxDelay: delay * 4,
        maxTotalAttempts: of([undefined, undefined, 1 + below(5)]),
        maxRetryAfterWait: of([0, 1_500, 5_000]),
        contentPolicyFallback: random() < 0.5,
        onInterrupt: of(onInterrupts),
        commit: of(["first_output", "first_output", "finish"]),
        breaker: {
          failureThreshold: easily ? 1 + below(2) : 20,
          recoveryTime: of([300, 3_000]),
          maxRecoveryTime: 10_000,
          halfOpenRequests: 1 + below(2),
          failureRate: easily ? of([undefined, 0.5]) : undefined,
          window: of([1_000, 30_000]),
          minimumRequests: 2,
          slowCall: easily ? of([undefined, 200]) : undefined,
          slowRate: 0.5
        }
      }
    )
  })
  const pools = times(2, (i) =>
    Plans.pool(`p${i}`, some(groups.map(({ name }) => name)), {
      rotation: oneOf(die, Plan.rotations),
      fallback: {
        strategy: of(["instance_rotation", "instance_rotation", "instance_rotation", "none"]),
        maxInstanceAttempts: 1 + below(3),
        maxEjected: of([1, 1, 0.5, 0])
      },
      retryBudget: { ratio: of([0, 0.2, 1]), minPerSecond: of([0.1, 10]) },
      rateLimit:
        random() < profile.limits
          ? of([
              { algorithm: "token_bucket", bucketSize: 1 + below(4), refillRate: of([0.3, 2]) } as const,
              { algorithm: "sliding_window", limit: 1 + below(5), window: of([2_000, 60_000]) } as const
            ])
          : undefined,
      slowStart: { duration: of([0, 5_000]), minShare: 0.1 },
      sticky: { loadBound: 1.25, ttl: 10_000 }
    })
  )
  const wrappers = times(2, (i) =>
    Plans.wrapper(
      `w${i}`,
      of([
        { kind: "pool", name: `p${below(2)}` },
        { kind: "group", name: `g${below(groups.length)}` }
      ] as const),
      {
        requestTimeout: of([undefined, 1_500, 6_000, 100_000]),
        maxConcurrentRequests: of([undefined, 1, 2, 3]),
        queueSize: below(5),
        tenants: { t0: 1, t1: 3 }
      }
    )
  )
  return { ...Plans.root({ instances, groups, pools, wrappers }), shutdownGrace: of([0, 2_000, 30_000]) }
}

/** The plan after somebody has edited it: other numbers, something gone, something that is another one now. */
export const edited = (die: Dice, profile: Profile, root: Plan.Root): Plan.Root => {
  const { below, random } = die
  const renumbered = (limits: Plan.Limits): Plan.Limits => ({
    ...limits,
    concurrency: limits.concurrency === undefined ? undefined : 1 + below(3),
    rpm: limits.rpm === undefined ? undefined : 1 + below(6)
  })
  const lessOne = <A>(items: Readonly<Record<string, A>>): ReadonlyArray<A> => {
    const all = Object.values(items)
    return all.length > 1 && random() < 0.3 ? all.slice(1) : all
  }
  const fresh = planOf(die, profile)
  return {
    ...Plans.root({
      instances: lessOne(root.instances).map((one) => ({
        ...one,
        provider: random() < 0.2 ? { ...one.provider, baseUrl: "http://elsewhere" } : one.provider,
        model: { ...one.model, limits: renumbered(one.model.limits) }
      })),
      groups: lessOne(root.groups).map((one) => ({
        ...one,
        fallback: { ...one.fallback, breaker: { ...one.fallback.breaker, halfOpenRequests: 1 + below(2) } },
        echelons: one.echelons.map((echelon) => ({
          ...echelon,
          maxRetries: below(4),
          limits: renumbered(echelon.limits)
        }))
      })),
      pools: lessOne(root.pools).map((one) => ({ ...one, rotation: fresh.pools["p0"]?.rotation ?? one.rotation })),
      wrappers: lessOne(root.wrappers).map((one) => ({
        ...one,
        maxConcurrentRequests: fresh.wrappers[one.name]?.maxConcurrentRequests,
        queueSize: below(5)
      }))
    }),
    shutdownGrace: root.shutdownGrace
  }
}
