/**
 * Where to cut a stream of server-sent events, so that what is left was certainly no whole answer.
 *
 * @since 0.1.0
 */

/**
 * Tells whether a content type is that of server-sent events.
 *
 * @since 0.1.0
 * @category guards
 */
export const isEventStream = (contentType: string | undefined): boolean =>
  contentType?.startsWith("text/event-stream") ?? false

/** An event with which an answer ends: a finish or stop reason, or the marker after it. */
const ending = /^data: ?\[DONE\]|"(finish|stop)_reason": ?"|"type": ?"message_stop"/m

/**
 * The first events of a stream: at most `count`, and none from the one on that ends the answer.
 *
 * @since 0.1.0
 * @category getters
 */
export const before = (stream: string, count: number): string => {
  const events = stream.match(/[\s\S]*?\r?\n\r?\n/g) ?? []
  const end = events.findIndex((event) => ending.test(event))
  return events.slice(0, Math.min(count, end < 0 ? events.length : end)).join("")
}
