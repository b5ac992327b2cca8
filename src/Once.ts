/**
 * Events of clients that are handled once, however often they are sent: the option `once` of
 * `Event.make`.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"

import type { Handshake } from "./Handshake.ts"

/**
 * A socket, as far as it says whose messages it sends. A `ServerSocket` is one.
 *
 * An event does not know the contracts that declare it. Name the types of `auth` and `data` in the
 * type of the parameter: `owner: (socket: Once.OwnerSocket<{ user: string }>) => socket.auth.user`.
 *
 * @since 0.1.0
 * @category models
 */
export interface OwnerSocket<out Auth = unknown, out Data = Readonly<Record<string, unknown>>> {
  readonly id: string
  /** The name of the namespace. */
  readonly namespace: string
  readonly handshake: Handshake
  /** The auth payload, decoded by the contract. */
  readonly auth: Auth
  /** The socket's data, as far as they are set. */
  readonly data: Data
}

/**
 * The option `once` of an event of clients.
 *
 * **Details**
 *
 * A message has an id, which is the same in every attempt to send it. The first one to arrive runs
 * the handler. The same id again waits while the handler runs, also over another connection, and is
 * answered as the first one was after that. A success and a declared failure are kept. A defect, an
 * undeclared failure and an interruption are not: the next attempt runs the handler again.
 *
 * The handler is not interruptible: if its client leaves, which is when clients try again, it goes
 * on to its end, and its answer is kept. The socket's scope closes after that.
 *
 * The answers are in memory, unless a layer of `Idempotency` says otherwise.
 *
 * **Gotchas**
 *
 * - A handler that never ends holds its message for ever: give it an `Effect.timeout`. One that the
 *   end of its socket may cut says so with `Effect.interruptible`; it runs again then.
 * - If the process dies after the handler's effect and before its answer is kept, the next attempt
 *   runs the handler again. `CurrentMessageId` closes that gap: write it to a unique column, in the
 *   transaction of the effect.
 * - An event without an id is refused: its client gets the failure `EventRefused`, whose `data` is
 *   `{ id: "missing" }`.
 * - Only the handler of the builder's record runs once. `socket.on`, streams and packet middleware
 *   see every arrival.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<Payload = any> {
  /**
   * The id of a message, from its payload. Default: the attribute `id`, a member of an object that
   * the client sends after the arguments of the event: `socket.emit("order", order, { id })`.
   */
  key?(payload: Payload): string
  /**
   * How long an answer is kept, from the end of the handler on: longer than clients go on trying.
   * Default: 10 minutes. At most 24.8 days.
   */
  readonly window?: Duration.Input
  /**
   * The owner of the id: the same id of two owners is two messages. Ids have 1 to 256 characters
   * then, and the owner has, too. Default: all clients share the ids, which must be hard to guess
   * therefore, and have 16 to 256 characters.
   *
   * `services` are those of the handlers, such as the ones that middleware provides:
   * `owner: (_, services) => Context.getUnsafe(services, CurrentUser).id`. A defect is a defect of
   * the handler.
   */
  owner?(socket: OwnerSocket, services: Context.Context<never>): string
}

/**
 * The type of the options `once` as they are given, with no other keys; `unknown` without any.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Given<O> = O & { readonly [K in Exclude<keyof O, keyof Options>]: NoOption<K> }

/** Appears in an error message where `once` has an option that does not exist. */
interface NoOption<Name> {
  readonly "once has no option": Name
}

/**
 * The option `once` of an event, from what was given.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Of<O> = unknown extends O ? undefined : O extends Options ? O : Options
