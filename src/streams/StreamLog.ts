/**
 * The memory of a server for the values of its streams: a `StreamEvent` is read from it, from any
 * position, also after its connection was lost.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

import { integer, millis } from "../engine/OptionReaders.ts"
import { makeGenerator } from "../engine/SessionId.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { Ledger } from "./internal/ledger.ts"
import { ledgerMetrics } from "./internal/metrics.ts"
import { makeStreams } from "./internal/streams.ts"
import { type About, type EncodedEnd, type Store, StreamLogError } from "./StreamStore.ts"

/**
 * A stream to start.
 *
 * - `client`: the one whose share of the bounds it takes: the owner, or the connection.
 * - `idle`: the time without a reader after which it is stopped, in milliseconds.
 * - `held`: the memory that it takes while it runs, beside its values, in bytes: the payload that
 *   its client has sent. It counts for `maxBytesPerClient` and `maxTotalBytes`. Default: 0.
 *
 * @since 0.1.0
 * @category models
 */
export interface NewStream {
  readonly about: About
  readonly client: string
  readonly idle: number
  readonly held?: number
}

/**
 * A reader of a log.
 *
 * @since 0.1.0
 * @category models
 */
export interface Watcher {
  /** Called within the turn in which values, or the end, come. It must not throw. */
  onChange(): void
}

/**
 * A log, as its readers use it. Positions count the values of the stream.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReadableLog {
  readonly id: string
  readonly about: About
  /** The first position that is kept. */
  readonly start: number
  /** The number of values that have come. */
  readonly length: number
  /** The end, once the stream has ended. */
  readonly end: EncodedEnd | undefined
  /** The number of readers. */
  readonly readers: number
  /**
   * At most `maxItems` values from a position on, encoded, and no more than `maxBytes` beyond the
   * first.
   */
  slice(from: number, maxItems: number, maxBytes: number): ReadonlyArray<unknown>
  /** Adds a reader. Returns the function that removes it. */
  watch(watcher: Watcher): () => void
  /**
   * Values were sent to a reader up to a position, and are known to have come up to another one.
   */
  reached(sent: number, received: number): void
}

/**
 * The log of a stream that runs here.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunningLog {
  readonly id: string
  /**
   * Adds values, encoded. It waits while the log is full of values that nobody has read, up to 10
   * seconds from the last progress of a reader. After that the oldest values are dropped. Values
   * after the end are ignored.
   */
  append(values: ReadonlyArray<unknown>): Effect.Effect<void>
  /** Ends the stream. Only the first end counts. */
  finish(end: EncodedEnd): void
  /**
   * Sets the function that interrupts the work. It is called at once if the stream has ended
   * already.
   */
  onInterrupt(interrupt: () => void): void
}

/**
 * A stream that was started, or one that runs already with the same key.
 *
 * @since 0.1.0
 * @category models
 */
export type Begun =
  | { readonly _tag: "Began"; readonly log: RunningLog }
  | { readonly _tag: "Found"; readonly id: string }

/**
 * The service that servers use.
 *
 * - `begin`: makes a log, unless a stream with the same key runs.
 * - `open`: gives the log of an id, or `undefined` if there is none, or no longer.
 * - `find`: gives the id of the stream of a key that runs.
 * - `stop`: ends a stream, wherever it runs, and interrupts its work.
 * - `maxReaders`, `maxReadersPerConnection`: see {@link Limits}.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamLogShape {
  readonly begin: (stream: NewStream) => Effect.Effect<Begun, StreamLogError>
  readonly open: (id: string) => Effect.Effect<ReadableLog | undefined, StreamLogError>
  readonly find: (about: About) => Effect.Effect<string | undefined, StreamLogError>
  readonly stop: (id: string) => Effect.Effect<void, StreamLogError>
  readonly maxReaders: number
  readonly maxReadersPerConnection: number
}

/**
 * The memory for streams. Default: in the server's memory, within the default limits.
 *
 * **Details**
 *
 * Provide another one below the server's layer, or below that of a namespace.
 *
 * **Example** (Streams that are kept for an hour)
 *
 * ```ts
 * const Main = NodeSocketIoServer.serve(ChatLive, { port: 3000 }).pipe(
 *   Layer.provide(StreamLog.layerMemory({ retain: "1 hour", maxTotalBytes: 512 * 1_048_576 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class StreamLog extends Context.Service<StreamLog, StreamLogShape>()("effect-socket.io/streams/StreamLog") {}

/**
 * The bounds of the streams of one server.
 *
 * **Details**
 *
 * Bytes are estimates of memory. Streams that have ended are dropped before their time if there are
 * too many: beyond its own bounds a client loses its oldest ones, and beyond the bounds of all the
 * oldest ones go, whosever they are. A stream that runs is never dropped. It loses its oldest
 * values instead. In both cases its readers are told. The payloads of streams that run cannot be
 * dropped: a stream is refused if they alone would be more than `maxBytesPerClient`, or
 * `maxTotalBytes`.
 *
 * A client is an owner (`owner` of the event), or a connection.
 *
 * @since 0.1.0
 * @category options
 */
export interface Limits {
  /** How long a stream can be read after its end. Default: 10 minutes. */
  readonly retain?: Duration.Input
  /** The number of values that are kept of one stream. Default: 10,000. */
  readonly maxItems?: number
  /**
   * The bytes of the values that are kept of one stream; one value is kept, whatever its size.
   * Default: 4 MiB.
   */
  readonly maxBytes?: number
  /** The number of streams that are kept. Default: 10,000. */
  readonly maxStreams?: number
  /** The bytes of all streams. Default: 64 MiB. */
  readonly maxTotalBytes?: number
  /** The number of streams that run at once. Default: 1,000. */
  readonly maxRunning?: number
  /** The number of streams that are kept for one client. Default: 64. */
  readonly maxStreamsPerClient?: number
  /** The bytes of the streams of one client. Default: 16 MiB. */
  readonly maxBytesPerClient?: number
  /** The number of streams of one client that run at once. Default: 16. */
  readonly maxRunningPerClient?: number
  /** The number of readers of one stream. Default: 1,000. */
  readonly maxReaders?: number
  /** The number of streams that one connection reads at once. Default: 100. */
  readonly maxReadersPerConnection?: number
}

const MIB = 1_048_576

/**
 * Fills in the defaults. Fails on a limit that makes no sense.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resolve = (limits: Limits) =>
  Effect.all({
    retain: millis("retain", limits.retain, 600_000, 0),
    maxItems: integer("maxItems", limits.maxItems, 10_000, 1),
    maxBytes: integer("maxBytes", limits.maxBytes, 4 * MIB, 1_024),
    maxStreams: integer("maxStreams", limits.maxStreams, 10_000, 1),
    maxTotalBytes: integer("maxTotalBytes", limits.maxTotalBytes, 64 * MIB, 1_024),
    maxRunning: integer("maxRunning", limits.maxRunning, 1_000, 1),
    maxStreamsPerClient: integer("maxStreamsPerClient", limits.maxStreamsPerClient, 64, 1),
    maxBytesPerClient: integer("maxBytesPerClient", limits.maxBytesPerClient, 16 * MIB, 1_024),
    maxRunningPerClient: integer("maxRunningPerClient", limits.maxRunningPerClient, 16, 1),
    maxReaders: integer("maxReaders", limits.maxReaders, 1_000, 1),
    maxReadersPerConnection: integer("maxReadersPerConnection", limits.maxReadersPerConnection, 100, 1)
  })

/**
 * Makes the service over a store that several servers share. The limits bound what this server
 * holds.
 *
 * **Details**
 *
 * A server keeps its own streams in memory, too, and copies them to the store: its own readers do
 * not wait for it. Streams of other servers are read from the store while somebody reads them.
 *
 * Fails with `InvalidOptionError` on an option that makes no sense. The service ends with its
 * scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  store: Store,
  limits: Limits = {}
): Effect.Effect<StreamLogShape, InvalidOptionError, Scope.Scope> => makeWith(store, limits)

/**
 * Makes the service in memory: streams end with the process.
 *
 * Fails with `InvalidOptionError` on an option that makes no sense. The service ends with its
 * scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory = (limits: Limits = {}): Effect.Effect<StreamLogShape, InvalidOptionError, Scope.Scope> =>
  makeWith(undefined, limits)

/** Clients may be refused as often as they ask: an error with its stack is made once. */
const refusals = new Map<string, StreamLogError>()

const fullOf = (bound: string): StreamLogError => {
  let error = refusals.get(bound)
  if (error === undefined) {
    error = new StreamLogError({ reason: { _tag: "Full", bound }, message: `as many streams run as may (${bound})` })
    refusals.set(bound, error)
  }
  return error
}

const makeWith = Effect.fnUntraced(function* (
  store: Store | undefined,
  limits: Limits
): Effect.fn.Return<StreamLogShape, InvalidOptionError, Scope.Scope> {
  const { maxReaders, maxReadersPerConnection, ...resolved } = yield* resolve(limits)
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const { listener, measure, onRefused } = ledgerMetrics(context)
  const ledger = new Ledger(resolved, now, listener)
  const streams = yield* makeStreams(ledger, store, {
    newId: makeGenerator(context),
    full: (bound) => {
      onRefused(bound)
      return fullOf(bound)
    }
  })
  yield* Effect.sleep("1 second").pipe(
    Effect.andThen(
      Effect.sync(() => {
        for (const idle of ledger.sweep()) streams.end(idle, { _tag: "Idle" })
        measure(ledger)
      })
    ),
    Effect.forever,
    Effect.forkScoped
  )
  yield* Effect.addFinalizer(() => Effect.sync(() => measure(ledger, true)))
  const { begin, find, open, stop } = streams
  return { begin, find, open, stop, maxReaders, maxReadersPerConnection }
})

/**
 * The service in memory, as a layer. See {@link makeMemory}.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory = (limits: Limits = {}): Layer.Layer<StreamLog, InvalidOptionError> =>
  Layer.effect(StreamLog, makeMemory(limits))
