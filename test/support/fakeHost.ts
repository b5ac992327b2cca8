/**
 * A namespace with sockets in memory, as adapters see it.
 */
import { Effect } from "effect"

import type {
  Adapter,
  BroadcastFlags,
  BroadcastPacket,
  EncodedBroadcast,
  Host,
  LocalSocket,
  RoomChange,
  SocketDetails
} from "../../src/adapter/Adapter.ts"

interface Encoded extends EncodedBroadcast {
  readonly packet: BroadcastPacket
}

/** How a client reacts to an event that asks for an acknowledgement: with arguments, or `undefined` for later. */
type Answer = (data: ReadonlyArray<unknown>) => ReadonlyArray<unknown> | undefined

export class FakeSocket implements LocalSocket {
  readonly id: string
  joined: Set<string> | undefined
  /** The events that it got. */
  readonly heard: Array<ReadonlyArray<unknown>> = []
  /** The events that wait for its acknowledgement. */
  readonly asked = new Map<number, (args: ReadonlyArray<unknown> | undefined) => void>()
  answer: Answer = () => undefined
  private readonly host: FakeHost

  constructor(host: FakeHost, id: string) {
    this.host = host
    this.id = id
  }

  enterRoom(): boolean {
    return true
  }

  leaveRoom(): void {}

  deliver(encoded: EncodedBroadcast, _flags: BroadcastFlags): void {
    this.heard.push((encoded as Encoded).packet.data)
  }

  deliverForAck(
    encoded: EncodedBroadcast,
    id: number,
    _flags: BroadcastFlags,
    onAck: (args: ReadonlyArray<unknown> | undefined) => void
  ): () => void {
    const { data } = (encoded as Encoded).packet
    this.heard.push(data)
    this.asked.set(id, onAck)
    const args = this.answer(data)
    if (args !== undefined) this.acknowledge(args)
    return () => this.asked.delete(id)
  }

  /** The client answers the oldest event that waits for it. */
  acknowledge(args: ReadonlyArray<unknown>): void {
    const [id, onAck] = this.asked.entries().next().value!
    this.asked.delete(id)
    onAck(args)
  }

  get details(): SocketDetails {
    return {
      id: this.id,
      handshake: { auth: {} } as SocketDetails["handshake"],
      rooms: new Set([this.id, ...(this.joined ?? [])]),
      data: { of: this.host.name }
    }
  }

  disconnectUnsafe(): void {
    if (!this.host.sockets.delete(this.id)) return
    Effect.runSync(this.host.adapter.leaveAll(this))
    const waiting = Array.from(this.asked.values())
    this.asked.clear()
    for (const onAck of waiting) onAck(undefined)
  }
}

type Reply = (args: ReadonlyArray<unknown> | undefined) => void

export class FakeHost implements Host {
  readonly namespace: string
  readonly name: string
  readonly sockets = new Map<string, FakeSocket>()
  readonly changes: Array<RoomChange> = []
  /** The events of other servers. */
  readonly events: Array<ReadonlyArray<unknown>> = []
  watchesRooms = false
  adapter!: Adapter
  /** Handles an event of another server. */
  handle: (data: ReadonlyArray<unknown>, reply: Reply | undefined) => void = (_, reply) => reply?.(undefined)
  private ids = 0

  constructor(name: string, namespace = "/") {
    this.name = name
    this.namespace = namespace
  }

  readonly encode = (packet: BroadcastPacket): Encoded => ({ shared: true, packet })
  readonly encodeForAck = (packet: BroadcastPacket): { readonly encoded: Encoded; readonly id: number } => ({
    encoded: { shared: true, packet },
    id: this.ids++
  })
  readonly onRoomChange = (change: RoomChange): void => void this.changes.push(change)
  readonly onServerEvent = (
    data: readonly [event: string, ...args: Array<unknown>],
    reply: Reply | undefined
  ): void => {
    this.events.push(data)
    this.handle(data, reply)
  }

  /** A client connects. */
  connect(id: string, ...rooms: ReadonlyArray<string>): FakeSocket {
    const socket = new FakeSocket(this, id)
    this.sockets.set(id, socket)
    if (rooms.length > 0) Effect.runSync(this.adapter.join(socket, rooms))
    return socket
  }
}
