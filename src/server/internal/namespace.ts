import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

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
import type { CompiledContract } from "../../internal/compileContract.ts"
import type { ServersMissingError } from "../../SocketIoError.ts"
import type { Disconnection, NamespaceHandle, SessionEnd } from "../NamespaceHandle.ts"
import type { Connection } from "./connection.ts"
import type { DurationSeries } from "./durations.ts"
import { encodingOf, untypedEncoding } from "./encoding.ts"
import type { Environment } from "./environment.ts"
import type { Emission } from "./emissions.ts"
import { Hub } from "./hub.ts"
import type { Auth, Entrance } from "./joining.ts"
import { NamespaceRecovery } from "./recovery.ts"
import type { Recovery } from "./recoveryPorts.ts"
import { SharedRecovery } from "./sharedRecovery.ts"
import type { Broadcaster, Encoding, Reference, Registration, Target } from "./ports.ts"
import { ServerEvents } from "./serverEvents.ts"
import { type SocketNamespace, SocketRuntime } from "./socket.ts"
import { traced, withTrace } from "./tracing.ts"
import type { EncodedEvent } from "./wire.ts"

/** The parts of the server that a namespace uses. */
export interface NamespaceOwner {
  /** Decides whether a client is admitted, and builds its handlers. */
  readonly admit: (namespace: NamespaceRuntime, socket: SocketRuntime) => Effect.Effect<unknown>
  /** Clients no longer wait for a layer to serve the namespace. */
  notAwaited(namespace: NamespaceRuntime): void
  /** Forgets the namespace if nothing needs it. */
  forgetIfUnused(namespace: NamespaceRuntime): void
}

/** The dynamic namespaces of one layer, in the form that one of them uses. */
export interface NamespaceGroup {
  /** Their pattern: metrics use it, as clients choose the names. */
  readonly label: string
  /** The parameters of a name; `undefined` if they do not decode. */
  params(name: string): Readonly<Record<string, unknown>> | undefined
  /** The server has forgotten one of them. */
  release(namespace: NamespaceRuntime): void
}

/** The time in which a dynamic namespace is open, as the namespace sees it. */
export interface NamespaceInstance {
  readonly isClosing: boolean
  /** Waits until everything that it held is given back. */
  readonly closed: Effect.Effect<void>
  /** A client comes. */
  onOccupied(): void
  /** The last client has left. */
  onEmpty(): void
}

/** A layer of its own serves the namespace. */
interface Served {
  readonly _tag: "Served"
  readonly registration: Registration
}

/** It is one of a layer's dynamic namespaces. */
interface Dynamic {
  readonly _tag: "Dynamic"
  readonly registration: Registration
  readonly group: NamespaceGroup
}

/** No layer serves it now. `last` served it before. */
interface Absent {
  readonly _tag: "Absent"
  readonly last: Served | Dynamic | undefined
}

/** No layer serves it, and clients wait for one. */
interface Awaited {
  readonly _tag: "Awaited"
  readonly last: Served | Dynamic | undefined
  readonly change: Latch.Latch
}

/** An event of a client. */
export interface InboundEvent {
  readonly socket: SocketRuntime
  readonly event: string
  /** Its payload, where the contract declares it; otherwise its arguments. */
  readonly value: unknown
  readonly isDeclared: boolean
  /** The event's name and its wire arguments. */
  readonly data: ReadonlyArray<unknown>
}

/** The hubs of a namespace's news. */
class Hubs {
  readonly connections = new Hub<SocketRuntime>()
  readonly disconnections = new Hub<Disconnection>()
  readonly rooms = new Hub<RoomChange>()
  readonly broadcasts = new Hub<Emission>()
  readonly events = new Hub<InboundEvent>()
  readonly sessionEnds = new Hub<SessionEnd>()

  close(): void {
    this.connections.close()
    this.disconnections.close()
    this.rooms.close()
    this.broadcasts.close()
    this.events.close()
    this.sessionEnds.close()
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

/** Sends to a namespace. Its encoding changes when the namespace gets a contract. */
class NamespaceTarget implements Target {
  encoding: Encoding = untypedEncoding
  readonly namespace: Reference<Broadcaster>

  constructor(namespace: Reference<Broadcaster>) {
    this.namespace = namespace
  }
}

/**
 * A namespace of a server. Clients may wait for it, or the application use it, before a layer
 * serves it. A dynamic namespace is there while it has sockets.
 */
export class NamespaceRuntime
  implements SocketNamespace, Broadcaster, Entrance<Connection>, Reference<NamespaceRuntime>
{
  readonly name: string
  readonly environment: Environment
  readonly sockets = new Map<string, SocketRuntime>()
  readonly durations = new Map<string, DurationSeries>()
  readonly serverEvents: ServerEvents = new ServerEvents(this)
  /** Sends any event. */
  readonly untypedTarget: Target = new NamespaceTarget(this)
  /** Sends the contract's events. */
  readonly target = new NamespaceTarget(this)
  /** The application's handles. Each is made at its first use. */
  readonly handles: { typed?: NamespaceHandle<any>; untyped?: NamespaceHandle<any> } = {}
  /** The layer that serves it, if there is one. */
  private state: Absent | Awaited | Served | Dynamic = { _tag: "Absent", last: undefined }
  /**
   * The time in which a dynamic namespace is open. It is not a part of the state: it may outlast
   * its layer while it closes, and the next layer's waits for it.
   */
  instance: NamespaceInstance | undefined
  /**
   * A layer of its own serves it, or has served it. It stays from then on, because handles refer to
   * it.
   */
  stays = false
  /** The uses in progress for which it must exist. */
  retained = 0
  /** The running streams that go on after a dynamic namespace of this name has closed. */
  watchers = 0
  private currentContract: CompiledContract | undefined
  private readonly owner: NamespaceOwner
  /** The clients that are not admitted yet, with their deadlines, or whose builders are at work. */
  private readonly connecting = new Map<SocketRuntime, AdmissionDeadline | undefined>()
  /** The recovery of its clients, if it is on. */
  readonly recovery: Recovery<SocketRuntime> | undefined
  private lazyHubs: Hubs | undefined
  private lazyAdapter: Adapter | undefined
  private adapterScope: Scope.Closeable | undefined
  private ackIds = 0

  constructor(name: string, environment: Environment, owner: NamespaceOwner) {
    this.name = name
    this.environment = environment
    this.owner = owner
    const { adapters, recovery } = environment
    if (recovery === undefined) this.recovery = undefined
    else this.recovery = adapters.sharesLog ? new SharedRecovery(this, recovery) : new NamespaceRecovery(this, recovery)
  }

  // ---------------------------------------------------------------- layers

  /** The layer that serves it now. */
  get registration(): Registration | undefined {
    const { state } = this
    return state._tag === "Served" || state._tag === "Dynamic" ? state.registration : undefined
  }

  get isRegistered(): boolean {
    return this.registration !== undefined
  }

  /**
   * Whether a layer has served it before: clients should then come back rather than give up.
   */
  get wasServed(): boolean {
    const { state } = this
    return state._tag === "Served" || state._tag === "Dynamic" || state.last !== undefined
  }

  /** The dynamic namespaces of which it is one, or was. */
  get group(): NamespaceGroup | undefined {
    const { state } = this
    const service = state._tag === "Absent" || state._tag === "Awaited" ? state.last : state
    return service?._tag === "Dynamic" ? service.group : undefined
  }

  /** Its name in metrics: dynamic namespaces go by their pattern, as clients choose the names. */
  get label(): string {
    return this.group?.label ?? this.name
  }

  get params(): Readonly<Record<string, unknown>> {
    return this.group?.params(this.name) ?? {}
  }

  /** A layer of its own serves it from now on. */
  serve(registration: Registration): void {
    this.joinCluster()
    this.stays = true
    this.register({ _tag: "Served", registration })
    // An earlier close was not that of the server.
    this.environment.closing.forgetShutdown()
  }

  /** It is one of a layer's dynamic namespaces from now on. It joins the cluster when it opens. */
  joinGroup(group: NamespaceGroup, registration: Registration): void {
    this.register({ _tag: "Dynamic", group, registration })
  }

  private register(service: Served | Dynamic): void {
    const { state } = this
    const { contract } = service.registration
    this.state = service
    if (!contract.untyped) this.replaceContract(contract)
    if (state._tag === "Awaited") state.change.openUnsafe()
    this.owner.notAwaited(this)
  }

  /**
   * The layer has closed. Its clients, and those being admitted, lose their connection, so that
   * they can come back to the next layer.
   */
  unregister(): void {
    const { state } = this
    if (state._tag !== "Served" && state._tag !== "Dynamic") return
    this.state = { _tag: "Absent", last: state }
    for (const socket of [...this.connecting.keys(), ...this.sockets.values()]) {
      socket.connection.session.closeUnsafe("server shutting down")
    }
  }

  /**
   * Waits until a layer may serve it, up to `millis` milliseconds. Returns whether the wait was in
   * vain.
   */
  awaitChange(millis: number): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      let { state } = this
      if (state._tag === "Served" || state._tag === "Dynamic") return Effect.succeed(false)
      if (state._tag === "Absent") {
        this.state = state = { _tag: "Awaited", last: state.last, change: Latch.makeUnsafe(false) }
      }
      return Effect.map(
        Effect.timeoutOption(state.change.await, Duration.millis(millis)),
        (result) => result._tag === "None"
      )
    })
  }

  /** A layer may serve it: waiting clients check again. */
  announceChange(): void {
    const { state } = this
    if (state._tag !== "Awaited") return
    this.state = { _tag: "Absent", last: state.last }
    state.change.openUnsafe()
  }

  // ---------------------------------------------------------------- contract

  /** The contract that declares its events: its layer's, or of the handle that uses it. */
  get contract(): CompiledContract | undefined {
    return this.currentContract
  }

  /**
   * A handle uses it with a contract. Throws if its layer has a contract with other events. An
   * untyped contract fits every layer, and every contract fits an untyped layer.
   */
  setContract(contract: CompiledContract): void {
    if (contract === this.currentContract || contract.untyped) return
    const served = this.registration?.contract
    if (served === undefined || served.untyped) return this.replaceContract(contract)
    if (declareTheSame(served, contract)) return
    throw new Error(`namespace "${this.name}" is used with a contract that is not its layer's: their events differ`)
  }

  private replaceContract(contract: CompiledContract): void {
    this.currentContract = contract
    this.target.encoding = encodingOf(contract)
  }

  // ---------------------------------------------------------------- adapter

  /** Made when it is first used; the other servers of a cluster know of this one from then on. */
  get adapter(): Adapter {
    return (this.lazyAdapter ??= this.makeAdapter())
  }

  /** Makes the adapter before its first use: other servers may send to this one. */
  joinCluster(): void {
    this.lazyAdapter ??= this.makeAdapter()
  }

  private makeAdapter(): Adapter {
    const { adapters, runFork, scope } = this.environment
    this.adapterScope ??= Scope.forkUnsafe(scope)
    const fiber = runFork(Scope.provide(adapters(this.host), this.adapterScope))
    const exit = fiber.pollUnsafe()
    if (exit === undefined) {
      fiber.interruptUnsafe()
      throw new Error(`the factory of adapters must not suspend, but did for "${this.name}"`)
    }
    if (exit._tag === "Failure") throw Cause.squash(exit.cause)
    return exit.value
  }

  /**
   * Whether it is certainly empty: a namespace that is served here has its adapter, and one that is
   * not may be served by other servers.
   */
  private get isDeserted(): boolean {
    return this.lazyAdapter === undefined && this.environment.isAlone
  }

  /** The namespace, as the adapter sees it. */
  private get host(): Host {
    const isWatched = () => this.lazyHubs !== undefined && this.lazyHubs.rooms.isWatched
    return {
      namespace: this.name,
      sockets: this.sockets,
      encode: (packet, flags, selection) =>
        this.recovery === undefined
          ? this.encode(packet, undefined, flags)
          : this.recovery.broadcast(packet, flags, selection),
      encodeForAck: (packet, flags) => {
        const id = this.nextAckId()
        return { encoded: this.encode(packet, id, flags), id }
      },
      away: this.recovery?.away,
      order: this.recovery?.order,
      recovery: this.recovery?.host,
      get watchesRooms() {
        return isWatched()
      },
      onRoomChange: (change) => this.lazyHubs?.rooms.publish(change),
      onServerEvent: (data, reply, trace) => this.serverEvents.receive(data, reply, trace)
    }
  }

  private encode(packet: BroadcastPacket, id: number | undefined, { compress }: BroadcastFlags): EncodedEvent {
    const { wire } = this.environment
    const encoded = wire.broadcast(this.name, packet, id, compress)
    const form = withTrace(packet, this.contract)
    if (form !== undefined) encoded.makeTraced = () => wire.broadcast(this.name, form, id, compress).message
    return encoded
  }

  /** Acknowledgement ids are the namespace's, so that a broadcast can ask all by the same id. */
  nextAckId(): number {
    return this.ackIds++
  }

  // ---------------------------------------------------------------- as a reference to itself

  get current(): NamespaceRuntime {
    return this
  }

  use<A, E, R>(act: (namespace: NamespaceRuntime) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return act(this)
  }

  stream<A, E, R>(read: (namespace: NamespaceRuntime) => Stream.Stream<A, E, R>): Stream.Stream<A, E, R> {
    return read(this)
  }

  watch<A, E>(read: (namespace: NamespaceRuntime) => Stream.Stream<A, E>): Stream.Stream<A, E> {
    return read(this)
  }

  get scoped(): Effect.Effect<NamespaceRuntime> {
    return Effect.succeed(this)
  }

  // ---------------------------------------------------------------- broadcasts

  /** The hubs of its news. */
  get hubs(): Hubs {
    return (this.lazyHubs ??= new Hubs())
  }

  get emissions(): Hub<Emission> {
    return this.hubs.broadcasts
  }

  broadcast(
    packet: BroadcastPacket,
    selection: Selection,
    flags: BroadcastFlags,
    encoding: Encoding,
    emitted: ReadonlyArray<unknown>
  ): Effect.Effect<void> {
    if (this.lazyHubs?.broadcasts.isWatched) this.publishBroadcast(packet, selection, encoding, emitted)
    if (this.isDeserted) return this.check(packet, flags)
    const sent = this.isTraced(encoding)
      ? traced((trace) => this.adapter.broadcast({ ...packet, trace }, selection, flags))
      : this.adapter.broadcast(packet, selection, flags)
    if (!this.environment.options.suspends || flags.volatile) return sent
    return Effect.andThen(sent, this.awaitCapacity(selection))
  }

  broadcastWithAck(
    packet: BroadcastPacket,
    selection: Selection,
    flags: BroadcastFlags,
    encoding: Encoding,
    emitted: ReadonlyArray<unknown>
  ): Stream.Stream<Acknowledgement, ServersMissingError> {
    if (this.lazyHubs?.broadcasts.isWatched) this.publishBroadcast(packet, selection, encoding, emitted)
    if (this.isDeserted) return Stream.fromEffectDrain(this.check(packet, flags))
    if (!this.isTraced(encoding)) return this.adapter.broadcastWithAck(packet, selection, flags)
    return Stream.unwrap(
      traced((trace) => Effect.sync(() => this.adapter.broadcastWithAck({ ...packet, trace }, selection, flags)))
    )
  }

  /** Whether broadcasts may have the trace context of their emitter. */
  private isTraced({ isDeclared }: Encoding): boolean {
    return isDeclared && this.environment.observer.tracing !== undefined
  }

  check(packet: BroadcastPacket, flags: BroadcastFlags): Effect.Effect<void> {
    return Effect.sync(() => void this.encode(packet, undefined, flags))
  }

  ask<A, E>(ofNobody: A, question: (adapter: Adapter) => Effect.Effect<A, E>): Effect.Effect<A, E> {
    return this.isDeserted ? Effect.succeed(ofNobody) : question(this.adapter)
  }

  /** The same for a stream: where the namespace is certain to be empty, so is the stream. */
  askAll<A, E>(question: (adapter: Adapter) => Stream.Stream<A, E>): Stream.Stream<A, E> {
    return this.isDeserted ? Stream.empty : question(this.adapter)
  }

  /** Waits until the outboxes of all selected sockets of this server have capacity. */
  private awaitCapacity(selection: Selection): Effect.Effect<void> {
    return Effect.flatMap(this.adapter.localSockets(selection), (sockets) => {
      const full = (sockets as ReadonlyArray<SocketRuntime>).filter((socket) => !socket.hasCapacity)
      return full.length === 0 ? Effect.void : Effect.forEach(full, (socket) => socket.awaitCapacity, { discard: true })
    })
  }

  private publishBroadcast(
    { data }: BroadcastPacket,
    selection: Selection,
    { isDeclared }: Encoding,
    [payload]: ReadonlyArray<unknown>
  ): void {
    const declared = isDeclared ? { payload } : undefined
    this.hubs.broadcasts.publish({ data: data as Emission["data"], declared, selection })
  }

  // ---------------------------------------------------------------- events

  get watchesEvents(): boolean {
    return this.lazyHubs?.events.isWatched === true
  }

  /**
   * An event of a client has come. This costs nothing while there are no readers of the events of
   * all sockets.
   */
  publishEvent(
    socket: SocketRuntime,
    event: string,
    value: unknown,
    data: ReadonlyArray<unknown>,
    isDeclared: boolean
  ): void {
    if (this.watchesEvents) this.lazyHubs!.events.publish({ socket, event, value, data, isDeclared })
  }

  // ---------------------------------------------------------------- clients

  connect(connection: Connection, auth: Auth, authBytes: number): void {
    const socket = new SocketRuntime(this.idFor(connection), connection, this, auth, authBytes)
    connection.add(socket, authBytes)
    this.connecting.set(socket, undefined)
    this.instance?.onOccupied()
    socket.launch(
      () => this.owner.admit(this, socket),
      () => {
        this.onAdmissionOver(socket)
        this.connecting.delete(socket)
        this.onLeft()
      }
    )
    if (!socket.isConnecting) return
    // Its admission takes time. Most do not, and have no deadline.
    const deadline = new AdmissionDeadline(socket)
    this.connecting.set(socket, deadline)
    this.environment.wheel.schedule(deadline, this.environment.options.connectTimeout)
  }

  private idFor(connection: Connection): string {
    if (!connection.isLegacy) return this.environment.generateId()
    // Clients of protocol 4 know their id before they are told.
    return this.name === "/" ? connection.session.id : `${this.name}#${connection.session.id}`
  }

  forgetIfUnused(): void {
    this.owner.forgetIfUnused(this)
  }

  /** A socket is admitted, or never will be. */
  onAdmissionOver(socket: SocketRuntime): void {
    const deadline = this.connecting.get(socket)
    if (deadline !== undefined) this.environment.wheel.cancel(deadline)
  }

  add(socket: SocketRuntime): void {
    this.sockets.set(socket.id, socket)
  }

  /** A socket's handlers are there. */
  onReady(socket: SocketRuntime): void {
    this.lazyHubs?.connections.publish(socket)
  }

  remove(socket: SocketRuntime, reason: DisconnectReason): void {
    if (!this.sockets.delete(socket.id)) return
    this.lazyHubs?.disconnections.publish({ id: socket.id, reason })
    this.onLeft()
  }

  /** A socket that has ended leaves all rooms. A failure of the adapter affects nothing else. */
  leaveAll(socket: SocketRuntime): void {
    this.runGuarded(socket, "leaving the rooms failed", () => this.adapter.leaveAll(socket))
  }

  /** A client that has come back is in its rooms again. */
  rejoin(socket: SocketRuntime, rooms: ReadonlyArray<string>): void {
    this.runGuarded(socket, "joining the rooms again failed", () => this.adapter.join(socket, rooms))
  }

  restore(socket: SocketRuntime, rooms: ReadonlyArray<string>): void {
    this.adapter.restore!(socket, rooms)
  }

  decodeData(data: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    return this.target.encoding.decodeData(data)
  }

  /** Runs an effect of the adapter. Its failure affects nothing else. */
  private runGuarded(socket: SocketRuntime, message: string, effect: () => Effect.Effect<void>): void {
    const { observer, runFork } = this.environment
    runFork(
      Effect.catchCause(Effect.suspend(effect), (cause) =>
        Effect.sync(() => observer.error(message, cause, socket.annotations, undefined))
      )
    )
  }

  /** A session cannot be recovered any more. */
  onSessionEnd(sid: string, reason: SessionEnd["reason"]): void {
    this.lazyHubs?.sessionEnds.publish({ sid, reason })
  }

  /** Whether it has no clients, and none is being admitted. */
  get isEmpty(): boolean {
    return this.connecting.size === 0 && this.sockets.size === 0
  }

  private onLeft(): void {
    if (!this.isEmpty) return
    const { instance } = this
    if (instance === undefined) this.owner.forgetIfUnused(this)
    else if (!instance.isClosing) instance.onEmpty()
  }

  // ---------------------------------------------------------------- end

  /** Whether nothing needs it. */
  get isUnused(): boolean {
    const isAwaited = this.recovery?.isAwaiting === true
    return !this.stays && this.retained === 0 && this.isEmpty && this.instance === undefined && !isAwaited
  }

  /** Its instance has closed. */
  onInstanceClosed(): void {
    this.instance = undefined
    // Streams of the name, rather than of the instance, go on with the next one.
    if (!this.stays && this.watchers === 0) this.lazyHubs?.close()
  }

  /** The server has forgotten it. */
  dispose(): void {
    const { adapterScope, group } = this
    group?.release(this)
    this.lazyHubs?.close()
    if (adapterScope === undefined) return
    this.environment.closing.close(adapterScope, { annotations: { namespace: this.name }, culprit: group })
  }
}

/** Whether two contracts declare the same events, as those do that differ in middleware alone. */
const declareTheSame = ({ contract: one }: CompiledContract, { contract: other }: CompiledContract): boolean =>
  one.clientToServer === other.clientToServer &&
  one.serverToClient === other.serverToClient &&
  one.serverToServer === other.serverToServer
