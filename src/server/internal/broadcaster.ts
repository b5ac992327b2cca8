import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import type {
  Acknowledgement,
  Adapter,
  BroadcastFlags,
  BroadcastPacket,
  Host,
  Selection
} from "../../adapter/Adapter.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import type { Culprit } from "../../internal/lineLimits.ts"
import type { ServersMissingError } from "../../SocketIoError.ts"
import type { Emission } from "./emissions.ts"
import type { Environment } from "./environment.ts"
import type { Hub } from "./hub.ts"
import { NamespaceHubs } from "./namespaceHubs.ts"
import type { Broadcaster, Encoding } from "./ports.ts"
import type { Recovery } from "./recoveryPorts.ts"
import type { ServerEvents } from "./serverEvents.ts"
import type { SocketRuntime } from "./socket.ts"
import { traced, withTrace } from "./tracing.ts"
import type { EncodedEvent } from "./wire.ts"

/**
 * The way of broadcasts to the sockets of one namespace, on this server and on others: through its
 * adapter, and to the readers of its hubs. The namespace inherits it, so that a broadcast takes no
 * step more.
 */
export abstract class NamespaceBroadcaster implements Broadcaster {
  readonly name: string
  readonly environment: Environment
  readonly sockets = new Map<string, SocketRuntime>()
  /** The contract that declares its events, if there is one. */
  abstract readonly contract: CompiledContract | undefined
  /** The recovery of its clients, if it is on. */
  abstract readonly recovery: Recovery<SocketRuntime> | undefined
  abstract readonly serverEvents: ServerEvents
  /** The hubs of its news. Made for the first reader. */
  protected lazyHubs: NamespaceHubs | undefined
  private lazyAdapter: Adapter | undefined
  /** The scope of the adapter, made with it. */
  private adapterScope: Scope.Closeable | undefined
  private ackIds = 0

  constructor(name: string, environment: Environment) {
    this.name = name
    this.environment = environment
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

  /** The server has forgotten the namespace: its adapter closes. */
  protected leaveCluster(culprit: Culprit): void {
    const { adapterScope, environment, name } = this
    if (adapterScope === undefined) return
    environment.closing.close(adapterScope, { annotations: { namespace: name }, culprit })
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

  // ---------------------------------------------------------------- broadcasts

  get hubs(): NamespaceHubs {
    return (this.lazyHubs ??= new NamespaceHubs())
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
}
