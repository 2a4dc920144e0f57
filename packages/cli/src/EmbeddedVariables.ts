/**
 * The variables that `--env embedded` reads, for who looks at a tree without asking anybody.
 *
 * @since 0.1.0
 */

const nowhere = "http://127.0.0.1:1/v1"

/**
 * The variables of a program, with addresses that stand for the embedded providers where these are meant: they need
 * not run to be checked or explained.
 *
 * @since 0.1.0
 * @category getters
 */
export const withStandIns = (
  env: string | undefined,
  own: Readonly<Record<string, string | undefined>>
): Readonly<Record<string, string | undefined>> =>
  env === "embedded" ? { ECHELON_EMBEDDED_OPENAI_URL: nowhere, ECHELON_EMBEDDED_ANTHROPIC_URL: nowhere, ...own } : own
