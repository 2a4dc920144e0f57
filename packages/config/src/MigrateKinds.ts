/**
 * Tells by its keys what a configuration is that is migrated.
 *
 * @since 0.1.0
 */
import * as Nearest from "@echelon/core/Nearest"
import * as Older from "./MigrateOlder.ts"
import * as Source from "./MigrateSource.ts"
import * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"

/**
 * What can be migrated.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = (typeof kinds)[number]

/**
 * Every kind, by the name that `--from` takes.
 *
 * @since 0.1.0
 * @category models
 */
export const kinds = ["litellm", "portkey", "older"] as const

const liteLlm = ["model_list", "litellm_settings", "router_settings", "general_settings", "environment_variables"]
const portkey = ["strategy", "targets", "virtual_key", "virtualKey", "override_params", "overrideParams", "custom_host"]
const portkeyToo = ["provider", "retry", "cache", "config"]
const older = ["task_groups", "rotation_strategy", "default_config", "fallback_config", "echelon1", "models", "model"]
const client = ["model", "model_name", "modelName"]

const has = ({ value }: Source.Source, names: ReadonlyArray<string>): boolean =>
  names.some((name) => Object.hasOwn(value, name))

/**
 * Tells what a file is by its format and its keys.
 *
 * @since 0.1.0
 * @category getters
 */
export const detect = (source: Source.Source): Kind => {
  const { format, value } = source
  if (format === "toml") return "older"
  if (has(source, liteLlm)) return "litellm"
  if (has(source, portkey) || Source.isTable(value["config"])) return "portkey"
  if (has(source, ["provider"]) && !has(source, [...client, "type"])) return "portkey"
  if (has(source, ["retry", "cache"]) && !has(source, [...client, "type", "provider"])) return "portkey"
  return format === "yaml" && !has(source, client) && !Older.isKnown(source) ? "litellm" : "older"
}

const texts: Readonly<Record<Kind, string>> = {
  litellm: "LiteLLM's model_list, litellm_settings, router_settings or general_settings",
  portkey: "Portkey's provider, strategy or targets",
  older: "what an older tree holds: [echelon1], task_groups, default_config, [models.NAME], or a client's model"
}

/**
 * What must be in a file of a kind, or of any.
 *
 * @since 0.1.0
 * @category getters
 */
export const expected = (kind: Kind | undefined): string =>
  `expected ${kind === undefined ? `${texts.litellm}, ${texts.portkey}, or ${texts.older}` : texts[kind]}`

const names: Readonly<Record<Kind, ReadonlyArray<string>>> = {
  litellm: liteLlm,
  portkey: [...portkey, ...portkeyToo],
  older
}

const isKnown = (source: Source.Source, kind: Kind): boolean =>
  kind === "older" ? Older.isKnown(source) : has(source, names[kind])

/**
 * What is wrong with files that hold nothing of the kind that they should be. In a folder there may be such files, as
 * long as something in it is known.
 *
 * @since 0.1.0
 * @category getters
 */
export const strange = (
  sources: ReadonlyArray<Source.Source>,
  from: Kind | undefined
): ReadonlyArray<Problem.Problem> => {
  const unknown = sources.filter((source) => !isKnown(source, from ?? detect(source)))
  const refused = unknown.length === sources.length ? unknown : unknown.filter(({ place }) => place === undefined)
  return refused.map(({ file, value }) => {
    const keys = Object.keys(value)
    const known = from === undefined ? Object.values(names).flat() : names[from]
    // Of two or three letters anything is near.
    const near = keys.flatMap((key) => (key.length < 4 ? [] : Nearest.find(key, known)))[0]
    const meant = near === undefined ? "" : `did you mean "${near}"? `
    const what = keys.length === 0 ? "the file holds no keys" : "no key of it is known here"
    return Problem.error("kind", Origin.file(file), "file", `${what}; ${meant}${expected(from)}`)
  })
}
