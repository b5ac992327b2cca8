import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type {
  Acknowledgement,
  Adapter,
  BroadcastFlags,
  BroadcastPacket,
  Host,
  RoomChange,
  Selection
} from "../../adapter/Adapter.ts"
import type { DisconnectReason } from "../../DisconnectReason.ts"
import { IDLE, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { EventCodec } from "../../internal/contractCodec.ts"
import * as PacketType from "../../protocol/PacketType.ts"
import type { PlainHandle } from "../NamespaceHandle.ts"
import { connecting } from "./admission.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import type { DurationSeries } from "./durations.ts"
import type { DynamicNamespaces, Instance } from "./dynamic.ts"
import { Hub } from "./hub.ts"
import { EncodedEvent } from "./outbound.ts"
import type { Connection } from "./connection.ts"
import type { ServerRuntime } from "./server.ts"
import type { NamespaceReference } from "./reference.ts"
import { ServerEvents } from "./serverEvents.ts"
import type { HandlerRecord } from "./inbound.ts"
import { SocketRuntime } from "./socket.ts"
import { ContractTarget, PlainTarget } from "./targets.ts"

/** Runs once per connected socket, in its scope; yields the contract's handlers. */
export type Build = (socket: any) => Effect.Effect<HandlerRecord | void, never, any>

/** How a namespace's sockets are admitted and built: what its layer was given. */
export interface Registration {
  readonly contract: CompiledContract | undefined
  readonly context: Context.Context<any>
  /** What builds its sockets; for a dynamic namespace, made when it opens. */
  readonly build: Build | undefined
}

/** A client that has gone. */
export interface Disconnection {
  readonly id: string
  readonly reason: DisconnectReason
}

/** An event that was broadcast from this server. */
export interface Broadcast {
  readonly event: string
  readonly args: ReadonlyArray<unknown>
  readonly rooms: ReadonlyArray<string>
  readonly except: ReadonlyArray<string>
}

/** What a namespace tells whoever listens. */
class Hubs {
  readonly connections = new Hub<SocketRuntime>()
  readonly disconnections = new Hub<Disconnection>()
  readonly rooms = new Hub<RoomChange>()
  readonly broadcasts = new Hub<Broadcast>()

  close(): void {
    this.connections.close()
    this.disconnections.close()
    this.rooms.close()
    this.broadcasts.close()
  }
}

/** Ends the wait of a client that is not admitted in time. */
class AdmissionDeadline implements WheelEntry {
  bucket: number = IDLE
  private readonly socket: SocketRuntime

  constructor(socket: SocketRuntime) {
    this.socket = socket
  }

  onDeadline(): void {
    this.socket.refuse("Connect timeout")
  }
}

/**
 * A namespace of a server. It may be mentioned (by a client that waits for it, by whoever broadcasts to it) before a layer
 * registers it; one that is dynamic is there while it has sockets.
 */
export class NamespaceRuntime implements WheelEntry, NamespaceReference {
  readonly name: string
  readonly server: ServerRuntime
  readonly sockets = new Map<string, SocketRuntime>()
  readonly accepting: Latch.Latch = Latch.makeUnsafe(false)
  /** How long handlers took, by event. */
  readonly durations = new Map<string, DurationSeries>()
  readonly serverEvents: ServerEvents = new ServerEvents(this)
  bucket: number = IDLE
  /** Whether a layer of its own serves it, or has: it stays then, as its handles are many. */
  stays = false
  /** How many know it by its name, and do something with it, or wait for something. */
  mentions = 0
  /** How many are at something for which it has to be there, though nobody may be in it. */
  lent = 0
  /** Whether it has been served: clients that come when it is not shall come back, rather than give up. */
  hasServed = false
  registration: Registration | undefined
  contract: CompiledContract | undefined
  /** What it is one of, if it is dynamic. */
  family: DynamicNamespaces | undefined
  instance: Instance | undefined
  /** What the application has of it, made when it is asked for. */
  readonly handles: { plain?: PlainHandle; contract?: PlainHandle } = {}
  private hubs: Hubs | undefined
  /** Those that are being asked who they are, with their deadlines if that takes time, or whose builders are at work. */
  private readonly connecting = new Map<SocketRuntime, AdmissionDeadline | undefined>()
  private ackIds = 0
  private readonly scope: Scope.Closeable = Scope.makeUnsafe()
  private lazyAdapter: Adapter | undefined

  constructor(name: string, server: ServerRuntime) {
    this.name = name
    this.server = server
  }

  get isRegistered(): boolean {
    return this.registration !== undefined
  }

  /** What it is called in metrics: dynamic namespaces go by their pattern, as clients choose their names. */
  get label(): string {
    return this.family === undefined ? this.name : this.family.label
  }

  /** Made when it is first used; a cluster's servers know of this one from then on. */
  get adapter(): Adapter {
    return (this.lazyAdapter ??= this.makeAdapter())
  }

  private makeAdapter(): Adapter {
    const fiber = this.server.runFork(Scope.provide(this.server.adapters(this.host), this.scope))
    const exit = fiber.pollUnsafe()
    if (exit === undefined) {
      fiber.interruptUnsafe()
      throw new Error(`the factory of adapters must not suspend, but did for "${this.name}"`)
    }
    if (exit._tag === "Failure") throw Cause.squash(exit.cause)
    return exit.value
  }

  /** Makes the adapter, though nothing is to be sent yet: others may have something for this server. */
  joinCluster(): void {
    this.lazyAdapter ??= this.makeAdapter()
  }

  /** What is told to whoever listens. */
  get told(): Hubs {
    return (this.hubs ??= new Hubs())
  }

  /** The same, if anybody has ever listened. */
  get listeners(): Hubs | undefined {
    return this.hubs
  }

  /** What the adapter needs of the namespace. */
  private get host(): Host {
    const isWatched = () => this.hubs !== undefined && this.hubs.rooms.isWatched
    return {
      namespace: this.name,
      sockets: this.sockets,
      encode: (packet, flags) => this.encode(packet, undefined, flags),
      encodeForAck: (packet, flags) => {
        const id = this.nextAckId()
        return { encoded: this.encode(packet, id, flags), id }
      },
      get watchesRooms() {
        return isWatched()
      },
      onRoomChange: (change) => this.hubs?.rooms.publish(change),
      onServerEvent: (data, reply) => this.serverEvents.receive(data, reply)
    }
  }

  private encode(packet: BroadcastPacket, id: number | undefined, { compress }: BroadcastFlags): EncodedEvent {
    const { data, mayHaveBinary } = packet
    const message = this.server.encode(PacketType.EVENT, this.name, id, data, mayHaveBinary, true)
    message.compress = compress
    return new EncodedEvent(message, data)
  }

  /** Ids of acknowledgements are the namespace's, so that a broadcast can ask everybody by the same. */
  nextAckId(): number {
    return this.ackIds++
  }

  /** Learns a contract's events, to broadcast them. */
  learn(contract: CompiledContract): void {
    this.contract ??= contract
  }

  register(registration: Registration): void {
    // What is dynamic joins when it opens: a client that is refused shall not make a cluster's servers work.
    if (registration.build !== undefined) this.joinCluster()
    this.registration = registration
    this.hasServed = true
    if (registration.build !== undefined) this.stays = true
    if (registration.contract !== undefined) this.contract = registration.contract
    this.accepting.openUnsafe()
    this.server.notAwaited(this)
    // What was closed before was not the server.
    if (registration.build !== undefined) this.server.closingTime.forget()
  }

  /**
   * No more clients are admitted, and those that are here, or on their way in, lose their connection: they may come back to what
   * replaces it.
   */
  unregister(): void {
    this.registration = undefined
    this.accepting.closeUnsafe()
    for (const socket of [...this.connecting.keys(), ...this.sockets.values()]) {
      socket.connection.session.closeUnsafe("server shutting down")
    }
  }

  // ---------------------------------------------------------------- as what leads to it

  get current(): NamespaceRuntime {
    return this
  }

  use<A, E, R>(act: (home: NamespaceRuntime) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return act(this)
  }

  stream<A, E, R>(read: (home: NamespaceRuntime) => Stream.Stream<A, E, R>): Stream.Stream<A, E, R> {
    return read(this)
  }

  watch<A>(read: (home: NamespaceRuntime) => Stream.Stream<A>): Stream.Stream<A> {
    return read(this)
  }

  get scoped(): Effect.Effect<NamespaceRuntime> {
    return Effect.succeed(this)
  }

  // ---------------------------------------------------------------- broadcasts

  outgoing(event: string): EventCodec {
    const codec = this.contract?.outgoing.get(event)
    if (codec === undefined) throw new Error(`"${event}" is not among the events that "${this.name}" sends to clients`)
    return codec
  }

  broadcast(packet: BroadcastPacket, selection: Selection, flags: BroadcastFlags): Effect.Effect<void> {
    if (this.hubs?.broadcasts.isWatched) this.tellBroadcast(packet, selection)
    const sent = this.adapter.broadcast(packet, selection, flags)
    return this.server.options.suspends && !flags.volatile ? Effect.andThen(sent, this.awaitRoom(selection)) : sent
  }

  /** Throws on what cannot be encoded. */
  check(packet: BroadcastPacket, flags: BroadcastFlags): Effect.Effect<void> {
    return Effect.sync(() => void this.encode(packet, undefined, flags))
  }

  /** Waits until the outboxes of all sockets of this server that are selected have room. */
  private awaitRoom(selection: Selection): Effect.Effect<void> {
    return Effect.flatMap(this.adapter.localSockets(selection), (sockets) => {
      const full = (sockets as ReadonlyArray<SocketRuntime>).filter((socket) => !socket.hasRoom)
      return full.length === 0 ? Effect.void : Effect.forEach(full, (socket) => socket.awaitRoom, { discard: true })
    })
  }

  broadcastWithAck(
    packet: BroadcastPacket,
    selection: Selection,
    flags: BroadcastFlags
  ): Stream.Stream<Acknowledgement> {
    if (this.hubs?.broadcasts.isWatched) this.tellBroadcast(packet, selection)
    return this.adapter.broadcastWithAck(packet, selection, flags)
  }

  private tellBroadcast({ data: [event, ...args] }: BroadcastPacket, { except, rooms }: Selection): void {
    this.hubs?.broadcasts.publish({ event, args, rooms, except })
  }

  /** Broadcasts the contract's events. */
  readonly contractTarget = new ContractTarget(
    this,
    (event) => this.outgoing(event),
    () => this.contract?.data
  )

  /** Broadcasts any event. */
  readonly plainTarget = new PlainTarget(this)

  // ---------------------------------------------------------------- connecting

  makeSocket(connection: Connection, auth: Readonly<Record<string, unknown>>): SocketRuntime {
    // Clients of protocol 4 know their id before they are told.
    const id = !connection.isLegacy
      ? this.server.generateId()
      : this.name === "/"
        ? connection.session.id
        : `${this.name}#${connection.session.id}`
    return new SocketRuntime(id, connection, this, auth)
  }

  /** Admits a socket or refuses it: middleware, the CONNECT reply, then its builder. */
  connect(socket: SocketRuntime): void {
    this.connecting.set(socket, undefined)
    this.family?.notIdle(this)
    socket.launch(
      () => connecting(this, socket),
      () => {
        this.onAdmissionOver(socket)
        this.connecting.delete(socket)
        this.onLeft()
      }
    )
    if (socket.state !== "connecting") return
    // It is being asked who it is, or waits: until now that has cost nothing.
    const deadline = new AdmissionDeadline(socket)
    this.connecting.set(socket, deadline)
    this.server.wheel.schedule(deadline, this.server.options.connectTimeout)
  }

  /** A socket is admitted, or never will be. */
  onAdmissionOver(socket: SocketRuntime): void {
    const deadline = this.connecting.get(socket)
    if (deadline !== undefined) this.server.wheel.cancel(deadline)
  }

  /** Waits until the namespace is registered, or may be, up to `millis` milliseconds. Whether it waited in vain. */
  awaitRegistration(millis: number): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      // It was opened for something that did not want this client after all.
      this.accepting.closeUnsafe()
      return Effect.map(
        Effect.timeoutOption(this.accepting.await, Duration.millis(millis)),
        (result) => result._tag === "None"
      )
    })
  }

  /** Leaves every room; the socket is gone. An adapter that fails at it takes nobody along. */
  leaveAll(socket: SocketRuntime): void {
    this.server.runFork(
      Effect.catchCause(
        Effect.suspend(() => this.adapter.leaveAll(socket)),
        (cause) => Effect.sync(() => this.server.error("leaving the rooms failed", cause, socket.annotations))
      )
    )
  }

  remove(socket: SocketRuntime, reason: DisconnectReason): void {
    if (!this.sockets.delete(socket.id)) return
    this.hubs?.disconnections.publish({ id: socket.id, reason })
    this.onLeft()
  }

  // ---------------------------------------------------------------- end

  /** Whether nobody would miss it. */
  get isUnused(): boolean {
    return (
      !this.stays &&
      this.mentions === 0 &&
      this.lent === 0 &&
      this.connecting.size === 0 &&
      this.sockets.size === 0 &&
      this.instance === undefined
    )
  }

  /** Somebody has left who was, or was about to be, in the namespace. */
  private onLeft(): void {
    if (this.connecting.size > 0 || this.sockets.size > 0) return
    const { family, instance } = this
    if (instance === undefined) return this.server.forgetIfUnused(this)
    if (!instance.isClosing) family?.onEmpty(this)
  }

  /** A dynamic namespace has been empty for its time. */
  onDeadline(): void {
    if (this.connecting.size === 0 && this.sockets.size === 0) this.instance?.close()
  }

  /** Its streams end with its life, unless the application has its name and waits for the next one. */
  endStreams(): void {
    if (!this.stays && this.mentions === 0) this.hubs?.close()
  }

  /** It is gone: nobody finds it any more. */
  dispose(): void {
    this.server.wheel.cancel(this)
    this.family?.release(this)
    this.hubs?.close()
    this.server.closeScope(this.scope, { namespace: this.name }, undefined, undefined, this.family)
  }
}
