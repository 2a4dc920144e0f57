import { readFileSync } from "node:fs"
import * as FileSchemas from "@echelon/config/FileSchemas"
import * as Reference from "@echelon/config/Reference"
import * as ProviderTable from "@echelon/providers/ProviderTable"
import { expect, it } from "@effect/vitest"
import * as Keys from "./support/Keys.ts"

const page = Reference.markdown({ kinds: ProviderTable.kinds })

/** How the page writes a key's place: names instead of examples, and no index. */
const anchorOf = (kind: string, path: ReadonlyArray<string | number>): string =>
  [kind, ...path.filter((segment) => typeof segment === "string")]
    .map((segment) => ({ echelon1: "echelonN", a: "ALIAS", n: "NAME" })[segment] ?? segment)
    .join(".")

const rowOf = (anchor: string): ReadonlyArray<string> | undefined =>
  page
    .split("\n")
    .find((line) => line.startsWith(`| <a id="${anchor}"></a>`))
    ?.split(" | ")

it("the committed page is what the Schemas say", () => {
  expect(readFileSync(new URL("../../../docs/configuration-reference.md", import.meta.url), "utf8")).toBe(page)
})

it("every key has one place, with its default and unit", () => {
  const anchors = [...page.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id)
  expect(anchors.length).toBe(new Set(anchors).size)
  for (const file of FileSchemas.all) {
    for (const { key, path } of Keys.places(file)) {
      const anchor = anchorOf(file.kind, path)
      if (key.value._tag === "Table" || (key.value._tag === "List" && key.value.items._tag === "Table")) continue
      const row = rowOf(anchor)
      expect([anchor, row?.[2]?.trim()]).toEqual([anchor, key.unit ?? ""])
      expect([anchor, row?.[4]]).toEqual([anchor, key.description.replaceAll("|", "\\|")])
    }
  }
  expect(rowOf("group.echelonN.timeout")).toEqual([
    '| <a id="group.echelonN.timeout"></a>`timeout`',
    "time above 0",
    "seconds",
    "`60`",
    "how long an attempt may take until commit",
    "0.1.0 |"
  ])
  expect(rowOf("group.echelonN.models")?.[3]).toBe("required")
  expect(rowOf("group.echelonN.ttft_timeout")?.[3]).toBe("–")
  expect(rowOf("pool.rotation_strategy")?.[3]).toBe('`"round_robin"`')
})

it("every table has a heading as a file writes it", () => {
  const headings = [...page.matchAll(/^### `(.+)`$/gm)].map(([, heading]) => heading)
  for (const heading of ["[models.ALIAS]", "[[credentials]]", "[echelonN.hedge]", "[tenants]", "[routing]"]) {
    expect(headings).toContain(heading)
  }
})

it("every link within the page has a target", () => {
  for (const [, target] of page.matchAll(/\]\(#([^)]+)\)/g)) expect(page).toContain(`<a id="${target}">`)
})

it("names the kinds of providers where they are known", () => {
  expect(rowOf("provider.kind")?.[1]).toContain('"openai", "anthropic"')
  expect(Reference.markdown()).toContain('<a id="provider.kind"></a>`kind` | name |')
})

it("a name that stands for every key says what it means", () => {
  expect(rowOf("provider.headers.NAME")?.slice(3)).toEqual(["–", "the value of the header of that name", "0.1.0 |"])
  expect(rowOf("provider.query.NAME")?.slice(3)).toEqual(["–", "the value of the parameter of that name", "0.1.0 |"])
  expect(rowOf("wrapper.tenants.NAME")?.slice(3)).toEqual(["`1`", "the weight of the tenant of that name", "0.1.0 |"])
})
