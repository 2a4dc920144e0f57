/**
 * How a credential is shown to a provider.
 *
 * @since 0.1.0
 */

/**
 * The place of a credential in a request.
 *
 * @since 0.1.0
 * @category models
 */
export type Auth =
  | { readonly _tag: "Bearer" }
  | { readonly _tag: "Header"; readonly name: string }
  | { readonly _tag: "Query"; readonly name: string }
  | { readonly _tag: "None" }

/**
 * `Authorization: Bearer KEY`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bearer: Auth = { _tag: "Bearer" }

/**
 * The key alone, in a header of its own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const header = (name: string): Auth => ({ _tag: "Header", name })

/**
 * The key as a query parameter.
 *
 * @since 0.1.0
 * @category constructors
 */
export const query = (name: string): Auth => ({ _tag: "Query", name })

/**
 * No credential.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: Auth = { _tag: "None" }

/**
 * What a credential adds to a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Proof {
  readonly headers: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string>>
}

/**
 * Shows a key the way a provider wants to see it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const apply = (auth: Auth, key: string | undefined): Proof => {
  if (key === undefined) return { headers: {}, query: {} }
  switch (auth._tag) {
    case "Bearer":
      return { headers: { authorization: `Bearer ${key}` }, query: {} }
    case "Header":
      return { headers: { [auth.name]: key }, query: {} }
    case "Query":
      return { headers: {}, query: { [auth.name]: key } }
    case "None":
      return { headers: {}, query: {} }
  }
}
