import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Sink from "effect/Sink"

import type { Selection } from "../../adapter/Adapter.ts"
import type { RemoteFlags } from "../../adapter/ClusterMessage.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import { betweenServers, encodeDeclared, encodeServerEvent, encodeUntyped } from "../../internal/emits.ts"
import { asRooms } from "../../internal/rooms.ts"
import type { RoomSelection } from "../../server/BroadcastOperator.ts"
import type { EmitterNamespace, EmitterOperator } from "../EmitterOperator.ts"
import type { RedisError } from "../RedisError.ts"
import type { EmitterMessage, Encode } from "./emitterWires.ts"
import type { Send } from "./sender.ts"

/** A namespace, and the way to its servers. */
export interface Target {
  readonly name: string
  /** `undefined` if no events are declared: any may be sent. */
  readonly contract: CompiledContract | undefined
  readonly encode: Encode
  readonly send: Send
}

/** No rooms were named, which selects all sockets. An empty list of rooms is another one, and selects none. */
const none: ReadonlyArray<string> = []

const everybody: Selection = { rooms: none, except: none }

const noFlags: RemoteFlags = { volatile: false, compress: true }

/** Each name once: a room that is the only one has a channel of its own. */
const add = (names: ReadonlyArray<string>, more: RoomSelection): ReadonlyArray<string> => [
  ...new Set([...names, ...asRooms(more)])
]

/** The one implementation of operators; contracts only narrow its type. */
class Operator extends Inspectable.Class implements EmitterOperator<any> {
  protected readonly target: Target
  private readonly selection: Selection
  private readonly flags: RemoteFlags

  constructor(target: Target, selection: Selection, flags: RemoteFlags) {
    super()
    this.target = target
    this.selection = selection
    this.flags = flags
  }

  to(rooms: RoomSelection): Operator {
    const { except, rooms: before } = this.selection
    return new Operator(this.target, { rooms: add(before, rooms), except }, this.flags)
  }

  in(rooms: RoomSelection): Operator {
    return this.to(rooms)
  }

  except(rooms: RoomSelection): Operator {
    const { except, rooms: selected } = this.selection
    return new Operator(this.target, { rooms: selected, except: add(except, rooms) }, this.flags)
  }

  get volatile(): Operator {
    return new Operator(this.target, this.selection, { ...this.flags, volatile: true })
  }

  compress(compress: boolean): Operator {
    return new Operator(this.target, this.selection, { ...this.flags, compress })
  }

  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void, RedisError> {
    return this.say((selection) => {
      const { contract } = this.target
      const packet = contract === undefined ? encodeUntyped(event, args) : encodeDeclared(contract, event, args[0])
      return { _tag: "Broadcast", ...packet, selection, flags: this.flags }
    })
  }

  sink(event: string): Sink.Sink<void, any, never, RedisError> {
    const isUntyped = this.target.contract === undefined
    return Sink.forEach((value) => this.emit(event, ...(isUntyped ? (value as ReadonlyArray<unknown>) : [value])))
  }

  socketsJoin(rooms: RoomSelection): Effect.Effect<void, RedisError> {
    return this.say((selection) => ({ _tag: "Join", selection, rooms: asRooms(rooms) }))
  }

  socketsLeave(rooms: RoomSelection): Effect.Effect<void, RedisError> {
    return this.say((selection) => ({ _tag: "Leave", selection, rooms: asRooms(rooms) }))
  }

  disconnectSockets(options?: { readonly close?: boolean }): Effect.Effect<void, RedisError> {
    return this.say((selection) => ({ _tag: "Disconnect", selection, close: options?.close === true }))
  }

  override toJSON(): unknown {
    const { except, rooms } = this.selection
    // Without rooms it selects all sockets; with an empty list of rooms, none.
    const selected = rooms === none ? undefined : rooms
    return { _id: "EmitterOperator", namespace: this.target.name, rooms: selected, except, ...this.flags }
  }

  /** A message that cannot be encoded is a defect, also where nobody is selected. */
  private say(message: (selection: Selection) => EmitterMessage): Effect.Effect<void, RedisError> {
    return Effect.suspend(() => {
      const { rooms } = this.selection
      const outgoing = this.target.encode(message(this.selection))
      // Servers read an empty list as all sockets.
      return rooms.length === 0 && rooms !== none ? Effect.void : Effect.asVoid(this.target.send(outgoing))
    })
  }
}

class EmitterNamespaceOperator extends Operator implements EmitterNamespace<any> {
  readonly name: string
  readonly all: Operator

  constructor(target: Target) {
    super(target, everybody, noFlags)
    this.name = target.name
    this.all = new Operator(target, everybody, noFlags)
  }

  serverSideEmit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void, RedisError> {
    return Effect.suspend(() => {
      const { contract, encode, name, send } = this.target
      const codec = contract === undefined ? undefined : betweenServers(contract, name, event)
      return Effect.asVoid(send(encode({ _tag: "ServerEvent", data: encodeServerEvent(codec, event, args) })))
    })
  }

  override toJSON(): unknown {
    return { _id: "EmitterNamespace", name: this.name }
  }
}

/** A namespace, to emit in it. */
export const makeNamespace = (target: Target): EmitterNamespace<any> => new EmitterNamespaceOperator(target)
