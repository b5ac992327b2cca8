import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

import type { BroadcastFlags, BroadcastPacket, EncodedBroadcast } from "../../adapter/Adapter.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import { unsent } from "../../internal/decodeAck.ts"
import { SharedSession } from "../../recovery/SharedSession.ts"
import { AckError } from "../../SocketIoError.ts"
import type { TraceContext } from "../../TraceContext.ts"
import { volatileDropped } from "../ServerMetrics.ts"
import { type ReportingSocket, startAll, withHandler, withoutHandler } from "./answers.ts"
import type { LiveSession } from "./liveSession.ts"
import type { ObservedNamespace } from "./observer.ts"
import { PendingAcks } from "./pendingAcks.ts"
import type { Encoding, EventHandler, Target } from "./ports.ts"
import type { Session } from "./recoverable.ts"
import type { SendingRecovery } from "./recoveryPorts.ts"
import { Supervisor } from "./supervisor.ts"
import { packetOf, traced, withTrace } from "./tracing.ts"
import type { EncodedEvent, EventData } from "./wire.ts"

/** A namespace, as its sockets send. */
export interface SendingNamespace extends ObservedNamespace {
  readonly recovery: SendingRecovery<Recipient> | undefined
  nextAckId(): number
}

/**
 * The way of events to the client of one socket, and of its acknowledgements back. The socket
 * inherits it, so that sending takes no object of its own, and no step more for each packet.
 */
export abstract class Recipient extends Supervisor implements ReportingSocket {
  abstract readonly id: string
  abstract readonly namespace: SendingNamespace
  /** The contract by which it was admitted, or is being. */
  abstract readonly contract: CompiledContract | undefined
  abstract readonly isConnected: boolean
  /** Its session, from its admission to its end, if its client may come back. */
  recoverable: Session | LiveSession | undefined
  private outgoingHandlers: ReadonlyArray<EventHandler> | undefined
  /** Made when the client owes an acknowledgement for the first time. */
  protected acks: PendingAcks | undefined
  /** Effects that wait for capacity in the client's outbox. */
  private waiting: Set<() => void> | undefined

  /** Adds a handler; gives the function that removes it. */
  addOutgoingHandler(handler: EventHandler): () => void {
    this.outgoingHandlers = withHandler(this.outgoingHandlers, handler)
    return () => {
      this.outgoingHandlers = withoutHandler(this.outgoingHandlers, handler)
    }
  }

  // ---------------------------------------------------------------- broadcasts

  /** Whether nothing can be sent: the socket has ended, or its client moves to another server. */
  private get isUnreachable(): boolean {
    return this.isDisconnected || this.connection.isSilent
  }

  deliver(encoded: EncodedBroadcast, flags: BroadcastFlags): void {
    const event = encoded as EncodedEvent
    const { data, isRecoverable, makeTraced, spoiled } = event
    if (this.isUnreachable || (flags.volatile && this.isBehind())) return
    const shared = makeTraced === undefined ? event.message : event.messageFor(this.connection)
    const message = spoiled !== undefined && this.isSpoiled ? spoiled : shared
    this.connection.session.sendUnsafe(message, isRecoverable ? this.recoverable?.onDropped : undefined)
    // Handlers may send, too: after this.
    if (this.outgoingHandlers !== undefined) this.showOutgoing(data)
  }

  private get isSpoiled(): boolean {
    return this.recoverable instanceof SharedSession && this.recoverable.isIncomplete
  }

  deliverForAck(
    encoded: EncodedBroadcast,
    id: number,
    flags: BroadcastFlags,
    onAck: (args: ReadonlyArray<unknown> | undefined) => void
  ): (() => void) | undefined {
    if (!this.isConnected || this.isUnreachable || (flags.volatile && this.isBehind())) return undefined
    if (this.connection.owesTooMany) return undefined
    const acks = (this.acks ??= new PendingAcks(this.connection))
    const event = encoded as EncodedEvent
    const { data } = event
    acks.add(id, onAck)
    this.connection.onAwaiting()
    this.connection.session.sendUnsafe(event.messageFor(this.connection), () => acks.settle(id, undefined))
    if (this.outgoingHandlers !== undefined) this.showOutgoing(data)
    return () => acks.remove(id)
  }

  /** Whether a volatile packet would have to wait for the client; it is dropped then. */
  private isBehind(): boolean {
    const { environment, session } = this.connection
    if (session.writable) return false
    environment.observer.count(volatileDropped, { namespace: this.namespace.label })
    return true
  }

  private showOutgoing([event, ...args]: ReadonlyArray<unknown>): void {
    if (this.isDisconnected) return
    startAll(this, this.outgoingHandlers!, event as string, args, [event])
  }

  // ---------------------------------------------------------------- events for this client alone

  /** Sends an event; throws if it cannot be encoded. Returns whether it was sent. */
  private send(
    emitted: BroadcastPacket,
    flags: BroadcastFlags,
    id?: number,
    onDropped?: () => void,
    onLost?: () => void
  ): boolean {
    const { recoverable } = this
    const packet: EventData = withTrace(emitted, this.contract) ?? emitted
    const recovery = id === undefined && recoverable !== undefined ? this.namespace.recovery : undefined
    if (recoverable !== undefined) this.namespace.recovery!.order.finish()
    if (this.isDisconnected || (flags.volatile && this.isBehind())) {
      // It has waited for capacity until the connection was lost: the client misses it.
      if (!flags.volatile && this.recoverable !== undefined) recovery?.direct(this, packet, flags, onLost)
      return false
    }
    const { environment, isSilent, session } = this.connection
    // A client that moves gets what can be recovered when it comes back.
    if (isSilent && recovery === undefined) return false
    // An event that comes out of a log is shown when it is sent.
    if (recovery !== undefined && !recovery.direct(this, packet, flags, onLost)) return true
    if (recovery === undefined)
      session.sendUnsafe(environment.wire.event(this.namespace.name, packet, id, flags.compress), onDropped)
    if (this.outgoingHandlers !== undefined) this.showOutgoing(emitted.data)
    return true
  }

  /** Whether messages to the client may have the trace context of their emitter. */
  private isTraced({ isDeclared }: Encoding): boolean {
    return isDeclared && this.connection.environment.observer.tracing !== undefined && this.connection.isTraced
  }

  /**
   * Sends an event: now, or once there is capacity, where the policy is to wait for it. `onLost` is
   * called if the log that servers share may not have it.
   */
  emit(
    { encoding }: Target,
    event: string,
    args: ReadonlyArray<unknown>,
    flags: BroadcastFlags,
    onLost?: () => void
  ): Effect.Effect<void> {
    if (this.isTraced(encoding)) return traced((trace) => this.emitNow(encoding, event, args, flags, trace, onLost))
    return this.emitNow(encoding, event, args, flags, undefined, onLost)
  }

  private emitNow(
    encoding: Encoding,
    event: string,
    args: ReadonlyArray<unknown>,
    flags: BroadcastFlags,
    trace: TraceContext | undefined,
    onLost: (() => void) | undefined
  ): Effect.Effect<void> {
    if (!this.connection.environment.options.suspends || flags.volatile) {
      return Effect.sync(
        () => void this.send(packetOf(encoding, event, args, trace), flags, undefined, undefined, onLost)
      )
    }
    return Effect.suspend(() => {
      const packet = packetOf(encoding, event, args, trace)
      return this.onCapacity<void, never>((resume) => {
        this.send(packet, flags, undefined, undefined, onLost)
        resume(Effect.void)
      })
    })
  }

  /** Sends an event and waits for its acknowledgement. */
  emitWithAck(
    { encoding }: Target,
    event: string,
    args: ReadonlyArray<unknown>,
    flags: BroadcastFlags
  ): Effect.Effect<any, any> {
    if (this.isTraced(encoding)) return traced((trace) => this.ask(encoding, event, args, flags, trace))
    return this.ask(encoding, event, args, flags)
  }

  private ask(
    encoding: Encoding,
    event: string,
    args: ReadonlyArray<unknown>,
    flags: BroadcastFlags,
    trace?: TraceContext
  ): Effect.Effect<any, any> {
    const request = Effect.callback<ReadonlyArray<unknown>, AckError>((resume) => {
      const fail = (_tag: "Disconnected" | "NotSent" | "TooManyPending") =>
        resume(Effect.fail(new AckError({ event, reason: { _tag } })))
      if (this.isUnreachable) return fail("Disconnected")
      if (this.connection.owesTooMany) return fail("TooManyPending")
      const acks = (this.acks ??= new PendingAcks(this.connection))
      const id = this.namespace.nextAckId()
      acks.add(id, (args) => (args === undefined ? fail("Disconnected") : resume(Effect.succeed(args))))
      this.connection.onAwaiting()
      const onDropped = () => {
        acks.remove(id)
        fail("NotSent")
      }
      try {
        if (!this.send(packetOf(encoding, event, args, trace), flags, id, onDropped)) return onDropped()
      } catch (defect) {
        acks.remove(id)
        return resume(unsent(event, Cause.die(defect)))
      }
      return Effect.sync(() => acks.remove(id))
    })
    const waits = this.connection.environment.options.suspends && !flags.volatile
    const ordered = this.namespace.recovery === undefined ? request : Effect.andThen(this.settled, request)
    const answered = waits ? Effect.andThen(this.awaitCapacity, ordered) : ordered
    return Effect.flatMap(answered, (answer) => encoding.decodeAck(event, answer))
  }

  /** Waits until the events before have been sent, which may be on their way through a log. */
  private get settled(): Effect.Effect<void> {
    return Effect.suspend(() => this.namespace.recovery?.settled(this) ?? Effect.void)
  }

  /**
   * Sends an event of this library's own, encoded, that is not recovered: its reader asks again
   * after an outage. Throws if it cannot be encoded.
   */
  sendEncoded(packet: EventData, onDropped: () => void): void {
    if (this.recoverable !== undefined) this.namespace.recovery!.order.finish()
    if (!this.isConnected || this.isUnreachable) return
    const { environment, session } = this.connection
    session.sendUnsafe(environment.wire.event(this.namespace.name, packet, undefined, true), onDropped)
    if (this.outgoingHandlers !== undefined) this.showOutgoing(packet.data)
  }

  sendAck(id: number, args: ReadonlyArray<unknown>, mayHaveBinary: boolean): void {
    if (!this.isConnected) return
    const { environment, session } = this.connection
    session.sendUnsafe(environment.wire.ack(this.namespace.name, id, args, mayHaveBinary))
  }

  /** The acknowledgements that the client owes will not come. */
  abandonAcks(): void {
    this.acks?.abandon()
  }

  // ---------------------------------------------------------------- capacity

  /** Whether the client's outbox has capacity, or the client has left. */
  get hasCapacity(): boolean {
    return this.isDisconnected || this.connection.session.hasCapacity
  }

  /** Waits for that. */
  get awaitCapacity(): Effect.Effect<void> {
    return this.onCapacity((resume) => resume(Effect.void))
  }

  /**
   * Acts once the client's outbox has capacity, in the order of the calls, or once the socket has
   * disconnected. Interruption cancels it.
   */
  private onCapacity<A, E>(act: (resume: (effect: Effect.Effect<A, E>) => void) => void): Effect.Effect<A, E> {
    return Effect.callback<A, E>((resume) => {
      let isWaiting = true
      const run = () => {
        isWaiting = false
        this.waiting?.delete(giveUp)
        try {
          act(resume)
        } catch (defect) {
          resume(Effect.die(defect))
        }
      }
      let cancel: (() => void) | undefined
      const giveUp = () => {
        cancel?.()
        run()
      }
      if (this.isDisconnected) return run()
      cancel = this.connection.session.onCapacity(run)
      if (!isWaiting) return
      ;(this.waiting ??= new Set()).add(giveUp)
      return Effect.sync(() => {
        cancel?.()
        this.waiting?.delete(giveUp)
      })
    })
  }

  /** The socket has ended: nothing waits for capacity any more. */
  protected stopWaiting(): void {
    const { waiting } = this
    this.waiting = undefined
    if (waiting !== undefined) for (const giveUp of waiting) giveUp()
  }
}
