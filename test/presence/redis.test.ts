/**
 * Two servers over a real Redis, with official clients.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope } from "effect"

import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as Presence from "../../src/presence/Presence.ts"
import * as NodeRedisClient from "../../src/redis/NodeRedisClient.ts"
import * as RedisAdapter from "../../src/redis/RedisAdapter.ts"
import * as RedisStreamsAdapter from "../../src/redis/RedisStreamsAdapter.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { NodeRedis } from "@effect/platform-node"
import { requires } from "../support/peers.ts"
import { redis } from "../support/redisServer.ts"
import { eventually } from "../support/official.ts"
import { call, connect, listen } from "../support/serve.ts"
import * as Http from "node:http"
import { startClient } from "../recovery/clients.ts"
import { Online } from "./nodes.ts"

/** Each connection watches the room of its client, also one that has its session back. */
const Main = SocketIoServer.layerNamespace(
  "/",
  Effect.fnUntraced(function* (socket) {
    const online = yield* Online
    const { room } = (socket.auth ?? {}) as { readonly room?: string }
    if (room !== undefined) yield* online.watch(socket, room)
    yield* socket.on("enter", (key) =>
      Effect.as(Effect.orDie(online.track(socket, { room: "lobby", key: String(key), meta: { n: 1 } })), true)
    )
  })
).pipe(Layer.provideMerge(Presence.layer(Online, { namespace: "/", period: "100 millis", down: "5 seconds" })))

const start = Effect.fnUntraced(function* (redisUrl: string, recovery = false) {
  const http = Http.createServer()
  const url = yield* listen(http)
  const scope = yield* Scope.fork(yield* Effect.scope)
  const context = yield* Main.pipe(
    Layer.provide(NodeSocketIoServer.layerAttached(http, { drainTimeout: "1 second", recovery })),
    Layer.provide(recovery ? RedisStreamsAdapter.layer() : RedisAdapter.layer()),
    Layer.provide(NodeRedisClient.layer()),
    Layer.provide(NodeRedis.layer({ url: redisUrl })),
    Layer.buildWithScope(scope)
  )
  return { url, online: Context.get(context, Online), stop: Scope.close(scope, Exit.void) }
})

describe("presence over Redis", requires("Redis"), () => {
  it.live("is the same on two servers, and loses the members of one that ends at once", () =>
    Effect.gen(function* () {
      const { url } = yield* redis()
      const [one, two] = [yield* start(url), yield* start(url)]
      const seen: Array<string> = []
      const ada = yield* connect(one.url)
      ada.on("presence_diff", ({ joins, leaves }) =>
        seen.push(...Object.keys(joins).map((key) => `+${key}`), ...Object.keys(leaves).map((key) => `-${key}`))
      )
      yield* call(ada, "enter", "ada")
      const bob = yield* connect(two.url)
      yield* call(bob, "enter", "bob")
      let keys = ["", ""]
      const look = Effect.gen(function* () {
        const lists = yield* Effect.forEach([one, two], ({ online }) => online.list("lobby"))
        keys = lists.map((list) => Array.from(list.keys()).toSorted().join())
      })
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(look, Effect.sleep("10 millis"))))
      yield* eventually(() => keys.join(" ") === "ada,bob ada,bob" && seen.includes("+bob"))
      yield* two.stop
      yield* eventually(() => keys[0] === "ada" && seen.includes("-bob"))
      assert.deepStrictEqual(seen, ["+bob", "-bob"])
      assert.lengthOf(yield* one.online.servers, 0)
    })
  )

  it.live("is told anew to a client that another server recovers: it has missed differences", () =>
    Effect.gen(function* () {
      const { url } = yield* redis()
      const [one, two] = [yield* start(url, true), yield* start(url, true)]
      const portOf = (server: { readonly url: string }) => Number(new URL(server.url).port)
      let list = new Map<string, string>()
      const onEvent = (event: string, [payload]: ReadonlyArray<any>) => {
        const refs = (of: object) =>
          Object.entries(of).map(([key, { metas }]) => [key, metas[0].phx_ref] as [string, string])
        if (event === "presence_state") list = new Map(refs(payload))
        else if (event === "presence_diff") {
          for (const [key, ref] of refs(payload.joins)) list.set(key, ref)
          for (const [key, ref] of refs(payload.leaves)) if (list.get(key) === ref) list.delete(key)
        }
      }
      const client = yield* Effect.acquireRelease(
        Effect.promise(() => startClient("official", portOf(one), { auth: { room: "lobby" }, onEvent })),
        (client) => Effect.promise(() => client.end())
      )
      const keys = () => Array.from(list.keys()).toSorted().join()
      const bob = yield* connect(two.url)
      yield* call(bob, "enter", "bob")
      yield* eventually(() => keys() === "bob")
      const { id } = client
      yield* Effect.promise(() => client.cut("reset"))
      const eve = yield* connect(one.url)
      yield* call(eve, "enter", "eve")
      bob.disconnect()
      for (const { online } of [one, two]) {
        let now = ""
        const look = Effect.map(online.list("lobby"), (members) => void (now = Array.from(members.keys()).join()))
        yield* Effect.raceFirst(
          eventually(() => now === "eve"),
          Effect.forever(Effect.andThen(look, Effect.sleep("10 millis")))
        )
      }
      const isRecovered = yield* Effect.promise(() =>
        client.back(() => {
          client.relay.target = portOf(two)
        })
      )
      assert.isTrue(isRecovered && client.id === id)
      yield* eventually(() => keys() === "eve")
      // It hears of what comes after that.
      const pat = yield* connect(one.url)
      yield* call(pat, "enter", "pat")
      yield* eventually(() => keys() === "eve,pat")
    })
  )
})
