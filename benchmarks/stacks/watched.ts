/** What the stacks have in common that are measured with something that watches them. */
import { Clients, InstanceFactory, Interpreter, Llm } from "@echelon/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Echelon from "./echelon.ts"
import { operation } from "./operation.ts"

/** Instances that answer at once, with the prices of the plan. */
export const provided = Layer.mergeAll(
  Layer.succeed(InstanceFactory.InstanceFactory, {
    make: ({ model: { prices }, name }) =>
      Effect.succeed({
        llm: Llm.make({ id: name, open: Echelon.open(operation), prices }),
        probe: Effect.succeed(Duration.zero)
      })
  }),
  Layer.succeed(Clients.Clients, { get: () => Effect.die(new Error("no direct clients here")) })
)

/** Somebody who listens and does nothing: what observing costs by itself. */
export const listening = (isOn: boolean) =>
  Layer.effectDiscard(
    Effect.map(Interpreter.Interpreter, ({ registry }) => {
      if (isOn) registry.observers.add({ onEnd: () => undefined })
    })
  )
