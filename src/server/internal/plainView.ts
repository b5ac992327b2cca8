import * as Effect from "effect/Effect"

import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { TransportName } from "../../engine/Transport.ts"
import type { Handshake } from "../../Handshake.ts"
import type { AckError } from "../../SocketIoError.ts"
import type { RoomSelection } from "../BroadcastOperator.ts"
import type { PlainSocket } from "../ServerSocket.ts"
import { everybodyElse, type Operator } from "./operator.ts"
import type { RunFork, SocketRuntime } from "./socket.ts"

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

  get transport(): TransportName {
    return this.socket.transport
  }

  get connected(): boolean {
    return this.socket.connected
  }

  get rooms(): ReadonlySet<string> {
    return this.socket.rooms
  }

  get disconnected(): Effect.Effect<DisconnectReason> {
    return this.socket.disconnected
  }

  get broadcast(): Operator {
    return everybodyElse(this.socket.home.plainTarget, this.socket.id)
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
    return Effect.contextWith((context) =>
      Effect.sync(() =>
        this.socket.addHandler(event, {
          run: Effect.runForkWith(context) as RunFork,
          handle: (_event, args) => handler(...args)
        })
      )
    )
  }

  onAny<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R> {
    return Effect.contextWith((context) =>
      Effect.sync(() => this.socket.addAnyHandler({ run: Effect.runForkWith(context) as RunFork, handle: handler }))
    )
  }

  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void> {
    return Effect.sync(() => this.socket.sendEvent(this.data(event, args), undefined, true))
  }

  emitWithAck(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<unknown>, AckError> {
    return this.socket.request(event, () => this.data(event, args), true)
  }

  private data(event: string, args: ReadonlyArray<unknown>): ReadonlyArray<unknown> {
    return this.socket.home.plainTarget.packet(event, args).data
  }
}
