/**
 * An exact-match cache of replies: the same request of the same tenant is answered from memory for a while.
 *
 * The store is effect's `PersistedCache`: a map in memory, bounded by `capacity` (what was not read for longest makes
 * room), in front of a `Persistence`. For a cache in memory alone provide `layerMemory`, which keeps nothing behind that
 * map: effect's own `Persistence.layerMemory` lets go of an entry only when it is read after its time, and so grows with
 * every key. For one that processes share provide effect's `Persistence.layerRedis`.
 *
 * `RequestKey` says what is the same, `CachedReply` what is kept.
 *
 * @since 0.1.0
 */
import * as Cache from "effect/Cache"
import * as Clock from "effect/Clock"
import * as Digest from "effect/crypto/Digest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import * as Persistable from "effect/persistence/Persistable"
import * as PersistedCache from "effect/persistence/PersistedCache"
import * as Persistence from "effect/persistence/Persistence"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Budget from "./Budget.ts"
import * as CachedReply from "./CachedReply.ts"
import * as Llm from "./Llm.ts"
import type * as LlmError from "./LlmError.ts"
import type * as LlmReply from "./LlmReply.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import type * as Part from "./Part.ts"
import * as Plans from "./Plans.ts"
import * as RequestKey from "./RequestKey.ts"
import type * as Route from "./Route.ts"

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How long an answer is given again. @default 5 minutes */
  readonly ttl?: Duration.Input | undefined
  /** Answers held in memory. @default 10_000 */
  readonly capacity?: number | undefined
  /** Characters of an answer above which it is not kept. @default 262_144 */
  readonly maxSize?: number | undefined
  /** How a request uses the cache. @default always `default` */
  readonly mode?: ((request: LlmRequest.LlmRequest) => RequestKey.Mode) | undefined
  /** How long a store may take to answer before the request goes on without it. @default 250 milliseconds */
  readonly readTimeout?: Duration.Input | undefined
  /** The store's name within the `Persistence`. @default "echelon_replies" */
  readonly storeId?: string | undefined
}

/**
 * What a cache has done so far. A request that bypasses it counts nowhere.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly hits: number
  readonly misses: number
  readonly stored: number
  /** Reads and writes of the store that failed or took too long. */
  readonly failures: number
  /** Answers in memory, those whose time is over included until they are read or make room. */
  readonly size: number
}

/**
 * An `Llm` with a cache in front.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReplyCache extends Llm.Llm {
  readonly snapshot: () => Snapshot
}

const defaults = { maxSize: 262_144, readTimeout: 250, storeId: "echelon_replies" } as const

/** A store that hangs must not gather what is to be written. */
const maxWrites = 64
const writeTimeout = Duration.seconds(5)

class Entry extends Persistable.Class<{ payload: { readonly digest: string } }>()("@echelon/core/ReplyCache", {
  primaryKey: ({ digest }) => digest,
  success: CachedReply.CachedReply,
  error: Schema.Literal("missing")
}) {}

/**
 * Keeps a `Persistence` in which nothing stays: the cache is the map in memory alone.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Persistence.Persistence> = Layer.succeed(Persistence.Persistence, {
  make: () =>
    Effect.succeed({
      get: () => Effect.undefined,
      getMany: (keys) => Effect.sync(() => Array.from(keys, () => undefined)),
      set: () => Effect.void,
      setMany: () => Effect.void,
      remove: () => Effect.void,
      clear: Effect.void
    })
})

/**
 * Answers from the cache what was answered before.
 *
 * **Details** A hit is a reply like any other: it has one entry in the route, of kind `cache`, naming who gave the
 * answer, with the usage of then and a cost of 0, and takes no attempt from the budget. Text comes in one piece, in
 * streamed and buffered replies alike, which share entries; those of a raw request keep their events and their form.
 *
 * A miss passes the parts on as they come and keeps them aside; the whole answer is stored in the background, when
 * the reader has read all of it. Who stops early stores nothing. See `CachedReply` for what is kept.
 *
 * **Ordering** Above `Coalesce`, limits and retries, so that a hit spends none of them.
 *
 * **Errors** None of its own: a store that fails or does not answer in time is a miss.
 *
 * **Gotchas** Requests are compared whole, with their tenant: one word more is another request. Sampling settings
 * are part of the request, so an answer sampled once is given again until its time is over.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Llm } from "@echelon/core"
 * import * as ReplyCache from "@echelon/core/ReplyCache"
 * import { ScriptedLlm } from "@echelon/testing"
 *
 * const program = Effect.gen(function* () {
 *   const model = yield* ScriptedLlm.make({ id: "model", script: ScriptedLlm.text("hello there") })
 *   const llm = yield* ReplyCache.make(model.llm, { ttl: "1 minute" })
 *   yield* Llm.generate(llm, { prompt: "hi" })
 *   const again = yield* Llm.generate(llm, { prompt: "hi" })
 *   return { text: again.text, kind: again.route[0]?.kind, calls: model.calls().length }
 * })
 * const { calls, kind, text } = await Effect.runPromise(
 *   program.pipe(Effect.scoped, Effect.provide(ReplyCache.layerMemory))
 * )
 * console.assert(text === "hello there" && kind === "cache" && calls === 1)
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const make: {
  (options?: Options): (self: Llm.Llm) => Effect.Effect<ReplyCache, never, Persistence.Persistence | Scope.Scope>
  (self: Llm.Llm, options?: Options): Effect.Effect<ReplyCache, never, Persistence.Persistence | Scope.Scope>
} = dual(
  (args) => typeof args[0] === "object" && args[0] !== null && "call" in args[0],
  (self: Llm.Llm, options: Options = {}) => open(self, options)
)

const open = Effect.fnUntraced(function* (self: Llm.Llm, options: Options) {
  const { mode, storeId = defaults.storeId } = options
  const ttl = Duration.toMillis(options.ttl ?? Plans.defaults.pool.cache.ttl)
  const capacity = options.capacity ?? Plans.defaults.pool.cache.capacity
  const maxSize = options.maxSize ?? defaults.maxSize
  const readTimeout = Duration.fromInputUnsafe(options.readTimeout ?? defaults.readTimeout)
  if (!(ttl > 0)) throw new RangeError(`ReplyCache.make: ttl must be above 0, got ${ttl} ms`)
  if (!(capacity >= 1)) throw new RangeError(`ReplyCache.make: capacity must be at least 1, got ${capacity}`)
  if (!(maxSize > 0)) throw new RangeError(`ReplyCache.make: maxSize must be above 0, got ${maxSize}`)

  const scope = yield* Scope.Scope
  const clock = yield* Clock.Clock
  const digests = yield* Layer.build(Digest.layerWebCrypto)
  // An answer that comes from the store late in its life does not begin a second one in memory.
  const left = (exit: Exit.Exit<CachedReply.CachedReply, unknown>): Duration.Duration =>
    Exit.isSuccess(exit)
      ? Duration.millis(Math.max(0, exit.value.storedAt + ttl - clock.currentTimeMillisUnsafe()))
      : Duration.zero
  const cache = yield* PersistedCache.make((_: Entry) => Effect.fail("missing" as const), {
    storeId,
    timeToLive: left,
    inMemoryCapacity: capacity,
    inMemoryTTL: left
  })
  // The same store again: what is stored here was not looked up.
  const store = yield* (yield* Persistence.Persistence).make({ storeId, timeToLive: () => ttl })
  const counts = { hits: 0, misses: 0, stored: 0, failures: 0 }
  let writes = 0

  const failed = (what: "read" | "write") => {
    counts.failures += 1
    // A store's errors name keys and may quote values.
    return Effect.logDebug(`the reply cache of ${self.id} could not ${what} its store`)
  }

  const keyOf = (request: LlmRequest.LlmRequest): Effect.Effect<Entry | undefined> =>
    Effect.map(Effect.provideContext(RequestKey.make(request, { scope: self.id, of: "answer" }), digests), (key) =>
      key === undefined ? undefined : new Entry({ digest: key.digest })
    )

  const read = (entry: Entry): Effect.Effect<CachedReply.CachedReply | undefined> =>
    Effect.matchCauseEffect(Effect.timeoutOption(cache.get(entry), readTimeout), {
      onSuccess: (found) => {
        if (Option.isNone(found)) return Effect.as(failed("read"), undefined)
        const age = clock.currentTimeMillisUnsafe() - found.value.storedAt
        return Effect.succeed(age < ttl ? found.value : undefined)
      },
      onFailure: (cause) =>
        cause.reasons.some((reason) => reason._tag === "Fail" && reason.error === "missing")
          ? Effect.succeed(undefined)
          : Effect.as(failed("read"), undefined)
    })

  /** Whether another reader of the same answer has stored it since. */
  const isStored = (entry: Entry, since: number): Effect.Effect<boolean> =>
    Effect.map(
      Effect.option(Cache.getOption(cache.inMemory, entry)),
      (found) => Option.isSome(found) && Option.isSome(found.value) && found.value.value.storedAt >= since
    )

  const write = Effect.fnUntraced(function* (
    entry: Entry,
    request: LlmRequest.LlmRequest,
    parts: ReadonlyArray<Part.Part>,
    since: number
  ) {
    if (yield* isStored(entry, since)) return
    const now = clock.currentTimeMillisUnsafe()
    const answered = request.recorder.snapshot(now).findLast(({ outcome }) => outcome === "completed")
    const encoded = CachedReply.encode(CachedReply.compact(parts, { keepsRaw: request.raw !== undefined }))
    if (Option.isNone(encoded)) return
    const reply: CachedReply.CachedReply = {
      instance: answered?.instance ?? self.id,
      model: answered?.model ?? self.id,
      echelon: answered?.echelon,
      storedAt: now,
      parts: encoded.value
    }
    yield* Cache.set(cache.inMemory, entry, reply)
    counts.stored += 1
    const done = yield* Effect.timeoutOption(store.set(entry, Exit.succeed(reply)), writeTimeout)
    if (Option.isNone(done)) yield* failed("write")
  })

  /** Stores an answer beside the request that got it. */
  const keep = (...args: Parameters<typeof write>): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (writes >= maxWrites) return Effect.void
      writes += 1
      const writing = Effect.catchCause(write(...args), () => failed("write"))
      return Effect.asVoid(
        Effect.forkIn(
          Effect.ensuring(
            writing,
            Effect.sync(() => {
              writes -= 1
            })
          ),
          scope
        )
      )
    })

  const miss = (entry: Entry, request: LlmRequest.LlmRequest): Answer => {
    const since = clock.currentTimeMillisUnsafe()
    return Effect.map(self.call(request), (reply) => {
      const gathering = CachedReply.gather(maxSize)
      const parts = Stream.mapArrayEffect(reply.parts, (batch) => {
        const whole = CachedReply.add(gathering, batch)
        return whole === undefined || reply.attempt.outcome()?._tag !== "Completed"
          ? Effect.succeed(batch)
          : Effect.as(keep(entry, request, whole, since), batch)
      })
      return { ...reply, parts }
    })
  }

  return {
    id: self.id,
    capabilities: self.capabilities,
    call: (request: LlmRequest.LlmRequest): Answer => {
      const how = mode?.(request) ?? "default"
      if (how === "bypass") return self.call(request)
      return Effect.flatMap(keyOf(request), (entry) => {
        if (entry === undefined) return self.call(request)
        if (how === "refresh") return miss(entry, request)
        return Effect.flatMap(read(entry), (found) => {
          const parts = found === undefined ? Option.none() : CachedReply.decode(found.parts)
          if (found !== undefined && Option.isSome(parts)) {
            counts.hits += 1
            return replay(found, parts.value, request)
          }
          counts.misses += 1
          return found === undefined
            ? miss(entry, request)
            : Effect.andThen(Cache.invalidate(cache.inMemory, entry), miss(entry, request))
        })
      })
    },
    snapshot: () => ({ ...counts, size: MutableHashMap.size(cache.inMemory.map) })
  }
})

type Answer = Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope>

/** A kept answer is given by an instance that has nothing to do but say it. */
const replay = (
  found: CachedReply.CachedReply,
  parts: ReadonlyArray<Part.Part>,
  request: LlmRequest.LlmRequest
): Answer => {
  let entry: Route.Open | undefined
  const begin: Route.Recorder["begin"] = (options) => {
    entry = request.recorder.begin(options)
    return entry
  }
  return Llm.make({
    id: found.instance,
    model: found.model,
    open: (_, attempt) =>
      Effect.sync(() => {
        attempt.onSettle((outcome) => {
          // Nothing was paid, whatever is known of the usage.
          if (outcome._tag === "Completed" && entry !== undefined) entry.cost = 0
        })
        return Effect.succeed(parts as readonly [Part.Part, ...Array<Part.Part>])
      })
  }).call({
    ...request,
    kind: "cache",
    echelon: found.echelon,
    budget: Budget.make(),
    recorder: { ...request.recorder, begin }
  })
}
