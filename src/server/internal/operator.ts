import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

import type { BroadcastFlags, Selection, SocketDetails } from "../../adapter/Adapter.ts"
import type { BroadcastAck, PlainBroadcastOperator, RoomSelection } from "../BroadcastOperator.ts"
import type { NamespaceRuntime } from "./namespace.ts"
import { RemoteView } from "./remoteView.ts"
import type { BroadcastTarget } from "./targets.ts"

/** No rooms were asked for: that is everybody. An empty list of rooms, which is another array, is nobody. */
const none: ReadonlyArray<string> = []

/** What is sent when nothing else is asked for. */
export const noFlags: BroadcastFlags = { volatile: false, local: false, compress: true }

/**
 * Throws on what is no room. A number could be one here, but it would not be the room that its digits name, and on its way to another
 * server it may become just that.
 */
export const asRooms = (rooms: RoomSelection): ReadonlyArray<string> => {
  if (typeof rooms === "string") return [rooms]
  if (!Array.isArray(rooms)) throw noRoom(rooms)
  for (const room of rooms) if (typeof room !== "string") throw noRoom(room)
  return rooms
}

const noRoom = (value: unknown): Error =>
  new Error(
    `a room is a string, not ${typeof value === "number" ? `the number ${value}: use String(${value})` : typeof value}`
  )

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

  /** Adapters take an empty list for everybody, as those of the reference do: they are not asked. */
  private get isNobody(): boolean {
    return this.selection.rooms.length === 0 && this.selection.rooms !== none
  }

  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const packet = this.target.packet(event, args)
      return this.isNobody
        ? this.target.check(packet, this.flags)
        : this.target.broadcast(packet, this.selection, this.flags)
    })
  }

  emitWithAck(event: string, ...args: ReadonlyArray<unknown>): Stream.Stream<BroadcastAck<any, never>> {
    return Stream.suspend(() => {
      const packet = this.target.packet(event, args)
      return this.isNobody
        ? Stream.fromEffectDrain(this.target.check(packet, this.flags))
        : this.target.broadcastWithAck(packet, this.selection, this.flags)
    }).pipe(
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
    return this.acting(0, ({ adapter }) => adapter.count(this.selection, this.flags.local))
  }

  fetchSockets(): Effect.Effect<ReadonlyArray<RemoteView>> {
    return Effect.map(
      this.acting<ReadonlyArray<SocketDetails>>([], ({ adapter }) =>
        adapter.fetchSockets(this.selection, this.flags.local)
      ),
      (sockets) => sockets.map((details) => new RemoteView(this.target, everybody(this.target).to(details.id), details))
    )
  }

  socketsJoin(rooms: RoomSelection): Effect.Effect<void> {
    return this.actingIn(rooms, ({ adapter }, rooms) => adapter.socketsJoin(this.selection, rooms, this.flags.local))
  }

  socketsLeave(rooms: RoomSelection): Effect.Effect<void> {
    return this.actingIn(rooms, ({ adapter }, rooms) => adapter.socketsLeave(this.selection, rooms, this.flags.local))
  }

  disconnectSockets(options?: { readonly close?: boolean }): Effect.Effect<void> {
    return this.acting(undefined, ({ adapter }) =>
      adapter.disconnectSockets(this.selection, options?.close === true, this.flags.local)
    )
  }

  private actingIn(
    rooms: RoomSelection,
    act: (home: NamespaceRuntime, rooms: ReadonlyArray<string>) => Effect.Effect<void>
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      // What is no room is a bug of the caller also when nobody is selected.
      const named = asRooms(rooms)
      return this.acting(undefined, (home) => act(home, named))
    })
  }

  private acting<A>(ofNobody: A, act: (home: NamespaceRuntime) => Effect.Effect<A>): Effect.Effect<A> {
    return Effect.suspend(() => (this.isNobody ? Effect.succeed(ofNobody) : this.target.namespace.use(act)))
  }
}

/** Everybody. */
export const everybody = (target: BroadcastTarget): Operator =>
  new Operator(target, { rooms: none, except: none }, noFlags)

/** Everybody but the socket of an id. */
export const everybodyElse = (target: BroadcastTarget, id: string): Operator =>
  new Operator(target, { rooms: none, except: [id] }, noFlags)
