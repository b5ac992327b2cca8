import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"

import { withAttributes } from "../../internal/attributes.ts"
import type { ClientWire } from "../../internal/clientWire.ts"
import { unsent } from "../../internal/decodeAck.ts"
import { WireData } from "../../internal/wireData.ts"
import { AckError } from "../../SocketIoError.ts"
import type { ClientSocketBase } from "../ClientSocket.ts"
import type { Arguments } from "./inbound.ts"

/** A socket, as the sender uses it; contracts only narrow its type. */
export interface RetriedSocket extends ClientSocketBase {
  readonly emitWithAck: (event: string, ...args: Arguments) => Effect.Effect<any, any>
  /** The conversion of the contract's events; `undefined` without a contract. */
  readonly wire?: ClientWire | undefined
}

/** Sends events of one socket until they are acknowledged. */
export interface Retries {
  /**
   * Sends an event, and waits for its acknowledgement. The arguments are those of `emitWithAck`.
   */
  readonly send: (event: string, args: Arguments) => Effect.Effect<any, any>
  /** Whether the socket's scope has closed: nothing can be sent any more. */
  readonly isOver: () => boolean
}

/** The longest pause that a server can ask for, in milliseconds. */
const MAX_PAUSE = 60_000

export const makeRetries = (
  socket: RetriedSocket,
  ackTimeout: number,
  schedule: Schedule.Schedule<unknown, AckError>
): Retries => {
  let isOver = false
  const connected = Effect.suspend(() =>
    socket.connected ? Effect.void : Stream.runHead(Stream.filter(socket.status, isConnected))
  )
  return {
    isOver: () => isOver,
    send: (event, args) => {
      const attempt = Effect.flatMap(connected, (status) => {
        // The stream ends with the socket's scope.
        isOver ||= status !== undefined && Option.isNone(status)
        return isOver
          ? Effect.fail(new AckError({ event, reason: { _tag: "Disconnected" } }))
          : Effect.timeoutOrElse(socket.emitWithAck(event, ...args), {
              duration: ackTimeout,
              orElse: () => Effect.fail(new AckError({ event, reason: { _tag: "Timeout" } }))
            })
      })
      const paused = Effect.tapError(attempt, (error) => {
        const pause = pauseOf(error)
        return pause === undefined ? Effect.void : Effect.sleep(Math.min(pause, MAX_PAUSE))
      })
      return Effect.retry(paused, {
        schedule,
        while: (error) => !isOver && error instanceof AckError && isWorthAnother(error)
      })
    }
  }
}

/**
 * Encodes an event that the contract handles once, with a new id. Every other event stays as it is,
 * as does one that has its id in its payload.
 */
export const identified = (
  { wire }: RetriedSocket,
  newId: () => string,
  event: string,
  args: Arguments
): Effect.Effect<Arguments, AckError> => {
  const codec = wire?.codec(event)
  if (!codec?.event.once || codec.event.once.key) return Effect.succeed(args)
  return Effect.map(
    encoded(event, () => wire!.encode(event, ...args)[0]),
    (data) => [new WireData(withAttributes(codec, data, { id: newId() }))]
  )
}

/** Encodes an event. A payload that its schema refuses is a failure. */
export const encoded = <A>(event: string, encode: () => A): Effect.Effect<A, AckError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(encode())
    } catch (defect) {
      return unsent(event, Cause.die(defect))
    }
  })

const isConnected = ({ _tag }: { readonly _tag: string }): boolean => _tag === "Connected"

/** The pause after which the server takes the event, if it says so, in milliseconds. */
const pauseOf = (error: unknown): number | undefined => {
  if (!(error instanceof AckError) || error.reason._tag !== "EventRefused") return undefined
  const { retryAfter } = Object(error.reason.data) as { readonly retryAfter?: unknown }
  return typeof retryAfter === "number" && retryAfter >= 0 ? retryAfter : undefined
}

/**
 * Whether the server may not have seen the event, or takes it later. Everything else is an answer,
 * or will not be better.
 */
const isWorthAnother = (error: AckError): boolean =>
  ["Timeout", "Disconnected", "NotSent"].includes(error.reason._tag) || pauseOf(error) !== undefined

/**
 * Lets effects run one by one, in the order in which they were started. A semaphore lets whoever
 * comes at the right moment pass.
 */
export const makeTurns = () => {
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
