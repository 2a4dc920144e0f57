/**
 * Reads the typed details of an error of Google's APIs (`google.rpc.Status`). They name what has no header: the
 * wait, the quota that is used up, and the reason behind a status.
 *
 * @since 0.1.0
 */
import * as Json from "./Json.ts"
import * as RetryAfter from "./RetryAfter.ts"

/**
 * What the details of an error say.
 *
 * @since 0.1.0
 * @category models
 */
export interface Details {
  /** `RetryInfo.retryDelay`, in milliseconds. */
  readonly retryAfter: number | undefined
  /** Whether a quota that is used up is a day's. */
  readonly isDaily: boolean
  /** `ErrorInfo.reason`. */
  readonly reason: string | undefined
}

// More details than any error has.
const maxDetails = 32

/**
 * Reads the `details` of an error object.
 *
 * @since 0.1.0
 * @category parsing
 */
export const read = (error: Json.JsonObject): Details => {
  let retryAfter: number | undefined
  let isDaily = false
  let reason: string | undefined
  for (const detail of Json.array(error, "details").slice(0, maxDetails)) {
    if (!Json.isObject(detail)) continue
    switch (Json.string(detail, "@type")) {
      case "type.googleapis.com/google.rpc.RetryInfo": {
        const wait = RetryAfter.duration(Json.string(detail, "retryDelay") ?? "")
        if (wait !== undefined && wait > 0) retryAfter = wait
        break
      }
      case "type.googleapis.com/google.rpc.QuotaFailure": {
        const violations = Json.array(detail, "violations").slice(0, maxDetails)
        isDaily ||= violations.some((one) => Json.isObject(one) && isPerDay(Json.string(one, "quotaId")))
        break
      }
      case "type.googleapis.com/google.rpc.ErrorInfo":
        reason = Json.string(detail, "reason") ?? reason
        isDaily ||= isPerDay(Json.string(Json.object(detail, "metadata") ?? {}, "quota_limit"))
        break
    }
  }
  return { retryAfter, isDaily, reason }
}

const isPerDay = (quota: string | undefined): boolean => quota?.includes("PerDay") ?? false
