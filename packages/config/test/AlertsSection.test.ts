// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax that is tested

import * as AlertSettings from "@echelon/core/AlertSettings"
import { expect, it } from "@effect/vitest"
import { Redacted } from "effect"
import * as Sample from "./support/Sample.ts"

const problems = (toml: string, options: Sample.Options = {}) => Sample.problems({ "global.toml": toml }, options)

it("without the section every rule is on, and the log is told", () => {
  expect(Sample.plan().alerts).toEqual(AlertSettings.defaults)
})

it("quiet hours are those of the night in UTC once their table is there", () => {
  const { alerts } = Sample.plan({ "global.toml": "[alerts.quiet_hours]\n" })
  expect(alerts.quietHours).toEqual({ from: 22 * 60, to: 7 * 60, timeZone: "UTC" })
})

it("every key reaches the plan, times in milliseconds, secrets hidden", () => {
  const toml = `[alerts]
enabled = true
group_wait = 1
repeat_interval = "2h"
resolve_after = "30s"

[alerts.quiet_hours]
from = "22:30"
to = "07:00"
time_zone = "Europe/Berlin"

[alerts.rules.error_rate]
threshold = 0.2
for = "90s"
severity = "warning"
window = "10m"
min_requests = 5
channels = ["ops", "log"]

[alerts.rules.slow_first_output]
threshold = "2s"

[alerts.rules.budget_half]
enabled = false

[alerts.rules.budget_low]
threshold = 0.65

[alerts.channels.log]
type = "log"
severity = "critical"

[alerts.channels.ops]
type = "webhook"
url = "https://hooks.example/planted-path"
secret = "planted-secret"
headers = { authorization = "planted-token" }
timeout = 3
resolved = false

[alerts.channels.slack]
type = "slack"
url = "\${SLACK_URL}"

[alerts.channels.ding]
type = "dingtalk"
url = "https://oapi.example/robot?access_token=planted"
secret = "planted-sec"

[alerts.channels.mail]
type = "email"
host = "smtp.example"
user = "me"
password = "planted-password"
from = "Echelon <e@example.org>"
to = ["oncall@example.org"]

[alerts.channels.off]
type = "feishu"
enabled = false
`
  const variables = { ...Sample.variables, SLACK_URL: "https://hooks.slack.example/services/planted" }
  const { alerts } = Sample.plan({ "global.toml": toml }, { variables })
  expect(alerts).toMatchObject({
    groupWait: 1_000,
    repeatInterval: 7_200_000,
    resolveAfter: 30_000,
    quietHours: { from: 22 * 60 + 30, to: 7 * 60, timeZone: "Europe/Berlin" },
    rules: {
      ...AlertSettings.defaults.rules,
      error_rate: {
        enabled: true,
        threshold: 0.2,
        for: 90_000,
        severity: "warning",
        window: 600_000,
        minRequests: 5,
        channels: ["ops", "log"]
      },
      slow_first_output: { ...AlertSettings.defaults.rules.slow_first_output, threshold: 2_000 },
      budget_half: { enabled: false },
      budget_low: { enabled: true, threshold: 0.65 }
    }
  })
  expect(alerts.channels).toMatchObject([
    { type: "log", name: "log", severity: "critical", resolved: true },
    { type: "webhook", name: "ops", timeout: 3_000, resolved: false },
    { type: "slack", name: "slack", timeout: 10_000 },
    { type: "dingtalk", name: "ding" },
    { type: "email", name: "mail", host: "smtp.example", port: 587, tls: "starttls", user: "me" }
  ])
  expect(JSON.stringify(alerts)).not.toContain("planted")
  const [, ops] = alerts.channels
  expect(ops?.type === "webhook" && Redacted.value(ops.url)).toBe("https://hooks.example/planted-path")
})

const channel = (lines: string) => `[alerts.channels.x]\n${lines}\n`

it.each([
  [channel('type = "slack"'), 'alerts.channels.x.url: missing; a channel of type "slack" needs it'],
  [
    channel('type = "email"\nhost = "h"\nfrom = "a@b"'),
    'alerts.channels.x.to: missing; a channel of type "email" needs it'
  ],
  [
    channel('type = "email"\nhost = "h"\nfrom = "a@b"\nto = ["c@d"]\nuser = "u"'),
    'alerts.channels.x.password: missing; a channel of type "email" needs it'
  ],
  [
    channel('type = "email"\nhost = "h"\nfrom = "a@b"\nto = ["c@d"]\nuser = "u"\npassword = "planted"\ntls = "none"'),
    "alerts.channels.x.tls: the password would be sent in clear"
  ],
  [
    channel('type = "webhook"\nurl = "hooks.example/planted"'),
    "alerts.channels.x.url: expected an address that begins with https://"
  ],
  [channel('type = "webhook"\nurl = "https://u:planted@hooks.example/"'), "alerts.channels.x.url: expected an address"],
  [
    channel('type = "slack"\nurl = "https://h/planted"\nsecret = "planted"'),
    'alerts.channels.x.secret: a channel of type "slack" does not use this key'
  ],
  [channel('type = "slack"\nurl = "${NONE:-}"'), "alerts.channels.x.url: empty, so this channel is disabled"],
  [
    channel('type = "pigeon"'),
    'alerts.channels.x.type: expected "log", "webhook", "slack", "feishu", "dingtalk", "email"'
  ],
  [
    '[alerts.rules.error_rate]\nchannels = ["lgo"]\n',
    'alerts.rules.error_rate.channels: unknown channel "lgo"; did you mean "log"?'
  ],
  ["[alerts.rules.error_rate]\nthreshold = 20\n", "alerts.rules.error_rate.threshold: expected a number from 0 to 1"],
  ["[alerts.rules.reload_rejected]\nthreshold = 1\n", "alerts.rules.reload_rejected.threshold: unknown key"],
  ["[alerts.rules.eror_rate]\n", 'alerts.rules.eror_rate: unknown key; did you mean "error_rate"?'],
  ['[alerts.quiet_hours]\nfrom = "22:00"\nto = "7"\n', "alerts.quiet_hours.to: expected a time of day"],
  [
    '[alerts.quiet_hours]\nfrom = "22:00"\nto = "07:00"\ntime_zone = "Mars"\n',
    "alerts.quiet_hours.time_zone: expected a time zone"
  ]
])("%s is told", (toml, expected) => {
  const found = problems(toml)
  expect(found).toHaveLength(1)
  expect(found[0]).toContain(expected)
  expect(found[0]).not.toContain("planted")
})
