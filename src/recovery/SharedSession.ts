/**
 * The session of a connected client, where all servers of a cluster share the log.
 *
 * @since 0.1.0
 */
import type { Place } from "../adapter/SharedLog.ts"
import type { Checkpoint, StoredSession } from "../adapter/StoredSession.ts"

/**
 * The knowledge of one server about the session of a client that it has: how far the client has
 * certainly received everything, and the rooms in which it was then. All else is in the log.
 *
 * **Details**
 *
 * A pong confirms all that was sent before its ping (see `RecoverySession`).
 *
 * @since 0.1.0
 * @category models
 */
export class SharedSession {
  readonly pid: string
  readonly sid: string
  readonly former: number
  /** Changes with the owner: see `SessionStore`. */
  readonly generation: string
  /** To be called if a message is dropped that the client should have received. */
  readonly onDropped: (() => void) | undefined
  checkpoint: Checkpoint
  /** The application has brought the client into its rooms, see `RecoverySession`. */
  isBuilt = false
  /** The client may have missed something that is not in the log: it cannot be recovered. */
  isIncomplete = false
  onSpoiled: (() => void) | undefined
  /** The number of the oldest ping without an answer, and what its answer confirms. */
  private ping = 0
  private pinged: Checkpoint | undefined
  /** The rooms at the last ping, unless they have changed. */
  private rooms: ReadonlyArray<string> | undefined

  constructor(
    session: Pick<StoredSession, "pid" | "sid" | "former">,
    generation: string,
    checkpoint: Checkpoint,
    dropsMessages: boolean
  ) {
    this.pid = session.pid
    this.sid = session.sid
    this.former = session.former
    this.generation = generation
    this.checkpoint = checkpoint
    this.onDropped = dropsMessages ? () => this.spoil() : undefined
  }

  /**
   * Something is missing, or its rooms are not those of the log. From now on the client must not
   * get positions: one says that the client has had everything before it.
   */
  spoil(): void {
    if (this.isIncomplete) return
    this.isIncomplete = true
    this.onSpoiled?.()
  }

  /** It has joined or left a room. */
  onRoomChange(): void {
    this.rooms = undefined
  }

  /** The ping of a number was sent, after all messages up to a place. */
  onPing(ping: number, place: Place, rooms: ReadonlySet<string> | undefined): void {
    // A later ping waits: the first answer says less, but never too much.
    if (this.ping !== 0) return
    this.ping = ping
    this.rooms ??= rooms === undefined ? none : Array.from(rooms)
    this.pinged = { ...place, rooms: this.rooms }
  }

  /** The ping of a number was answered. */
  onPong(ping: number): void {
    if (this.ping === 0 || ping < this.ping) return
    this.ping = 0
    this.checkpoint = this.pinged!
  }
}

const none: ReadonlyArray<string> = []
