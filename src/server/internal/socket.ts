import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

import type { BroadcastFlags, EncodedBroadcast, LocalSocket } from "../../adapter/Adapter.ts"
import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { OutboundMessage } from "../../engine/OutboundMessage.ts"
import type { TransportName } from "../../engine/Transport.ts"
import type { Handshake } from "../../Handshake.ts"
import { decodePayload, describe, encodePayload, type EventCodec, getOrThrow } from "../../internal/contractCodec.ts"
import { encodeAck, encodeDisconnect, encodeEvent } from "../../protocol/PacketEncoder.ts"
import { isReservedEvent, PacketType, type SocketPacket } from "../../protocol/SocketPacket.ts"
import { AckError } from "../../SocketIoError.ts"
import type { RoomSelection } from "../BroadcastOperator.ts"
import { handlerFailures, payloadsRefused } from "../ServerMetrics.ts"
import { AckArguments, type PlainSocket, type SocketBase } from "../ServerSocket.ts"
import { decodeAck, PendingAcks } from "./acks.ts"
import type { Connection } from "./connection.ts"
import { Gate } from "./gate.ts"
import type { NamespaceRuntime } from "./namespace.ts"
import { asRooms, everybodyElse, type Operator } from "./operator.ts"
import { outbound } from "./outbound.ts"
import { PlainView } from "./plainView.ts"

/** Handlers by event, as a contract's builder returns them. */
export type HandlerRecord = Readonly<Record<string, (payload: any) => Effect.Effect<any, any, any>>>

/** Starts an effect in a context that has all it needs. */
export type RunFork = (effect: Effect.Effect<any, any, any>) => Fiber.Fiber<any, any>

/** A plain handler, with the runner of the context in which it was registered. */
export interface PlainHandler {
  readonly run: RunFork
  readonly handle: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<any, any, any>
}

/**
 * A client in a namespace: from its CONNECT packet on, whether it is admitted or not, to its end.
 *
 * What arrives before the handlers are there waits in `inbox`. What a socket may never need (acknowledgements, suspended
 * handlers, plain handlers) is allocated when it is needed.
 */
export class SocketRuntime implements LocalSocket, SocketBase {
  readonly id: string
  readonly connection: Connection
  readonly home: NamespaceRuntime
  readonly scope: Scope.Closeable = Scope.makeUnsafe()
  readonly rawAuth: Readonly<Record<string, unknown>>
  auth: unknown = undefined
  joined: Set<string> | undefined
  state: "connecting" | "connected" | "disconnected" = "connecting"
  private inbox: Array<SocketPacket> | undefined
  private ready = false
  private handlers: HandlerRecord = noHandlers
  private plainHandlers: Map<string, Array<PlainHandler>> | undefined
  private anyHandlers: Array<PlainHandler> | undefined
  private acks: PendingAcks | undefined
  private gates: Map<string, Gate> | undefined
  /** Events that wait behind a gate. */
  private queued = 0
  private fibers: Set<Fiber.Fiber<any, any>> | undefined
  private runFork: RunFork
  private plainView: PlainSocket | undefined
  private ending: Deferred.Deferred<DisconnectReason> | undefined
  private reason: DisconnectReason | undefined

  constructor(id: string, connection: Connection, home: NamespaceRuntime, auth: Readonly<Record<string, unknown>>) {
    this.id = id
    this.connection = connection
    this.home = home
    this.rawAuth = auth
    this.runFork = Effect.runForkWith(home.server.context) as RunFork
  }

  // ---------------------------------------------------------------- what handlers see

  get namespace(): string {
    return this.home.name
  }

  get handshake(): Handshake {
    return { ...this.connection.session.details, auth: this.rawAuth }
  }

  get transport(): TransportName {
    return this.connection.session.transportName
  }

  get connected(): boolean {
    return this.state === "connected"
  }

  get rooms(): ReadonlySet<string> {
    return this.state === "disconnected" ? new Set(this.joined) : new Set([this.id, ...(this.joined ?? [])])
  }

  get plain(): PlainSocket {
    return (this.plainView ??= new PlainView(this))
  }

  join(rooms: RoomSelection): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.state === "disconnected" ? Effect.void : this.home.adapter.join(this, asRooms(rooms))
    )
  }

  leave(rooms: RoomSelection): Effect.Effect<void> {
    return Effect.suspend(() => this.home.adapter.leave(this, asRooms(rooms)))
  }

  to(rooms: RoomSelection): Operator {
    return this.broadcast.to(rooms)
  }

  in(rooms: RoomSelection): Operator {
    return this.broadcast.to(rooms)
  }

  except(rooms: RoomSelection): Operator {
    return this.broadcast.except(rooms)
  }

  get broadcast(): Operator {
    return everybodyElse(this.home.contractTarget, this.id)
  }

  emit(event: string, ...payload: ReadonlyArray<unknown>): Effect.Effect<void> {
    return Effect.sync(() => {
      const codec = this.home.outgoing(event)
      this.sendEvent(encodePayload(codec, payload[0]), undefined, codec.payload.mayHaveBinary)
    })
  }

  emitWithAck(event: string, ...payload: ReadonlyArray<unknown>): Effect.Effect<any, any> {
    return Effect.suspend(() => {
      const codec = this.home.outgoing(event)
      return Effect.flatMap(
        this.request(event, () => encodePayload(codec, payload[0]), codec.payload.mayHaveBinary),
        (args) => decodeAck(codec, args)
      )
    })
  }

  disconnect(options?: { readonly close?: boolean }): Effect.Effect<void> {
    return Effect.sync(() => this.disconnectByServer(options?.close === true))
  }

  get disconnected(): Effect.Effect<DisconnectReason> {
    return Effect.suspend(() =>
      this.reason === undefined
        ? Deferred.await((this.ending ??= Deferred.makeUnsafe<DisconnectReason>()))
        : Effect.succeed(this.reason)
    )
  }

  // ---------------------------------------------------------------- out

  deliver(encoded: EncodedBroadcast, flags: BroadcastFlags): void {
    const { session } = this.connection
    if (flags.volatile && !session.writable) return
    session.sendUnsafe(encoded as OutboundMessage)
  }

  deliverForAck(
    encoded: EncodedBroadcast,
    id: number,
    flags: BroadcastFlags,
    onAck: (args: ReadonlyArray<unknown> | undefined) => void
  ): (() => void) | undefined {
    const { session } = this.connection
    if (this.state !== "connected" || (flags.volatile && !session.writable)) return undefined
    const acks = (this.acks ??= new PendingAcks())
    if (acks.size >= this.home.server.options.maxPendingAcks) return undefined
    acks.add(id, onAck)
    session.sendUnsafe(encoded as OutboundMessage)
    return () => acks.remove(id)
  }

  /** Sends `[event, ...args]`; throws on what cannot be encoded. */
  sendEvent(data: ReadonlyArray<unknown>, id: number | undefined, mayHaveBinary: boolean): void {
    if (this.state === "disconnected") return
    this.connection.session.sendUnsafe(outbound(encodeEvent(this.home.name, id, data, mayHaveBinary), false))
  }

  /** Sends an event and waits for the arguments of its acknowledgement. */
  request(
    event: string,
    encode: () => ReadonlyArray<unknown>,
    mayHaveBinary: boolean
  ): Effect.Effect<ReadonlyArray<unknown>, AckError> {
    return Effect.callback<ReadonlyArray<unknown>, AckError>((resume) => {
      const fail = (reason: AckError["reason"]) => resume(Effect.fail(new AckError({ event, reason })))
      if (this.state === "disconnected") return fail("disconnected")
      const acks = (this.acks ??= new PendingAcks())
      if (acks.size >= this.home.server.options.maxPendingAcks) return fail("too many pending")
      const id = this.home.nextAckId()
      acks.add(id, (args) => (args === undefined ? fail("disconnected") : resume(Effect.succeed(args))))
      try {
        this.sendEvent(encode(), id, mayHaveBinary)
      } catch (defect) {
        acks.remove(id)
        return resume(Effect.die(defect))
      }
      return Effect.sync(() => acks.remove(id))
    })
  }

  private sendAck(id: number, args: ReadonlyArray<unknown>, mayHaveBinary: boolean): void {
    if (this.state !== "connected") return
    this.connection.session.sendUnsafe(outbound(encodeAck(this.home.name, id, args, mayHaveBinary), false))
  }

  // ---------------------------------------------------------------- in

  /** A packet of the client for this socket, other than CONNECT. */
  onPacket(packet: SocketPacket): void {
    switch (packet.type) {
      case PacketType.EVENT:
        return this.ready ? this.onEvent(packet) : this.hold(packet)
      case PacketType.ACK:
        // Acknowledgements pass: the builder may be waiting for one.
        return this.acks?.settle(packet.id!, packet.data as ReadonlyArray<unknown>)
      case PacketType.DISCONNECT:
        this.connection.forget(this)
        return this.end("client namespace disconnect")
      default:
        return this.connection.session.closeUnsafe("parse error", "CONNECT_ERROR from a client")
    }
  }

  private hold(packet: SocketPacket): void {
    const inbox = (this.inbox ??= [])
    if (inbox.length >= this.home.server.options.maxPendingPackets) {
      return this.connection.session.closeUnsafe("inbound overflow", "too many packets before the handlers were ready")
    }
    inbox.push(packet)
  }

  /** The handlers are there: what waited for them is handled in the order of its arrival. */
  setReady(handlers: HandlerRecord | undefined): void {
    if (this.state !== "connected") return
    if (handlers !== undefined) this.handlers = handlers
    this.ready = true
    const inbox = this.inbox
    this.inbox = undefined
    if (inbox !== undefined) {
      for (const packet of inbox) this.onEvent(packet)
    }
  }

  private onEvent(packet: SocketPacket): void {
    if (this.state !== "connected") return
    if (this.queued + (this.fibers?.size ?? 0) >= this.home.server.options.maxPendingEvents) {
      return this.connection.session.closeUnsafe("inbound overflow", "too many events whose handlers are not done")
    }
    const data = packet.data as ReadonlyArray<unknown>
    const name = typeof data[0] === "string" ? data[0] : String(data[0])
    if (this.anyHandlers !== undefined) this.startAny(this.anyHandlers, name, data)
    const codec = this.home.incoming.get(name)
    if (codec === undefined) return this.onPlainEvent(name, data, packet.id)
    const payload = decodePayload(codec, data)
    if (payload._tag === "Failure") {
      // A schema that throws is a bug on this side, and none of the client's business.
      if (Cause.hasDies(payload.cause)) return this.answer(codec, packet.id)(payload)
      return this.onRefusedPayload(codec, packet.id, describe(payload))
    }
    const handler = this.handlers[codec.event._tag]!
    const limit = codec.event.concurrency ?? this.home.concurrency
    if (limit === undefined)
      return this.start(this.runFork, () => handler(payload.value), this.answer(codec, packet.id))
    // Events without a limit of their own share the namespace's.
    const key = codec.event.concurrency === undefined ? "" : name
    const gates = (this.gates ??= new Map<string, Gate>())
    let gate = gates.get(key)
    if (gate === undefined) gates.set(key, (gate = new Gate(limit)))
    const answer = this.answer(codec, packet.id)
    this.queued++
    gate.enter((leave) => {
      this.queued--
      // The client has gone while the event was waiting.
      if (this.state !== "connected") return leave()
      this.start(
        this.runFork,
        () => handler(payload.value),
        (exit) => {
          answer(exit)
          leave()
        }
      )
    })
  }

  private onPlainEvent(name: string, data: ReadonlyArray<unknown>, id: number | undefined): void {
    const handlers = this.plainHandlers?.get(name)
    if (handlers === undefined) {
      return this.home.server.debug("event without a handler", { event: name, ...this.annotations })
    }
    let answered = id === undefined
    const args = data.slice(1)
    for (const handler of handlers) {
      this.start(
        handler.run,
        () => handler.handle(name, args),
        (exit) => {
          if (exit._tag === "Failure") return this.report(name, exit.cause)
          if (answered) return
          answered = true
          const { value } = exit
          const values = value === undefined ? [] : value instanceof AckArguments ? value.values : [value]
          this.answerSafely(name, () => this.sendAck(id!, values, true))
        }
      )
    }
  }

  private startAny(handlers: ReadonlyArray<PlainHandler>, name: string, data: ReadonlyArray<unknown>): void {
    const args = data.slice(1)
    for (const handler of handlers) {
      this.start(
        handler.run,
        () => handler.handle(name, args),
        (exit) => {
          if (exit._tag === "Failure") this.report(name, exit.cause)
        }
      )
    }
  }

  /**
   * Starts a handler in this turn. One that finishes at once never becomes a waiting fiber; one that suspends is kept, to
   * be interrupted when the socket disconnects.
   */
  private start(
    run: RunFork,
    make: () => Effect.Effect<any, any, any>,
    onExit: (exit: Exit.Exit<any, any>) => void
  ): void {
    let effect: Effect.Effect<any, any, any>
    try {
      effect = make()
    } catch (defect) {
      return onExit(Exit.die(defect))
    }
    if (Exit.isExit(effect)) return onExit(effect)
    const fiber = run(effect)
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return onExit(exit)
    if (this.state === "disconnected") {
      // It has disconnected its own socket. What becomes of it is still watched.
      fiber.addObserver(onExit)
      fiber.interruptUnsafe()
      return
    }
    const fibers = (this.fibers ??= new Set())
    fibers.add(fiber)
    fiber.addObserver((exit) => {
      fibers.delete(fiber)
      onExit(exit)
    })
  }

  /** What becomes of a contract handler's exit. */
  private answer(codec: EventCodec, id: number | undefined): (exit: Exit.Exit<any, any>) => void {
    return (exit) => {
      const { event } = codec
      if (exit._tag === "Success") {
        if (id === undefined) return
        return this.answerSafely(event._tag, () => {
          const none = !event.hasAck || codec.ackIsVoid
          const value = none
            ? undefined
            : getOrThrow(codec.ack.encode(exit.value), `acknowledgement of "${event._tag}"`)
          const args = event.hasError ? [none ? { _tag: "Success" } : { _tag: "Success", value }] : none ? [] : [value]
          this.sendAck(id, args, codec.ack.mayHaveBinary)
        })
      }
      const failure = event.hasError ? Cause.findErrorOption(exit.cause) : undefined
      if (failure === undefined || failure._tag === "None") {
        this.report(event._tag, exit.cause)
        if (event.hasError && id !== undefined) this.fail(id, { _tag: "InternalError" })
        return
      }
      if (id === undefined) return
      this.answerSafely(event._tag, () => {
        const error = getOrThrow(codec.error.encode(failure.value), `failure of "${event._tag}"`)
        this.sendAck(id, [{ _tag: "Failure", error }], codec.error.mayHaveBinary)
      })
    }
  }

  private onRefusedPayload(codec: EventCodec, id: number | undefined, description: string): void {
    const { event } = codec
    this.home.server.count(payloadsRefused, this.home.name, event._tag)
    this.home.server.debug("payload refused", { event: event._tag, description, ...this.annotations })
    if (event.hasError && id !== undefined) this.fail(id, { _tag: "PayloadRefused", message: description })
  }

  private fail(id: number, error: unknown): void {
    this.sendAck(id, [{ _tag: "Failure", error }], false)
  }

  /** A value that does not fit its own contract, or cannot be encoded, is the handler's bug: its event alone suffers. */
  private answerSafely(event: string, send: () => void): void {
    try {
      send()
    } catch (defect) {
      this.report(event, Cause.die(defect))
    }
  }

  private report(event: string, cause: Cause.Cause<unknown>): void {
    if (Cause.hasInterruptsOnly(cause)) return
    this.home.server.count(handlerFailures, this.home.name, this.home.incoming.has(event) ? event : "")
    this.home.server.error("event handler failed", cause, { event, ...this.annotations })
  }

  get annotations(): Record<string, string> {
    return { sid: this.id, namespace: this.home.name }
  }

  // ---------------------------------------------------------------- plain handlers

  addHandler(event: string, handler: PlainHandler): void {
    if (isReservedEvent(event)) throw new Error(`"${event}" is a reserved event name`)
    const handlers = (this.plainHandlers ??= new Map<string, Array<PlainHandler>>())
    const existing = handlers.get(event)
    if (existing === undefined) handlers.set(event, [handler])
    else existing.push(handler)
  }

  addAnyHandler(handler: PlainHandler): void {
    ;(this.anyHandlers ??= []).push(handler)
  }

  // ---------------------------------------------------------------- life

  /** Runs the socket's own fiber: middleware, then the builder. It ends with the socket. */
  launch(effect: Effect.Effect<void, never, any>): void {
    this.start(
      Effect.runForkWith(Context.add(this.home.server.context, Scope.Scope, this.scope)) as RunFork,
      () => effect,
      (exit) => {
        if (exit._tag === "Failure" && !Cause.hasInterruptsOnly(exit.cause)) {
          this.home.server.error("connecting a socket failed", exit.cause, this.annotations)
        }
      }
    )
  }

  /** The context in which the builder and handlers run: the given one, with the socket's scope. */
  enterContext(context: Context.Context<any>): Context.Context<any> {
    const own = Context.add(context, Scope.Scope, this.scope)
    this.runFork = Effect.runForkWith(own) as RunFork
    return own
  }

  disconnectByServer(close: boolean): void {
    if (this.state === "disconnected") return
    if (close) return this.connection.disconnectAll()
    this.connection.session.sendUnsafe(outbound(encodeDisconnect(this.home.name), false))
    this.connection.forget(this)
    this.end("server namespace disconnect")
  }

  /** The end, whatever brought it: nothing is delivered any more, acknowledgements fail, the scope closes. */
  end(reason: DisconnectReason): void {
    if (this.state === "disconnected") return
    const admitted = this.state === "connected"
    this.state = "disconnected"
    this.reason = reason
    this.inbox = undefined
    this.home.remove(this)
    const { acks, ending, fibers } = this
    this.acks = this.ending = this.fibers = undefined
    acks?.abandon()
    if (ending !== undefined) Deferred.doneUnsafe(ending, Effect.succeed(reason))
    if (fibers !== undefined) {
      for (const fiber of fibers) fiber.interruptUnsafe()
    }
    if (admitted) this.home.server.debug("socket disconnected", { reason, ...this.annotations })
    // Finalizers start before the rooms are left, so that they can still see them.
    this.home.server.closeScope(this.scope, this.annotations)
    Effect.runFork(this.home.adapter.leaveAll(this))
  }
}

const noHandlers: HandlerRecord = {}
