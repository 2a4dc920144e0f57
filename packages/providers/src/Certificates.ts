/**
 * Certificate authorities of your own, beside those that Node trusts.
 *
 * @since 0.1.0
 */

import type * as Tls from "node:tls"
import * as LlmError from "@echelon/core/LlmError"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"

/**
 * A certificate and the line at which it begins, from 1.
 *
 * @since 0.1.0
 * @category models
 */
export interface Certificate {
  readonly line: number
  readonly pem: string
}

const begin = /^-----BEGIN ([A-Z0-9 ]+)-----$/

const isCertificate = (label: string): boolean => label === "CERTIFICATE" || label === "TRUSTED CERTIFICATE"

/**
 * Finds the certificates in a PEM file. Text around them is skipped.
 *
 * **Errors** Throws `RangeError` with the line and the reason: a block that does not end, a private key, nothing
 * at all.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (text: string): ReadonlyArray<Certificate> => {
  const found: Array<Certificate> = []
  const lines = text.split(/\r\n?|\n/)
  for (let at = 0; at < lines.length; at++) {
    const label = begin.exec(lines[at]?.trim() ?? "")?.[1]
    if (label === undefined) continue
    const line = at + 1
    if (label.endsWith("PRIVATE KEY")) throw new RangeError(`line ${line}: a private key has no place here`)
    const end = lines.findIndex((other, i) => i > at && other.trim() === `-----END ${label}-----`)
    const next = lines.findIndex((other, i) => i > at && begin.test(other.trim()))
    if (end < 0 || (next >= 0 && next < end))
      throw new RangeError(`line ${line}: the ${label} that begins here does not end`)
    if (isCertificate(label)) {
      const pem = lines
        .slice(at, end + 1)
        .map((one) => one.trim())
        .join("\n")
      found.push({ line, pem })
    }
    at = end
  }
  if (found.length === 0) throw new RangeError("it holds no certificate (-----BEGIN CERTIFICATE-----)")
  return found
}

const refuse = (path: string, why: string): LlmError.LlmError =>
  LlmError.make({ reason: { _tag: "InvalidRequest" }, detail: `ca_file ${path}: ${why}` })

/**
 * Makes what TLS connections trust: Node's own authorities and those of a PEM file.
 *
 * **Details** It is made once for a pool: reading all of them again for each connection costs milliseconds.
 *
 * **Errors** `InvalidRequest` with the file, and the line or the reason.
 *
 * @since 0.1.0
 * @category constructors
 */
export const load = (path: string): Effect.Effect<Tls.SecureContext, LlmError.LlmError, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const text = yield* Effect.mapError(files.readFileString(path), (error) =>
      refuse(path, error.reason._tag === "NotFound" ? "there is no such file" : "it cannot be read")
    )
    const { X509Certificate } = yield* Effect.promise(() => import("node:crypto"))
    const tls = yield* Effect.promise(() => import("node:tls"))
    return yield* Effect.try({
      try: () => {
        const own = parse(text)
        for (const { line, pem } of own) {
          try {
            new X509Certificate(pem)
          } catch {
            throw new RangeError(`line ${line}: the certificate that begins here cannot be read`)
          }
        }
        return tls.createSecureContext({ ca: [...tls.getCACertificates("default"), ...own.map(({ pem }) => pem)] })
      },
      catch: (thrown) => refuse(path, thrown instanceof RangeError ? thrown.message : "it cannot be used")
    })
  })
