import * as Effect from "effect/Effect"
import type { EngineSession } from "../../engine/EngineSession.ts"
import type * as Exit from "effect/Exit"
import type * as Stream from "effect/Stream"

import type { InMemoryAdapter } from "../../adapter/InMemoryAdapter.ts"
import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import type { NamespaceHandle, SessionEnd } from "../NamespaceHandle.ts"
import { type ArrivalNamespace, Arrivals } from "./arrivals.ts"
import { NamespaceBroadcaster } from "./broadcaster.ts"
import type { Connection } from "./connection.ts"
import type { DurationSeries } from "./durations.ts"
import { encodingOf, untypedEncoding } from "./encoding.ts"
import type { Environment } from "./environment.ts"
import type { Auth, Entrance } from "./joining.ts"
import { LayerState, type NamespaceGroup } from "./layerState.ts"
import type { Broadcaster, Encoding, Reference, Registration, Target } from "./ports.ts"
import { NamespaceRecovery } from "./recovery.ts"
import type { Recovery } from "./recoveryPorts.ts"
import { ServerEvents } from "./serverEvents.ts"
import { SharedRecovery } from "./sharedRecovery.ts"
import type { SocketRuntime } from "./socket.ts"

/** The parts of the server that a namespace uses. */
export interface NamespaceOwner {
  /** Decides whether a client is admitted, and builds its handlers. */
  readonly admit: (namespace: NamespaceRuntime, socket: SocketRuntime) => Effect.Effect<unknown>
  /** Clients no longer wait for a layer to serve the namespace. */
  notAwaited(namespace: NamespaceRuntime): void
  /** Forgets the namespace if nothing needs it. */
  forgetIfUnused(namespace: NamespaceRuntime): void
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
  extends NamespaceBroadcaster
  implements ArrivalNamespace, Entrance<Connection>, Reference<NamespaceRuntime>
{
  readonly durations = new Map<string, DurationSeries>()
  readonly serverEvents: ServerEvents = new ServerEvents(this)
  /** The layer that serves it, if there is one. */
  readonly layer = new LayerState<NamespaceRuntime>()
  /** The clients that are not admitted yet, or whose builders are at work. */
  readonly arrivals = new Arrivals(this)
  /** Sends any event. */
  readonly untypedTarget: Target = new NamespaceTarget(this)
  /** Sends the contract's events. */
  readonly target = new NamespaceTarget(this)
  /** The application's handles. Each is made at its first use. */
  readonly handles: { typed?: NamespaceHandle<any>; untyped?: NamespaceHandle<any> } = {}
  /**
   * The time in which a dynamic namespace is open. It is not a part of the layer's state: it may
   * outlast its layer while it closes, and the next layer's waits for it.
   */
  instance: NamespaceInstance | undefined
  /** The uses in progress for which it must exist. */
  retained = 0
  /** The running streams that go on after a dynamic namespace of this name has closed. */
  watchers = 0
  private currentContract: CompiledContract | undefined
  private readonly owner: NamespaceOwner
  readonly recovery: Recovery<SocketRuntime> | undefined

  constructor(name: string, environment: Environment, owner: NamespaceOwner) {
    super(name, environment)
    this.owner = owner
    const { adapters, recovery } = environment
    if (recovery === undefined) this.recovery = undefined
    else this.recovery = adapters.sharesLog ? new SharedRecovery(this, recovery) : new NamespaceRecovery(this, recovery)
  }

  // ---------------------------------------------------------------- layers

  get registration(): Registration | undefined {
    return this.layer.registration
  }

  /** The dynamic namespaces of which it is one, or was. */
  get group(): NamespaceGroup<NamespaceRuntime> | undefined {
    return this.layer.group
  }

  /** Whether it stays, as handles refer to it: a layer of its own serves it, or has served it. */
  get stays(): boolean {
    return this.layer.hadOwn
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
    this.begin(registration)
    // An earlier close was not that of the server.
    this.environment.closing.forgetShutdown()
  }

  /** It is one of a layer's dynamic namespaces from now on. It joins the cluster when it opens. */
  joinGroup(group: NamespaceGroup<NamespaceRuntime>, registration: Registration): void {
    this.begin(registration, group)
  }

  private begin(registration: Registration, group?: NamespaceGroup<NamespaceRuntime>): void {
    if (!registration.contract.untyped) this.replaceContract(registration.contract)
    this.layer.begin(registration, group)
    this.owner.notAwaited(this)
  }

  /**
   * The layer has closed. Returns the connections of its clients, and of those being admitted: they
   * are to be closed, so that the clients can come back to the next layer.
   */
  unregister(): ReadonlyArray<EngineSession> {
    if (!this.layer.end()) return []
    return [...this.arrivals.sockets, ...this.sockets.values()].map(({ connection }) => connection.session)
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
    this.instance?.onOccupied()
    this.arrivals.begin(connection, auth, authBytes)
  }

  admit(socket: SocketRuntime): Effect.Effect<unknown> {
    return this.owner.admit(this, socket)
  }

  forgetIfUnused(): void {
    this.owner.forgetIfUnused(this)
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
    // Its own adapter needs no fiber.
    if (this.environment.isAlone) return (this.adapter as InMemoryAdapter).removeAllUnsafe(socket)
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
    const onExit = (exit: Exit.Exit<void>) => {
      if (exit._tag === "Failure") observer.error(message, exit.cause, socket.annotations, undefined)
    }
    // Adapters may throw.
    runFork(Effect.suspend(effect)).addObserver(onExit)
  }

  /** A session cannot be recovered any more. */
  onSessionEnd(sid: string, reason: SessionEnd["reason"]): void {
    this.lazyHubs?.sessionEnds.publish({ sid, reason })
  }

  onSessionLost(sid: string): void {
    this.lazyHubs?.sessionEnds.publish({ sid, reason: "lost" })
  }

  /** Whether it has no clients, and none is being admitted. */
  get isEmpty(): boolean {
    return this.arrivals.isEmpty && this.sockets.size === 0
  }

  onLeft(): void {
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

  onInstanceClosed(): void {
    this.instance = undefined
    // Streams of the name, rather than of the instance, go on with the next one.
    if (!this.stays && this.watchers === 0) this.lazyHubs?.close()
  }

  /** The server has forgotten it. */
  dispose(): void {
    const { group } = this
    group?.release(this)
    this.lazyHubs?.close()
    this.leaveCluster(group)
  }
}

/** Whether two contracts declare the same events, as those do that differ in middleware alone. */
const declareTheSame = ({ contract: one }: CompiledContract, { contract: other }: CompiledContract): boolean =>
  one.clientToServer === other.clientToServer &&
  one.serverToClient === other.serverToClient &&
  one.serverToServer === other.serverToServer
