import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"

import type { BroadcastFlags } from "../../adapter/Adapter.ts"
import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { Handshake } from "../../Handshake.ts"
import { SESSION, type SocketSession, type WithSession } from "../../internal/socketSession.ts"
import type { StreamOptions } from "../../StreamOptions.ts"
import type { RoomSelection } from "../BroadcastOperator.ts"
import type { ConnectedSocket, ServerConnection } from "../ServerConnection.ts"
import type { EventRefused, IncomingEvent, ServerSocket, SocketRecovery } from "../ServerSocket.ts"
import type { Connection } from "./connection.ts"
import { ConnectionView } from "./connectionView.ts"
import { DECLARED, UNDECLARED } from "./eventStreams.ts"
import type { Member } from "./members.ts"
import { allBut, noFlags, type Operator } from "./operator.ts"
import type { RunFork, Target } from "./ports.ts"
import { reauthorize } from "./reauthorize.ts"
import type { SocketRuntime } from "./socket.ts"
import { checkDeclared } from "./socketDetails.ts"
import { sessionPortOf } from "./socketSession.ts"

/** The socket as the application sees it: with its contract's events, or with all others. */
export const viewOf = (socket: SocketRuntime, isUntyped: boolean): ServerSocket<any> =>
  isUntyped ? (socket.untypedView ??= new SocketView(socket, true)) : (socket.view ??= new SocketView(socket, false))

/** A connection in the form in which the application gets it. */
export const connectionOf = (connection: Connection): ServerConnection =>
  (connection.holder ??= new ConnectionView(connection, connectedSocketOf)) as ConnectionView

/** All members of a connection are sockets; the connection uses fewer of their methods. */
const connectedSocketOf = (member: Member): ConnectedSocket => {
  const socket = member as SocketRuntime
  return viewOf(socket, socket.contract?.untyped === true)
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

/** The one implementation of sockets; contracts only narrow its type. */
class SocketView extends Inspectable.Class implements ServerSocket<any>, WithSession {
  // Not enumerable, so that logging a socket does not show its whole server.
  readonly #socket: SocketRuntime
  /** Whether it has the events that no contract declares. */
  readonly #isUntyped: boolean

  constructor(socket: SocketRuntime, isUntyped: boolean) {
    super()
    this.#socket = socket
    this.#isUntyped = isUntyped
  }

  private get target(): Target {
    const { namespace } = this.#socket
    return this.#isUntyped ? namespace.untypedTarget : namespace.target
  }

  get [SESSION](): SocketSession {
    return sessionPortOf(this.#socket)
  }

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

  get recovered(): boolean {
    return this.#socket.resumption?._tag === "Resumed"
  }

  get recovery(): Option.Option<SocketRecovery> {
    const { resumption } = this.#socket
    if (resumption?._tag !== "Resumed") return Option.none()
    const { missed, outage } = resumption
    return Option.some({ missed, outage: Duration.millis(outage) })
  }

  get recoverable(): boolean {
    return this.#socket.recoverable !== undefined
  }

  get transport(): string {
    return this.#socket.connection.session.transport
  }

  get connected(): boolean {
    return this.#socket.isConnected
  }

  get ready(): boolean {
    return this.#socket.dispatch.isReady
  }

  get rooms(): ReadonlySet<string> {
    return this.#socket.rooms
  }

  get auth(): any {
    return this.#socket.auth
  }

  get params(): any {
    return this.#socket.namespace.params
  }

  get data(): Readonly<Record<string, any>> {
    return this.#socket.data
  }

  get untyped(): ServerSocket<any> {
    return viewOf(this.#socket, true)
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

  reauthorize<E, R>(may: (room: string) => Effect.Effect<boolean, E, R>): Effect.Effect<ReadonlyArray<string>, E, R> {
    return reauthorize(this.#socket, may)
  }

  onAuth<E, R>(handler: (service: any) => Effect.Effect<unknown, E, R>): Effect.Effect<void, never, R | Scope.Scope> {
    return adding(this.#socket, (run) => {
      const { rights } = this.#socket
      return rights?.addHandler({ run, handle: (_event, [service]) => handler(service) }) ?? (() => {})
    })
  }

  disconnect(options?: { readonly close?: boolean }): Effect.Effect<void> {
    return Effect.sync(() => this.#socket.disconnectUnsafe(options?.close === true))
  }

  setData(data: Readonly<Record<string, unknown>>): Effect.Effect<void> {
    return Effect.sync(() => {
      const { contract, namespace } = this.#socket
      if (!this.#isUntyped) checkDeclared(contract, namespace.name, data)
      this.#socket.setData(data)
    })
  }

  use<R>(
    middleware: (event: IncomingEvent) => Effect.Effect<unknown, EventRefused, R>
  ): Effect.Effect<void, never, R | Scope.Scope> {
    return adding(this.#socket, (_run, context) => this.#socket.dispatch.addMiddleware({ context, check: middleware }))
  }

  onAny<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope> {
    return adding(this.#socket, (run) => this.#socket.dispatch.addAnyHandler({ run, handle: handler }))
  }

  onAnyOutgoing<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope> {
    return adding(this.#socket, (run) => this.#socket.addOutgoingHandler({ run, handle: handler }))
  }

  onDisconnecting<E, R>(
    handler: (reason: DisconnectReason) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope> {
    return adding(this.#socket, (run) =>
      this.#socket.addDisconnectingHandler({ run, handle: (reason) => handler(reason as DisconnectReason) })
    )
  }

  on<E, R>(
    event: string,
    handler: (...args: ReadonlyArray<any>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope> {
    return adding(this.#socket, (run) => {
      this.check(event)
      return this.#socket.dispatch.addHandler(event, { run, handle: (_event, args) => handler(...args) })
    })
  }

  once<E, R>(
    event: string,
    handler: (...args: ReadonlyArray<any>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope> {
    return adding(this.#socket, (run) => {
      this.check(event)
      const remove = this.#socket.dispatch.addHandler(event, {
        run,
        handle: (_event, args) => {
          remove()
          return handler(...args)
        }
      })
      return remove
    })
  }

  // The policy says whether a stream fails.

  stream(event: string, options?: StreamOptions): Stream.Stream<any, any> {
    return Stream.unwrap(this.subscribe(event, options))
  }

  subscribe(event: string, options?: StreamOptions): Effect.Effect<Stream.Stream<any, any>, never, Scope.Scope> {
    return Effect.suspend(() => {
      this.check(event)
      return this.#socket.dispatch.subscribe(event, options)
    })
  }

  events(options?: StreamOptions): Stream.Stream<any, any> {
    return Stream.unwrap(this.#socket.dispatch.subscribe(this.#isUntyped ? UNDECLARED : DECLARED, options))
  }

  /** Throws on an event that this form of the socket does not have. */
  private check(event: string): void {
    const { contract, namespace } = this.#socket
    const isDeclared = contract?.incoming.has(event) === true
    if (isDeclared !== this.#isUntyped) return
    throw new Error(
      isDeclared
        ? `"${event}" is an event of the contract: use the contract's socket`
        : `"${event}" is not among the events that clients send to "${namespace.name}"`
    )
  }

  override toJSON(): unknown {
    const { connected, id, namespace, transport } = this
    return { _id: "ServerSocket", id, namespace, transport, connected }
  }

  private get emitter(): Emitter {
    return new Emitter(this.#socket, this.target, noFlags)
  }
}

/**
 * Adds something to a socket until the current scope closes. It runs in the context in which it is
 * added.
 *
 * The socket's own scope has no finalizer for it: nothing is called after the socket's end, and
 * builders, which make most of these additions, add no memory to an idle connection.
 */
const adding = <R>(
  socket: SocketRuntime,
  add: (run: RunFork, context: Context.Context<any>) => () => void
): Effect.Effect<void, never, R | Scope.Scope> =>
  Effect.contextWith((context: Context.Context<R | Scope.Scope>) =>
    Effect.suspend(() => {
      const run = runnerOf(socket, context)
      const scope = Context.get(context, Scope.Scope)
      if (scope === socket.scope) {
        add(run, context)
        return Effect.void
      }
      let fibers: Set<Fiber.Fiber<any, any>> | undefined
      let isOver = false
      const remove = add((effect) => {
        const fiber = run(effect)
        if (fiber.pollUnsafe() !== undefined) return fiber
        // Its first steps may have closed the scope.
        if (isOver) fiber.interruptUnsafe()
        const running = (fibers ??= new Set())
        running.add(fiber)
        fiber.addObserver(() => void running.delete(fiber))
        return fiber
      }, context)
      const release = Effect.sync(() => {
        isOver = true
        remove()
        if (fibers !== undefined) for (const fiber of fibers) fiber.interruptUnsafe()
      })
      // The socket's end closes it.
      if (isWithin(scope, socket.scope)) return Scope.addFinalizer(scope, release)
      return whenEither(scope, socket.scope, release)
    })
  )

/** Runs effects in a context, with the services that refreshes have replaced, if there are any. */
const runnerOf = (socket: SocketRuntime, context: Context.Context<any>): RunFork =>
  socket.contract?.refreshes === undefined
    ? (Effect.runForkWith(context) as RunFork)
    : (effect) => Effect.runForkWith(socket.current(context))(effect)

/** Whether a scope was forked from another one, at any depth, so that it closes with it. */
const isWithin = (scope: Scope.Scope, outer: Scope.Scope): boolean => {
  for (let at = scope.parent; at !== undefined; at = at.parent) if (at === outer) return true
  return false
}

/**
 * Runs a finalizer when the first of two scopes closes. The other scope keeps no reference then.
 */
const whenEither = (one: Scope.Scope, two: Scope.Scope, finalizer: Effect.Effect<void>): Effect.Effect<void> => {
  const first = Scope.forkUnsafe(one)
  const second = Scope.forkUnsafe(two)
  return Effect.andThen(
    Scope.addFinalizer(first, Effect.andThen(finalizer, Scope.close(second, Exit.void))),
    Scope.addFinalizer(second, Scope.close(first, Exit.void))
  )
}
