import * as FairQueue from "@echelon/core/FairQueue"
import { expect, it } from "@effect/vitest"
import { Schema } from "effect"

type Queue = FairQueue.FairQueue<number>

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))
const anyPriority = Schema.Literals(["critical", "normal", "batch"])
const anyTenant = Schema.Literals(["a", "b", "c"])

let count = 0
const put = (queue: Queue, tenant?: string, priority: FairQueue.Priority = "normal", at?: number) => {
  const entry = FairQueue.entry(count++, priority, tenant)
  FairQueue.add(queue, entry)
  if (at !== undefined) FairQueue.schedule(queue, entry, at)
  return entry
}
const puts = (queue: Queue, tenants: string, priority?: FairQueue.Priority) =>
  [...tenants].map((tenant) => put(queue, tenant, priority))
const takes = (queue: Queue, n: number): string => {
  let served = ""
  for (let i = 0; i < n; i++) served += FairQueue.next(queue)?.tenant ?? "-"
  return served
}

it("goes by priority, and within a class first come, first served", () => {
  const queue: Queue = FairQueue.make()
  const [batch, normal, critical, normal2, critical2] = [
    put(queue, undefined, "batch"),
    put(queue),
    put(queue, undefined, "critical"),
    put(queue),
    put(queue, undefined, "critical")
  ]
  expect(Array.from({ length: 6 }, () => FairQueue.next(queue))).toEqual([
    critical,
    critical2,
    normal,
    normal2,
    batch,
    undefined
  ])
})

it("tenants share a class by weight; those without one weigh 1, and nobody named is one tenant", () => {
  const queue: Queue = FairQueue.make({ a: 3 })
  puts(queue, "aaaaaaaaaaaabbbb")
  expect(takes(queue, 16)).toBe("abaaabaaabaaabaa")
  FairQueue.forgive(queue)
  for (let i = 0; i < 3; i++) put(queue)
  puts(queue, "aaaa")
  expect(takes(queue, 7)).toBe("-aaa-a-")
})

it("of tenants with the same right goes the one whose request came first", () => {
  const queue: Queue = FairQueue.make()
  const [first] = puts(queue, "aba") as [FairQueue.Entry<number>]
  FairQueue.remove(queue, first)
  expect(takes(queue, 2)).toBe("ba")
})

it("a tenant that floods the queue does not hold up another", () => {
  const queue: Queue = FairQueue.make()
  puts(queue, "aaaaaaaa")
  expect(takes(queue, 3)).toBe("aaa")
  puts(queue, "bb")
  expect(takes(queue, 4)).toBe("abab")
})

it("who comes back has no credit for idling, and does not escape what it has had", () => {
  const queue: Queue = FairQueue.make({ slow: 0.25 })
  puts(queue, "aaaaaaaaaa")
  expect(takes(queue, 5)).toBe("aaaaa")
  // Five rounds of idling are not made up for.
  puts(queue, "bbbbb")
  expect(takes(queue, 6)).toBe("ababab")

  const other: Queue = FairQueue.make({ s: 0.25 })
  puts(other, "saaaaaaaa")
  expect(takes(other, 1)).toBe("s")
  // Its one request has cost it four rounds, though it waited no longer.
  put(other, "s")
  expect(takes(other, 6)).toBe("aaaaas")
})

it("new tenants one after another do not starve one that waits", () => {
  const queue: Queue = FairQueue.make()
  puts(queue, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
  let own = 0
  for (let i = 0; i < 50; i++) {
    put(queue, `new${i}`)
    if (FairQueue.next(queue)?.tenant === "a") own += 1
  }
  // They pile up, each with as good a right as the one that waits; by virtual time as first published it got 1.
  expect(own).toBe(8)
})

it("lower classes are passed over so many times and no more", () => {
  const queue: Queue = FairQueue.make()
  put(queue, "n", "normal")
  put(queue, "b", "batch")
  for (let i = 0; i < 100; i++) put(queue, "c", "critical")
  const served = takes(queue, 102)
  expect([served.indexOf("n"), served.indexOf("b")]).toEqual([FairQueue.patience, FairQueue.patience + 1])

  // Only what is above it counts, and each class from its own last.
  puts(queue, "nnn", "normal")
  puts(queue, "bbb", "batch")
  puts(queue, "c".repeat(200), "critical")
  const again = takes(queue, 102)
  const at = (name: string) => [...again].flatMap((tenant, i) => (tenant === name ? [i] : []))
  expect([at("n"), at("b")]).toEqual([
    [32, 66, 100],
    [33, 67, 101]
  ])
  FairQueue.clear(queue)

  // What left in between starts to wait anew.
  const one = put(queue, "b", "batch")
  puts(queue, "c".repeat(40), "critical")
  takes(queue, 20)
  FairQueue.remove(queue, one)
  put(queue, "b", "batch")
  expect(takes(queue, 21)).toBe(`${"c".repeat(20)}b`)
})

it("weights can change while tenants wait", () => {
  const queue: Queue = FairQueue.make()
  puts(queue, "aaaaaaaaaabbbbbbbbbb")
  expect(takes(queue, 4)).toBe("abab")
  FairQueue.setWeights(queue, { b: 4 })
  const served = takes(queue, 10)
  expect([...served].filter((tenant) => tenant === "b").length).toBe(8)
})

it("refuses weights that are none", () => {
  for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => FairQueue.make({ a: weight })).toThrow(RangeError)
  expect(() => FairQueue.setWeights(FairQueue.make(), { a: 0 })).toThrow('FairQueue.make: tenants."a" must be')
  const queue: Queue = FairQueue.make()
  for (const name of ["constructor", "__proto__", "toString"]) {
    puts(queue, "ab")
    put(queue, name)
  }
  expect(FairQueue.tenants(queue)).toBe(5)
})

it("weights of any size together stay numbers", () => {
  const queue: Queue = FairQueue.make({ a: 1e20, b: 1e-6, c: 1e20 })
  puts(queue, "acb")
  expect(takes(queue, 3)).toBe("acb")
  puts(queue, "ddee")
  expect(takes(queue, 4)).toBe("dede")
})

it("tenants are forgotten: when time has caught up, when there is room, and beyond a bound in any case", () => {
  const queue: Queue = FairQueue.make({ huge: 1e9 })
  for (let i = 0; i < 5_000; i++) {
    put(queue, `t${i}`)
    put(queue, "anchor")
    FairQueue.next(queue)
    FairQueue.next(queue)
  }
  expect(FairQueue.tenants(queue)).toBeLessThanOrEqual(4)

  for (let i = 0; i < 5_000; i++) {
    put(queue, `t${i}`)
    put(queue, "huge")
    FairQueue.next(queue)
    FairQueue.next(queue)
  }
  expect(FairQueue.tenants(queue)).toBeGreaterThan(100)
  expect(FairQueue.tenants(queue)).toBeLessThanOrEqual(1_024 + 2)
  while (FairQueue.next(queue) !== undefined);
  FairQueue.forgive(queue)
  expect(FairQueue.tenants(queue)).toBe(0)
})

it("clears everybody: those in order and those who have only a time", () => {
  const queue: Queue = FairQueue.make()
  const inOrder = [...puts(queue, "abab"), put(queue, "a", "batch", 5)]
  const parked = FairQueue.entry(-1, "normal", "a")
  FairQueue.schedule(queue, parked, 7)
  expect(new Set(FairQueue.clear(queue))).toEqual(new Set([...inOrder, parked]))
  expect([FairQueue.nextAt(queue), FairQueue.next(queue), FairQueue.clear(queue)]).toEqual([
    Number.POSITIVE_INFINITY,
    undefined,
    []
  ])
})

it("counts who goes before a newcomer", () => {
  const queue: Queue = FairQueue.make()
  expect(FairQueue.ahead(queue, "batch", "a")).toBe(0)
  puts(queue, "aaaab")
  put(queue, "z", "critical")
  put(queue, "z", "batch")
  // b has one; the newcomer would be its second.
  expect(FairQueue.ahead(queue, "normal", "b")).toBe(1 + 1 + 1)
  expect(FairQueue.ahead(queue, "normal", "a")).toBe(1 + 1 + 4)
  expect(FairQueue.ahead(queue, "critical", "a")).toBe(0)
  // No more of a higher class go before it than it is passed over for.
  puts(queue, "z".repeat(100), "critical")
  expect(FairQueue.ahead(queue, "normal", "new")).toBe(FairQueue.patience)
  for (let i = 0; i < 30; i++) FairQueue.next(queue)
  expect(FairQueue.ahead(queue, "normal", "new")).toBe(2)
})

const arrival = Schema.Struct({ tenant: anyTenant, priority: anyPriority })
const weights = Schema.Struct({ a: upTo(4), b: upTo(4), c: upTo(4) })
const positive = ({ a, b, c }: typeof weights.Type) => ({ a: a + 1, b: (b + 1) / 3, c: 1 + c * 2 })

it.prop(
  "never counts more ahead than go before, and all of them for one tenant",
  { arrivals: Schema.Array(arrival).check(Schema.isMaxLength(120)), served: upTo(40), last: arrival, weights },
  ({ arrivals, last, served, weights }) => {
    for (const alone of [false, true]) {
      const queue: Queue = FairQueue.make(positive(weights))
      for (const { priority, tenant } of arrivals) put(queue, alone ? "a" : tenant, alone ? "normal" : priority)
      takes(queue, served)
      const [tenant, priority] = alone ? (["a", "normal"] as const) : [last.tenant, last.priority]
      const counted = FairQueue.ahead(queue, priority, tenant)
      const newcomer = put(queue, tenant, priority)
      let before = 0
      while (FairQueue.next(queue) !== newcomer) before += 1
      expect(counted).toBeLessThanOrEqual(before)
      if (alone) expect(counted).toBe(before)
    }
  },
  { arbitrary: { runs: 200 } }
)

it.prop(
  "while two tenants wait, neither gets more than one request's share beyond its weight",
  { arrivals: Schema.Array(anyTenant).check(Schema.isMinLength(30), Schema.isMaxLength(120)), weights },
  ({ arrivals, weights }) => {
    const weight = positive(weights)
    const queue: Queue = FairQueue.make(weight)
    for (const tenant of arrivals) put(queue, tenant)
    const left = { a: 0, b: 0, c: 0 }
    for (const tenant of arrivals) left[tenant] += 1
    const had = { a: 0, b: 0, c: 0 }
    for (let i = 0; i < arrivals.length; i++) {
      const tenant = FairQueue.next(queue)?.tenant as "a" | "b" | "c"
      had[tenant] += 1
      left[tenant] -= 1
      for (const [x, y] of [
        ["a", "b"],
        ["b", "c"],
        ["a", "c"]
      ] as const) {
        if (left[x] === 0 || left[y] === 0) continue
        expect(Math.abs(had[x] / weight[x] - had[y] / weight[y])).toBeLessThanOrEqual(
          1 / weight[x] + 1 / weight[y] + 1e-9
        )
      }
    }
  },
  { arbitrary: { runs: 200 } }
)

const step = Schema.Union([
  Schema.Struct({
    _tag: Schema.Literal("add"),
    tenant: Schema.Literals(["a", "b"]),
    priority: Schema.Literals(["normal", "batch"]),
    at: upTo(50)
  }),
  Schema.Struct({
    _tag: Schema.Literal("add"),
    tenant: Schema.Literal("a"),
    priority: Schema.Literal("normal"),
    at: upTo(50)
  }),
  Schema.Struct({ _tag: Schema.Literal("remove"), which: upTo(100) }),
  Schema.Struct({ _tag: Schema.Literal("schedule"), which: upTo(100), at: upTo(50) }),
  Schema.Struct({ _tag: Schema.Literal("next") }),
  Schema.Struct({ _tag: Schema.Literal("forgive") }),
  Schema.Struct({ _tag: Schema.Literal("setWeights"), weights })
])

it.prop(
  "loses nobody, serves nobody twice, keeps each tenant's order and knows the earliest time",
  { steps: Schema.Array(step).check(Schema.isMinLength(60), Schema.isMaxLength(120)) },
  ({ steps }) => {
    const queue: Queue = FairQueue.make()
    let waiting: Array<FairQueue.Entry<number>> = []
    const times = new Map<FairQueue.Entry<number>, number>()
    const gone = (entry: FairQueue.Entry<number>) => {
      waiting = waiting.filter((other) => other !== entry)
      times.delete(entry)
    }
    for (const step of steps) {
      const some = "which" in step ? waiting[step.which % Math.max(1, waiting.length)] : undefined
      switch (step._tag) {
        case "add": {
          const entry = put(queue, step.tenant, step.priority, step.at === 0 ? undefined : step.at)
          waiting.push(entry)
          if (step.at > 0) times.set(entry, step.at)
          break
        }
        case "remove":
          if (some === undefined) break
          FairQueue.remove(queue, some)
          // A second time does nothing.
          FairQueue.remove(queue, some)
          gone(some)
          break
        case "schedule":
          if (some === undefined) break
          FairQueue.schedule(queue, some, step.at)
          times.set(some, step.at)
          break
        case "next": {
          const entry = FairQueue.next(queue)
          expect(entry === undefined).toBe(waiting.length === 0)
          if (entry === undefined) break
          const { priority, tenant } = entry
          expect(waiting.find((other) => other.tenant === tenant && other.priority === priority)).toBe(entry)
          gone(entry)
          break
        }
        case "forgive":
          FairQueue.forgive(queue)
          break
        case "setWeights":
          FairQueue.setWeights(queue, positive(step.weights))
      }
      for (const priority of FairQueue.priorities) {
        expect(FairQueue.size(queue, priority)).toBe(waiting.filter((entry) => entry.priority === priority).length)
      }
      const earliest = Math.min(...times.values())
      expect(FairQueue.nextAt(queue)).toBe(earliest)
      expect(FairQueue.due(queue, earliest - 1)).toBeUndefined()
      if (earliest < Number.POSITIVE_INFINITY) {
        expect(times.get(FairQueue.due(queue, earliest) as FairQueue.Entry<number>)).toBe(earliest)
      }
    }
    expect(new Set(FairQueue.clear(queue))).toEqual(new Set(waiting))
  },
  { arbitrary: { runs: 300 } }
)
