/**
 * A page of text on a port of its own, for Prometheus to read where no other server runs.
 *
 * @since 0.1.0
 */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Scope from "effect/Scope"

/**
 * Options of `serve`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly host: string
  /** 0 takes any that is free. */
  readonly port: number
  readonly path: string
  /** Made anew for each that asks. */
  readonly page: Effect.Effect<string>
}

/** Version 0.0.4 of the text format. */
const contentType = "text/plain; version=0.0.4; charset=utf-8"

/**
 * Answers `GET` of one path with a page, for as long as the scope is open, and gives the port it listens at.
 *
 * **Errors** `ServeError` when the address is taken or not this machine's.
 *
 * @since 0.1.0
 * @category running
 */
export const serve = Effect.fnUntraced(function* ({
  host,
  page,
  path,
  port
}: Options): Effect.fn.Return<number, HttpServerError.ServeError, Scope.Scope> {
  const server = yield* NodeHttpServer.make(() => createServer(), { host, port })
  const answer = Effect.gen(function* () {
    const { method, url } = yield* HttpServerRequest.HttpServerRequest
    if (url.split("?", 1)[0] !== path) return HttpServerResponse.empty({ status: 404 })
    if (method !== "GET" && method !== "HEAD")
      return HttpServerResponse.empty({ status: 405, headers: { allow: "GET, HEAD" } })
    return HttpServerResponse.text(yield* page, { contentType })
  })
  yield* server.serve(answer)
  return "port" in server.address ? server.address.port : port
})
