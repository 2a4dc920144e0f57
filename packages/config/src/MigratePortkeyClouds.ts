/**
 * Accounts at Bedrock and Vertex AI as Portkey names their settings.
 *
 * @since 0.1.0
 */
import * as MigrateClouds from "./MigrateClouds.ts"
import * as Targets from "./MigratePortkeyTargets.ts"
import * as MigrateTree from "./MigrateTree.ts"

const clouds: MigrateClouds.Names = {
  apiKey: ["api_key"],
  accessKeyId: "aws_access_key_id",
  secretAccessKey: "aws_secret_access_key",
  sessionToken: "aws_session_token",
  awsRegion: "aws_region",
  awsRegionVariable: "AWS_REGION",
  endpoints: ["custom_host"],
  project: "vertex_project_id",
  projectVariable: "VERTEX_PROJECT",
  location: "vertex_region",
  locationVariable: "VERTEX_REGION",
  credentials: "vertex_service_account_json",
  hasVertexKey: false
}

/**
 * The settings of an account; Portkey may hold its credentials.
 *
 * @since 0.1.0
 * @category constructors
 */
export const settings = (
  tree: MigrateTree.MigrateTree,
  leaf: Targets.Leaf,
  kind: "bedrock" | "vertex",
  model: string | undefined
): ReadonlyArray<MigrateTree.Setting> => {
  const virtual = Targets.inherited(leaf, "virtual_key")
  const provider = Targets.textOf(Targets.inherited(leaf, "provider"))
  const slug = [provider, model?.split("/")[0]].find((one) => one?.startsWith("@") === true)
  const name = Targets.textOf(virtual) ?? slug
  const account: MigrateClouds.Account = {
    tree,
    names: clouds,
    find: (key) => Targets.inherited(leaf, key),
    text: MigrateTree.literal,
    isVariable: () => false,
    variable: tree.variable,
    held: name === undefined ? undefined : { account: name, from: virtual === undefined ? [] : [virtual] },
    comment: name === undefined ? "Portkey takes it from the request" : "Portkey holds it"
  }
  return kind === "bedrock" ? MigrateClouds.bedrock(account, undefined, undefined) : MigrateClouds.vertex(account)
}
