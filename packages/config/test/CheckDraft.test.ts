import * as CheckDraft from "@echelon/config/CheckDraft"
import * as Compile from "@echelon/config/Compile"
import * as Problem from "@echelon/config/Problem"
import { expect, it } from "@effect/vitest"
import * as Sample from "./support/Sample.ts"

const group = "llms/groups/fast_group.toml"
const second = "llms/groups/second.toml"
const clocks = 'models = ["openai-gpt4"]\ntimeout = 10\nttft_timeout = 20\n'

/** What the graph of a tree with errors shows, key by key. */
const found = (files: Readonly<Record<string, string>>): ReadonlyArray<string> => {
  const resolved = Sample.resolve({ ...Sample.files, ...files })
  const { draft, plan, problems } = Compile.compile(resolved, { kinds: undefined, model: () => ({}) })
  expect([plan, problems.some(Problem.isError)]).toEqual([undefined, true])
  return draft === undefined ? [] : CheckDraft.analyze(draft, resolved, problems).map(({ key }) => key)
}

it("an error hides no finding that has nothing to do with it", () => {
  const clock = ["llms.groups.fast_group.echelon1.ttft_timeout"]
  const rest = '[echelon2]\nmodels = ["openai-gpt3.5-turbo"]\n'
  expect(found({ [group]: `[echelon1]\n${clocks}temperature = "hot"\n${rest}` })).toEqual(clock)
  expect(found({ [group]: `[echelon1]\n${clocks}${rest}[fallback_config]\nfallback_groups = ["fast_grup"]` })).toEqual(
    clock
  )
  expect(found({ [group]: `[echelon1]\n${clocks}${rest}`, "llms/wrappers/w.toml": "nonsense" })).toEqual(clock)
})

it("nothing is said of a value that was refused, nor of what it would have meant", () => {
  const broken = clocks.replace("timeout = 10", 'timeout = "abc"').replace("20", "2000")
  expect(found({ [group]: `[echelon1]\n${broken}[echelon2]\nmodels = ["openai-gpt3.5-turbo"]` })).toEqual([])
  // The pool that would have reached the group is not known, nor are the models that an echelon lost.
  expect(
    found({
      [second]:
        '[echelon1]\nmodels = ["openai-gpt4"]\n[fallback_config]\nstrategy = "none"\n[echelon2]\nmodels = ["openai-gpt4"]',
      "llms/polling_pools/fast_pool.toml": 'task_groups = ["fast_group", "secnd"]'
    })
  ).toEqual([])
  expect(found({ [group]: '[echelon1]\nmodels = ["openai-gtp4"]' })).toEqual([])
})
