/**
 * The port behind rooms and broadcasts: who is in which room, and how a packet reaches everybody it is meant for.
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
  /** The rooms that the socket is in, its own id left out; kept by the adapter, `undefined` until it joins the first. */
  joined: Set<string> | undefined
  /**
   * Counts a room that the socket joins, before it is added to `joined`. `false`: its connection is in as many rooms as it may be
   * (`maxRooms`), and the socket must be left out.
   */
  enterRoom(room: string): boolean
  /** Counts a room no more that the socket has left. */
  leaveRoom(room: string): void
  /** Hands over an encoded packet. Synchronous, never fails; a socket that is gone ignores it. */
  deliver(encoded: EncodedBroadcast, flags: BroadcastFlags): void
  /**
   * Hands over a packet that asks for an acknowledgement of the id. `onAck` is called at most once, with its arguments, or
   * with `undefined` when the client goes. Gives the function that forgets it; `undefined` if the packet was not handed over.
   */
  deliverForAck(
    encoded: EncodedBroadcast,
    id: number,
    flags: BroadcastFlags,
    onAck: (args: ReadonlyArray<unknown> | undefined) => void
  ): (() => void) | undefined
  /** What other servers may know of the socket, as it is now. */
  readonly details: SocketDetails
  /** Disconnects the socket from its namespace, or with `close` the whole connection. Synchronous, never fails. */
  disconnectUnsafe(close: boolean): void
}

/**
 * What is known of a socket, on whichever server it is.
 *
 * @since 0.1.0
 * @category models
 */
export interface SocketDetails {
  readonly id: string
  readonly handshake: Handshake
  /** The rooms that the socket is in, the one of its own id included. */
  readonly rooms: ReadonlySet<string>
  /** The socket's data, in the form in which its schemas encode it. */
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
 * A packet in the form that sockets take, made once for all of them by {@link Host.encode}. Opaque to adapters.
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
  /** Whether binary may be among the arguments; `false` where a contract rules it out, to spare the search. */
  readonly mayHaveBinary: boolean
}

/**
 * Who a broadcast is meant for: the members of any of `rooms`, everybody if there are none, less the members of `except`. What an
 * application sends to an empty list of rooms is meant for nobody: adapters are not asked for it.
 * Every socket is alone in the room that is called like its id.
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
 * What a namespace gives to its adapter.
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
  /** The same for a packet that asks for acknowledgements, with an id that is free in every socket of the namespace. */
  readonly encodeForAck: (
    packet: BroadcastPacket,
    flags: BroadcastFlags
  ) => { readonly encoded: EncodedBroadcast; readonly id: number }
  /** Whether anybody wants to hear of changes of rooms; while nobody does, they need not be reported. */
  readonly watchesRooms: boolean
  /** Takes a change of rooms, after it has happened. */
  readonly onRoomChange: (change: RoomChange) => void
  /**
   * Takes an event of another server of the cluster. `reply`, if that one asks for an answer, is called once: with the arguments
   * of an acknowledgement, or with `undefined` where nobody here will answer.
   */
  readonly onServerEvent: (
    data: readonly [event: string, ...args: Array<unknown>],
    reply: ((args: ReadonlyArray<unknown> | undefined) => void) | undefined
  ) => void
}

/**
 * The rooms of one namespace.
 *
 * The effects of the in-memory adapter are synchronous; those of others may take time where they must tell other nodes,
 * but act on this process's own sockets in the emitting fiber.
 *
 * @since 0.1.0
 * @category models
 */
export interface Adapter {
  readonly join: (socket: LocalSocket, rooms: ReadonlyArray<string>) => Effect.Effect<void>
  readonly leave: (socket: LocalSocket, rooms: ReadonlyArray<string>) => Effect.Effect<void>
  /** Leaves every room; the socket is gone. Synchronous in its effect on this process's own rooms. */
  readonly leaveAll: (socket: LocalSocket) => Effect.Effect<void>
  readonly broadcast: (packet: BroadcastPacket, selection: Selection, flags: BroadcastFlags) => Effect.Effect<void>
  /**
   * Broadcasts a packet that asks for acknowledgements, when the stream is run. The stream ends when every recipient has
   * answered or gone; ending it earlier forgets the acknowledgements that have not come.
   */
  readonly broadcastWithAck: (
    packet: BroadcastPacket,
    selection: Selection,
    flags: BroadcastFlags
  ) => Stream.Stream<Acknowledgement>
  /** How many sockets a selection names, on every server unless `local`. */
  readonly count: (selection: Selection, local: boolean) => Effect.Effect<number>
  /** The sockets of this process that a selection names. */
  readonly localSockets: (selection: Selection) => Effect.Effect<ReadonlyArray<LocalSocket>>
  /** What is known of the sockets that a selection names, on every server unless `local`. */
  readonly fetchSockets: (selection: Selection, local: boolean) => Effect.Effect<ReadonlyArray<SocketDetails>>
  /** Makes the sockets that a selection names join rooms. */
  readonly socketsJoin: (selection: Selection, rooms: ReadonlyArray<string>, local: boolean) => Effect.Effect<void>
  /** Makes the sockets that a selection names leave rooms. */
  readonly socketsLeave: (selection: Selection, rooms: ReadonlyArray<string>, local: boolean) => Effect.Effect<void>
  /** Disconnects the sockets that a selection names; with `close` their connections, too. */
  readonly disconnectSockets: (selection: Selection, close: boolean, local: boolean) => Effect.Effect<void>
  /** Sends an event to every other server of the cluster, not to this one. */
  readonly serverSideEmit: (data: readonly [event: string, ...args: Array<unknown>]) => Effect.Effect<void>
  /**
   * The same, and gives the arguments with which each of the others answers. The stream ends when every one has answered, has said
   * that it will not, or is known to be gone.
   */
  readonly serverSideEmitWithAck: (
    data: readonly [event: string, ...args: Array<unknown>]
  ) => Stream.Stream<ReadonlyArray<unknown>>
}

/**
 * Makes the adapter of a namespace, in the namespace's scope, when a layer serves the namespace or the application first uses it.
 * It must not suspend: what takes time, as to connect to a broker, it starts in the scope.
 *
 * @since 0.1.0
 * @category models
 */
export type Factory = (host: Host) => Effect.Effect<Adapter, never, Scope.Scope>
