/**
 * One exchange with a provider over loopback, by what this process's processor does: undici's own `request`, the wire
 * alone, and whole calls. The server is a process of its own; its time does not count.
 */
import { type ChildProcess, fork } from "node:child_process"
import { Llm, Plans } from "@echelon/core"
import { Instance, Transport, Wire } from "@echelon/providers"
import { Agent } from "@effect/platform-node/Undici"
import { Context, Effect, Exit, Layer, Redacted, Scope, Stream } from "effect"
import { compare, type Measured } from "./harness.ts"

const server = async (): Promise<{ readonly child: ChildProcess; readonly origin: string }> => {
  const child = fork(new URL("./exchangeChild.ts", import.meta.url))
  const port = await new Promise((resolve) => child.once("message", resolve))
  return { child, origin: `http://127.0.0.1:${port}` }
}

/** Milliseconds of this process's processor. */
const busy = async (run: () => Promise<unknown>): Promise<number> => {
  const from = process.cpuUsage()
  await run()
  const { system, user } = process.cpuUsage(from)
  return (user + system) / 1_000
}

const repeated = (name: string, effect: Effect.Effect<unknown, unknown>) => ({
  name,
  run: (iterations: number) =>
    busy(() =>
      Effect.runPromise(
        Effect.gen(function* () {
          for (let i = 0; i < iterations; i++) yield* effect
        })
      )
    )
})

const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }] })

export const exchange = async (): Promise<ReadonlyArray<Measured>> => {
  const { child, origin } = await server()
  const scope = Scope.makeUnsafe()
  const provider = Plans.provider({
    name: "local",
    kind: "openai-compatible",
    key: Redacted.make("sk"),
    baseUrl: origin
  })
  const { client, llm } = await Effect.runPromise(
    Effect.gen(function* () {
      const context = yield* Layer.build(Transport.layer)
      const instance = Plans.instance({ provider, alias: "m", model: Plans.model({ model: "m" }) })
      const { llm } = yield* Effect.provideContext(Instance.make(instance), context)
      return { llm, client: yield* Context.get(context, Transport.Transport).client(provider) }
    }).pipe(Scope.provide(scope))
  )
  const agent = new Agent()
  const headers = { "content-type": "application/json", authorization: "Bearer sk", accept: "application/json" }
  const sent = Wire.send({
    client,
    target: { url: Redacted.make(`${origin}/chat/completions`), headers: Redacted.make(headers) },
    origin,
    body,
    accept: "application/json",
    maxResponseBytes: 1_000_000
  })
  const measured = await compare(
    [
      {
        name: "undici's request, and JSON.parse",
        run: (iterations) =>
          busy(async () => {
            for (let i = 0; i < iterations; i++) {
              const answer = await agent.request({ origin, path: "/chat/completions", method: "POST", headers, body })
              JSON.parse(await answer.body.text())
            }
          })
      },
      repeated(
        "the wire alone, and JSON.parse",
        Effect.scoped(Effect.flatMap(sent, ({ text }) => Effect.map(text, (whole): unknown => JSON.parse(whole))))
      ),
      repeated("a call, buffered", Llm.generate(llm, { prompt: "hi" })),
      repeated("a call, streamed", Stream.runDrain(Llm.stream(llm, { prompt: "hi" })))
    ],
    { iterations: 1_000 }
  )
  await agent.destroy()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  child.disconnect()
  return measured
}
