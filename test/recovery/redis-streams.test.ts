/**
 * Clients that come back to another server of a cluster over Redis Streams, ours and official ones, and what strangers may write into
 * Redis.
 */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { createAdapter } from "@socket.io/redis-streams-adapter"
import { Effect, Exit, Layer, Logger, Scope } from "effect"
import { createClient } from "redis"
import { io } from "socket.io-client"

import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as MessagePack from "../../src/protocol/MessagePack.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisStreamsAdapter from "../../src/redis/RedisStreamsAdapter.ts"
import type { RecoveryOptions } from "../../src/server/RecoveryOptions.ts"
import { requires } from "../support/peers.ts"
import { type RunningServers, startRedis, until } from "../support/redisServer.ts"
import { makeDesk, token } from "../auth/desk.ts"
import { type Node, startCluster } from "../cluster/nodes.ts"
import { eventually, startClient } from "./clients.ts"
import { startOfficial } from "./servers.ts"
import { backTo, numbersOf, StreamServers, withoutMarks } from "./streamServers.ts"

describe("recovery over Redis Streams", requires("Redis"), () => {
  let redis: RunningServers
  let world: StreamServers
  const endings: Array<() => unknown> = []
  beforeAll(async () => {
    redis = await startRedis()
    world = new StreamServers(redis)
  })
  afterAll(async () => {
    for (const end of endings.toReversed()) await end()
    await world?.stop()
  })

  const command = (...args: ReadonlyArray<string>) => redis.server.command(...args)
  const connect: StreamServers["connect"] = (server, rooms) => world.connect(server, rooms)
  const settle: StreamServers["settle"] = (server, witness) => world.settle(server, witness)
  const start = (streamName: string, count: number, recovery: RecoveryOptions = {}) =>
    world.start(streamName, count, { recovery })

  it("gives a client back to any server, with its rooms and what it has missed, in order", async () => {
    const [one, two] = await start("any-server", 2)
    const client = await connect(one, ["room", "left"])
    const witness = await connect(two)
    const id = client.id!
    await settle(one, client)
    await client.call("join", "late")
    await two.emit({ to: ["late"] }, "e", 1)
    await settle(two, client)
    await client.cut("reset")
    await two.emit({ to: ["room"] }, "e", 2)
    await two.emit({ to: ["elsewhere"] }, "e", "not for it")
    await two.emit({ except: ["room"] }, "e", "not for it")
    await two.leave(id, "left")
    await two.emit({ to: ["left"] }, "e", "not for it")
    await two.emit({ to: ["new"] }, "e", "not for it")
    await two.join(id, "new")
    await two.emit({ to: ["new"] }, "e", 3)
    await two.emit({ volatile: true }, "e", "not for it")
    await two.emit({ to: [id] }, "e", 4, "text")
    await settle(two, witness)
    assert.isTrue(await backTo(client, two))
    assert.strictEqual(client.id, id)
    await one.emit({ to: ["new"] }, "e", 5)
    await settle(two, client)
    assert.deepStrictEqual(withoutMarks(client), [1, 2, 3, 4, 5])
    // And again, back to the first one.
    await client.cut("close")
    await two.emit({ to: ["room"] }, "e", 6)
    await settle(two, witness)
    assert.isTrue(await backTo(client, one))
    await settle(two, client)
    assert.deepStrictEqual(withoutMarks(client), [1, 2, 3, 4, 5, 6])
  })

  it("tells the server that takes the client for connected", async () => {
    const [one, two] = await start("half-open", 2)
    const client = await connect(one)
    await settle(one, client)
    const finish = await client.cut("stall")
    assert.isTrue(await backTo(client, two))
    await eventually("the end at the other server", () => one.departures.length === 1)
    assert.strictEqual(one.departures[0]!.reason, "session resumed")
    finish()
    await two.emit({}, "e", 1)
    await settle(one, client)
    assert.deepStrictEqual(withoutMarks(client), [1])
  })

  it("refuses a client that any server has kicked while it was away", async () => {
    const [one, two] = await start("kicked", 2)
    const client = await connect(one, ["room"])
    const witness = await connect(two)
    const id = client.id!
    await settle(one, client)
    await client.cut("reset")
    await eventually("the end", () => one.departures.length === 1)
    await two.kick(id)
    await two.emit({ to: ["room"] }, "e", "not for it")
    await settle(two, witness)
    assert.isFalse(await backTo(client, two))
    assert.notStrictEqual(client.id, id)
    await settle(one, client)
    assert.deepStrictEqual(withoutMarks(client), [])
  })

  it("has the events for one client alone in order, before an acknowledgement is asked for and before the end", async () => {
    const [one] = await start("direct", 1)
    const client = await connect(one)
    // Another one in the room of its id gets nothing of that.
    const other = await connect(one, [client.id!])
    await settle(one, client)
    await one.direct(client.id!, "e", 1)
    await one.direct(client.id!, "e", 2)
    assert.strictEqual(await one.question(client.id!, "question", 3), "answer")
    assert.deepStrictEqual(withoutMarks(client), [1, 2, 3])
    await client.cut("reset")
    await eventually("the end", () => one.departures.length === 1)
    assert.isTrue(await client.back())
    assert.deepStrictEqual(withoutMarks(client), [1, 2, 3])
    assert.deepStrictEqual(withoutMarks(other), [])
  })

  it("recovers nothing if entries are not there any more, or too many", async () => {
    const [one, two] = await start("trimmed", 2, { maxScan: 50 })
    for (const spoil of [
      () => command("xtrim", "trimmed", "maxlen", "0"),
      () => command("del", "trimmed"),
      async () => {
        for (let n = 0; n < 60; n++) await two.emit({ to: ["nobody"] }, "e", n)
      }
    ]) {
      const client = await connect(one)
      const witness = await connect(two)
      await settle(one, client)
      await two.emit({}, "e", 1)
      await settle(two, client)
      await client.cut("reset")
      await two.emit({}, "e", 2)
      await settle(two, witness)
      await spoil()
      // A server that has read nothing of that itself.
      const [late] = await start("trimmed", 1, { maxScan: 50 })
      await settle(two, witness)
      assert.isFalse(await backTo(client, late))
      await settle(one, client)
      await client.cut("reset")
      assert.isTrue(await backTo(client, late))
      await client.end()
      await witness.end()
    }
  }, 60_000)

  it("takes no session from Redis that is none, and goes on", async () => {
    const [one, two] = await start("hostile-sessions", 2)
    const pack = (value: unknown) => Buffer.from(MessagePack.encode(value)).toString("base64")
    const position = "1700000000000-0"
    const forms: ReadonlyArray<(pid: string, sid: string) => string> = [
      () => "x",
      () => "hqFn",
      () => pack(null),
      () => pack([1, 2]),
      (pid) => pack({ pid, sid: 1, rooms: [] }),
      (pid, sid) => pack({ pid, sid, rooms: "room" }),
      (pid, sid) => pack({ pid, sid, rooms: [1] }),
      (_, sid) => pack({ pid: "another one", sid, rooms: [] }),
      (pid, sid) => pack({ g: "g", pid, sid, rooms: [], data: {}, x: {} }),
      (pid, sid) => pack({ g: "g", pid, sid, rooms: [], data: {}, x: { p: "$", i: 0, r: [] } }),
      (pid, sid) => pack({ g: "g", pid, sid, rooms: [], data: {}, x: { p: position, i: 1e9, r: [] } }),
      (pid, sid) => pack({ g: "g", pid, sid, rooms: [], data: {}, x: { p: `9${position}`, i: 1, r: [] } }),
      (pid, sid) => pack({ pid, sid, rooms: [], data: "x".repeat(60_000) }).slice(0, -7)
    ]
    for (const form of forms) {
      const client = await connect(one)
      await settle(one, client)
      const { id, pid } = client
      await client.cut("reset")
      await until(`its session ${form}`, async () =>
        (await command("exists", `sio:session:${pid}`)) === "1" ? true : undefined
      )
      await command("set", `sio:session:${pid}`, form(pid!, id!))
      assert.isFalse(await backTo(client, two), form.toString())
      await settle(two, client)
      await client.end()
    }
  }, 60_000)

  it("passes over entries that nobody can read", async () => {
    const stream = "hostile-entries"
    const [one, two] = await start(stream, 2)
    const client = await connect(one)
    const witness = await connect(two)
    await settle(one, client)
    await client.cut("reset")
    await two.emit({}, "e", 1)
    const add = (type: string, ...rest: ReadonlyArray<string>) =>
      command("xadd", stream, "*", "uid", "stranger", "nsp", "/", "type", type, ...rest)
    await add("3")
    await add("3", "data", "{")
    await add("3", "data", "AAAA")
    await add("3", "data", '{"opts":{"rooms":[],"except":[]},"packet":{"type":2,"data":["connect"]}}')
    await add("3", "data", '{"opts":{"rooms":[[1]],"except":[]},"packet":{"type":2,"data":["e","no"]}}')
    for (const type of ["107", "108", "109"]) {
      await add(type, "data", "{}")
      await add(type, "data", '{"sid":1,"rooms":2,"by":3}')
      await add(type, "data", `{"sid":"${client.id}","rooms":{"length":1e9},"by":[]}`)
    }
    await command("xadd", stream, "*", "nonsense", "x".repeat(10_000))
    await two.emit({}, "e", 2)
    await settle(two, witness)
    assert.isTrue(await backTo(client, two))
    await settle(one, client)
    assert.deepStrictEqual(withoutMarks(client), [1, 2])
  })

  for (const kind of ["official", "ours"] as const) {
    it(`keeps the session of a client of the kind ${kind} when its server ends`, async () => {
      const [one, two] = await start(`ends-${kind}`, 2)
      const client = await startClient(kind, one.port, { rooms: ["room"] })
      endings.push(() => client.end())
      const id = client.id!
      await settle(one, client)
      await two.emit({ to: ["room"] }, "e", 1)
      client.relay.target = two.port
      const sending = (async () => {
        for (let n = 2; n <= 40; n++) {
          await two.emit({ to: ["room"] }, "e", n)
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      })()
      await one.stop()
      await sending
      if (!client.connected) await client.back()
      await settle(two, client)
      assert.strictEqual(client.id, id)
      assert.isTrue(client.comings.at(-1))
      assert.deepStrictEqual(
        withoutMarks(client),
        Array.from({ length: 40 }, (_, i) => i + 1)
      )
    })
  }

  it("has everything of a server that hangs, and it lets the client go when it goes on", async () => {
    const cluster = await startCluster({
      adapter: "streams",
      kinds: ["ours", "ours"],
      redis,
      env: { RECOVERY_MS: "30000", ADAPTER_OPTIONS: JSON.stringify({ streamName: "hangs" }) }
    })
    endings.push(() => cluster.stop())
    const [one, two] = cluster.nodes as [Node, Node]
    const client = await connect({ port: one.ready.port }, ["room"])
    const id = client.id!
    await one.call("emit", { to: ["room"], event: "e", args: [1] })
    await eventually("the first event", () => numbersOf(client).includes(1))
    one.signal("SIGSTOP")
    await client.cut("stall")
    await two.call("emit", { to: ["room"], event: "e", args: [2] })
    assert.isTrue(await backTo(client, { port: two.ready.port }))
    await two.call("emit", { to: ["room"], event: "e", args: [3] })
    await eventually("the others", () => numbersOf(client).includes(3))
    assert.strictEqual(client.id, id)
    one.signal("SIGCONT")
    await until("the end of the other one", async () => {
      const { sockets } = await two.call("fetchSockets")
      return sockets.filter((socket) => socket.id === id).length === 1 ? true : undefined
    })
    await one.call("emit", { to: ["room"], event: "e", args: [4] })
    await eventually("the last event", () => numbersOf(client).includes(4))
    assert.deepStrictEqual(numbersOf(client), [1, 2, 3, 4])
  }, 30_000)

  it("does not give a session to a user that nobody can compare with the one before", async () => {
    const scope = Scope.makeUnsafe()
    const http = Http.createServer()
    const client = RedisClient.layer(Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url: redis.url }))))
    const { layer } = await Effect.runPromise(makeDesk())
    const server = Layer.provideMerge(
      layer,
      NodeSocketIoServer.layerAttached(http, { recovery: true, drainTimeout: 0 })
    )
    const adapter = Layer.provide(RedisStreamsAdapter.layer({ streamName: "rights" }), client)
    const quiet = Layer.provide(server, Layer.merge(adapter, Logger.layer([])))
    await Effect.runPromise(Layer.buildWithScope(quiet, scope))
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve))
    endings.push(async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      http.close()
    })
    const { port } = http.address() as AddressInfo
    const claims = { name: "ada" }
    const socket = io(`http://127.0.0.1:${port}/desk`, {
      transports: ["websocket"],
      forceNew: true,
      reconnectionDelay: 10,
      auth: { token: token(claims) }
    })
    endings.push(() => socket.disconnect())
    const comings: Array<readonly [id: string, recovered: boolean]> = []
    socket.on("connect", () => comings.push([socket.id!, socket.recovered]))
    await eventually("the connection", () => comings.length === 1)
    claims.name = "eve"
    socket.auth = { token: token(claims) }
    socket.io.engine.close()
    await eventually("the return", () => comings.length === 2)
    assert.isFalse(comings[1]![1])
    assert.notStrictEqual(comings[1]![0], comings[0]![0])
  })

  it("lets clients move between official servers and servers of this library", async () => {
    const streamName = "mixed"
    const [ours] = await start(streamName, 1)
    const redisClient = createClient({ url: redis.url })
    await redisClient.connect()
    const official = await startOfficial({
      adapter: createAdapter(redisClient, { streamName }) as never,
      connectionStateRecovery: { maxDisconnectionDuration: 60_000, skipMiddlewares: false }
    })
    endings.push(async () => {
      await official.close()
      redisClient.destroy()
    })
    official.io.on("connection", (socket) => {
      if (!socket.recovered) void socket.join("room")
    })
    const client = await connect(ours, ["room"])
    const witness = await connect(ours)
    const id = client.id!
    let n = 0
    // One after the other: an official server sends its own events at once and those of others when it has read them, and what a client
    // gets in another order than that of the stream, it gets again when it comes back.
    const everywhere = async () => {
      await ours.emit({ to: ["room"] }, "e", ++n)
      await eventually("what this library has sent", () => numbersOf(client).includes(n))
      official.io.to("room").emit("e", ++n)
      await eventually("what the official server has sent", () => numbersOf(client).includes(n))
    }
    // Its room is known to all.
    await settle(ours, client)
    await everywhere()
    for (let round = 0; round < 6; round++) {
      await client.cut("reset")
      await eventually("the end", () => !official.io.sockets.sockets.has(id))
      // The official server stores its session when it notices the end.
      await until("the session", async () =>
        (await command("exists", `sio:session:${client.pid}`)) === "1" ? true : undefined
      )
      await ours.emit({ to: ["room"] }, "e", ++n)
      await settle(ours, witness)
      assert.isTrue(await backTo(client, round % 2 === 0 ? official : ours), `round ${round}`)
      assert.strictEqual(client.id, id)
      await eventually("what was missed", () => numbersOf(client).includes(n))
      await everywhere()
    }
    assert.deepStrictEqual(
      withoutMarks(client),
      Array.from({ length: n }, (_, i) => i + 1)
    )
  })
})
