/**
 * Orders that are made exactly once, through crashes of the shop and of its customers.
 *
 *     npx node examples/exactly-once.ts              # the shop
 *     npx node examples/exactly-once.ts customer     # in another terminal: each line that you type is an order
 *
 * Kill either of them with Ctrl-C or `kill -9`, type orders while the shop is away, and start them again: the shop has each order
 * once. The official client orders, too, in `npx node`:
 *
 *     const { io } = require("socket.io-client")
 *     const socket = io("http://localhost:3000", { retries: 10, ackTimeout: 5000 })
 *     socket.emit("order", { article: "book" }, { id: crypto.randomUUID() }, (error, number) => console.log(number))
 */
import { mkdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, Layer, Option, Schema, Stream } from "effect"
import { KeyValueStore } from "effect/persistence"
import { Event, Namespace } from "effect-socket.io"
import { RetryingEmitter, SocketIoClient } from "effect-socket.io/client"
import { Idempotency } from "effect-socket.io/idempotency"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { SocketIoServer } from "effect-socket.io/server"

const folder = process.env.FOLDER ?? join(tmpdir(), "exactly-once")

class Shop extends Namespace.make("/", {
  clientToServer: [
    // The server knows an id for an hour: customers may be away for so long.
    Event.make("order", { payload: { article: Schema.String }, ack: Schema.Int, once: { window: "1 hour" } })
  ]
}) {}

// ---------------------------------------------------------------- the shop

const ShopLive = Layer.unwrap(
  Effect.sync(() => {
    mkdirSync(folder, { recursive: true })
    const database = new DatabaseSync(join(folder, "shop.db"))
    database.exec(
      "CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, message TEXT UNIQUE, article TEXT NOT NULL)"
    )
    const insert = database.prepare("INSERT INTO orders (message, article) VALUES (?, ?) ON CONFLICT DO NOTHING")
    const find = database.prepare("SELECT number FROM orders WHERE message = ?")

    return SocketIoServer.layerNamespace(Shop, () =>
      Effect.succeed(
        Shop.of({
          order: Effect.fnUntraced(function* ({ article }) {
            // The answers are in memory. After a crash the handler may run again: the unique column
            // sees to it that the order is made once all the same.
            const id = Option.getOrThrow(yield* Idempotency.CurrentMessageId)
            const isNew = insert.run(id, article).changes === 1
            const number = Number(find.get(id)!["number"])
            yield* Console.log(`order ${number}: ${article}${isNew ? "" : " (again)"}`)
            return number
          })
        })
      )
    )
  })
)

const shop = Layer.launch(NodeSocketIoServer.serve(ShopLive, { port: Number(process.env.PORT ?? 3000) }))

// ---------------------------------------------------------------- a customer

const customer = Effect.gen(function* () {
  const socket = yield* SocketIoClient.socket(Shop)
  const orders = yield* RetryingEmitter.make(socket, {
    retries: Infinity,
    ackTimeout: "2 seconds",
    outbox: yield* KeyValueStore.KeyValueStore,
    onRestored: ({ payload }) => Console.log("ordered, from the outbox:", payload)
  })
  yield* Console.log(`${yield* orders.size} orders are in the outbox; type one`)
  yield* Stream.fromAsyncIterable(createInterface({ input: process.stdin }), (cause) => cause).pipe(
    Stream.filter((article) => article.trim() !== ""),
    Stream.runForEach((article) =>
      Effect.gen(function* () {
        const answer = yield* orders.offer("order", { article })
        yield* Console.log(`in the outbox: ${article}`)
        yield* Effect.forkScoped(Effect.flatMap(answer, (number) => Console.log(`ordered: ${article} (${number})`)))
      })
    )
  )
}).pipe(
  Effect.scoped,
  Effect.provide(SocketIoClient.layer({ url: process.env.SERVER ?? "http://localhost:3000" })),
  Effect.provide(KeyValueStore.layerFileSystem(join(folder, "outbox")).pipe(Layer.provide(NodeServices.layer)))
)

NodeRuntime.runMain(process.argv[2] === "customer" ? customer : shop)
