/**
 * Clients cannot make a server with recovery keep or compute more than its bounds say.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"

import { MessageLog } from "../../src/recovery/MessageLog.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { count } from "../support/extent.ts"
import { memoryInUse } from "../support/memory.ts"
import { settle, world } from "./raw.ts"

const MB = 1024 * 1024

/** How many broadcasts are looked at meanwhile. */
const looks = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const { forEachAfter } = MessageLog.prototype
    let looks = 0
    MessageLog.prototype.forEachAfter = function (position, f) {
      forEachAfter.call(this, position, (entry) => {
        looks++
        return f(entry as never)
      })
    }
    return Effect.ensuring(
      Effect.map(effect, () => looks),
      Effect.sync(() => {
        MessageLog.prototype.forEachAfter = forEachAfter
      })
    )
  })

/** The memory that is in use afterwards, and was not before. */
const growth = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.gen(function* () {
    const before = memoryInUse()
    yield* effect
    yield* settle
    return memoryInUse() - before
  })

describe("a hostile client, with recovery on", () => {
  const times = count(1_000, 200)

  it.effect(`makes the server look at each broadcast once, though it comes back ${times} times`, () =>
    Effect.gen(function* () {
      const { namespace, next, open } = yield* world()
      const first = yield* open
      const { pid, sid } = yield* first.connect()
      yield* next
      const size = 20_000
      for (let i = 0; i < size; i++) yield* namespace.to("elsewhere").emit("not for it")
      yield* first.network.cut
      const looked = yield* looks(
        Effect.gen(function* () {
          for (let i = 0; i < times; i++) {
            const scope = yield* Scope.make()
            const peer = yield* Scope.provide(open, scope)
            assert.strictEqual((yield* peer.connect({ pid })).sid, sid)
            assert.isTrue((yield* next).recovered)
            yield* namespace.to("elsewhere").emit("not for it")
            yield* peer.network.cut
          }
        })
      )
      assert.isAtMost(looked, size + times)
    })
  )

  it.effect("that never sends a pong makes it keep no more than one replay", () =>
    Effect.gen(function* () {
      const { next, open } = yield* world()
      const peer = yield* open
      yield* peer.connect()
      const socket = yield* next
      const text = "x".repeat(1_000)
      const send = Effect.gen(function* () {
        for (let i = 0; i < 20_000; i++) {
          yield* socket.emit("event", i, text + i)
          if (i % 100 === 0) yield* settle
          yield* peer.received
        }
      })
      yield* send
      // 1,000 messages of 2.3 KB.
      assert.isBelow(yield* growth(send), 4 * MB)
    })
  )

  it.effect("that joins and leaves rooms makes it keep 256 stays", () =>
    Effect.gen(function* () {
      const { namespace, next, open } = yield* world()
      const peer = yield* open
      yield* peer.connect()
      const socket = yield* next
      const stroll = Effect.gen(function* () {
        for (let i = 0; i < 20_000; i++) {
          yield* socket.join(`${i}${"x".repeat(200)}`)
          yield* namespace.to("elsewhere").emit("not for it")
          yield* socket.leave(`${i}${"x".repeat(200)}`)
        }
      })
      const grown = yield* growth(stroll)
      // The broadcasts themselves are 9 MB.
      assert.isBelow(grown, 16 * MB)
      assert.isBelow(yield* growth(stroll), 16 * MB)
    })
  )

  it.effect("that takes its session from itself leaves nothing behind", () =>
    Effect.gen(function* () {
      const { namespace, next, open } = yield* world()
      const first = yield* open
      const { pid, sid } = yield* first.connect()
      yield* (yield* next).join(["red", "green"])
      const steal = Effect.gen(function* () {
        for (let i = 0; i < 300; i++) {
          const scope = yield* Scope.make()
          const peer = yield* Scope.provide(open, scope)
          assert.strictEqual((yield* peer.connect({ pid })).sid, sid)
          yield* next
          // The connection before this one is closed by the server: nobody closes it here.
        }
      })
      yield* steal
      assert.isBelow(yield* growth(steal), 2 * MB)
      assert.strictEqual((yield* namespace.fetchSockets).length, 1)
    })
  )

  it.effect("may send anything for its session", () =>
    Effect.gen(function* () {
      const { next, open } = yield* world()
      const pids = [1, null, true, {}, [], "", "x".repeat(5_000), "__proto__", "constructor", "\u0000"]
      for (const pid of pids) {
        for (const offset of [undefined, ...pids]) {
          const peer = yield* open
          const { fx, message, sid } = yield* peer.connect({ pid, offset })
          if (message !== undefined) continue
          assert.isString(sid)
          assert.isFalse((yield* next).recovered)
          assert.strictEqual(fx?.recovered.reason, typeof pid === "string" ? "unknown" : undefined)
        }
      }
    })
  )

  it.effect("opens dynamic namespaces: as many are kept as sessions may wait, in all of them together", () =>
    Effect.gen(function* () {
      const layer = SocketIoServer.layerDynamicNamespace(/^\/any\//, () => Effect.succeed(() => Effect.void))
      const context = yield* Layer.build(
        layer.pipe(Layer.provideMerge(TestSocketIo.layer({ recovery: { maxSessions: 50 } })))
      )
      const visit = (round: number) =>
        Effect.gen(function* () {
          for (let i = 0; i < 500; i++) {
            const scope = yield* Scope.make()
            const peer = yield* Scope.provide(TestSocketIo.rawClient(), scope)
            yield* peer.receive
            yield* peer.send(`40/any/${round}-${i},`)
            assert.match(String(yield* peer.receive), /^40\/any/)
            yield* peer.network.cut
          }
        }).pipe(Effect.orDie, Effect.provideContext(context))
      yield* visit(0)
      // The first rounds fill what is there once.
      yield* visit(1)
      assert.isBelow(yield* growth(visit(2)), MB)
    }).pipe(Effect.provide(Logger.layer([])))
  )
})

describe("a log that nobody adds to", () => {
  it.effect("gives its memory back", () =>
    Effect.gen(function* () {
      const { namespace, next, open } = yield* world()
      const peer = yield* open
      yield* peer.connect()
      yield* next
      const before = memoryInUse()
      const text = "x".repeat(1_000)
      for (let i = 0; i < 10_000; i++) yield* namespace.to("elsewhere").emit("event", text + i)
      yield* settle
      assert.isAbove(memoryInUse() - before, 10 * MB)
      for (let seconds = 0; seconds < 240; seconds += 20) {
        yield* TestClock.adjust("20 seconds")
        yield* peer.send("3")
        yield* settle
      }
      assert.isBelow(memoryInUse() - before, MB)
    })
  )
})
