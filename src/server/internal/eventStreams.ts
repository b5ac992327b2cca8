import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import { costOfStreamed } from "./backlog.ts"
import type { Connection } from "./connection.ts"

/** A payload that waits for its reader, and its cost meanwhile. */
interface Waiting {
  readonly payload: unknown
  readonly cost: number
}

/** One reader of an event's payloads. */
class Reader {
  readonly queue: Queue.Queue<Waiting, Cause.Done>
  private readonly connection: Connection
  /** The cost of the payloads that were offered and not read. */
  private unread = 0

  constructor(queue: Queue.Queue<Waiting, Cause.Done>, connection: Connection) {
    this.queue = queue
    this.connection = connection
  }

  /** Whether the queue had capacity. */
  offer(payload: unknown, cost: number): boolean {
    if (!Queue.offerUnsafe(this.queue, { payload, cost })) return false
    this.unread += cost
    this.connection.backlog.hold(cost)
    return true
  }

  onRead(cost: number): void {
    // Payloads that are still read after the scope has closed no longer count.
    if (this.unread >= cost) this.release(cost)
  }

  /** The reader's scope has closed. */
  close(): void {
    if (this.unread > 0) this.release(this.unread)
  }

  private release(cost: number): void {
    this.unread -= cost
    this.connection.backlog.release(cost)
  }
}

/** The streams of one socket's events. A socket has them from the first reader on. */
export class EventStreams {
  private readonly connection: Connection
  private readonly readers = new Map<string, Set<Reader>>()
  private hasEnded: boolean

  constructor(connection: Connection, hasEnded: boolean) {
    this.connection = connection
    this.hasEnded = hasEnded
  }

  has(event: string): boolean {
    return this.readers.has(event)
  }

  /** The payloads of an event from now on, until the scope closes or the socket disconnects. */
  subscribe(event: string): Effect.Effect<Stream.Stream<any>, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const queue = yield* Queue.make<Waiting, Cause.Done>({
        capacity: this.connection.environment.options.maxPendingEvents,
        strategy: "dropping"
      })
      const reader = new Reader(queue, this.connection)
      yield* Effect.acquireRelease(
        Effect.sync(() => this.add(event, reader)),
        () =>
          Effect.sync(() => {
            this.remove(event, reader)
            reader.close()
          })
      )
      return Stream.map(Stream.fromQueue(queue), ({ cost, payload }) => {
        reader.onRead(cost)
        return payload
      })
    })
  }

  /** An event has come. A reader that is too far behind ends the connection. */
  publish(event: string, payload: unknown, data: ReadonlyArray<unknown>): void {
    const readers = this.readers.get(event)
    if (readers === undefined) return
    const cost = costOfStreamed(data)
    for (const reader of readers) {
      if (reader.offer(payload, cost)) continue
      this.connection.session.closeUnsafe("inbound overflow", "a stream of the socket's events has fallen behind")
    }
  }

  /** The socket has disconnected: readers get what has come, and then the end. */
  end(): void {
    this.hasEnded = true
    for (const readers of this.readers.values()) for (const { queue } of readers) Queue.endUnsafe(queue)
    this.readers.clear()
  }

  private add(event: string, reader: Reader): void {
    if (this.hasEnded) return void Queue.endUnsafe(reader.queue)
    const existing = this.readers.get(event)
    if (existing === undefined) this.readers.set(event, new Set([reader]))
    else existing.add(reader)
  }

  private remove(event: string, reader: Reader): void {
    const readers = this.readers.get(event)
    if (readers?.delete(reader) && readers.size === 0) this.readers.delete(event)
  }
}
