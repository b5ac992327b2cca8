import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

import type { OnEntry, SharedLog, SharedMessage } from "../SharedLog.ts"
import type { BroadcastFlags, BroadcastPacket, Host, LocalSocket, RecoveryHost, Selection } from "../Adapter.ts"
import { type ClusterMessage, isShared, type Sender } from "../ClusterMessage.ts"
import type { InMemoryAdapter } from "../InMemoryAdapter.ts"

const NONE = () => {}

/** From an entry that was lost to the next attempt. */
const RETRY_DELAY = Duration.millis(100)

/** The changes of the rooms or the connections of sockets. */
type Acting = Exclude<SharedMessage, { readonly _tag: "Broadcast" | "Taken" }>

/**
 * The part of an adapter that works by the log that all servers share: its own sockets get
 * messages, and change rooms, when this server reads that in the log.
 */
export class Logged implements SharedLog {
  readonly sessions: SharedLog["sessions"]
  readonly read: SharedLog["read"]
  readonly reach: SharedLog["reach"]
  readonly append: SharedLog["append"]
  private readonly log: Omit<SharedLog, "watch">
  private readonly host: Host
  private readonly recovery: RecoveryHost
  private readonly own: InMemoryAdapter
  private readonly watchers = new Set<OnEntry>()

  constructor(log: Omit<SharedLog, "watch">, host: Host, recovery: RecoveryHost, own: InMemoryAdapter) {
    this.log = log
    this.host = host
    this.recovery = recovery
    this.own = own
    this.sessions = log.sessions
    this.read = log.read
    this.reach = log.reach
    this.append = log.append
  }

  get place(): SharedLog["place"] {
    return this.log.place
  }

  watch(onEntry: OnEntry): () => void {
    this.watchers.add(onEntry)
    return () => void this.watchers.delete(onEntry)
  }

  /** Whether a broadcast has its place in the log. */
  takes({ data }: BroadcastPacket, { local, volatile }: BroadcastFlags): boolean {
    return !local && !volatile && this.recovery.isRecoverable(data[0])
  }

  broadcast(packet: BroadcastPacket, selection: Selection, { compress }: BroadcastFlags): void {
    const { data, mayHaveBinary, trace } = packet
    const flags = { volatile: false, compress }
    this.log.append({ _tag: "Broadcast", data, mayHaveBinary, selection, flags, trace }, NONE)
  }

  join({ id }: LocalSocket, rooms: ReadonlyArray<string>): Effect.Effect<void> {
    return this.actOnOne({ _tag: "Enter", sid: id, rooms })
  }

  leave({ id }: LocalSocket, rooms: ReadonlyArray<string>): Effect.Effect<void> {
    return this.actOnOne({ _tag: "Exit", sid: id, rooms })
  }

  /** The same for the sockets of a selection that are of this server. */
  moveLocal(_tag: "Enter" | "Exit", selection: Selection, rooms: ReadonlyArray<string>): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach(this.own.selectUnsafe(selection), ({ id }) => this.actOnOne({ _tag, sid: id, rooms }), {
        concurrency: "unbounded",
        discard: true
      })
    )
  }

  private actOnOne(message: SharedMessage & { readonly _tag: "Enter" | "Exit" }): Effect.Effect<void> {
    return this.act(message, () => !this.host.sockets.has(message.sid))
  }

  /**
   * Waits until it has happened. Rooms are always those that the log says: what is not in the log
   * has not happened, and is tried again until it has.
   */
  act(message: Acting, isOver = () => false): Effect.Effect<void> {
    const once = Effect.callback<boolean>((resume) => {
      this.log.append(message, (isRead) => resume(Effect.succeed(isRead)))
    })
    return Effect.asVoid(
      Effect.repeat(once, { until: (isRead) => isRead || isOver(), schedule: Schedule.spaced(RETRY_DELAY) })
    )
  }

  /**
   * Takes a message. Returns whether that is all: it was for one socket alone, or this server has
   * done it before.
   */
  onMessage({ bytes = 0, position, uid }: Sender, message: ClusterMessage, ownUid: string): boolean {
    if (position === undefined || !isShared(message)) return false
    for (const onEntry of this.watchers) onEntry(position, message, bytes)
    switch (message._tag) {
      case "Broadcast": {
        if (message.atOnce && uid === ownUid) return true
        if (message.direct) this.deliver(message, position)
        return message.direct === true
      }
      case "Enter":
      case "Exit":
      case "Taken":
        this.apply(message)
        return true
      default:
        return false
    }
  }

  /** Delivers an event to one socket, and not to others in the room of its id. */
  private deliver(message: SharedMessage & { readonly _tag: "Broadcast" }, position: string): void {
    const { encode, order, sockets } = this.host
    const { data, mayHaveBinary, selection } = message
    const socket = sockets.get(selection.rooms[0] ?? "")
    if (socket === undefined) return
    order?.finish()
    const flags = { ...message.flags, local: false }
    socket.deliver(encode({ data, mayHaveBinary, position }, flags, selection), flags)
  }

  private apply(message: SharedMessage & { readonly _tag: "Enter" | "Exit" | "Taken" }): void {
    const { host, own } = this
    switch (message._tag) {
      case "Enter":
      case "Exit": {
        host.order?.finish()
        const socket = host.sockets.get(message.sid)
        if (socket === undefined) return
        if (message._tag === "Enter") return own.addUnsafe(socket, message.rooms)
        return own.removeAll(socket, message.rooms)
      }
      case "Taken":
        return this.recovery.onTaken(message.sid, message.by)
    }
  }
}
