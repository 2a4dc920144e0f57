/**
 * Which behaviour a request meets. Pure.
 *
 * @since 0.1.0
 */
import type { Behaviour, Request } from "./FaultServerBehaviour.ts"

/**
 * Which behaviour a request meets.
 *
 * **Details** A list is used up in order, one element a request, counted from when it was set; `forever` stays at
 * its place, and behind the last element everything is well. Only requests for an answer count. A function is asked
 * about every request, listing models included.
 *
 * @since 0.1.0
 * @category models
 */
export type Script = ReadonlyArray<Behaviour> | ((request: Request) => Behaviour) | ByModel

/**
 * A list or function for each model.
 *
 * @since 0.1.0
 * @category models
 */
export interface ByModel {
  readonly _tag: "ByModel"
  readonly models: Readonly<Record<string, Exclude<Script, ByModel>>>
  readonly others: Exclude<Script, ByModel>
}

/**
 * Gives each model a script of its own, and all others one together.
 *
 * @since 0.1.0
 * @category constructors
 */
export const byModel = (
  models: Readonly<Record<string, Exclude<Script, ByModel>>>,
  others: Exclude<Script, ByModel> = []
): ByModel => ({ _tag: "ByModel", models, others })

/**
 * The name under which requests are counted: each model that has a script, else all together.
 *
 * @since 0.1.0
 * @category getters
 */
export const counter = (script: Script, request: Request): string =>
  "_tag" in script && Object.hasOwn(script.models, request.model) ? `model ${request.model}` : "all"

const well: Behaviour = { _tag: "Answer" }

/**
 * The behaviour of a request, before which `seen` others were counted under the same name.
 *
 * @since 0.1.0
 * @category getters
 */
export const behaviour = (script: Script, request: Request, seen: number): Behaviour => {
  if ("_tag" in script) {
    const own = Object.hasOwn(script.models, request.model) ? script.models[request.model] : undefined
    return behaviour(own ?? script.others, request, seen)
  }
  if (typeof script === "function") return script(request)
  if (request.endpoint !== "generate") return well
  return script.find((one, index) => index === seen || (index < seen && one._tag === "Forever")) ?? well
}
