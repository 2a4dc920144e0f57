import * as CodeFrame from "@echelon/config/CodeFrame"
import { expect, it } from "@effect/vitest"

it("shows a line before and after, and where", () => {
  expect(CodeFrame.make('a = 1\nname = "x\nb = 2\nc = 3', 2, 8)).toBe(
    '1 | a = 1\n2 | name = "x\n  |        ^\n3 | b = 2'
  )
  expect(CodeFrame.make("a =", 1, 4)).toBe("1 | a =\n  |    ^")
})

it.each([
  'api_key = "sk-123',
  "api_key = sk-123",
  '"api_key" = "sk-123',
  '[[credentials]]\nname = "a"\nvalue = "sk-123',
  '[llms.provider.openai.headers]\nx-org = "sk-123',
  'headers = { Authorization = "Bearer sk-123',
  'x = { api_key = "sk-123',
  'api_key = """\nsk-123\nsk-123',
  'llms.provider.openai.api_key = "sk-123',
  'name = "x"\napi_key = "sk-123"\nkind = "y'
])("hides what may be secret: %j", (text) => {
  const lines = text.split("\n")
  for (let line = 1; line <= lines.length; line++) expect(CodeFrame.make(text, line, 5)).not.toContain("123")
})

it("shows limits of tokens, which are no secret", () => {
  expect(CodeFrame.make("max_tokens = 20x", 1, 16)).toContain("20x")
})
