import { DemoTable, DemoTally } from "@echelon/cli"
import { expect, it } from "@effect/vitest"
import { instance, view } from "./support/view.ts"

const shown: DemoTable.View = {
  ...view({ instances: [instance("openai-gpt4"), instance("b")] }),
  only: new Set(["b"]),
  elapsed: 1_500,
  episode: "openai is down",
  tally: { ...DemoTally.empty, answered: 12, attempts: 15 },
  total: 300
}

it("says how far it is and what goes wrong, above the table of the instances that are meant", () => {
  const lines = DemoTable.lines(shown, { columns: 200 })
  expect(lines[0]).toBe("1.5 s  12 of 300 answered, 15 attempts  openai is down")
  expect(lines[3]).toMatch(/^instance {2}health /)
  expect(lines.slice(4)).toEqual([expect.stringMatching(/^b {9}unknown {2}ready/)])
  expect(DemoTable.lines({ ...shown, episode: undefined }, { columns: 200 })[0]).toContain("all is well")
})

it("is never wider than the terminal", () => {
  expect(Math.max(...DemoTable.lines(shown, { columns: 30 }).map((line) => line.length))).toBe(30)
})
