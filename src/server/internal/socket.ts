import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

import type { Adapter, LocalSocket, SocketDetails } from "../../adapter/Adapter.ts"
import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { Handshake } from "../../Handshake.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import { asRooms } from "../../internal/rooms.ts"
import * as PacketType from "../../protocol/PacketType.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import { SharedSession } from "../../recovery/SharedSession.ts"
import type { RoomSelection } from "../BroadcastOperator.ts"
import { namespaceRefusals } from "../ServerMetrics.ts"
import type { ServerSocket } from "../ServerSocket.ts"
import { startAll, withHandler, withoutHandler } from "./answers.ts"
import type { Connection } from "./connection.ts"
import { Dispatch } from "./dispatch.ts"
import { greeting } from "./greeting.ts"
import { type Auth, enterUnserved, refuse } from "./joining.ts"
import type { Member } from "./members.ts"
import type { EventHandler, HandlerRecord, Registration, Target } from "./ports.ts"
import { Recipient, type SendingNamespace } from "./recipient.ts"
import type { RecoverableSocket, Resumed, Resumption } from "./recoverable.ts"
import type { Recovery } from "./recoveryPorts.ts"
import type { Entitled, Rights } from "./rights.ts"
import { checkRooms, enterRoom, leaveRoom } from "./roomLimit.ts"
import { RoomsView } from "./roomsView.ts"
import { type Data, detailsOf, encodeData, handshakeOf, withChanges } from "./socketDetails.ts"

/** A namespace, as its sockets see it. */
export interface SocketNamespace extends SendingNamespace {
  readonly registration: Registration | undefined
  readonly adapter: Adapter
  /** Sends any event. */
  readonly untypedTarget: Target
  /** Sends the contract's events. */
  readonly target: Target
  /** The parameters of its name. */
  readonly params: Readonly<Record<string, unknown>>
  readonly recovery: Recovery<SocketRuntime> | undefined
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
 * The state of a socket: its admission is being decided; it is admitted; it is about to end, and
 * can still send; it has ended. All but the last carry no data, as most sockets are in the second.
 */
type Lifecycle = "connecting" | "connected" | "ending" | Disconnected

/** A client in a namespace, from its CONNECT packet to its end, whether it is admitted or not. */
export class SocketRuntime extends Recipient implements LocalSocket, Member, RecoverableSocket, Entitled {
  /** Another one only until the socket is admitted: that of the session that it asks for. */
  id: string
  readonly namespace: SocketNamespace
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
  private ownData: Data = noData
  resumption: Resumption | undefined
  /** The grants of its middlewares, if they end or can be refreshed. */
  rights: Rights | undefined
  private roomsView: RoomsView | undefined
  private disconnectingHandlers: ReadonlyArray<EventHandler> | undefined
  /** Made for the first effect that waits for the end. */
  private ended: Deferred.Deferred<DisconnectReason> | undefined
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
    return this.lifecycle === "connected" || this.lifecycle === "ending"
  }

  get isDisconnected(): boolean {
    return typeof this.lifecycle !== "string"
  }

  get annotations(): Record<"sid" | "namespace", string> {
    return { sid: this.id, namespace: this.namespace.name }
  }

  // ---------------------------------------------------------------- the application's view

  get handshake(): Handshake {
    return handshakeOf(this.connection.session.details, this.ownAuth)
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

  get details(): SocketDetails {
    return detailsOf(this)
  }

  get disconnected(): Effect.Effect<DisconnectReason> {
    return Effect.suspend(() =>
      typeof this.lifecycle === "string"
        ? Deferred.await((this.ended ??= Deferred.makeUnsafe<DisconnectReason>()))
        : Effect.succeed(this.lifecycle.reason)
    )
  }

  /** Adds a handler; gives the function that removes it. */
  addDisconnectingHandler(handler: EventHandler): () => void {
    this.disconnectingHandlers = withHandler(this.disconnectingHandlers, handler)
    return () => {
      this.disconnectingHandlers = withoutHandler(this.disconnectingHandlers, handler)
    }
  }

  // ---------------------------------------------------------------- data

  /**
   * Sets data, declared or not. Throws on a value that is not of its type, and changes nothing
   * then.
   */
  setData(data: Data): void {
    // Encoded here, so that a wrong value fails at its caller and not where the socket is fetched.
    encodeData(this.contract, data)
    this.ownData = withChanges(this.ownData, data)
    this.namespace.recovery?.onData(this)
  }

  get encodedData(): Data {
    return encodeData(this.contract, this.ownData)
  }

  // ---------------------------------------------------------------- rooms

  join(rooms: RoomSelection): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isDisconnected) return Effect.void
      const names = asRooms(rooms)
      checkRooms(this, names)
      return this.namespace.adapter.join(this, names)
    })
  }

  leave(rooms: RoomSelection): Effect.Effect<void> {
    return Effect.suspend(() => this.namespace.adapter.leave(this, asRooms(rooms)))
  }

  enterRoom(room: string): boolean {
    const { connection } = this
    if (enterRoom(connection, room)) {
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
    leaveRoom(this.connection, room)
    if (this.recoverable !== undefined) this.namespace.recovery!.onLeft(this, room)
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
    if (observer.debugs("namespace")) observer.debug("namespace", "socket connected", this.annotations, connection)
  }

  onResumed(data: Data, resumed: Resumed): void {
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
    refuse(connection, namespace.name, message, data)
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
    enterUnserved(this.connection)
    this.end("server namespace disconnect")
  }

  // ---------------------------------------------------------------- end

  disconnectUnsafe(close: boolean): void {
    if (this.isDisconnected || this.lifecycle === "ending") return
    const { connection } = this
    if (close) return connection.disconnectAll()
    // Handlers of the end can still send before it.
    this.beginEnd("server namespace disconnect")
    this.namespace.recovery?.flush(this)
    connection.session.sendUnsafe(connection.environment.wire.disconnect(this.namespace.name))
    connection.forget(this)
    this.end("server namespace disconnect")
  }

  /** The end of an admitted socket begins: its handlers start, once. The rooms are still intact. */
  private beginEnd(reason: DisconnectReason): void {
    if (this.lifecycle !== "connected") return
    this.lifecycle = "ending"
    const handlers = this.disconnectingHandlers
    this.disconnectingHandlers = undefined
    if (handlers !== undefined) startAll(this, handlers, reason, [], 0)
  }

  /** The end: nothing is delivered any more, acknowledgements fail, the scope closes. */
  end(reason: DisconnectReason): void {
    this.beginEnd(reason)
    if (this.isDisconnected) return
    const wasAdmitted = this.isConnected
    // A copy, as the socket leaves the rooms. A socket without rooms has none to show.
    this.lifecycle = { reason, rooms: wasAdmitted ? new Set(this.joined) : noRooms }
    const { connection, ended, namespace } = this
    this.ended = undefined
    this.stopWaiting()
    namespace.recovery?.onEnd(this, reason)
    this.rights?.stop()
    namespace.remove(this, reason)
    this.abandonAcks()
    if (ended !== undefined) Deferred.doneUnsafe(ended, Effect.succeed(reason))
    connection.leaving++
    this.dispatch.discardInbox()
    this.interruptAll({
      onInterrupted: () => this.dispatch.endStreams(),
      onClosing: () => {
        // Finalizers have started before, so that they can still send to the rooms at once. A
        // socket that was not admitted is in no rooms; it needs no adapter.
        if (wasAdmitted) namespace.leaveAll(this)
      },
      onClosed: () => {
        this.releaseAuth()
        connection.onReleased()
      }
    })
    const { observer } = connection.environment
    if (!wasAdmitted || !observer.debugs("namespace")) return
    const annotations = { reason, ...this.annotations }
    observer.debug("namespace", "socket disconnected", annotations, connection)
  }
}

/** Whether the auth payload stays as it came, as the contract declares nothing at all. */
export const keepsRawAuth = ({ declaresAuth, untyped }: CompiledContract): boolean => untyped && !declaresAuth

const noData: Data = {}

const noRooms: ReadonlySet<string> = new Set()
