import {
  Clients,
  InstanceFactory,
  Interpreter,
  type LlmRequest,
  type Observation,
  Orchestrator,
  type Plan,
  Plans
} from "@echelon/core"
import * as Metrics from "@echelon/core/Metrics"
import { ScriptedLlm } from "@echelon/testing"
import { Context, Duration, Effect, Layer, Metric, Redacted, type Scope, Stream } from "effect"

export const secret = "sk-SECRET-0123456789"
export const prompt = "the PLANTED prompt"
export const answer = "the PLANTED answer of five"

/** 1 USD a token in, 2 a token out. */
const prices = { input: 1_000_000, output: 2_000_000 }

export const provider = Plans.provider({
  name: "acme",
  kind: "azure-openai",
  baseUrl: "https://acme.example/v1",
  key: Redacted.make(secret)
})
export const instance = (name: string): Plan.Instance =>
  Plans.instance({ name, provider, alias: name, model: Plans.model({ model: `wire-${name}`, prices }) })

type Scripts = Readonly<Record<string, ScriptedLlm.Options["script"]>>

/** Services over a plan with instances that follow scripts, and a metric registry of their own. */
export const layer = (root: Plan.Root, scripts: Scripts = {}) => {
  const factory = Layer.succeed(InstanceFactory.InstanceFactory, {
    make: ({ model, name }) =>
      Effect.map(
        ScriptedLlm.make({
          id: name,
          model: model.model,
          prices: model.prices,
          script: scripts[name] ?? ScriptedLlm.text(answer, { inputTokens: 3, outputTokens: 5 })
        }),
        ({ llm }) => ({ llm, probe: Effect.succeed(Duration.zero) })
      )
  })
  const clients = Layer.succeed(Clients.Clients, {
    get: (_, from, model = "default") =>
      Effect.map(
        ScriptedLlm.make({ id: `${from}/${model}`, model, script: ScriptedLlm.text(answer) }),
        ({ llm }) => llm
      )
  })
  return Layer.mergeAll(Orchestrator.layer, Metrics.MetricsCollector.layer).pipe(
    Layer.provideMerge(Interpreter.Interpreter.layer(root)),
    Layer.provide(Layer.merge(factory, clients)),
    Layer.provideMerge(Layer.succeed(Metric.MetricRegistry, new Map()))
  )
}

export type Services = Layer.Success<ReturnType<typeof layer>>

export const run =
  (root: Plan.Root, scripts: Scripts = {}) =>
  <A, E>(effect: Effect.Effect<A, E, Services | Scope.Scope>) =>
    Effect.provide(effect, layer(root, scripts))

export const ask = (metadata: LlmRequest.Metadata) => Orchestrator.generate({ prompt, metadata })
export const read = (metadata: LlmRequest.Metadata) =>
  Effect.scoped(Effect.flatMap(Orchestrator.open({ prompt, metadata }), ({ parts }) => Stream.runDrain(parts)))

export const metrics = Effect.flatMap(Metrics.MetricsCollector, ({ snapshot }) =>
  Effect.map(snapshot, (found) => found.metrics)
)

/** What an exporter of effect's sees. */
export const exported = Effect.map(Metrics.MetricsCollector, ({ registry }) =>
  Metric.snapshotUnsafe(Context.make(Metric.MetricRegistry, registry) as Context.Context<never>)
)

/** A request of 2 ms that a direct client of `acme` answered, for 0.5 USD. */
export const observation = (by: { readonly model: string; readonly tenant: string }): Observation.Observation => ({
  id: "",
  target: { kind: "client", name: `acme/${by.model}` },
  wrapper: undefined,
  pool: undefined,
  group: undefined,
  tenant: by.tenant,
  priority: "normal",
  tags: [],
  operation: "chat",
  isStream: true,
  isMeasured: true,
  isAlerting: true,
  startedAt: 0,
  queuedMs: 0,
  committedAt: 1,
  endedAt: 2,
  outcome: "completed",
  reason: undefined,
  error: undefined,
  attempts: [
    {
      kind: "call",
      instance: `acme/${by.model}`,
      model: by.model,
      echelon: undefined,
      startedAt: 0,
      provider: undefined,
      watch: undefined,
      traceparent: undefined,
      outcome: "completed",
      reason: undefined,
      firstOutputAt: 1,
      endedAt: 2,
      usage: undefined,
      cost: 0.5,
      dropped: []
    }
  ]
})
