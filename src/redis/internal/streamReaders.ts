import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"

import type { Reader, RedisClient } from "../RedisClient.ts"
import type { Reply } from "../RedisCommand.ts"
import { textOf } from "./msgpack.ts"

/** The fields of an entry: names, and values as bytes. */
export type Fields = Readonly<Record<string, unknown>>

/** Takes an entry of one namespace. It must not throw. */
export type OnEntry = (fields: Fields, id: string) => void

export interface StreamReaderOptions {
  /** The entries that one reply may have. */
  readonly readCount: number
  /** The time for which Redis may wait for an entry, in milliseconds. */
  readonly blockTime: number
}

/** Reads streams, each over one connection for all namespaces. */
export interface StreamReaders {
  /** Reads the entries of a namespace from now on, until the scope closes. */
  readonly read: (stream: string, namespace: string, onEntry: OnEntry) => Effect.Effect<void, never, Scope.Scope>
}

/** A reply that has not come so long after its time means that the connection is dead. */
const SLACK = 3_000

/** From an error to the next attempt, in milliseconds. */
const RETRY_DELAY = 100

/** Makes the readers. They run, once started, until the scope closes. */
export const make = (
  redis: RedisClient["Service"],
  options: StreamReaderOptions
): Effect.Effect<StreamReaders, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const streams = new Map<string, Map<string, OnEntry>>()
    const start = (stream: string, namespaces: ReadonlyMap<string, OnEntry>) =>
      Effect.gen(function* () {
        const reader = yield* redis.reader(stream)
        yield* Effect.forkScoped(follow(reader, stream, namespaces, options))
      }).pipe(Scope.provide(scope))
    return {
      read: (stream, namespace, onEntry) =>
        Effect.acquireRelease(
          Effect.gen(function* () {
            let namespaces = streams.get(stream)
            if (namespaces === undefined) {
              streams.set(stream, (namespaces = new Map()))
              yield* start(stream, namespaces)
            }
            namespaces.set(namespace, onEntry)
            return namespaces
          }),
          (namespaces) => Effect.sync(() => namespaces.delete(namespace))
        ).pipe(Effect.asVoid)
    }
  })

/** Reads a stream, for ever. */
const follow = (
  reader: Reader,
  stream: string,
  namespaces: ReadonlyMap<string, OnEntry>,
  { blockTime, readCount }: StreamReaderOptions
): Effect.Effect<never> => {
  let last: string | undefined
  const command = (command: ReadonlyArray<string>, timeout: number) =>
    reader.command(command, { key: stream, bytes: true, timeout })
  /** Where reading begins, and where it goes on if the stream has begun anew meanwhile. */
  const begin = Effect.map(command(["XREVRANGE", stream, "+", "-", "COUNT", "1"], SLACK), (reply) => {
    const newest = entriesOf(reply)[0]?.id ?? "0-0"
    if (last === undefined || isBefore(newest, last)) last = newest
  })
  const next = Effect.suspend(() =>
    command(["XREAD", "COUNT", `${readCount}`, "BLOCK", `${blockTime}`, "STREAMS", stream, last!], blockTime + SLACK)
  ).pipe(
    Effect.map((reply) => {
      for (const { fields, id } of entriesOf(contentOf(reply))) {
        // It goes on after an entry that cannot be read.
        last = id
        namespaces.get(text(fields["nsp"]))?.(fields, id)
      }
    })
  )
  return reader.whenUp.pipe(
    Effect.andThen(begin),
    Effect.andThen(Effect.forever(next)),
    Effect.catch(() => Effect.sleep(RETRY_DELAY)),
    Effect.forever
  )
}

interface Entry {
  readonly id: string
  readonly fields: Fields
}

/** The entries of the one stream in the reply of XREAD, in the form of either protocol of Redis. */
const contentOf = (reply: Reply): Reply => {
  if (!Array.isArray(reply)) return []
  const [first, second] = reply as ReadonlyArray<Reply>
  // RESP 3 has a map: name, entries. RESP 2 has a list of pairs.
  return Array.isArray(first) ? ((first as ReadonlyArray<Reply>)[1] ?? []) : (second ?? [])
}

const entriesOf = (reply: Reply): ReadonlyArray<Entry> => {
  if (!Array.isArray(reply)) return []
  const entries: Array<Entry> = []
  for (const entry of reply as ReadonlyArray<Reply>) {
    if (!Array.isArray(entry)) continue
    const [id, values] = entry as ReadonlyArray<Reply>
    const fields: Record<string, unknown> = Object.create(null)
    if (Array.isArray(values)) {
      for (let i = 0; i + 1 < values.length; i += 2) fields[text(values[i])] = values[i + 1]
    }
    entries.push({ id: text(id), fields })
  }
  return entries
}

const text = (value: unknown): string => (value instanceof Uint8Array ? (textOf(value) ?? "") : String(value))

/** Whether an entry's id is lower than another one. */
const isBefore = (id: string, other: string): boolean => {
  const [millis = 0, number = 0] = id.split("-").map(Number)
  const [otherMillis = 0, otherNumber = 0] = other.split("-").map(Number)
  return millis === otherMillis ? number < otherNumber : millis < otherMillis
}
