/** The provider that `exchange.ts` asks. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const reply = JSON.stringify({
  id: "r",
  object: "chat.completion",
  created: 1_700_000_000,
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
})

const chunk = (delta: unknown, finish: string | null = null): string =>
  `data: ${JSON.stringify({
    id: "r",
    object: "chat.completion.chunk",
    created: 1_700_000_000,
    model: "m",
    choices: [{ index: 0, delta, finish_reason: finish }]
  })}\n\n`

const stream = [
  chunk({ role: "assistant", content: "" }),
  chunk({ content: "hel" }),
  chunk({ content: "lo" }),
  chunk({}, "stop"),
  "data: [DONE]\n\n"
].join("")

const server = createServer((request, response) => {
  const chunks: Array<Uint8Array> = []
  request.on("data", (one: Uint8Array) => chunks.push(one))
  request.on("end", () => {
    const isStream = Buffer.concat(chunks).includes('"stream":true')
    const answer = isStream ? stream : reply
    const type = isStream ? "text/event-stream" : "application/json"
    response.writeHead(200, { "content-type": type, "content-length": Buffer.byteLength(answer) })
    response.end(answer)
  })
})
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port))
process.on("disconnect", () => process.exit())
