import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"

import * as LogPosition from "../../adapter/LogPosition.ts"
import type { Reader, RedisClient } from "../RedisClient.ts"
import type { Reply } from "../RedisCommand.ts"
import { textOf } from "./msgpack.ts"
import { StreamPlace, type StreamState } from "./streamPlace.ts"

/** The fields of an entry: names, and values as bytes. */
export type Fields = Readonly<Record<string, unknown>>

/** Takes an entry of one namespace. It must not throw. */
export type OnEntry = (fields: Fields, id: string) => void

export interface StreamReaderOptions {
  /** The entries that one reply may have. */
  readonly readCount: number
  /** The time for which Redis may wait for an entry, in milliseconds. */
  readonly blockTime: number
  /** The entries that streams keep at least, where nobody counts places. */
  readonly keeps: number
}

/** The reader of one namespace's entries. */
export interface EntryReader {
  readonly onEntry: OnEntry
  /**
   * Entries may have been lost before they were read: the connection was lost, or so many had not
   * been read that older ones may have been trimmed.
   */
  readonly onDoubt: () => void
  /** Entries were lost before they were read. With it, places are counted. */
  readonly onGap?: () => void
}

/** Reads streams, each over one connection for all namespaces. */
export interface StreamReaders {
  /** Reads the entries of a namespace from now on, until the scope closes. */
  readonly read: (
    stream: string,
    namespace: string,
    reader: EntryReader
  ) => Effect.Effect<StreamPlace, never, Scope.Scope>
}

/** A reply that has not come so long after its time means that the connection is dead. */
const SLACK = 3_000

/** A reply is made smaller than this, in bytes, if entries are as large as those before. */
const MAX_REPLY = 8 << 20

/** From an error to the next attempt, in milliseconds. */
const RETRY_DELAY = 100

/** Makes the readers. They run, once started, until the scope closes. */
export const make = (
  redis: RedisClient["Service"],
  options: StreamReaderOptions
): Effect.Effect<StreamReaders, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const streams = new Map<string, Followed>()
    const start = (stream: string, followed: Followed) =>
      Effect.gen(function* () {
        const reader = yield* redis.reader(stream)
        yield* Effect.forkScoped(follow(reader, stream, followed, options, yield* Clock.Clock))
      }).pipe(Scope.provide(scope))
    return {
      read: (stream, namespace, reader) =>
        Effect.acquireRelease(
          Effect.gen(function* () {
            let followed = streams.get(stream)
            const isNew = followed === undefined
            if (followed === undefined) {
              streams.set(stream, (followed = { namespaces: new Map(), place: new StreamPlace() }))
            }
            followed.namespaces.set(namespace, reader)
            if (reader.onGap !== undefined) followed.place.gapListeners.add(reader.onGap)
            if (isNew) yield* start(stream, followed)
            return followed
          }),
          ({ namespaces, place }) =>
            Effect.sync(() => {
              namespaces.delete(namespace)
              if (reader.onGap !== undefined) place.gapListeners.delete(reader.onGap)
            })
        ).pipe(Effect.map(({ place }) => place))
    }
  })

/** A stream, and its readers. */
interface Followed {
  readonly namespaces: Map<string, EntryReader>
  readonly place: StreamPlace
}

/** The state of a stream, without its entries, which may be large. */
const STATE =
  "local i = redis.pcall('info', 'replication') local e = type(i) == 'string' and string.match(i, 'master_replid:(%x+)') or '' " +
  "local r = redis.pcall('xinfo', 'stream', KEYS[1]) if r.err then return {0, 0, '0-0', e} end local t = {} " +
  "for i = 1, #r, 2 do t[r[i]] = r[i + 1] end return {t['entries-added'] or -1, t['length'], t['last-generated-id'], e}"

/** Reads a stream, for ever. */
const follow = (
  reader: Reader,
  stream: string,
  { namespaces, place }: Followed,
  { blockTime, keeps, readCount }: StreamReaderOptions,
  clock: Clock.Clock
): Effect.Effect<never> => {
  const command = (command: ReadonlyArray<string>, timeout: number) =>
    reader.command(command, { key: stream, bytes: true, timeout })
  const count = Effect.map(command(["EVAL", STATE, "1", stream], SLACK), (reply) =>
    place.onState(stateOf(reply), clock.currentTimeMillisUnsafe())
  )
  const newest = Effect.map(command(["XREVRANGE", stream, "+", "-", "COUNT", "1"], SLACK), (reply) => {
    const newest = entriesOf(reply)[0]?.id ?? "0-0"
    if (place.last === undefined || LogPosition.compare(newest, place.last) < 0) place.last = newest
  })
  /** Where reading begins, and where it goes on if the stream has begun anew meanwhile. */
  const begin = Effect.suspend(() => (place.gapListeners.size > 0 ? count : newest))
  let size = readCount
  /** The entries that were read without a pause: more were there than one reply may have. */
  let behind = 0
  let isCut = false
  const doubt = () => {
    for (const { onDoubt } of namespaces.values()) onDoubt()
  }
  const deliver = (entries: ReadonlyArray<Entry>) => {
    let bytes = 1
    for (const { fields, id } of entries) {
      // It goes on after an entry that cannot be read.
      place.advance(id)
      bytes += sizeOfEntry(fields)
      namespaces.get(text(fields["nsp"]))?.onEntry(fields, id)
      place.settle()
    }
    behind += entries.length
    const mayHaveLost = behind >= keeps / 2
    if (mayHaveLost) doubt()
    if (mayHaveLost || entries.length < size) behind = 0
    size = Math.max(1, Math.min(readCount, Math.floor((MAX_REPLY * entries.length) / bytes)))
  }
  const next = Effect.suspend(() =>
    command(["XREAD", "COUNT", `${size}`, "BLOCK", `${blockTime}`, "STREAMS", stream, place.last!], blockTime + SLACK)
  ).pipe(
    Effect.flatMap((reply) => {
      const entries = entriesOf(contentOf(reply))
      // A stream that was deleted may have begun anew with lower ids.
      if (entries.length === 0) return begin
      if (!place.isDue(clock.currentTimeMillisUnsafe(), entries.length === size)) {
        deliver(entries)
        return Effect.void
      }
      return Effect.map(count, () => deliver(entries))
    })
  )
  const resumed = Effect.sync(() => {
    if (isCut) doubt()
    isCut = false
  })
  const cut = Effect.suspend(() => {
    isCut = true
    return Effect.sleep(RETRY_DELAY)
  })
  return reader.whenUp.pipe(
    Effect.andThen(begin),
    Effect.andThen(resumed),
    Effect.andThen(Effect.forever(next)),
    Effect.catch(() => cut),
    Effect.forever
  )
}

/**
 * Reads the entries after an id, up to another one. It ends with a reason if there are more than
 * `maxEntries`, or if they cannot be read.
 */
export const range = Effect.fnUntraced(function* (
  redis: RedisClient["Service"],
  stream: string,
  after: string,
  upTo: string,
  maxEntries: number,
  onEntry: (fields: Fields, id: string, bytes: number) => void
) {
  let from = after
  let left = maxEntries
  let size = FIRST_PAGE
  while (LogPosition.compare(from, upTo) < 0) {
    const reply = yield* redis
      .command(["XRANGE", stream, `(${from}`, upTo, "COUNT", `${size}`], { key: stream, bytes: true })
      .pipe(Effect.catch(() => Effect.undefined))
    if (reply === undefined) return "unavailable"
    const entries = entriesOf(reply)
    let bytes = 1
    for (const { fields, id } of entries) {
      if (left-- === 0) return "overflow"
      const size = sizeOfEntry(fields)
      bytes += size
      onEntry(fields, id, size)
      from = id
    }
    if (entries.length < size) return undefined
    size = Math.max(1, Math.min(LARGEST_PAGE, 2 * size, Math.floor((MAX_REPLY * entries.length) / bytes)))
  }
  return undefined
})

/** The entries of the first reply, and of the largest one. */
const FIRST_PAGE = 50
const LARGEST_PAGE = 500

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

const stateOf = (reply: Reply): StreamState => {
  const [added, length, last, era = ""] = Array.isArray(reply) ? (reply as ReadonlyArray<Reply>) : []
  return { added: Number(added), length: Number(length), last: text(last), era: text(era) || undefined }
}

/** The size of an entry, in bytes. */
export const sizeOfEntry = (fields: Fields): number => {
  let bytes = 0
  for (const field in fields) {
    const value = fields[field]
    if (value instanceof Uint8Array) bytes += value.length
  }
  return bytes
}

const text = (value: unknown): string => (value instanceof Uint8Array ? (textOf(value) ?? "") : String(value))
