import { createHash } from "node:crypto"
import { Effect } from "effect"
import { WebCrypto } from "effect/crypto"

/** Digests without a thread: how long one takes is nobody's to say. */
export const quickDigests = WebCrypto.layer(
  Object.create(globalThis.crypto, {
    subtle: {
      value: {
        digest: (_: string, data: Uint8Array) =>
          Promise.resolve(new Uint8Array(createHash("sha256").update(data).digest()).buffer)
      }
    }
  })
)

/** Lets what runs in the background come to its end. */
export const settle = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
