/**
 * AWS Signature Version 4: a signature over method, address, headers and body of each request.
 *
 * The signing is `@smithy/signature-v4`, loaded when the first instance that needs it is built, over SHA-256 of
 * `node:crypto`. The secret key never leaves the process.
 *
 * @since 0.1.0
 */
import { createHash, createHmac } from "node:crypto"
import * as LlmError from "@echelon/core/LlmError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Auth from "./Auth.ts"
import * as Redaction from "./Redaction.ts"

/**
 * What signs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** As it is written in the scope of a signature: `bedrock`. */
  readonly service: string
  readonly region: string
  readonly accessKeyId: Redacted.Redacted
  readonly secretAccessKey: Redacted.Redacted
  /** Of temporary credentials. */
  readonly sessionToken?: Redacted.Redacted | undefined
}

type Bytes = string | ArrayBuffer | ArrayBufferView

const bytesOf = (data: Bytes): string | Uint8Array =>
  typeof data === "string"
    ? data
    : ArrayBuffer.isView(data)
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data)

/** SHA-256, or HMAC when there is a secret, as the library asks for it. */
class Sha256 {
  private readonly hash: ReturnType<typeof createHash> | ReturnType<typeof createHmac>
  constructor(secret?: Bytes) {
    this.hash = secret === undefined ? createHash("sha256") : createHmac("sha256", bytesOf(secret))
  }
  update(data: Bytes): void {
    this.hash.update(bytesOf(data))
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.hash.digest())
  }
}

const queryOf = (url: URL): Record<string, string | Array<string>> => {
  const query: Record<string, string | Array<string>> = Object.create(null)
  for (const name of new Set(url.searchParams.keys())) {
    const [first = "", ...rest] = url.searchParams.getAll(name)
    query[name] = rest.length === 0 ? first : [first, ...rest]
  }
  return query
}

// An answer about a wrong signature repeats the one that was sent, which holds for minutes.
const signature = /(Signature=)[0-9a-f]{64}/gi

/**
 * Makes the prover of an AWS account.
 *
 * **Details** The headers of the instance are signed but those that proxies change (`user-agent` and the like). The
 * time is the `Clock`'s; AWS accepts five minutes of difference.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Auth.Prover> =>
  Effect.map(
    Effect.promise(() => import("@smithy/signature-v4")),
    ({ SignatureV4 }): Auth.Prover => {
      const { accessKeyId, region, secretAccessKey, service, sessionToken } = options
      const secrets = [accessKeyId, secretAccessKey, ...(sessionToken === undefined ? [] : [sessionToken])]
      const signer = new SignatureV4({
        service,
        region,
        sha256: Sha256,
        // The hash of the body is part of what is signed, with or without a header of its own.
        applyChecksum: false,
        credentials: {
          accessKeyId: Redacted.value(accessKeyId),
          secretAccessKey: Redacted.value(secretAccessKey),
          ...(sessionToken === undefined ? {} : { sessionToken: Redacted.value(sessionToken) })
        }
      })
      const redaction = Redaction.make(secrets.map(Redacted.value))
      const sign = (outgoing: Auth.Outgoing, now: number) => {
        const url = new URL(outgoing.url)
        const request = {
          method: outgoing.method,
          protocol: url.protocol,
          hostname: url.hostname,
          path: url.pathname,
          query: queryOf(url),
          headers: { ...outgoing.headers, host: url.host },
          ...(outgoing.body === undefined ? {} : { body: outgoing.body })
        }
        return signer.sign(request, { signingDate: new Date(now) })
      }
      return {
        prove: (outgoing) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) =>
            Effect.map(
              Effect.tryPromise({ try: () => sign(outgoing, now), catch: () => unsigned }),
              ({ headers }): Auth.Headers =>
                Object.fromEntries(
                  owned.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]]))
                )
            )
          ),
        refused: () => Effect.succeed(false),
        owns: owned,
        redaction: (text) => redaction(text).replace(signature, "$1[redacted]")
      }
    }
  )

const owned = ["authorization", "x-amz-date", "x-amz-security-token"]

const unsigned = LlmError.make({ reason: { _tag: "Authentication" }, detail: "the request could not be signed" })
