/**
 * Where variables come from when a program does not hand them over: the environment of the process.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Template from "./Template.ts"

/**
 * Reads the variables anew every time, so that a reload sees what has changed.
 *
 * @default the environment of the process
 * @since 0.1.0
 * @category services
 */
export const Variables = Context.Reference<Effect.Effect<Template.Variables>>("@echelon/config/Variables", {
  defaultValue: () => Effect.sync(() => ({ ...process.env }))
})
