/**
 * The bounds of recovery: up to each of them a client is recovered, beyond it is told why not.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue, type Scope } from "effect"
import { TestClock } from "effect/testing"

import type { RecoveryOptions } from "../../src/server/RecoveryOptions.ts"
import { type Peer, settle, type Socket, world, type World } from "./raw.ts"

/** A client that is connected. */
const join = Effect.fnUntraced(function* ({ next, open }: World) {
  const peer = yield* open
  const { pid, sid } = yield* peer.connect()
  return { peer, pid, sid, socket: yield* next }
})

const away = Effect.fnUntraced(function* (server: World) {
  const client = yield* join(server)
  yield* client.peer.close
  yield* settle
  return client
})

/** Comes back. Gives the names of what was missed, or the reason why it does not come back. */
const back = Effect.fnUntraced(function* (
  { next, open }: World,
  { pid, sid }: { readonly pid: string; readonly sid: string },
  offset?: string
): Effect.fn.Return<
  { readonly missed: ReadonlyArray<string> | string; readonly peer: Peer; readonly socket: Socket },
  never,
  Scope.Scope
> {
  const peer = yield* open
  const { fx, sid: now } = yield* peer.connect({ pid, offset })
  const socket = yield* next
  assert.strictEqual(socket.recovered, now === sid)
  const events = yield* peer.events
  return { peer, socket, missed: now === sid ? events.map(([name]) => name) : fx!.recovered.reason }
})

describe("the bounds of recovery", () => {
  for (const [option, recovery, messages] of [
    ["maxEvents", { maxEvents: 10 }, 10],
    // Each takes 280 bytes and 2 for a character.
    ["maxBytes", { maxBytes: 3_400 }, 10]
  ] as ReadonlyArray<readonly [string, RecoveryOptions, number]>) {
    it.effect(`${option}: broadcasts beyond it are dropped, the oldest of all namespaces first`, () =>
      Effect.gen(function* () {
        const server = yield* world({ recovery })
        const { another, namespace } = server
        const one = yield* away(server)
        for (let i = 0; i < messages; i++) yield* namespace.emit(`${i}`)
        assert.lengthOf((yield* back(server, one)).missed as ReadonlyArray<string>, messages)
        const two = yield* away(server)
        const watcher = yield* server.open
        yield* watcher.connect({}, "/other")
        yield* namespace.emit("first")
        for (let i = 0; i < messages; i++) yield* another.emit(`${i}`)
        assert.strictEqual((yield* back(server, two)).missed, "trimmed")
      })
    )

    it.effect(`${option}: a client that has received the dropped ones needs them not`, () =>
      Effect.gen(function* () {
        const server = yield* world({ recovery })
        const one = yield* join(server)
        for (let i = 0; i < 100; i++) yield* server.namespace.emit(`${i}`)
        const offset = String((yield* one.peer.events).at(-1)!.at(-1))
        yield* one.peer.close
        yield* settle
        yield* server.namespace.emit("missed")
        assert.deepStrictEqual((yield* back(server, one, offset)).missed, ["missed"])
      })
    )

    it.effect(`${option}: 0 keeps none, and messages for one client are still recovered`, () =>
      Effect.gen(function* () {
        const server = yield* world({ recovery: { [option]: 0 } })
        const one = yield* join(server)
        yield* one.socket.emit("own")
        yield* one.peer.network.cut
        yield* settle
        const again = yield* back(server, one)
        assert.deepStrictEqual(again.missed, ["own"])
        yield* server.namespace.emit("all")
        yield* again.peer.network.cut
        yield* settle
        assert.strictEqual((yield* back(server, one)).missed, "trimmed")
      })
    )
  }

  it.effect("maxDirectBytes: messages for single clients beyond it are not kept, whoever fills it", () =>
    Effect.gen(function* () {
      const server = yield* world({ recovery: { maxDirectBytes: 3_400 } })
      const one = yield* join(server)
      const two = yield* join(server)
      for (let i = 0; i < 10; i++) yield* one.socket.emit(`${i}`)
      yield* two.socket.emit("one")
      yield* two.socket.emit("two")
      const offset = String((yield* two.peer.events).at(-1)!.at(-1))
      yield* one.peer.network.cut
      yield* two.peer.network.cut
      yield* settle
      assert.lengthOf((yield* back(server, one)).missed as ReadonlyArray<string>, 10)
      // It is recovered if it says itself that it has them.
      const again = yield* back(server, two, offset)
      assert.deepStrictEqual(again.missed, [])
      yield* again.socket.emit("three")
      yield* again.peer.network.cut
      yield* settle
      assert.strictEqual((yield* back(server, two, offset)).missed, "overflow")
    })
  )

  it.effect("maxDirectBytes: the memory comes back with the pong, and with the end of the session", () =>
    Effect.gen(function* () {
      const server = yield* world({ recovery: { maxDirectBytes: 3_400, maxDisconnection: "1 minute" } })
      const one = yield* join(server)
      const fill = Effect.gen(function* () {
        for (let i = 0; i < 9; i++) yield* one.socket.emit(`${i}`)
      })
      const isFree = Effect.gen(function* () {
        const other = yield* join(server)
        yield* other.socket.emit("kept")
        yield* other.peer.network.cut
        yield* settle
        const { missed, peer } = yield* back(server, other)
        // It leaves: its session ends.
        yield* peer.send("41")
        yield* settle
        return typeof missed === "object" && missed.length === 1
      })
      yield* fill
      assert.isTrue(yield* isFree)
      yield* one.socket.emit("another")
      assert.isFalse(yield* isFree)
      yield* TestClock.adjust("25 seconds")
      yield* one.peer.send("3")
      yield* settle
      assert.isTrue(yield* isFree)
      yield* fill
      yield* one.socket.emit("another")
      assert.isFalse(yield* isFree)
      yield* one.peer.network.cut
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* isFree)
    })
  )

  it.effect("maxSessions: the one that has waited longest ends, but none for a session that does not wait", () =>
    Effect.gen(function* () {
      const server = yield* world({ recovery: { maxSessions: 2 } })
      const one = yield* away(server)
      const two = yield* away(server)
      const three = yield* join(server)
      // Its connection is taken over, again and again.
      for (let i = 0; i < 5; i++) assert.deepStrictEqual((yield* back(server, three)).missed, [])
      assert.strictEqual(yield* Queue.size(server.ends), 0)
      const four = yield* away(server)
      assert.deepStrictEqual(yield* Queue.takeAll(server.ends), [{ sid: one.sid, reason: "overflow" }])
      assert.strictEqual((yield* back(server, one)).missed, "unknown")
      assert.deepStrictEqual((yield* back(server, two)).missed, [])
      assert.deepStrictEqual((yield* back(server, four)).missed, [])
    })
  )

  it.effect("maxSessions: 0 lets none wait", () =>
    Effect.gen(function* () {
      const server = yield* world({ recovery: { maxSessions: 0 } })
      const one = yield* away(server)
      assert.strictEqual((yield* back(server, one)).missed, "unknown")
      const two = yield* join(server)
      assert.deepStrictEqual((yield* back(server, two)).missed, [])
    })
  )

  it.effect("maxReplay: counts broadcasts and messages for one client together", () =>
    Effect.gen(function* () {
      const server = yield* world({ recovery: { maxReplay: 10 } })
      const one = yield* join(server)
      const send = Effect.fnUntraced(function* (socket: Socket, broadcasts: number) {
        for (let i = 0; i < 5; i++) yield* socket.emit(`own ${i}`)
        for (let i = 0; i < broadcasts; i++) yield* server.namespace.emit(`all ${i}`)
        yield* server.namespace.to("elsewhere").emit("not for it")
      })
      yield* send(one.socket, 5)
      yield* one.peer.network.cut
      yield* settle
      const again = yield* back(server, one)
      assert.lengthOf(again.missed as ReadonlyArray<string>, 10)
      const offset = String((yield* Effect.andThen(server.namespace.emit("last"), again.peer.events)).at(-1)!.at(-1))
      yield* send(again.socket, 6)
      yield* again.peer.network.cut
      yield* settle
      assert.strictEqual((yield* back(server, one, offset)).missed, "overflow")
    })
  )

  it.effect("half of maxOutbox: so much is missed at the most", () =>
    Effect.gen(function* () {
      const server = yield* world({ limits: { maxOutbox: 10_000 } })
      const one = yield* away(server)
      const text = "x".repeat(500)
      for (let i = 0; i < 3; i++) yield* server.namespace.emit(`${i}`, text)
      assert.lengthOf((yield* back(server, one)).missed as ReadonlyArray<string>, 3)
      const two = yield* away(server)
      for (let i = 0; i < 10; i++) yield* server.namespace.emit(`${i}`, text)
      assert.strictEqual((yield* back(server, two)).missed, "overflow")
    })
  )
})

describe("an idle client", () => {
  it.effect("is recovered after hours, and the log has given its memory back", () =>
    Effect.gen(function* () {
      const server = yield* world()
      const { namespace } = server
      const one = yield* join(server)
      yield* one.socket.join("red")
      const idle = Effect.fnUntraced(function* (seconds: number, chatter: boolean) {
        for (let at = 0; at < seconds; at += 25) {
          if (chatter) yield* namespace.to("blue").emit("not for it")
          yield* TestClock.adjust("25 seconds")
          yield* one.peer.send("3")
          yield* settle
        }
      })
      yield* namespace.to("red").emit("one")
      yield* idle(3 * 3_600, false)
      yield* one.peer.network.cut
      yield* namespace.to("red").emit("two")
      yield* settle
      const again = yield* back(server, one)
      assert.deepStrictEqual(again.missed, ["two"])
      Object.assign(one, { peer: again.peer, socket: again.socket })
      yield* idle(3_600, true)
      yield* one.peer.network.cut
      yield* namespace.to("red").emit("three")
      yield* settle
      assert.deepStrictEqual((yield* back(server, one)).missed, ["three"])
    })
  )
})
