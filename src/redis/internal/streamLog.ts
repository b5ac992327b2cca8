import * as Effect from "effect/Effect"
import type * as Semaphore from "effect/Semaphore"

import type { RecoveryHost } from "../../adapter/Adapter.ts"
import { isShared } from "../../adapter/ClusterMessage.ts"
import type { Received } from "../../adapter/Received.ts"
import * as LogPosition from "../../adapter/LogPosition.ts"
import type { Place, Recent, SessionStore, SharedLog, SharedMessage } from "../../adapter/SharedLog.ts"
import type { RedisClient } from "../RedisClient.ts"
import type { Command, Reply } from "../RedisCommand.ts"
import type { StreamPlace } from "./streamPlace.ts"
import { type Fields, range, sizeOfEntry } from "./streamReaders.ts"
import { addCommandSince, type EntryFields, type StreamsWire } from "./streamsWire.ts"

/** Adds an entry. Gives its number; `done` gets the reply, or nothing if there is none. */
type Add = (message: SharedMessage, done: (reply: Reply | undefined) => void) => number

/** The log of one namespace in a stream of Redis. */
export class StreamLog implements Omit<SharedLog, "watch"> {
  readonly sessions: SessionStore
  readonly append: SharedLog["append"]
  readonly reach: SharedLog["reach"]
  readonly read: SharedLog["read"]
  readonly addCommand: (fields: EntryFields) => Command
  /** Set when the reader has started. */
  stream: StreamPlace | undefined
  private readonly uid: string
  private readonly ownNumber: StreamsWire["ownNumber"]
  private readonly now: () => number
  private readonly recovery: RecoveryHost
  /** The entry that this server has read last. */
  private recent: Recent | undefined
  /** The callers that wait until this server reads its own entries, by their numbers. */
  private readonly waiting = new Map<number, (isRead: boolean) => void>()

  constructor(
    redis: RedisClient["Service"],
    uid: string,
    wire: StreamsWire,
    recovery: RecoveryHost,
    sessions: SessionStore,
    now: () => number,
    permits: Semaphore.Semaphore,
    add: Add
  ) {
    this.uid = uid
    this.ownNumber = wire.ownNumber
    this.now = now
    this.recovery = recovery
    this.sessions = sessions
    this.append = (message, onEnd) => {
      let number: number | undefined
      let isDropped = false
      number = add(message, (reply) => {
        if (reply !== undefined) return
        isDropped = true
        if (number !== undefined) this.end(number, false)
      })
      if (isDropped) onEnd(false)
      else this.waiting.set(number, onEnd)
    }
    this.reach = (position) => Effect.suspend(() => this.stream?.reach(position) ?? Effect.never)
    this.read = (after, upTo, maxEntries, onEntry) => {
      const readRange = (recent: Recent | undefined) => {
        const refill = recent?.refill(after)
        let isComplete = false
        return Effect.ensuring(
          Effect.map(
            range(redis, wire.stream, after.position, upTo, maxEntries, (fields, id, bytes) => {
              const message = messageOf(wire.decodeEntry(fields, id, true))
              onEntry(id, message, bytes)
              refill?.take(id, message, bytes)
            }),
            (problem) => {
              isComplete = problem === undefined
              return problem
            }
          ),
          // After a gap, these entries are nobody's.
          Effect.sync(() => refill?.end(isComplete && recent === this.recent))
        )
      }
      const readWith = (orElse: (recent: Recent | undefined) => ReturnType<SharedLog["read"]>) =>
        Effect.suspend(() => {
          const { place, recent } = this
          return place !== undefined && recent?.has(after, place)
            ? Effect.succeed(recent.read(after, upTo, maxEntries, onEntry))
            : orElse(recent)
        })
      // Those that were read before may have had them read.
      return readWith(() => permits.withPermits(1)(readWith(readRange)))
    }
    this.addCommand = (fields) => {
      const { last } = this.stream ?? {}
      // The clock of Redis: those of servers may differ.
      return addCommandSince(
        wire.stream,
        last === undefined ? 0 : LogPosition.millisOf(last) - recovery.retention,
        fields
      )
    }
  }

  get place(): Place | undefined {
    return this.stream?.place
  }

  /** An entry of this namespace has been delivered. */
  onEntry(received: Received, fields: Fields, id: string): void {
    const message = messageOf(received)
    const { place } = this
    // Without its place in the stream nothing is known of what comes after it.
    if (place === undefined) this.recent = undefined
    else if (message !== undefined) {
      this.recent ??= this.recovery.remember(place.index - 1)
      this.recent.add({ position: id, index: place.index }, message, sizeOfEntry(fields), this.now())
    }
    if (received._tag === "Message") {
      if (received.from.uid === this.uid && received.number !== undefined) this.end(received.number, true)
    } else if (received._tag === "Refused" && this.waiting.size > 0) {
      const number = this.ownNumber(fields)
      // Nothing else comes of it.
      if (number !== undefined) this.end(number, true)
    }
  }

  /** Entries were lost before they were read: those of this server may be among them. */
  onGap(): void {
    this.recent = undefined
    this.recovery.onGap()
    for (const number of Array.from(this.waiting.keys())) this.end(number, false)
  }

  private end(number: number, isRead: boolean): void {
    const onEnd = this.waiting.get(number)
    this.waiting.delete(number)
    onEnd?.(isRead)
  }
}

const messageOf = (received: Received): SharedMessage | undefined =>
  received._tag === "Message" && isShared(received.message) ? received.message : undefined
