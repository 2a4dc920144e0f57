import { Router } from "@echelon/core"
import { expect, it } from "@effect/vitest"

const none = { defaultWrapper: undefined, defaultPool: undefined, defaultProvider: undefined }

it("wrapper before pool before group before provider", () => {
  const all = { wrapperName: "w", poolName: "p", groupName: "g", provider: "x", model: "m" }
  expect(Router.decide(all, none)).toEqual({ kind: "wrapper", name: "w" })
  expect(Router.decide({ ...all, wrapperName: undefined }, none)).toEqual({ kind: "pool", name: "p" })
  expect(Router.decide({ groupName: "g.echelon2", provider: "x" }, none)).toEqual({ kind: "group", name: "g.echelon2" })
  expect(Router.decide({ provider: "x", model: "m" }, none)).toEqual({ kind: "client", provider: "x", model: "m" })
})

it("falls back to the configured default, last to openai", () => {
  const routing = { defaultWrapper: "w", defaultPool: "p", defaultProvider: "x" }
  expect(Router.decide({}, routing)).toEqual({ kind: "wrapper", name: "w" })
  expect(Router.decide({}, { ...routing, defaultWrapper: undefined })).toEqual({ kind: "pool", name: "p" })
  expect(Router.decide({ model: "m" }, routing)).toEqual({ kind: "client", provider: "x", model: "m" })
  expect(Router.decide({}, none)).toEqual({ kind: "client", provider: "openai", model: undefined })
})
