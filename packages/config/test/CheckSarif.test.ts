import * as Origin from "@echelon/config/Origin"
import * as Problem from "@echelon/config/Problem"
import * as Sarif from "@echelon/config/Sarif"
import * as Wording from "@echelon/config/Wording"
import { expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"

const Text = Schema.Struct({ text: Schema.NonEmptyString })
const natural = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))

/** What SARIF 2.1.0 and GitHub code scanning require of a log, as far as it is used here. */
const Log = Schema.Struct({
  $schema: Schema.String,
  version: Schema.Literal("2.1.0"),
  runs: Schema.Array(
    Schema.Struct({
      tool: Schema.Struct({
        driver: Schema.Struct({
          name: Schema.NonEmptyString,
          version: Schema.String,
          rules: Schema.Array(
            Schema.Struct({
              id: Schema.NonEmptyString,
              name: Schema.NonEmptyString,
              shortDescription: Text,
              fullDescription: Text,
              help: Text
            })
          )
        })
      }),
      columnKind: Schema.Literal("utf16CodeUnits"),
      results: Schema.Array(
        Schema.Struct({
          ruleId: Schema.NonEmptyString,
          ruleIndex: Schema.Int,
          level: Schema.Literals(["error", "warning"]),
          message: Text,
          locations: Schema.Array(
            Schema.Struct({
              physicalLocation: Schema.Struct({
                artifactLocation: Schema.Struct({ uri: Schema.NonEmptyString }),
                region: Schema.Struct({ startLine: natural, startColumn: natural })
              }),
              logicalLocations: Schema.Array(
                Schema.Struct({ fullyQualifiedName: Schema.String, kind: Schema.Literal("member") })
              )
            })
          ).check(Schema.isMinLength(1)),
          partialFingerprints: Schema.Record(Schema.String, Schema.NonEmptyString)
        })
      )
    })
  )
})

const at = (file: string) => Origin.file(file, 3, 7)
const log = (problems: ReadonlyArray<Problem.Problem>, options: Partial<Sarif.Options> = {}) =>
  Schema.decodeUnknownSync(Log, { onExcessProperty: "error" })(
    JSON.parse(JSON.stringify(Sarif.make(problems, { root: "configs", version: "1.2.3", ...options })))
  ).runs[0]

it("a log has a rule for every code, and each result names its rule and its place", () => {
  const run = log([
    Problem.warning("clocks", at("configs/llms/groups/a.toml"), ["llms", "groups", "a", "x"], "too long"),
    Problem.error("override", Origin.variable("ECHELON__A"), ["a"], "there is no a")
  ])
  const ids = run?.tool.driver.rules.map(({ id }) => id) ?? []
  expect(new Set(ids).size).toBe(ids.length)
  expect(run?.results.map(({ ruleId, ruleIndex }) => [ruleId, ids[ruleIndex]])).toEqual([
    ["clocks", "clocks"],
    ["override", "override"]
  ])
  expect(run?.results[0]).toMatchObject({
    level: "warning",
    message: { text: "llms.groups.a.x: too long" },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: "configs/llms/groups/a.toml" },
          region: { startLine: 3, startColumn: 7 }
        },
        logicalLocations: [{ fullyQualifiedName: "llms.groups.a.x" }]
      }
    ]
  })
  // A variable has no file; without a place a service would refuse the whole log, as with a folder for one.
  expect(run?.results[1]).toMatchObject({
    level: "error",
    message: { text: "a (from $ECHELON__A): there is no a" },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: "configs/global.toml" },
          region: { startLine: 1, startColumn: 1 }
        }
      }
    ]
  })
  expect(log([])?.results).toEqual([])
})

it("what stands in no file is shown at a file of the folder, and where it is below the working directory", () => {
  const uris = (origin: Origin.Origin, options: Partial<Sarif.Options>) =>
    log([Problem.error("override", origin, "k", "m")], options)?.results[0]?.locations[0]?.physicalLocation
      .artifactLocation.uri
  const variable = Origin.variable("ECHELON__A")
  expect(uris(variable, { root: "c", file: "c/llms/a.toml" })).toBe("c/llms/a.toml")
  expect(uris(Origin.file("c/llms/provider"), { root: "c" })).toBe("c/global.toml")
  expect(uris(variable, { root: "/work/c", cwd: "/work" })).toBe("c/global.toml")
  expect(uris(Origin.file("/work/c/a.toml"), { root: "/work/c", cwd: "/work" })).toBe("c/a.toml")
  expect(uris(Origin.file("/workshop/a.toml"), { root: "/workshop", cwd: "/work" })).toBe("file:///workshop/a.toml")
})

it("a fingerprint stays when lines move, and no two are the same", () => {
  const prints = (line: number) => {
    const one = Problem.error("type", Origin.file("configs/a.toml", line), "k", "m")
    return log([one, one])?.results.map(({ partialFingerprints }) => partialFingerprints["echelonProblem/v1"])
  }
  expect(prints(3)).toEqual(prints(9))
  expect(new Set(prints(3)).size).toBe(2)
})

it.each([
  ["./configs/a.toml", "configs/a.toml"],
  ["my configs/a%.toml", "my%20configs/a%25.toml"],
  ["../shared/ä.toml", "../shared/%C3%A4.toml"],
  ["/etc/echelon/a.toml", "file:///etc/echelon/a.toml"],
  ["C:\\echelon\\a.toml", "file:///C:/echelon/a.toml"]
])("the address of %s", (file, uri) => {
  const location = log([Problem.error("type", at(file), "k", "m")])?.results[0]?.locations[0]?.physicalLocation
  expect(location?.artifactLocation.uri).toBe(uri)
})

it("quantities are written for a reader", () => {
  expect([30_000, 500, 0, 100_020].map(Wording.seconds)).toEqual(["30 s", "0.5 s", "0 s", "100.02 s"])
  expect([0, 1, 12.345, 0.95, 0.0123, 0.000_000_2].map(Wording.usd)).toEqual([
    "$0.00",
    "$1.00",
    "$12.35",
    "$0.95",
    "$0.012",
    "$0.00000020"
  ])
  expect(Wording.list(["a", "b", "c"], 2)).toBe("a, b and 1 more")
  expect([1, 2].map((n) => Wording.count(n, "echelon"))).toEqual(["1 echelon", "2 echelons"])
})
