/**
 * Events that reach the server at least once: each is sent again until the server has acknowledged it.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"

import { millis } from "../engine/OptionReaders.ts"
import type * as Event from "../Event.ts"
import type * as Namespace from "../Namespace.ts"
import { AckError, InvalidOptionError } from "../SocketIoError.ts"
import type { ClientEmitter, ClientSocket, ClientSocketBase } from "./ClientSocket.ts"

/**
 * @since 0.1.0
 * @category options
 */
export interface RetryOptions {
  /**
   * How often an event is sent again: a number, at once and in all `retries + 1` times, or a schedule, which gets the failure as its
   * input, is run anew for every event, and pauses in between. A lost connection takes one try, as an acknowledgement that does not come.
   */
  readonly retries: number | Schedule.Schedule<unknown, AckError>
  /** How long an acknowledgement is waited for, from the sending on. While the socket is not connected, no time passes. */
  readonly ackTimeout: Duration.Input
}

/**
 * Sends a contract's events at least once, one after the other in the order in which the effects are started: the next one is sent
 * when the one before it was acknowledged, or given up. The server may see an event more than once, whenever an acknowledgement is
 * late or lost: let its handlers be idempotent.
 *
 * Both effects wait for the acknowledgement. They fail with {@link AckError} when the retries are used up (the reason is that of
 * the last one: `Timeout` or `Disconnected`), and when the socket's scope closes; an answer that is a failure fails them at once, as does a payload that
 * its schema refuses (`PayloadRefused`).
 * Interruption takes the event out of the queue; it may have reached the server.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryingEmitter<N extends Namespace.Any> extends Pick<ClientEmitter<N>, "emitWithAck"> {
  /** Sends an event, and waits until the server has acknowledged it, with whatever. */
  emit<const Name extends Event.Name<Namespace.ClientToServer<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ClientToServer<N>, Name>>
  ): Effect.Effect<void, AckError | Event.Error<Event.WithName<Namespace.ClientToServer<N>, Name>>>
}

/**
 * Makes a queue of events over a socket, which are sent until they are acknowledged. What is emitted on the socket itself does not
 * wait for it. Every event needs an acknowledgement of the server's: from our servers each gets one, from others those whose
 * handler calls back.
 *
 * Fails with {@link InvalidOptionError} on an option that makes no sense.
 *
 * @example
 * ```ts
 * const orders = yield* RetryingEmitter.make(shop, { retries: 3, ackTimeout: "5 seconds" })
 * yield* orders.emit("order", { article: "book" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: <N extends Namespace.Any>(
  socket: ClientSocket<N>,
  options: RetryOptions
) => Effect.Effect<RetryingEmitter<N>, InvalidOptionError> = Effect.fnUntraced(function* (
  socket: ClientSocketBase,
  { ackTimeout, retries }: RetryOptions
): Effect.fn.Return<any, InvalidOptionError> {
  if (typeof retries === "number" && !(retries === Infinity || (Number.isSafeInteger(retries) && retries >= 0))) {
    const problem = `must be a whole number, Infinity or a schedule, not ${retries}`
    return yield* new InvalidOptionError({ option: "retries", problem })
  }
  const timeout = yield* millis("ackTimeout", ackTimeout, Number.NaN, 1)
  const schedule = typeof retries === "number" ? Schedule.recurs(retries) : retries
  const inTurn = makeTurns()
  const { emitWithAck } = socket as ClientSocket<any>

  const emitAgain = (event: string, ...args: ReadonlyArray<unknown>) => {
    let over = false
    const connected = Effect.suspend(() =>
      socket.connected ? Effect.void : Stream.runHead(Stream.filter(socket.status, isConnected))
    )
    const attempt = Effect.flatMap(connected, (status) => {
      // The stream ends with the socket's scope.
      over = status !== undefined && Option.isNone(status)
      return over
        ? Effect.fail(new AckError({ event, reason: { _tag: "Disconnected" } }))
        : Effect.timeoutOrElse(emitWithAck.call(socket, event, ...args), {
            duration: timeout,
            orElse: () => Effect.fail(new AckError({ event, reason: { _tag: "Timeout" } }))
          })
    })
    return inTurn(
      Effect.retry(attempt, {
        schedule,
        while: (error) => !over && error instanceof AckError && isWorthAnother(error)
      })
    )
  }
  return { emit: (...event: [string, ...Array<unknown>]) => Effect.asVoid(emitAgain(...event)), emitWithAck: emitAgain }
})

const isConnected = ({ _tag }: { readonly _tag: string }): boolean => _tag === "Connected"

/** Whether the server may not have seen the event; everything else is an answer, or will not be better. */
const isWorthAnother = ({ reason: { _tag } }: AckError): boolean =>
  _tag === "Timeout" || _tag === "Disconnected" || _tag === "NotSent"

/** Lets effects run one by one, in the order in which they were started. A semaphore lets whoever comes at the right moment pass. */
const makeTurns = () => {
  const queue: Array<(effect: Effect.Effect<void>) => void> = []
  return <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      let enter: ((effect: Effect.Effect<void>) => void) | undefined
      const leave = Effect.sync(() => {
        const place = queue.indexOf(enter!)
        if (place < 0) return
        queue.splice(place, 1)
        if (place === 0) queue[0]?.(Effect.void)
      })
      const turn = Effect.callback<void>((resume) => {
        enter = resume
        if (queue.push(resume) === 1) resume(Effect.void)
      })
      return Effect.ensuring(Effect.andThen(turn, effect), leave)
    })
}
