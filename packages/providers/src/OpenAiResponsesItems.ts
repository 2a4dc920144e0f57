/**
 * OpenAI Responses: turning the items of an answer into parts.
 *
 * An item comes in pieces or whole; either way it goes through `start` and `stop`. Items under way are told apart
 * by their id, else by their place in the output: some servers give each event another id, others give every item
 * the same place.
 *
 * @since 0.1.0
 */
import type * as Part from "@echelon/core/Part"
import * as Json from "./Json.ts"
import type * as Protocol from "./Protocol.ts"

// What has a place of its own in a part. Whatever else an item holds is carried in metadata.
const messageKeys = new Set(["type", "status", "role", "content"])
const textKeys = new Set(["type", "text", "refusal", "annotations", "logprobs"])
const reasoningKeys = new Set(["type", "status", "summary", "content", "id"])
const callKeys = new Set(["type", "status", "call_id", "name", "arguments"])
const imageKeys = new Set(["result"])

/** A run of text or of reasoning. */
interface Block {
  readonly key: string
  readonly type: "text" | "reasoning"
  readonly id: string
  /** What its deltas have said so far. */
  readonly said: string
  readonly ended: boolean
  /** How many of its annotations were given. */
  readonly cited: number
  readonly logprobs: ReadonlyArray<Json.Json>
}

/** An item under way. `start` is the item as it began. */
interface Item {
  readonly number: number
  readonly index: number | undefined
  readonly start: Json.JsonObject
  /** The id of a call whose name was told. */
  readonly callId: string | undefined
  readonly args: string
  readonly blocks: ReadonlyArray<Block>
}

/**
 * What is held of the items between two events.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly options: Protocol.Options
  readonly items: ReadonlyArray<Item>
  /** How many items, blocks and sources there were. */
  readonly begun: number
  readonly blocks: number
  readonly sources: number
  readonly called: boolean
  readonly refused: boolean
  /** Tool calls whose arguments are no JSON. Whether that is a failure is known when the reply's end is. */
  readonly broken: ReadonlyArray<Json.JsonObject>
}

/**
 * A state while one event is taken: changed in place, seen by nobody else.
 *
 * @since 0.1.0
 * @category models
 */
export interface Draft extends Mutable<State> {
  readonly parts: Array<Part.Part>
}

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

/**
 * No items.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial = (options: Protocol.Options): State => ({
  options,
  items: [],
  begun: 0,
  blocks: 0,
  sources: 0,
  called: false,
  refused: false,
  broken: []
})

// ---------------------------------------------------------------------------------------------------------------
// Items
// ---------------------------------------------------------------------------------------------------------------

/**
 * The type of the item that an event belongs to; `undefined` when none is under way there.
 *
 * @since 0.1.0
 * @category getters
 */
export const typeAt = (draft: Draft, event: Json.JsonObject): string | undefined => {
  const item = of(draft, event)
  return item === undefined ? undefined : Json.string(item.start, "type")
}

/**
 * Begins an item.
 *
 * @since 0.1.0
 * @category parsing
 */
export const start = (draft: Draft, index: number | undefined, item: Json.JsonObject): void => {
  begin(draft, index, item)
}

/**
 * Ends an item. The item as it is in the end tells what no event has told before.
 *
 * @since 0.1.0
 * @category parsing
 */
export const stop = (draft: Draft, index: number | undefined, done: Json.JsonObject): void => {
  const type = Json.string(done, "type")
  const found = find(draft, Json.string(done, "id"), index)
  const item = found !== undefined && Json.string(found.start, "type") === type ? found : begin(draft, index, done)
  end(draft, item, done)
}

/**
 * Ends what nobody ended.
 *
 * @since 0.1.0
 * @category parsing
 */
export const stopAll = (draft: Draft): void => {
  for (const item of draft.items) {
    // What is encrypted is whole only when the item is done.
    const { encrypted_content: _, ...start } = item.start
    end(draft, item, start)
  }
}

const begin = (draft: Draft, index: number | undefined, start: Json.JsonObject): Item => {
  const item: Item = { number: draft.begun, index, start, callId: undefined, args: "", blocks: [] }
  draft.begun++
  draft.items = [...draft.items, item]
  return announce(draft, item, start)
}

const end = (draft: Draft, item: Item, done: Json.JsonObject): void => {
  switch (Json.string(done, "type")) {
    case "message":
      endMessage(draft, item, done)
      break
    case "reasoning":
      endReasoning(draft, item, done)
      break
    case "function_call":
      endCall(draft, item, done)
      break
    case "image_generation_call":
      endImage(draft, done)
      break
    default:
      // No part of its own: the whole item is carried.
      carry(draft, { item: done })
  }
  draft.items = draft.items.filter((one) => one.number !== item.number)
}

const find = (draft: Draft, id: string | undefined, index: number | undefined): Item | undefined =>
  draft.items.find((item) => id !== undefined && Json.string(item.start, "id") === id) ??
  draft.items.findLast((item) => index !== undefined && item.index === index)

const of = (draft: Draft, event: Json.JsonObject): Item | undefined =>
  find(draft, Json.string(event, "item_id"), Json.count(event, "output_index"))

/** The item of an event; one that was never begun begins with it. */
const ofType = (draft: Draft, event: Json.JsonObject, type: string): Item => {
  const found = of(draft, event)
  if (found !== undefined && Json.string(found.start, "type") === type) return found
  const id = Json.string(event, "item_id")
  return begin(draft, Json.count(event, "output_index"), id === undefined ? { type } : { type, id })
}

const update = (draft: Draft, item: Item, change: Partial<Item>): Item => {
  const updated = { ...item, ...change }
  draft.items = draft.items.map((one) => (one.number === item.number ? updated : one))
  return updated
}

// ---------------------------------------------------------------------------------------------------------------
// Blocks
// ---------------------------------------------------------------------------------------------------------------

const known = (item: Item, key: string): Block | undefined => item.blocks.find((block) => block.key === key)

const open = (
  draft: Draft,
  item: Item,
  block: Pick<Block, "key" | "type">,
  data: Json.JsonObject | undefined
): readonly [Item, Block] => {
  const { key, type } = block
  const opened: Block = { key, type, id: String(draft.blocks), said: "", ended: false, cited: 0, logprobs: [] }
  draft.blocks++
  draft.parts.push({ type: type === "text" ? "text-start" : "reasoning-start", id: opened.id, ...about(draft, data) })
  return [update(draft, item, { blocks: [...item.blocks, opened] }), opened]
}

const revise = (draft: Draft, item: Item, block: Block, change: Partial<Block>): readonly [Item, Block] => {
  const revised = { ...block, ...change }
  const blocks = item.blocks.map((one) => (one.key === block.key ? revised : one))
  return [update(draft, item, { blocks }), revised]
}

const speak = (draft: Draft, item: Item, block: Block, delta: string): readonly [Item, Block] => {
  if (delta === "") return [item, block]
  draft.parts.push({ type: block.type === "text" ? "text-delta" : "reasoning-delta", id: block.id, delta })
  return revise(draft, item, block, { said: block.said + delta })
}

/** Says what is missing of a text that is whole. One that its deltas contradict cannot be taken back. */
const speakRest = (draft: Draft, item: Item, block: Block, text: string): readonly [Item, Block] =>
  text.startsWith(block.said) && !block.ended ? speak(draft, item, block, text.slice(block.said.length)) : [item, block]

const close = (draft: Draft, item: Item, block: Block, data: Json.JsonObject | undefined): Item => {
  if (block.ended) return item
  draft.parts.push({
    type: block.type === "text" ? "text-end" : "reasoning-end",
    id: block.id,
    ...about(draft, data)
  })
  return revise(draft, item, block, { ended: true })[0]
}

// ---------------------------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------------------------

const textBlock = (draft: Draft, item: Item, at: number, refusal: boolean): readonly [Item, Block] => {
  if (refusal) draft.refused = true
  const found = known(item, `content:${at}`)
  if (found !== undefined) return [item, found]
  const data = Json.rest(item.start, messageKeys)
  return open(draft, item, { key: `content:${at}`, type: "text" }, refusal ? { ...data, refusal: true } : data)
}

/**
 * Takes a piece of text or of a refusal.
 *
 * @since 0.1.0
 * @category parsing
 */
export const say = (draft: Draft, event: Json.JsonObject, refusal: boolean): void => {
  const item = ofType(draft, event, "message")
  const [opened, block] = textBlock(draft, item, Json.count(event, "content_index") ?? 0, refusal)
  const [spoken, now] = speak(draft, opened, block, Json.string(event, "delta") ?? "")
  const logprobs = Json.array(event, "logprobs")
  if (logprobs.length > 0) revise(draft, spoken, now, { logprobs: [...now.logprobs, ...logprobs] })
}

/**
 * Takes a text, or a part of a message, that is whole.
 *
 * @since 0.1.0
 * @category parsing
 */
export const sayWhole = (draft: Draft, event: Json.JsonObject, part: Json.JsonObject): void => {
  if (isText(part)) whole(draft, ofType(draft, event, "message"), Json.count(event, "content_index") ?? 0, part)
}

/**
 * Takes an annotation of a text.
 *
 * @since 0.1.0
 * @category parsing
 */
export const annotate = (draft: Draft, event: Json.JsonObject): void => {
  const item = ofType(draft, event, "message")
  const [opened, block] = textBlock(draft, item, Json.count(event, "content_index") ?? 0, false)
  revise(draft, opened, block, { cited: block.cited + 1 })
  cite(draft, event["annotation"] ?? null)
}

const isText = (part: Json.JsonObject): boolean => part["type"] === "output_text" || part["type"] === "refusal"

const whole = (draft: Draft, item: Item, at: number, part: Json.JsonObject): Item => {
  const refusal = part["type"] === "refusal"
  const [opened, block] = textBlock(draft, item, at, refusal)
  const text = Json.string(part, refusal ? "refusal" : "text") ?? ""
  const [spoken, now] = speakRest(draft, opened, block, text)
  const annotations = Json.array(part, "annotations").slice(now.cited)
  for (const annotation of annotations) cite(draft, annotation)
  const [cited, last] =
    annotations.length === 0 ? [spoken, now] : revise(draft, spoken, now, { cited: now.cited + annotations.length })
  const stated = Json.array(part, "logprobs")
  const logprobs = stated.length > 0 ? stated : last.logprobs
  const extra = Json.rest(part, textKeys)
  return close(draft, cited, last, logprobs.length === 0 ? extra : { ...extra, logprobs })
}

const endMessage = (draft: Draft, item: Item, done: Json.JsonObject): void => {
  let now = item
  for (const [at, part] of Json.array(done, "content").entries()) {
    if (Json.isObject(part) && isText(part)) now = whole(draft, now, at, part)
    else carry(draft, { content: part })
  }
  for (const block of now.blocks)
    now = close(draft, now, block, block.logprobs.length === 0 ? undefined : { logprobs: block.logprobs })
}

const cite = (draft: Draft, annotation: Json.Json): void => {
  const cited = Json.isObject(annotation) ? annotation : {}
  const url = Json.string(cited, "url")
  const fileName = Json.string(cited, "filename")
  if (url === undefined && fileName === undefined) {
    carry(draft, { annotation })
    return
  }
  const id = `source-${draft.sources}`
  draft.sources++
  const data = about(draft, { annotation })
  draft.parts.push(
    url !== undefined
      ? { type: "source", sourceType: "url", id, url, title: Json.string(cited, "title") ?? url, ...data }
      : {
          type: "source",
          sourceType: "document",
          id,
          mediaType: "text/plain",
          title: fileName ?? "",
          fileName: fileName ?? "",
          ...data
        }
  )
}

// ---------------------------------------------------------------------------------------------------------------
// Reasoning
// ---------------------------------------------------------------------------------------------------------------

// The lists that a reasoning item holds, and the type of what is in them.
const pieces = { summary: "summary_text", content: "reasoning_text" } as const

const reasoningBlock = (draft: Draft, item: Item, list: keyof typeof pieces, at: number): readonly [Item, Block] => {
  const found = known(item, `${list}:${at}`)
  if (found !== undefined) return [item, found]
  // A piece ends where the next begins; the last one waits for what the item says in the end.
  const ended = item.blocks.reduce((now, block) => close(draft, now, block, undefined), item)
  return open(draft, ended, { key: `${list}:${at}`, type: "reasoning" }, { ...identity(item), type: pieces[list] })
}

const identity = (item: Item): Json.JsonObject => {
  const id = Json.string(item.start, "id")
  return id === undefined ? {} : { id }
}

/**
 * Takes a piece of reasoning, or of its summary.
 *
 * @since 0.1.0
 * @category parsing
 */
export const think = (draft: Draft, event: Json.JsonObject, list: "summary" | "content"): void => {
  const item = ofType(draft, event, "reasoning")
  const at = Json.count(event, list === "summary" ? "summary_index" : "content_index") ?? 0
  const [opened, block] = reasoningBlock(draft, item, list, at)
  speak(draft, opened, block, Json.string(event, "delta") ?? "")
}

/**
 * Takes a piece of reasoning, or of its summary, that is whole.
 *
 * @since 0.1.0
 * @category parsing
 */
export const thinkWhole = (
  draft: Draft,
  event: Json.JsonObject,
  list: "summary" | "content",
  piece: Json.JsonObject
): void => {
  const item = ofType(draft, event, "reasoning")
  const at = Json.count(event, list === "summary" ? "summary_index" : "content_index") ?? 0
  wholePiece(draft, item, list, at, piece)
}

const wholePiece = (draft: Draft, item: Item, list: keyof typeof pieces, at: number, piece: Json.JsonObject): Item => {
  const [opened, block] = reasoningBlock(draft, item, list, at)
  return speakRest(draft, opened, block, Json.string(piece, "text") ?? "")[0]
}

const endReasoning = (draft: Draft, item: Item, done: Json.JsonObject): void => {
  let now = item
  for (const list of ["summary", "content"] as const)
    for (const [at, piece] of Json.array(done, list).entries())
      if (Json.isObject(piece)) now = wholePiece(draft, now, list, at, piece)
  const extra = Json.rest(done, reasoningKeys)
  const last = now.blocks.findLast((block) => !block.ended)
  if (last !== undefined) {
    close(draft, now, last, extra)
    return
  }
  // Nothing was said, but what is encrypted has to go back.
  if (now.blocks.length > 0 || (extra === undefined && Json.string(item.start, "id") === undefined)) return
  const [opened, block] = open(draft, now, { key: "", type: "reasoning" }, identity(item))
  close(draft, opened, block, extra)
}

// ---------------------------------------------------------------------------------------------------------------
// Tool calls and images
// ---------------------------------------------------------------------------------------------------------------

/** Says which tool is called, as soon as that is known. */
const announce = (draft: Draft, item: Item, from: Json.JsonObject): Item => {
  const callId = Json.string(from, "call_id") || Json.string(from, "id")
  const name = Json.string(from, "name")
  if (item.callId !== undefined || Json.string(from, "type") !== "function_call" || !callId || !name) return item
  draft.parts.push({ type: "tool-params-start", id: callId, name })
  if (item.args !== "") draft.parts.push({ type: "tool-params-delta", id: callId, delta: item.args })
  return update(draft, item, { callId })
}

/**
 * Takes a piece of a call's arguments.
 *
 * @since 0.1.0
 * @category parsing
 */
export const argue = (draft: Draft, event: Json.JsonObject, delta: string): void => {
  if (delta === "") return
  const item = ofType(draft, event, "function_call")
  update(draft, item, { args: item.args + delta })
  if (item.callId !== undefined) draft.parts.push({ type: "tool-params-delta", id: item.callId, delta })
}

/**
 * Takes a call's arguments when they are whole.
 *
 * @since 0.1.0
 * @category parsing
 */
export const argueWhole = (draft: Draft, event: Json.JsonObject): void => {
  argue(draft, event, missing(of(draft, event)?.args ?? "", argumentsOf(event)))
}

/** What arguments that are whole hold beyond those that came in pieces. */
const missing = (args: string, stated: string): string => (stated.startsWith(args) ? stated.slice(args.length) : "")

/** Arguments are a text; a few servers send the object itself. */
const argumentsOf = (from: Json.JsonObject): string => {
  const value = from["arguments"]
  return typeof value === "string" ? value : Json.isObject(value) ? JSON.stringify(value) : ""
}

const endCall = (draft: Draft, begun: Item, done: Json.JsonObject): void => {
  draft.called = true
  const stated = argumentsOf(done)
  const announced = announce(draft, begun, done)
  const id = announced.callId ?? `call_${begun.number}`
  const name = Json.string(done, "name") ?? Json.string(begun.start, "name") ?? ""
  if (announced.callId === undefined) draft.parts.push({ type: "tool-params-start", id, name })
  const rest = missing(announced.args, stated)
  if (rest !== "") draft.parts.push({ type: "tool-params-delta", id, delta: rest })
  draft.parts.push({ type: "tool-params-end", id })
  const args = stated === "" ? announced.args : stated
  const params = args.trim() === "" ? {} : Json.parse(args)
  if (params === undefined || name === "") draft.broken = [...draft.broken, { id, name, arguments: args }]
  else draft.parts.push({ type: "tool-call", id, name, params, ...about(draft, Json.rest(done, callKeys)) })
}

const endImage = (draft: Draft, done: Json.JsonObject): void => {
  const data = Json.string(done, "result")
  if (data === undefined || data === "") {
    carry(draft, { item: done })
    return
  }
  const mediaType = `image/${Json.string(done, "output_format") ?? "png"}`
  draft.parts.push({ type: "file", mediaType, data, ...about(draft, { item: Json.rest(done, imageKeys) ?? {} }) })
}

// ---------------------------------------------------------------------------------------------------------------
// Metadata
// ---------------------------------------------------------------------------------------------------------------

const about = (
  draft: Draft,
  data: Json.JsonObject | undefined
): { readonly metadata?: NonNullable<Part.Part["metadata"]> } =>
  data === undefined || Object.keys(data).length === 0 ? {} : { metadata: { [draft.options.kind]: data } }

/**
 * Carries what has no part of its own.
 *
 * @since 0.1.0
 * @category parsing
 */
export const carry = (draft: Draft, data: Json.JsonObject): void => {
  draft.parts.push({ type: "response-metadata", ...about(draft, data) })
}
