/**
 * Clients that lose their connection while their builder is at work: it has not put them into their rooms yet.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Latch, Queue } from "effect"

import { requires } from "../support/peers.ts"
import { startRedis, until } from "../support/redisServer.ts"
import { eventually } from "./clients.ts"
import { settle, world } from "./raw.ts"
import { backTo, StreamServers, withoutMarks } from "./streamServers.ts"

describe("a client that loses its connection while its builder is at work", () => {
  /** Builders say hello, load, and join the lobby as the guide has it. */
  const lobby = Effect.fnUntraced(function* () {
    const loaded = yield* Latch.make(true)
    let builders = 0
    const server = yield* world({
      build: Effect.fnUntraced(function* (socket) {
        builders++
        yield* socket.emit("hello", builders)
        yield* loaded.await
        if (!socket.recovered) yield* socket.join("lobby")
      })
    })
    return { ...server, loaded, builders: () => builders }
  })

  it.effect("begins anew, in its rooms", () =>
    Effect.gen(function* () {
      const { builders, ends, loaded, namespace, next, open } = yield* lobby()
      yield* loaded.close
      const peer = yield* open
      const { pid, sid } = yield* peer.connect()
      const [, number, offset] = yield* peer.event
      assert.strictEqual(number, 1)
      yield* peer.close
      yield* settle
      assert.deepStrictEqual(yield* Queue.take(ends), { sid, reason: "overflow" })
      yield* loaded.open
      const again = yield* open
      const answer = yield* again.connect({ pid, offset })
      const socket = yield* next
      assert.isFalse(socket.recovered)
      assert.notStrictEqual(answer.sid, sid)
      assert.strictEqual(answer.fx!.recovered.reason, "expired")
      assert.strictEqual(builders(), 2)
      yield* namespace.to("lobby").emit("news")
      assert.deepStrictEqual(
        (yield* again.events).map(([name]) => name),
        ["hello", "news"]
      )
      // It still has the offset of the first builder's event, and nothing new: that is no reason to begin anew once more.
      yield* again.close
      yield* settle
      const third = yield* open
      const { fx, sid: recovered } = yield* third.connect({ pid: answer.pid, offset })
      assert.deepStrictEqual([recovered, fx?.recovered], [answer.sid, undefined])
      assert.isTrue((yield* next).rooms.has("lobby"))
    })
  )

  it.effect("begins anew also before the server has noticed the loss", () =>
    Effect.gen(function* () {
      const { loaded, next, open } = yield* lobby()
      yield* loaded.close
      const peer = yield* open
      const { pid, sid } = yield* peer.connect()
      const again = yield* open
      const answer = yield* again.connect({ pid })
      yield* loaded.open
      assert.notStrictEqual(answer.sid, sid)
      assert.strictEqual(answer.fx!.recovered.reason, "unknown")
      const socket = yield* next
      assert.isFalse(socket.recovered)
      assert.isTrue(socket.rooms.has("lobby"))
    })
  )

  it.effect("keeps a session whose first builder was done", () =>
    Effect.gen(function* () {
      const { builders, loaded, namespace, next, open } = yield* lobby()
      const peer = yield* open
      const { pid, sid } = yield* peer.connect()
      yield* next
      const [, , offset] = yield* peer.event
      yield* peer.close
      yield* settle
      // The next builder is not done, and need not be: the rooms are there.
      yield* loaded.close
      const second = yield* open
      assert.strictEqual((yield* second.connect({ pid, offset })).sid, sid)
      yield* second.close
      yield* settle
      yield* namespace.to("lobby").emit("news")
      yield* loaded.open
      const third = yield* open
      assert.strictEqual((yield* third.connect({ pid, offset })).sid, sid)
      const socket = yield* next
      assert.isTrue(socket.recovered && socket.rooms.has("lobby"))
      assert.strictEqual(builders(), 3)
      assert.deepStrictEqual(
        (yield* third.events).map(([name]) => name),
        ["hello", "news", "hello"]
      )
    })
  )
})

describe("the same over Redis Streams", requires("Redis"), () => {
  let world: StreamServers
  beforeAll(async () => {
    world = new StreamServers(await startRedis())
  })
  afterAll(() => world?.stop())

  /** What does not end at the first time. */
  const onlyLater = () => {
    let isFirst = true
    return Effect.suspend(() => {
      const load = isFirst ? Effect.never : Effect.void
      isFirst = false
      return load
    })
  }

  const exists = (pid: string | undefined) => world.command("exists", `sio:session:${pid}`)

  it("has no session in Redis that another server could take, and begins anew", async () => {
    const [one, two] = await world.start("builders", 2, { load: onlyLater() })
    const client = await world.connect(one, ["lobby"])
    const { id, pid } = client
    // The server has noticed nothing: it hangs, or has died.
    const finish = await client.cut("stall")
    assert.strictEqual(await exists(pid), "0")
    assert.isFalse(await backTo(client, two))
    assert.notStrictEqual(client.id, id)
    finish()
    await client.call("join", "other")
    await one.emit({ to: ["lobby"] }, "e", 1)
    await world.settle(one, client)
    assert.deepStrictEqual(withoutMarks(client), [1])
  })

  it("ends when the loss is noticed, and says so", async () => {
    const [one, two] = await world.start("builders-cut", 2, { load: onlyLater() })
    const client = await world.connect(one, ["lobby"])
    const { id, pid } = client
    await client.cut("reset")
    await eventually("the end of the session", () => one.sessionEnds.length === 1)
    assert.deepStrictEqual(one.sessionEnds, [{ sid: id!, reason: "overflow" }])
    assert.isFalse(await backTo(client, two))
    await client.call("join", "other")
    assert.strictEqual(await exists(pid), "0")
    // Its session is stored when its builder is done: it is recovered from now on.
    await until("its session", async () => ((await exists(client.pid)) === "1" ? true : undefined))
    await client.cut("reset")
    await two.emit({ to: ["lobby"] }, "e", 1)
    assert.isTrue(await backTo(client, one))
    await world.settle(one, client)
    assert.deepStrictEqual(withoutMarks(client), [1])
  })
})
