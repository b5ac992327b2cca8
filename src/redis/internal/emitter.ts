import * as Effect from "effect/Effect"
import * as Sink from "effect/Sink"

import type { Selection } from "../../adapter/Adapter.ts"
import type { RemoteFlags } from "../../adapter/ClusterMessage.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import { betweenServers, encodeDeclared, encodeServerEvent, encodeUntyped } from "../../internal/emits.ts"
import { asRooms } from "../../internal/rooms.ts"
import { none, Selecting } from "../../internal/selecting.ts"
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

const all: Selection = { rooms: none, except: none }

const noFlags: RemoteFlags = { volatile: false, compress: true }

/** The one implementation of operators; contracts only narrow its type. */
class Operator extends Selecting<RemoteFlags, Operator> implements EmitterOperator<any> {
  protected readonly target: Target

  constructor(target: Target, selection: Selection, flags: RemoteFlags) {
    super(selection, flags)
    this.target = target
  }

  protected override copy(selection: Selection, flags: RemoteFlags): Operator {
    return new Operator(this.target, selection, flags)
  }

  /** Each name once: a room that is the only one has a channel of its own. */
  protected override join(names: ReadonlyArray<string>, more: ReadonlyArray<string>): ReadonlyArray<string> {
    return [...new Set([...names, ...more])]
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
    return this.describe("EmitterOperator", this.target.name)
  }

  /** A message that cannot be encoded is a defect, also where nobody is selected. */
  private say(message: (selection: Selection) => EmitterMessage): Effect.Effect<void, RedisError> {
    return Effect.suspend(() => {
      const outgoing = this.target.encode(message(this.selection))
      return this.isNobody ? Effect.void : Effect.asVoid(this.target.send(outgoing))
    })
  }
}

class EmitterNamespaceOperator extends Operator implements EmitterNamespace<any> {
  readonly name: string
  readonly all: Operator

  constructor(target: Target) {
    super(target, all, noFlags)
    this.name = target.name
    this.all = new Operator(target, all, noFlags)
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
