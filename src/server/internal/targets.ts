import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

import type { Acknowledgement, BroadcastFlags, BroadcastPacket, Selection } from "../../adapter/Adapter.ts"
import { type Codec, encodePayload, type EventCodec } from "../../internal/contractCodec.ts"
import { isReservedEvent } from "../../protocol/SocketPacket.ts"
import { decodeAck } from "../../internal/decodeAck.ts"
import { refuseFunctions } from "../../internal/refuseFunctions.ts"
import type { NamespaceReference } from "./reference.ts"

/** Where an operator's events go: a namespace, and how its events are encoded. */
export abstract class BroadcastTarget {
  readonly namespace: NamespaceReference

  constructor(namespace: NamespaceReference) {
    this.namespace = namespace
  }

  /** Encodes an event's payload. Throws on what is not of the declared type. */
  abstract packet(event: string, args: ReadonlyArray<unknown>): BroadcastPacket

  /** Reads the arguments of an acknowledgement as its event declares them. */
  abstract decodeAck(event: string, args: ReadonlyArray<unknown>): Effect.Effect<any, any>

  /** Reads a socket's data as its contract declares them. */
  abstract decodeData(data: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>

  /** For nobody: what cannot be encoded is a bug of the caller all the same. */
  check(packet: BroadcastPacket, flags: BroadcastFlags): Effect.Effect<void> {
    return this.namespace.use((home) => home.check(packet, flags))
  }

  broadcast(packet: BroadcastPacket, selection: Selection, flags: BroadcastFlags): Effect.Effect<void> {
    return this.namespace.use((home) => home.broadcast(packet, selection, flags))
  }

  broadcastWithAck(
    packet: BroadcastPacket,
    selection: Selection,
    flags: BroadcastFlags
  ): Stream.Stream<Acknowledgement> {
    return this.namespace.stream((home) => home.broadcastWithAck(packet, selection, flags))
  }
}

/** Broadcasts a contract's events. */
export class ContractTarget extends BroadcastTarget {
  private readonly outgoing: (event: string) => EventCodec
  private readonly data: () => ReadonlyMap<string, Codec> | undefined

  constructor(
    namespace: NamespaceReference,
    outgoing: (event: string) => EventCodec,
    data: () => ReadonlyMap<string, Codec> | undefined
  ) {
    super(namespace)
    this.outgoing = outgoing
    this.data = data
  }

  packet(event: string, args: ReadonlyArray<unknown>): BroadcastPacket {
    const codec = this.outgoing(event)
    return { data: encodePayload(codec, args[0]), mayHaveBinary: codec.payload.mayHaveBinary }
  }

  decodeAck(event: string, args: ReadonlyArray<unknown>): Effect.Effect<any, any> {
    return decodeAck(this.outgoing(event), args)
  }

  decodeData(data: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const decoded: Record<string, unknown> = {}
    for (const [field, codec] of this.data() ?? []) {
      const value = Object.hasOwn(data, field) ? codec.decode(data[field]) : undefined
      // What another version of the program has put there, and this one cannot read, is not there.
      if (value?._tag === "Success") decoded[field] = value.value
    }
    return decoded
  }
}

/** Broadcasts any event. */
export class PlainTarget extends BroadcastTarget {
  packet(event: string, args: ReadonlyArray<unknown>): BroadcastPacket {
    if (isReservedEvent(event)) throw new Error(`"${event}" is a reserved event name`)
    refuseFunctions(event, args)
    return { data: [event, ...args], mayHaveBinary: true }
  }

  decodeAck(_event: string, args: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<unknown>> {
    return Effect.succeed(args)
  }

  decodeData(data: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    return data
  }
}
