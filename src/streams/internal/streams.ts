import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

import type { About, EncodedEnd, Store, StreamLogError } from "../StreamStore.ts"
import type { LogEntry } from "./entry.ts"
import type { Bound, Ledger } from "./ledger.ts"
import { makeMirrors } from "./mirrors.ts"
import { makeShipping } from "./shipping.ts"

/** For how long a stream waits for its readers when its log is full, in milliseconds. */
const PATIENCE = 10_000

/**
 * For how long a stream without an owner must have had no reader, in milliseconds, so that another
 * one replaces it when as many run as may. A client has its share of them over each of its
 * connections, and could otherwise fill the server by connecting again.
 */
const ABANDONED = 10_000

interface NewStream {
  readonly about: About
  readonly client: string
  readonly idle: number
  readonly held?: number
}

interface Options {
  readonly newId: () => string
  readonly full: (bound: Bound | "maxStreams") => StreamLogError
}

/** The log of a stream that runs here. */
class Running {
  readonly id: string
  private readonly entry: LogEntry
  private readonly ledger: Ledger

  constructor(entry: LogEntry, ledger: Ledger) {
    this.id = entry.id
    this.entry = entry
    this.ledger = ledger
  }

  append(values: ReadonlyArray<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => this.add(values, 0))
  }

  finish(end: EncodedEnd): void {
    this.ledger.finish(this.entry, end)
  }

  onInterrupt(interrupt: () => void): void {
    if (this.entry.end === undefined) this.entry.interrupt = interrupt
    else interrupt()
  }

  private add(values: ReadonlyArray<unknown>, from: number): Effect.Effect<void> {
    const { entry, ledger } = this
    for (let i = from; i < values.length; i++) {
      if (entry.end !== undefined) return Effect.void
      // Readers that are told may make room at once.
      if (i > from && !ledger.hasRoom(entry)) entry.tell()
      const patience = ledger.hasRoom(entry) ? 0 : PATIENCE - entry.stalledFor
      if (patience > 0) {
        return Effect.andThen(
          awaitReader(entry, patience),
          Effect.suspend(() => this.add(values, i))
        )
      }
      ledger.add(entry, values[i])
    }
    entry.tell()
    return Effect.void
  }
}

/** Waits until a reader has made progress, but not for ever. */
const awaitReader = (entry: LogEntry, millis: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const cancel = entry.onReached(() => resume(Effect.void))
    return Effect.sync(cancel)
  }).pipe(Effect.timeoutOption(Duration.millis(millis)), Effect.asVoid)

const found = (id: string) => ({ _tag: "Found" as const, id })

const stopped: EncodedEnd = { _tag: "Stopped" }

/** The streams of a server: its own, and with a store those of others. */
export const makeStreams = (ledger: Ledger, store: Store | undefined, { full, newId }: Options) =>
  Effect.gen(function* () {
    const shared =
      store === undefined
        ? undefined
        : {
            store,
            shipping: yield* makeShipping(ledger, store),
            mirrors: yield* makeMirrors(ledger, store, () => full("maxStreams"))
          }

    /** Ends a stream, and its work. A mirror of a stream that nobody reads is only forgotten. */
    const end = (entry: LogEntry, how: EncodedEnd) => {
      const { interrupt } = entry
      if (entry.isMirror) ledger.remove(entry)
      else ledger.finish(entry, how)
      interrupt?.()
    }

    const replace = () => {
      const abandoned = ledger.abandoned(Math.max(ABANDONED, store?.told ?? 0))
      if (abandoned !== undefined) end(abandoned, { _tag: "Idle" })
    }

    // Before the copies to the store end.
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const entry of ledger.all) end(entry, { _tag: "Lost" })
      })
    )

    const began = (entry: LogEntry) => {
      ledger.claim(entry)
      return { _tag: "Began" as const, log: new Running(entry, ledger) }
    }

    return {
      end,
      begin: (stream: NewStream) =>
        Effect.suspend(() => {
          const running = ledger.find(stream.about)
          if (running !== undefined) return Effect.succeed(found(running.id))
          const { client, held } = stream
          const first = ledger.refuses(client, held)
          if (first === "maxRunning" || first === "maxTotalBytes") replace()
          const bound = ledger.refuses(client, held) ?? (ledger.isFull ? "maxStreams" : undefined)
          if (bound !== undefined) return Effect.fail(full(bound))
          const entry = ledger.begin({ ...stream, id: newId(), idle: Math.max(stream.idle, store?.told ?? 0) })
          if (shared === undefined) return Effect.succeed(began(entry))
          return shared.shipping
            .begin(entry, {
              onStop: Effect.sync(() => end(entry, stopped)),
              onRead: Effect.sync(() => entry.onReadElsewhere())
            })
            .pipe(
              Effect.onError(() => Effect.sync(() => ledger.remove(entry))),
              Effect.map((other) => {
                if (other === undefined) return began(entry)
                ledger.remove(entry)
                return found(other)
              })
            )
        }),
      open: (id: string): Effect.Effect<LogEntry | undefined, StreamLogError> =>
        Effect.suspend(() => {
          const entry = ledger.get(id)
          return entry !== undefined || shared === undefined ? Effect.succeed(entry) : shared.mirrors.open(id)
        }),
      find: (about: About): Effect.Effect<string | undefined, StreamLogError> =>
        Effect.suspend(() => {
          const entry = ledger.find(about)
          return entry !== undefined || shared === undefined ? Effect.succeed(entry?.id) : shared.store.find(about)
        }),
      stop: (id: string): Effect.Effect<void, StreamLogError> =>
        Effect.suspend(() => {
          const entry = ledger.get(id)
          if (entry !== undefined && !entry.isMirror) return Effect.sync(() => end(entry, stopped))
          return shared === undefined || entry?.end !== undefined ? Effect.void : shared.store.stop(id)
        })
    }
  })
