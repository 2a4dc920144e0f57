import { Proxy } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"

const environmentOf = (variables: Record<string, string>): Effect.Effect<Proxy.Environment> =>
  Effect.provideService(Proxy.environment, Proxy.Variables, Effect.succeed(variables))

const chosen = (origin: string, variables: Record<string, string>, stated?: string) =>
  Effect.map(environmentOf(variables), (environment) => {
    const choice = Proxy.choose({
      origin,
      environment,
      stated: stated === undefined ? undefined : Redacted.make(stated)
    })
    return choice === undefined ? "direct" : `${choice.from} ${Redacted.value(choice.address)}`
  })

const both = { HTTPS_PROXY: "http://s", HTTP_PROXY: "http://h" }

const rows: ReadonlyArray<readonly [string, string, Record<string, string>, string, string?]> = [
  ["nothing is set", "https://a.example", {}, "direct"],
  ["https", "https://a.example", both, "HTTPS_PROXY http://s"],
  ["http", "http://a.example", both, "HTTP_PROXY http://h"],
  ["the variable of the other scheme alone", "https://a.example", { HTTP_PROXY: "http://h" }, "direct"],
  ["small letters", "https://a.example", { https_proxy: "http://t" }, "HTTPS_PROXY http://t"],
  ["small letters win", "https://a.example", { ...both, https_proxy: "http://t" }, "HTTPS_PROXY http://t"],
  ["an empty one is none", "https://a.example", { https_proxy: "", HTTPS_PROXY: " " }, "direct"],
  ["no_proxy", "https://a.example", { ...both, no_proxy: "a.example" }, "direct"],
  ["NO_PROXY of another", "https://a.example", { ...both, NO_PROXY: "b.example" }, "HTTPS_PROXY http://s"],
  ["a subdomain", "https://x.a.example", { ...both, NO_PROXY: "b.example, a.example" }, "direct"],
  ["a leading dot", "https://a.example", { ...both, NO_PROXY: ".a.example" }, "direct"],
  ["a star and a dot", "https://x.a.example", { ...both, NO_PROXY: "*.a.example" }, "direct"],
  [
    "a star and a dot is not the host",
    "https://a.example",
    { ...both, NO_PROXY: "*.a.example" },
    "HTTPS_PROXY http://s"
  ],
  ["the end of a name only", "https://nota.example", { ...both, NO_PROXY: "a.example" }, "HTTPS_PROXY http://s"],
  ["everything", "https://a.example", { ...both, NO_PROXY: "*" }, "direct"],
  ["the port of the scheme", "https://a.example", { ...both, NO_PROXY: "a.example:443" }, "direct"],
  ["another port", "https://a.example:8443", { ...both, NO_PROXY: "a.example:443" }, "HTTPS_PROXY http://s"],
  ["capitals and a final dot", "https://A.Example.", { ...both, NO_PROXY: "a.EXAMPLE." }, "direct"],
  ["an IPv6 address", "https://[2001:db8::1]", { ...both, NO_PROXY: "2001:db8::1" }, "direct"],
  ["an IPv6 address with a port", "https://[2001:db8::1]:9", { ...both, NO_PROXY: "[2001:db8::1]:9" }, "direct"],
  ["blanks between", "https://b.example", { ...both, NO_PROXY: "a.example b.example" }, "direct"],
  ["localhost", "http://localhost:11434", both, "direct"],
  ["a name of loopback", "http://llm.localhost", both, "direct"],
  ["127.0.0.1", "http://127.0.0.1:1", both, "direct"],
  ["all of 127", "http://127.9.9.9", both, "direct"],
  ["::1", "http://[::1]:1", both, "direct"],
  ["::ffff:127.0.0.1", "http://[::ffff:127.0.0.1]", both, "direct"],
  ["a name that only begins so", "http://127.0.0.1.example", both, "HTTP_PROXY http://h"],
  ["a stated one", "https://a.example", { ...both, NO_PROXY: "*" }, "proxy http://p", "http://p"],
  ["a stated one and loopback", "http://127.0.0.1", {}, "proxy http://p", "http://p"],
  ["none", "https://a.example", both, "direct", "none"]
]

for (const [title, origin, variables, expected, stated] of rows)
  it.effect(`chooses: ${title}`, () =>
    Effect.map(chosen(origin, variables, stated), (found) => expect(found).toBe(expected))
  )

it("reads addresses", () => {
  const parse = (address: string) => Proxy.parseAddress({ address: Redacted.make(address), from: "proxy" }).href
  expect(parse("proxy.example:3128")).toBe("http://proxy.example:3128/")
  expect(parse("https://u:p%20w@proxy.example")).toBe("https://u:p%20w@proxy.example/")
})

it("refuses addresses without showing them", () => {
  for (const address of ["socks5://u:hunter2@p", "http://", "http://u:hunter2%zz@p", "://hunter2", "ftp://hunter2"]) {
    const choice = { address: Redacted.make(address), from: "HTTPS_PROXY" } as const
    expect(() => Proxy.parseAddress(choice)).toThrow(Proxy.InvalidAddress)
    expect(() => Proxy.parseAddress(choice)).toThrow(/^HTTPS_PROXY (?!.*hunter2)/)
  }
  expect(() => Proxy.check(Redacted.make("none"))).not.toThrow()
  expect(() => Proxy.check(Redacted.make("socks5://p"))).toThrow(/^proxy /)
})
