import * as Effect from "effect/Effect"

import type { ClientWire } from "../../internal/clientWire.ts"
import { EVENT } from "../../protocol/PacketType.ts"
import { type EncodedPacket, RESERVED_EVENTS } from "../../protocol/SocketPacket.ts"
import { AckError } from "../../SocketIoError.ts"
import type { Arguments } from "./inbound.ts"
import type { Connection } from "./connection.ts"

type OutgoingEvent = readonly [
  packet: EncodedPacket,
  id: number | undefined,
  data: Arguments,
  compress: boolean | undefined
]

/** The reason why there is no acknowledgement. */
type Unanswered = "Disconnected" | "NotSent" | "TooManyPending"

type Answer<Id extends ReadonlyArray<unknown>> = (...answer: [...Id, args?: Arguments, why?: Unanswered]) => void

/** Sends events in some way. */
export interface Emitter {
  readonly emit: (event: string, ...args: Arguments) => Effect.Effect<void>
  readonly emitWithAck: (event: string, ...args: Arguments) => Effect.Effect<any, any>
  readonly volatile: Emitter
  readonly compress: (compress: boolean) => Emitter
}

/**
 * The events that go out, those that wait for the connection, and the acknowledgements that are
 * awaited.
 */
export interface Outbound {
  readonly emitter: Emitter
  /** Ends the wait for an acknowledgement, with its arguments. */
  readonly answer: (id: number | undefined, args: Arguments) => void
  /** The socket is connected: sends the events that wait. */
  readonly flush: () => void
  /** The acknowledgements of the events that were sent will not come. */
  readonly forget: () => void
  /** Gives the function that does so with those that were sent until now. */
  readonly mark: () => () => void
  /** Drops the events that wait. */
  readonly clear: () => void
  /** Drops the events that wait, and all that come later. */
  readonly end: () => void
}

export const makeOutbound = (
  connection: Connection,
  namespace: string,
  wire: ClientWire | undefined,
  isConnected: () => boolean,
  onSent: (event: string, args: Arguments) => void
): Outbound => {
  const { bufferOverflow, maxPendingAcks } = connection.options
  let { maxBuffered } = connection.options
  let acks = new Map<number | undefined, readonly [event: OutgoingEvent, answer: Answer<[]>]>()
  let ackIds = 0
  const outbox = new Set<OutgoingEvent>()

  const pack = (event: string, args: Arguments, compress?: boolean, id?: number): OutgoingEvent => {
    // First of all, as events that are sent over a connection that is overdue would be lost.
    connection.engine?.checkAlive()
    if (!wire && RESERVED_EVENTS.has(event)) throw new Error(`"${event}" is reserved`)
    // The official library asks for an acknowledgement with a function. JSON would make `null` of
    // it.
    if (args.some((arg) => typeof arg === "function")) throw new Error("use emitWithAck, not a function")
    const [data, mayHaveBinary] = wire?.encode(event, ...args) ?? [[event, ...args], true]
    // Now, though the event may have to wait: a payload that cannot be encoded is the caller's
    // mistake.
    return [connection.encode({ type: EVENT, namespace, id, data }, mayHaveBinary), id, data, compress]
  }

  const transmit = ([packet, , [event, ...args], compress]: OutgoingEvent) => {
    onSent(event as string, args)
    // Somebody who has seen it may have disconnected.
    if (isConnected()) connection.send(packet, compress)
  }

  /**
   * Sends an event, or keeps it until it can be sent. False if it may not wait, or if there is no
   * capacity for it.
   */
  const emit = (event: OutgoingEvent, isVolatile: boolean): boolean => {
    if (isConnected() && (!isVolatile || connection.engine?.writable)) {
      transmit(event)
      return true
    }
    if (isVolatile) return false
    if (outbox.size >= maxBuffered) {
      const [oldest] = outbox
      if (!oldest || bufferOverflow !== "oldest") return false
      outbox.delete(oldest)
      answer(oldest[1], undefined, "NotSent")
    }
    outbox.add(event)
    return true
  }

  /** Ends the wait for an acknowledgement, with its arguments, or because there will be none. */
  const answer: Answer<[id: number | undefined]> = (id, ...how) => {
    const ack = acks.get(id)
    acks.delete(id)
    ack?.[1](...how)
  }

  const emitter = (isVolatile: boolean, compress?: boolean): Emitter => ({
    emit: (event, ...args) => Effect.sync(() => void emit(pack(event, args, compress), isVolatile)),
    emitWithAck: (event, ...args) => {
      const answered = Effect.callback<Arguments, AckError>((resume) => {
        const fail = (_tag: Unanswered) => resume(new AckError({ event, reason: { _tag } }))
        if (acks.size >= maxPendingAcks) return fail("TooManyPending")
        const id = ackIds++
        // The garbage collector would keep entries of an old map that are long over.
        if (!(id % 1_000)) acks = new Map(acks)
        const packed = pack(event, args, compress, id)
        // Before it is sent, as somebody who sees that may disconnect.
        acks.set(id, [packed, (args, why = "Disconnected") => (args ? resume(Effect.succeed(args)) : fail(why))])
        if (!emit(packed, isVolatile)) answer(id, undefined, "NotSent")
        return Effect.sync(() => {
          acks.delete(id)
          outbox.delete(packed)
        })
      })
      return wire ? wire.answered(event, answered) : answered
    },
    get volatile() {
      return emitter(true, compress)
    },
    compress: (compress) => emitter(isVolatile, compress)
  })

  const mark = () => {
    const sent = Array.from(acks).filter(([, [event]]) => !outbox.has(event))
    return () => {
      for (const [id] of sent) answer(id)
    }
  }

  return {
    emitter: emitter(false),
    answer,
    mark,
    flush: () => {
      for (const event of outbox) {
        // Somebody who has seen an earlier one may have disconnected.
        if (isConnected()) {
          outbox.delete(event)
          transmit(event)
        }
      }
    },
    forget: () => mark()(),
    clear: () => outbox.clear(),
    end: () => {
      outbox.clear()
      maxBuffered = 0
    }
  }
}
