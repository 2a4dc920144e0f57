/**
 * `pnpm bench`: prints ratios within this run. Nothing is asserted: a shared machine is no judge.
 *
 * `pnpm bench request heap` runs those alone; `pnpm bench:heap` is the long run of the last.
 */
import { existsSync } from "node:fs"
import { call } from "./call.ts"
import { coldStart } from "./coldStart.ts"
import { exchange } from "./exchange.ts"
import { machine, print } from "./harness.ts"
import { heap, waiting } from "./memory.ts"
import { metrics } from "./metrics.ts"
import { parsers } from "./parsers.ts"
import { rejection } from "./rejection.ts"
import { request } from "./request.ts"
import { selection } from "./selection.ts"
import { sse } from "./sse.ts"
import { tracing } from "./tracing.ts"
import { usage } from "./usage.ts"

const isLong = process.argv.includes("--long")

const benches: Readonly<Record<string, () => Promise<void>>> = {
  request,
  rejection,
  selection,
  waiting: () => waiting(isLong),
  heap: () => heap(isLong),
  call: async () => {
    const { floor, stack } = await call()
    print("One call, whole answer, layer by layer", "us", stack)
    print("What the contract costs: attempt, seal, route, clocks", "us", floor)
  },
  exchange: async () => print("One exchange over loopback", "us CPU", await exchange()),
  sse: async () => {
    const { chat, messages } = await sse()
    print("OpenAI Chat Completions, per event", "us", chat)
    print("Anthropic Messages, per event", "us", messages)
  },
  parsers,
  usage,
  metrics,
  tracing,
  "cold-start": async () => {
    if (!existsSync(new URL("../packages/cli/dist/bin.js", import.meta.url)))
      throw new Error("the packages are not built; run `pnpm build` first")
    print("Cold start", "ms", await coldStart())
  }
}

const asked = process.argv.slice(2).filter((argument) => argument !== "--long")
const unknown = asked.filter((name) => !Object.hasOwn(benches, name))
if (unknown.length > 0) {
  console.error(`bench: there is no ${unknown.join(", ")}; there are ${Object.keys(benches).join(", ")}`)
  process.exit(2)
}
console.log(machine())
for (const [name, bench] of Object.entries(benches)) {
  if (asked.length === 0 || asked.includes(name)) await bench()
}
