/**
 * Streams that several servers share, in Redis: each of them can be read and stopped at any server,
 * and the values that a server has sent survive it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

import { millis as readMillis } from "../engine/OptionReaders.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import * as StreamLog from "../streams/StreamLog.ts"
import {
  type About,
  type Followed,
  type Piece,
  type Store,
  StreamLogError,
  type Wishes
} from "../streams/StreamStore.ts"
import { makeSender } from "./internal/sender.ts"
import * as Scripts from "./internal/streamScripts.ts"
import { RedisClient } from "./RedisClient.ts"
import type { Reply } from "./RedisCommand.ts"
import type { RedisError } from "./RedisError.ts"

/**
 * Options of streams in Redis. The limits bound what this server holds; Redis keeps the same of
 * each stream, for the same time.
 *
 * @since 0.1.0
 * @category options
 */
export interface RedisStreamLogOptions extends StreamLog.Limits {
  /**
   * The first part of all keys: those of a stream begin with `<key>-stream:{<id>}`. Default:
   * `socket.io`.
   */
  readonly key?: string
  /**
   * For how long the streams of a server that has died count as running. A living one says three
   * times in it that it lives. Default: 10 seconds. At least 1 second.
   */
  readonly lease?: Duration.Input
  /** For how long a command waits for a connection, and then for its reply. Default: 3 seconds. */
  readonly timeout?: Duration.Input
}

/** The pieces that are read at once. */
const COUNT = "64"

/**
 * The time after which a stream is looked at, whether or not Redis has told that it has changed.
 */
const LOOK = Duration.seconds(1)

/** Fewer pieces are dropped than values: a piece has no more than this many. */
const PIECE = 500

const ID = /^[\w-]{1,64}$/

const unavailable = (cause: RedisError) =>
  new StreamLogError({ reason: { _tag: "Unavailable" }, message: `Redis: ${cause.message}`, cause })

/** A stream of this server. */
interface Own extends Wishes {
  readonly claim: string | undefined
}

const makeStore = (
  redis: RedisClient["Service"],
  prefix: string,
  times: { readonly lease: number; readonly retain: number; readonly timeout: Duration.Input }
): Effect.Effect<Store, never, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const send = makeSender(redis, times.timeout, context)
    const lease = String(Math.ceil(times.lease))
    const retain = String(Math.ceil(times.retain + times.lease))
    const stops = `${prefix}-stream-stops`
    const own = new Map<string, Own>()

    const keysOf = (id: string) => {
      const name = `${prefix}-stream:{${id}}`
      return [name, `${name}:run`, `${name}:about`, `${name}:read`] as const
    }
    const claimOf = (about: About) =>
      about.key === undefined ? undefined : `${prefix}-stream-key:${Scripts.writeAbout(about)}`

    const run = (script: string, keys: ReadonlyArray<string>, ...args: ReadonlyArray<string>) =>
      Effect.mapError(
        send({ command: ["EVAL", script, String(keys.length), ...keys, ...args], key: keys[0] }),
        unavailable
      )
    const ask = (key: string, ...command: ReadonlyArray<string>): Effect.Effect<Reply, StreamLogError> =>
      Effect.mapError(send({ command, key }), unavailable)

    const runFork = Effect.runForkWith(context)
    const stopHere = (id: string) => own.get(id)?.onStop ?? Effect.void
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        redis.subscribe("channel", stops, {
          onMessage: (_, message) => void runFork(stopHere(new TextDecoder().decode(message)))
        })
      ),
      (subscription) => Effect.sync(() => subscription.unsubscribe())
    )

    const renew = (id: string, { claim, onRead, onStop }: Own) =>
      Effect.all([
        Effect.flatMap(run(Scripts.RENEW, keysOf(id), lease, retain), (told) =>
          Effect.andThen(Number(told) & 2 ? onRead : Effect.void, Number(told) & 1 ? onStop : Effect.void)
        ),
        // It may have ended, and released its key, meanwhile.
        Effect.suspend(() =>
          claim === undefined || !own.has(id) ? Effect.void : Effect.asVoid(run(Scripts.CLAIM, [claim], id, lease))
        )
      ]).pipe(Effect.catch((error) => Effect.logDebug("a stream of this server was not renewed", error)))
    // Each by itself: a part of Redis that does not answer, or a damaged key, concerns no other
    // stream.
    const renewals = yield* FiberMap.make<string>()
    const renewAll = Effect.suspend(() =>
      Effect.forEach(own, ([id, stream]) => FiberMap.run(renewals, id, renew(id, stream), { onlyIfMissing: true }), {
        discard: true
      })
    )
    yield* Effect.sleep(Duration.millis(times.lease / 3)).pipe(
      Effect.andThen(renewAll),
      Effect.forever,
      Effect.forkScoped
    )

    const release = (id: string, claim: string | undefined) =>
      claim === undefined ? Effect.void : Effect.ignore(run(Scripts.RELEASE, [claim], id))

    return {
      told: times.lease,
      begin: (id, about, wishes) =>
        Effect.gen(function* () {
          const claim = claimOf(about)
          // Before the claim: it may have been made though its reply was lost.
          yield* Effect.addFinalizer(() =>
            Effect.suspend(() => {
              own.delete(id)
              return release(id, claim)
            })
          )
          if (claim !== undefined) {
            const other = String(yield* run(Scripts.CLAIM, [claim], id, lease))
            if (other !== "") return other
          }
          own.set(id, { claim, ...wishes })
          const [, life, what] = keysOf(id)
          yield* Effect.all(
            [
              ask(life, "SET", life, "run", "PX", lease),
              ask(what, "SET", what, Scripts.writeAbout(about), "PX", retain)
            ],
            { concurrency: "unbounded" }
          )
          return undefined
        }),
      append: (id, piece) => {
        const keys = keysOf(id)
        const oldest = Scripts.pieceId(Math.max(0, piece.kept - PIECE))
        const isLast = piece.end !== undefined
        const appended = run(
          Scripts.APPEND,
          keys,
          Scripts.pieceId(piece.from),
          oldest,
          Scripts.writePiece(piece),
          retain,
          keys[0],
          isLast ? "1" : "0"
        )
        return isLast
          ? Effect.andThen(
              appended,
              Effect.suspend(() => release(id, own.get(id)?.claim))
            )
          : Effect.asVoid(appended)
      },
      find: (about) => {
        const claim = claimOf(about)
        return claim === undefined
          ? Effect.undefined
          : Effect.map(ask(claim, "GET", claim), (id) => (id === null ? undefined : String(id)))
      },
      stop: (id) => Effect.asVoid(run(Scripts.STOP, keysOf(id), lease, stops, id)),
      follow: (id) =>
        Effect.suspend(() => {
          if (!ID.test(id)) return Effect.undefined
          const keys = keysOf(id)
          return Effect.flatMap(ask(keys[2], "GET", keys[2]), (text) => {
            const about = text === null ? undefined : Scripts.readAbout(String(text))
            return about === undefined ? Effect.undefined : following(redis, ask, keys, about, times.lease)
          })
        })
    }
  })

/** Follows a stream of another server, until the scope closes. */
const following = (
  redis: RedisClient["Service"],
  ask: (key: string, ...command: ReadonlyArray<string>) => Effect.Effect<Reply, StreamLogError>,
  [name, life, , read]: readonly [string, string, string, string],
  about: About,
  lease: number
): Effect.Effect<Followed, never, Scope.Scope> =>
  Effect.gen(function* () {
    const news = Latch.makeUnsafe(false)
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        redis.subscribe("channel", name, {
          onMessage: () => void news.openUnsafe(),
          onConfirmed: () => void news.openUnsafe()
        })
      ),
      (subscription) => Effect.sync(() => subscription.unsubscribe())
    )
    let last = "("
    let next = 0
    /** The pieces after the last one. */
    const look = Effect.suspend(() => {
      news.closeUnsafe()
      return Effect.map(ask(name, "XRANGE", name, last === "(" ? "-" : last, "+", "COUNT", COUNT), (reply) => {
        const found = Scripts.readPieces(reply)
        for (const [id, { from, values }] of found) {
          last = `(${id}`
          next = from + values.length
        }
        return found.map(([, piece]) => piece)
      })
    })
    const pieces: Effect.Effect<ReadonlyArray<Piece>, StreamLogError> = Effect.gen(function* () {
      const found = yield* look
      if (found.length > 0) return found
      if ((yield* ask(life, "EXISTS", life)) !== 0) return []
      // Its end may have come between the two looks.
      const ended = yield* look
      return ended.length > 0 ? ended : [{ from: next, values: [], kept: 0, end: { _tag: "Lost" } }]
    })
    const clock = yield* Clock.Clock
    let saidAt = -Infinity
    const reading = Effect.suspend(() => {
      const now = clock.currentTimeMillisUnsafe()
      if (now - saidAt < lease / 3) return Effect.void
      saidAt = now
      return Effect.asVoid(ask(read, "SET", read, "1", "PX", String(Math.ceil(lease))))
    })
    return { about, pieces, reading, changed: Effect.asVoid(Effect.timeoutOption(news.await, LOOK)) }
  })

/**
 * Makes the service in Redis.
 *
 * **Details**
 *
 * A server runs its streams itself, and copies their values to Redis (`XADD`). Any other server
 * reads them from there while somebody reads them at it. It is told of new values by a message
 * (`PUBLISH`), and looks every second, too. Pieces of up to 500 values, and of 256 KiB beyond the
 * first value, leave one after the other.
 *
 * A stream whose readers are at other servers is not idle. So no stream is stopped for want of
 * readers before a lease is over.
 *
 * If a server dies, the values that it has copied can be read at the others. The stream ends with
 * `Lost`, at most a lease after that. A server that is closed ends its streams with `Lost` itself,
 * and waits up to 2 seconds until Redis has them.
 *
 * While Redis does not answer, streams of this server are read on at this server, and no new ones
 * are started: clients are refused with `retryAfter`.
 *
 * Fails with `InvalidOptionError` on an option that makes no sense. The service ends with its
 * scope.
 *
 * **Gotchas**
 *
 * A server that is cut from Redis for longer than the lease counts as dead elsewhere: its streams
 * have ended with `Lost` there, and a stream with the same key may be started, while it runs them
 * on. The same holds if Redis loses keys.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: RedisStreamLogOptions = {}
): Effect.Effect<StreamLog.StreamLogShape, InvalidOptionError, RedisClient | Scope.Scope> =>
  Effect.gen(function* () {
    const { key = "socket.io", lease: given, timeout = "3 seconds", ...limits } = options
    const lease = yield* readMillis("lease", given, 10_000, 1_000)
    const retain = yield* readMillis("retain", limits.retain, 600_000, 0)
    const store = yield* makeStore(yield* RedisClient, key, { lease, retain, timeout })
    return yield* StreamLog.make(store, limits)
  })

/**
 * The service in Redis, as a layer. See {@link make}.
 *
 * **Example** (Several servers)
 *
 * ```ts
 * const Main = NodeSocketIoServer.serve(ChatLive, { port: 3000 }).pipe(
 *   Layer.provide([RedisAdapter.layer(), RedisStreamLog.layer()]),
 *   Layer.provide(RedisLive)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: RedisStreamLogOptions
): Layer.Layer<StreamLog.StreamLog, InvalidOptionError, RedisClient> => Layer.effect(StreamLog.StreamLog, make(options))
