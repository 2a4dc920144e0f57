/**
 * HTTP/1.1 as a `FaultServer` needs it: requests are read, heads and chunks written. Pure.
 *
 * Node's own server is not used because it would not send half a header block.
 *
 * @since 0.1.0
 */

/**
 * A request as it came over the wire.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message {
  readonly method: string
  /** With the query. */
  readonly target: string
  /** Names in lower case; a repeated header is joined with `, `. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/**
 * What stands in the bytes that have arrived.
 *
 * @since 0.1.0
 * @category models
 */
export type Parsed =
  | { readonly _tag: "Request"; readonly message: Message; readonly rest: Buffer }
  /** Nothing whole; at least so many bytes are needed. */
  | { readonly _tag: "More"; readonly needed: number }
  | { readonly _tag: "Invalid" }

const eol = "\r\n"
const headEnd = Buffer.from(eol + eol)

/**
 * Reads one request off the front.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (bytes: Buffer): Parsed => {
  const end = bytes.indexOf(headEnd)
  if (end === -1) return { _tag: "More", needed: bytes.length + 1 }
  const [start = "", ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n")
  const [method, target, version] = start.split(" ")
  if (method === undefined || target === undefined || version?.startsWith("HTTP/1.") !== true)
    return { _tag: "Invalid" }
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(":")
    if (colon < 1) return { _tag: "Invalid" }
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
  }
  const from = end + headEnd.length
  if (headers["transfer-encoding"]?.toLowerCase().endsWith("chunked") === true)
    return chunked(bytes, from, { method, target, headers })
  const length = Number(headers["content-length"] ?? 0)
  if (!Number.isSafeInteger(length) || length < 0) return { _tag: "Invalid" }
  if (bytes.length < from + length) return { _tag: "More", needed: from + length }
  const body = bytes.subarray(from, from + length)
  return { _tag: "Request", message: { method, target, headers, body }, rest: bytes.subarray(from + length) }
}

const chunked = (bytes: Buffer, from: number, head: Omit<Message, "body">): Parsed => {
  const parts: Array<Buffer> = []
  let at = from
  for (;;) {
    const end = bytes.indexOf(eol, at)
    if (end === -1) return { _tag: "More", needed: bytes.length + 1 }
    const size = Number.parseInt(bytes.subarray(at, end).toString("latin1"), 16)
    if (!Number.isSafeInteger(size) || size < 0) return { _tag: "Invalid" }
    const next = end + 2 + size + 2
    if (bytes.length < next) return { _tag: "More", needed: next }
    // Trailers are not read: no client of these protocols sends any.
    if (size === 0)
      return { _tag: "Request", message: { ...head, body: Buffer.concat(parts) }, rest: bytes.subarray(next) }
    parts.push(bytes.subarray(end + 2, end + 2 + size))
    at = next
  }
}

const phrases: Readonly<Record<number, string>> = {
  200: "OK",
  301: "Moved Permanently",
  302: "Found",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout"
}

/**
 * The head of an answer, the empty line included. Values are written as they are.
 *
 * @since 0.1.0
 * @category encoding
 */
export const head = (status: number, headers: Readonly<Record<string, string>>): string =>
  `HTTP/1.1 ${status} ${phrases[status] ?? ""}\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("")}\r\n`

/**
 * One chunk of a body in chunks.
 *
 * @since 0.1.0
 * @category encoding
 */
export const chunk = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from(eol)])

/**
 * The chunk that ends a body in chunks.
 *
 * @since 0.1.0
 * @category encoding
 */
export const lastChunk: Buffer = Buffer.from(`0${eol}${eol}`)
