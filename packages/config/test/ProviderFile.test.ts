// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax that is tested

import { inspect } from "node:util"
import { Listing } from "@echelon/config"
import { expect, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Sample from "./support/Sample.ts"

const file = "llms/provider/openai.toml"

const fileOf = (lines: string): string => `kind = "openai"
api_key = "sk"
${lines}
[models.gpt4]
model = "gpt-4"
[models."gpt3.5-turbo"]
model = "gpt-3.5-turbo"
`

/** The provider that a file with these lines becomes. */
const provider = (lines: string, variables: Record<string, string> = {}) =>
  Sample.plan({ [file]: fileOf(lines) }, { variables }).providers["openai"]

it("asks directly, in HTTP/1.1, with the usual authorities and limits", () => {
  expect(provider("")).toMatchObject({
    proxy: undefined,
    caFile: undefined,
    http2: false,
    maxRequestBytes: 67_108_864,
    maxHeaderBytes: 16_384
  })
})

it("keeps what is stated of connections", () => {
  const found = provider("http2 = true\nmax_request_bytes = 1\nmax_header_bytes = 2\nproxy = 'http://u:hunter2@p:1'")
  expect(found).toMatchObject({ http2: true, maxRequestBytes: 1, maxHeaderBytes: 2 })
  expect(found?.proxy === undefined ? undefined : Redacted.value(found.proxy)).toBe("http://u:hunter2@p:1")
  expect(inspect(found, { depth: 9 })).not.toContain("hunter2")
})

it("an empty proxy is as if it were not stated", () => {
  expect(provider('proxy = "${PROXY:-}"')?.proxy).toBeUndefined()
})

it("a file of authorities is relative to the file that states it, and to the working directory from a variable", () => {
  expect(provider('ca_file = "../ca.pem"')?.caFile).toBe("configs/llms/provider/../ca.pem")
  expect(provider('ca_file = "/etc/ca.pem"')?.caFile).toBe("/etc/ca.pem")
  expect(provider('ca_file = "${CA}"', { CA: "ca.pem" })?.caFile).toBe("ca.pem")
})

it("never shows a proxy", () => {
  const lines = "proxy = 'http://u:hunter2@p'"
  const { tree } = Sample.resolve({ ...Sample.files, [file]: fileOf(lines) })
  const found = Listing.at(tree, ["llms", "provider", "openai"]).find(({ path }) => path.at(-1) === "proxy")
  expect(found?.value).toBe("(not shown)")
  const shown = Sample.problems({ [file]: fileOf("proxy = ['http://u:hunter2@p']\nproxi = 'http://u:hunter2@p'") })
  expect(shown.join("\n")).toContain("llms.provider.openai.proxy: expected text")
  expect(shown.join("\n")).not.toContain("hunter2")
})
