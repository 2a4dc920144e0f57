/**
 * What `Echelon.` offers.
 *
 * @since 0.1.0
 */

export { type CallOptions, type Runtime, runtime } from "./Runtime.ts"
export * from "./Wiring.ts"
