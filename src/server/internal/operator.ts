import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

import type { BroadcastFlags, Selection } from "../../adapter/Adapter.ts"
import type { BroadcastAck, PlainBroadcastOperator, RoomSelection } from "../BroadcastOperator.ts"
import type { NamespaceRuntime } from "./namespace.ts"
import { RemoteView } from "./remoteView.ts"
import type { BroadcastTarget } from "./targets.ts"

const none: ReadonlyArray<string> = []

/** What is sent when nothing else is asked for. */
export const noFlags: BroadcastFlags = { volatile: false, local: false, compress: true }

export const asRooms = (rooms: RoomSelection): ReadonlyArray<string> => (typeof rooms === "string" ? [rooms] : rooms)

/** The one implementation of operators; contracts only narrow its type. */
export class Operator implements PlainBroadcastOperator {
  private readonly target: BroadcastTarget
  private readonly selection: Selection
  private readonly flags: BroadcastFlags

  constructor(target: BroadcastTarget, selection: Selection, flags: BroadcastFlags) {
    this.target = target
    this.selection = selection
    this.flags = flags
  }

  to(rooms: RoomSelection): Operator {
    const { except, rooms: before } = this.selection
    return new Operator(this.target, { rooms: [...before, ...asRooms(rooms)], except }, this.flags)
  }

  in(rooms: RoomSelection): Operator {
    return this.to(rooms)
  }

  except(rooms: RoomSelection): Operator {
    const { except, rooms: selected } = this.selection
    return new Operator(this.target, { rooms: selected, except: [...except, ...asRooms(rooms)] }, this.flags)
  }

  get volatile(): Operator {
    return new Operator(this.target, this.selection, { ...this.flags, volatile: true })
  }

  get local(): Operator {
    return new Operator(this.target, this.selection, { ...this.flags, local: true })
  }

  compress(compress: boolean): Operator {
    return new Operator(this.target, this.selection, { ...this.flags, compress })
  }

  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => this.target.broadcast(this.target.packet(event, args), this.selection, this.flags))
  }

  emitWithAck(event: string, ...args: ReadonlyArray<unknown>): Stream.Stream<BroadcastAck<any, never>> {
    return Stream.suspend(() =>
      this.target.broadcastWithAck(this.target.packet(event, args), this.selection, this.flags)
    ).pipe(
      Stream.mapEffect(({ args, sid }) =>
        // What it may fail with is the contract's to say; without one it does not.
        Effect.map(Effect.result(this.target.decodeAck(event, args) as Effect.Effect<any>), (response) => ({
          sid,
          response
        }))
      )
    )
  }

  get size(): Effect.Effect<number> {
    return this.acting(({ adapter }) => adapter.count(this.selection, this.flags.local))
  }

  fetchSockets(): Effect.Effect<ReadonlyArray<RemoteView>> {
    return Effect.map(
      this.acting(({ adapter }) => adapter.fetchSockets(this.selection, this.flags.local)),
      (sockets) => sockets.map((details) => new RemoteView(this.target, everybody(this.target).to(details.id), details))
    )
  }

  socketsJoin(rooms: RoomSelection): Effect.Effect<void> {
    return this.acting(({ adapter }) => adapter.socketsJoin(this.selection, asRooms(rooms), this.flags.local))
  }

  socketsLeave(rooms: RoomSelection): Effect.Effect<void> {
    return this.acting(({ adapter }) => adapter.socketsLeave(this.selection, asRooms(rooms), this.flags.local))
  }

  disconnectSockets(options?: { readonly close?: boolean }): Effect.Effect<void> {
    return this.acting(({ adapter }) =>
      adapter.disconnectSockets(this.selection, options?.close === true, this.flags.local)
    )
  }

  private acting<A>(act: (home: NamespaceRuntime) => Effect.Effect<A>): Effect.Effect<A> {
    return Effect.suspend(() => this.target.namespace.use(act))
  }
}

/** Everybody. */
export const everybody = (target: BroadcastTarget): Operator =>
  new Operator(target, { rooms: none, except: none }, noFlags)

/** Everybody but the socket of an id. */
export const everybodyElse = (target: BroadcastTarget, id: string): Operator =>
  new Operator(target, { rooms: none, except: [id] }, noFlags)
