import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"

import { decodePayload } from "../../internal/contractCodec.ts"
import { log } from "../../internal/log.ts"
import { readValues, writeValues } from "../../internal/storedValues.ts"
import { WireData } from "../../internal/wireData.ts"
import { AckError } from "../../SocketIoError.ts"
import type { Arguments } from "./inbound.ts"
import { encoded, makeTurns, type RetriedSocket, type Retries } from "./retries.ts"

/** An event in the outbox. */
interface Entry {
  /** Its key in the store. Keys are in the order of the events. */
  readonly key: string
  readonly event: string
  /** `[name, ...args]` */
  readonly data: Arguments
  readonly bytes: number
  /** Whether it was there when this process began. */
  readonly isRestored: boolean
  readonly answer: Deferred.Deferred<any, any>
}

/** The end of an event of an earlier process. */
export interface Restored {
  readonly event: string
  readonly payload: unknown
  readonly exit: Exit.Exit<unknown, unknown>
}

export interface DurableOptions<E> {
  readonly store: KeyValueStore.KeyValueStore
  readonly name: string
  readonly maxEvents: number
  readonly maxBytes: number
  readonly onRestored: ((restored: Restored) => Effect.Effect<void>) | undefined
  /** Makes the error of what goes wrong with the outbox. */
  readonly fail: (reason: "Full" | "Unstorable" | "StoreFailed", message: string, cause?: unknown) => E
  /** Draws ids. */
  readonly newId: () => string
  /** Encodes an event that is handled once, with its id. */
  readonly identify: (event: string, args: Arguments) => Effect.Effect<Arguments, AckError>
}

/** Events that are in a store until they are acknowledged. */
export interface Durable<E> {
  /** Accepts an event. Yields the wait for its answer. */
  readonly offer: (event: string, ...args: Arguments) => Effect.Effect<Effect.Effect<any, any>, E | AckError>
  /** The number of events that are accepted and not acknowledged. */
  readonly size: Effect.Effect<number>
}

const DIGITS = 16

/**
 * Takes the events over that an earlier process has left, and sends all events until the scope
 * closes.
 */
export const makeDurable = Effect.fnUntraced(function* <E>(
  socket: RetriedSocket,
  retries: Retries,
  options: DurableOptions<E>
): Effect.fn.Return<Durable<E>, E, Scope.Scope> {
  const { fail, identify, maxBytes, maxEvents, name, newId, onRestored, store } = options
  const { wire } = socket
  const prefix = `socket.io-outbox:${name}:`
  const inTurn = makeTurns()
  const waiting = yield* Queue.unbounded<Entry>()
  const entries = new Set<Entry>()
  let bytes = 0
  let next = 0
  let isClosed = false

  const enter = (key: string, text: string, data: Arguments, isRestored: boolean): Entry => {
    const entry = {
      key,
      event: String(data[0]),
      data,
      bytes: key.length + text.length,
      isRestored,
      answer: Deferred.makeUnsafe<any, any>()
    }
    entries.add(entry)
    bytes += entry.bytes
    return entry
  }

  const leave = (entry: Entry): void => {
    if (entries.delete(entry)) bytes -= entry.bytes
  }

  const storeFailed = (what: string) => (cause: unknown) => fail("StoreFailed", `the outbox was not ${what}`, cause)

  /** Takes the events over that are in the store. */
  const load = Effect.gen(function* () {
    const keys = (yield* store.keys).filter(
      (key) => key.startsWith(prefix) && /^\d{16}:./.test(key.slice(prefix.length))
    )
    for (const key of keys.toSorted()) {
      next = Number(key.slice(prefix.length, prefix.length + DIGITS)) + 1
      const text = yield* store.get(key)
      const data = text === undefined ? undefined : readValues(text)
      if (data !== undefined && typeof data[0] === "string") Queue.offerUnsafe(waiting, enter(key, text!, data, true))
      else {
        // A crash has cut it while it was written: nobody was told that it was accepted.
        yield* log("Warn", "an event of the outbox cannot be read, and is dropped", { key })
        yield* store.remove(key)
      }
    }
  }).pipe(Effect.mapError(storeFailed("read")))

  /** Sends an event of the contract, or an untyped one. */
  const send = ({ data, event }: Entry): Effect.Effect<any, any> => {
    if (wire === undefined) return retries.send(event, data.slice(1))
    if (wire.codec(event) !== undefined) return retries.send(event, [new WireData(data)])
    const description = "the contract does not declare it any more"
    return Effect.fail(new AckError({ event, reason: { _tag: "EventNotHandled", description } }))
  }

  /** Tells the end of an event of an earlier process. */
  const tell = ({ data, event }: Entry, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> => {
    if (onRestored === undefined) {
      return Exit.isSuccess(exit)
        ? Effect.void
        : log("Warn", "an event of an earlier process has failed", { event }, exit.cause)
    }
    const codec = wire?.codec(event)
    const payload = codec === undefined ? undefined : decodePayload(codec, data)
    const read = payload?._tag === "Success" ? payload.value : data.slice(1)
    return Effect.suspend(() => onRestored({ event, payload: read, exit })).pipe(
      Effect.catchCause((cause) => log("Error", "onRestored has failed", { event }, cause))
    )
  }

  const work = Effect.gen(function* () {
    for (;;) {
      const entry = yield* Queue.take(waiting)
      const exit = yield* Effect.exit(send(entry))
      // Events without an acknowledgement stay in the store for the next process.
      if (retries.isOver()) return
      yield* Effect.uninterruptible(
        Effect.gen(function* () {
          yield* store
            .remove(entry.key)
            .pipe(
              Effect.catchCause((cause) =>
                log("Warn", "an event stays in the outbox, and is sent again later", { key: entry.key }, cause)
              )
            )
          leave(entry)
          Deferred.doneUnsafe(entry.answer, exit)
        })
      )
      if (entry.isRestored) yield* tell(entry, exit)
    }
  })

  const end = Effect.sync(() => {
    isClosed = true
    for (const { answer, event } of entries) Deferred.doneUnsafe(answer, Effect.fail(disconnected(event)))
  })

  /** Writes an event to the store. The events are written in their order. */
  const append = (event: string, data: Arguments): Effect.Effect<Effect.Effect<any, any>, E | AckError> =>
    Effect.suspend((): Effect.Effect<Effect.Effect<any, any>, E | AckError> => {
      if (isClosed) return Effect.fail(disconnected(event))
      let text: string
      try {
        text = writeValues(data, true)
      } catch (cause) {
        return Effect.fail(fail("Unstorable", `"${event}" cannot be stored`, cause))
      }
      const key = `${prefix}${String(next++).padStart(DIGITS, "0")}:${newId()}`
      if (entries.size >= maxEvents || bytes + key.length + text.length > maxBytes) {
        return Effect.fail(fail("Full", `${entries.size} events are in the outbox`))
      }
      // Read again: the payload may be changed after this.
      const entry = enter(key, text, readValues(text)!, false)
      return store.set(key, text).pipe(
        Effect.onError(() => Effect.sync(() => leave(entry))),
        Effect.mapError(storeFailed("written")),
        Effect.map(() => {
          Queue.offerUnsafe(waiting, entry)
          return Deferred.await(entry.answer)
        }),
        Effect.uninterruptible
      )
    })

  yield* load
  yield* Effect.forkScoped(Effect.ensuring(work, end))
  return {
    offer: (event, ...args) =>
      Effect.flatMap(identify(event, args), (given) =>
        Effect.flatMap(
          encoded(event, () => wire?.encode(event, ...given)[0] ?? [event, ...args]),
          (data) => inTurn(append(event, data))
        )
      ),
    size: Effect.sync(() => entries.size)
  }
})

const disconnected = (event: string): AckError => new AckError({ event, reason: { _tag: "Disconnected" } })
