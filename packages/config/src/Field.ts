/**
 * The kinds of values that configuration files hold, as Schemas.
 *
 * Every Schema here says in its `expected` annotation what is allowed, in the words of an error message. Times
 * are seconds or text with a unit in a file, and milliseconds when decoded.
 *
 * For editors and the reference, `stated` has the keywords of JSON Schema for the value as a file states it,
 * `kind` a shorter name of what is allowed, `unit` what it counts, `since` when the key came, and `whenAbsent` its
 * default as a file would state it. A key that came later says so itself: `.annotate({ since: "0.2.0" })`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"

/** What timers can wait: 2^31 - 1 milliseconds. */
const longest = 2_147_483_647

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const

/**
 * What a time in a file may be counted in, beside seconds without a word.
 *
 * @since 0.1.0
 * @category models
 */
export type TimeUnit = keyof typeof units

/**
 * Reads a time with a unit, such as `30s`; `undefined` when the text is none.
 *
 * @since 0.1.0
 * @category getters
 */
export const timeOf = (text: string): { readonly amount: string; readonly unit: TimeUnit } | undefined => {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)$/.exec(text.trim()) ?? []
  return amount === undefined ? undefined : { amount, unit: unit as TimeUnit }
}

/**
 * Whether a file may state so many milliseconds.
 *
 * @since 0.1.0
 * @category guards
 */
export const isTime = (millis: number): boolean => millis >= 0 && millis <= longest

const toMillis = (input: string | number): number | undefined => {
  if (typeof input === "number") return input * 1_000
  const time = timeOf(input)
  return time === undefined ? undefined : Number(time.amount) * units[time.unit]
}

/** Text with a unit, and the same without zero. */
const timeText = "^\\s*\\d+(\\.\\d+)?\\s*(ms|s|m|h)\\s*$"
const timeTextAboveZero = "^\\s*(\\d*[1-9]\\d*(\\.\\d+)?|\\d+\\.\\d*[1-9]\\d*)\\s*(ms|s|m|h)\\s*$"
/** The same from a millisecond on; an editor lets hours and minutes below that pass. */
const timeTextFromOneMilli =
  "^\\s*(0*[1-9]\\d*(\\.\\d+)?\\s*(ms|s|m|h)|0+\\.(\\d{0,2}[1-9]\\d*\\s*s|\\d*[1-9]\\d*\\s*(m|h)))\\s*$"

const time = (
  expected: string,
  isAllowed: (millis: number) => boolean,
  kind: string,
  stated: { readonly pattern: string; readonly minimum?: 0 | 0.001; readonly exclusiveMinimum?: 0 }
) =>
  Schema.Union([Schema.Number, Schema.String]).pipe(
    // A key that is missing is reported by what a file states.
    Schema.annotate({ expected }),
    Schema.decodeTo(
      Schema.Number,
      SchemaTransformation.transformEffect<number, string | number>({
        decode: (input) => {
          const millis = toMillis(input)
          return millis !== undefined && isTime(millis) && isAllowed(millis)
            ? Effect.succeed(millis)
            : Effect.fail(new SchemaIssue.InvalidValue())
        },
        encode: (millis) => Effect.succeed(millis / 1_000)
      })
    ),
    Schema.annotate({
      expected,
      kind,
      unit: "seconds",
      stated: { type: ["number", "string"], maximum: longest / 1_000, ...stated }
    })
  )

/**
 * A length of time above zero, decoded to milliseconds.
 *
 * @since 0.1.0
 * @category schemas
 */
export const seconds = time(
  'seconds above 0 (at most 24 days), or text such as "30s", "500ms", "5m", "1h"',
  (millis) => millis > 0,
  "time above 0",
  { pattern: timeTextAboveZero, exclusiveMinimum: 0 }
)

/**
 * A length of time that may be zero, decoded to milliseconds.
 *
 * @since 0.1.0
 * @category schemas
 */
export const secondsOrZero = time(
  'seconds from 0 (at most 24 days), or text such as "30s", "500ms", "5m", "1h"',
  isTime,
  "time",
  { pattern: timeText, minimum: 0 }
)

/**
 * A length of time that a timer can tell, decoded to milliseconds.
 *
 * @since 0.1.0
 * @category schemas
 */
export const secondsFromOneMilli = time(
  'seconds from 0.001 (at most 24 days), or text such as "30s", "500ms", "5m", "1h"',
  (millis) => millis >= 1,
  "time, at least 1 ms",
  { pattern: timeTextFromOneMilli, minimum: 0.001 }
)

const number = (expected: string, isAllowed: (n: number) => boolean, stated: Readonly<Record<string, unknown>>) =>
  Schema.Number.check(
    Schema.makeFilter((n: number) => Number.isFinite(n) && isAllowed(n), {
      expected,
      stated: { type: "number", ...stated }
    })
  )

/**
 * A whole number, not below `minimum`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const int = (minimum: number) =>
  number(`a whole number, at least ${minimum}`, (n) => Number.isSafeInteger(n) && n >= minimum, {
    type: "integer",
    minimum
  })

/**
 * Any whole number.
 *
 * @since 0.1.0
 * @category schemas
 */
export const anyInt = number("a whole number", (n) => Number.isSafeInteger(n), { type: "integer" })

/**
 * A number from 0 to 1.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ratio = number("a number from 0 to 1", (n) => n >= 0 && n <= 1, { minimum: 0, maximum: 1 })

/**
 * A number from 0 on.
 *
 * @since 0.1.0
 * @category schemas
 */
export const fromZero = number("a number, 0 or above", (n) => n >= 0, { minimum: 0 })

/**
 * A number above 0.
 *
 * @since 0.1.0
 * @category schemas
 */
export const aboveZero = number("a number above 0", (n) => n > 0, { exclusiveMinimum: 0 })

/**
 * A number not below 1.
 *
 * @since 0.1.0
 * @category schemas
 */
export const fromOne = number("a number, 1 or above", (n) => n >= 1, { minimum: 1 })

/**
 * A sampling temperature.
 *
 * @since 0.1.0
 * @category schemas
 */
export const temperature = number("a number from 0 to 2", (n) => n >= 0 && n <= 2, { minimum: 0, maximum: 2 })

/**
 * `true` or `false`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const flag = Schema.Boolean.annotate({ expected: "true or false" })

/**
 * Any text.
 *
 * @since 0.1.0
 * @category schemas
 */
export const text = Schema.String.annotate({ expected: "text" })

const notEmpty = (expected: string, kind: string) =>
  Schema.String.check(Schema.makeFilter((s: string) => s !== "", { expected, kind, stated: { minLength: 1 } }))

/**
 * A name.
 *
 * @since 0.1.0
 * @category schemas
 */
export const name = notEmpty("a name (text that is not empty)", "name")

/**
 * What a name that a file gives may be made of, as a pattern. It may hold `/` and `:`, as names of models do, and
 * callers ask by them; not what parts names from one another or from what stands around them.
 *
 * @since 0.1.0
 * @category patterns
 */
export const namePattern = "^[^\\u0000-\\u0020\\u007f-\\u00a0\\u2028\\u2029\\ufeff@,\"'\\\\$\\{\\}]+$"

/**
 * The name that a file gives to something.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ownName = Schema.String.check(
  Schema.makeFilter((s: string) => new RegExp(namePattern).test(s), {
    expected: `a name, without white space and without @ , " ' \\ $ { }`,
    kind: "name",
    stated: { pattern: namePattern }
  })
)

/**
 * At least one name.
 *
 * @since 0.1.0
 * @category schemas
 */
export const names = (what: string) =>
  Schema.Array(name).check(
    Schema.makeFilter((all: ReadonlyArray<string>) => all.length > 0, {
      expected: `a list of ${what}, at least one`,
      stated: { minItems: 1 }
    })
  )

/**
 * An address that begins with `http://` or `https://` and holds neither user and password nor a query, which may be
 * secret: `[query]` has the parameters.
 *
 * @since 0.1.0
 * @category schemas
 */
export const url = Schema.String.check(
  Schema.makeFilter((s: string) => /^https?:\/\/[^/?#@]+([/#][^?]*)?$/.test(s) && URL.canParse(s), {
    expected:
      "an address that begins with http:// or https://, without user, password and query (parameters belong into [query])",
    kind: "address",
    stated: { pattern: "^https?://[^\\s/?#@]+([/#][^\\s?]*)?$" }
  })
)

/**
 * Text that is never printed.
 *
 * @since 0.1.0
 * @category schemas
 */
export const secret = Schema.RedactedFromValue(text).annotate({
  expected: "text",
  kind: "secret text",
  stated: { type: "string" }
})

/**
 * One of several texts; a text that is none of them is told the nearest.
 *
 * @since 0.1.0
 * @category schemas
 */
export const oneOf = <const L extends ReadonlyArray<string>>(values: L) =>
  Schema.Literals(values).annotate({
    expected: values.map((value) => JSON.stringify(value)).join(", "),
    choices: values
  })

/** Adds a description without changing what the Schema is. */
const described = <S extends Schema.Top>(schema: S, description: string): S =>
  schema.annotate({ description, since: "0.1.0" }) as S

/**
 * A value that counts something, for readers; it changes nothing else.
 *
 * @since 0.1.0
 * @category combinators
 */
export const measured = <S extends Schema.Top>(unit: string, schema: S): S => schema.annotate({ unit }) as S

/**
 * The keys of a table whose keys are names, as a reader is told of them. `pattern` is for editors: who decodes them
 * checks it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const keyed = (label: string, pattern?: string) =>
  Schema.String.annotate(pattern === undefined ? { label } : { label, stated: { pattern } })

/**
 * A key that must be there.
 *
 * @since 0.1.0
 * @category combinators
 */
export const required = <S extends Schema.Top>(schema: S, description: string): S => described(schema, description)

/**
 * A key that may be absent.
 *
 * @since 0.1.0
 * @category combinators
 */
export const optional = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(described(schema, description))

/**
 * A key with a default, stated as a file would.
 *
 * @since 0.1.0
 * @category combinators
 */
export const or = <S extends Schema.Top>(schema: S, value: S["Encoded"], description: string) =>
  (described(schema, description).annotate({ whenAbsent: value }) as S).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(value))
  )

/**
 * A table whose keys all have defaults or may be absent.
 *
 * @since 0.1.0
 * @category combinators
 */
export const section = <const F extends Schema.Struct.Fields>(fields: F, description: string) =>
  Schema.Struct(fields).annotate({ description, expected: "a table" })

/**
 * The keys of any file.
 *
 * @since 0.1.0
 * @category models
 */
export const anyFile = {
  name: optional(ownName, "the name by which others refer to it; the file's name when absent"),
  description: optional(text, "what it is for, for readers")
} as const
