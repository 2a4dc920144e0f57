/**
 * Amazon Bedrock and Vertex AI as LiteLLM and Portkey know them: a region, and credentials that are more than one key.
 *
 * @since 0.1.0
 */
import * as MigrateInstances from "./MigrateInstances.ts"
import type * as MigrateSource from "./MigrateSource.ts"
import * as Source from "./MigrateSource.ts"
import * as MigrateTree from "./MigrateTree.ts"

/**
 * Where the settings of an account stand. `find` gives what is stated under a name of that program; `text` is a stated
 * text in the form of the tree, and `variable` the one for a value that is not stated. `held` is an account whose
 * credentials the program keeps itself, and the keys that name it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Account {
  readonly tree: MigrateTree.MigrateTree
  readonly names: Names
  readonly find: (key: string) => MigrateSource.Stated | undefined
  readonly text: (value: string) => string
  readonly isVariable: (value: string) => boolean
  readonly variable: (name: string) => string
  readonly held?: { readonly account: string; readonly from: ReadonlyArray<MigrateSource.Stated> } | undefined
  /** What is said of a value that is not stated. */
  readonly comment: string
}

/**
 * What a program calls the settings of an account, strongest first, and what it reads when there are none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Names {
  readonly apiKey: ReadonlyArray<string>
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
  readonly awsRegion: string
  readonly awsRegionVariable: string
  readonly endpoints: ReadonlyArray<string>
  readonly project: string
  readonly projectVariable: string
  readonly location: string
  readonly locationVariable: string
  readonly credentials: string
  /** Whether a Vertex account may have a key; else what is called so there is a token that ends. */
  readonly hasVertexKey: boolean
}

const isText = (value: unknown): value is string => typeof value === "string" && value.trim() !== ""

/** A setting that is a text, or what is meant when it is not stated. */
const plain = (
  { comment, find, text, tree }: Account,
  at: string,
  key: string,
  otherwise: string
): MigrateTree.Setting => {
  const stated = find(key)
  if (stated !== undefined && isText(stated.value)) return { at: [at], value: text(stated.value), from: [stated] }
  if (stated !== undefined) tree.ledger.mark(stated, { outcome: "lost", note: "no text" })
  return { at: [at], value: otherwise, from: [], comment }
}

/** A stated secret behind a variable, whatever it is made of. */
const secret = (
  { isVariable, text, tree }: Account,
  at: string,
  stated: MigrateSource.Stated,
  variable: string
): MigrateTree.Setting => {
  const { value } = stated
  if (typeof value === "string" && isVariable(value)) return { at: [at], value: text(value), from: [stated] }
  const kept = tree.secret(Source.isTable(value) ? JSON.stringify(value) : value, variable)
  return { at: [at], value: kept, from: [stated], approximated: "the secret was not copied" }
}

const present = ({ find }: Account, keys: ReadonlyArray<string>): MigrateSource.Stated | undefined =>
  keys.flatMap((key) => {
    const found = find(key)
    return found !== undefined && (isText(found.value) || Source.isTable(found.value)) ? [found] : []
  })[0]

const lose = ({ tree }: Account, stated: MigrateSource.Stated | undefined, note: string, todo = "nothing"): void => {
  if (stated !== undefined) tree.ledger.mark(stated, { outcome: "lost", note, todo })
}

const endpoint = (account: Account): ReadonlyArray<MigrateTree.Setting> => {
  const { find, names, text, tree } = account
  const [stated, ...others] = names.endpoints.flatMap((key) => find(key) ?? [])
  for (const other of others) lose(account, other, `${String(stated?.path.at(-1))} was taken`)
  if (stated === undefined || !isText(stated.value)) return []
  return MigrateInstances.address(tree, stated, text(stated.value), undefined)
}

const heldNote = "the secrets behind it are not in the file; set the provider's own"

/** What is not stated: a variable of its own for each account that the program holds. */
const unstated = (account: Account, at: string, variable: string, isFirst: boolean): MigrateTree.Setting => {
  const { comment, held, tree } = account
  if (held === undefined) return { at: [at], value: account.variable(variable), from: [], comment }
  const value = tree.secret(`${held.account} ${variable}`, variable)
  if (!isFirst || held.from.length === 0) return { at: [at], value, from: [], comment }
  return { at: [at], value, from: held.from, approximated: heldNote }
}

/**
 * The settings of an account at Bedrock: an API key, or access keys. A region in the model's name counts when no other
 * is stated.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bedrock = (
  account: Account,
  model: MigrateSource.Stated | undefined,
  region: string | undefined
): ReadonlyArray<MigrateTree.Setting> => {
  const { find, names } = account
  const where =
    region === undefined || model === undefined || present(account, [names.awsRegion]) !== undefined
      ? plain(account, "region", names.awsRegion, account.variable(names.awsRegionVariable))
      : { at: ["region"], value: MigrateTree.literal(region), from: [model] }
  const key = present(account, names.apiKey)
  const id = find(names.accessKeyId)
  const own = find(names.secretAccessKey)
  const token = find(names.sessionToken)
  const settings = [...endpoint(account), where]
  if (key !== undefined) {
    for (const one of [id, own, token]) lose(account, one, `${String(key.path.at(-1))} was taken`)
    return [...settings, secret(account, "api_key", key, "AWS_BEARER_TOKEN_BEDROCK")]
  }
  const idVariable = "AWS_ACCESS_KEY_ID"
  const ownVariable = "AWS_SECRET_ACCESS_KEY"
  settings.push(
    id !== undefined && isText(id.value)
      ? secret(account, "access_key_id", id, idVariable)
      : unstated(account, "access_key_id", idVariable, true),
    own !== undefined && isText(own.value)
      ? secret(account, "secret_access_key", own, ownVariable)
      : unstated(account, "secret_access_key", ownVariable, false)
  )
  if (token !== undefined && isText(token.value)) {
    settings.push(secret(account, "session_token", token, "AWS_SESSION_TOKEN"))
  }
  return settings
}

/** A path to the file of a service account, as against its text. */
const isPath = (value: string): boolean => !value.trim().startsWith("{") && /[\\/]|\.json$/.test(value.trim())

const serviceAccount = (account: Account, stated: MigrateSource.Stated | undefined): MigrateTree.Setting => {
  const { isVariable, text } = account
  const variable = "GOOGLE_APPLICATION_CREDENTIALS"
  if (stated === undefined) return unstated(account, "service_account_file", variable, true)
  if (typeof stated.value === "string" && isPath(stated.value) && !isVariable(stated.value)) {
    const isAbsolute = /^([\\/]|[A-Za-z]:)/.test(stated.value)
    const approximated = isAbsolute ? undefined : "relative to the provider's file here"
    return { at: ["service_account_file"], value: text(stated.value), from: [stated], approximated }
  }
  const setting = secret(account, "service_account", stated, "VERTEX_SERVICE_ACCOUNT")
  const doubt = "taken for the JSON text; write service_account_file when it holds a path"
  return setting.approximated === undefined ? { ...setting, approximated: doubt } : setting
}

/**
 * The settings of an account at Vertex AI: a project, a region, and a service account or a key.
 *
 * @since 0.1.0
 * @category constructors
 */
export const vertex = (account: Account): ReadonlyArray<MigrateTree.Setting> => {
  const { names } = account
  const settings = [
    ...endpoint(account),
    plain(account, "region", names.location, account.variable(names.locationVariable)),
    plain(account, "project", names.project, account.variable(names.projectVariable))
  ]
  const credentials = present(account, [names.credentials])
  const key = present(account, names.apiKey)
  if (key !== undefined && names.hasVertexKey && credentials === undefined) {
    return [...settings, secret(account, "api_key", key, "GOOGLE_API_KEY")]
  }
  const note = names.hasVertexKey
    ? `${names.credentials} was taken`
    : "a token there, which ends; a service account here"
  lose(account, key, note, names.hasVertexKey ? "nothing" : "set the variable of the service account")
  return [...settings, serviceAccount(account, credentials)]
}

/**
 * A model of Bedrock without what LiteLLM puts before it: which API is asked, and where. Routes of LiteLLM's own have
 * no counterpart.
 *
 * @since 0.1.0
 * @category getters
 */
export const bedrockModel = (
  name: string
): { readonly model: string; readonly region: string | undefined; readonly isConverse: boolean } | undefined => {
  const [first = "", ...rest] = name.split("/")
  if (first.startsWith("arn:") || rest.length === 0) return { model: name, region: undefined, isConverse: true }
  const inner = bedrockModel(rest.join("/"))
  if (inner === undefined) return undefined
  if (/^(converse|converse_like|invoke)$/.test(first)) {
    return { ...inner, isConverse: inner.isConverse && first === "converse" }
  }
  return /^[a-z]{2,3}(-[a-z]+)+-\d+$/.test(first) ? { ...inner, region: inner.region ?? first } : undefined
}

/**
 * Why a model of Bedrock or Vertex AI cannot be asked by the API that is spoken here; `undefined` when it can.
 *
 * @since 0.1.0
 * @category getters
 */
export const refusal = (kind: string, model: string): string | undefined => {
  if (kind === "bedrock" && /embed|rerank|stability|image|canvas|reel/.test(model)) {
    return "at Bedrock only Converse is spoken here, which neither embeds nor ranks texts nor makes images"
  }
  return kind === "vertex" && (!/^(gemini-|endpoints\/)/.test(model) || model.includes("embed"))
    ? "at Vertex AI only Gemini's generateContent is spoken here"
    : undefined
}
