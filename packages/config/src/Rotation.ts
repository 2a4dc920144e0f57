/**
 * The names of the rotation strategies, as a file may state them.
 *
 * @since 0.1.0
 */
import * as Plan from "@echelon/core/Plan"
import * as Field from "./Field.ts"

/**
 * A strategy's name.
 *
 * @since 0.1.0
 * @category schemas
 */
export const schema = Field.oneOf(Plan.rotations)
