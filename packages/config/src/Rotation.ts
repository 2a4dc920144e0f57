/**
 * The rotation strategies by name: those a file may state, and those that a plan can carry out.
 *
 * @since 0.1.0
 */
import * as Plan from "@echelon/core/Plan"
import * as Field from "./Field.ts"

/**
 * Every strategy, in the order in which they are documented.
 *
 * @since 0.1.0
 * @category models
 */
export const all = [
  "round_robin",
  "weighted",
  "random",
  "priority",
  "least_busy",
  "shortest_delay",
  "p2c",
  "latency",
  "cost",
  "usage",
  "sticky"
] as const

/**
 * A strategy's name.
 *
 * @since 0.1.0
 * @category schemas
 */
export const schema = Field.oneOf(all)

/**
 * Gives a strategy as a plan has it, or `undefined` when the core does not carry it out yet.
 *
 * @since 0.1.0
 * @category getters
 */
export const toPlan = (stated: string): Plan.Rotation | undefined =>
  Plan.rotations.find((rotation) => rotation === stated)
