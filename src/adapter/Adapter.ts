/**
 * The port of rooms and broadcasts: it keeps the members of each room, and delivers packets to
 * them.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { DeliveryOrder } from "./DeliveryOrder.ts"
import type { Handshake } from "../Handshake.ts"
import type { Recent, SharedLog } from "./SharedLog.ts"
import type { ServersMissingError } from "../SocketIoError.ts"
import type { TraceContext } from "../TraceContext.ts"

/**
 * A socket of this process, as an adapter sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalSocket {
  readonly id: string
  /**
   * The rooms of the socket, without the room of its own id. The adapter keeps them; `undefined`
   * until the socket joins its first room.
   */
  joined: Set<string> | undefined
  /**
   * Counts a room that the socket joins, before it is added to `joined`. Returns `false` if its
   * connection has reached `maxRooms`: the adapter must then skip the socket.
   */
  enterRoom(room: string): boolean
  /** Stops counting a room that the socket has left. */
  leaveRoom(room: string): void
  /** Delivers an encoded packet. Synchronous, never fails; a socket that has ended ignores it. */
  deliver(encoded: EncodedBroadcast, flags: BroadcastFlags): void
  /**
   * Delivers a packet that asks for an acknowledgement with the given id. `onAck` is called at most
   * once: with the arguments, or with `undefined` when the client leaves. Returns the function that
   * forgets the acknowledgement; `undefined` if the packet was not delivered.
   */
  deliverForAck(
    encoded: EncodedBroadcast,
    id: number,
    flags: BroadcastFlags,
    onAck: (args: ReadonlyArray<unknown> | undefined) => void
  ): (() => void) | undefined
  /** The current details, in the form that other servers get. */
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
  /** The rooms of the socket, with the room of its own id. */
  readonly rooms: ReadonlySet<string>
  /** The socket's data, encoded by its schemas. */
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
  /** The id of the socket; `undefined` if it is on an official server, which does not tell it. */
  readonly sid: string | undefined
  readonly args: ReadonlyArray<unknown>
}

/**
 * A packet in the form that sockets take. {@link Host.encode} makes it once for all of them. Opaque
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
   * Whether binary may be among the arguments. `false` skips the search, where a contract allows
   * it.
   */
  readonly mayHaveBinary: boolean
  /**
   * The packet's position in the log of an adapter that keeps one. Nothing is added for clients
   * unless recovery is on.
   */
  readonly position?: string | undefined
  /**
   * The trace context of the span that has emitted it, if there is a tracer and the span is
   * sampled. An adapter for a cluster passes it on. Only clients of this library that have asked
   * for it get it.
   */
  readonly trace?: TraceContext | undefined
}

/**
 * The recipients of a broadcast: the members of any of `rooms`, or all sockets if there are none,
 * without the members of `except`. Each socket is the only member of the room that is named by its
 * id.
 *
 * Adapters are not called for an empty list of rooms: a broadcast to it has no recipients.
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
  /** Skips sockets that would have to wait for their client. */
  readonly volatile: boolean
  /** Only sockets of this process. */
  readonly local: boolean
  /** Whether the packet may be compressed, where the connection allows it. */
  readonly compress: boolean
}

/**
 * Acts on the sockets in a selection. Synchronous, never fails.
 *
 * @since 0.1.0
 * @category models
 */
export interface SelectionTarget {
  joinUnsafe(selection: Selection, rooms: ReadonlyArray<string>): void
  leaveUnsafe(selection: Selection, rooms: ReadonlyArray<string>): void
  disconnectUnsafe(selection: Selection, close: boolean): void
}

/**
 * The sockets of this process whose clients have lost their connection and may come back. Messages
 * to them are kept meanwhile.
 *
 * @since 0.1.0
 * @category models
 */
export interface AwaySockets extends SelectionTarget {
  /** Their number. */
  readonly size: number
  /** Whether one of them is in a room. The room of a socket's own id counts. */
  hasRoom(room: string): boolean
  /** Reports from now on the changes of the rooms that they are in, after they have happened. */
  watchRooms(onChange: (change: RoomChange) => void): void
}

/**
 * The recovery of a namespace, as an adapter sees it that has a log which all servers share.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecoveryHost {
  /** The time for which the log must keep messages, in milliseconds. */
  readonly retention: number
  /** Makes what keeps the entries after one of a number, within the bounds of the server. */
  remember(floor: number): Recent
  /** Whether clients that miss an event get it later. */
  isRecoverable(event: string): boolean
  /** Entries of the log were lost before this server has read them. */
  onGap(): void
  /** A server has taken the session of a socket, in a generation. */
  onTaken(sid: string, generation: string): void
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
  /**
   * Encodes a packet once, for the sockets of a selection. Throws on a value that cannot be
   * encoded, which is a bug of the caller. It is called once for each broadcast, right before the
   * packet is delivered.
   */
  readonly encode: (packet: BroadcastPacket, flags: BroadcastFlags, selection: Selection) => EncodedBroadcast
  /**
   * The same for a packet that asks for acknowledgements, with an id that is unused in every socket
   * of the namespace.
   */
  readonly encodeForAck: (
    packet: BroadcastPacket,
    flags: BroadcastFlags
  ) => { readonly encoded: EncodedBroadcast; readonly id: number }
  /**
   * The sockets whose clients have lost their connection and may come back, where recovery is on.
   * An adapter treats the rooms and the connections of a selection in the same way for them, and
   * it encodes the broadcasts of other servers for them as it does for connected sockets.
   */
  readonly away?: AwaySockets | undefined
  /**
   * Keeps broadcasts in one order for all sockets, where recovery is on: also those that handlers
   * make while another one is being delivered.
   */
  readonly order?: DeliveryOrder | undefined
  /**
   * The recovery of the namespace, where it is on and the factory says that its adapters share a
   * log.
   */
  readonly recovery?: RecoveryHost | undefined
  /** Whether changes of rooms are observed. Adapters need not report them otherwise. */
  readonly watchesRooms: boolean
  /** Reports a change of rooms, after it has happened. */
  readonly onRoomChange: (change: RoomChange) => void
  /**
   * Delivers an event of another server of the cluster. If that server asks for an answer, `reply`
   * is called once: with the arguments of an acknowledgement, or with `undefined` if there will be
   * none. `trace` is the trace context of the span that has emitted it, if it came with one.
   */
  readonly onServerEvent: (
    data: readonly [event: string, ...args: Array<unknown>],
    reply: ((args: ReadonlyArray<unknown> | undefined) => void) | undefined,
    trace?: TraceContext | undefined
  ) => void
}

/**
 * The rooms of one namespace.
 *
 * The effects of the in-memory adapter are synchronous. Effects of other adapters may take time to
 * inform other nodes, but must act on this process's own sockets in the emitting fiber. Where
 * recovery is on and the adapter has a `log`, that says when: the effects of `join`, `leave`,
 * `socketsJoin`, `socketsLeave` and `disconnectSockets` end then, and a broadcast comes later.
 *
 * A question for `local` sockets must not fail: the types of operators promise that. The in-memory
 * adapter has no other servers, so none of its questions fail.
 *
 * @since 0.1.0
 * @category models
 */
export interface Adapter {
  readonly join: (socket: LocalSocket, rooms: ReadonlyArray<string>) => Effect.Effect<void>
  readonly leave: (socket: LocalSocket, rooms: ReadonlyArray<string>) => Effect.Effect<void>
  /**
   * Removes a socket that has ended from every room. Its effect on this process's rooms is
   * synchronous.
   */
  readonly leaveAll: (socket: LocalSocket) => Effect.Effect<void>
  readonly broadcast: (packet: BroadcastPacket, selection: Selection, flags: BroadcastFlags) => Effect.Effect<void>
  /**
   * Broadcasts a packet that asks for acknowledgements, when the stream runs. The stream ends when
   * every recipient has answered or left; ending it earlier forgets the missing acknowledgements.
   * Official servers do not tell that a recipient has left: the caller's deadline must end it then.
   * It fails at its end if some servers did not answer.
   */
  readonly broadcastWithAck: (
    packet: BroadcastPacket,
    selection: Selection,
    flags: BroadcastFlags
  ) => Stream.Stream<Acknowledgement, ServersMissingError>
  /** The number of sockets in a selection, on every server unless `local`. */
  readonly count: (selection: Selection, local: boolean) => Effect.Effect<number, ServersMissingError<number>>
  /**
   * The rooms of this process's sockets, with the number of those sockets. The rooms of the
   * sockets' own ids are left out.
   */
  readonly rooms: Effect.Effect<ReadonlyMap<string, number>>
  /** The sockets of this process in a selection. */
  readonly localSockets: (selection: Selection) => Effect.Effect<ReadonlyArray<LocalSocket>>
  /** The details of the sockets in a selection, on every server unless `local`. */
  readonly fetchSockets: (
    selection: Selection,
    local: boolean
  ) => Effect.Effect<ReadonlyArray<SocketDetails>, ServersMissingError<ReadonlyArray<SocketDetails>>>
  /** Makes the sockets in a selection join rooms. */
  readonly socketsJoin: (selection: Selection, rooms: ReadonlyArray<string>, local: boolean) => Effect.Effect<void>
  /** Makes the sockets in a selection leave rooms. */
  readonly socketsLeave: (selection: Selection, rooms: ReadonlyArray<string>, local: boolean) => Effect.Effect<void>
  /** Disconnects the sockets in a selection. With `close` it also closes their connections. */
  readonly disconnectSockets: (selection: Selection, close: boolean, local: boolean) => Effect.Effect<void>
  /**
   * Sends an event to every other server of the cluster, not to this one. `trace` is the trace
   * context of the emitting span, if there is a tracer.
   */
  readonly serverSideEmit: (
    data: readonly [event: string, ...args: Array<unknown>],
    trace?: TraceContext | undefined
  ) => Effect.Effect<void>
  /**
   * Does the same, and yields the arguments of each answer. The stream ends when every other server
   * has answered or has declined. It fails at its end if some have not, and will not.
   */
  readonly serverSideEmitWithAck: (
    data: readonly [event: string, ...args: Array<unknown>],
    trace?: TraceContext | undefined
  ) => Stream.Stream<ReadonlyArray<unknown>, ServersMissingError>
  /** The log that all servers share, where the host asks for one. */
  readonly log?: SharedLog | undefined
  /** Puts a client that has come back into its rooms: the log knows of them. Synchronous. */
  readonly restore?: (socket: LocalSocket, rooms: ReadonlyArray<string>) => void
}

/**
 * Makes the adapter of a namespace, in the namespace's scope, when a layer serves the namespace or
 * the application first uses it.
 *
 * It must not suspend: fork work that takes time, such as connecting to a broker, in the scope.
 *
 * **Details**
 *
 * `host` is the namespace: its sockets, and the encoder of its packets. Finalizers of the scope run
 * when the namespace closes.
 *
 * **Gotchas**
 *
 * An adapter for a cluster must deliver a broadcast to this process's sockets in the emitting
 * fiber, before it informs the other servers. Otherwise the order of broadcasts and other emits is
 * lost. The exception is one with a log, where recovery is on: there, the log has the order.
 *
 * @since 0.1.0
 * @category models
 */
export interface Factory {
  (host: Host): Effect.Effect<Adapter, never, Scope.Scope>
  /** Whether its adapters have a log that all servers share, where the host asks for one. */
  readonly sharesLog?: boolean
}
