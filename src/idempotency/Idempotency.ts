/**
 * The memory of a server for the messages that it has handled: events with `once` ask it before
 * their handlers run.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"

import { integer } from "../engine/OptionReaders.ts"
import { type InvalidOptionError, TaggedError } from "../SocketIoError.ts"
import { makeClaims } from "./internal/claims.ts"
import { Ledger } from "./internal/ledger.ts"

/**
 * A message of a client.
 *
 * - `owner`: whose id it is; `undefined` if the event declares no owner.
 * - `client`: the one whose share of the bounds it takes: the owner, or the connection.
 * - `window`: for how long its answer is kept, in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message {
  readonly namespace: string
  readonly event: string
  readonly owner: string | undefined
  readonly id: string
  readonly client: string
  readonly window: number
}

/**
 * The answer to a message that was handled before, or the right to handle it.
 *
 * An answer is a text that the server has made. The empty text stands for an answer that was too
 * large to be kept.
 *
 * @since 0.1.0
 * @category models
 */
export type Claim =
  | { readonly _tag: "Answered"; readonly answer: string }
  | {
      readonly _tag: "Claimed"
      /**
       * Keeps the answer, and ends the claim. Those who wait get the answer, even if it cannot be
       * kept.
       */
      readonly complete: (answer: string) => Effect.Effect<void, IdempotencyError>
    }

/**
 * The reasons why a message can be neither claimed nor answered.
 *
 * - `Unavailable`: the store does not answer.
 * - `Full`: as many messages are being handled as may be, of all clients or of this one.
 *
 * @since 0.1.0
 * @category models
 */
export type IdempotencyErrorReason = { readonly _tag: "Unavailable" } | { readonly _tag: "Full" }

/**
 * A message can be neither claimed nor answered. Its client gets the answer `EventRefused`.
 *
 * @since 0.1.0
 * @category errors
 */
export class IdempotencyError extends TaggedError("IdempotencyError")<{
  readonly reason: IdempotencyErrorReason
  readonly message: string
  readonly cause?: unknown
}> {}

/**
 * The service that servers ask.
 *
 * `claim` gives the answer of a message that was handled, waits while another one handles it, and
 * otherwise claims it until the scope closes. A claim that is not completed then is released.
 * Interruption ends the wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface IdempotencyShape {
  readonly claim: (message: Message) => Effect.Effect<Claim, IdempotencyError, Scope.Scope>
}

/**
 * The memory for messages that were handled. Default: in the server's memory, within the default
 * limits.
 *
 * **Details**
 *
 * Provide another one below the server's layer, or below that of a namespace.
 *
 * **Example** (Answers that several servers share)
 *
 * ```ts
 * const Main = NodeSocketIoServer.serve(ShopLive, { port: 3000 }).pipe(
 *   Layer.provide(RedisIdempotency.layer()),
 *   Layer.provide(RedisLive)
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Idempotency extends Context.Service<Idempotency, IdempotencyShape>()(
  "effect-socket.io/idempotency/Idempotency"
) {}

/**
 * The id of the message that a handler handles, if its event has `once`. Default: none.
 *
 * **Details**
 *
 * Between the effect of a handler and the record of its answer lies a gap, in which the process may
 * die; then the message is handled again. A handler that writes the id to a unique column, in the
 * transaction of its effect, closes the gap. If the event has an owner, the column is unique
 * together with the owner.
 *
 * **Example** (An order that exists once)
 *
 * ```ts
 * const order = Effect.fnUntraced(function*(order: Order) {
 *   const id = Option.getOrThrow(yield* Idempotency.CurrentMessageId)
 *   yield* sql`INSERT INTO orders (message, article) VALUES (${id}, ${order.article})
 *     ON CONFLICT (message) DO NOTHING`
 * })
 * ```
 *
 * @since 0.1.0
 * @category references
 */
export const CurrentMessageId: Context.Reference<Option.Option<string>> = Context.Reference<Option.Option<string>>(
  "effect-socket.io/idempotency/CurrentMessageId",
  { defaultValue: Option.none }
)

/**
 * The bounds of the answers that one server keeps, in its memory or elsewhere. Clients choose the
 * ids, so they decide how many there are.
 *
 * **Details**
 *
 * Answers whose window is over go first. Beyond its own bounds a client loses its oldest answers,
 * and beyond the bounds of all the oldest answers go, whosever they are. A message whose answer has
 * been dropped is handled again if it comes again. Messages that are being handled are never
 * dropped.
 *
 * A client is an owner (`once.owner`), or a connection. A client that invents ids displaces its own
 * answers, and those of others only with `maxEntries / maxEntriesPerClient` connections.
 *
 * @since 0.1.0
 * @category options
 */
export interface Limits {
  /**
   * The number of messages that are being handled at once; their handlers may outlive the
   * connections. The more there are, the fewer may be of one client, which is refused further ones
   * then: a client has 38 % of the places at the most; ten clients that take all that they get
   * leave 11 % to others, and a hundred leave 0.5 %. Default: 10,000.
   */
  readonly maxRunning?: number
  /** The number of answers. Default: 100,000. */
  readonly maxEntries?: number
  /** The bytes of all answers, with their keys and some 400 bytes for each. Default: 64 MiB. */
  readonly maxBytes?: number
  /** The number of answers for one client. Default: 1,000. */
  readonly maxEntriesPerClient?: number
  /** The bytes of the answers for one client. Default: 4 MiB. */
  readonly maxBytesPerClient?: number
}

/**
 * A place for answers, from which {@link make} makes the service. The key is a text that stands for
 * the namespace, the event, the owner and the id.
 *
 * @since 0.1.0
 * @category models
 */
export interface Store {
  /**
   * Looks for the answer of a message, and gives `undefined` if there is none. A store that several
   * processes share claims the message then, until the scope closes; it waits while another process
   * has claimed it, and only this wait may be interrupted. Within this process there is one claim
   * of a key at a time.
   */
  readonly claim: (key: string) => Effect.Effect<string | undefined, IdempotencyError, Scope.Scope>
  /** Keeps an answer for the window, in milliseconds, and ends the claim. */
  readonly complete: (key: string, answer: string, window: number) => Effect.Effect<void, IdempotencyError>
  /** Drops answers, because there are too many. */
  readonly remove: (keys: ReadonlyArray<string>) => Effect.Effect<void, IdempotencyError>
}

const MIB = 1_048_576

const resolve = (limits: Limits) =>
  Effect.all({
    maxRunning: integer("maxRunning", limits.maxRunning, 10_000, 1),
    maxEntries: integer("maxEntries", limits.maxEntries, 100_000, 1),
    maxBytes: integer("maxBytes", limits.maxBytes, 64 * MIB, 1_024),
    maxEntriesPerClient: integer("maxEntriesPerClient", limits.maxEntriesPerClient, 1_000, 1),
    maxBytesPerClient: integer("maxBytesPerClient", limits.maxBytesPerClient, 4 * MIB, 1_024)
  })

/**
 * Makes the service from a store. The limits bound what this server adds to it.
 *
 * **Details**
 *
 * The store gets the SHA-256 of each key, in 64 hexadecimal digits: neither ids nor owners can be
 * read from it. A server that starts anew does not count the answers that it has left in the store
 * before; the store drops them when their window is over.
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
): Effect.Effect<IdempotencyShape, InvalidOptionError, Scope.Scope> => makeWith(store, limits)

/**
 * Makes the service in memory: answers end with the process. See {@link Limits} for what is dropped
 * first.
 *
 * Fails with `InvalidOptionError` on an option that makes no sense. The service ends with its
 * scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory = (limits: Limits = {}): Effect.Effect<IdempotencyShape, InvalidOptionError, Scope.Scope> =>
  makeWith(undefined, limits)

const makeWith = Effect.fnUntraced(function* (
  store: Store | undefined,
  limits: Limits
): Effect.fn.Return<IdempotencyShape, InvalidOptionError, Scope.Scope> {
  const resolved = yield* resolve(limits)
  const clock = yield* Clock.Clock
  const ledger = new Ledger(resolved)
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  // Answers that are over would stay while no others come.
  yield* Effect.sleep("1 minute").pipe(
    Effect.andThen(Effect.sync(() => ledger.purge(now()))),
    Effect.forever,
    Effect.forkScoped
  )
  const full = new IdempotencyError({
    reason: { _tag: "Full" },
    message: `too many messages are being handled, of this client or of all (maxRunning: ${resolved.maxRunning})`
  })
  return { claim: makeClaims(store, ledger, { now, maxRunning: resolved.maxRunning, full }) }
})

/**
 * The service in memory, as a layer. See {@link makeMemory}.
 *
 * **Example** (More answers than the default)
 *
 * ```ts
 * const Main = NodeSocketIoServer.serve(ShopLive, { port: 3000 }).pipe(
 *   Layer.provide(Idempotency.layerMemory({ maxEntries: 1_000_000, maxBytes: 512 * 1_048_576 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory = (limits: Limits = {}): Layer.Layer<Idempotency, InvalidOptionError> =>
  Layer.effect(Idempotency, makeMemory(limits))
