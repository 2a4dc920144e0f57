import { readFileSync } from "node:fs"
import { Certificates } from "@echelon/providers"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { expect, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"

const path = new URL("./fixtures/tls/authority.pem", import.meta.url).pathname
const authority = readFileSync(path, "utf8")

it("finds certificates with their lines, whatever stands around them", () => {
  const text = `Subject: one\n${authority}\r\n# two\r\n${authority.replaceAll("\n", "\r\n")}`
  const [first, second, ...others] = Certificates.parse(text)
  expect([first?.line, second?.line, others]).toEqual([2, authority.split("\n").length + 3, []])
  expect(second?.pem).toBe(authority.trim())
})

const broken: ReadonlyArray<readonly [string, string, RegExp]> = [
  ["nothing", "", /holds no certificate/],
  ["no PEM", "hello\nworld\n", /holds no certificate/],
  [
    "a block that does not end",
    authority.replace(/-----END.*/, ""),
    /^line 1: the CERTIFICATE that begins here does not/
  ],
  ["a block inside another", authority.replace(/-----END.*\n/, "") + authority, /^line 1: .* does not end/],
  ["a private key", `\n\n-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----`, /^line 3: a private key/]
]

for (const [title, text, message] of broken)
  it(`refuses ${title}`, () => {
    expect(() => Certificates.parse(text)).toThrow(message)
  })

const load = (text: string | undefined) =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped()
    if (text !== undefined) yield* files.writeFileString(`${folder}/ca.pem`, text)
    const error = yield* Effect.flip(Certificates.load(`${folder}/ca.pem`))
    expect(error.reason).toEqual({ _tag: "InvalidRequest" })
    return error.detail?.replace(folder, "FOLDER")
  }).pipe(Effect.provide(NodeFileSystem.layer))

it.effect("names the file, and the line or the reason", () =>
  Effect.gen(function* () {
    expect(yield* load(undefined)).toBe("ca_file FOLDER/ca.pem: there is no such file")
    expect(yield* load("")).toBe("ca_file FOLDER/ca.pem: it holds no certificate (-----BEGIN CERTIFICATE-----)")
    const lines = authority.split("\n")
    const damaged = [...lines.slice(0, 2), ...lines.slice(4)].join("\n")
    expect(yield* load(`${authority}\n${damaged}`)).toBe(
      `ca_file FOLDER/ca.pem: line ${lines.length + 1}: the certificate that begins here cannot be read`
    )
  })
)

it.effect("makes a context", () =>
  Effect.gen(function* () {
    expect(yield* Certificates.load(path)).toHaveProperty("context")
  }).pipe(Effect.provide(NodeFileSystem.layer))
)
