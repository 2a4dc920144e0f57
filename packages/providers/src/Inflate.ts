/**
 * Bodies that a server compressed although it was asked not to.
 *
 * Requests ask for `identity`: compression holds the events of a stream back. What comes compressed all the same
 * is decompressed as it is pulled, so that the limit on an answer's size holds for what it becomes.
 *
 * @since 0.1.0
 */
import type * as LlmError from "@echelon/core/LlmError"
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ErrorReply from "./ErrorReply.ts"

type Body = Pull.Pull<Arr.NonEmptyReadonlyArray<Uint8Array>, LlmError.LlmError>

/** Content codings (RFC 9110, 8.4.1; br RFC 7932; zstd RFC 8878) by name. */
const codings = {
  gzip: "createGunzip",
  "x-gzip": "createGunzip",
  deflate: "createInflate",
  br: "createBrotliDecompress",
  zstd: "createZstdDecompress"
} as const

type Coding = keyof typeof codings

const isCoding = (name: string): name is Coding => Object.hasOwn(codings, name)

/**
 * Decompresses a body. What it holds is given up with the scope.
 *
 * **Errors** `MalformedOutput` for a coding that is not known, for several on top of each other, and for bytes that
 * are not what the coding says.
 *
 * @since 0.1.0
 * @category combinators
 */
export const decoded = (body: Body, encoding: string, scope: Scope.Scope): Body => {
  const name = encoding.trim().toLowerCase()
  if (!isCoding(name))
    return Effect.fail(
      ErrorReply.malformed(`the answer is compressed in a way that is not understood (${encoding.slice(0, 40)})`)
    )
  let taken: Body | undefined
  const open = Effect.gen(function* () {
    const zlib = yield* Effect.promise(() => import("node:zlib"))
    const NodeStream = yield* Effect.promise(() => import("@effect/platform-node/NodeStream"))
    const compressed = Stream.fromPull(Effect.succeed(body))
    const plain = NodeStream.pipeThroughDuplex(compressed, {
      evaluate: () => zlib[codings[name]](),
      onError: () => ErrorReply.malformed(`the answer is not ${name}, as its content-encoding says`)
    })
    return yield* Scope.provide(Stream.toPull(plain), scope)
  })
  return Effect.suspend(
    () =>
      taken ??
      Effect.flatMap(open, (pull) => {
        taken = pull
        return pull
      })
  )
}
