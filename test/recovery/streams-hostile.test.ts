/**
 * Clients that lie to servers that share their sessions by Redis, and values in Redis that nobody should have written.
 */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Scope } from "effect"
import { createClient } from "redis"
import { io } from "socket.io-client"

import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as MessagePack from "../../src/protocol/MessagePack.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisStreamsAdapter from "../../src/redis/RedisStreamsAdapter.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { requires } from "../support/peers.ts"
import { startRedis, until } from "../support/redisServer.ts"
import { eventually } from "./clients.ts"
import { connectRaw } from "./rawPeer.ts"
import type { Subject } from "./servers.ts"
import { backTo, StreamServers, withoutMarks } from "./streamServers.ts"

const pack = (value: unknown) => Buffer.from(MessagePack.encode(value)).toString("base64")

describe("recovery over Redis Streams", requires("Redis"), () => {
  let world: StreamServers
  const endings: Array<() => unknown> = []
  beforeAll(async () => {
    world = new StreamServers(await startRedis())
  })
  afterAll(async () => {
    for (const end of endings.toReversed()) await end()
    await world?.stop()
  })

  const keyOf = (pid: string) => `sio:session:${pid}`
  const stored = (pid: string) =>
    until("a session", async () => ((await world.command("exists", keyOf(pid))) === "1" ? true : undefined))
  const ended = async (server: Subject, id: string) =>
    eventually("the end", () => server.departures.some((departure) => departure.id === id))

  it("gives no session to a client of another namespace", async () => {
    const rooms: Array<ReadonlySet<string>> = []
    const datas: Array<unknown> = []
    const scope = Scope.makeUnsafe()
    const http = Http.createServer()
    const secret = SocketIoServer.layerNamespace("/secret", (socket) =>
      Effect.sync(() => {
        rooms.push(new Set(socket.rooms))
        datas.push({ ...socket.data })
      })
    )
    const open = SocketIoServer.layerNamespace(
      "/open",
      Effect.fnUntraced(function* (socket) {
        yield* socket.join("admins")
        yield* socket.setData({ isAdmin: true })
      })
    )
    const client = RedisClient.layer(
      Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url: world.redis.url })))
    )
    const server = Layer.merge(secret, open).pipe(
      Layer.provideMerge(NodeSocketIoServer.layerAttached(http, { recovery: true, drainTimeout: 0 })),
      Layer.provide(Layer.provide(RedisStreamsAdapter.layer({ streamName: "namespaces" }), client)),
      Layer.provide(Logger.layer([]))
    )
    await Effect.runPromise(Layer.buildWithScope(server, scope))
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve))
    endings.push(async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      http.close()
    })
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
    const connect = async (namespace: string, auth: object) => {
      const socket = io(url + namespace, { transports: ["websocket"], forceNew: true, reconnection: false, auth })
      endings.push(() => socket.disconnect())
      await eventually("a connection", () => socket.connected)
      return { socket, id: socket.id!, pid: (socket as unknown as { readonly _pid: string })._pid }
    }
    const first = await connect("/open", {})
    await stored(first.pid)
    first.socket.io.engine.close()
    const thief = await connect("/secret", { pid: first.pid })
    await eventually("the builder", () => datas.length === 1)
    assert.notStrictEqual(thief.id, first.id)
    assert.notStrictEqual(thief.pid, first.pid)
    assert.isFalse(rooms[0]!.has("admins"))
    assert.deepStrictEqual(datas, [{}])
    // The other way round it would have its session.
    const again = await connect("/open", {})
    await stored(again.pid)
    again.socket.io.engine.close()
    assert.strictEqual((await connect("/open", { pid: again.pid })).id, again.id)
  })

  it("reads little of the log for a client that comes back again and again, and confirms nothing", async () => {
    const [one, two] = await world.start("again-and-again", 2, { recovery: { maxScan: 50 } })
    const witness = await world.connect(two)
    const first = await connectRaw(one.url)
    await stored(first.pid)
    first.reset()
    await ended(one, first.sid)
    for (let i = 0; i < 30; i++) await two.emit({ to: ["nobody"] }, "e", i)
    await world.settle(two, witness)
    const ids: Array<string> = []
    while (ids.length < 12) {
      const { departures } = two
      const before = departures.length
      const peer = await connectRaw(two.url, { pid: first.pid })
      ids.push(peer.sid)
      peer.reset()
      await eventually("the end", () => departures.length > before)
    }
    const recovered = ids.filter((id) => id === first.sid).length
    // Each return reads 30 entries and some more; there may be 200, and 5 more in each second.
    assert.isAtLeast(recovered, 3)
    assert.isAtMost(recovered, 8)
    assert.strictEqual(ids.lastIndexOf(first.sid), recovered - 1)
  })

  it("believes no offset of the future, and goes on", async () => {
    const [one, two] = await world.start("future", 2)
    const client = await world.connect(one, ["room"])
    await world.settle(one, client)
    const { id, offset, pid } = client
    await client.cut("reset")
    await ended(one, id!)
    await two.emit({ to: ["room"] }, "e", 1)
    for (const forged of ["18446744073709551615-18446744073709551615", `${Date.now() + 1_000_000}-0`]) {
      const peer = await connectRaw(two.url, { pid, offset: forged })
      assert.notStrictEqual(peer.sid, id)
      peer.reset()
    }
    for (const forged of ["1-1-1", "-1", "1e9-0", "", null, 7, {}, ["1-1"], { toString: "1-1" }]) {
      const peer = await connectRaw(two.url, { pid: `not-${pid}`, offset: forged })
      assert.notStrictEqual(peer.sid, id)
      peer.reset()
    }
    // An earlier one than it has confirmed gives it nothing that it had not.
    const peer = await connectRaw(two.url, { pid, offset: "0-0" })
    assert.strictEqual(peer.sid, id)
    await eventually("what it has missed", () => peer.heard.some(([, n]) => n === 1))
    peer.reset()
    await eventually("the end", () => two.departures.some((departure) => departure.id === id))
    assert.isTrue(offset !== undefined && (await backTo(client, one)))
    await world.settle(one, client)
    assert.deepStrictEqual(withoutMarks(client), [1])
  }, 20_000)

  it("takes values from Redis for what they are", async () => {
    const [one, two] = await world.start("values", 2)
    const position = "1700000000000-0"
    const x = { n: "/", at: 0, former: 0, p: position, i: 1, r: [] }
    const own = (more: object) => ({ g: "aaaaaaaaaaaaaa", rooms: [], data: {}, x, ...more })
    const polluted = JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}')
    const forms: ReadonlyArray<object> = [
      own({ data: polluted }),
      own({ ...polluted }),
      own({ x: { ...x, ...polluted } }),
      own({ x: { ...x, n: undefined } }),
      own({ x: { ...x, n: "/other" } }),
      own({ x: { ...x, i: 1e308 } }),
      own({ x: { ...x, i: -1 } }),
      own({ x: { ...x, i: Number.MAX_SAFE_INTEGER } }),
      own({ x: { ...x, at: 1e308, former: Number.NaN } }),
      own({ x: { ...x, p: "18446744073709551615-0" } }),
      own({ x: { ...x, p: { toString: "1-1" } } }),
      own({ x: { ...x, r: "room" } }),
      own({ x: { ...x, r: Array.from({ length: 50_000 }, (_, i) => `${i}`) } }),
      own({ rooms: Array.from({ length: 50_000 }, (_, i) => `${i}`) }),
      own({ rooms: { length: 1e9 } })
    ]
    for (const form of forms) {
      const text = JSON.stringify(form).slice(0, 200)
      const first = await connectRaw(one.url)
      await stored(first.pid)
      first.reset()
      await ended(one, first.sid)
      // It is written at the end, too.
      await until("a session", async () => {
        const value = pack({ ...form, pid: first.pid, sid: first.sid })
        const file = await setLarge(world, keyOf(first.pid), value)
        return file === value ? true : undefined
      })
      const peer = await connectRaw(two.url, { pid: first.pid })
      assert.notStrictEqual(peer.sid, first.sid, text)
      await two.emit({ to: [peer.sid] }, "e", "fine")
      await eventually("an event", () => peer.heard.some(([, n]) => n === "fine"))
      peer.reset()
    }
    assert.isUndefined(({} as { readonly polluted?: unknown }).polluted)
  }, 30_000)
})

/** Sets a value that is too long for an argument of a program, and reads it again. */
const setLarge = async ({ redis }: StreamServers, key: string, value: string): Promise<string | null> => {
  const client = await createClient({ url: redis.url }).connect()
  try {
    await client.set(key, value)
    return await client.get(key)
  } finally {
    client.destroy()
  }
}
