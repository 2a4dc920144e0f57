import { expect, it } from "@effect/vitest"
import * as Sample from "./support/Sample.ts"

const said = (window: string) =>
  Sample.problems({
    "llms/polling_pools/fast_pool.toml": `task_groups = ["fast_group"]
[rate_limiting]
enabled = true
algorithm = "sliding_window"
[rate_limiting.sliding_window]
limit = 3
${window}`
  })

const where = "error llms.polling_pools.fast_pool.rate_limiting.sliding_window.window"
const expected = 'expected seconds from 0.001 (at most 24 days), or text such as "30s", "500ms", "5m", "1h"'

it("a window that is missing says what belongs there", () => {
  expect(said("")).toEqual([`configs/llms/polling_pools/fast_pool.toml:5:1 ${where}: missing; ${expected}`])
})

it("a window is at least a millisecond", () => {
  for (const window of ['"0.5ms"', "0.0005", '"0.0009s"']) {
    expect(said(`window = ${window}`)[0]).toContain(`${where}: ${expected}; found ${window}`)
  }
  for (const window of ['"1ms"', "0.001", '"0.001s"', '"1h"']) expect(said(`window = ${window}`)).toEqual([])
})
