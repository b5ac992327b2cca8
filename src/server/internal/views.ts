import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"

import type { BroadcastFlags } from "../../adapter/Adapter.ts"
import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { Handshake } from "../../Handshake.ts"
import type { StreamOptions } from "../../StreamOptions.ts"
import type { RoomSelection } from "../BroadcastOperator.ts"
import type { ConnectedSocket, ServerConnection } from "../ServerConnection.ts"
import type { EventRefused, IncomingEvent, PlainSocket, ServerSocket } from "../ServerSocket.ts"
import type { Connection, Member } from "./connection.ts"
import { ConnectionView } from "./connectionView.ts"
import { DECLARED, UNDECLARED } from "./eventStreams.ts"
import { allBut, noFlags, type Operator } from "./operator.ts"
import type { RunFork, Target } from "./ports.ts"
import type { SocketRuntime } from "./socket.ts"

/** The socket in the form in which a namespace's application gets it. */
export const viewOf = (socket: SocketRuntime, isPlain: boolean): any =>
  isPlain ? plainViewOf(socket) : contractViewOf(socket)

const contractViewOf = (socket: SocketRuntime): ServerSocket<any> => (socket.contractView ??= new ContractView(socket))

const plainViewOf = (socket: SocketRuntime): PlainSocket => (socket.plainView ??= new PlainView(socket))

/** A connection in the form in which the application gets it. */
export const connectionOf = (connection: Connection): ServerConnection =>
  (connection.holder ??= new ConnectionView(connection, connectedSocketOf)) as ConnectionView

/** All members of a connection are sockets: the connection knows less of them. */
const connectedSocketOf = (member: Member): ConnectedSocket => {
  const socket = member as SocketRuntime
  return viewOf(socket, socket.contract === undefined)
}

/** Sends to one socket with flags; contracts only narrow its type. */
class Emitter extends Inspectable.Class {
  private readonly socket: SocketRuntime
  private readonly target: Target
  private readonly flags: BroadcastFlags

  constructor(socket: SocketRuntime, target: Target, flags: BroadcastFlags) {
    super()
    this.socket = socket
    this.target = target
    this.flags = flags
  }

  get volatile(): Emitter {
    return new Emitter(this.socket, this.target, { ...this.flags, volatile: true })
  }

  compress(compress: boolean): Emitter {
    return new Emitter(this.socket, this.target, { ...this.flags, compress })
  }

  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void> {
    return this.socket.emit(this.target, event, args, this.flags)
  }

  emitWithAck(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<any, any> {
    return this.socket.emitWithAck(this.target, event, args, this.flags)
  }

  sink(event: string): Sink.Sink<void, any> {
    return Sink.forEach((value) => this.emit(event, ...this.target.encoding.argumentsOf(value)))
  }

  override toJSON(): unknown {
    const { compress, volatile } = this.flags
    return { _id: "SocketEmitter", id: this.socket.id, namespace: this.socket.namespace.name, volatile, compress }
  }
}

/** The members that a socket has with and without a contract. */
abstract class View extends Inspectable.Class {
  // Not enumerable, so that a socket that is logged does not show its whole server.
  readonly #socket: SocketRuntime

  constructor(socket: SocketRuntime) {
    super()
    this.#socket = socket
  }

  protected get runtime(): SocketRuntime {
    return this.#socket
  }

  /** The target of its events. */
  protected abstract readonly target: Target

  get id(): string {
    return this.#socket.id
  }

  get namespace(): string {
    return this.#socket.namespace.name
  }

  get handshake(): Handshake {
    return this.#socket.handshake
  }

  get connection(): ServerConnection {
    return connectionOf(this.#socket.connection)
  }

  get transport(): string {
    return this.#socket.connection.session.transport
  }

  get connected(): boolean {
    return this.#socket.isConnected
  }

  get rooms(): ReadonlySet<string> {
    return this.#socket.rooms
  }

  get data(): Readonly<Record<string, any>> {
    return this.#socket.data
  }

  get disconnected(): Effect.Effect<DisconnectReason> {
    return this.#socket.disconnected
  }

  get broadcast(): Operator {
    return allBut(this.target, this.#socket.id)
  }

  get volatile(): Emitter {
    return this.emitter.volatile
  }

  compress(compress: boolean): Emitter {
    return this.emitter.compress(compress)
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

  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void> {
    return this.#socket.emit(this.target, event, args, noFlags)
  }

  emitWithAck(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<any, any> {
    return this.#socket.emitWithAck(this.target, event, args, noFlags)
  }

  sink(event: string): Sink.Sink<void, any> {
    return this.emitter.sink(event)
  }

  join(rooms: RoomSelection): Effect.Effect<void> {
    return this.#socket.join(rooms)
  }

  leave(rooms: RoomSelection): Effect.Effect<void> {
    return this.#socket.leave(rooms)
  }

  disconnect(options?: { readonly close?: boolean }): Effect.Effect<void> {
    return Effect.sync(() => this.#socket.disconnectUnsafe(options?.close === true))
  }

  use<R>(middleware: (event: IncomingEvent) => Effect.Effect<unknown, EventRefused, R>): Effect.Effect<void, never, R> {
    return Effect.contextWith((context) =>
      Effect.sync(() => this.#socket.dispatch.addMiddleware({ context, check: middleware }))
    )
  }

  onAny<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R> {
    return withRunner((run) => this.#socket.dispatch.addAnyHandler({ run, handle: handler }))
  }

  onAnyOutgoing<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R> {
    return withRunner((run) => this.#socket.addOutgoingHandler({ run, handle: handler }))
  }

  onDisconnecting<E, R>(
    handler: (reason: DisconnectReason) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R> {
    return withRunner((run) =>
      this.#socket.addDisconnectingHandler({ run, handle: (reason) => handler(reason as DisconnectReason) })
    )
  }

  // The policy says whether a stream fails.

  stream(event: string, options?: StreamOptions): Stream.Stream<any, any> {
    return Stream.unwrap(this.subscribe(event, options))
  }

  abstract subscribe(event: string, options?: StreamOptions): Effect.Effect<Stream.Stream<any, any>, never, Scope.Scope>

  abstract events(options?: StreamOptions): Stream.Stream<any, any>

  override toJSON(): unknown {
    const { connected, id, namespace, transport } = this
    return { _id: "ServerSocket", id, namespace, transport, connected }
  }

  private get emitter(): Emitter {
    return new Emitter(this.#socket, this.target, noFlags)
  }
}

/** A socket of a namespace with a contract. */
class ContractView extends View implements ServerSocket<any> {
  protected get target(): Target {
    return this.runtime.namespace.contractTarget
  }

  get auth(): any {
    return this.runtime.auth
  }

  get params(): any {
    return this.runtime.namespace.params
  }

  get plain(): PlainSocket {
    return plainViewOf(this.runtime)
  }

  setData(data: Readonly<Record<string, unknown>>): Effect.Effect<void> {
    return Effect.sync(() => {
      this.runtime.checkDeclared(data)
      this.runtime.setData(data)
    })
  }

  subscribe(event: string, options?: StreamOptions): Effect.Effect<Stream.Stream<any, any>, never, Scope.Scope> {
    return Effect.suspend(() => {
      const { dispatch, namespace } = this.runtime
      if (namespace.registration?.contract?.incoming.has(event) === false) {
        throw new Error(`"${event}" is not among the events that clients send to "${namespace.name}"`)
      }
      return dispatch.subscribe(event, options)
    })
  }

  events(options?: StreamOptions): Stream.Stream<any, any> {
    return Stream.unwrap(this.runtime.dispatch.subscribe(DECLARED, options))
  }
}

/** A socket without its contract. */
class PlainView extends View implements PlainSocket {
  protected get target(): Target {
    return this.runtime.namespace.plainTarget
  }

  setData(data: Readonly<Record<string, unknown>>): Effect.Effect<void> {
    return Effect.sync(() => this.runtime.setData(data))
  }

  on<E, R>(
    event: string,
    handler: (...args: Array<any>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R> {
    return withRunner((run) =>
      this.runtime.dispatch.addHandler(event, { run, handle: (_event, args) => handler(...args) })
    )
  }

  subscribe(event: string, options?: StreamOptions): Effect.Effect<Stream.Stream<any, any>, never, Scope.Scope> {
    return Effect.suspend(() => {
      const { dispatch, namespace } = this.runtime
      if (namespace.registration?.contract?.incoming.has(event)) {
        throw new Error(`"${event}" is an event of the contract: stream it with the contract's socket`)
      }
      return dispatch.subscribe(event, options)
    })
  }

  events(options?: StreamOptions): Stream.Stream<any, any> {
    return Stream.unwrap(this.runtime.dispatch.subscribe(UNDECLARED, options))
  }
}

/** Registers something that runs in the context in which it is registered. */
const withRunner = <R>(register: (run: RunFork) => unknown): Effect.Effect<void, never, R> =>
  Effect.contextWith((context: Context.Context<R>) =>
    Effect.sync(() => void register(Effect.runForkWith(context) as RunFork))
  )
