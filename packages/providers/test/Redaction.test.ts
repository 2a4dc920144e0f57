import { Redaction } from "@echelon/providers"
import { expect, it } from "@effect/vitest"

it("takes a secret out in every form it travels in", () => {
  const secret = 'sk-a"b/c+d é'
  const redact = Redaction.make([secret])
  for (const form of [
    secret,
    JSON.stringify(secret),
    encodeURIComponent(secret),
    Buffer.from(secret).toString("base64")
  ]) {
    const shown = redact(`before ${form} after`)
    expect(shown).toContain("[redacted]")
    expect(shown).not.toContain(form)
  }
})

it("takes out every occurrence, and the longer of two that overlap", () => {
  expect(Redaction.make(["key", "key-long"])("key-long key key-long")).toBe("[redacted] [redacted] [redacted]")
})

it("leaves a text alone when there is no secret", () => {
  expect(Redaction.make(["", ""])("a text")).toBe("a text")
})

it("redacts before it cuts", () => {
  expect(Redaction.truncate(Redaction.make(["secretsecret"]), `${"x".repeat(6)}secretsecret`, 10)).toBe("xxxxxx[red…")
  expect(Redaction.truncate(Redaction.make([]), "short", 10)).toBe("short")
})
