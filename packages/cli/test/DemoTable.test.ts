import { DemoTable, DemoTally } from "@echelon/cli"
import { expect, it } from "@effect/vitest"

const view: DemoTable.View = {
  elapsed: 1_500,
  episode: "openai is down",
  standings: [
    { name: "openai-gpt4", inFlight: 2, cooling: 1_200 },
    { name: "b", inFlight: 0, cooling: 0 }
  ],
  tally: { ...DemoTally.empty, rows: { b: { answered: 12, failed: 1, lastReason: "Network" } } },
  total: 300
}

it("lines its columns up", () => {
  expect(DemoTable.lines(view, 100)).toEqual([
    "1.5 s  0 of 300 answered, 0 attempts  openai is down",
    "",
    "instance     state          in flight  answered  failed  last failure",
    "openai-gpt4  cooling 1.2 s          2         0       0",
    "b            ready                  0        12       1  Network"
  ])
})

it("is never wider than the terminal", () => {
  expect(Math.max(...DemoTable.lines(view, 30).map((line) => line.length))).toBe(30)
})
