/**
 * Events that reach the server at least once: each is sent again until the server has acknowledged
 * it.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

import { integer, millis, refuse } from "../engine/OptionReaders.ts"
import { makeGenerator } from "../engine/SessionId.ts"
import type * as Event from "../Event.ts"
import type * as Namespace from "../Namespace.ts"
import { type AckError, type InvalidOptionError, TaggedError } from "../SocketIoError.ts"
import type { ClientEmitter, ClientSocket } from "./ClientSocket.ts"
import { makeDurable } from "./internal/durable.ts"
import { identified, makeRetries, makeTurns, type RetriedSocket } from "./internal/retries.ts"

/**
 * @since 0.1.0
 * @category options
 */
export interface RetryOptions {
  /**
   * How often an event is sent again: a number, at once and in all `retries + 1` times, or a
   * schedule, which gets the failure as its input, is run anew for every event, and pauses in
   * between. A lost connection takes one try, as an acknowledgement that does not come.
   */
  readonly retries: number | Schedule.Schedule<unknown, AckError>
  /**
   * How long an acknowledgement is waited for, from the sending on. While the socket is not
   * connected, no time passes.
   */
  readonly ackTimeout: Duration.Input
}

/**
 * Options of an emitter whose events survive the process.
 *
 * @since 0.1.0
 * @category options
 */
export interface OutboxOptions extends RetryOptions {
  /**
   * Where the events are until they are acknowledged:
   * `KeyValueStore.layerStorage(() => localStorage)` in a page, a database or a folder in Node. One
   * emitter at a time uses an outbox.
   */
  readonly outbox: KeyValueStore.KeyValueStore
  /** The name of the outbox within the store. Use one for each user. Default: the namespace. */
  readonly name?: string
  /** The number of events that may be in the outbox. Default: 1,000. */
  readonly maxEvents?: number
  /** The characters of the events that may be in the outbox, as JSON. Default: 1,048,576. */
  readonly maxBytes?: number
  /**
   * Is told the end of each event of an earlier process. Default: those that fail are logged at
   * level Warn.
   */
  readonly onRestored?: (restored: RestoredEvent) => Effect.Effect<void>
}

/**
 * An event of an earlier process that was acknowledged, or has failed. The payload of an untyped
 * event is the list of its arguments.
 *
 * @since 0.1.0
 * @category models
 */
export interface RestoredEvent {
  readonly event: string
  readonly payload: unknown
  readonly exit: Exit.Exit<unknown, unknown>
}

/**
 * The reasons why an event does not get into the outbox.
 *
 * - `Full`: as many events, or characters, are in it as may be.
 * - `Unstorable`: the payload is no JSON and no bytes, such as a `Blob`.
 * - `StoreFailed`: the store does not work; `cause` says why. `make` fails with it, too, if the
 *   outbox cannot be read.
 *
 * @since 0.1.0
 * @category models
 */
export type OutboxErrorReason =
  | { readonly _tag: "Full" }
  | { readonly _tag: "Unstorable" }
  | { readonly _tag: "StoreFailed" }

/**
 * An event does not get into the outbox, or the outbox cannot be read.
 *
 * **Details**
 *
 * `reason` is a tagged value: `Effect.catchReason("OutboxError", "Full", …)` handles one of them.
 *
 * @since 0.1.0
 * @category errors
 */
export class OutboxError extends TaggedError("OutboxError")<{
  readonly reason: OutboxErrorReason
  readonly message: string
  readonly cause?: unknown
}> {}

/**
 * Sends a contract's events at least once, one after the other in the order in which the effects
 * are started: the next one is sent when the one before it was acknowledged, or given up. The
 * server may see an event more than once, whenever an acknowledgement is late or lost: let its
 * handlers be idempotent, or declare the event with `once`. Then every event gets an id, which is
 * the same in every try, and the server handles it once.
 *
 * Both effects wait for the acknowledgement. They fail with {@link AckError} when the retries are
 * used up (the reason is that of the last one: `Timeout`, `Disconnected`, or `EventRefused`), and
 * when the socket's scope closes; an answer that is a failure fails them at once, as does a payload
 * that its schema refuses (`PayloadRefused`). A refusal that names a time (`retryAfter`), as that
 * of a rate limit, takes one try, and the next one comes after that time, up to one minute.
 * Interruption takes the event out of the queue; it may have reached the server.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryingEmitter<N extends Namespace.Any> extends Pick<ClientEmitter<N>, "emitWithAck"> {
  /** Sends an event, and waits until the server has acknowledged it, with whatever. */
  emit<const Name extends Event.Name<Namespace.ClientEvents<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ClientEvents<N>, Name>>
  ): Effect.Effect<void, AckError | Event.Error<Event.WithName<Namespace.ClientEvents<N>, Name>>>
}

/** The value of an acknowledgement, if the event declares one. */
type AckOf<E extends Event.Any> = [Event.Ack<E>] extends [never] ? void : Event.Ack<E>

/**
 * The same as {@link RetryingEmitter} over an outbox: an event is in the store before it is sent,
 * and until it is acknowledged or given up. Those that an earlier process has left are sent first,
 * in their order and with their ids.
 *
 * All effects fail with {@link OutboxError} if the event does not get into the outbox. Interruption
 * of one that waits does not take the event out: it is sent all the same, now or by the next
 * process. When the scope of the emitter or that of the socket closes, those who wait fail with
 * {@link AckError} (`Disconnected`), and the events stay in the outbox.
 *
 * @since 0.1.0
 * @category models
 */
export interface DurableEmitter<N extends Namespace.Any> {
  /** Sends an event, and waits until the server has acknowledged it, with whatever. */
  emit<const Name extends Event.Name<Namespace.ClientEvents<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ClientEvents<N>, Name>>
  ): Effect.Effect<void, AckError | OutboxError | Event.Error<Event.WithName<Namespace.ClientEvents<N>, Name>>>
  /** Sends an event, and waits for its acknowledgement. */
  emitWithAck<const Name extends Event.Name<Event.WithAck<Namespace.ClientEvents<N>>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ClientEvents<N>, Name>>
  ): Effect.Effect<
    Event.Ack<Event.WithName<Namespace.ClientEvents<N>, Name>>,
    AckError | OutboxError | Event.Error<Event.WithName<Namespace.ClientEvents<N>, Name>>
  >
  /**
   * Puts an event into the outbox: when it is done, the event survives the process. It yields the
   * wait for the acknowledgement, which may be left out.
   */
  offer<const Name extends Event.Name<Namespace.ClientEvents<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ClientEvents<N>, Name>>
  ): Effect.Effect<
    Effect.Effect<
      AckOf<Event.WithName<Namespace.ClientEvents<N>, Name>>,
      AckError | Event.Error<Event.WithName<Namespace.ClientEvents<N>, Name>>
    >,
    AckError | OutboxError
  >
  /** The number of events in the outbox. */
  readonly size: Effect.Effect<number>
}

/**
 * Makes a queue of events over a socket, which are sent until they are acknowledged. Events that
 * are emitted on the socket itself do not wait for it. Every event needs an acknowledgement of the
 * server's: from our servers each gets one, from others those whose handler calls back.
 *
 * With an `outbox` the queue survives the process: a page that is loaded again, or a client that
 * has crashed, goes on where it was. The events are sent until the scope closes.
 *
 * Fails with {@link InvalidOptionError} on an option that makes no sense, and with
 * {@link OutboxError} if the outbox cannot be read.
 *
 * **Gotchas**
 *
 * The server knows an id for the `window` of its event (10 minutes by default). An event that was
 * handled, whose acknowledgement was lost, and that is sent again later than that is handled again.
 *
 * **Example** (Orders that are not lost, and not made twice)
 *
 * ```ts
 * const orders = yield* RetryingEmitter.make(shop, {
 *   retries: Infinity,
 *   ackTimeout: "5 seconds",
 *   outbox: yield* KeyValueStore.KeyValueStore
 * })
 * yield* orders.emit("order", { article: "book" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  /** Makes a queue of events that are sent until they are acknowledged, and survive the process. */
  <N extends Namespace.Any>(
    socket: ClientSocket<N>,
    options: OutboxOptions
  ): Effect.Effect<DurableEmitter<N>, InvalidOptionError | OutboxError, Scope.Scope>
  /** Makes a queue of events that are sent until they are acknowledged. */
  <N extends Namespace.Any>(
    socket: ClientSocket<N>,
    options: RetryOptions
  ): Effect.Effect<RetryingEmitter<N>, InvalidOptionError>
  // The declared type relates the options to the emitter.
} = Effect.fnUntraced(function* (
  socket: any,
  options: RetryOptions & Partial<OutboxOptions>
): Effect.fn.Return<any, InvalidOptionError | OutboxError, Scope.Scope> {
  const { ackTimeout, name, onRestored, outbox, retries } = options
  if (typeof retries === "number" && !(retries === Infinity || (Number.isSafeInteger(retries) && retries >= 0))) {
    return yield* refuse("retries", `must be a whole number, Infinity or a schedule, not ${retries}`)
  }
  const timeout = yield* millis("ackTimeout", ackTimeout, Number.NaN, 1)
  const schedule = typeof retries === "number" ? Schedule.recurs(retries) : retries
  const sender = makeRetries(socket as RetriedSocket, timeout, schedule)
  const newId = makeGenerator(yield* Effect.context<never>())
  const identify = (event: string, args: ReadonlyArray<unknown>) => identified(socket, newId, event, args)
  if (outbox === undefined) {
    const inTurn = makeTurns()
    const emitWithAck = (event: string, ...args: ReadonlyArray<unknown>) =>
      inTurn(Effect.flatMap(identify(event, args), (args) => sender.send(event, args)))
    return { emitWithAck, emit: (...event: [string, ...Array<unknown>]) => Effect.asVoid(emitWithAck(...event)) }
  }
  const durable = yield* makeDurable(socket, sender, {
    store: outbox,
    name: name ?? socket.namespace,
    maxEvents: yield* integer("maxEvents", options.maxEvents, 1_000, 1),
    maxBytes: yield* integer("maxBytes", options.maxBytes, 1_048_576, 1),
    onRestored,
    newId,
    identify,
    fail: (reason, message, cause) => new OutboxError({ reason: { _tag: reason }, message, cause })
  })
  // The overloads of the declaration type both forms.
  return {
    ...durable,
    emit: (...event: [string, ...Array<unknown>]) => Effect.asVoid(Effect.flatten(durable.offer(...event))),
    emitWithAck: (...event: [string, ...Array<unknown>]) => Effect.flatten(durable.offer(...event))
  }
}) as any
