/**
 * A session of Engine.IO: one client, over any transport (Engine.IO protocol 4).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"

import type { SessionCloseReason } from "../DisconnectReason.ts"
import type { Overflow, OverflowError, StreamOptions } from "../StreamOptions.ts"
import type { ResolvedEngineOptions } from "./EngineOptions.ts"
import type { ConnectionDetails, EngineRevision, HttpExchange } from "./EngineRequest.ts"
import { transportsOf } from "./internal/session/transportChanges.ts"
import { OutboundMessage } from "./OutboundMessage.ts"
import type { TimerWheel } from "./TimerWheel.ts"

/**
 * The end of a session: its reason and details.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionClose {
  readonly reason: SessionCloseReason
  /** More detail than the reason, where it is known. For logs. */
  readonly description: string | undefined
}

/**
 * The receiver of a session's messages. It is called synchronously, in the order of arrival, to
 * keep the message path fast. It should not throw: an error that it throws is logged, and ends its
 * session with reason `internal error`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionHandler {
  /**
   * The session is open, and sends its messages to this handler from now on. Called once, and
   * first.
   */
  onOpen(): void
  /** A text message: the whole packet with its leading `4`, so that it need not be copied. */
  onMessage(packet: string): void
  onBinary(bytes: Uint8Array): void
  /** A ping was sent, after everything that was sent before. */
  onPing?(): void
  /** A pong has come: the client has read everything that was sent before its ping. */
  onPong?(): void
  /** The session has ended. Called once, and last. */
  onClose(close: SessionClose): void
  /**
   * A drain is about to close the session. It does so when `leave` is called, or after `within`
   * milliseconds. Nothing can be sent after that, but messages of the client may still come.
   * Default: the session is closed at once.
   */
  onLeaving?(within: number, leave: () => void): void
  /**
   * A drain has closed the session, and no more messages can come. The session ends when `end` is
   * called, or after a while (see {@link inFlight}). Default: it ends at once.
   */
  onLeft?(end: () => void): void
  /** The number of messages that are being handled, for the report of a drain. Default: 0. */
  readonly inFlight?: number
}

/**
 * The reasons why a client is not read: its handlers are too slow, it sends too fast, it has too
 * many namespaces opened, or readers of its messages are too slow.
 *
 * @since 0.1.0
 * @category models
 */
export type PauseReason = "backlog" | "rate" | "openings" | "streams"

/**
 * The server's end of a session.
 *
 * **Details**
 *
 * Its `…Unsafe` methods are synchronous, for the message path; the others are effects and streams.
 * It lives until the client or the server closes it, or the server's scope closes. The server makes
 * it.
 *
 * **Gotchas**
 *
 * Sends to a session that is not open do nothing: `closed` yields the reason of the end.
 *
 * **Example** (Echo)
 *
 * ```ts
 * const echo = (session: EngineSession.EngineSession) => Stream.run(session.messages(), session.sink)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export abstract class EngineSession extends Inspectable.Class {
  abstract readonly id: string
  /** The revision of Engine.IO that the client speaks. */
  abstract readonly revision: EngineRevision
  abstract readonly details: ConnectionDetails
  /** Whether the client reads bytes only as base64. */
  abstract readonly base64: boolean
  /** The options of its server. */
  abstract readonly options: ResolvedEngineOptions
  /** The timer of its server. */
  abstract readonly wheel: TimerWheel
  /** The name of the current transport. */
  abstract readonly transport: string
  /** Whether its transport takes further requests of the client, such as polls. */
  abstract readonly isPolling: boolean
  /** Whether the session is open. */
  abstract readonly isOpen: boolean
  /** Whether messages of the client are handled: a drain lets them in until the client has left. */
  abstract readonly isAlive: boolean
  /** Whether a message that is sent now leaves at once, rather than waiting for a slow client. */
  abstract readonly writable: boolean
  /** The bytes that wait for the client to read them, with the memory that holds them. */
  abstract readonly buffered: number
  /**
   * The scope of the session. It closes when the session has ended and its transports have released
   * everything. Made at the first call.
   */
  abstract readonly scope: Scope.Scope
  /** Whether the client is read. @internal */
  abstract readonly isReading: boolean
  /** @internal */
  abstract handler: SessionHandler

  override toJSON(): unknown {
    const { id, isOpen, revision, transport } = this
    return { _id: "EngineSession", id, transport, revision, isOpen }
  }

  /**
   * Calls back with the name of each transport that the session changes to, within the turn of the
   * change, and with `undefined` when the session ends. Returns the function that stops it.
   */
  abstract watchTransport(onChange: (name: string | undefined) => void): () => void

  /**
   * Streams the name of the current transport, and then of each one that the session changes to.
   * The stream ends with the session.
   */
  get transportChanges(): Stream.Stream<string> {
    return transportsOf(this)
  }

  // ---------------------------------------------------------------- sending

  /**
   * Sends a message. It does nothing if the session is not open. `onDropped` is called, in another
   * turn, if the message is dropped because the client is slow (see `outboxOverflow`).
   */
  abstract sendUnsafe(message: OutboundMessage, onDropped?: () => void): void

  /**
   * Sends a message, text or bytes. It never fails, and does nothing if the session is not open.
   * With the policy `suspend` it waits until there is capacity; if it is interrupted meanwhile, it
   * sends nothing.
   */
  send(data: string | Uint8Array): Effect.Effect<void> {
    const send = () => {
      if (typeof data === "string") this.sendUnsafe(new OutboundMessage("4" + data, undefined, false))
      else this.sendUnsafe(new OutboundMessage(undefined, [data], false))
    }
    if (this.options.outboxOverflow !== "suspend") return Effect.sync(send)
    return Effect.callback<void>((resume) => {
      const cancel = this.onCapacity(() => {
        send()
        resume(Effect.void)
      })
      return cancel && Effect.sync(cancel)
    })
  }

  /**
   * A sink that sends every message as {@link send} does. It ends when the session has ended, with
   * the next message at the latest.
   */
  get sink(): Sink.Sink<void, string | Uint8Array> {
    return Sink.forEachWhile((data: string | Uint8Array) => Effect.map(this.send(data), () => this.isOpen))
  }

  /**
   * Whether a message may be sent without waiting. This is always so unless the policy is
   * `suspend`.
   */
  abstract readonly hasCapacity: boolean

  /**
   * Runs an action now, or when there is capacity again, after actions that already wait. It runs
   * at the session's end at the latest. Returns the function that cancels it, if it has to wait.
   */
  abstract onCapacity(action: () => void): (() => void) | undefined

  // ---------------------------------------------------------------- reading

  /**
   * Stops reading from the client, until {@link resumeUnsafe} for the same reason: its messages
   * wait on its side. The client is not treated as dead meanwhile, as its pongs are not read. Pings
   * are still sent, so that a broken connection is noticed. Its close may be noticed only when
   * reading resumes. Default for the reason: `backlog`.
   */
  abstract pauseUnsafe(by?: PauseReason): void

  /** Resumes reading, unless there is another reason not to. Default for the reason: `backlog`. */
  abstract resumeUnsafe(by?: PauseReason): void

  /**
   * Streams the messages that come in from now on, text and bytes, beside the session's handler.
   * The stream ends with the session, after the waiting messages.
   *
   * **Details**
   *
   * With `overflow: "fail"`, the default, a reader for which more than `capacity` messages wait
   * (default 10,000) gets a `StreamOverflow`; the session stays open. The same holds for more than
   * 16 MiB of messages, whatever the policy; one that is larger waits alone. With `suspend`, the
   * client is not read while that many wait; see {@link pauseUnsafe} for the consequences.
   *
   * **Gotchas**
   *
   * The stream misses messages that came before it runs, except for the first stream of a session
   * from `EngineServer.run` or `EngineServer.sessions`.
   *
   * With `suspend`, a connection that closes while it is not read loses its unread messages.
   */
  abstract messages<O extends Overflow = "fail">(
    options?: StreamOptions<O>
  ): Stream.Stream<string | Uint8Array, OverflowError<O>>

  /**
   * Handles another request with this session's id. Returns false if its transport does not take
   * any.
   */
  abstract onRequest(exchange: HttpExchange): boolean

  // ---------------------------------------------------------------- closing

  /**
   * Closes the session: waiting messages are sent first. Default for the reason: `forced close`.
   */
  abstract closeUnsafe(reason?: SessionCloseReason, description?: string): void

  /** Closes the session: waiting messages are sent first. */
  close(reason: SessionCloseReason = "forced close"): Effect.Effect<void> {
    return Effect.sync(() => this.closeUnsafe(reason))
  }

  /**
   * The session counts for `maxConnections` also after its end, until the returned function is
   * called once.
   *
   * @internal
   */
  abstract keepPlace(): () => void

  /** Waits for the session's end and yields its reason. */
  abstract readonly closed: Effect.Effect<SessionClose>

  /**
   * Code has thrown that must not: an application's parser, adapter or handler, or a bug of this
   * library. It ends this session and no other.
   *
   * @internal
   */
  abstract onDefect(defect: unknown): void
}
