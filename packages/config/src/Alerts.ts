/**
 * From `[alerts]` to the settings of a plan. Which keys a channel has follows from its type.
 *
 * @since 0.1.0
 */
import type * as AlertChannel from "@echelon/core/AlertChannel"
import * as AlertRule from "@echelon/core/AlertRule"
import * as AlertSettings from "@echelon/core/AlertSettings"
import * as Nearest from "@echelon/core/Nearest"
import * as Redacted from "effect/Redacted"
import type * as AlertsSection from "./AlertsSection.ts"
import * as Credentials from "./Credentials.ts"
import * as Decode from "./Decode.ts"
import type * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"
import type * as Resolve from "./Resolve.ts"
import * as Tree from "./Tree.ts"

const { defaults } = AlertSettings

type Stated = typeof AlertsSection.Channel.Type

/** What a channel of a type has beside what all have. */
const keysOf: Readonly<Record<Stated["type"], ReadonlyArray<keyof Stated>>> = {
  log: [],
  webhook: ["url", "secret", "headers", "timeout"],
  slack: ["url", "timeout"],
  feishu: ["url", "secret", "timeout"],
  dingtalk: ["url", "secret", "timeout"],
  email: ["host", "port", "tls", "user", "password", "from", "to", "ca_file", "timeout"]
}

const common: ReadonlyArray<string> = ["type", "enabled", "severity", "resolved"]

const ports = { starttls: 587, implicit: 465, none: 25 } as const

const isAddress = (text: string): boolean => {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return false
  const { password, username } = new URL(text)
  return username === "" && password === ""
}

const isLoopback = (host: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|::1)$/i.test(host)

/** Builds a channel; `undefined` when it is disabled or does not fit together, which is reported. */
const channelOf = (
  name: string,
  stated: Stated,
  tree: Tree.Table,
  report: (problem: Problem.Problem) => void
): AlertChannel.Options | undefined => {
  const { resolved, severity, timeout, type } = stated
  const path: Origin.Path = ["alerts", "channels", name]
  const own = { name, severity, resolved }
  const fail = (key: keyof Stated, code: "missing_key" | "contradiction" | "type", message: string): undefined => {
    const at = [...path, key]
    report(Problem.error(code, Tree.originOf(tree, code === "missing_key" ? path : at), at, message))
  }
  const missing = (key: keyof Stated): undefined =>
    fail(key, "missing_key", `missing; a channel of type "${type}" needs it`)
  const off = (key: keyof Stated): undefined => {
    const at = [...path, key]
    report(Problem.warning("unused", Tree.originOf(tree, at), at, "empty, so this channel is disabled"))
  }
  const table = Tree.get(tree, path)
  for (const key of table?._tag === "Table" ? table.entries.keys() : []) {
    if (common.includes(key) || keysOf[type].some((used) => used === key)) continue
    const at = [...path, key]
    report(Problem.warning("unused", Tree.originOf(tree, at), at, `a channel of type "${type}" does not use this key`))
  }
  if (!stated.enabled) return undefined
  if (type === "log") return { type, ...own }
  if (type === "email") {
    const { from, host, tls, to, user } = stated
    if (host === undefined) return missing("host")
    if (host === "") return off("host")
    if (from === undefined) return missing("from")
    if (to === undefined) return missing("to")
    const password =
      stated.password !== undefined && Redacted.value(stated.password) !== "" ? stated.password : undefined
    if (user !== undefined && password === undefined) return missing("password")
    if (user === undefined && password !== undefined) return missing("user")
    if (user !== undefined && tls === "none" && !isLoopback(host))
      return fail("tls", "contradiction", 'the password would be sent in clear; use "starttls" or "implicit"')
    const caFile = Credentials.pathOf(tree, [...path, "ca_file"], stated.ca_file)
    return { type, ...own, host, port: stated.port ?? ports[tls], tls, user, password, from, to, caFile, timeout }
  }
  if (stated.url === undefined) return missing("url")
  const address = Redacted.value(stated.url)
  if (address === "") return off("url")
  if (!isAddress(address)) {
    const wanted = "an address that begins with https:// or http://, without user and password"
    return fail("url", "type", `expected ${wanted}; found a text that is not shown`)
  }
  const { url } = stated
  const secret = stated.secret !== undefined && Redacted.value(stated.secret) !== "" ? stated.secret : undefined
  if (type === "webhook") return { type, ...own, url, secret, headers: { ...stated.headers }, timeout }
  return type === "slack" ? { type, ...own, url, timeout } : { type, ...own, url, secret, timeout }
}

type Section = typeof AlertsSection.AlertsSection.Type

const minutesOf = (text: string): number => {
  const [hours, minutes] = text.split(":")
  return Number(hours) * 60 + Number(minutes)
}

type StatedRule = Pick<AlertRule.Rule, "enabled" | "for" | "severity"> & {
  readonly channels?: ReadonlyArray<string>
  readonly threshold?: number
  readonly window?: number
  readonly min_requests?: number
}

const ruleOf = (name: AlertRule.Name, stated: StatedRule): AlertRule.Rule => ({
  enabled: stated.enabled,
  threshold: stated.threshold ?? defaults.rules[name].threshold,
  for: stated.for,
  severity: stated.severity,
  window: stated.window ?? defaults.rules[name].window,
  minRequests: stated.min_requests ?? defaults.rules[name].minRequests,
  channels: stated.channels
})

/** The channels of the rules are those that there are. */
const checkReferences = (section: Section, tree: Tree.Table, report: (problem: Problem.Problem) => void): void => {
  const known = [...new Set(["log", ...Object.keys(section.channels)])]
  for (const name of AlertRule.names) {
    section.rules[name].channels?.forEach((channel, i) => {
      if (known.includes(channel)) return
      const at = ["alerts", "rules", name, "channels"]
      const message = `unknown channel ${Decode.quoted(tree, [...at, i], channel)}; ${Nearest.hint(channel, known)}`
      report(Problem.error("reference", Tree.originOf(tree, [...at, i]), at, message))
    })
  }
}

/**
 * What the section says, for the plan. What fits no kind of channel is reported.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  section: Section,
  resolved: Resolve.Resolved,
  report: (problem: Problem.Problem) => void
): AlertSettings.Settings => {
  const { tree } = resolved
  checkReferences(section, tree, report)
  const stated = Object.entries(section.channels)
  const built = stated.flatMap(([name, channel]): ReadonlyArray<AlertChannel.Options> => {
    const made = channelOf(name, channel, tree, report)
    return made === undefined ? [] : [made]
  })
  const log = stated.some(([name]) => name === "log") ? [] : defaults.channels
  const { quiet_hours } = section
  const ruled = AlertRule.names.map((name) => [name, ruleOf(name, section.rules[name])] as const)
  return {
    enabled: section.enabled,
    groupWait: section.group_wait,
    repeatInterval: section.repeat_interval,
    resolveAfter: section.resolve_after,
    quietHours:
      quiet_hours === undefined
        ? undefined
        : { from: minutesOf(quiet_hours.from), to: minutesOf(quiet_hours.to), timeZone: quiet_hours.time_zone },
    rules: { ...defaults.rules, ...Object.fromEntries(ruled) },
    channels: [...log, ...built]
  }
}
