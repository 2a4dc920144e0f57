import { StructuredSchema } from "@echelon/providers"
import { expect, it } from "@effect/vitest"

const closed = (subset: StructuredSchema.Subset, schema: Readonly<Record<string, unknown>>) => {
  const dropped: Array<string> = []
  return [StructuredSchema.close(schema, subset, "s", (field) => dropped.push(field)), dropped] as const
}

it("closes every object, however deep", () => {
  const city = { type: "object", properties: { name: { type: "string" } } }
  const schema = {
    type: "object",
    properties: { city, cities: { type: "array", items: city }, either: { anyOf: [city, { type: "null" }] } },
    required: ["city"],
    $defs: { City: city }
  }
  const shut = { ...city, additionalProperties: false }
  expect(closed(StructuredSchema.anthropic, schema)).toEqual([
    {
      type: "object",
      properties: {
        city: shut,
        cities: { type: "array", items: shut },
        either: { anyOf: [shut, { type: "null" }] }
      },
      required: ["city"],
      $defs: { City: shut },
      additionalProperties: false
    },
    []
  ])
})

it("leaves a schema that is closed already as it is", () => {
  const schema = {
    type: "object",
    properties: { a: { type: ["string", "null"], enum: ["x", null] }, b: { type: "object", properties: {} } },
    required: ["a", "b"],
    additionalProperties: false
  }
  const shut = {
    ...schema,
    properties: { ...schema.properties, b: { ...schema.properties.b, additionalProperties: false } }
  }
  expect(closed(StructuredSchema.anthropic, { ...shut, properties: { a: shut.properties.a } })[1]).toEqual([])
  const strict = {
    ...shut,
    properties: { ...shut.properties, b: { ...shut.properties.b, required: [] } }
  }
  expect(closed(StructuredSchema.openAi, strict)).toEqual([strict, []])
})

it("tells the model what is no keyword of the provider's, and lists it", () => {
  const schema = {
    type: "object",
    properties: {
      age: { type: "integer", minimum: 0, maximum: 150, description: "In years" },
      name: { type: "string", minLength: 1, format: "email" },
      page: { type: "string", format: "iri" },
      word: { type: "string", pattern: "^(?!no)" },
      tags: { type: "array", items: { type: "string" }, minItems: 1 },
      pair: { type: "array", items: true, minItems: 2, uniqueItems: true }
    },
    additionalProperties: false,
    $schema: "https://json-schema.org/draft/2020-12/schema"
  }
  const [found, dropped] = closed(StructuredSchema.anthropic, schema)
  expect(found).toEqual({
    type: "object",
    properties: {
      age: { type: "integer", description: 'In years\n\n{"minimum":0,"maximum":150}' },
      name: { type: "string", format: "email", description: '{"minLength":1}' },
      page: { type: "string", description: '{"format":"iri"}' },
      word: { type: "string", description: '{"pattern":"^(?!no)"}' },
      tags: { type: "array", items: { type: "string" }, minItems: 1 },
      pair: { type: "array", items: {}, description: '{"minItems":2,"uniqueItems":true}' }
    },
    additionalProperties: false
  })
  expect(new Set(dropped)).toEqual(
    new Set(
      ["minimum", "maximum", "minLength", "format", "pattern", "minItems", "uniqueItems"].map(
        (key) => `s.${key} (in the description)`
      )
    )
  )
  const [strict, kept] = closed(StructuredSchema.openAi, {
    type: "object",
    properties: { age: { type: "integer", minimum: 0, default: 1 } },
    required: ["age"]
  })
  expect(strict["properties"]).toEqual({ age: { type: "integer", minimum: 0, description: '{"default":1}' } })
  expect(kept).toEqual(["s.default (in the description)"])
})

it("requires every property where the provider asks for it", () => {
  const schema = { type: "object", properties: { a: { type: "string" }, b: { type: "string" } }, required: ["a"] }
  expect(closed(StructuredSchema.openAi, schema)).toEqual([
    { ...schema, required: ["a", "b"], additionalProperties: false },
    ["s.required (all)"]
  ])
  expect(closed(StructuredSchema.anthropic, schema)[0]["required"]).toEqual(["a"])
})

it("lists properties of any name, which no closed object has", () => {
  const record = { type: "object", additionalProperties: { type: "number" } }
  const schema = { type: "object", properties: { record }, additionalProperties: false }
  expect(closed(StructuredSchema.anthropic, schema)).toEqual([
    { ...schema, properties: { record: { type: "object", additionalProperties: false } } },
    ["s.additionalProperties"]
  ])
  // To say that an object may have more is to say nothing.
  const { record: _, ...properties } = { record, a: { type: "string" } }
  const more = { type: "object", properties, additionalProperties: true }
  expect(closed(StructuredSchema.anthropic, more)).toEqual([{ ...more, additionalProperties: false }, []])
  expect(closed(StructuredSchema.anthropic, { ...more, additionalProperties: record })[1]).toEqual([
    "s.additionalProperties"
  ])
  expect(StructuredSchema.isClosable(schema)).toBe(false)
  expect(StructuredSchema.isOpen(schema)).toBe(false)
  expect(StructuredSchema.isOpen(record)).toBe(true)
  expect(StructuredSchema.isOpen({})).toBe(true)
})

it("puts the members of allOf into the schema, and says oneOf as anyOf", () => {
  const schema = {
    type: "object",
    properties: {
      a: { type: "integer", allOf: [{ multipleOf: 5 }, { description: "Of five" }] },
      b: { oneOf: [{ type: "string" }, { type: "null" }] }
    },
    allOf: [{ properties: { c: { type: "string" } }, required: ["c"] }],
    required: ["a"]
  }
  expect(closed(StructuredSchema.anthropic, schema)).toEqual([
    {
      type: "object",
      properties: {
        a: { type: "integer", description: 'Of five\n\n{"multipleOf":5}' },
        b: { anyOf: [{ type: "string" }, { type: "null" }] },
        c: { type: "string" }
      },
      required: ["a", "c"],
      additionalProperties: false
    },
    ["s.multipleOf (in the description)", "s.oneOf (anyOf)"]
  ])
})

it("puts a definition in the place of a schema that only refers to it", () => {
  const City = { type: "object", properties: { next: { $ref: "#/$defs/City" } }, required: ["next"] }
  const shut = { ...City, additionalProperties: false }
  const schema = { $ref: "#/$defs/City", $defs: { City } }
  expect(closed(StructuredSchema.openAi, schema)).toEqual([{ ...shut, $defs: { City: shut } }, []])
  expect(StructuredSchema.isClosable(schema)).toBe(true)
  expect(StructuredSchema.isStrict({ $ref: "#/$defs/City", $defs: { City: shut } })).toBe(true)
  expect(StructuredSchema.parameters(schema)).toEqual({ ...City, $defs: { City } })
  const away = { type: "object", properties: { a: { type: "object", $ref: "https://a.test/b" } } }
  expect(closed(StructuredSchema.anthropic, away)[0]["properties"]).toEqual(away.properties)
  const circle = { $ref: "#/$defs/A", $defs: { A: { $ref: "#/$defs/A" } } }
  expect(closed(StructuredSchema.anthropic, circle)).toEqual([circle, []])
  expect(StructuredSchema.isOpen({ $ref: "#/$defs/A", $defs: { A: { type: "object" } } })).toBe(true)
})

it("tells a schema that is strict", () => {
  const schema = { type: "object", properties: { a: { type: "string" } }, required: ["a"], additionalProperties: false }
  expect(StructuredSchema.isStrict(schema)).toBe(true)
  expect(StructuredSchema.isStrict({ ...schema, required: [] })).toBe(false)
  const { additionalProperties: _, ...open } = schema
  expect(StructuredSchema.isStrict(open)).toBe(false)
  expect(StructuredSchema.isStrict({ ...schema, properties: { a: open } })).toBe(false)
  expect(StructuredSchema.isStrict({})).toBe(false)
})

it("makes parameters an object", () => {
  expect(StructuredSchema.parameters({})).toEqual({ type: "object", properties: {} })
  expect(StructuredSchema.parameters({ properties: { a: {} } })).toEqual({ type: "object", properties: { a: {} } })
  const stated = { type: "object" }
  expect(StructuredSchema.parameters(stated)).toBe(stated)
})
