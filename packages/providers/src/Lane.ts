/**
 * The fidelity lane: whether the body that came in goes out as it came, and what stays behind when it does not.
 *
 * A body goes on to any instance that speaks its protocol, until the conversation holds what only another provider
 * can read. From there on, and between protocols, the request is said anew; what was lifted from the body and has no
 * place in the other protocol is listed, and so is what is bound to a provider that is not asked.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import * as Json from "./Json.ts"
import * as Lowering from "./Lowering.ts"

/**
 * Under which name the options of a lifted body stand while nobody knows which provider gave them: any instance that
 * speaks the protocol takes them as its own.
 *
 * @since 0.1.0
 * @category getters
 */
export const ownerOf = (protocol: string): string => `${prefix}${protocol}`

const prefix = "protocol:"

/**
 * Under which name a lifted request lists the places of its body that it has no field for.
 *
 * @since 0.1.0
 * @category models
 */
export const unsaid = "unsaid"

/**
 * Who is asked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly protocol: string
  readonly kind: string
}

type Carrier = { readonly options?: Prompt.ProviderOptions | undefined }

type Dropped = (field: string) => void

// What only the provider that gave it can read, by the type of the part that carries it.
const boundKeys: Readonly<Record<string, ReadonlyArray<string>>> = {
  text: ["id", "thoughtSignature"],
  file: ["thoughtSignature"],
  "tool-call": ["id", "thoughtSignature", "caller", "extra_content"]
}

/**
 * Tells each field once, however many messages hold it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const once = (dropped: Dropped): Dropped => {
  const told = new Set<string>()
  return (field) => {
    if (told.has(field)) return
    told.add(field)
    dropped(field)
  }
}

/**
 * Prepares a request for who is asked. In the lane it stays as it is.
 *
 * **Details** The lane ends when an assistant's part carries a signature, encrypted reasoning or an id under the name
 * of another provider and none under the name of this one. Parts whose giver is not known end no lane.
 *
 * @since 0.1.0
 * @category combinators
 */
export const enter = (request: LlmRequest.LlmRequest, target: Target, dropped: Dropped): LlmRequest.LlmRequest => {
  const { raw } = request
  const isOwn = raw?.protocol === target.protocol
  if (isOwn && !hasMoved(request.messages, target)) return request
  const { messages, providerOptions } = request
  if (!isOwn && !messages.some(hasOptions) && !Object.keys(providerOptions).some(isLifted)) return request
  return {
    ...request,
    raw: isOwn ? undefined : raw,
    messages: messages.map((message) => enterMessage(message, target, dropped)),
    providerOptions: enterOptions(providerOptions, target, dropped)
  }
}

const isLifted = (name: string): boolean => name === unsaid || name.startsWith(prefix)

/** Whether there is anything to look at: most requests are plain. */
const hasOptions = (message: LlmRequest.Message): boolean =>
  Lowering.isOwned(message) ||
  (typeof message.content !== "string" &&
    message.content.some(
      (part) =>
        Lowering.isOwned(part) || (part.type === "tool-result" && part.modelOutput?.some(Lowering.isOwned) === true)
    ))

/**
 * Whether a conversation holds what only another provider can read.
 *
 * @since 0.1.0
 * @category guards
 */
export const hasMoved = (messages: ReadonlyArray<LlmRequest.Message>, target: Target): boolean =>
  messages.some(
    (message) =>
      message.role === "assistant" &&
      typeof message.content !== "string" &&
      message.content.some((part) =>
        part.type === "reasoning"
          ? ownsOf(part, target).length === 0 && othersOf(part, target).length > 0
          : bound(part, target).length > 0
      )
  )

/** What a part carries for who is asked: under its kind, or under the protocol's name. */
const ownsOf = ({ options }: Carrier, { kind, protocol }: Target): ReadonlyArray<Json.JsonObject> =>
  [options?.[kind], options?.[ownerOf(protocol)]].filter(Json.isObject)

const othersOf = ({ options }: Carrier, { kind, protocol }: Target): ReadonlyArray<Json.JsonObject> =>
  Object.entries(options ?? {}).flatMap(([owner, own]) =>
    owner === kind || owner === ownerOf(protocol) || !Json.isObject(own) ? [] : [own]
  )

/** The fields of a part that are bound to another provider. An id that the call itself goes by is not. */
const bound = (part: Carrier & { readonly type: string; readonly id?: string }, target: Target) => {
  const keys = part.options === undefined ? [] : (boundKeys[part.type] ?? [])
  if (keys.length === 0) return keys
  const own = ownsOf(part, target)
  const others = othersOf(part, target)
  return keys.filter(
    (key) =>
      others.some((other) => other[key] !== undefined && other[key] !== part.id) &&
      !own.some((mine) => mine[key] !== undefined)
  )
}

const enterMessage = (message: LlmRequest.Message, target: Target, dropped: Dropped): LlmRequest.Message => {
  report({ type: message.role, options: message.options }, target, dropped)
  const own = adopt(message, target)
  switch (own.role) {
    case "system":
      return own
    case "user":
      return typeof own.content === "string"
        ? own
        : { ...own, content: own.content.flatMap((part) => enterPart(part, target, dropped)) }
    case "assistant":
      return typeof own.content === "string"
        ? own
        : { ...own, content: own.content.flatMap((part) => enterPart(part, target, dropped)) }
    case "tool":
      return { ...own, content: own.content.flatMap((part) => enterPart(part, target, dropped)) }
  }
}

const enterPart = <P extends Prompt.PartEncoded>(part: P, target: Target, dropped: Dropped): ReadonlyArray<P> => {
  report(part, target, dropped)
  const own = adopt(part, target)
  // A file that only its keeper can find: nothing of it is here.
  if (own.type === "file" && own.data === "" && fileIdOf(own, target) === undefined) {
    dropped("messages.file.fileId")
    return []
  }
  if (own.type !== "tool-result" || own.modelOutput === undefined) return [own]
  return [{ ...own, modelOutput: own.modelOutput.flatMap((piece) => enterPart(piece, target, dropped)) }]
}

const fileIdOf = ({ options }: Carrier, { kind }: Target): Json.Json | undefined => {
  const own = options?.[kind]
  return Json.isObject(own) ? own["fileId"] : undefined
}

/** What nobody but the protocol of the body gave is this instance's, when it speaks that protocol. */
const adopt = <C extends Carrier>(carrier: C, { kind, protocol }: Target): C => {
  const lifted = carrier.options?.[ownerOf(protocol)]
  if (carrier.options === undefined || !Json.isObject(lifted)) return carrier
  const own = carrier.options[kind]
  return { ...carrier, options: { ...carrier.options, [kind]: Json.isObject(own) ? { ...lifted, ...own } : lifted } }
}

/** Lists what a part carries for others. What a caller wrote for several providers at once is no loss. */
const report = (
  carrier: Carrier & { readonly type: string; readonly id?: string },
  target: Target,
  dropped: Dropped
): void => {
  const { options, type: name } = carrier
  // Whether reasoning can be said, and whose it is, every protocol tells for itself.
  if (options === undefined || name === "reasoning") return
  for (const key of bound(carrier, target)) dropped(`messages.${name}.${key}`)
  for (const [owner, value] of Object.entries(options)) {
    if (!Json.isObject(value)) continue
    if (owner.startsWith(prefix) && owner !== ownerOf(target.protocol))
      for (const key of Object.keys(value))
        if (value[key] !== carrier.id && key !== "refusal") dropped(`messages.${name}.${key}`)
    if (value["imageDetail"] !== undefined && owner === "openai" && !target.protocol.startsWith("openai-"))
      dropped(`messages.${name}.imageDetail`)
  }
  // Those that know refusals say them, or list that they do not.
  if (name === "text" && Lowering.isRefusal(carrier) && !target.protocol.startsWith("openai-"))
    dropped("messages.text.refusal")
}

const enterOptions = (
  options: LlmRequest.LlmRequest["providerOptions"],
  { kind, protocol }: Target,
  dropped: Dropped
): LlmRequest.LlmRequest["providerOptions"] => {
  const { [unsaid]: places, ...rest } = options
  for (const place of Object.keys(places ?? {})) dropped(`body.${place}`)
  for (const [owner, value] of Object.entries(rest))
    if (owner.startsWith(prefix) && owner !== ownerOf(protocol))
      for (const key of Object.keys(value)) dropped(`body.${key}`)
  const lifted = rest[ownerOf(protocol)]
  return lifted === undefined ? rest : { ...rest, [kind]: Json.merge(lifted, rest[kind] ?? {}) }
}
