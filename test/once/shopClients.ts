/**
 * Customers in a process of their own, which is killed: they send `COUNT` orders and as many notes to `SERVER`, one after the other,
 * and print `done` when all are acknowledged. What they need after a crash is in the database `DB`.
 *
 * - `official`: the official client with its `retries`. The application remembers what was acknowledged, and makes the ids.
 * - `own`: the client of this library, with its outbox.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Schedule } from "effect"
import { io } from "socket.io-client"

import * as RetryingEmitter from "../../src/client/RetryingEmitter.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { openDatabase, Shop, storeIn } from "./shop.ts"

const { CLIENT, COUNT, DB, SERVER } = process.env
const count = Number(COUNT)
const url = SERVER!
const ACK_TIMEOUT = 250

const database = openDatabase(DB!)

process.stdin.on("end", () => process.exit()).resume()

const official = () => {
  database.exec("CREATE TABLE IF NOT EXISTS acknowledged (answer INTEGER PRIMARY KEY)")
  const acknowledge = database.prepare("INSERT OR IGNORE INTO acknowledged VALUES (?)")
  const known = new Set(
    database
      .prepare("SELECT answer FROM acknowledged")
      .all()
      .map(({ answer }) => Number(answer))
  )
  const socket = io(url, {
    transports: ["websocket"],
    retries: 1_000,
    ackTimeout: ACK_TIMEOUT,
    reconnectionDelay: 20,
    reconnectionDelayMax: 50
  })
  const end = () => {
    if (known.size === 2 * count) console.log("done")
  }
  const emit = (expected: number, event: string, ...args: ReadonlyArray<unknown>) => {
    if (known.has(expected)) return
    socket.emit(event, ...args, (_error: unknown, answer: unknown) => {
      if (answer !== expected) throw new Error(`${event} ${expected} was answered with ${JSON.stringify(answer)}`)
      acknowledge.run(expected)
      known.add(expected)
      end()
    })
  }
  end()
  for (let n = 1; n <= count; n++) {
    emit(n, "order", { n }, { id: `order ${String(n).padStart(20, "0")}` })
    emit(-n, "note", { n })
  }
}

const own = Effect.gen(function* () {
  database.exec("CREATE TABLE IF NOT EXISTS accepted (place INTEGER PRIMARY KEY)")
  const accept = database.prepare("INSERT INTO accepted VALUES (?)")
  // The application's progress is in one transaction with the outbox.
  const outbox = storeIn(database, (value) => {
    const [[event, { n }]] = JSON.parse(value)
    accept.run(event === "order" ? 2 * n - 1 : 2 * n)
  })
  const last = Number(database.prepare("SELECT max(place) AS last FROM accepted").get()!["last"] ?? 0)
  const socket = yield* SocketIoClient.socket(Shop)
  const emitter = yield* RetryingEmitter.make(socket, {
    retries: Infinity,
    ackTimeout: ACK_TIMEOUT,
    outbox,
    onRestored: ({ event, exit, payload }) =>
      Effect.sync(() => {
        const { n } = payload as { readonly n: number }
        if (exit._tag === "Success" && exit.value === (event === "order" ? n : -n)) return
        console.error(`a restored ${event} was answered with ${String(exit)}`)
        process.exit(1)
      })
  })
  for (let place = last + 1; place <= 2 * count; place++) {
    const n = Math.ceil(place / 2)
    const isOrder = place % 2 === 1
    const answered = yield* isOrder ? emitter.offer("order", { n }) : emitter.offer("note", { n })
    // Up to five wait in the outbox.
    if (place % 5 !== 0) continue
    const answer = yield* answered
    if (answer !== (isOrder ? n : -n)) throw new Error(`place ${place} was answered with ${answer}`)
  }
  yield* Effect.repeat(Effect.andThen(Effect.sleep("10 millis"), emitter.size), { until: (size) => size === 0 })
  console.log("done")
  return yield* Effect.never
})

if (CLIENT === "official") official()
else {
  NodeRuntime.runMain(
    own.pipe(
      Effect.scoped,
      Effect.provide(
        SocketIoClient.layer({ url, transports: ["websocket"], reconnection: Schedule.spaced("20 millis") })
      )
    )
  )
}
