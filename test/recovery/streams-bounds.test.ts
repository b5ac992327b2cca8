/**
 * The bounds of recovery over Redis Streams, and what it says while Redis is away.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { createClient } from "redis"

import * as MessagePack from "../../src/protocol/MessagePack.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import { requires } from "../support/peers.ts"
import { startRedis, until } from "../support/redisServer.ts"
import { eventually } from "./clients.ts"
import { backTo, numbersOf, StreamServers, type StreamServersOptions, withoutMarks } from "./streamServers.ts"

const MIB = 1 << 20

/** A client of Redis whose reads of the log are another effect. */
const withReads = (
  { redis }: StreamServers,
  change: <A, E>(read: Effect.Effect<A, E>) => Effect.Effect<A, E>
): NonNullable<StreamServersOptions["redisClient"]> =>
  Effect.map(RedisClient.fromNodeRedis(createClient({ url: redis.url })), (service) => {
    const { command } = service
    return Object.assign(service, {
      command: ((sent, options) =>
        sent[0] === "XRANGE" ? change(command(sent, options)) : command(sent, options)) satisfies typeof command
    })
  })

describe("the bounds of recovery over Redis Streams", requires("Redis"), () => {
  let world: StreamServers
  beforeAll(async () => {
    world = new StreamServers(await startRedis())
  })
  afterAll(() => world?.stop())

  const exists = (pid: string | undefined) => world.command("exists", `sio:session:${pid}`)

  /** Twelve clients that were in a room and have lost their connections, before these events were sent there. */
  const crowd = async (streamName: string, events: ReadonlyArray<number>) => {
    const [one] = await world.start(streamName, 1)
    const clients = []
    for (let i = 0; i < 12; i++) clients.push(await world.connect(one, ["room"]))
    const witness = await world.connect(one)
    // It is handled when the client is in its rooms.
    for (const client of clients) await client.call("join", "room")
    for (const client of clients) await world.settle(one, client)
    const ids = clients.map(({ id }) => id)
    for (const client of clients) await client.cut("reset")
    for (const n of events) await one.emit({ to: ["room"] }, "e", n)
    await world.settle(one, witness)
    await eventually("the ends", () => one.departures.length === clients.length)
    return { clients, ids, witness }
  }

  it("keeps no session that takes more than 1 MiB, and says so", async () => {
    const [one, two] = await world.start("large-session", 2)
    const client = await world.connect(one)
    await world.settle(one, client)
    assert.strictEqual(await exists(client.pid), "1")
    // Each name is in the session twice at most, and in base64.
    const names = Array.from({ length: 4 }, (_, i) => `${i}${"x".repeat(MIB / 4)}`)
    for (const name of names) await two.join(client.id!, name)
    const { id, pid } = client
    await client.cut("reset")
    await eventually("the end of the session", () => one.sessionEnds.length === 1)
    assert.deepStrictEqual(one.sessionEnds[0], { sid: id!, reason: "overflow" })
    await until("the end of its key", async () => ((await exists(pid)) === "0" ? true : undefined))
    assert.isFalse(await backTo(client, two))
    assert.notStrictEqual(client.id, id)
  })

  it("reads no session from Redis that takes more than 1 MiB, and removes it", async () => {
    const [one, two] = await world.start("large-key", 2)
    const client = await world.connect(one)
    await world.settle(one, client)
    const { id, pid } = client
    await client.cut("reset")
    await eventually("the end", () => one.departures.length === 1)
    await until("its session", async () => ((await exists(pid)) === "1" ? true : undefined))
    const large = Buffer.from(MessagePack.encode({ pid, sid: id, rooms: [], data: { x: "x".repeat(50_000) } }))
    await world.command("set", `sio:session:${pid}`, large.toString("base64"))
    while (Number(await world.command("strlen", `sio:session:${pid}`)) <= MIB) {
      const length = await world.command("strlen", `sio:session:${pid}`)
      await world.command("setrange", `sio:session:${pid}`, String(2 * Number(length)), "A")
    }
    assert.isFalse(await backTo(client, two))
    assert.strictEqual(await exists(pid), "0")
  })

  it("has 8 reads of the log under way at most, and all clients come back", async () => {
    const { clients, ids, witness } = await crowd("reads", [1])
    // A server that has read nothing of that itself.
    let claims = 0
    let reads = 0
    let most = 0
    const opened = Promise.withResolvers<void>()
    const redisClient = withReads(world, (read) =>
      Effect.suspend(() => {
        most = Math.max(most, ++reads)
        return Effect.promise(() => opened.promise).pipe(
          Effect.andThen(read),
          Effect.ensuring(Effect.sync(() => void reads--))
        )
      })
    )
    const [late] = await world.start("reads", 1, { redisClient })
    const isBack = clients.map(async (client) => {
      const recovered = await backTo(client, late)
      claims++
      return recovered
    })
    await eventually("the first reads", () => reads === 8)
    // Every session is taken when its server waits for the log: the entries that tell so have come back.
    await until("the others", async () => {
      const entries = await world.command("xrange", "reads", "-", "+")
      return entries.split("\n").filter((line) => line === "109").length >= 12 ? true : undefined
    })
    await world.settle(late, witness)
    assert.deepStrictEqual([reads, most, claims], [8, 8, 0])
    opened.resolve()
    assert.deepStrictEqual(
      await Promise.all(isBack),
      clients.map(() => true)
    )
    assert.strictEqual(most, 8)
    for (const [i, client] of clients.entries()) {
      assert.strictEqual(client.id, ids[i])
      await world.settle(late, client)
      assert.deepStrictEqual(withoutMarks(client), [1])
    }
  }, 30_000)

  it("reads once what was sent before a server's start, for all clients that come to it", async () => {
    const { clients, ids } = await crowd("once", [1, 2])
    let reads = 0
    const redisClient = withReads(world, (read) => Effect.tap(read, () => Effect.sync(() => void reads++)))
    const [late] = await world.start("once", 1, { redisClient })
    for (const client of clients) {
      assert.isTrue(await backTo(client, late))
      await world.settle(late, client)
    }
    // When the first one comes, the server has read nothing yet that the entries of before could lead to.
    assert.oneOf(reads, [1, 2])
    for (const [i, client] of clients.entries()) {
      assert.strictEqual(client.id, ids[i])
      assert.deepStrictEqual(withoutMarks(client), [1, 2])
    }
  }, 30_000)

  it("keeps so many bytes of what comes while a client waits for its session, which begins anew beyond that", async () => {
    const [one] = await world.start("held", 1)
    const [early, late] = [await world.connect(one), await world.connect(one)]
    const witness = await world.connect(one)
    for (const client of [early, late]) await world.settle(one, client)
    const { id } = early
    for (const client of [early, late]) await client.cut("reset")
    await eventually("the ends", () => one.departures.length === 2)
    let reads = 0
    const opened = Promise.withResolvers<void>()
    const redisClient = withReads(world, (read) =>
      Effect.suspend(() => {
        reads++
        return Effect.andThen(
          Effect.promise(() => opened.promise),
          read
        )
      })
    )
    const [two] = await world.start("held", 1, { redisClient, recovery: { maxCatchUpBytes: 100_000 } })
    const isEarlyBack = backTo(early, two)
    await eventually("the first read", () => reads === 1)
    for (let n = 1; n <= 8; n++) await one.emit({}, "e", n, { text: "x".repeat(10_000) })
    await world.settle(two, witness)
    const isLateBack = backTo(late, two)
    await eventually("the second read", () => reads === 2)
    await one.emit({}, "e", 9)
    await world.settle(two, witness)
    opened.resolve()
    assert.deepStrictEqual([await isEarlyBack, await isLateBack], [false, true])
    assert.notStrictEqual(early.id, id)
    assert.deepStrictEqual(two.sessionEnds, [{ sid: id!, reason: "overflow" }])
    await world.settle(two, late)
    assert.deepStrictEqual(withoutMarks(late), [1, 2, 3, 4, 5, 6, 7, 8, 9])
  }, 30_000)

  it("tells of a session that has expired, once, at the server where its client was last", async () => {
    const [one, two] = await world.start("expired", 2, { maxDisconnection: 300 })
    const [left, moved, stays] = [await world.connect(one), await world.connect(one), await world.connect(one)]
    await world.settle(one, left)
    const ids = [left.id, moved.id]
    const { pid } = left
    await left.cut("reset")
    await moved.cut("reset")
    assert.isTrue(await backTo(moved, two))
    await eventually("the end of the session", () => one.sessionEnds.length > 0)
    assert.deepStrictEqual(one.sessionEnds, [{ sid: ids[0]!, reason: "expired" }])
    await until("the end of its key", async () => ((await exists(pid)) === "0" ? true : undefined))
    assert.isFalse(await backTo(left, two))
    await moved.cut("reset")
    await eventually("the end of the other one", () => two.sessionEnds.length > 0)
    assert.deepStrictEqual(two.sessionEnds, [{ sid: ids[1]!, reason: "expired" }])
    assert.strictEqual(one.sessionEnds.length, 1)
    assert.isTrue(stays.connected)
  })
})

describe("entries that are deleted by hand before any server has read them", requires("Redis"), () => {
  let world: StreamServers
  beforeAll(async () => {
    world = new StreamServers(await startRedis())
  })
  afterAll(() => world?.stop())

  it("are noticed within a second or so: clients begin anew the next time, at the latest", async () => {
    const stream = "by-hand"
    const [one] = await world.start(stream, 1)
    const client = await world.connect(one, ["room"])
    const witness = await world.connect(one)
    await world.settle(one, client)
    await client.cut("reset")
    await eventually("the end", () => one.departures.length === 1)
    // An event for the client, which is there and deleted in one turn of Redis; then one for nobody.
    const data = (n: unknown, room: string) =>
      JSON.stringify({ opts: { rooms: [room], except: [], flags: {} }, packet: { type: 2, data: ["e", n], nsp: "/" } })
    const add = "redis.call('xadd', KEYS[1], '*', 'uid', 'stranger', 'nsp', '/', 'type', '3', 'data', ARGV"
    const script = `${add}[1]) redis.call('xtrim', KEYS[1], 'maxlen', 0) ${add}[2])`
    await world.command("eval", script, "1", stream, data("lost", "room"), data("fine", "nobody"))
    await world.settle(one, witness)
    await backTo(client, one)
    // The server compares its count with that of Redis when entries come: then it removes the sessions of its clients.
    const { pid } = client
    await until("the end of its session", async () => {
      await world.settle(one, witness)
      const isKept = (await world.command("exists", `sio:session:${pid}`)) === "1"
      return isKept ? undefined : true
    })
    await client.cut("reset")
    assert.isFalse(await backTo(client, one))
    assert.notInclude(numbersOf(client), "lost")
  }, 20_000)
})

describe("recovery while Redis is away", requires("Redis"), () => {
  let world: StreamServers
  beforeAll(async () => {
    world = new StreamServers(await startRedis())
  })
  afterAll(() => world?.stop())

  it("waits with a join until Redis is back, and claims nothing meanwhile", async () => {
    const { server } = world.redis
    const [one, two] = await world.start("away", 2)
    const client = await world.connect(one, ["room"])
    const other = await world.connect(one, ["room"])
    await world.settle(one, client)
    const otherId = other.id
    server.pause()
    let isJoined = false
    const joined = (async () => {
      await one.join(client.id!, "late")
      isJoined = true
    })()
    await one.emit({ to: ["late"] }, "e", 1)
    // It comes at once, and in no room are more clients than before.
    await one.emit({ to: ["room"], volatile: true }, "e", "at once")
    await eventually("a volatile event", () => numbersOf(client).includes("at once"))
    assert.isFalse(isJoined)
    // One whose builder joins a room meanwhile.
    const fresh = await world.connect(one, ["late"])
    await one.emit({ to: ["late"], volatile: true }, "e", "not for it")
    const freshId = fresh.id
    await other.cut("reset")
    assert.isFalse(await backTo(other, two))
    assert.notStrictEqual(other.id, otherId)
    server.resume()
    await joined
    await world.settle(one, client)
    assert.deepStrictEqual(withoutMarks(client), ["at once", 1])
    await world.settle(one, fresh)
    await two.emit({ to: ["late"] }, "e", 2)
    await world.settle(two, fresh)
    await fresh.cut("reset")
    await two.emit({ to: ["late"] }, "e", 3)
    await world.settle(two, client)
    assert.isTrue(await backTo(fresh, two))
    assert.strictEqual(fresh.id, freshId)
    await world.settle(two, fresh)
    assert.deepStrictEqual(withoutMarks(fresh).slice(-2), [2, 3])
  }, 30_000)

  it("recovers nobody after Redis has lost its data, though a join has waited for it", async () => {
    const { server } = world.redis
    const [one, two] = await world.start("empty", 2)
    const client = await world.connect(one, ["room"])
    await world.settle(one, client)
    const { id } = client
    await server.kill()
    const joined = client.call("join", "late")
    await one.emit({ to: ["late"] }, "e", 1)
    await server.start()
    await joined
    await world.settle(one, client)
    await two.emit({ to: ["room"] }, "e", 2)
    await world.settle(two, client)
    assert.include(withoutMarks(client), 2)
    await client.cut("reset")
    assert.isFalse(await backTo(client, two))
    assert.notStrictEqual(client.id, id)
  }, 30_000)
})
