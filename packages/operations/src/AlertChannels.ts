/**
 * Every kind of channel, as one Layer.
 *
 * @since 0.1.0
 */
import * as AlertChannel from "@echelon/core/AlertChannel"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as AlertDingTalk from "./AlertDingTalk.ts"
import * as AlertEmail from "./AlertEmail.ts"
import * as AlertFeishu from "./AlertFeishu.ts"
import type * as AlertPost from "./AlertPost.ts"
import * as AlertSlack from "./AlertSlack.ts"
import * as AlertWebhook from "./AlertWebhook.ts"

/**
 * A client of undici's with connections of its own, by a proxy where `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say
 * so. It is loaded when a channel needs it.
 */
const layerHttp: Layer.Layer<HttpClient.HttpClient> = Layer.unwrap(
  Effect.promise(async () => {
    const [NodeHttpClient, Undici] = await Promise.all([
      import("@effect/platform-node/NodeHttpClient"),
      import("@effect/platform-node/Undici")
    ])
    const dispatcher = Layer.effect(
      NodeHttpClient.Dispatcher,
      Effect.acquireRelease(
        Effect.sync(() => new Undici.EnvHttpProxyAgent()),
        (agent) => Effect.promise(() => agent.destroy())
      )
    )
    return Layer.provide(NodeHttpClient.layerUndiciNoDispatcher, dispatcher)
  })
)

/** A channel with a client of its own, so that one that stalls takes no connection from another. */
const own =
  (make: AlertPost.MakerHttp): AlertChannel.Maker =>
  (options) =>
    Effect.flatMap(Layer.build(Layer.fresh(layerHttp)), (context) => Effect.provideContext(make(options), context))

/**
 * Adds the kinds `webhook`, `slack`, `feishu`, `dingtalk` and `email`.
 *
 * **Details** Each channel that posts has its own undici client, which does not follow redirects. For a client of
 * another kind take the Layers of the single modules.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never> = AlertChannel.layer({
  webhook: own(AlertWebhook.make),
  slack: own(AlertSlack.make),
  feishu: own(AlertFeishu.make),
  dingtalk: own(AlertDingTalk.make),
  email: AlertEmail.make
})
