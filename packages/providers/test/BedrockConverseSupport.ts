import { EventStreamCodec } from "@smithy/eventstream-codec"

const codec = new EventStreamCodec(
  (bytes) => (typeof bytes === "string" ? bytes : new TextDecoder().decode(bytes)),
  (text) => new TextEncoder().encode(text)
)

type Headers = Parameters<typeof codec.encode>[0]["headers"]

/** A message as Amazon's own library writes it. */
export const encode = (headers: Headers, body: string): Uint8Array =>
  codec.encode({ headers, body: new TextEncoder().encode(body) })

const string = (value: string) => ({ type: "string", value }) as const

const textOf = (data: unknown): string => (typeof data === "string" ? data : JSON.stringify(data))

/** An event of ConverseStream. */
export const message = (type: string, data: unknown): Uint8Array =>
  encode(
    {
      ":event-type": string(type),
      ":content-type": string("application/json"),
      ":message-type": string("event")
    },
    textOf(data)
  )

/** An exception in the place of an event. */
export const exception = (type: string, data: unknown): Uint8Array =>
  encode(
    {
      ":message-type": string("exception"),
      ":exception-type": string(type),
      ":content-type": string("application/json")
    },
    textOf(data)
  )

/** An error that the service has no exception for. */
export const failure = (code: string, text: string): Uint8Array =>
  encode({ ":message-type": string("error"), ":error-code": string(code), ":error-message": string(text) }, "")

export const joined = (...messages: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(messages))
