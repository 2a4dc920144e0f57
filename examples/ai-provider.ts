/** A program written for the `ai` package, pointed at a pool: only where its model comes from has changed. */
import { fileURLToPath } from "node:url"
import { Echelon } from "@echelon/echelon"
import * as AiSdk from "@echelon/echelon/AiSdk"
import { generateText, streamText } from "ai"
import * as Upstreams from "./upstreams.ts"

const upstreams = await Upstreams.start()
const config = fileURLToPath(new URL("../configs", import.meta.url))
const runtime = await Echelon.runtime({ config, env: "embedded", variables: upstreams.variables, logging: false })

const echelon = AiSdk.provider(runtime)
const model = echelon("fast_pool")

// One provider is down, and stays so.
await upstreams.fail("openai", true)

const { providerMetadata, text } = await generateText({
  model,
  prompt: "Why is the sky blue?",
  providerOptions: { echelon: { tenant: "acme", timeout: "10 seconds" } }
})
console.log(text)
const tried = AiSdk.routeOf(providerMetadata)
console.log(`answered by ${tried?.instance.replace(/-.*/, "")}`)

let pieces = 0
for await (const _ of streamText({ model, prompt: "Why?" }).textStream) pieces += 1
console.log(`streamed in ${pieces > 1 ? "several pieces" : "one piece"}`)

await runtime.dispose()
await upstreams.close()
