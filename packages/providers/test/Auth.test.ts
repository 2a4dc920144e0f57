import { Plan } from "@echelon/core"
import { Auth } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Redacted } from "effect"

const key: Plan.Credential = { name: "", key: Redacted.make("k"), weight: 1 }
const none: Plan.Credential = { name: "", key: undefined, weight: 1 }
const aws: Plan.Credential = { ...none, secrets: { accessKeyId: Redacted.make("a") } }
const empty: Plan.Credential = { ...key, secrets: { accessKeyId: undefined } }

it("takes what a file states, or else the rule of the kind", () => {
  const header = Auth.header("x-key")
  const bedrock: Auth.Offer = { auth: Auth.sigV4("bedrock") }
  const vertex: Auth.Offer = { auth: Auth.google("a-scope"), keyAuth: header }
  const plain: Auth.Offer = { auth: header }
  const cases: ReadonlyArray<readonly [Auth.Offer, Plan.AuthKind | undefined, Plan.Credential, Auth.Auth]> = [
    [plain, undefined, key, header],
    [plain, undefined, none, header],
    [plain, "key", none, header],
    [plain, "sigv4", aws, Auth.sigV4("bedrock")],
    [plain, "google", none, Auth.google()],
    [plain, "token", key, Auth.token],
    [bedrock, undefined, aws, Auth.sigV4("bedrock")],
    [bedrock, undefined, none, Auth.sigV4("bedrock")],
    [bedrock, undefined, key, Auth.bearer],
    [bedrock, undefined, empty, Auth.bearer],
    [bedrock, "sigv4", key, Auth.sigV4("bedrock")],
    [vertex, undefined, none, Auth.google("a-scope")],
    [vertex, "google", none, Auth.google("a-scope")],
    [vertex, "key", none, header]
  ]
  for (const [offer, auth, credential, expected] of cases)
    expect(Auth.choose(offer, { auth }, credential)).toEqual(expected)
})

it("puts a key where a file says", () => {
  const plain: Auth.Offer = { auth: Auth.header("x-key") }
  const bedrock: Auth.Offer = { auth: Auth.sigV4("bedrock") }
  const cases: ReadonlyArray<readonly [Plan.AuthKind, string | undefined, Auth.Auth]> = [
    ["bearer", undefined, Auth.bearer],
    ["header", "X-Api-Key", Auth.header("x-api-key")],
    ["query", "Key", Auth.query("Key")],
    ["none", undefined, Auth.none]
  ]
  for (const offer of [plain, bedrock])
    for (const credential of [key, none, aws])
      for (const [auth, authName, expected] of cases)
        expect(Auth.choose(offer, { auth, authName }, credential)).toEqual(expected)
})

it("has the word of a file for each", () => {
  const all = [Auth.bearer, Auth.header("a"), Auth.query("a"), Auth.none, Auth.sigV4("s"), Auth.google(), Auth.token]
  expect(all.map(Auth.kindOf)).toEqual(["bearer", "header", "query", "none", "sigv4", "google", "token"])
  expect(all.map(Auth.isStatic)).toEqual([true, true, true, true, false, false, false])
  expect(new Set(["key", ...all.map(Auth.kindOf)])).toEqual(new Set(Plan.authKinds))
})

it("shows a key", () => {
  expect(Auth.apply(Auth.bearer, "k")).toEqual({ headers: { authorization: "Bearer k" }, query: {} })
  expect(Auth.apply(Auth.header("x-key"), "k")).toEqual({ headers: { "x-key": "k" }, query: {} })
  expect(Auth.apply(Auth.query("key"), "k")).toEqual({ headers: {}, query: { key: "k" } })
  expect(Auth.apply(Auth.none, "k")).toEqual({ headers: {}, query: {} })
  expect(Auth.apply(Auth.bearer, undefined)).toEqual({ headers: {}, query: {} })
})
