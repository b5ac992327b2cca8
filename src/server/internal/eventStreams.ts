import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import type { StreamOptions, StreamOverflow } from "../../StreamOptions.ts"
import { costOfStreamed } from "./backlog.ts"
import type { Connection } from "./connection.ts"
import { Reader } from "./reader.ts"

/** All events that the contract declares. */
export const DECLARED: unique symbol = Symbol("declared events")

/** All other events; every event where there is no contract. */
export const UNDECLARED: unique symbol = Symbol("undeclared events")

/** The events of a stream: those of a name, or a kind of them. */
export type Streamed = string | typeof DECLARED | typeof UNDECLARED

/** The streams of one socket's events. A socket has them from the first reader on. */
export class EventStreams {
  private readonly connection: Connection
  private readonly readers = new Map<Streamed, Set<Reader>>()
  private hasEnded: boolean

  constructor(connection: Connection, hasEnded: boolean) {
    this.connection = connection
    this.hasEnded = hasEnded
  }

  has(events: Streamed): boolean {
    return this.readers.has(events)
  }

  /** The events from now on, until the scope closes or the socket disconnects. */
  subscribe(
    events: Streamed,
    options: StreamOptions = {}
  ): Effect.Effect<Stream.Stream<any, StreamOverflow>, never, Scope.Scope> {
    const reader = Effect.acquireRelease(
      Effect.sync(() => {
        const name = typeof events === "string" ? events : "events"
        const reader = new Reader(name, options, this.connection.environment.options)
        this.add(events, reader)
        return reader
      }),
      (reader) =>
        Effect.sync(() => {
          this.remove(events, reader)
          reader.close()
        })
    )
    return Effect.map(reader, ({ pull }) => Stream.fromPull(Effect.succeed(pull)))
  }

  /** An event of the contract has come. */
  publish(event: string, payload: unknown, data: ReadonlyArray<unknown>): void {
    const ofName = this.readers.get(event)
    if (ofName !== undefined) this.offer(ofName, payload, data)
    const ofAll = this.readers.get(DECLARED)
    if (ofAll !== undefined) this.offer(ofAll, { event, payload }, data)
  }

  /** An event that no contract declares has come. */
  publishUndeclared(event: string, args: ReadonlyArray<unknown>, data: ReadonlyArray<unknown>): void {
    const ofName = this.readers.get(event)
    if (ofName !== undefined) this.offer(ofName, args, data)
    const ofAll = this.readers.get(UNDECLARED)
    if (ofAll !== undefined) this.offer(ofAll, { event, args }, data)
  }

  private offer(readers: ReadonlySet<Reader>, value: unknown, data: ReadonlyArray<unknown>): void {
    const cost = costOfStreamed(data)
    for (const reader of readers) reader.offer(value, cost, this.connection)
  }

  /** The socket has disconnected: readers get the events that have come, and then the end. */
  end(): void {
    this.hasEnded = true
    for (const readers of this.readers.values()) for (const reader of readers) reader.end()
    this.readers.clear()
  }

  private add(events: Streamed, reader: Reader): void {
    if (this.hasEnded) return reader.end()
    const existing = this.readers.get(events)
    if (existing === undefined) this.readers.set(events, new Set([reader]))
    else existing.add(reader)
  }

  private remove(events: Streamed, reader: Reader): void {
    const readers = this.readers.get(events)
    if (readers?.delete(reader) && readers.size === 0) this.readers.delete(events)
  }
}
