/**
 * The Admin UI over a real Redis, with official clients as pages.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { createClient } from "redis"

import * as Admin from "../../src/admin/Admin.ts"
import * as RedisAdapter from "../../src/redis/RedisAdapter.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { eventually } from "../support/official.ts"
import { requires } from "../support/peers.ts"
import { redis } from "../support/redisServer.ts"
import { client, connect, next, serve } from "../support/serve.ts"

const start = Effect.fnUntraced(function* (url: string, serverId: string) {
  const adapter = yield* Layer.build(
    RedisAdapter.layer().pipe(
      Layer.provide(RedisClient.layer(Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url })))))
    )
  )
  const namespaces = Layer.merge(
    SocketIoServer.layerNamespace("/", (socket) => socket.join("lobby")),
    Layer.orDie(Admin.layer({ auth: false, mode: "development", readonly: false, serverId }))
  )
  return yield* Effect.provideContext(serve(namespaces), adapter)
})

describe("the Admin UI in a cluster over Redis", requires("Redis"), () => {
  it.live("shows the numbers, sockets and events of the other server, and disconnects its clients", () =>
    Effect.gen(function* () {
      const { server } = yield* redis()
      const alpha = yield* start(server.url, "alpha")
      const beta = yield* start(server.url, "beta")
      const socket = yield* connect(beta.url, { transports: ["websocket"] })
      const page = yield* client(`${alpha.url}/admin`)
      const [ids, servers, events]: [Set<string>, Set<string>, Array<unknown>] = [new Set(), new Set(), []]
      page.on("socket_connected", ({ id }) => ids.add(id))
      page.on("server_stats", ({ serverId }) => servers.add(serverId))
      page.on("event_received", (...event) => events.push(event.slice(0, 3)))
      page.connect()
      yield* eventually(() => ids.has(socket.id!) && servers.size === 2)
      assert.sameMembers(Array.from(servers), ["alpha", "beta"])
      const id = socket.id!
      socket.emit("hello", 1)
      yield* eventually(() => events.length > 0)
      assert.deepStrictEqual(events, [["/", id, ["hello", 1]]])
      const left = next(socket, "disconnect")
      page.emit("_disconnect", "/", false, id)
      assert.strictEqual((yield* left)[0], "io server disconnect")
    })
  )
})
