/** Step 3 of three: groups of echelons from a folder of TOML, with Echelon's own providers in place of the clients. */
import { fileURLToPath } from "node:url"
import { Echelon } from "@echelon/echelon"
import * as Upstreams from "./upstreams.ts"

const upstreams = await Upstreams.start()

// What is new: who answers, in which order, with which limits and clocks, stands in configs.
const config = fileURLToPath(new URL("../configs", import.meta.url))
const runtime = await Echelon.runtime({ config, env: "embedded", variables: upstreams.variables, logging: false })

// What the rest of the program calls, and always has.
const ask = async (prompt: string): Promise<string> => {
  const answer = await runtime.generate({ prompt, metadata: { groupName: "fast_group" } })
  const tiers = [...new Set(answer.route.map((entry) => entry.echelon))]
  console.log(`${answer.instance}, through ${tiers.join(", then ")}`)
  return answer.text
}

console.log(await ask("Why is the sky blue?"))

// Both models of the first echelon are down: the second answers.
await upstreams.fail("openai", true, ["gpt-4"])
await upstreams.fail("anthropic", true, ["claude-3-opus-20240229"])
console.log(await ask("Why is the sky blue?"))

await runtime.dispose()
await upstreams.close()
