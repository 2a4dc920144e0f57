import * as FaultServerHttp from "@echelon/testing/FaultServerHttp"
import { expect, it } from "@effect/vitest"

const stated = "POST /v1/messages?beta=true HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a:2\r\nContent-Length: 6\r\n\r\nh\r\nyé"
const chunked =
  "POST /v1/messages?beta=true HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a:2\r\nTransfer-Encoding: chunked\r\n\r\n" +
  "3\r\nh\r\n\r\n3;ext=1\r\nyé\r\n0\r\n\r\n"

it("reads a request whole, and says how much is missing at every cut", () => {
  for (const wire of [stated, chunked]) {
    const bytes = Buffer.from(wire)
    for (let at = 0; at < bytes.length; at++) {
      const parsed = FaultServerHttp.parse(bytes.subarray(0, at))
      expect(parsed._tag).toBe("More")
      if (parsed._tag === "More") expect(parsed.needed).toBeGreaterThan(at)
    }
    const parsed = FaultServerHttp.parse(Buffer.concat([bytes, Buffer.from("GET")]))
    if (parsed._tag !== "Request") throw new Error(parsed._tag)
    expect(parsed.message).toMatchObject({ method: "POST", target: "/v1/messages?beta=true" })
    expect(parsed.message.headers).toMatchObject({ host: "x", "x-a": "1, 2" })
    expect(parsed.message.body.toString()).toBe("h\r\nyé")
    expect(parsed.rest.toString()).toBe("GET")
  }
})

it("refuses what is no HTTP", () => {
  for (const wire of ["hello\r\n\r\n", "GET / HTTP/2\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n"])
    expect(FaultServerHttp.parse(Buffer.from(wire))._tag).toBe("Invalid")
  for (const length of ["-1", "x"])
    expect(FaultServerHttp.parse(Buffer.from(`POST / HTTP/1.1\r\ncontent-length: ${length}\r\n\r\n`))._tag).toBe(
      "Invalid"
    )
})

it("writes heads and chunks", () => {
  expect(FaultServerHttp.head(429, { "retry-after": "1" })).toBe(
    "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\n\r\n"
  )
  expect(FaultServerHttp.chunk(Buffer.from("é".repeat(8))).toString()).toBe(`10\r\n${"é".repeat(8)}\r\n`)
})
