/**
 * A shop in a process of its own, which is killed: it prints its port, and ends with its standard input. Its orders and notes, the runs
 * of the handler of orders, and its answers are in the database `DB`; with `REDIS` the answers are in Redis.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer, Option, Random } from "effect"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Persistence from "effect/persistence/Persistence"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { createClient } from "redis"

import { CurrentMessageId } from "../../src/idempotency/Idempotency.ts"
import * as PersistedIdempotency from "../../src/idempotency/PersistedIdempotency.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisIdempotency from "../../src/redis/RedisIdempotency.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { openDatabase, Shop, storeIn } from "./shop.ts"

const { DB, REDIS } = process.env

const database = openDatabase(DB!)
database.exec("CREATE TABLE IF NOT EXISTS orders (n INTEGER NOT NULL, message TEXT UNIQUE)")
database.exec("CREATE TABLE IF NOT EXISTS runs (n INTEGER NOT NULL)")
database.exec("CREATE TABLE IF NOT EXISTS notes (n INTEGER NOT NULL)")
const addRun = database.prepare("INSERT INTO runs VALUES (?)")
const addNote = database.prepare("INSERT INTO notes VALUES (?)")
const addOrder = database.prepare("INSERT INTO orders VALUES (?, ?) ON CONFLICT (message) DO NOTHING")

const ShopLive = SocketIoServer.layerNamespace(Shop, () =>
  Effect.succeed(
    Shop.of({
      order: ({ n }) =>
        Effect.gen(function* () {
          const message = Option.getOrThrow(yield* CurrentMessageId)
          database.exec("BEGIN")
          addRun.run(n)
          addOrder.run(n, message)
          database.exec("COMMIT")
          // The gap in which a crash costs a second run: the effect is there, and its record is not.
          yield* Effect.sleep(yield* Random.nextIntBetween(0, 20))
          return n
        }),
      note: ({ n }) =>
        Effect.sync(() => {
          addNote.run(n)
          return -n
        })
    })
  )
)

const InDatabase = PersistedIdempotency.layer().pipe(
  Layer.provide(Persistence.layerKvs),
  Layer.provide(Layer.sync(KeyValueStore.KeyValueStore, () => storeIn(database)))
)
const InRedis = Layer.suspend(() =>
  RedisIdempotency.layer({ lease: "1 second" }).pipe(
    Layer.provide(RedisClient.layer(Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url: REDIS! })))))
  )
)

const http = createServer()
const Main = ShopLive.pipe(
  Layer.provide(
    NodeSocketIoServer.layerAttached(http, { heartbeat: { pingInterval: "1 second", pingTimeout: "1 second" } })
  ),
  Layer.provide(REDIS === undefined ? InDatabase : InRedis)
)

process.stdin.on("end", () => process.exit()).resume()

NodeRuntime.runMain(
  Effect.scoped(
    Effect.andThen(
      Layer.build(Main),
      Effect.callback<never>(() => {
        http.listen(0, "127.0.0.1", () => console.log((http.address() as AddressInfo).port))
      })
    )
  )
)
