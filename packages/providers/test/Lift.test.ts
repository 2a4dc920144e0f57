import { LlmError } from "@echelon/core"
import { Lift } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import * as ProtocolContract from "./support/ProtocolContract.ts"
import * as Protocols from "./support/Protocols.ts"
import * as Translation from "./support/Translation.ts"

const liftOf = (contract: ProtocolContract.Contract) => {
  if (typeof contract.lift !== "function") throw new Error(`${contract.title} cannot be read back`)
  return contract.lift
}

/** Bodies of everything that a request can hold. */
const bodies = (contract: ProtocolContract.Contract): ReadonlyArray<unknown> =>
  Translation.samples.flatMap((sample) => {
    const input = sample.input(contract)
    return input === undefined ? [] : [ProtocolContract.lower(contract, input, true).body]
  })

/** Every value that differs from this one in one place. */
const spoilt = function* (value: unknown): Generator<unknown> {
  yield* [null, undefined, 1, "x", true, [], [1], {}, { type: "x" }, [{ type: "x" }], [{ role: "x" }]]
  if (Array.isArray(value)) {
    for (const [at, one] of value.entries()) for (const bad of spoilt(one)) yield value.with(at, bad)
  } else if (typeof value === "object" && value !== null)
    for (const [key, one] of Object.entries(value)) for (const bad of spoilt(one)) yield { ...value, [key]: bad }
}

for (const contract of Protocols.liftable) {
  it(`${contract.title}: whatever a body holds, nothing is thrown, and what is read can be said`, () => {
    let count = 0
    for (const body of bodies(contract))
      for (const bad of spoilt(body)) {
        count++
        const { input, problems } = liftOf(contract)(bad)
        for (const problem of problems) expect(problem).toMatchObject({ expected: expect.any(String) })
        const { raw: _, ...anew } = input
        ProtocolContract.lower(contract, anew, false)
      }
    expect(count).toBeGreaterThan(1000)
  })

  it(`${contract.title}: what is no object is said to be none`, () => {
    for (const body of [undefined, null, 1, "x", []])
      expect(liftOf(contract)(body).problems.map(({ expected, path }) => [path, expected])).toEqual([["", "an object"]])
  })

  it(`${contract.title}: an empty body lacks its messages`, () => {
    expect(liftOf(contract)({}).problems.map(Lift.describe)).toEqual([
      expect.stringMatching(/^(?:messages|input|contents): expected .*an array, found nothing$/)
    ])
  })

  it(`${contract.title}: the body goes along as it came`, () => {
    const body = { never_heard: { of: [1] } }
    expect(liftOf(contract)(body).input.raw).toEqual({ protocol: contract.protocol.name, body })
  })

  it(`${contract.title}: a key that could reach a prototype is left out`, () => {
    const body = JSON.parse('{"__proto__":{"a":1},"constructor":{"b":1},"messages":[],"input":[],"contents":[]}')
    expect(liftOf(contract)(body).input.providerOptions).toEqual(
      // A body of Chat Completions has no `input`, and so on.
      liftOf(contract)({ messages: [], input: [], contents: [] }).input.providerOptions
    )
    expect(({} as Record<string, unknown>)["a"]).toBe(undefined)
  })
}

it("makes one error of problems, which quotes nothing", () => {
  const error = Lift.toError([
    { path: "", expected: "an object", found: "null" },
    { path: "messages[0].role", expected: "a string", found: "a number" }
  ])
  expect(LlmError.isLlmError(error) && error.reason._tag).toBe("InvalidRequest")
  expect(error.detail).toBe(
    "the body: expected an object, found null; messages[0].role: expected a string, found a number"
  )
})
