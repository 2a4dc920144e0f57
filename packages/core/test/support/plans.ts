import { Clients, InstanceFactory, LlmError, Nearest, type Plan, Plans } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { Duration, Effect, Layer } from "effect"

export const provider = (name: string): Plan.Provider => Plans.provider({ name, kind: "openai-compatible" })

export const instance = (name: string, from: Plan.Provider): Plan.Instance =>
  Plans.instance({
    name,
    provider: from,
    alias: name,
    model: Plans.model({ model: `wire-${name}`, prices: { input: 1, output: 2 } })
  })

/** An echelon without retries, so that a route names every tier once. */
export const echelon: typeof Plans.echelon = (group, n, instances, options) =>
  Plans.echelon(group, n, instances, { maxRetries: 0, ...options })

export const { group, pool, root, wrapper } = Plans

/** Instances that follow scripts by name, and say hello when they have none; direct clients likewise. */
export const scripts = (byInstance: Readonly<Record<string, ScriptedLlm.Options["script"]>>) => {
  const books = new Map<string, ScriptedLlm.ScriptedLlm>()
  const build = (id: string, wire: string) =>
    Effect.map(
      ScriptedLlm.make({ id, model: wire, script: byInstance[id] ?? ScriptedLlm.text("hello") }),
      (scripted) => {
        books.set(id, scripted)
        return scripted.llm
      }
    )
  const layer = Layer.merge(
    Layer.succeed(InstanceFactory.InstanceFactory, {
      make: (one) =>
        Effect.map(build(one.name, one.model.model), (llm) => ({ llm, probe: Effect.succeed(Duration.zero) }))
    }),
    Layer.succeed(Clients.Clients, {
      get: (from, name, wanted) =>
        from.providers[name] === undefined
          ? Effect.fail(
              LlmError.make({
                reason: { _tag: "UnknownTarget", kind: "provider", name, known: Object.keys(from.providers) },
                detail: Nearest.hint(name, Object.keys(from.providers))
              })
            )
          : build(
              wanted !== undefined && from.instances[wanted] !== undefined ? wanted : `${name}-${wanted ?? "default"}`,
              wanted ?? "default"
            )
    })
  )
  return { books, layer }
}
