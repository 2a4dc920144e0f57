import { Rendezvous, Sessions } from "@echelon/core"
import { expect, it } from "@effect/vitest"

it("forgets by time and by number, the longest unused first", () => {
  const sessions = Sessions.make({ ttl: 100, capacity: 2 })
  sessions.set("a", "x", 0)
  sessions.set("b", "y", 10)
  sessions.set("a", "x", 20)
  sessions.set("c", "z", 30)
  expect([sessions.get("a", 40), sessions.get("b", 40), sessions.get("c", 40)]).toEqual(["x", undefined, "z"])
  expect([sessions.get("a", 119), sessions.get("a", 120)]).toEqual(["x", undefined])
  for (let i = 0; i < 1_000; i++) sessions.set(`s${i}`, "x", i)
  expect(sessions.size()).toBe(2)
})

const owner = (key: string, members: ReadonlyArray<readonly [string, number]>) =>
  [...members].sort(([a, v], [b, w]) => Rendezvous.standing(key, b, w) - Rendezvous.standing(key, a, v))[0]?.[0]

it("spreads keys by weight, and moves only the keys of a member that leaves", () => {
  const members = [
    ["a", 1],
    ["b", 1],
    ["c", 2]
  ] as const
  const keys = Array.from({ length: 8_000 }, (_, i) => `session-${i}`)
  const counts: Record<string, number> = {}
  for (const key of keys) counts[owner(key, members) ?? ""] = (counts[owner(key, members) ?? ""] ?? 0) + 1
  expect((counts["a"] ?? 0) / 2_000).toBeCloseTo(1, 1)
  expect((counts["c"] ?? 0) / 4_000).toBeCloseTo(1, 1)
  const fewer = members.filter(([name]) => name !== "b")
  const moved = keys.filter((key) => owner(key, members) !== owner(key, fewer))
  expect(moved.every((key) => owner(key, members) === "b")).toBe(true)
})
