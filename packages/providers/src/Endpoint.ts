/**
 * Where the requests of an instance go, and what each of them carries.
 *
 * Everything that could be wrong with an address or a header is refused here, when the instance is built. A key
 * is bound to the origin it is configured for: redirects are not followed. Nothing of a request but the model's name
 * gets into an address, and that neither leaves its place in the path nor the origin.
 *
 * @since 0.1.0
 */
import type * as Plan from "@echelon/core/Plan"
import * as Redacted from "effect/Redacted"
import * as Auth from "./Auth.ts"
import type * as ProviderTable from "./ProviderTable.ts"
import * as Redaction from "./Redaction.ts"

/**
 * An address together with the headers that belong to it. Both may hold a secret: neither is printed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly url: Redacted.Redacted
  readonly headers: Redacted.Redacted<Readonly<Record<string, string>>>
}

/**
 * The endpoint of one instance.
 *
 * @since 0.1.0
 * @category models
 */
export interface Endpoint {
  /** Scheme, host and port, for people. */
  readonly origin: string
  readonly generate: Target
  /** Where a stream is asked for: the same, unless the provider has an address of its own for it. */
  readonly stream: Target
  /** Where texts are embedded; `undefined` when nowhere. */
  readonly embed: Target | undefined
  /** Where the provider lists its models; `undefined` when it does not. */
  readonly models: Target | undefined
  readonly redaction: Redaction.Redaction
}

// Owned by the client, or meant for one hop only.
const forbidden = new Set([
  "connection",
  "content-length",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
])

const refuse = (what: string): never => {
  throw new RangeError(`Endpoint.make: ${what}`)
}

/**
 * Makes the endpoint of an instance. With a prover the headers lack the proof, which is added when a request is sent.
 *
 * **Errors** Throws `RangeError` when the address is no absolute http or https URL or holds a user, and when a
 * header or the key holds what no header may hold. The message never shows the value.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (row: ProviderTable.Row, instance: Plan.Instance, prover?: Auth.Prover): Endpoint => {
  const { credential, model, provider } = instance
  const auth = Auth.choose(row, provider, credential)
  if ((auth._tag === "Header" || auth._tag === "Query") && auth.name === "")
    refuse(`auth_name must be stated for auth = "${provider.auth}"`)
  const key = credential.key === undefined ? undefined : Redacted.value(credential.key)
  if (key === "") refuse("the key is empty")
  const proof = Auth.isStatic(auth) ? Auth.apply(auth, key) : { headers: {}, query: {} }
  const own = reveal(provider.headers)
  const query = { ...reveal(provider.query), ...proof.query }
  const account: Record<string, string> = {}
  if (row.organizationHeader !== undefined && provider.organization !== undefined)
    account[row.organizationHeader] = provider.organization
  if (row.projectHeader !== undefined && provider.project !== undefined) account[row.projectHeader] = provider.project
  const headers: Record<string, string> = { "user-agent": "echelon", ...row.headers, ...account, ...proof.headers }
  for (const [name, value] of Object.entries(own)) headers[name.toLowerCase()] = value
  for (const name of prover?.owns ?? [])
    if (Object.hasOwn(headers, name)) refuse(`the header ${name} is computed for each request and cannot be set`)
  for (const [name, value] of Object.entries(headers)) checkHeader(name, value)
  const base = parseBase(provider.baseUrl ?? row.baseUrl ?? addressOf(row, provider.region))
  // An address that was copied with its version means that version.
  const apiVersion = provider.apiVersion ?? base.searchParams.get("api-version") ?? undefined
  const place = { provider: { ...provider, apiVersion }, model: model.model, base: base.pathname }
  const route = row.route(place)
  const embeddings = row.embeddings?.route(place)
  const target = (path: string, own: Readonly<Record<string, string>> = {}, of = route.query): Target => {
    const url = new URL(base)
    // An address would be shortened by these: an encoded dot is a dot to it.
    if (path.split("/").some((segment) => /^(\.|%2e){1,2}$/i.test(segment)))
      refuse("model, deployment, region and project must be names; dots alone would reach another address")
    url.pathname = joined(base.pathname, path)
    for (const [name, value] of Object.entries({ ...of, ...query, ...own })) url.searchParams.set(name, value)
    // A plus is a space to some and a plus to others; a signature must be over what both understand.
    if (auth._tag === "SigV4") url.search = url.search.replaceAll("+", "%20")
    return {
      url: Redacted.make(url.href, { label: base.origin }),
      headers: Redacted.make(headers, { label: "headers" })
    }
  }
  const longEnough = [...Object.values(own), ...Object.values(reveal(provider.query))].filter(
    (value) => value.length >= 6
  )
  // A key is redacted whatever its length; a header such as "beta: 1" would blacken every text.
  const stated = Redaction.make(key === undefined ? longEnough : [key, ...longEnough])
  return {
    origin: base.origin,
    generate: target(route.path),
    stream: route.stream === undefined ? target(route.path) : target(route.stream.path, route.stream.query),
    embed: embeddings === undefined ? undefined : target(embeddings.path, {}, embeddings.query),
    models: route.models === undefined ? undefined : target(route.models),
    redaction: prover === undefined ? stated : (text) => prover.redaction(stated(text))
  }
}

const reveal = (record: Readonly<Record<string, Redacted.Redacted>>): Record<string, string> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, Redacted.value(value)]))

const addressOf = (row: ProviderTable.Row, region: string | undefined): string | undefined => {
  if (row.address === undefined) return undefined
  if (region === undefined) return refuse("region must be stated for this kind of provider, or base_url")
  if (!/^[a-z0-9-]+$/.test(region)) return refuse("region must hold lower case letters, digits and dashes only")
  return row.address(region)
}

const joined = (base: string, path: string): string => `${base.replace(/\/+$/, "")}${path}`

const parseBase = (text: string | undefined): URL => {
  if (text === undefined) return refuse("base_url must be stated for this kind of provider")
  if (!URL.canParse(text)) return refuse("base_url must be an absolute URL")
  const url = new URL(text)
  if (url.protocol !== "https:" && url.protocol !== "http:")
    return refuse("base_url must begin with https:// or http://")
  if (url.username !== "" || url.password !== "") return refuse("base_url must not hold a user; use api_key")
  url.hash = ""
  return url
}

const checkHeader = (name: string, value: string): void => {
  if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) refuse("a header's name holds characters that no name may hold")
  if (forbidden.has(name)) refuse(`the header ${name} belongs to the connection and cannot be set`)
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
    refuse(`the value of the header ${name} must not hold CR, LF, NUL or characters outside latin-1`)
}
