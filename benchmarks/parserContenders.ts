/** Who parses a recorded stream. Each reads it to its end and gives the characters of text that it found. */
import { createAnthropic } from "@ai-sdk/anthropic"
import { createOpenAI } from "@ai-sdk/openai"
import Anthropic from "@anthropic-ai/sdk"
import { Llm, Plans } from "@echelon/core"
import { Dialect, Instance, type Protocol, ProviderTable, Sse, Transport } from "@echelon/providers"
import { Effect, Redacted, Scope, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import OpenAI from "openai"
import type * as Streams from "./parserStreams.ts"

export interface Contender {
  readonly name: string
  readonly run: () => Promise<number>
}

const kinds: Readonly<Record<Streams.ProtocolName, string>> = {
  chat: "openai",
  responses: "openai-responses",
  messages: "anthropic",
  gemini: "gemini"
}

/** The reply of a server that sends the recording. */
const replyOf = ({ chunks }: Streams.Recording): Response => {
  let at = 0
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      const chunk = chunks[at++]
      if (chunk === undefined) controller.close()
      else controller.enqueue(chunk)
    }
  })
  return new Response(body, { headers: { "content-type": "text/event-stream" } })
}

const bare = ({ events }: Streams.Recording): Contender => ({
  name: "JSON.parse alone",
  run: async () => {
    let sink = 0
    for (const event of events) if (JSON.parse(event) !== null) sink += 1
    return sink === events.length ? 0 : Number.NaN
  }
})

const parser = ({ chunks, protocol }: Streams.Recording): Contender => {
  const kind = kinds[protocol]
  const row = ProviderTable.find(kind)
  if (row === undefined) throw new Error(`no kind ${kind}`)
  const options: Protocol.Options = {
    kind,
    model: "m",
    maxOutputTokens: undefined,
    dialect: row.dialect ?? Dialect.defaults
  }
  return {
    name: "Echelon, bytes to parts",
    run: async () => {
      const reader = row.protocol.reader(options)
      let state = Sse.initial
      let length = 0
      for (const chunk of chunks) {
        const [next, events] = Sse.step(state, chunk, 1 << 22)
        state = next
        for (const event of events)
          for (const part of reader.push(event)) if (part.type === "text-delta") length += part.delta.length
      }
      reader.end()
      return length
    }
  }
}

/** With the whole contract: attempt, seal, route, clocks. */
const instance = async (recording: Streams.Recording): Promise<Contender> => {
  const kind = kinds[recording.protocol]
  const client = HttpClient.make((request) =>
    Effect.sync(() => HttpClientResponse.fromWeb(request, replyOf(recording)))
  )
  const { llm } = await Effect.runPromise(
    Instance.make(
      Plans.instance({
        provider: Plans.provider({ name: kind, kind, key: Redacted.make("a key") }),
        alias: "m",
        model: Plans.model({ model: "m" })
      })
    ).pipe(Effect.provide(Transport.layerFrom(client)), Effect.provideService(Scope.Scope, Scope.makeUnsafe()))
  )
  return {
    name: "Echelon, an instance",
    run: () =>
      Effect.runPromise(
        Stream.runFold(
          Llm.stream(llm, { prompt: "hi" }),
          () => 0,
          (length, part) => (part.type === "text-delta" ? length + part.delta.length : length)
        )
      )
  }
}

const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: "hi" }] }]

const aiSdk = (recording: Streams.Recording): Contender | undefined => {
  const options = { apiKey: "a key", fetch: async () => replyOf(recording) }
  const modelOf = () => {
    switch (recording.protocol) {
      case "chat":
        return { name: "@ai-sdk/openai, chat", model: createOpenAI(options).chat("m") }
      case "responses":
        return { name: "@ai-sdk/openai, responses", model: createOpenAI(options).responses("m") }
      case "messages":
        return { name: "@ai-sdk/anthropic", model: createAnthropic(options)("m") }
      case "gemini":
        return undefined
    }
  }
  const found = modelOf()
  if (found === undefined) return undefined
  return {
    name: found.name,
    run: async () => {
      const { stream } = await found.model.doStream({ prompt })
      let length = 0
      for await (const part of stream) {
        if (part.type === "error") throw part.error
        if (part.type === "text-delta") length += part.delta.length
      }
      return length
    }
  }
}

const vendor = (recording: Streams.Recording): Contender | undefined => {
  const options = { apiKey: "a key", maxRetries: 0, fetch: async () => replyOf(recording) }
  switch (recording.protocol) {
    case "chat": {
      const client = new OpenAI(options)
      return {
        name: "openai, chat",
        run: async () => {
          let length = 0
          const body = { model: "m", messages: [{ role: "user" as const, content: "hi" }], stream: true as const }
          for await (const chunk of await client.chat.completions.create(body))
            length += chunk.choices[0]?.delta.content?.length ?? 0
          return length
        }
      }
    }
    case "responses": {
      const client = new OpenAI(options)
      return {
        name: "openai, responses",
        run: async () => {
          let length = 0
          for await (const event of await client.responses.create({ model: "m", input: "hi", stream: true }))
            if (event.type === "response.output_text.delta") length += event.delta.length
          return length
        }
      }
    }
    case "messages": {
      const client = new Anthropic(options)
      return {
        name: "@anthropic-ai/sdk",
        run: async () => {
          let length = 0
          const messages = [{ role: "user" as const, content: "hi" }]
          for await (const event of await client.messages.create({ model: "m", max_tokens: 1, messages, stream: true }))
            if (event.type === "content_block_delta" && event.delta.type === "text_delta")
              length += event.delta.text.length
          return length
        }
      }
    }
    case "gemini":
      return undefined
  }
}

/** Everybody who parses this protocol, `JSON.parse` first. */
export const contenders = async (recording: Streams.Recording): Promise<ReadonlyArray<Contender>> =>
  [bare(recording), parser(recording), await instance(recording), aiSdk(recording), vendor(recording)].flatMap((one) =>
    one === undefined ? [] : [one]
  )

/** Fails unless all but the first find the same text: who reads less is not quicker. */
export const check = async (all: ReadonlyArray<Contender>): Promise<void> => {
  const [, ...readers] = all
  const found = await Promise.all(readers.map(async ({ name, run }) => ({ name, length: await run() })))
  const [first] = found
  for (const { length, name } of found)
    if (length !== first?.length || length === 0)
      throw new Error(`parsers: ${name} found ${length} characters, ${first?.name} ${first?.length}`)
}
