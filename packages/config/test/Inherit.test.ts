import { expect, it } from "@effect/vitest"
import * as Sample from "./support/Sample.ts"

const pool = "llms/polling_pools/fast_pool.toml"

it("the child wins, tables merge, lists replace, later parents win, names are not inherited", () => {
  const plan = Sample.plan({
    "llms/a.toml":
      'name = "a"\ndescription = "from a"\nrotation_strategy = "random"\n[sticky]\nttl = 1\nload_bound = 2',
    "llms/b.toml":
      'inherits_from = "./a.toml"\ntask_groups = ["x", "y"]\n[sticky]\nttl = 2\n[health_check]\ninterval = 5',
    "llms/c.toml": "[health_check]\ninterval = 6\nfailure_threshold = 9",
    [pool]:
      'inherits_from = ["../b.toml", "../c.toml"]\ntask_groups = ["fast_group"]\n[health_check]\nfailure_threshold = 4'
  }).pools["fast_pool"]
  expect(plan?.name).toBe("fast_pool")
  expect(plan?.description).toBeUndefined()
  expect(plan?.rotation).toBe("random")
  expect(plan?.sticky).toEqual({ ttl: 2_000, loadBound: 2 })
  expect(plan?.healthCheck.interval).toBe(6_000)
  expect(plan?.healthCheck.failureThreshold).toBe(4)
  expect(plan?.taskGroups).toEqual(["fast_group"])
})

it("a missing parent names the chain and the nearest file", () => {
  expect(
    Sample.problems({
      "llms/global.toml": 'inherits_from = "bse.toml"',
      "llms/base.toml": "",
      [pool]: 'task_groups = ["fast_group"]\ninherits_from = "../global.toml"'
    })
  ).toEqual([
    'configs/llms/global.toml:1:1 error llms.global.inherits_from: no such file: llms/global.toml -> llms/bse.toml; did you mean "llms/base.toml"?',
    "configs/llms/base.toml:1:1 warning llms.base: no file inherits this one, so nothing in it is used"
  ])
})

it("leads out of the folder nowhere", () => {
  expect(Sample.problems({ [pool]: 'task_groups = ["fast_group"]\ninherits_from = "../../../etc/passwd"' })).toEqual([
    "configs/llms/polling_pools/fast_pool.toml:2:1 error llms.polling_pools.fast_pool.inherits_from: expected a path relative to this file; found one that leads out of the folder of the configuration, where nothing is read"
  ])
})

it("a cycle names its chain, once", () => {
  expect(
    Sample.problems({
      "llms/a.toml": 'inherits_from = "b.toml"',
      "llms/b.toml": 'inherits_from = "a.toml"',
      [pool]: 'task_groups = ["fast_group"]\ninherits_from = "../a.toml"'
    })
  ).toEqual([
    "configs/llms/b.toml:1:1 error llms.b.inherits_from: cyclic inheritance: llms/a.toml -> llms/b.toml -> llms/a.toml"
  ])
  expect(Sample.problems({ [pool]: 'task_groups = ["fast_group"]\ninherits_from = "fast_pool.toml"' })).toEqual([
    "configs/llms/polling_pools/fast_pool.toml:2:1 error llms.polling_pools.fast_pool.inherits_from: cyclic inheritance: llms/polling_pools/fast_pool.toml -> llms/polling_pools/fast_pool.toml"
  ])
})

it("wants a path or a list of paths", () => {
  expect(Sample.problems({ [pool]: 'task_groups = ["fast_group"]\ninherits_from = 3' })).toEqual([
    "configs/llms/polling_pools/fast_pool.toml:2:1 error llms.polling_pools.fast_pool.inherits_from: expected a path, or a list of paths; found 3"
  ])
})

it("an address is no parent, and its password is not shown", () => {
  const said = (parent: string) =>
    Sample.problems({ [pool]: `task_groups = ["fast_group"]\ninherits_from = ["${parent}"]` })
  expect(said("https://me:hunter2@host/base.toml?key=hunter2")).toEqual([
    "configs/llms/polling_pools/fast_pool.toml:2:18 error llms.polling_pools.fast_pool.inherits_from: expected a path relative to this file; found an address, and nothing is fetched"
  ])
  expect(said("../me:hunter2@host/base.toml")).toEqual([
    "configs/llms/polling_pools/fast_pool.toml:2:18 error llms.polling_pools.fast_pool.inherits_from: no such file: llms/polling_pools/fast_pool.toml -> llms/***@host/base.toml"
  ])
})

it("a missing parent's hint is a like name, and never the file itself", () => {
  const said = (parent: string) =>
    Sample.problems({ "llms/base.toml": "", [pool]: `task_groups = ["fast_group"]\ninherits_from = "${parent}"` })[0]
  expect(said("../bas.toml")).toContain('did you mean "llms/base.toml"?')
  expect(said("base.toml")).toContain('did you mean "llms/base.toml"?')
  expect(said("../base")).toContain('did you mean "llms/base.toml"?')
  expect(said("fast_poll.toml")).not.toContain("did you mean")
  expect(said("../groups/other.toml")).not.toContain("did you mean")
})

it.each([
  ["/etc/base.toml", "an absolute one, which is not read"],
  ["C:\\\\base.toml", "an absolute one, which is not read"],
  ["../../../base.toml", "one that leads out of the folder of the configuration, where nothing is read"],
  ["$" + "{PARENT}", "a variable, which cannot stand here: files are laid over one another before variables are read"],
  [
    "../base-$" + "{N:-1}.toml",
    "a variable, which cannot stand here: files are laid over one another before variables are read"
  ]
])("%s is no parent", (parent, found) => {
  expect(Sample.problems({ [pool]: `task_groups = ["fast_group"]\ninherits_from = "${parent}"` })).toEqual([
    `configs/llms/polling_pools/fast_pool.toml:2:1 error llms.polling_pools.fast_pool.inherits_from: expected a path relative to this file; found ${found}`
  ])
})
