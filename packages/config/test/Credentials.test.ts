import { inspect } from "node:util"
import * as Expand from "@echelon/config/Expand"
import * as Tree from "@echelon/config/Tree"
import type { Catalogue, Plan } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import { Redacted } from "effect"
import * as Sample from "./support/Sample.ts"

const catalogue: Catalogue.Catalogue = {
  kinds: {
    openai: { needsKey: true, needsBaseUrl: false, keyVariable: "OPENAI_API_KEY" },
    free: { needsKey: false, needsBaseUrl: false, keyVariable: undefined },
    azure: { needsKey: true, needsBaseUrl: false, keyVariable: "AZURE_KEY" },
    bedrock: {
      needsKey: true,
      needsBaseUrl: false,
      keyVariable: "AWS_BEARER_TOKEN_BEDROCK",
      auth: "sigv4",
      needs: ["region"]
    },
    vertex: {
      needsKey: true,
      needsBaseUrl: false,
      keyVariable: "GOOGLE_API_KEY",
      auth: "google",
      needs: ["region", "project"]
    }
  },
  model: () => ({})
}

const file = "llms/provider/p.toml"
const at = (text: string) => ({ [file]: `${text}\n[models.m]\n` })

const problems = (text: string, variables: Readonly<Record<string, string>> = {}) =>
  Sample.problems(at(text), { catalogue, variables: { ...Sample.variables, ...variables } })
    .filter((line) => line.includes("provider.p") || line.includes("provider/p"))
    .map((line) => line.replace(/^configs\/llms\/provider\/p\.toml:/, ""))

const plan = (text: string, variables: Readonly<Record<string, string>> = {}) =>
  Sample.plan({ ...Sample.files, ...at(text) }, { catalogue, variables: { ...Sample.variables, ...variables } })

const shown = (secrets: Plan.Secrets | undefined) =>
  Object.fromEntries(
    Object.entries(secrets ?? {}).flatMap(([name, secret]) =>
      secret === undefined ? [] : [[name, Redacted.isRedacted(secret) ? `<${Redacted.value(secret)}>` : secret]]
    )
  )

const aws = 'kind = "bedrock"\nregion = "eu-west-1"\n'
const google = 'kind = "vertex"\nregion = "eu"\nproject = "p"\n'

it("reads the secrets of each auth, redacted", () => {
  const cases: ReadonlyArray<readonly [string, Plan.AuthKind | undefined, Readonly<Record<string, string>>]> = [
    [
      `${aws}access_key_id = "a"\nsecret_access_key = "\${SECRET}"\nsession_token = "t"`,
      undefined,
      { accessKeyId: "<a>", secretAccessKey: "<s>", sessionToken: "<t>" }
    ],
    [
      `${aws}access_key_id = "a"\nsecret_access_key = "s"\nsession_token = "\${TOKEN:-}"`,
      undefined,
      { accessKeyId: "<a>", secretAccessKey: "<s>" }
    ],
    [
      'kind = "openai"\nauth = "sigv4"\nregion = "r"\naccess_key_id = "a"\nsecret_access_key = "s"',
      "sigv4",
      { accessKeyId: "<a>", secretAccessKey: "<s>" }
    ],
    [`${google}service_account = '{"a":1}'`, undefined, { serviceAccount: '<{"a":1}>' }],
    [`${google}service_account_file = "key.json"`, undefined, { serviceAccountFile: "configs/llms/provider/key.json" }],
    [`${google}service_account_file = "/etc/key.json"`, undefined, { serviceAccountFile: "/etc/key.json" }],
    [`${google}service_account_file = "\${FILE}"`, undefined, { serviceAccountFile: "f" }],
    ['kind = "azure"\nauth = "token"', "token", {}],
    ['kind = "openai"\napi_key = "k"', undefined, {}]
  ]
  for (const [text, auth, expected] of cases) {
    const { instances, providers } = plan(text, { SECRET: "s", FILE: "f" })
    const credential = instances["p-m"]?.credential
    expect([text, providers["p"]?.auth, shown(credential?.secrets)]).toEqual([text, auth, expected])
    expect(inspect(instances["p-m"], { depth: 9 })).not.toMatch(/"a"|'s'|'t'|\{"a":1\}/)
  }
})

it("reads the usual variables where a file states nothing", () => {
  const variables = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "s", AWS_SESSION_TOKEN: "t" }
  expect(shown(plan(aws, variables).instances["p-m"]?.credential.secrets)).toEqual({
    accessKeyId: "<a>",
    secretAccessKey: "<s>",
    sessionToken: "<t>"
  })
  const file = plan(google, { GOOGLE_APPLICATION_CREDENTIALS: "key.json" }).instances["p-m"]?.credential.secrets
  expect(shown(file)).toEqual({ serviceAccountFile: "key.json" })
  const disabled = (text: string, given: Readonly<Record<string, string>> = {}) => plan(text, given).disabled["p-m"]
  expect(disabled(aws)).toBe("AWS_ACCESS_KEY_ID")
  expect(disabled(aws, { AWS_ACCESS_KEY_ID: "a" })).toBe("AWS_SECRET_ACCESS_KEY")
  expect(disabled(google)).toBe("GOOGLE_APPLICATION_CREDENTIALS")
  expect(problems(aws)).toEqual([
    "1:1 warning llms.provider.p.access_key_id: the variable AWS_ACCESS_KEY_ID is not set, so the instances of this credential are disabled"
  ])
})

it("disables the instances of a credential whose variable is not set", () => {
  for (const [text, variable] of [
    [`${aws}access_key_id = "a"\nsecret_access_key = "\${NOT_SET}"`, "NOT_SET"],
    [`${google}service_account = "\${NOT_SET}"`, "NOT_SET"],
    [`${google}service_account_file = "\${NOT_SET}"`, "NOT_SET"]
  ] as const) {
    expect(plan(text).disabled["p-m"]).toBe(variable)
    expect(problems(text)[0]).toContain("the variable NOT_SET is not set, so the instances of this credential are")
  }
})

it("a file that states keys and nothing else shows keys", () => {
  for (const text of [`${aws}api_key = "k"`, `${aws}[[credentials]]\nname = "a"\napi_key = "k"`]) {
    expect(problems(text)).toEqual([])
    const [instance] = Object.values(plan(text).instances).filter(({ provider }) => provider.name === "p")
    expect(instance?.credential.key === undefined ? "" : Redacted.value(instance.credential.key)).toBe("k")
    expect(shown(instance?.credential.secrets)).toEqual({})
  }
})

it("a key may have a place of its own, or none", () => {
  const cases: ReadonlyArray<readonly [string, string, string | undefined, string | undefined]> = [
    ['kind = "openai"\nauth = "query"\nauth_name = "key"\napi_key = "k"', "query", "key", "k"],
    ['kind = "openai"\nauth = "header"\nauth_name = "X-Key"', "header", "X-Key", "of the environment"],
    ['kind = "bedrock"\nregion = "r"\nauth = "bearer"\napi_key = "k"', "bearer", undefined, "k"],
    ['kind = "openai"\nauth = "none"', "none", undefined, undefined]
  ]
  for (const [text, auth, authName, key] of cases) {
    const { instances, providers } = plan(text, { OPENAI_API_KEY: "of the environment" })
    const found = instances["p-m"]?.credential.key
    expect([text, providers["p"]?.auth, providers["p"]?.authName, found && Redacted.value(found)]).toEqual([
      text,
      auth,
      authName,
      key
    ])
  }
  const wrong: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    [
      'kind = "openai"\nauth = "query"\napi_key = "k"',
      ['1:1 error llms.provider.p.auth_name: missing; auth = "query" needs it']
    ],
    [
      'kind = "openai"\nauth = "header"\nauth_name = "a"\napi_key = ""',
      ['1:1 error llms.provider.p.api_key: missing; auth = "header" needs it']
    ],
    [
      'kind = "free"\nauth = "query"\nauth_name = "a"',
      ['1:1 error llms.provider.p.api_key: missing; auth = "query" needs it']
    ],
    [
      'kind = "openai"\nauth_name = "a"\napi_key = "k"',
      [
        '2:1 error llms.provider.p.auth_name: not used by auth = "key"; state auth = "header" or auth = "query", or take it out'
      ]
    ],
    [
      'kind = "openai"\nauth = "none"\napi_key = "k"',
      ['3:1 error llms.provider.p.api_key: not used by auth = "none"; state auth = "key", or take it out']
    ]
  ]
  for (const [text, expected] of wrong) expect(problems(text)).toEqual(expected)
})

it("several credentials have secrets of their own", () => {
  const { instances } = plan(
    `${aws}[[credentials]]\nname = "a"\naccess_key_id = "1"\nsecret_access_key = "2"\n[[credentials]]\nname = "b"\naccess_key_id = "3"\nsecret_access_key = "4"`
  )
  expect([instances["p-m@a"], instances["p-m@b"]].map((one) => shown(one?.credential.secrets))).toEqual([
    { accessKeyId: "<1>", secretAccessKey: "<2>" },
    { accessKeyId: "<3>", secretAccessKey: "<4>" }
  ])
})

it("says what is missing and what is not used", () => {
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    [`${aws}access_key_id = "a"`, ['1:1 error llms.provider.p.secret_access_key: missing; auth = "sigv4" needs it']],
    [
      `${aws}access_key_id = ""\nsecret_access_key = "s"`,
      ['1:1 error llms.provider.p.access_key_id: missing; auth = "sigv4" needs it']
    ],
    [
      'kind = "bedrock"\naccess_key_id = "a"\nsecret_access_key = "s"',
      ['1:1 error llms.provider.p.region: missing; the kind "bedrock" needs it']
    ],
    [
      'kind = "openai"\nauth = "sigv4"\naccess_key_id = "a"\nsecret_access_key = "s"',
      ['1:1 error llms.provider.p.region: missing; auth = "sigv4" needs it']
    ],
    [
      'kind = "vertex"\nservice_account = "a"',
      [
        '1:1 error llms.provider.p.region: missing; the kind "vertex" needs it',
        '1:1 error llms.provider.p.project: missing; the kind "vertex" needs it'
      ]
    ],
    [
      `${google}service_account = "a"\nservice_account_file = "b"`,
      ["5:1 error llms.provider.p.service_account_file: stated beside service_account; state one of the two"]
    ],
    [
      `${google}service_account = ""`,
      ['1:1 error llms.provider.p.service_account_file: missing; auth = "google" needs it, or service_account']
    ],
    [
      `kind = "openai"\napi_key = "k"\naccess_key_id = "a"`,
      ['3:1 error llms.provider.p.access_key_id: not used by auth = "key"; state auth = "sigv4", or take it out']
    ],
    [
      'kind = "azure"\nauth = "token"\napi_key = "k"',
      ['3:1 error llms.provider.p.api_key: not used by auth = "token"; state auth = "key", or take it out']
    ],
    [
      `${aws}access_key_id = "a"\nsecret_access_key = "b"\n[[credentials]]\nname = "n"\naccess_key_id = "a"\nsecret_access_key = "b"`,
      [
        "3:1 error llms.provider.p.access_key_id: stated beside [[credentials]]; state one of the two",
        "4:1 error llms.provider.p.secret_access_key: stated beside [[credentials]]; state one of the two"
      ]
    ],
    [
      'kind = "azure"\nauth = "entra"\napi_key = "k"',
      [
        '2:1 error llms.provider.p.auth: expected "key", "bearer", "header", "query", "none", "sigv4", "google", "token"; found "entra"'
      ]
    ]
  ]
  for (const [text, expected] of cases) expect(problems(text)).toEqual(expected)
})

it("knows which of the keys are secret", () => {
  const of = (key: string) => Tree.isSecret(["llms", "provider", "p", key])
  expect(
    ["access_key_id", "secret_access_key", "session_token", "service_account", "api_key"].filter((key) => !of(key))
  ).toEqual([])
  expect(["auth", "region", "service_account_file", "kind"].filter(of)).toEqual([])
  const { tree } = Expand.expand(
    Sample.resolve({ ...Sample.files, ...at(`${aws}session_token = "s3cr3t"\naccess_key_id = "s3cr3t"`) }).tree,
    {}
  )
  expect(inspect(tree, { depth: 20 })).not.toContain("s3cr3t")
})

it("two credentials of one name are told, whatever else is wrong with the file", () => {
  const list = '[[credentials]]\nname = "a"\napi_key = "k"\n[[credentials]]\nname = "a"\napi_key = "l"\n[models.m]'
  const said = (text: string) =>
    Sample.problems({ "llms/provider/p.toml": text }).filter((line) => line.includes("already taken"))
  const expected = (line: number) =>
    `configs/llms/provider/p.toml:${line + 4}:1 error llms.provider.p.credentials[1].name: the name "a" is already taken at configs/llms/provider/p.toml:${line + 1}:1`
  expect(said(`kind = "openai"\n${list}`)).toEqual([expected(2)])
  expect(said(`kind = "openai"\nmax_connections = "many"\n${list}`)).toEqual([expected(3)])
  expect(said(list)).toEqual([expected(1)])
})
