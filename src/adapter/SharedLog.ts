/**
 * The port to a log and to sessions that all servers of a cluster share: with them, a client is
 * recovered by any server.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"

import type { TraceContext } from "../TraceContext.ts"
import type { StoredSession } from "./StoredSession.ts"

/**
 * A place in the log: the position of an entry, and the number of entries up to it since the log
 * was made. Two places tell how many entries there have been between them, whatever is left of
 * them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Place {
  readonly position: string
  readonly index: number
  /**
   * Names the life of the store that keeps the log. After a failover or a restart it is another
   * one, and the last entries of the one before may be missing. Default: there is one life alone.
   */
  readonly era?: string | undefined
}

/**
 * A place from which the log is read. Its index is unknown where official servers are concerned; a
 * client, or anybody who writes to the store, may have made it up.
 *
 * @since 0.1.0
 * @category models
 */
export interface From {
  readonly position: string
  readonly index?: number | undefined
}

/**
 * The recipients of a broadcast, or those to whom something happens.
 *
 * @since 0.1.0
 * @category models
 */
export interface SharedSelection {
  readonly rooms: ReadonlyArray<string>
  readonly except: ReadonlyArray<string>
}

/**
 * An entry of the log for one namespace.
 *
 * **Details**
 *
 * - `Broadcast`: an event for the selected sockets. If it is `direct`, it is for the one socket
 *   alone whose id is the only room. If it is `atOnce`, its own server did not wait for the log: it
 *   is not recovered, as volatile events are not.
 * - `Join`, `Leave`, `Disconnect`: what happens to the selected sockets.
 * - `Enter`, `Exit`: one socket alone joins or leaves rooms.
 * - `Taken`: a server has the session of a socket from now on, in the generation `by`.
 *
 * @since 0.1.0
 * @category models
 */
export type SharedMessage =
  | {
      readonly _tag: "Broadcast"
      readonly data: readonly [event: string, ...args: Array<unknown>]
      readonly mayHaveBinary: boolean
      readonly selection: SharedSelection
      readonly flags: { readonly volatile: boolean; readonly compress: boolean }
      readonly direct?: boolean | undefined
      readonly atOnce?: boolean | undefined
      readonly trace?: TraceContext | undefined
    }
  | { readonly _tag: "Join" | "Leave"; readonly selection: SharedSelection; readonly rooms: ReadonlyArray<string> }
  | { readonly _tag: "Disconnect"; readonly selection: SharedSelection; readonly close: boolean }
  | { readonly _tag: "Enter" | "Exit"; readonly sid: string; readonly rooms: ReadonlyArray<string> }
  | { readonly _tag: "Taken"; readonly sid: string; readonly by: string }

/**
 * Takes the entries of a log, in their order. `message` is `undefined` where an entry is one of
 * another namespace, or cannot be read. `bytes` is its size, about. `index` is the number of
 * entries up to it, if that is known.
 *
 * @since 0.1.0
 * @category models
 */
export type OnEntry = (
  position: string,
  message: SharedMessage | undefined,
  bytes: number,
  index?: number | undefined
) => void

/**
 * The log, as one namespace of one server sees it.
 *
 * **Details**
 *
 * All servers read the same entries in the same order, and give them to their sockets when they
 * read them, also the ones that they have appended themselves. So a client that knows the position
 * of its last message has had all before it.
 *
 * @since 0.1.0
 * @category models
 */
export interface SharedLog {
  /** The last entry that this server has read; `undefined` as long as that is not known. */
  readonly place: Place | undefined
  /**
   * Appends an entry, in the order of the calls. `onEnd` is called once: with `true` after this
   * server has read it, or with `false` if it may not be in the log. Throws on a value that cannot
   * be encoded.
   */
  append(message: SharedMessage, onEnd: (isRead: boolean) => void): void
  /** Waits until this server has read everything up to a position. */
  reach(position: string): Effect.Effect<void>
  /**
   * Calls `onEntry` for each entry of the namespace from now on, before it is delivered. Gives how
   * to stop.
   */
  watch(onEntry: OnEntry): () => void
  /**
   * Reads the entries after a place, up to a position, of all namespaces. It ends with a reason if
   * there are more than `maxEntries`, or if the log cannot be read.
   *
   * It ends with `whole` if this server has read all of them before, also for another client, and
   * has passed on those of its namespace: then none is missing, and they need not be counted.
   */
  read(
    after: From,
    upTo: string,
    maxEntries: number,
    onEntry: OnEntry
  ): Effect.Effect<"overflow" | "unavailable" | "whole" | undefined>
  readonly sessions: SessionStore
}

/**
 * The result of writing a session: it is `kept`; another server has `taken` it; it is `missing`, as
 * it has expired, or an official server has taken it; or the store was `unavailable`.
 *
 * @since 0.1.0
 * @category models
 */
export type Kept = "kept" | "taken" | "missing" | "unavailable"

/**
 * The sessions of all clients. One that is not written again is forgotten after its time to live.
 *
 * **Details**
 *
 * A session has a generation, which changes with its owner: the server that has its socket. Only
 * the owner can write it. No method throws, and no effect fails.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionStore {
  /** Draws a generation. */
  readonly generation: () => string
  /** Writes a session that is new, whoever has had it. Times to live are in milliseconds. */
  readonly create: (session: StoredSession, generation: string, timeToLive: number, onEnd: OnKept) => void
  /** Writes a session again, if its generation is still this one. */
  readonly update: (session: StoredSession, generation: string, timeToLive: number, onEnd: OnKept) => void
  /** Forgets a session, if its generation is still this one. It is tried until it has happened. */
  readonly remove: (pid: string, generation: string) => void
  /**
   * Takes a session for a new generation, atomically: of several that ask for it, the last one has
   * it. Gives `undefined` if there is none, or it cannot be read.
   */
  readonly claim: (pid: string, generation: string) => Effect.Effect<StoredSession | "unavailable" | undefined>
}

/**
 * @since 0.1.0
 * @category models
 */
export type OnKept = (kept: Kept) => void

/**
 * The entries of one namespace that a server has read last, or for a client, so that it need not
 * read them again for each one that comes back. None is missing between the first and the last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recent {
  /** Adds the entry at a place, of so many bytes, at a time in milliseconds. */
  add(place: Place, message: SharedMessage, bytes: number, at: number): void
  /** Whether everything after a place is here, up to where the server is now. */
  has(from: From, now: Place): boolean
  /** Passes on the entries after a place, up to a position. */
  read(from: From, upTo: string, maxEntries: number, onEntry: OnEntry): "overflow" | "whole"
  /**
   * Somebody reads the log after a place that is before all entries here, up to `upTo`, where the
   * server is now. Gives what takes the entries, so that the next one need not read them; nothing
   * if they are not wanted, as while another one reads them. `now` is the time, in milliseconds.
   */
  refill(from: From, upTo: Place, now: number): Refill | undefined
}

/**
 * Takes the entries of a log that are read once more, in their order.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refill {
  /** The entries are to be read up to here. */
  readonly upTo: Place
  readonly take: OnEntry
  /** All were taken, or not. It must be called. */
  end(isComplete: boolean): void
}
