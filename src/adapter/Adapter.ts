/**
 * The port of rooms and broadcasts: the members of each room, and the way of a packet to them.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { Handshake } from "../Handshake.ts"

/**
 * A socket of this process, as an adapter sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalSocket {
  readonly id: string
  /**
   * The rooms that the socket is in, without its own id. The adapter keeps them; `undefined` until
   * the socket joins the first.
   */
  joined: Set<string> | undefined
  /**
   * Counts a room that the socket joins, before it is added to `joined`. `false`: its connection is
   * in as many rooms as it may be (`maxRooms`), and the socket must be left out.
   */
  enterRoom(room: string): boolean
  /** Stops counting a room that the socket has left. */
  leaveRoom(room: string): void
  /** Hands over an encoded packet. Synchronous, never fails; a socket that has ended ignores it. */
  deliver(encoded: EncodedBroadcast, flags: BroadcastFlags): void
  /**
   * Hands over a packet that asks for an acknowledgement of the id. `onAck` is called at most once:
   * with the arguments, or with `undefined` when the client leaves. Gives the function that forgets
   * the acknowledgement; `undefined` if the packet was not handed over.
   */
  deliverForAck(
    encoded: EncodedBroadcast,
    id: number,
    flags: BroadcastFlags,
    onAck: (args: ReadonlyArray<unknown> | undefined) => void
  ): (() => void) | undefined
  /** The details that other servers may have, as they are now. */
  readonly details: SocketDetails
  /**
   * Disconnects the socket from its namespace, or with `close` the whole connection. Synchronous,
   * never fails.
   */
  disconnectUnsafe(close: boolean): void
}

/**
 * The details of a socket, on any server.
 *
 * @since 0.1.0
 * @category models
 */
export interface SocketDetails {
  readonly id: string
  readonly handshake: Handshake
  /** The rooms that the socket is in, with the one of its own id. */
  readonly rooms: ReadonlySet<string>
  /** The socket's data, as its schemas encode them. */
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * A change of rooms on this server. The room that every socket has for its own id is not reported.
 *
 * - `Created`, `Deleted`: the first socket has joined the room, the last one has left it.
 * - `Joined`, `Left`: the socket `sid` has joined or left the room.
 *
 * @since 0.1.0
 * @category models
 */
export type RoomChange =
  | { readonly _tag: "Created" | "Deleted"; readonly room: string }
  | { readonly _tag: "Joined" | "Left"; readonly room: string; readonly sid: string }

/**
 * A recipient's answer to a broadcast: the arguments of its acknowledgement.
 *
 * @since 0.1.0
 * @category models
 */
export interface Acknowledgement {
  readonly sid: string
  readonly args: ReadonlyArray<unknown>
}

/**
 * A packet in the form that sockets take, made once for all of them by {@link Host.encode}. Opaque
 * to adapters.
 *
 * @since 0.1.0
 * @category models
 */
export interface EncodedBroadcast {
  readonly shared: boolean
}

/**
 * An event to broadcast: its name and its wire arguments.
 *
 * @since 0.1.0
 * @category models
 */
export interface BroadcastPacket {
  readonly data: readonly [event: string, ...args: Array<unknown>]
  /**
   * Whether binary may be among the arguments. `false` spares the search, where a contract says so.
   */
  readonly mayHaveBinary: boolean
}

/**
 * The recipients of a broadcast: the members of any of `rooms`, or all sockets if there are none,
 * without the members of `except`. Every socket is alone in the room that has its id as its name.
 *
 * An application that sends to an empty list of rooms reaches nobody: adapters are not asked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Selection {
  readonly rooms: ReadonlyArray<string>
  readonly except: ReadonlyArray<string>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface BroadcastFlags {
  /** Sockets that would have to wait for their client are left out. */
  readonly volatile: boolean
  /** Only sockets of this process. */
  readonly local: boolean
  /** Whether the packet may be compressed, where the connection allows it. */
  readonly compress: boolean
}

/**
 * A namespace, as its adapter sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Host {
  readonly namespace: string
  /** The connected sockets of this process by their ids. */
  readonly sockets: ReadonlyMap<string, LocalSocket>
  /** Encodes a packet once. Throws on what cannot be encoded, a bug of the caller. */
  readonly encode: (packet: BroadcastPacket, flags: BroadcastFlags) => EncodedBroadcast
  /**
   * The same for a packet that asks for acknowledgements, with an id that is free in every socket
   * of the namespace.
   */
  readonly encodeForAck: (
    packet: BroadcastPacket,
    flags: BroadcastFlags
  ) => { readonly encoded: EncodedBroadcast; readonly id: number }
  /** Whether changes of rooms are wanted. While they are not, they need not be reported. */
  readonly watchesRooms: boolean
  /** Takes a change of rooms, after it has happened. */
  readonly onRoomChange: (change: RoomChange) => void
  /**
   * Takes an event of another server of the cluster. If that server asks for an answer, `reply` is
   * called once: with the arguments of an acknowledgement, or with `undefined` if there will be
   * none.
   */
  readonly onServerEvent: (
    data: readonly [event: string, ...args: Array<unknown>],
    reply: ((args: ReadonlyArray<unknown> | undefined) => void) | undefined
  ) => void
}

/**
 * The rooms of one namespace.
 *
 * The effects of the in-memory adapter are synchronous. Those of others may take time to tell other
 * nodes, but act on this process's own sockets in the emitting fiber.
 *
 * @since 0.1.0
 * @category models
 */
export interface Adapter {
  readonly join: (socket: LocalSocket, rooms: ReadonlyArray<string>) => Effect.Effect<void>
  readonly leave: (socket: LocalSocket, rooms: ReadonlyArray<string>) => Effect.Effect<void>
  /**
   * A socket that has ended leaves every room. Synchronous in its effect on this process's rooms.
   */
  readonly leaveAll: (socket: LocalSocket) => Effect.Effect<void>
  readonly broadcast: (packet: BroadcastPacket, selection: Selection, flags: BroadcastFlags) => Effect.Effect<void>
  /**
   * Broadcasts a packet that asks for acknowledgements, when the stream is run. The stream ends
   * when every recipient has answered or left; ending it earlier forgets the missing
   * acknowledgements.
   */
  readonly broadcastWithAck: (
    packet: BroadcastPacket,
    selection: Selection,
    flags: BroadcastFlags
  ) => Stream.Stream<Acknowledgement>
  /** The number of sockets in a selection, on every server unless `local`. */
  readonly count: (selection: Selection, local: boolean) => Effect.Effect<number>
  /**
   * The rooms that sockets of this process are in, with the number of those sockets. The rooms of
   * the sockets' own ids are not among them.
   */
  readonly rooms: Effect.Effect<ReadonlyMap<string, number>>
  /** The sockets of this process in a selection. */
  readonly localSockets: (selection: Selection) => Effect.Effect<ReadonlyArray<LocalSocket>>
  /** The details of the sockets in a selection, on every server unless `local`. */
  readonly fetchSockets: (selection: Selection, local: boolean) => Effect.Effect<ReadonlyArray<SocketDetails>>
  /** Makes the sockets in a selection join rooms. */
  readonly socketsJoin: (selection: Selection, rooms: ReadonlyArray<string>, local: boolean) => Effect.Effect<void>
  /** Makes the sockets in a selection leave rooms. */
  readonly socketsLeave: (selection: Selection, rooms: ReadonlyArray<string>, local: boolean) => Effect.Effect<void>
  /** Disconnects the sockets in a selection; with `close` their connections, too. */
  readonly disconnectSockets: (selection: Selection, close: boolean, local: boolean) => Effect.Effect<void>
  /** Sends an event to every other server of the cluster, not to this one. */
  readonly serverSideEmit: (data: readonly [event: string, ...args: Array<unknown>]) => Effect.Effect<void>
  /**
   * The same, and gives the arguments of each answer. The stream ends when every other server has
   * answered, has said that it will not, or is known to have left.
   */
  readonly serverSideEmitWithAck: (
    data: readonly [event: string, ...args: Array<unknown>]
  ) => Stream.Stream<ReadonlyArray<unknown>>
}

/**
 * Makes the adapter of a namespace, in the namespace's scope, when a layer serves the namespace or
 * the application first uses it.
 *
 * It must not suspend: work that takes time, such as connecting to a broker, is forked in the
 * scope.
 *
 * @since 0.1.0
 * @category models
 */
export type Factory = (host: Host) => Effect.Effect<Adapter, never, Scope.Scope>
