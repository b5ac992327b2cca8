/**
 * The members of a room, as the application sees them.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { ServerSocketBase } from "../server/ServerSocket.ts"
import { TypeId } from "../SocketIoError.ts"

/**
 * The parts of a socket that presence uses. Every `ServerSocket` has them.
 *
 * @since 0.1.0
 * @category models
 */
export type PresentSocket = Pick<
  ServerSocketBase,
  "id" | "namespace" | "connected" | "rooms" | "join" | "onDisconnecting"
> &
  Partial<Pick<ServerSocketBase, "ready">>

/**
 * A member to track.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tracking<out Meta> {
  /** The room, whose members see each other. */
  readonly room: string
  /** The person or thing that is present: all its connections have the same key. */
  readonly key: string
  /** The metadata of this connection, as the others see it. */
  readonly meta: Meta
}

/**
 * A tracked member.
 *
 * @since 0.1.0
 * @category models
 */
export interface Membership<in Meta> {
  /**
   * Replaces the metadata. The others see the last of several updates within a period. It fails
   * with {@link PresenceRefused} if the member would be too large, dies of metadata that their
   * schema refuses, and does nothing after the membership's end.
   */
  readonly update: (meta: Meta) => Effect.Effect<void, PresenceRefused>
}

/**
 * The reasons why a member is not tracked.
 *
 * - `RoomFull`: the room has `maxMembers` members.
 * - `ServerFull`: this server keeps `maxTotal` members, those of other servers included.
 * - `SocketFull`: the socket is `maxPerSocket` members already, or has begun that many in the last
 *   period.
 * - `TooLarge`: room, key and metadata take more than `maxBytes`.
 * - `InvalidKey`: the key is empty, or `__proto__`, which is not safe in objects of JavaScript.
 *
 * @since 0.1.0
 * @category models
 */
export type RefusalReason =
  | { readonly _tag: "RoomFull" }
  | { readonly _tag: "ServerFull" }
  | { readonly _tag: "SocketFull" }
  | { readonly _tag: "TooLarge" }
  | { readonly _tag: "InvalidKey" }

/**
 * A member is not tracked, or not updated, because of a bound.
 *
 * @since 0.1.0
 * @category errors
 */
export class PresenceRefused extends Schema.TaggedError<PresenceRefused>()("PresenceRefused", {
  room: Schema.String,
  reason: Schema.Union([
    Schema.TaggedStruct("RoomFull", {}),
    Schema.TaggedStruct("ServerFull", {}),
    Schema.TaggedStruct("SocketFull", {}),
    Schema.TaggedStruct("TooLarge", {}),
    Schema.TaggedStruct("InvalidKey", {})
  ])
}) {
  get [TypeId](): true {
    return true
  }

  override get message(): string {
    return `presence in a room is refused: ${this.reason._tag}`
  }
}

/**
 * One connection of a key, as {@link PresenceShape.changes} tells it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Present<out Meta> {
  /**
   * The reference of this version of the member: unique on all servers, and another one after each
   * update.
   */
  readonly ref: string
  readonly meta: Meta
}

/**
 * All members of a room, by key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot<out Meta> {
  readonly _tag: "Snapshot"
  /** The number of the last publication that it contains. */
  readonly revision: number
  readonly members: ReadonlyMap<string, readonly [Present<Meta>, ...Array<Present<Meta>>]>
}

/**
 * The difference between two publications of a room. A member that has come and left in between is
 * not in it, and of several updates it has the last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Diff<out Meta> {
  readonly _tag: "Diff"
  /** Its number: later ones of this server have higher numbers. */
  readonly revision: number
  /** The members that have come. The first connection of a key is marked with `first`. */
  readonly joined: ReadonlyArray<Present<Meta> & { readonly key: string; readonly first: boolean }>
  /** The members that have left. The last connection of a key is marked with `last`. */
  readonly left: ReadonlyArray<Present<Meta> & { readonly key: string; readonly last: boolean }>
  /** The members with new metadata, and the references that they had before. */
  readonly updated: ReadonlyArray<Present<Meta> & { readonly key: string; readonly previousRef: string }>
}

/**
 * The changes of a room: first a {@link Snapshot}, and then each {@link Diff}.
 *
 * @since 0.1.0
 * @category models
 */
export type Change<Meta> = Snapshot<Meta> | Diff<Meta>

/**
 * The numbers of a room: of its keys, and of their connections.
 *
 * @since 0.1.0
 * @category models
 */
export interface Count {
  readonly keys: number
  readonly connections: number
}

/**
 * Another server of the cluster, as far as this one has heard of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface OtherServer {
  /** Its id, a new one at each start. */
  readonly id: string
  /** The members of it that are known here. */
  readonly members: number
  /** Whether it was silent for `down`: its members are kept, and not shown. */
  readonly isDown: boolean
  /** Whether all of its members are known, as of its last frame. */
  readonly isComplete: boolean
}

/**
 * The presence of one namespace.
 *
 * @since 0.1.0
 * @category models
 */
export interface PresenceShape<in out Meta> {
  /**
   * Makes a socket a member of a room until the scope closes or the socket disconnects.
   *
   * **Details**
   *
   * The socket joins the room, so that it sees the others: it gets `presence_state` at once, or at
   * the next quarter of a period if the room has more than 1,000 members, or many come at the same
   * time, and then `presence_diff`. If its builder tracks it, "at once" is the end of the turn:
   * what the builder emits then comes before. After the end of its membership it stays in the room
   * and still sees the others, until `socket.leave(room)`.
   *
   * A socket is one member of a room per key. If it is tracked again, the metadata are replaced,
   * and the new scope counts instead of the earlier one.
   *
   * Fails with {@link PresenceRefused} beyond a bound. It dies of metadata that their schema
   * refuses, and of a socket of another namespace. Nothing happens if the socket has disconnected.
   */
  readonly track: (
    socket: PresentSocket,
    member: Tracking<Meta>
  ) => Effect.Effect<Membership<Meta>, PresenceRefused, Scope.Scope>
  /** Ends all memberships of a socket in a room, before their scopes close. */
  readonly untrack: (socket: PresentSocket, room: string) => Effect.Effect<void>
  /**
   * Shows a room to a socket that is not present itself: it joins the room, and gets
   * `presence_state`. `socket.leave(room)` ends it.
   */
  readonly watch: (socket: PresentSocket, room: string) => Effect.Effect<void>
  /**
   * The members of a room on all servers, by key: the metadata of each of the key's connections. It
   * is a copy, whose cost is that of the room.
   */
  readonly list: (room: string) => Effect.Effect<ReadonlyMap<string, readonly [Meta, ...Array<Meta>]>>
  /** The number of members of a room on all servers. Its cost does not depend on the room. */
  readonly count: (room: string) => Effect.Effect<Count>
  /**
   * The changes of a room, on all servers: first a snapshot, then differences, at most one in a
   * period. A reader for whom more than 10,000 changes wait gets a new snapshot in their place. The
   * stream ends with the layer.
   */
  readonly changes: (room: string) => Stream.Stream<Change<Meta>>
  /** The other servers of the cluster, as far as this one has heard of them. */
  readonly servers: Effect.Effect<ReadonlyArray<OtherServer>>
}
