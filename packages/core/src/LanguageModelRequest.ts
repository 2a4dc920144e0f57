/**
 * What effect/ai asks of a language model, and what Echelon asks of an `Llm`, each said as the other.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import * as LlmError from "./LlmError.ts"
import type * as LlmRequest from "./LlmRequest.ts"

/**
 * Options of `lowering`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Brings the schema of an object into the form that the models behind take. @default the schema as it is */
  readonly codecTransformer?: LanguageModel.CodecTransformer | undefined
}

/**
 * The part of an input that effect/ai knows of.
 *
 * @since 0.1.0
 * @category models
 */
export type Asked = Required<Pick<LlmRequest.Input, "prompt" | "tools" | "toolChoice" | "responseFormat">>

/**
 * Says a request of effect/ai as an input.
 *
 * @since 0.1.0
 * @category models
 */
export type Lower = (
  options: LanguageModel.ProviderOptions,
  method: string,
  strictJsonSchema: boolean | undefined
) => Effect.Effect<Asked, AiError.AiError>

const encodePrompt = Schema.encodeEffect(Prompt.Prompt)

/**
 * Makes what lowers the requests of one language model. JSON Schemas are made once a tool.
 *
 * **Errors** `ToolConfigurationError` for a tool that a provider defines: its models alone would know it. Such tools
 * are stated in `providerOptions`. `UnsupportedSchemaError` when a schema has no JSON Schema.
 *
 * @since 0.1.0
 * @category constructors
 */
export const lowering = (options: Options): Lower => {
  const { codecTransformer = LanguageModel.defaultCodecTransformer } = options
  const tools = new WeakMap<Tool.Any, LlmRequest.Tool>()
  const toolOf = (tool: Tool.Any): LlmRequest.Tool => {
    let found = tools.get(tool)
    if (found === undefined) {
      found = {
        name: tool.name,
        description: Tool.getDescription(tool),
        parameters: Tool.getJsonSchema(tool),
        strict: Tool.getStrictMode(tool)
      }
      tools.set(tool, found)
    }
    return found
  }
  return Effect.fnUntraced(function* (asked, method, strictJsonSchema) {
    const refused = (reason: AiError.AiErrorReason) => AiError.make({ module: "Echelon", method, reason })
    const foreign = asked.tools.find(Tool.isProviderDefined)
    if (foreign !== undefined)
      return yield* refused(
        new AiError.ToolConfigurationError({
          toolName: foreign.name,
          description: "a tool that its provider defines is unknown to the others; state it in providerOptions"
        })
      )
    const prompt = yield* Effect.mapError(encodePrompt(asked.prompt), () =>
      refused(new AiError.InvalidUserInputError({ description: "the prompt cannot be encoded" }))
    )
    const unsupported = (thrown: unknown) =>
      refused(
        new AiError.UnsupportedSchemaError({ description: thrown instanceof Error ? thrown.message : "no JSON Schema" })
      )
    const format = asked.responseFormat
    return yield* Effect.try({
      try: (): Asked => ({
        prompt: prompt.content,
        tools: asked.tools.map(toolOf),
        toolChoice: asked.tools.length === 0 ? undefined : choiceOf(asked.toolChoice),
        responseFormat:
          format.type === "text"
            ? format
            : {
                type: "json",
                name: nameOf(format.objectName),
                schema: codecTransformer(format.schema).jsonSchema,
                strict: strictJsonSchema
              }
      }),
      catch: unsupported
    })
  })
}

// effect/ai has already left out the tools that `oneOf` does not name.
const choiceOf = (choice: LanguageModel.ToolChoice<string>): LlmRequest.ToolChoice =>
  typeof choice !== "object" || "tool" in choice ? choice : (choice.mode ?? "auto")

/** Providers take letters, digits, `_` and `-`, at most 64. */
const nameOf = (objectName: string): string => objectName.replaceAll(/[^A-Za-z0-9_-]/g, "_").slice(0, 64) || "object"

/**
 * A tool of which only the JSON Schema of its parameters is known.
 *
 * @since 0.1.0
 * @category models
 */
export type JsonTool = Tool.Tool<
  string,
  {
    readonly parameters: typeof Schema.Unknown
    readonly success: typeof Schema.Unknown
    readonly failure: typeof Schema.Never
    readonly failureMode: "error"
  }
>

/**
 * What a request asks of a language model of effect/ai.
 *
 * @since 0.1.0
 * @category models
 */
export interface Raised {
  readonly prompt: Prompt.Prompt
  readonly toolkit: Toolkit.WithHandler<Record<string, JsonTool>>
  readonly toolChoice: LanguageModel.ToolChoice<string> | undefined
  /** The schema of the object that is asked for, where there is one. */
  readonly object:
    | { readonly name: string; readonly schema: Schema.Codec<unknown, Record<string, unknown>> }
    | undefined
}

/**
 * Says a request as effect/ai does. Fields that cannot be said are named to `dropped`.
 *
 * **Errors** `InvalidRequest` when the messages are none of effect/ai's.
 *
 * @since 0.1.0
 * @category converting
 */
export const raise = (
  request: LlmRequest.LlmRequest,
  dropped: (field: string) => void
): Effect.Effect<Raised, LlmError.LlmError> =>
  Effect.try({
    try: () => ({
      prompt: Prompt.make(request.messages),
      toolkit: toolkitOf(request.tools),
      toolChoice: request.toolChoice,
      object: objectOf(request.responseFormat, dropped)
    }),
    // A schema's message quotes the prompt.
    catch: () => LlmError.make({ reason: { _tag: "InvalidRequest" }, detail: "the messages are not effect/ai's" })
  })

/**
 * Names the settings that effect/ai has no word for.
 *
 * @since 0.1.0
 * @category getters
 */
export const dropSettings = (request: LlmRequest.LlmRequest, dropped: (field: string) => void): void => {
  for (const [name, value] of Object.entries(request.settings)) if (value !== undefined) dropped(`settings.${name}`)
  for (const kind of Object.keys(request.providerOptions)) dropped(`providerOptions.${kind}`)
}

const toolkitOf = (tools: ReadonlyArray<LlmRequest.Tool>): Raised["toolkit"] => {
  const made: Record<string, JsonTool> = {}
  for (const { description, name, parameters, strict } of tools) {
    const tool: JsonTool = Tool.dynamic(name, { description, parameters, success: Schema.Unknown })
    made[name] = strict === undefined ? tool : tool.annotate(Tool.Strict, strict)
  }
  return {
    tools: made,
    // Whoever asked Echelon resolves its tool calls.
    handle: (name) => Effect.die(new RangeError(`LanguageModelRequest.raise: ${name} must not be handled here`))
  }
}

const objectOf = (format: LlmRequest.ResponseFormat, dropped: (field: string) => void): Raised["object"] => {
  if (format.type === "text") return undefined
  const schema = schemaOf(format.schema)
  if (schema === undefined) dropped("responseFormat.schema")
  return schema === undefined ? undefined : { name: format.name, schema }
}

/** A schema that effect can read of a JSON Schema; not every keyword is known to it. */
const schemaOf = (
  schema: Readonly<Record<string, unknown>>
): Schema.Codec<unknown, Record<string, unknown>> | undefined => {
  try {
    const document = JsonSchema.fromSchemaDraft2020_12(schema)
    // What a JSON Schema imports to has no services, and the root of an answer's schema is an object.
    return SchemaRepresentation.fromJsonSchemaDocument(document, { patterns: "ignore" }) as Schema.Codec<
      unknown,
      Record<string, unknown>
    >
  } catch {
    return undefined
  }
}
