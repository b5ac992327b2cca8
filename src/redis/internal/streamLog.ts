import * as Effect from "effect/Effect"
import type * as Semaphore from "effect/Semaphore"

import type { RecoveryHost } from "../../adapter/Adapter.ts"
import { isShared } from "../../adapter/ClusterMessage.ts"
import type { Received } from "../../adapter/Received.ts"
import * as LogPosition from "../../adapter/LogPosition.ts"
import type { Place, Recent, Refill, SessionStore, SharedLog, SharedMessage } from "../../adapter/SharedLog.ts"
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
  /** The entries that this server remembers. */
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
      const readAgain = Effect.suspend(() => {
        let recent: Recent | undefined
        let refill: Refill | undefined
        let isPast = false
        let isComplete = false
        const reading = Effect.suspend(() => {
          const { place } = this
          if (place !== undefined) {
            recent = this.recent ??= this.recovery.remember(place.index)
            refill = recent.refill(after, place, this.now())
          }
          // Up to where this server is now: what it remembers begins there.
          const last = refill !== undefined && isAfter(refill.upTo.position, upTo) ? refill.upTo.position : upTo
          return range(redis, wire.stream, after.position, last, maxEntries, (fields, id, bytes) => {
            const message = messageOf(wire.decodeEntry(fields, id, true))
            isPast ||= isAfter(id, upTo)
            if (!isPast) onEntry(id, message, bytes)
            refill?.take(id, message, bytes)
          })
        })
        return Effect.ensuring(
          Effect.map(reading, (problem) => {
            isComplete = problem === undefined
            return isPast ? undefined : problem
          }),
          // After a gap, another one takes its place.
          Effect.sync(() => refill?.end(isComplete && recent === this.recent))
        )
      })
      const readOrElse = (orElse: ReturnType<SharedLog["read"]>): ReturnType<SharedLog["read"]> =>
        Effect.suspend(() => {
          const { place, recent } = this
          return place !== undefined && recent?.has(after, place)
            ? Effect.succeed(recent.read(after, upTo, maxEntries, onEntry))
            : orElse
        })
      // A client that waited before this one may have had these entries read.
      return readOrElse(permits.withPermits(1)(readOrElse(readAgain)))
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

const isAfter = (one: string, other: string): boolean => LogPosition.compare(one, other) > 0

const messageOf = (received: Received): SharedMessage | undefined =>
  received._tag === "Message" && isShared(received.message) ? received.message : undefined
