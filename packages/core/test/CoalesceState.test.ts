import type { LlmError, Part } from "@echelon/core"
import * as CoalesceState from "@echelon/core/CoalesceState"
import { expect, it } from "@effect/vitest"
import { Duration } from "effect"
import { dice } from "./support/dice.ts"

const batch = (delta: string): CoalesceState.Batch => [{ type: "text-delta", id: "0", delta }]
const textOf = (parts: ReadonlyArray<Part.Part>) =>
  parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")

it("gives each reader all of it, in order, and counts who is left", () => {
  const state = CoalesceState.make(1_000)
  const a = CoalesceState.join(state)
  CoalesceState.add(state, batch("one"))
  expect(CoalesceState.take(state, a)).toEqual(batch("one"))
  expect(CoalesceState.take(state, a)).toBeUndefined()
  const b = CoalesceState.join(state)
  CoalesceState.add(state, batch("two"))
  expect([CoalesceState.take(state, b), CoalesceState.take(state, b)]).toEqual([batch("one"), batch("two")])
  expect([CoalesceState.leave(state, a), CoalesceState.leave(state, a)]).toEqual(["left", "gone"])
  expect(CoalesceState.leave(state, b)).toBe("last")
})

it("past its size it keeps only what somebody has not taken", () => {
  const state = CoalesceState.make(200)
  const [fast, slow] = [CoalesceState.join(state), CoalesceState.join(state)]
  const read: Array<Part.Part> = []
  for (let i = 0; i < 10; i++) {
    expect(CoalesceState.isFull(state)).toBe(i * 65 > 200)
    CoalesceState.add(state, batch(String(i)))
    CoalesceState.take(state, fast)
    if (i < 5) read.push(...(CoalesceState.take(state, slow) ?? []))
  }
  expect(state.batches.length).toBe(5)
  for (let i = 0; i < 5; i++) read.push(...(CoalesceState.take(state, slow) ?? []))
  expect(textOf(read)).toBe("0123456789")
  expect(state.batches.length).toBe(0)
  CoalesceState.add(state, batch("x"))
  CoalesceState.leave(state, slow)
  expect(CoalesceState.take(state, fast)).toEqual(batch("x"))
  expect(state.batches.length).toBe(0)
})

it("a reader that leaves no longer holds anything back", () => {
  const state = CoalesceState.make(1)
  const [fast, slow] = [CoalesceState.join(state), CoalesceState.join(state)]
  for (let i = 0; i < 5; i++) CoalesceState.add(state, batch("x"))
  for (let i = 0; i < 5; i++) CoalesceState.take(state, fast)
  expect(state.batches.length).toBe(5)
  CoalesceState.leave(state, slow)
  expect(state.batches.length).toBe(0)
})

it("under any interleaving readers lose nothing, see nothing twice, and no more is held than must be", () => {
  for (let seed = 0; seed < 300; seed++) {
    const { below, of } = dice(seed)
    const state = CoalesceState.make(below(1_500) + 1)
    const readers = new Map<CoalesceState.Cursor, string>()
    let sent = ""
    for (let step = 0; step < 80; step++) {
      const cursors = [...readers.keys()]
      const cursor = cursors[below(Math.max(cursors.length, 1))]
      switch (of(["join", "add", "take", "take", "take", "leave"])) {
        case "join":
          if (!CoalesceState.isFull(state)) readers.set(CoalesceState.join(state), "")
          break
        case "add": {
          const delta = String.fromCharCode(97 + below(26))
          CoalesceState.add(state, batch(delta))
          sent += delta
          break
        }
        case "take":
          if (cursor !== undefined)
            readers.set(cursor, (readers.get(cursor) ?? "") + textOf(CoalesceState.take(state, cursor) ?? []))
          break
        case "leave":
          if (cursor !== undefined && readers.size > 1) {
            expect(CoalesceState.leave(state, cursor)).toBe("left")
            readers.delete(cursor)
          }
      }
      for (const text of readers.values()) expect(sent.startsWith(text)).toBe(true)
      const slowest = Math.min(sent.length, ...[...readers.values()].map((text) => text.length))
      if (CoalesceState.isFull(state) && readers.size > 0) expect(state.batches.length).toBe(sent.length - slowest)
      else expect(state.batches.length).toBe(sent.length)
    }
    for (const [cursor, text] of readers) {
      let all = text
      for (;;) {
        const taken = CoalesceState.take(state, cursor)
        if (taken === undefined) break
        all += textOf(taken)
      }
      expect(all).toBe(sent)
    }
  }
})

it("tells what was the first request's own failure", () => {
  const timeout = (shortened: boolean): LlmError.Reason => ({
    _tag: "Timeout",
    clock: "ttft",
    limit: Duration.seconds(1),
    shortened
  })
  const own = (reason: LlmError.Reason, deadline?: number) => CoalesceState.isLeadersOwn(reason, { deadline })
  expect(own({ _tag: "DeadlineExceeded" })).toBe(true)
  expect(own({ _tag: "BudgetExhausted", of: "cost" })).toBe(true)
  expect(own({ _tag: "Cancelled" })).toBe(true)
  expect(own(timeout(true), 5)).toBe(true)
  expect(own(timeout(true))).toBe(false)
  expect(own(timeout(false), 5)).toBe(false)
  expect(own({ _tag: "Overloaded" }, 5)).toBe(false)
  expect(own({ _tag: "QueueFull" }, 5)).toBe(false)
})
