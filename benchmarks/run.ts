/** `pnpm bench`: prints ratios within this run. Nothing is asserted: a shared machine is no judge. */
import { existsSync } from "node:fs"
import { call } from "./call.ts"
import { coldStart } from "./coldStart.ts"
import { machine, print } from "./harness.ts"
import { sse } from "./sse.ts"

if (!existsSync(new URL("../packages/cli/dist/bin.js", import.meta.url))) {
  console.error("bench: the packages are not built; run `pnpm build` first")
  process.exit(1)
}
console.log(machine())
const { floor, stack } = await call()
print("One call, whole answer, all policies on", "us", stack)
print("What the contract costs: attempt, seal, route, clocks", "us", floor)
const { chat, messages } = await sse()
print("OpenAI Chat Completions, per event", "us", chat)
print("Anthropic Messages, per event", "us", messages)
print("Cold start", "ms", await coldStart())
