/**
 * From the secrets that a provider's file states to its credentials.
 *
 * Which secrets there are follows from `auth`. One that a variable holds and that is not set disables the instances
 * of its credential; where a file states none, the variables that are usual are read.
 *
 * @since 0.1.0
 */
import type * as Catalogue from "@echelon/core/Catalogue"
import type * as Plan from "@echelon/core/Plan"
import * as Redacted from "effect/Redacted"
import * as Decode from "./Decode.ts"
import * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"
import type * as ProviderFile from "./ProviderFile.ts"
import type * as Resolve from "./Resolve.ts"
import * as Template from "./Template.ts"
import * as Tree from "./Tree.ts"

/**
 * A credential as it is stated: what is shown to the provider, or the variable that would hold it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Slot {
  readonly name: string
  /** The name as a message shows it. */
  readonly shown: string
  readonly weight: number
  readonly key: Found
}

/**
 * What was found of a credential.
 *
 * @since 0.1.0
 * @category models
 */
export type Found =
  | { readonly _tag: "Key"; readonly value: Redacted.Redacted | undefined; readonly secrets?: Plan.Secrets | undefined }
  | { readonly _tag: "Unset"; readonly variable: string }

/**
 * The keys that hold a credential.
 *
 * @since 0.1.0
 * @category models
 */
export const keys = [
  "api_key",
  "access_key_id",
  "secret_access_key",
  "session_token",
  "service_account",
  "service_account_file"
] as const

type Key = (typeof keys)[number]

const keysOf: Readonly<Record<Plan.AuthKind, ReadonlyArray<Key>>> = {
  key: ["api_key"],
  bearer: ["api_key"],
  header: ["api_key"],
  query: ["api_key"],
  none: [],
  sigv4: ["access_key_id", "secret_access_key", "session_token"],
  google: ["service_account", "service_account_file"],
  token: []
}

/** Where a credential is read from when a file states nothing of it. */
const variables: Readonly<Partial<Record<Key, string>>> = {
  access_key_id: "AWS_ACCESS_KEY_ID",
  secret_access_key: "AWS_SECRET_ACCESS_KEY",
  session_token: "AWS_SESSION_TOKEN",
  service_account_file: "GOOGLE_APPLICATION_CREDENTIALS"
}

type Stated = Partial<Pick<ProviderFile.ProviderFile, Key>>

/** An empty text means that there is none. */
const given = (secret: Redacted.Redacted | undefined): Redacted.Redacted | undefined =>
  secret !== undefined && Redacted.value(secret) !== "" ? secret : undefined

/**
 * A path in a file is relative to the file; one that a variable gave, to the working directory.
 *
 * @since 0.1.0
 * @category getters
 */
export const pathOf = (tree: Tree.Table, at: Origin.Path, path: string | undefined): string | undefined => {
  if (path === undefined || path === "") return undefined
  const node = Tree.get(tree, at)
  const isAbsolute = /^([/\\]|[A-Za-z]:)/.test(path)
  if (isAbsolute || node?._tag !== "Leaf" || node.fromVariable || node.origin._tag !== "File") return path
  const { file } = node.origin
  return `${file.slice(0, file.lastIndexOf("/") + 1)}${path}`
}

interface Context {
  readonly auth: Plan.AuthKind
  readonly kind: Catalogue.Kind | undefined
  readonly shownKind: string
  readonly resolved: Resolve.Resolved
  readonly report: (problem: Problem.Problem) => void
}

/** The secrets that stand below a path, whatever `auth` uses. */
const statedAt = (tree: Tree.Table, path: Origin.Path): ReadonlyArray<Key> =>
  keys.filter((key) => Tree.get(tree, [...path, key]) !== undefined)

/** Whether a file that does not say how it is shown who asks states keys and nothing else. */
const isKeyAlone = (tree: Tree.Table, path: Origin.Path, credentials: number): boolean => {
  const places = [path, ...Array.from({ length: credentials }, (_, i) => [...path, "credentials", i])]
  const stated = places.flatMap((place) => statedAt(tree, place))
  return stated.length > 0 && stated.every((key) => key === "api_key")
}

/** What stands at a path where it may: elsewhere it would be forgotten in silence. */
const checkUsed = (context: Context, path: Origin.Path): void => {
  const { auth, report, resolved } = context
  for (const key of statedAt(resolved.tree, path)) {
    if (keysOf[auth].includes(key)) continue
    const at = [...path, key]
    const fitting = Object.entries(keysOf).find(([, used]) => used.includes(key))?.[0]
    const message = `not used by auth = "${auth}"; state auth = "${fitting}", or take it out`
    report(Problem.error("contradiction", Tree.originOf(resolved.tree, at), at, message))
  }
}

const found = (context: Context, path: Origin.Path, stated: Stated, isDemanded: boolean): Found => {
  const { auth, kind, report, resolved, shownKind } = context
  const { tree } = resolved
  checkUsed(context, path)
  for (const key of keysOf[auth]) {
    const node = Tree.get(tree, [...path, key])
    if (node?._tag === "Unset") return { _tag: "Unset", variable: node.variable }
  }
  const missing = (key: Key, message: string): void =>
    report(Problem.error("missing_key", Tree.originOf(tree, path), [...path, key], message))
  switch (auth) {
    case "bearer":
    case "header":
    case "query": {
      const value = given(stated.api_key)
      if (value === undefined) missing("api_key", `missing; auth = "${auth}" needs it`)
      return { _tag: "Key", value }
    }
    case "key": {
      const value = given(stated.api_key)
      if (isDemanded && kind?.needsKey === true && value === undefined)
        missing("api_key", `missing; the kind ${shownKind} needs a credential`)
      return { _tag: "Key", value }
    }
    case "sigv4": {
      const accessKeyId = given(stated.access_key_id)
      const secretAccessKey = given(stated.secret_access_key)
      if (accessKeyId === undefined) missing("access_key_id", 'missing; auth = "sigv4" needs it')
      if (secretAccessKey === undefined) missing("secret_access_key", 'missing; auth = "sigv4" needs it')
      const sessionToken = given(stated.session_token)
      return { _tag: "Key", value: undefined, secrets: { accessKeyId, secretAccessKey, sessionToken } }
    }
    case "google": {
      const serviceAccount = given(stated.service_account)
      const serviceAccountFile = pathOf(tree, [...path, "service_account_file"], stated.service_account_file)
      if (serviceAccount === undefined && serviceAccountFile === undefined)
        missing("service_account_file", 'missing; auth = "google" needs it, or service_account')
      if (serviceAccount !== undefined && serviceAccountFile !== undefined) {
        const at = [...path, "service_account_file"]
        const message = "stated beside service_account; state one of the two"
        report(Problem.error("contradiction", Tree.originOf(tree, at), at, message))
      }
      return { _tag: "Key", value: undefined, secrets: { serviceAccount, serviceAccountFile } }
    }
    case "none":
    case "token":
      return { _tag: "Key", value: undefined }
  }
}

/** Where a key of one's own place stands. */
const checkName = (context: Context, path: Origin.Path, name: string | undefined): void => {
  const { auth, report, resolved } = context
  const at = [...path, "auth_name"]
  const isUsed = auth === "header" || auth === "query"
  if (isUsed && name === undefined) {
    const message = `missing; auth = "${auth}" needs it`
    report(Problem.error("missing_key", Tree.originOf(resolved.tree, path), at, message))
  } else if (!isUsed && name !== undefined) {
    const message = `not used by auth = "${auth}"; state auth = "header" or auth = "query", or take it out`
    report(Problem.error("contradiction", Tree.originOf(resolved.tree, at), at, message))
  }
}

/** What the usual variables hold, where the file states no credential; the name of one that is missing. */
const fromVariables = ({ auth, kind, resolved }: Context): Found | undefined => {
  const look = (variable: string | undefined): Redacted.Redacted | undefined => {
    return variable === undefined ? undefined : given(resolved.variable(variable))
  }
  switch (auth) {
    case "bearer":
    case "header":
    case "query": {
      const value = look(kind?.keyVariable)
      if (value !== undefined) return { _tag: "Key", value }
      return kind?.keyVariable === undefined ? undefined : { _tag: "Unset", variable: kind.keyVariable }
    }
    case "key": {
      const value = look(kind?.keyVariable)
      if (value !== undefined || kind?.needsKey !== true) return { _tag: "Key", value }
      return kind.keyVariable === undefined ? undefined : { _tag: "Unset", variable: kind.keyVariable }
    }
    case "sigv4": {
      const accessKeyId = look(variables.access_key_id)
      const secretAccessKey = look(variables.secret_access_key)
      if (accessKeyId === undefined) return { _tag: "Unset", variable: variables.access_key_id ?? "" }
      if (secretAccessKey === undefined) return { _tag: "Unset", variable: variables.secret_access_key ?? "" }
      const sessionToken = look(variables.session_token)
      return { _tag: "Key", value: undefined, secrets: { accessKeyId, secretAccessKey, sessionToken } }
    }
    case "google": {
      const file = look(variables.service_account_file)
      if (file === undefined) return { _tag: "Unset", variable: variables.service_account_file ?? "" }
      return {
        _tag: "Key",
        value: undefined,
        secrets: { serviceAccount: undefined, serviceAccountFile: Redacted.value(file) }
      }
    }
    case "none":
    case "token":
      return { _tag: "Key", value: undefined }
  }
}

/**
 * Reports credentials of a provider that have one name, whatever else is wrong with its file.
 *
 * @since 0.1.0
 * @category checks
 */
export const checkNames = (tree: Tree.Table, path: Origin.Path, report: (problem: Problem.Problem) => void): void => {
  const list = Tree.get(tree, [...path, "credentials"])
  const first = new Map<string, Origin.Path>()
  for (const i of list?._tag === "List" ? list.items.keys() : []) {
    const at = [...path, "credentials", i, "name"]
    const node = Tree.get(tree, at)
    const name = node?._tag === "Leaf" ? Tree.valueOf(node) : undefined
    if (node === undefined || typeof name !== "string" || name === "") continue
    const before = first.get(name)
    if (before === undefined) {
      first.set(name, at)
      continue
    }
    const message = `the name ${Decode.quoted(tree, at, name)} is already taken at ${Origin.format(Tree.originOf(tree, before))}`
    report(Problem.error("duplicate", node.origin, at, message))
  }
}

/**
 * The credentials of a provider, with the usual variables where the file states none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const slotsOf = (
  entity: { readonly file: ProviderFile.ProviderFile; readonly path: ReadonlyArray<string> },
  kind: Catalogue.Kind | undefined,
  resolved: Resolve.Resolved,
  report: (problem: Problem.Problem) => void
): ReadonlyArray<Slot> => {
  const { file, path } = entity
  const { tree } = resolved
  const auth = file.auth ?? (isKeyAlone(tree, path, file.credentials.length) ? "key" : (kind?.auth ?? "key"))
  const shownKind = Decode.quoted(tree, [...path, "kind"], file.kind)
  const context: Context = { auth, kind, shownKind, resolved, report }
  checkName(context, path, file.auth_name)
  const needed = new Set([...(kind?.needs ?? []), ...(auth === "sigv4" ? (["region"] as const) : [])])
  for (const key of needed) {
    if (file[key] !== undefined) continue
    const message = `missing; ${kind?.needs?.includes(key) === true ? `the kind ${shownKind}` : `auth = "${auth}"`} needs it`
    report(Problem.error("missing_key", Tree.originOf(tree, path), [...path, key], message))
  }
  const stated = statedAt(tree, path)
  if (file.credentials.length > 0) {
    for (const key of stated) {
      const at = [...path, key]
      const message = "stated beside [[credentials]]; state one of the two"
      report(Problem.error("contradiction", Tree.originOf(tree, at), at, message))
    }
    const seen = new Set<string>()
    return file.credentials.flatMap((credential, i): ReadonlyArray<Slot> => {
      // Of two with one name the first counts; `checkNames` has told.
      if (seen.has(credential.name)) return []
      seen.add(credential.name)
      const at = [...path, "credentials", i]
      const shown = Decode.quoted(tree, [...at, "name"], credential.name)
      const key = found(context, at, credential, true)
      return [{ name: credential.name, shown: shown.replace(/^"|"$/g, ""), weight: credential.weight, key }]
    })
  }
  const one = (key: Found): ReadonlyArray<Slot> => [{ name: "", shown: "", weight: 1, key }]
  if (stated.length > 0) return one(found(context, path, file, false))
  const key = fromVariables(context)
  if (key?._tag === "Key") return one(key)
  const at = [...path, keysOf[auth][0] ?? "api_key"]
  if (key !== undefined) {
    const message = `${Template.missing(key.variable, resolved.variable(key.variable) !== undefined)}, so the instances of this credential are disabled`
    report(Problem.warning("credential", Tree.originOf(tree, path), at, message))
    return one(key)
  }
  const whoNeeds = auth === "key" ? `the kind ${shownKind} needs a credential` : `auth = "${auth}" needs it`
  report(Problem.error("missing_key", Tree.originOf(tree, path), at, `missing; ${whoNeeds}`))
  return []
}
