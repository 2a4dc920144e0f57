// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax that is tested

import * as Template from "@echelon/config/Template"
import { expect, it } from "@effect/vitest"
import * as Result from "effect/Result"

const variables = { A: "one", B: "two", EMPTY: "", NESTED: "${A}" }

it.each([
  ["plain", "plain"],
  ["${A}", "one"],
  ["<${A}-${B}>", "<one-two>"],
  ["${MISSING:-three}", "three"],
  ["${A:-three}", "one"],
  ["${EMPTY:-three}", "three"],
  ["${MISSING:-}", ""],
  ["${MISSING:-http://x:1/?y}", "http://x:1/?y"],
  ["${A:?needed}", "one"],
  ["$${A}", "${A}"],
  ["$${A} ${A} $${", "${A} one ${"],
  ["${NESTED}", "${A}"],
  ["$A $ $$ {A}", "$A $ $$ {A}"]
])("expands %j to %j", (text, expected) => {
  expect(Result.getOrThrow(Template.expand(text, variables))).toBe(expected)
})

it.each([
  ["${MISSING}", { _tag: "Unset", name: "MISSING", isEmpty: false }],
  ["${EMPTY}", { _tag: "Unset", name: "EMPTY", isEmpty: true }],
  ["${toString}", { _tag: "Unset", name: "toString", isEmpty: false }],
  ["${MISSING:?set it}", { _tag: "Demanded", name: "MISSING", isEmpty: false, message: "set it" }],
  ["${A", { _tag: "Malformed", begin: "${A" }],
  ["${}", { _tag: "Malformed", begin: "${" }],
  ["${A-b}", { _tag: "Malformed", begin: "${A" }],
  ["${A :-hunter2}", { _tag: "Malformed", begin: "${A" }],
  ["${A:hunter2}", { _tag: "Malformed", begin: "${A" }],
  ["x ${A hunter2", { _tag: "Malformed", begin: "${A" }],
  ["${1A}", { _tag: "Malformed", begin: "${1A" }]
] as const)("refuses %j", (text, expected) => {
  expect(Result.getOrThrow(Result.flip(Template.expand(text, variables)))).toEqual(expected)
})
