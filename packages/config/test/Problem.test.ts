import * as ConfigError from "@echelon/config/ConfigError"
import * as Origin from "@echelon/config/Origin"
import * as Problem from "@echelon/config/Problem"
import { expect, it } from "@effect/vitest"

const at = (line: number, column = 1) => Origin.file("configs/global.toml", line, column)

it("writes one line, whatever the origin", () => {
  expect(Problem.format(Problem.error("type", at(7, 3), ["a", "b.c", 0], "wrong"))).toBe(
    'configs/global.toml:7:3 error a."b.c"[0]: wrong'
  )
  expect(Problem.format(Problem.warning("unused", Origin.variable("X"), "a", "wrong"))).toBe("$X:1:1 warning a: wrong")
})

it("an error lists everything, errors first, then by place, frames below their line and no stack", () => {
  const error = ConfigError.make([
    Problem.warning("unused", at(1), "w", "warned"),
    Problem.error("type", at(10), "b", "second"),
    Problem.error("syntax", at(9, 2), "a", "first", "9 | x\n  | ^")
  ])
  expect(error._tag).toBe("ConfigError")
  expect(error.message).toBe(
    [
      "configs/global.toml:9:2 error a: first",
      "    9 | x",
      "      | ^",
      "configs/global.toml:10:1 error b: second",
      "configs/global.toml:1:1 warning w: warned"
    ].join("\n")
  )
  expect(error.stack ?? "").not.toContain("at ")
})
