import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"

import type {
  Adapter,
  BroadcastFlags,
  BroadcastPacket,
  EncodedBroadcast,
  LocalSocket,
  SocketDetails
} from "../../adapter/Adapter.ts"
import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { Handshake } from "../../Handshake.ts"
import type { CompiledContract, CompiledMiddleware } from "../../internal/compileContract.ts"
import { getOrThrow } from "../../internal/contractCodec.ts"
import { unsent } from "../../internal/decodeAck.ts"
import { asRooms } from "../../internal/rooms.ts"
import * as PacketType from "../../protocol/PacketType.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import { SharedSession } from "../../recovery/SharedSession.ts"
import { AckError } from "../../SocketIoError.ts"
import type { TraceContext } from "../../TraceContext.ts"
import type { RoomSelection } from "../BroadcastOperator.ts"
import { namespaceRefusals, volatileDropped } from "../ServerMetrics.ts"
import type { ServerSocket } from "../ServerSocket.ts"
import { startAll, withHandler, withoutHandler } from "./answers.ts"
import type { Auth, Connection, Member } from "./connection.ts"
import { Dispatch } from "./dispatch.ts"
import { greeting } from "./greeting.ts"
import type { ObservedNamespace } from "./observer.ts"
import { PendingAcks } from "./pendingAcks.ts"
import {
  type Encoding,
  type EventHandler,
  type HandlerRecord,
  refusalOf,
  type Registration,
  type RunFork,
  type Target
} from "./ports.ts"
import type { LiveSession } from "./liveSession.ts"
import type { RecoverableSocket, Resumed, Resumption, Session } from "./recoverable.ts"
import type { Recovery } from "./recoveryPorts.ts"
import type { End } from "./expiry.ts"
import { type Entitled, Rights } from "./rights.ts"
import { RoomsView } from "./roomsView.ts"
import { Supervisor } from "./supervisor.ts"
import { packetOf, traced, withTrace } from "./tracing.ts"
import type { EncodedEvent, EventData } from "./wire.ts"

/** A namespace, as its sockets see it. */
export interface SocketNamespace extends ObservedNamespace {
  readonly registration: Registration | undefined
  readonly adapter: Adapter
  /** Sends any event. */
  readonly untypedTarget: Target
  /** Sends the contract's events. */
  readonly target: Target
  /** The parameters of its name. */
  readonly params: Readonly<Record<string, unknown>>
  readonly recovery: Recovery<SocketRuntime> | undefined
  nextAckId(): number
  /** Whether the events of all its sockets have readers. */
  readonly watchesEvents: boolean
  publishEvent(
    socket: SocketRuntime,
    event: string,
    value: unknown,
    data: ReadonlyArray<unknown>,
    isDeclared: boolean
  ): void
  add(socket: SocketRuntime): void
  remove(socket: SocketRuntime, reason: DisconnectReason): void
  leaveAll(socket: SocketRuntime): void
}

/** A socket that has ended. */
interface Disconnected {
  readonly reason: DisconnectReason
  /** The rooms that it was in, for its finalizers. */
  readonly rooms: ReadonlySet<string>
}

/**
 * The state of a socket: its admission is being decided; it is admitted; it has ended. The first
 * two carry no data, as most sockets are in the second.
 */
type Lifecycle = "connecting" | "connected" | Disconnected

/** A client in a namespace, from its CONNECT packet to its end, whether it is admitted or not. */
export class SocketRuntime extends Supervisor implements LocalSocket, Member, RecoverableSocket, Entitled {
  /** Another one only until the socket is admitted: that of the session that it asks for. */
  id: string
  readonly namespace: SocketNamespace
  /**
   * It has no parent: the socket's end closes it with `Closing`, after the handlers that use it
   * have ended. A scope forked from the namespace's would take 133 bytes more per idle connection.
   */
  readonly scope: Scope.Closeable = Scope.makeUnsafe()
  readonly dispatch: Dispatch
  /** The auth payload: raw at first, and decoded by the contract from the admission on. */
  private ownAuth: Auth
  /** Its cost in bytes, counted in the connection. */
  private authBytes: number
  /**
   * The contract by which it was admitted, or is being: another layer, or none, may serve the
   * namespace before the socket ends.
   */
  contract: CompiledContract | undefined
  auth: unknown = undefined
  joined: Set<string> | undefined
  private lifecycle: Lifecycle = "connecting"
  /** The context in which its effects run, without its scope. */
  private context: Context.Context<any> | undefined
  private ownData: Readonly<Record<string, unknown>> = noData
  resumption: Resumption | undefined
  recoverable: Session | LiveSession | undefined
  /** The grants of its middlewares, if they end or can be refreshed. */
  rights: Rights | undefined
  private roomsView: RoomsView | undefined
  private outgoingHandlers: ReadonlyArray<EventHandler> | undefined
  private disconnectingHandlers: ReadonlyArray<EventHandler> | undefined
  /** The handlers of its end are starting: it has its reason, and ends only once. */
  private isEnding = false
  private acks: PendingAcks | undefined
  /** Effects that wait for capacity in the client's outbox. */
  private waiting: Set<() => void> | undefined
  private ending: Deferred.Deferred<DisconnectReason> | undefined
  /** The application's forms of the socket. Each is made at its first use. */
  view: ServerSocket<any> | undefined
  untypedView: ServerSocket<any> | undefined

  constructor(id: string, connection: Connection, namespace: SocketNamespace, auth: Auth, authBytes: number) {
    super(connection)
    this.id = id
    this.namespace = namespace
    this.ownAuth = auth
    this.authBytes = authBytes
    this.dispatch = new Dispatch(this)
  }

  get isConnecting(): boolean {
    return this.lifecycle === "connecting"
  }

  get isConnected(): boolean {
    return this.lifecycle === "connected"
  }

  get isDisconnected(): boolean {
    return typeof this.lifecycle !== "string"
  }

  get annotations(): Record<"sid" | "namespace", string> {
    return { sid: this.id, namespace: this.namespace.name }
  }

  // ---------------------------------------------------------------- what the application sees

  get handshake(): Handshake {
    const { details } = this.connection.session
    const { address, issued, query, secure, url } = details
    return {
      get headers() {
        return details.headers
      },
      query,
      url,
      address,
      secure,
      issued,
      // Rarely used, and a microsecond of work.
      get time() {
        return new Date(issued).toString()
      },
      get xdomain() {
        return Boolean(details.headers.origin)
      },
      auth: this.ownAuth
    }
  }

  get rooms(): ReadonlySet<string> {
    return (this.roomsView ??= new RoomsView(this))
  }

  /** The rooms of the socket, or those at its end, without the room of its id. */
  get roomsNow(): ReadonlySet<string> | undefined {
    return typeof this.lifecycle === "string" ? this.joined : this.lifecycle.rooms
  }

  get data(): Readonly<Record<string, any>> {
    return this.ownData
  }

  /** A copy of the current state: other servers may read it later. */
  get details(): SocketDetails {
    const rooms = new Set([this.id])
    for (const room of this.roomsNow ?? []) rooms.add(room)
    return { id: this.id, handshake: this.handshake, rooms, data: this.encodeData(this.ownData) }
  }

  get disconnected(): Effect.Effect<DisconnectReason> {
    return Effect.suspend(() =>
      typeof this.lifecycle === "string"
        ? Deferred.await((this.ending ??= Deferred.makeUnsafe<DisconnectReason>()))
        : Effect.succeed(this.lifecycle.reason)
    )
  }

  /** Adds a handler; gives the function that removes it. */
  addOutgoingHandler(handler: EventHandler): () => void {
    this.outgoingHandlers = withHandler(this.outgoingHandlers, handler)
    return () => {
      this.outgoingHandlers = withoutHandler(this.outgoingHandlers, handler)
    }
  }

  /** Adds a handler; gives the function that removes it. */
  addDisconnectingHandler(handler: EventHandler): () => void {
    this.disconnectingHandlers = withHandler(this.disconnectingHandlers, handler)
    return () => {
      this.disconnectingHandlers = withoutHandler(this.disconnectingHandlers, handler)
    }
  }

  /** Adds a handler; gives the function that removes it. */
  addAuthHandler(handler: EventHandler): () => void {
    return this.rights?.addHandler(handler) ?? (() => {})
  }

  // ---------------------------------------------------------------- data

  /** Throws on a field that the contract does not declare. */
  checkDeclared(data: Readonly<Record<string, unknown>>): void {
    const codecs = this.contract?.data
    const undeclared = Object.keys(data).find((field) => !codecs?.has(field))
    if (undeclared === undefined) return
    throw new Error(`"${undeclared}" is not among the data of sockets in "${this.namespace.name}"`)
  }

  /**
   * Sets data, declared or not. Throws on a value that is not of its type, and changes nothing
   * then.
   */
  setData(data: Readonly<Record<string, unknown>>): void {
    // Encoded here, so that a wrong value fails at its caller and not where the socket is fetched.
    this.encodeData(data)
    const next: Record<string, unknown> = { ...this.ownData, ...data }
    for (const field of Object.keys(data)) if (data[field] === undefined) delete next[field]
    this.ownData = next
    this.namespace.recovery?.onData(this)
  }

  get encodedData(): Readonly<Record<string, unknown>> {
    return this.encodeData(this.ownData)
  }

  /** Data as the contract encodes them; fields that it does not declare stay as they are. */
  private encodeData(data: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const codecs = this.contract?.data
    if (codecs === undefined || codecs.size === 0) return data
    const encoded: Record<string, unknown> = {}
    for (const field of Object.keys(data)) {
      // A field that is taken away has no type.
      if (data[field] === undefined) continue
      const codec = codecs.get(field)
      encoded[field] = codec === undefined ? data[field] : getOrThrow(codec.encode(data[field]), `data "${field}"`)
    }
    return encoded
  }

  // ---------------------------------------------------------------- rooms

  join(rooms: RoomSelection): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isDisconnected) return Effect.void
      const names = asRooms(rooms)
      this.checkRooms(names)
      return this.namespace.adapter.join(this, names)
    })
  }

  leave(rooms: RoomSelection): Effect.Effect<void> {
    return Effect.suspend(() => this.namespace.adapter.leave(this, asRooms(rooms)))
  }

  /** Throws if the connection would be in more rooms than it may. */
  private checkRooms(names: ReadonlyArray<string>): void {
    const { connection } = this
    let added = 0
    for (const room of names) added += roomWeight(room)
    if (connection.mayEnterRooms(added)) return
    // It may be in some of them already.
    for (const room of names) if (this.joined?.has(room) || room === this.id) added -= roomWeight(room)
    if (connection.mayEnterRooms(added)) return
    throw new Error(`a connection may be in ${connection.environment.options.maxRooms} rooms (maxRooms)`)
  }

  enterRoom(room: string): boolean {
    const { connection } = this
    if (connection.enterRoom(roomWeight(room))) {
      if (this.recoverable !== undefined) this.namespace.recovery!.onJoined(this, room)
      return true
    }
    // The log that servers may share says that it has joined.
    if (this.recoverable instanceof SharedSession) this.recoverable.spoil()
    const annotations = { room, ...this.annotations }
    const message = "room not joined: its connection is in as many as it may be"
    connection.environment.observer.debug("socket", message, annotations, connection)
    return false
  }

  leaveRoom(room: string): void {
    this.connection.leaveRoom(roomWeight(room))
    if (this.recoverable !== undefined) this.namespace.recovery!.onLeft(this, room)
  }

  // ---------------------------------------------------------------- out

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

  /** Sends an event; throws if it cannot be encoded. Returns whether it was sent. */
  private send(emitted: BroadcastPacket, flags: BroadcastFlags, id?: number, onDropped?: () => void): boolean {
    const { recoverable } = this
    const packet: EventData = withTrace(emitted, this.contract) ?? emitted
    const recovery = id === undefined && recoverable !== undefined ? this.namespace.recovery : undefined
    if (recoverable !== undefined) this.namespace.recovery!.order.finish()
    if (this.isDisconnected || (flags.volatile && this.isBehind())) {
      // It has waited for capacity until the connection was lost: the client misses it.
      if (!flags.volatile && this.recoverable !== undefined) recovery?.direct(this, packet, flags)
      return false
    }
    const { environment, isSilent, session } = this.connection
    // A client that moves gets what can be recovered when it comes back.
    if (isSilent && recovery === undefined) return false
    // An event that comes out of a log is shown when it is sent.
    if (recovery !== undefined && !recovery.direct(this, packet, flags)) return true
    if (recovery === undefined)
      session.sendUnsafe(environment.wire.event(this.namespace.name, packet, id, flags.compress), onDropped)
    if (this.outgoingHandlers !== undefined) this.showOutgoing(emitted.data)
    return true
  }

  /** Whether messages to the client may have the trace context of their emitter. */
  private isTraced({ isDeclared }: Encoding): boolean {
    return isDeclared && this.connection.environment.observer.tracing !== undefined && this.connection.isTraced
  }

  /** Sends an event: now, or once there is capacity, where the policy is to wait for it. */
  emit({ encoding }: Target, event: string, args: ReadonlyArray<unknown>, flags: BroadcastFlags): Effect.Effect<void> {
    if (this.isTraced(encoding)) return traced((trace) => this.emitNow(encoding, event, args, flags, trace))
    return this.emitNow(encoding, event, args, flags)
  }

  private emitNow(
    encoding: Encoding,
    event: string,
    args: ReadonlyArray<unknown>,
    flags: BroadcastFlags,
    trace?: TraceContext
  ): Effect.Effect<void> {
    if (!this.connection.environment.options.suspends || flags.volatile) {
      return Effect.sync(() => void this.send(packetOf(encoding, event, args, trace), flags))
    }
    return Effect.suspend(() => {
      const packet = packetOf(encoding, event, args, trace)
      return this.onCapacity<void, never>((resume) => {
        this.send(packet, flags)
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
   * Sends an event of this library's own, encoded, that is not recovered: its reader asks again after
   * an outage. Throws if it cannot be encoded.
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

  // ---------------------------------------------------------------- in

  ignores(event: string): boolean {
    return this.isConnected && !this.namespace.watchesEvents && this.dispatch.ignores(event)
  }

  onPacket(packet: SocketPacket): void {
    switch (packet.type) {
      case PacketType.EVENT:
        return this.dispatch.onEvent(packet)
      case PacketType.ACK:
        // Acknowledgements do not wait for the handlers: the builder may be waiting for one.
        return this.acks?.settle(packet.id!, packet.data as ReadonlyArray<unknown>)
      case PacketType.DISCONNECT:
        this.connection.forget(this)
        return this.end("client namespace disconnect")
      default:
        return this.connection.session.closeUnsafe("parse error", "CONNECT_ERROR from a client")
    }
  }

  publishEvent(event: string, value: unknown, data: ReadonlyArray<unknown>, isDeclared: boolean): void {
    this.namespace.publishEvent(this, event, value, data, isDeclared)
  }

  // ---------------------------------------------------------------- admission

  /**
   * Runs the effect that admits the socket and builds its handlers, in its scope, and in the
   * context of the layer that serves the namespace, if that is known. The socket's end interrupts
   * it. If it fails, the socket is refused or disconnected, as it has no handlers.
   */
  launch(make: () => Effect.Effect<unknown>, onExit: () => void): void {
    const { connection, namespace } = this
    const { context, observer } = connection.environment
    this.enterContext(namespace.registration?.context ?? (context as Context.Context<any>))
    this.start(this.runFork, make, (exit) => {
      if (exit._tag === "Failure") {
        if (this.isConnecting) this.refuse("Internal error")
        else this.disconnectUnsafe(false)
      }
      onExit()
      if (exit._tag === "Success") return
      const refusal = refusalOf(exit.cause)
      if (refusal !== undefined) {
        const { message } = refusal
        observer.debug("namespace", "socket refused by its builder", { message, ...this.annotations }, connection)
      } else if (!Cause.hasInterruptsOnly(exit.cause)) {
        observer.error("connecting a socket failed", exit.cause, this.annotations, connection)
      }
    })
  }

  /**
   * The builder and the handlers run in the given context from now on, with the socket's scope. It
   * does nothing if they do already.
   */
  enterContext(context: Context.Context<any>): Context.Context<any> | undefined {
    if (context === this.context) return undefined
    this.context = context
    const own: Context.Context<any> = Context.add(context, Scope.Scope, this.scope)
    this.runFork = Effect.runForkWith(own) as RunFork
    return own
  }

  /** A middleware has granted something that ends, or that the client can refresh. */
  grant(middleware: CompiledMiddleware, value: unknown, end: End | undefined, context: Context.Context<any>): void {
    ;(this.rights ??= new Rights(this, context)).grant(middleware, value, end)
  }

  provide(key: Context.Key<any, any>, service: unknown): void {
    this.enterContext(Context.add(this.context!, key, service))
  }

  current(context: Context.Context<any>): Context.Context<any> {
    return this.rights?.current(context) ?? context
  }

  /** Returns the raw auth payload, for the decision on the client. */
  get rawAuth(): Auth {
    return this.ownAuth
  }

  /**
   * The decision has been made: only the part of the auth payload that the contract declares stays.
   */
  private keepAuth(): void {
    const contract = this.contract!
    if (keepsRawAuth(contract)) return
    if (!contract.declaresAuth) {
      this.auth = undefined
      this.releaseAuth()
    }
    const { auth } = this
    this.ownAuth = typeof auth === "object" && auth !== null ? (auth as Auth) : noData
  }

  private releaseAuth(): void {
    this.connection.authBytes -= this.authBytes
    this.authBytes = 0
  }

  /** Admits the client, and tells it. */
  admit(): void {
    const { connection, namespace } = this
    const { observer, wire } = connection.environment
    this.lifecycle = "connected"
    this.keepAuth()
    connection.onAdmitted()
    if (connection.isLegacy || namespace.recovery === undefined) {
      namespace.add(this)
      const told = { sid: this.id, ...greeting(connection, this.contract, this.rights?.greeting) }
      connection.session.sendUnsafe(wire.connect(namespace.name, connection.isLegacy ? undefined : told))
    } else namespace.recovery.admit(this)
    if (this.isConnected) this.rights?.schedule()
    observer.debug("namespace", "socket connected", this.annotations, connection)
  }

  onResumed(data: Readonly<Record<string, unknown>>, resumed: Resumed): void {
    this.ownData = data
    this.resumption = resumed
  }

  onPing(ping: number): void {
    if (this.recoverable !== undefined) this.namespace.recovery!.onPing(this, ping)
  }

  onPong(ping: number): void {
    this.recoverable?.onPong(ping)
  }

  /** The handlers are there. */
  setReady(handlers: HandlerRecord | undefined): void {
    if (this.isConnected) this.dispatch.setReady(handlers)
  }

  /** Refuses the client, and tells it. */
  refuse(message: string, data?: unknown): undefined {
    if (!this.isConnecting) return
    const { connection, namespace } = this
    const { observer } = connection.environment
    try {
      connection.refuse(namespace.name, message, data)
    } catch {
      // Sends the refusal without its data if that cannot be encoded: the refusal itself counts.
      connection.refuse(namespace.name, message)
    }
    connection.forget(this)
    observer.count(namespaceRefusals, { namespace: namespace.registration === undefined ? "" : namespace.label })
    const annotations = { message, ...this.annotations }
    observer.debug("namespace", "connection to namespace refused", annotations, connection)
    this.end("server namespace disconnect")
  }

  /**
   * No layer serves the default namespace, in which a client of protocol 4 is without asking for
   * it: the socket ends, and the client stays.
   */
  leaveUnserved(): void {
    if (!this.isConnecting) return
    this.connection.forget(this)
    this.connection.enterUnserved()
    this.end("server namespace disconnect")
  }

  // ---------------------------------------------------------------- end

  disconnectUnsafe(close: boolean): void {
    if (this.isDisconnected || this.isEnding) return
    const { connection } = this
    if (close) return connection.disconnectAll()
    // Handlers of the end can still send before it.
    this.startDisconnectingHandlers("server namespace disconnect")
    this.namespace.recovery?.flush(this)
    connection.session.sendUnsafe(connection.environment.wire.disconnect(this.namespace.name))
    connection.forget(this)
    this.end("server namespace disconnect")
  }

  /** Starts the handlers of the end, once: the rooms are still intact. */
  private startDisconnectingHandlers(reason: DisconnectReason): void {
    const handlers = this.disconnectingHandlers
    if (handlers === undefined || !this.isConnected) return
    this.disconnectingHandlers = undefined
    this.isEnding = true
    startAll(this, handlers, reason, [], 0)
    this.isEnding = false
  }

  abandonAcks(): void {
    this.acks?.abandon()
  }

  /** The end: nothing is delivered any more, acknowledgements fail, the scope closes. */
  end(reason: DisconnectReason): void {
    this.startDisconnectingHandlers(reason)
    if (this.isDisconnected) return
    const wasAdmitted = this.isConnected
    // A copy, as the socket leaves the rooms. A socket without rooms has none to show.
    this.lifecycle = { reason, rooms: wasAdmitted ? new Set(this.joined) : noRooms }
    const { acks, connection, ending, namespace, waiting } = this
    const { closing, observer } = connection.environment
    this.acks = this.ending = this.waiting = undefined
    if (waiting !== undefined) for (const giveUp of waiting) giveUp()
    namespace.recovery?.onEnd(this, reason)
    this.rights?.stop()
    namespace.remove(this, reason)
    acks?.abandon()
    if (ending !== undefined) Deferred.doneUnsafe(ending, Effect.succeed(reason))
    connection.leaving++
    this.dispatch.discardInbox()
    this.interruptAll(
      () => this.dispatch.endStreams(),
      (running) => {
        // Finalizers start before the rooms are left, so that they can still send to them at once.
        // They wait for handlers that end slowly, as these use the scope, too.
        closing.close(this.scope, {
          annotations: this.annotations,
          culprit: connection,
          users: running,
          onClosed: () => {
            this.releaseAuth()
            connection.onReleased()
          }
        })
        // A socket that was not admitted is in no rooms; it needs no adapter.
        if (wasAdmitted) namespace.leaveAll(this)
      }
    )
    if (wasAdmitted) {
      observer.debug("namespace", "socket disconnected", { reason, ...this.annotations }, connection)
    }
  }
}

/** Whether the auth payload stays as it came, as the contract declares nothing at all. */
export const keepsRawAuth = ({ declaresAuth, untyped }: CompiledContract): boolean => untyped && !declaresAuth

const noData: Readonly<Record<string, unknown>> = {}

const noRooms: ReadonlySet<string> = new Set()

/** The number of rooms that a room counts as: a long name takes memory, too. */
const roomWeight = (room: string): number => 1 + (room.length >> 8)
