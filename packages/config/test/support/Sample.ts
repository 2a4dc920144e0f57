/** A small valid tree, and the problems of trees that differ from it. */

import * as Compile from "@echelon/config/Compile"
import * as Problem from "@echelon/config/Problem"
import * as Resolve from "@echelon/config/Resolve"
import { Catalogue } from "@echelon/core"

export const files: Readonly<Record<string, string>> = {
  "llms/provider/openai.toml": `kind = "openai"
api_key = "\${OPENAI_API_KEY}"
[models.gpt4]
model = "gpt-4"
[models."gpt3.5-turbo"]
model = "gpt-3.5-turbo"
`,
  "llms/groups/fast_group.toml": `[echelon1]
models = ["openai-gpt4"]
timeout = 30
[echelon2]
models = ["openai-gpt3.5-turbo"]
`,
  "llms/polling_pools/fast_pool.toml": `task_groups = ["fast_group"]
`,
  "llms/wrappers/pool_wrapper.toml": `type = "pool"
[default_config]
pool_name = "fast_pool"
`
}

export const variables = { OPENAI_API_KEY: "sk-sample-1" }

/** Knows one kind that needs a key, one that needs an address, and one model. */
export const catalogue: Catalogue.Catalogue = {
  kinds: {
    openai: { needsKey: true, needsBaseUrl: false, keyVariable: "OPENAI_API_KEY" },
    "openai-compatible": { needsKey: false, needsBaseUrl: true, keyVariable: undefined }
  },
  model: (_kind, model) =>
    model === "gpt-4"
      ? { capabilities: { contextWindow: 8192, features: ["tools"] }, prices: { input: 30, output: 60 } }
      : {}
}

export interface Options {
  readonly env?: string
  readonly variables?: Readonly<Record<string, string | undefined>>
  readonly catalogue?: Catalogue.Catalogue
}

export const resolve = (all: Readonly<Record<string, string>>, options: Options = {}): Resolve.Resolved =>
  Resolve.resolve({ root: "configs", files: all, env: options.env, variables: options.variables ?? variables })

export const compile = (all: Readonly<Record<string, string>>, options: Options = {}): Compile.Compiled =>
  Compile.compile(resolve(all, options), options.catalogue ?? Catalogue.Catalogue.defaultValue())

/** The lines that the sample with these files laid over it gives. */
export const problems = (changed: Readonly<Record<string, string>>, options: Options = {}): ReadonlyArray<string> =>
  compile({ ...files, ...changed }, options).problems.map(Problem.format)

/** The plan of the sample with these files laid over it. */
export const plan = (changed: Readonly<Record<string, string>> = {}, options: Options = {}) => {
  const compiled = compile({ ...files, ...changed }, options)
  if (compiled.plan === undefined) throw new Error(compiled.problems.map(Problem.format).join("\n"))
  return compiled.plan
}
