import assert from "node:assert/strict"
import { describe, expect, it } from "@effect/vitest"
import * as Protocols from "./support/Protocols.ts"
import * as Translation from "./support/Translation.ts"

const contracts = Protocols.liftable

const pairs = contracts.flatMap((from) => contracts.filter((to) => to !== from).map((to) => [from, to] as const))

describe("the table", () => {
  for (const contract of contracts)
    it(`says why ${contract.title} approximates, and nothing that it does not do`, () => {
      const approximated = Translation.samples.filter(
        (sample) => Translation.fate(contract, sample).fate === "approximated"
      )
      const published = Object.entries(Translation.approximations).flatMap(([title, by]) =>
        by[contract.title] === undefined ? [] : [title]
      )
      expect(approximated.map((sample) => sample.title)).toEqual(published)
    })

  for (const [from, to] of pairs)
    it(`tells what becomes of a request from ${from.title} to ${to.title}`, () => {
      const told = Translation.samples.flatMap((sample) => {
        const fate = Translation.expected(from, to, sample)
        return fate === undefined ? [] : [[sample.title, fate]]
      })
      const found = Translation.samples.flatMap((sample) =>
        Translation.expected(from, to, sample) === undefined
          ? []
          : [[sample.title, Translation.fateBetween(from, to, sample)]]
      )
      expect(found).toEqual(told)
    })
})

describe("request, wire, request", () => {
  for (const contract of contracts)
    it.prop(`${contract.title} keeps what the table says`, { request: Translation.Request }, ({ request }) => {
      const input = Translation.inputOf(request)
      const asked = Translation.plain(input)
      const found = Translation.plain(Translation.pass(contract, input).input)
      assert.deepEqual(Translation.withoutDefaults(asked, found), Translation.project(contract, asked))
    })

  for (const [from, to] of pairs)
    it.prop(
      `${from.title} to ${to.title} keeps what the table says of both`,
      { request: Translation.Request },
      ({ request }) => {
        const input = Translation.inputOf(request)
        const asked = Translation.plain(input)
        const between = Translation.pass(from, input).input
        const found = Translation.plain(Translation.pass(to, between).input)
        assert.deepEqual(
          Translation.withoutDefaults(asked, found),
          Translation.project(to, Translation.project(from, asked))
        )
      }
    )
})
