import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { Handshake } from "../../Handshake.ts"
import type { AckError } from "../../SocketIoError.ts"
import type { RoomSelection } from "../BroadcastOperator.ts"
import type { EventRefused, IncomingEvent, PlainSocket } from "../ServerSocket.ts"
import { Emitter } from "./emitter.ts"
import { everybodyElse, noFlags, type Operator } from "./operator.ts"
import { type SocketRuntime, withRunner } from "./socket.ts"

/** A socket without its contract. */
export class PlainView implements PlainSocket {
  private readonly socket: SocketRuntime

  constructor(socket: SocketRuntime) {
    this.socket = socket
  }

  get id(): string {
    return this.socket.id
  }

  get namespace(): string {
    return this.socket.namespace
  }

  get handshake(): Handshake {
    return this.socket.handshake
  }

  get transport(): string {
    return this.socket.transport
  }

  get connected(): boolean {
    return this.socket.connected
  }

  get rooms(): ReadonlySet<string> {
    return this.socket.rooms
  }

  get data(): Readonly<Record<string, any>> {
    return this.socket.data
  }

  get disconnected(): Effect.Effect<DisconnectReason> {
    return this.socket.disconnected
  }

  get broadcast(): Operator {
    return everybodyElse(this.socket.home.plainTarget, this.socket.id)
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

  setData(data: Readonly<Record<string, unknown>>): Effect.Effect<void> {
    return Effect.sync(() => this.socket.setPlainData(data))
  }

  join(rooms: RoomSelection): Effect.Effect<void> {
    return this.socket.join(rooms)
  }

  leave(rooms: RoomSelection): Effect.Effect<void> {
    return this.socket.leave(rooms)
  }

  disconnect(options?: { readonly close?: boolean }): Effect.Effect<void> {
    return this.socket.disconnect(options)
  }

  on<E, R>(
    event: string,
    handler: (...args: Array<any>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R> {
    return withRunner((run) =>
      this.socket.inbound.addHandler(event, { run, handle: (_event, args) => handler(...args) })
    )
  }

  use<R>(middleware: (event: IncomingEvent) => Effect.Effect<unknown, EventRefused, R>): Effect.Effect<void, never, R> {
    return this.socket.use(middleware)
  }

  onAny<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R> {
    return this.socket.onAny(handler)
  }

  onAnyOutgoing<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R> {
    return this.socket.onAnyOutgoing(handler)
  }

  onDisconnecting<E, R>(
    handler: (reason: DisconnectReason) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R> {
    return this.socket.onDisconnecting(handler)
  }

  stream(event: string): Stream.Stream<ReadonlyArray<any>> {
    return Stream.unwrap(this.subscribe(event))
  }

  subscribe(event: string): Effect.Effect<Stream.Stream<ReadonlyArray<any>>, never, Scope.Scope> {
    return Effect.suspend(() => {
      if (this.socket.home.registration?.contract?.incoming.has(event)) {
        throw new Error(`"${event}" is an event of the contract: stream it with the contract's socket`)
      }
      return this.socket.inbound.subscribe(event)
    })
  }

  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void> {
    return this.socket.emitFrom(this.socket.home.plainTarget, event, args, noFlags)
  }

  emitWithAck(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<unknown>, AckError> {
    return this.emitter.emitWithAck(event, ...args)
  }

  private get emitter(): Emitter {
    return new Emitter(this.socket, this.socket.home.plainTarget, noFlags)
  }
}
