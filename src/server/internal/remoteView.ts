import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

import type { SocketDetails } from "../../adapter/Adapter.ts"
import type { Handshake } from "../../Handshake.ts"
import { unsent } from "../../internal/decodeAck.ts"
import { AckError } from "../../SocketIoError.ts"
import type { PlainRemoteSocket, RoomSelection } from "../BroadcastOperator.ts"
import type { Operator } from "./operator.ts"
import type { BroadcastTarget } from "./targets.ts"

/** A socket on any server: what was known of it when it was fetched, and how it is reached. */
export class RemoteView implements PlainRemoteSocket {
  readonly id: string
  readonly handshake: Handshake
  readonly rooms: ReadonlySet<string>
  readonly data: Readonly<Record<string, any>>
  private readonly self: Operator

  constructor(target: BroadcastTarget, self: Operator, details: SocketDetails) {
    this.id = details.id
    this.handshake = details.handshake
    this.rooms = details.rooms
    this.data = target.decodeData(details.data)
    this.self = self
  }

  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void> {
    return this.self.emit(event, ...args)
  }

  emitWithAck(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<any, any> {
    const answered = Effect.flatMap(Stream.runHead(this.self.emitWithAck(event, ...args)), (answer) =>
      Option.isNone(answer)
        ? Effect.fail(new AckError({ event, reason: { _tag: "Disconnected" } }))
        : Effect.fromResult(answer.value.response)
    )
    return Effect.catchDefect(answered, (defect) => unsent(event, Cause.die(defect)))
  }

  join(rooms: RoomSelection): Effect.Effect<void> {
    return this.self.socketsJoin(rooms)
  }

  leave(rooms: RoomSelection): Effect.Effect<void> {
    return this.self.socketsLeave(rooms)
  }

  disconnect(options?: { readonly close?: boolean }): Effect.Effect<void> {
    return this.self.disconnectSockets(options)
  }
}
