import * as Check from "@echelon/config/Check"
import * as Compile from "@echelon/config/Compile"
import * as Origin from "@echelon/config/Origin"
import * as Problem from "@echelon/config/Problem"
import * as Tree from "@echelon/config/Tree"
import { Capability, type Catalogue, type Plan, Plans } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Sample from "./support/Sample.ts"

const group = "llms/groups/fast_group.toml"
const pool = "llms/polling_pools/fast_pool.toml"
const wrapper = "llms/wrappers/pool_wrapper.toml"
const provider = "llms/provider/p.toml"

/** Takes any kind, and knows of no model what its file does not state. */
const anything: Catalogue.Catalogue = { kinds: undefined, model: () => ({}) }

/** Three models of growing size; `small` can do less. */
const models = `kind = "x"
[models.large]
context_window = 100000
max_output_tokens = 8000
capabilities = ["tools", "json_schema", "images", "prefill"]
[models.other]
context_window = 100000
capabilities = ["tools", "json_schema", "images", "prefill"]
[models.small]
context_window = 8000
max_output_tokens = 1000
capabilities = ["tools"]
`

const base = {
  [provider]: models,
  [group]: `[echelon1]
models = ["p-large"]
[echelon2]
models = ["p-other"]
`,
  [pool]: 'task_groups = ["fast_group"]\n'
}

/** What is found in a tree, by its own lines; compiling must find nothing. */
const found = (files: Readonly<Record<string, string>>, options: Sample.Options = {}): ReadonlyArray<string> => {
  const resolved = Sample.resolve(files, options)
  const { plan, problems } = Compile.compile(resolved, options.catalogue ?? anything)
  if (plan === undefined || problems.some(Problem.isError)) throw new Error(problems.map(Problem.format).join("\n"))
  return Check.analyze(plan, resolved).map(Problem.format)
}

const echelons = (...texts: ReadonlyArray<string>): string =>
  texts.map((text, i) => `[echelon${i + 1}]\n${text}\n`).join("")

const all = ["p-large", "p-other", "p-small"]
const three = echelons(...all.map((name) => `models = ["${name}"]`))
/** Three echelons that can all do the same. */
const equal = echelons('models = ["p-large"]', 'models = ["p-other"]', 'models = ["p-large"]')

it("finds nothing in a tree that a newcomer would write, and in one that hangs together", () => {
  expect(found(Sample.files)).toEqual([])
  expect(found(Sample.files, { catalogue: Sample.catalogue })).toEqual([])
  expect(found({ "llms/provider/local.toml": 'kind = "ollama"\n[models.a]\n[models.b]\n' }, { variables: {} })).toEqual(
    []
  )
  expect(
    found({
      [provider]: models,
      [group]: echelons(
        'models = ["p-large", "p-other"]\nconcurrency_limit = 10\nrpm_limit = 100\ntpm_limit = 90000\ntimeout = 5\nttft_timeout = 2\nmax_retries = 1\nmax_tokens = 1000\n[echelon1.hedge]\nmin_delay = 1',
        'models = ["p-other", "p-large", "p-small"]\nrpm_limit = 1000\ntimeout = 5\nmax_retries = 0'
      ).concat(`[fallback_config]
fallback_groups = ["fast_group.echelon2"]
max_attempts = 2
max_total_attempts = 3
on_interrupt = ["resume", "restart"]
[fallback_config.circuit_breaker]
slow_call = 1
slow_rate = 0.4
`),
      [pool]: `task_groups = ["fast_group"]
[fallback_config]
max_instance_attempts = 3
[rate_limiting]
enabled = true
token_bucket = { bucket_size = 10, refill_rate = 1.5 }
`,
      [wrapper]:
        'type = "pool"\ndefault_config = { pool_name = "fast_pool" }\nperformance = { request_timeout = 15, max_concurrent_requests = 10, queue_size = 5 }\n',
      "global.toml": '[routing]\ndefault_wrapper = "pool_wrapper"\n'
    })
  ).toEqual([])
})

const fastGroup = "configs/llms/groups/fast_group.toml"
const fastPool = "configs/llms/polling_pools/fast_pool.toml"

/** Name of the case, the files laid over `base`, and the lines that are found. */
const cases: ReadonlyArray<readonly [string, Readonly<Record<string, string>>, ReadonlyArray<string>]> = [
  [
    "strategy none cuts echelons off",
    {
      [pool]: 'task_groups = ["b"]',
      "llms/groups/b.toml": three,
      [group]: `${equal}[fallback_config]\nstrategy = "none"`
    },
    [
      "configs/llms/groups/b.toml:6:1 warning llms.groups.b.echelon3.models: no model of b.echelon3 holds more than 8000 tokens, and b.echelon1 takes up to 100000: longer requests cannot fall there",
      "configs/llms/groups/b.toml:6:1 warning llms.groups.b.echelon3.models: no model of b.echelon3 has json_schema, images, which b.echelon1 has: requests that need it cannot fall there",
      `${fastGroup}:8:1 warning llms.groups.fast_group.fallback_config.strategy: with "none" only echelon1 answers a request to fast_group, and no pool or fallback_groups reaches fast_group.echelon2, fast_group.echelon3`
    ]
  ],
  [
    "fallback_groups leave an echelon out that nothing else reaches",
    {
      [pool]: 'task_groups = ["b"]',
      "llms/groups/b.toml": 'echelon1 = { models = ["p-small"] }',
      [group]: `${equal}[fallback_config]\nfallback_groups = ["fast_group.echelon3"]`
    },
    [
      `${fastGroup}:8:1 warning llms.groups.fast_group.fallback_config.fallback_groups: fast_group.echelon2 of this group: not among them, in no pool and no other group's fallback_groups, so never reached`
    ]
  ],
  [
    "a group that falls back on itself",
    { [group]: `${equal}[fallback_config]\nfallback_groups = ["fast_group"]` },
    [
      `${fastGroup}:8:20 warning llms.groups.fast_group.fallback_config.fallback_groups[0]: "fast_group" is this group itself, whose echelons follow one another anyway; leave fallback_groups out, or name other groups`
    ]
  ],
  [
    "a group that falls back on where it starts",
    {
      [group]: `${equal}[fallback_config]\nfallback_groups = ["fast_group.echelon1", "fast_group.echelon2", "fast_group.echelon3"]`
    },
    [
      `${fastGroup}:8:20 warning llms.groups.fast_group.fallback_config.fallback_groups[0]: "fast_group.echelon1" is where a request starts, so it changes nothing here`
    ]
  ],
  [
    "a group that falls back on itself, then on another",
    {
      [pool]: 'task_groups = ["fast_group", "b"]',
      "llms/groups/b.toml": equal,
      [group]: `${equal}[fallback_config]\nfallback_groups = ["fast_group", "b"]`
    },
    []
  ],
  [
    "an answer longer than the window",
    { [provider]: models.replace("max_output_tokens = 8000", "max_output_tokens = 200000") },
    [
      "configs/llms/provider/p.toml:4:1 warning llms.provider.p.models.large.max_output_tokens: max_output_tokens = 200000 is more than context_window = 100000, which counts input and output together"
    ]
  ],
  [
    "fallback_groups skip an echelon that a pool reaches",
    { [group]: `${equal}[fallback_config]\nfallback_groups = ["fast_group.echelon3"]` },
    [
      `${fastGroup}:8:1 warning llms.groups.fast_group.fallback_config.fallback_groups: skips fast_group.echelon2: a request to the group itself never falls there`
    ]
  ],
  [
    "max_attempts cuts echelons off",
    { [group]: `${equal}[fallback_config]\nmax_attempts = 2` },
    [
      `${fastGroup}:8:1 warning llms.groups.fast_group.fallback_config.max_attempts: 2 of 3 echelons may be tried: fast_group.echelon3 only when one before is passed over (full, cooling or put out by its breaker)`
    ]
  ],
  [
    "a pool with strategy none",
    { [pool]: 'task_groups = ["fast_group"]\n[fallback_config]\nstrategy = "none"\nmax_instance_attempts = 2' },
    [
      `${fastPool}:3:1 warning llms.polling_pools.fast_pool.fallback_config.strategy: with "none" a request is tried in one tier: fast_group.echelon2 only when the tiers before are passed over (full, cooling or put out by breakers)`,
      `${fastPool}:4:1 warning llms.polling_pools.fast_pool.fallback_config.max_instance_attempts: never used: with strategy = "none" one instance is tried`
    ]
  ],
  [
    "models and providers that no echelon names",
    {
      "llms/provider/p.toml": `default_model = "large"\n${models}[models."x.1"]\n[models.x2]\n`,
      "llms/provider/q.toml": 'kind = "x"\n[models.a]\n',
      "llms/provider/r.toml": 'kind = "x"\n[models.a]\n',
      "global.toml": '[routing]\ndefault_provider = "r"\n',
      [group]: 'echelon1 = { models = ["p-other"] }'
    },
    [
      "configs/llms/provider/p.toml:10:1 warning llms.provider.p.models.small: no echelon names p-small, p-x.1, p-x2; only direct calls reach them",
      "configs/llms/provider/q.toml:1:1 warning llms.provider.q: no echelon names an instance of this provider; only direct calls reach it"
    ]
  ],
  [
    "names that hide one another",
    {
      [group]: `name = "fast_pool"\n${base[group]}`,
      [pool]: 'task_groups = ["fast_pool"]',
      [wrapper]: 'name = "fast_pool"\ntype = "pool"\ndefault_config = { pool_name = "fast_pool" }',
      "global.toml": '[routing]\ndefault_pool = "fast_pool"\ndefault_wrapper = "fast_pool"\n'
    },
    [
      'configs/global.toml:2:1 warning routing.default_pool: never used: requests that name no target go to the default_wrapper "fast_pool"',
      `${fastGroup}:1:1 warning llms.groups.fast_group.name: the wrapper "fast_pool" has the same name, and wins where only a name is given; write "group:fast_pool" there`,
      `${fastPool}:1:1 warning llms.polling_pools.fast_pool: the wrapper "fast_pool" has the same name, and wins where only a name is given; write "pool:fast_pool" there`
    ]
  ],
  [
    "lists that say a thing twice",
    {
      [group]: 'echelon1 = { models = ["p-large", "p-other", "p-large"] }',
      [pool]: 'task_groups = ["fast_group", "fast_group"]'
    },
    [
      `${fastGroup}:1:46 warning llms.groups.fast_group.echelon1.models[2]: "p-large" stands here twice`,
      `${fastPool}:1:30 warning llms.polling_pools.fast_pool.task_groups[1]: "fast_group" stands here twice`
    ]
  ],
  [
    "an instance twice in a tier, with other settings",
    {
      "llms/groups/b.toml": 'echelon1 = { models = ["p-other", "p-large"], timeout = 5 }',
      "llms/groups/c.toml": 'echelon1 = { models = ["p-large"] }',
      [pool]: 'task_groups = ["fast_group", "b", "c"]'
    },
    [
      'configs/llms/groups/b.toml:1:35 warning llms.groups.b.echelon1.models[1]: p-large is in fast_group.echelon1 too, with the same priority and other settings: in the pool "fast_pool" those of fast_group.echelon1 stand'
    ]
  ],
  [
    "fallback_groups that repeat and point back",
    {
      [group]: `${equal}[fallback_config]\nfallback_groups = ["fast_group.echelon3", "fast_group.echelon2", "fast_group.echelon2", "fast_group"]`
    },
    [
      `${fastGroup}:8:43 warning llms.groups.fast_group.fallback_config.fallback_groups[1]: "fast_group.echelon2" points back: fast_group.echelon2 (priority 2) comes after fast_group.echelon3, which ranks below it`,
      `${fastGroup}:8:66 warning llms.groups.fast_group.fallback_config.fallback_groups[2]: "fast_group.echelon2" repeats what stands before it; a request tries an echelon once`,
      `${fastGroup}:8:89 warning llms.groups.fast_group.fallback_config.fallback_groups[3]: "fast_group" points back to where a request starts, so fast_group.echelon3, fast_group.echelon2 before it are never tried`
    ]
  ],
  [
    "groups that fall back on one another, each cycle once",
    {
      [provider]: models.replaceAll("8000\n", "100000\n").replaceAll(/capabilities.*\n/g, ""),
      [group]: `${equal}[fallback_config]\nfallback_groups = ["fast_group.echelon2", "fast_group.echelon3", "b.echelon1"]`,
      "llms/groups/b.toml":
        'echelon1 = { models = ["p-other"] }\n[fallback_config]\nfallback_groups = ["c", "fast_group.echelon3"]',
      "llms/groups/c.toml": 'echelon1 = { models = ["p-small"] }\n[fallback_config]\nfallback_groups = ["d"]',
      "llms/groups/d.toml": 'echelon1 = { models = ["p-small"] }\n[fallback_config]\nfallback_groups = ["fast_group"]',
      "llms/groups/e.toml": 'echelon1 = { models = ["p-small"] }\n[fallback_config]\nfallback_groups = ["b"]',
      "llms/groups/f.toml":
        'echelon1 = { models = ["p-small"] }\n[fallback_config]\nstrategy = "none"\nfallback_groups = ["g"]',
      "llms/groups/g.toml": 'echelon1 = { models = ["p-small"] }\n[fallback_config]\nfallback_groups = ["f"]'
    },
    [
      "configs/llms/groups/b.toml:3:20 warning llms.groups.b.fallback_config.fallback_groups[0]: cyclic fallback: b -> c -> d -> fast_group -> b; no request goes round, since only the list of the group that was called is followed",
      "configs/llms/groups/b.toml:3:25 warning llms.groups.b.fallback_config.fallback_groups[1]: cyclic fallback: b -> fast_group -> b; no request goes round, since only the list of the group that was called is followed",
      'configs/llms/groups/f.toml:4:1 warning llms.groups.f.fallback_config.fallback_groups: never used: with strategy = "none" a request that f.echelon1 cannot answer fails'
    ]
  ],
  [
    "fallback_groups without a fallback",
    {
      [group]: `${echelons('models = ["p-large"]')}[fallback_config]\nstrategy = "none"\nfallback_groups = []\nmax_attempts = 2`,
      "llms/groups/b.toml":
        'echelon1 = { models = ["p-other"] }\n[fallback_config]\nstrategy = "none"\nfallback_groups = ["fast_group"]'
    },
    [
      'configs/llms/groups/b.toml:4:1 warning llms.groups.b.fallback_config.fallback_groups: never used: with strategy = "none" a request that b.echelon1 cannot answer fails',
      `${fastGroup}:6:1 warning llms.groups.fast_group.fallback_config.max_attempts: 2 echelons may be tried, and there is 1: with strategy = "none" one is tried`
    ]
  ],
  [
    "fallback to less, at the entry that says so; prefill counts for resume",
    {
      "llms/groups/b.toml": 'echelon1 = { models = ["p-small"] }',
      [group]: `${base[group]}[fallback_config]\non_interrupt = "resume"\nfallback_groups = ["fast_group.echelon2", "b"]`
    },
    [
      `${fastGroup}:7:43 warning llms.groups.fast_group.fallback_config.fallback_groups[1]: no model of b.echelon1 holds more than 8000 tokens, and fast_group.echelon1 takes up to 100000: longer requests cannot fall there`,
      `${fastGroup}:7:43 warning llms.groups.fast_group.fallback_config.fallback_groups[1]: no model of b.echelon1 has json_schema, images, prefill, which fast_group.echelon1 has: requests that need it cannot fall there`
    ]
  ],
  [
    "a pool's tiers of several groups",
    {
      [provider]: models.replaceAll("8000\n", "100000\n"),
      [group]: 'echelon1 = { models = ["p-other"] }',
      "llms/groups/b.toml": 'echelon1 = { models = ["p-small"], priority = 2 }',
      [pool]: 'task_groups = ["fast_group", "b"]'
    },
    [
      `${fastPool}:1:1 warning llms.polling_pools.fast_pool.task_groups: no model of b.echelon1 has json_schema, images, which fast_group.echelon1 has: requests that need it cannot fall there`
    ]
  ],
  [
    "resume that never applies",
    {
      [group]: `${echelons('models = ["p-small"]')}[fallback_config]\non_interrupt = ["resume", "restart"]`,
      "llms/groups/b.toml": `${base[group]}[fallback_config]\non_interrupt = "resume"\ncommit = "finish"`
    },
    [
      'configs/llms/groups/b.toml:6:1 warning llms.groups.b.fallback_config.on_interrupt: never used: with commit = "finish" a reply is whole before anybody sees it, and every failure starts anew',
      `${fastGroup}:4:1 warning llms.groups.fast_group.fallback_config.on_interrupt: no model that could go on has "prefill" among its capabilities, so "resume" never applies`
    ]
  ],
  [
    "an echelon below its pool's refill",
    {
      [group]: echelons('models = ["p-large"]\nrpm_limit = 10', 'models = ["p-other"]\nrpm_limit = 20'),
      [pool]:
        'task_groups = ["fast_group"]\n[rate_limiting]\nenabled = true\ntoken_bucket = { bucket_size = 5, refill_rate = 1 }'
    },
    [
      `${fastGroup}:3:1 warning llms.groups.fast_group.echelon1.rpm_limit: the pool "fast_pool" lets in 60 requests a minute (refill_rate = 1), and fast_group.echelon1 takes 10: all its echelons together take 30, and the rest is refused or waits`
    ]
  ],
  [
    "an echelon below its pool's window, with another that takes the rest",
    {
      [group]: echelons('models = ["p-large"]\nrpm_limit = 10', 'models = ["p-other"]'),
      [pool]:
        'task_groups = ["fast_group"]\n[rate_limiting]\nenabled = true\nalgorithm = "sliding_window"\nsliding_window = { limit = 5, window = 10 }'
    },
    [
      `${fastGroup}:3:1 warning llms.groups.fast_group.echelon1.rpm_limit: the pool "fast_pool" lets in 30 requests a minute (limit = 5 in 10 s), and fast_group.echelon1 takes 10: the rest goes to other echelons at once`
    ]
  ],
  [
    "requests at a time",
    {
      [group]: echelons('models = ["p-large"]\nconcurrency_limit = 50', 'models = ["p-other"]\nconcurrency_limit = 6'),
      [pool]:
        'task_groups = ["fast_group"]\n[rate_limiting]\nenabled = true\ntoken_bucket = { bucket_size = 20, refill_rate = 1 }',
      [wrapper]:
        'type = "pool"\ndefault_config = { pool_name = "fast_pool" }\nperformance = { max_concurrent_requests = 6 }',
      "llms/wrappers/open.toml":
        'type = "task_group"\ndefault_config = { group_name = "b" }\nperformance = { queue_size = 6 }',
      "llms/groups/b.toml": 'echelon1 = { models = ["p-small"], concurrency_limit = 99 }'
    },
    [
      `${fastGroup}:3:1 warning llms.groups.fast_group.echelon1.concurrency_limit: never reached: the wrapper "pool_wrapper" lets through 6 requests at a time (max_concurrent_requests)`,
      `${fastPool}:4:18 warning llms.polling_pools.fast_pool.rate_limiting.token_bucket.bucket_size: grants 20 requests at once, fewer than fast_group.echelon1 may have under way (concurrency_limit = 50)`,
      "configs/llms/wrappers/open.toml:3:17 warning llms.wrappers.open.performance.queue_size: without max_concurrent_requests nobody waits for a slot; only requests that find every instance full or cooling wait here"
    ]
  ],
  [
    "tokens of one request",
    {
      [provider]: models.replace("8000\n", "8000\ntpm_limit = 1500\n"),
      [group]: echelons(
        'models = ["p-large"]\nmax_tokens = 2000\ntpm_limit = 1000',
        'models = ["p-other", "p-small"]\nmax_tokens = 200000'
      )
    },
    [
      `${fastGroup}:4:1 warning llms.groups.fast_group.echelon1.tpm_limit: a request that asks for the echelon's max_tokens = 2000 is larger than this limit ever grants`,
      `${fastGroup}:7:1 warning llms.groups.fast_group.echelon2.max_tokens: 200000 is more than the model can write: p-other (a window of 100000), p-small (1000); most providers refuse such a request for good`,
      "configs/llms/provider/p.toml:5:1 warning llms.provider.p.models.large.tpm_limit: a request that asks for max_tokens = 2000 of fast_group.echelon1 is larger than this limit ever grants"
    ]
  ],
  [
    "clocks of an echelon",
    {
      [group]: echelons(
        'models = ["p-large"]\ntimeout = 30\nttft_timeout = 40',
        'models = ["p-other"]\nidle_timeout = 40\nstream_timeout = 30'
      )
    },
    [
      `${fastGroup}:4:1 warning llms.groups.fast_group.echelon1.ttft_timeout: 40 s never run out: timeout = 30 s ends an attempt before`,
      `${fastGroup}:7:1 warning llms.groups.fast_group.echelon2.idle_timeout: 40 s never run out: stream_timeout = 30 s ends a stream before`,
      `${fastGroup}:8:1 warning llms.groups.fast_group.echelon2.stream_timeout: ends a stream after 30 s, when its first output may still come: timeout = 60 s`
    ]
  ],
  [
    "waits and breakers, beside defaults too",
    {
      [group]: `${base[group]}[fallback_config]
retry_delay = 10
[fallback_config.circuit_breaker]
failure_threshold = 2
half_open_requests = 3
recovery_time = 400
slow_call = 60
`,
      "llms/groups/b.toml": `${base[group]}[fallback_config]
retry_delay = 2
retry_max_delay = 1
circuit_breaker = { max_recovery_time = 30, slow_rate = 0.1, half_open_requests = 6 }
`
    },
    [
      "configs/llms/groups/b.toml:7:1 warning llms.groups.b.fallback_config.retry_max_delay: retry_max_delay = 1 s is below retry_delay = 2 s: no wait reaches retry_delay",
      "configs/llms/groups/b.toml:8:21 warning llms.groups.b.fallback_config.circuit_breaker.max_recovery_time: recovery_time = 60 s is above max_recovery_time = 30 s",
      "configs/llms/groups/b.toml:8:45 warning llms.groups.b.fallback_config.circuit_breaker.slow_rate: counts nothing: slow_call does not say what slow is",
      "configs/llms/groups/b.toml:8:62 warning llms.groups.b.fallback_config.circuit_breaker.half_open_requests: half_open_requests = 6 is above failure_threshold = 5: more requests test an instance than failures put it out",
      `${fastGroup}:6:1 warning llms.groups.fast_group.fallback_config.retry_delay: retry_max_delay = 8 s is below retry_delay = 10 s: no wait reaches retry_delay`,
      `${fastGroup}:9:1 warning llms.groups.fast_group.fallback_config.circuit_breaker.half_open_requests: half_open_requests = 3 is above failure_threshold = 2: more requests test an instance than failures put it out`,
      `${fastGroup}:10:1 warning llms.groups.fast_group.fallback_config.circuit_breaker.recovery_time: recovery_time = 400 s is above max_recovery_time = 300 s`,
      `${fastGroup}:11:1 warning llms.groups.fast_group.fallback_config.circuit_breaker.slow_call: no answer is that slow: every attempt of the group has given first output within 60 s, or has failed`
    ]
  ],
  [
    "counts of attempts",
    {
      [group]: `${base[group]}[fallback_config]\nmax_attempts = 3\nmax_total_attempts = 1`,
      [pool]: 'task_groups = ["fast_group"]\n[fallback_config]\nmax_instance_attempts = 2'
    },
    [
      `${fastGroup}:6:1 warning llms.groups.fast_group.fallback_config.max_attempts: 3 echelons may be tried, and there are 2`,
      `${fastGroup}:7:1 warning llms.groups.fast_group.fallback_config.max_total_attempts: ends a request after 1 attempt, before it has been in each of 2 echelons`,
      `${fastPool}:3:1 warning llms.polling_pools.fast_pool.fallback_config.max_instance_attempts: 2 different instances of a tier may be tried, and no tier has more than 1`
    ]
  ],
  [
    "hedges",
    {
      [group]: echelons(
        'models = ["p-large"]\nhedge = {}',
        'models = ["p-other", "p-large"]\ntimeout = 5\nmax_retries = 0\nhedge = { min_delay = 5 }'
      )
    },
    [
      `${fastGroup}:3:1 warning llms.groups.fast_group.echelon1.hedge: never used: there is no second instance to ask`,
      `${fastGroup}:8:1 warning llms.groups.fast_group.echelon2.hedge: never used: a hedge is a second attempt, and max_retries = 0 allows one`,
      `${fastGroup}:8:11 warning llms.groups.fast_group.echelon2.hedge.min_delay: no hedge starts before 5 s, and an attempt without output ends after 5 s`
    ]
  ],
  [
    "a deadline below timeout x attempts",
    {
      [group]: echelons(
        'models = ["p-large"]\ntimeout = 10\nmax_retries = 1',
        'models = ["p-other"]\ntimeout = 5\nmax_retries = 0'
      ),
      [wrapper]: 'type = "pool"\ndefault_config = { pool_name = "fast_pool" }\nperformance = { request_timeout = 24 }',
      "llms/wrappers/enough.toml":
        'type = "task_group"\ndefault_config = { group_name = "fast_group" }\nperformance = { request_timeout = 25 }'
    },
    [
      'configs/llms/wrappers/pool_wrapper.toml:3:17 warning llms.wrappers.pool_wrapper.performance.request_timeout: 24 s may end a request before its attempts do: timeout x attempts of the pool "fast_pool" is 25 s (2 x 10 s + 1 x 5 s)'
    ]
  ]
]

it.each(cases)("%s", (_, files, lines) => {
  const shown = found({ ...base, ...files })
  // Which of the models are left over is no matter of these cases.
  const isAbout = (line: string) => !line.includes("no echelon names")
  expect(lines.every(isAbout) ? shown.filter(isAbout) : shown).toEqual(lines)
})

it("a pool with strategy none and one tier leaves nothing out", () => {
  const files = { ...base, [group]: 'echelon1 = { models = ["p-large", "p-other", "p-small"] }' }
  expect(found({ ...files, [pool]: `${base[pool]}fallback_config = { strategy = "none" }\n` })).toEqual([])
})

it("does not depend on which credentials are set", () => {
  const files = {
    "llms/provider/p.toml": `api_key = "\${P_KEY}"\n${models}`,
    "llms/provider/q.toml": 'kind = "x"\n[models.a]\ncontext_window = 8000\n',
    [group]: echelons('models = ["p-large", "q-a"]', 'models = ["p-small", "q-a"]', 'models = ["p-other"]')
  }
  const lines = found(files, { variables: { P_KEY: "sk-1" } })
  expect(lines).toHaveLength(1)
  expect(lines[0]).toContain("echelon2.models: no model of fast_group.echelon2 holds more than 8000 tokens")
  expect(found(files, { variables: {} })).toEqual(lines)
})

it("an instance of one credential that no echelon names", () => {
  const files = {
    ...base,
    "llms/provider/q.toml": `kind = "x"
credentials = [{ name = "a", api_key = "1" }, { name = "b", api_key = "2" }]
[models.m]
[models.n]
`,
    [group]: 'echelon1 = { models = ["q-n@a", "p-large", "p-other", "p-small"] }'
  }
  expect(found(files)).toEqual([
    "configs/llms/provider/q.toml:4:1 warning llms.provider.q.models.n: no echelon names q-n@b; only direct calls reach it"
  ])
})

it("points at the layer that has stated the value", () => {
  const files = { ...base, "environments/e.toml": "[llms.groups.fast_group.echelon1]\nttft_timeout = 90\n" }
  const variables = { ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON2__TTFT_TIMEOUT: "90" }
  expect(found(files, { env: "e", variables }).map((line) => line.split(" ")[0])).toEqual([
    "$ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON2__TTFT_TIMEOUT:1:1",
    "configs/environments/e.toml:2:1",
    "configs/llms/provider/p.toml:9:1"
  ])
})

it("a plan made in code may name what there is not", () => {
  const plan = Plans.root({
    groups: [Plans.group("g", [Plans.echelon("g", 1, ["p-a"])], { echelons: ["g.echelon9"] })],
    pools: [Plans.pool("p", ["gg"])],
    wrappers: [Plans.wrapper("w", { kind: "pool", name: "q" })],
    routing: { defaultProvider: "nobody" }
  })
  const tree = Tree.table([], Origin.file("code"))
  expect(Check.analyze(plan, { tree }).map(Problem.format)).toEqual([
    'code:1:1 error llms.groups.g.echelon1.models: unknown instance "p-a"; none is configured',
    'code:1:1 error llms.groups.g.fallback_config.fallback_groups: unknown echelon "g.echelon9"; did you mean "g.echelon1"?',
    'code:1:1 error llms.polling_pools.p.task_groups: unknown task group "gg"; did you mean "g"?',
    'code:1:1 error llms.wrappers.w.default_config.pool_name: unknown pool "q"; did you mean "p"?',
    'code:1:1 error routing.default_provider: unknown provider "nobody"; none is configured',
    "code:1:1 warning llms.groups.g.fallback_config.max_attempts: 2 echelons may be tried, and there is 1"
  ])
})

const small = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 }))
const Names = Schema.Array(Schema.Literals(["p-a", "p-b", "p-c", "constructor"]))
const Echelons = Schema.Array(
  Schema.Struct({
    names: Names,
    priority: small,
    limit: Schema.optionalKey(small),
    clock: small,
    ttft: Schema.optionalKey(small),
    retries: small,
    hedged: Schema.Boolean,
    tokens: Schema.optionalKey(small)
  })
)
const Group = Schema.Struct({
  name: Schema.Literals(["g", "h", "toString", "g.echelon1"]),
  echelons: Echelons,
  fallbacks: Schema.Array(Schema.Literals(["g.echelon1", "g.echelon2", "h.echelon1", "h", "g", "nobody"])),
  none: Schema.Boolean,
  numbers: Schema.Tuple([small, small, small, small])
})
const Whole = Schema.Struct({
  groups: Schema.Array(Group),
  pools: Schema.Array(
    Schema.Struct({ name: Schema.Literals(["g", "x"]), groups: Schema.Array(Schema.Literals(["g", "h"])), rate: small })
  ),
  wrappers: Schema.Array(
    Schema.Struct({ name: Schema.Literals(["x", "y"]), kind: Schema.Literals(["pool", "group"]), most: small })
  ),
  features: Schema.Array(Schema.Literals(Capability.all)),
  window: Schema.optionalKey(small)
})

const planOf = ({ features, groups, pools, window, wrappers }: typeof Whole.Type): Plan.Root => {
  const models = Object.fromEntries(
    ["a", "b", "c"].map((alias, i) => [
      alias,
      Plans.model({ model: alias, capabilities: { features: features.slice(i), contextWindow: window } })
    ])
  )
  const provider = Plans.provider({ name: "p", kind: "x", models })
  return Plans.root({
    instances: ["a", "b"].map((alias) =>
      Plans.instance({ provider, alias, model: models[alias] ?? Plans.model({ model: alias }) })
    ),
    disabled: { "p-c": "KEY" },
    groups: groups.map((one) => {
      const [maxAttempts, maxTotalAttempts, failureThreshold, halfOpenRequests] = one.numbers
      const stated = Plans.group(one.name, [])
      return Plans.group(
        one.name,
        one.echelons.map(({ clock, hedged, limit, names, priority, retries, tokens, ttft }, i) =>
          Plans.echelon(one.name, i + 1, names, {
            priority,
            limits: { concurrency: limit, rpm: limit, tpm: limit, rpd: undefined },
            clocks: { ...Plans.echelon("", 1, []).clocks, attempt: clock, ttft, stream: ttft },
            maxRetries: retries - 1,
            hedge: hedged ? Plans.defaults.hedge : undefined,
            settings: tokens === undefined ? {} : { maxOutputTokens: tokens }
          })
        ),
        {
          strategy: one.none ? "none" : "echelon_down",
          echelons: one.fallbacks,
          maxAttempts,
          maxTotalAttempts,
          onInterrupt: ["resume"],
          breaker: { ...stated.fallback.breaker, failureThreshold, halfOpenRequests, slowCall: maxAttempts }
        }
      )
    }),
    pools: pools.map((one) =>
      Plans.pool(one.name, one.groups, {
        rateLimit: { algorithm: "token_bucket", bucketSize: one.rate, refillRate: one.rate }
      })
    ),
    wrappers: wrappers.map((one) =>
      Plans.wrapper(one.name, { kind: one.kind, name: "g" }, { requestTimeout: one.most, queueSize: one.most })
    )
  })
}

const originsOf = (node: Tree.Node): ReadonlyArray<string> => [
  Origin.format(node.origin),
  ...(node._tag === "List" ? node.items.flatMap(originsOf) : []),
  ...(node._tag === "Table" ? [...node.entries.values()].flatMap(originsOf) : [])
]

it.prop(
  "never throws and always ends, whatever the plan, and every finding stands in the tree",
  { whole: Whole },
  ({ whole }) => {
    const resolved = Sample.resolve({ ...base, [wrapper]: Sample.files[wrapper] ?? "" })
    const places = new Set(originsOf(resolved.tree))
    for (const problem of Check.analyze(planOf(whole), resolved))
      expect(places).toContain(Origin.format(problem.origin))
  }
)

const File = Schema.Struct({
  echelons: Schema.Array(
    Schema.Array(Schema.Literals(["p-large", "p-other", "p-small"])).check(Schema.isMinLength(1))
  ).check(Schema.isMinLength(1)),
  fallbacks: Schema.Array(Schema.Literals(["a", "b", "c", "a.echelon1", "b.echelon1", "c.echelon1", "a.echelon2"]))
})

it.prop(
  "ends on fallback_groups that name one another, and points into files only",
  { a: File, b: File, c: File },
  (files) => {
    const toml = ({ echelons: ranks, fallbacks }: typeof File.Type): string => {
      const known = fallbacks.filter((name) => name !== "a.echelon2" || files.a.echelons.length > 1)
      return `${echelons(...ranks.map((names) => `models = ${JSON.stringify(names)}`))}[fallback_config]\nfallback_groups = ${JSON.stringify(known)}\n`
    }
    const resolved = Sample.resolve({
      [provider]: models,
      [pool]: 'task_groups = ["a", "b"]',
      ...Object.fromEntries(Object.entries(files).map(([name, file]) => [`llms/groups/${name}.toml`, toml(file)]))
    })
    const { plan, problems } = Compile.compile(resolved, anything)
    expect(problems.map(Problem.format)).toEqual([])
    const places = new Set(originsOf(resolved.tree))
    for (const problem of plan === undefined ? [] : Check.analyze(plan, resolved)) {
      expect(problem.severity).toBe("warning")
      expect(places).toContain(Origin.format(problem.origin))
    }
  }
)
