import type * as AlertState from "@echelon/core/AlertState"
import * as AlertText from "@echelon/core/AlertText"
import { expect, it } from "@effect/vitest"

it.each([
  [0, "0.00 USD"],
  [1234.5, "1234.50 USD"],
  [0.5, "0.50 USD"],
  [0.05, "0.05 USD"],
  [0.00163, "0.00163 USD"],
  [0.002, "0.002 USD"],
  [0.000000001, "0.000000001 USD"],
  [0.99999, "1.00 USD"]
])("%d is %s", (amount, text) => {
  expect(AlertText.usd(amount)).toBe(text)
})

it("what does not hold any more is told as what was", () => {
  const alert: AlertState.Alert = {
    key: "queue_full/wrapper/w",
    rule: "queue_full",
    subject: { kind: "wrapper", name: "w" },
    provider: undefined,
    severity: "warning",
    phase: "firing",
    text: "4 of 5 places are taken",
    value: 0.8,
    threshold: 0.8,
    since: 0,
    firedAt: 1_000,
    resolvedAt: undefined,
    isInhibited: false
  }
  expect(AlertText.alert(alert, 2_000)).toBe(
    "FIRING warning queue_full: 4 of 5 places are taken (since 1970-01-01T00:00:00.000Z)"
  )
  expect(AlertText.alert({ ...alert, clearSince: 2_000 }, 3_000)).toBe(
    "FIRING warning queue_full: was: 4 of 5 places are taken (since 1970-01-01T00:00:00.000Z, not since 1970-01-01T00:00:02.000Z)"
  )
  expect(AlertText.alert({ ...alert, phase: "resolved", resolvedAt: 11_000 }, 12_000)).toBe(
    "RESOLVED queue_full: was: 4 of 5 places are taken (fired for 10 s)"
  )
})
