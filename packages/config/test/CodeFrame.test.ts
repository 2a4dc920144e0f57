import * as CodeFrame from "@echelon/config/CodeFrame"
import { expect, it } from "@effect/vitest"

it("shows a line before and after, and where", () => {
  expect(CodeFrame.make('a = 1\nname = "x\nb = 2\nc = 3', 2, 8)).toBe(
    "1 | a = 1\n2 | name = ***\n  |        ^\n3 | b = 2"
  )
  expect(CodeFrame.make("a =", 1, 4)).toBe("1 | ***\n  |    ^")
  expect(CodeFrame.make("timeout =", 1, 10)).toBe("1 | timeout =\n  |          ^")
})

it("shows tables, keys and values that are names or numbers", () => {
  expect(CodeFrame.make('[[credentials]]\nkind = "openai"\n[models."gpt3.5-turbo"]', 2, 16)).toBe(
    '1 | [[credentials]]\n2 | kind = ***\n  |           ^\n3 | [models."gpt3.5-turbo"]'
  )
  const line = 'models = ["openai-gpt4", "a@b"]'
  expect(CodeFrame.make(`[echelon1] # x\n${line}\ntimeout = 30s`, 2, 11)).toBe(
    `1 | [echelon1] # ***\n2 | ${line}\n  |           ^\n3 | timeout = 30s`
  )
  expect(CodeFrame.make('headers = { x = "S", "y" = [1, \'S\'] } # S', 1, 17)).toBe(
    '1 | headers = { *** = "***", "***" = [***, \'***\'] } # ***\n  |                   ^'
  )
})

const secret = "sk-hunter123="
it.each([
  `api_key = "${secret}`,
  `api_key = ${secret}`,
  `api_key= "a" ${secret}`,
  `"api_key" = "${secret}`,
  `[[credentials]]\nname = "a"\nvalue = "${secret}`,
  `[llms.provider.openai.headers]\nx-org = "${secret}`,
  `headers = { Authorization = "Bearer ${secret}`,
  `x = { api_key = "${secret}`,
  `api_key = """\n${secret}\n${secret}`,
  `llms.provider.openai.api_key = "${secret}`,
  `name = "x"\napi_key = "${secret}"\nkind = "y"`,
  `api_key: ${secret}`,
  `api_key: ${secret} = "x"`,
  secret,
  `  ${secret}=`,
  `"${secret}"`,
  `api_key\n= "${secret}"`,
  `api_key =\n"${secret}"`,
  `headers = [\n  "x-api-key: ${secret}",\n  '${secret}' ,\n  ["${secret}"]\n  ["${secret}"],\n  [${secret}]\n]`,
  `base_url = "https://user:${secret}@h/v1?key=${secret}"`,
  `kind = "https://user:${secret}@h/v1?key=${secret}"`,
  `models = ["https://h/v1?key=${secret}", "a]`,
  `# old key: ${secret}`,
  `kind = "a" # old key: ${secret}`,
  `[models] # ${secret}`,
  `kind = "a", b = "${secret}"`,
  "pin = 9123456",
  "api_key = 123",
  "[headers]\nx-pin = 123",
  `ApiKey ${secret}`,
  `export OPENAI_API_KEY=${secret}`
])("hides what may be secret: %j", (text) => {
  const lines = text.split("\n")
  for (let line = 1; line <= lines.length; line++) expect(CodeFrame.make(text, line, 5)).not.toMatch(/123|hunter/)
})

it("shows limits of tokens, which are no secret", () => {
  expect(CodeFrame.make("max_tokens = 20x", 1, 16)).toContain("20x")
})

it("a long line is shown around the error", () => {
  const names = Array.from({ length: 60 }, (_, i) => `"model-${i}"`).join(", ")
  const text = `models = [${names}]`
  const at = text.indexOf('"model-40"')
  const [line = "", caret = ""] = CodeFrame.make(text, 1, at + 1).split("\n")
  expect(line.length).toBeLessThan(140)
  expect(line.slice(caret.indexOf("^"))).toMatch(/^"model-40"/)
  expect(line).toMatch(/^1 \| \.\.\..*\.\.\.$/)
})

it("control characters do not reach the terminal", () => {
  for (const char of ["\u0000", "\u001b", "\u009b", "\u0007", "\u202e", "\r", "\u007f"]) {
    for (const text of [`a${char} = 1`, `kind = "a${char}b"`, `[a${char}]`, `# ${char}`, `${char}`, `\t${char}]`]) {
      expect(CodeFrame.make(text, 1, 2)).not.toContain(char)
    }
  }
})
