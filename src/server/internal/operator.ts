import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import type * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"

import type { Adapter, BroadcastFlags, Selection, SocketDetails } from "../../adapter/Adapter.ts"
import type { Handshake } from "../../Handshake.ts"
import { unsent } from "../../internal/decodeAck.ts"
import { asRooms } from "../../internal/rooms.ts"
import { none, Selecting } from "../../internal/selecting.ts"
import { AckError, ServersMissingError } from "../../SocketIoError.ts"
import type {
  BroadcastAck,
  BroadcastOperator,
  LocalOperator,
  PubSubOptions,
  RemoteSocket,
  RoomSelection
} from "../BroadcastOperator.ts"
import { makeEventPubSub } from "./eventPubSub.ts"
import type { Target } from "./ports.ts"

/** The flags of an operator that was given none. */
export const noFlags: BroadcastFlags = { volatile: false, local: false, compress: true }

/** The one implementation of operators; contracts only narrow its type. */
export class Operator extends Selecting<BroadcastFlags, Operator> implements BroadcastOperator<any> {
  private readonly target: Target

  constructor(target: Target, selection: Selection, flags: BroadcastFlags) {
    super(selection, flags)
    this.target = target
  }

  protected override copy(selection: Selection, flags: BroadcastFlags): Operator {
    return new Operator(this.target, selection, flags)
  }

  /** Adapters do not fail if they answer for this process alone. */
  get local(): LocalOperator<any> {
    return new Operator(this.target, this.selection, { ...this.flags, local: true }) as unknown as LocalOperator<any>
  }

  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { encoding, namespace } = this.target
      const packet = encoding.packet(event, args)
      return namespace.use((broadcaster) =>
        this.isNobody
          ? broadcaster.check(packet, this.flags)
          : broadcaster.broadcast(packet, this.selection, this.flags, this.target.encoding, args)
      )
    })
  }

  emitWithAck(
    event: string,
    ...args: ReadonlyArray<unknown>
  ): Stream.Stream<BroadcastAck<any, never>, ServersMissingError> {
    const { encoding, namespace } = this.target
    return Stream.suspend(() => {
      const packet = encoding.packet(event, args)
      return namespace.stream((broadcaster) =>
        this.isNobody
          ? Stream.fromEffectDrain(broadcaster.check(packet, this.flags))
          : broadcaster.broadcastWithAck(packet, this.selection, this.flags, encoding, args)
      )
    }).pipe(
      Stream.mapEffect(({ args, sid }) =>
        // The contract says which failures there are; without one there is none.
        Effect.map(Effect.result(encoding.decodeAck(event, args) as Effect.Effect<any>), (response) => ({
          sid,
          response
        }))
      )
    )
  }

  sink(event: string): Sink.Sink<void, any> {
    return Sink.forEach((value) => this.emit(event, ...this.target.encoding.argumentsOf(value)))
  }

  pubsub(event: string, options: PubSubOptions): Effect.Effect<PubSub.PubSub<any>, never, Scope.Scope> {
    const { encoding } = this.target
    const { rooms } = this.selection
    const emit = (payload: unknown) => this.emit(event, ...encoding.argumentsOf(payload))
    return makeEventPubSub({ event, target: this.target, rooms: rooms === none ? undefined : rooms, emit }, options)
  }

  get size(): Effect.Effect<number, ServersMissingError<number>> {
    return this.ask(0, (adapter) => adapter.count(this.selection, this.flags.local))
  }

  get fetchSockets(): Effect.Effect<ReadonlyArray<RemoteView>, ServersMissingError<ReadonlyArray<RemoteView>>> {
    const view = (sockets: ReadonlyArray<SocketDetails>) =>
      sockets.map((details) => new RemoteView(this.target, details))
    const fetched = this.ask<ReadonlyArray<SocketDetails>, ServersMissingError<ReadonlyArray<SocketDetails>>>(
      [],
      (adapter) => adapter.fetchSockets(this.selection, this.flags.local)
    )
    return Effect.mapBoth(fetched, {
      onSuccess: view,
      onFailure: ({ missing, partial }) => new ServersMissingError({ missing, partial: view(partial) })
    })
  }

  socketsJoin(rooms: RoomSelection): Effect.Effect<void> {
    return this.askIn(rooms, (adapter, rooms) => adapter.socketsJoin(this.selection, rooms, this.flags.local))
  }

  socketsLeave(rooms: RoomSelection): Effect.Effect<void> {
    return this.askIn(rooms, (adapter, rooms) => adapter.socketsLeave(this.selection, rooms, this.flags.local))
  }

  disconnectSockets(options?: { readonly close?: boolean }): Effect.Effect<void> {
    return this.ask(undefined, (adapter) =>
      adapter.disconnectSockets(this.selection, options?.close === true, this.flags.local)
    )
  }

  override toJSON(): unknown {
    return this.describe("BroadcastOperator", this.target.namespace.name)
  }

  private askIn(
    rooms: RoomSelection,
    question: (adapter: Adapter, rooms: ReadonlyArray<string>) => Effect.Effect<void>
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      // A value that is not a room is a bug of the caller even if no socket is selected.
      const named = asRooms(rooms)
      return this.ask(undefined, (adapter) => question(adapter, named))
    })
  }

  private ask<A, E>(ofNobody: A, question: (adapter: Adapter) => Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() =>
      this.isNobody
        ? Effect.succeed(ofNobody)
        : this.target.namespace.use((broadcaster) => broadcaster.ask(ofNobody, question))
    )
  }
}

/** All sockets of a namespace. */
export const all = (target: Target): Operator => new Operator(target, { rooms: none, except: none }, noFlags)

/** All sockets but the one of an id. */
export const allBut = (target: Target, id: string): Operator =>
  new Operator(target, { rooms: none, except: [id] }, noFlags)

/** A socket on any server: its details when it was fetched, and the way to it. */
export class RemoteView extends Inspectable.Class implements RemoteSocket<any> {
  readonly id: string
  readonly handshake: Handshake
  readonly rooms: ReadonlySet<string>
  readonly data: Readonly<Record<string, any>>
  private readonly namespace: string
  private readonly self: Operator

  constructor(target: Target, details: SocketDetails) {
    super()
    this.id = details.id
    this.handshake = details.handshake
    this.rooms = details.rooms
    this.data = target.encoding.decodeData(details.data)
    this.namespace = target.namespace.name
    this.self = all(target).to(details.id)
  }

  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void> {
    return this.self.emit(event, ...args)
  }

  emitWithAck(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<any, any> {
    // If its server has not answered, the socket is lost with it.
    const first = Effect.orElseSucceed(Stream.runHead(this.self.emitWithAck(event, ...args)), Option.none)
    const answered = Effect.flatMap(first, (answer) =>
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

  override toJSON(): unknown {
    const { id, namespace, rooms } = this
    return { _id: "RemoteSocket", id, namespace, rooms: Array.from(rooms) }
  }
}
