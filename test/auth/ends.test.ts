/**
 * The end of a client's rights, on the server's clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, DateTime, Effect, Fiber, Layer, Metric, type Scope } from "effect"
import { TestClock } from "effect/testing"

import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as ServerMetrics from "../../src/server/ServerMetrics.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { settle, world } from "./raw.ts"

const MINUTE = 60_000
const HOUR = 60 * MINUTE

describe("rights that end", () => {
  for (const [name, millis] of [
    ["a moment", 7],
    ["a minute", MINUTE],
    ["an hour", HOUR]
  ] as const) {
    it.effect(`close the connection after ${name}, with a reason, and not a moment before`, () =>
      Effect.gen(function* () {
        const { join } = yield* world()
        const { peer, socket } = yield* join({ name: "ada", in: millis, notice: 0 })
        const reason = yield* Effect.forkChild(socket.disconnected, { startImmediately: true })
        yield* TestClock.adjust(millis - 1)
        yield* settle
        assert.deepStrictEqual([socket.connected, yield* peer.isClosed], [true, false])
        yield* TestClock.adjust(1)
        yield* settle
        assert.isTrue(yield* peer.isClosed)
        assert.strictEqual(yield* Fiber.join(reason), "auth expired")
      })
    )
  }

  it.effect("at a time end later by the tolerance, and after a duration at once", () =>
    Effect.gen(function* () {
      const { join } = yield* world({ auth: { tolerance: "3 seconds" } })
      const start = 1_000_000
      yield* TestClock.setTime(start)
      const timed = yield* join({ name: "ada", at: start + MINUTE, then: "leave" })
      const lasting = yield* join({ name: "bob", in: MINUTE, then: "leave" })
      yield* TestClock.adjust(MINUTE)
      yield* settle
      assert.deepStrictEqual([timed.socket.connected, lasting.socket.connected], [true, false])
      yield* TestClock.adjust(2_999)
      yield* settle
      assert.isTrue(timed.socket.connected)
      yield* TestClock.adjust(1)
      yield* settle
      assert.isFalse(timed.socket.connected)
    })
  )

  it.effect("with `leave` disconnect the socket alone: the connection stays, and its other namespaces", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const { peer, socket } = yield* join({ name: "ada", in: MINUTE, notice: 0, then: "leave" })
      yield* peer.send("40/other,")
      assert.match(yield* peer.next, /^40\/other,/)
      const reason = yield* Effect.forkChild(socket.disconnected, { startImmediately: true })
      yield* TestClock.adjust(MINUTE)
      assert.strictEqual(yield* peer.next, "41/desk,")
      assert.strictEqual(yield* Fiber.join(reason), "server namespace disconnect")
      yield* peer.send("41/other,")
      yield* settle
      assert.deepStrictEqual(yield* peer.received, [])
    })
  )

  it.effect("that have ended already refuse the client, with a code; within the tolerance they do not", () =>
    Effect.gen(function* () {
      const { connection } = yield* world()
      yield* TestClock.setTime(HOUR)
      const late = yield* connection()
      const refused = yield* late.connect({ name: "ada", at: HOUR - 10_000 })
      assert.deepStrictEqual(refused, { isError: true, message: "Auth expired", data: { code: "expired" } })
      const inTime = yield* connection()
      assert.isFalse((yield* inTime.connect({ name: "ada", at: HOUR - 9_999 })).isError)
    })
  )

  it.effect("follow a wall clock that is set forward, within a minute", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let ahead = 0
      const wall: Clock.Clock = Object.create(clock, {
        currentTimeMillisUnsafe: { value: () => clock.currentTimeMillisUnsafe() + ahead }
      })
      const { join } = yield* world().pipe(Effect.provideService(Clock.Clock, wall))
      const { socket } = yield* join({ name: "ada", at: 10 * HOUR, notice: 0, then: "leave" })
      yield* TestClock.adjust(MINUTE)
      assert.isTrue(socket.connected)
      ahead = 11 * HOUR
      yield* TestClock.adjust(MINUTE)
      yield* settle
      assert.isFalse(socket.connected)
    })
  )

  it.effect("are told to clients of this library with CONNECT, and to no others", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const ours = yield* join({ name: "ada", in: MINUTE }, true)
      assert.deepStrictEqual(ours.connected.fx.auth, { expiresIn: MINUTE })
      const endless = yield* join({ name: "ada" }, true)
      assert.notProperty(endless.connected.fx, "auth")
      const official = yield* join({ name: "ada", in: MINUTE })
      assert.hasAllKeys(official.connected, ["isError", "sid"])
    })
  )

  it.effect("take one entry of the server's timer for each socket, and none where nothing ends", () =>
    Effect.gen(function* () {
      const { context, join } = yield* world()
      const { wheel } = yield* Context.get(context, SocketIoServer.SocketIoServer).engine
      const entries = () => wheel["size"]
      const grown = (act: Effect.Effect<unknown, never, Scope.Scope>) =>
        Effect.gen(function* () {
          const before = entries()
          yield* act
          yield* settle
          return entries() - before
        })
      // A connection has one for its heartbeat.
      const heartbeat = yield* grown(join({ name: "ada" }))
      const limited = yield* Effect.gen(function* () {
        const before = entries()
        const joined = yield* join({ name: "ada", in: HOUR })
        return { ...joined, entries: entries() - before }
      })
      assert.strictEqual(limited.entries, heartbeat + 1)
      assert.strictEqual(yield* grown(limited.peer.refresh({ name: "ada", in: HOUR })), 0)
      assert.strictEqual(yield* grown(limited.peer.refresh({ name: "ada" })), -1)
      assert.strictEqual(yield* grown(limited.peer.refresh({ name: "ada", in: HOUR })), 1)
      assert.strictEqual(yield* grown(limited.peer.send("41/desk,")), -1)
    })
  )

  it.effect("are counted, and take nothing of the server after the socket's end", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const counted = (action: string) =>
        Effect.map(
          Metric.value(Metric.withAttributes(ServerMetrics.authEnds, { namespace: "/desk", action })),
          ({ count }) => count
        )
      const before = [yield* counted("leave"), yield* counted("reconnect")]
      yield* join({ name: "ada", in: MINUTE, then: "leave" })
      yield* join({ name: "ada", in: MINUTE })
      const early = yield* join({ name: "ada", in: MINUTE })
      yield* early.peer.send("41/desk,")
      yield* TestClock.adjust(2 * MINUTE)
      yield* settle
      assert.deepStrictEqual([yield* counted("leave"), yield* counted("reconnect")], [before[0]! + 1, before[1]! + 1])
    })
  )
})

describe("expires", () => {
  class First extends NamespaceMiddleware.Service<First>()("test/First") {}
  class Second extends NamespaceMiddleware.Service<Second>()("test/Second") {}
  class Twice extends Namespace.make("/twice").middleware(First).middleware(Second) {}

  type Expires = NamespaceMiddleware.ConnectRequest<unknown>["expires"]
  type Decide = (expires: Expires) => Effect.Effect<unknown, NamespaceMiddleware.ConnectRefused>

  /** The answer to a CONNECT, and the packets after it. */
  const connect = Effect.fnUntraced(function* (first: Decide, second: Decide = () => Effect.void) {
    const decide = (decide: Decide) => (request: { readonly expires: Expires }) =>
      Effect.asVoid(decide(request.expires))
    const context = yield* Layer.build(
      SocketIoServer.layerNamespace(Twice, () => Effect.succeed(Twice.of({}))).pipe(
        Layer.provide(Layer.merge(Layer.succeed(First, decide(first)), Layer.succeed(Second, decide(second)))),
        Layer.provideMerge(TestSocketIo.layer({ heartbeat: { pingInterval: "10 days" } }))
      )
    )
    const peer = yield* Effect.orDie(Effect.provideContext(TestSocketIo.rawClient(), context))
    yield* Effect.orDie(peer.receive)
    yield* peer.send("40/twice,")
    return { answer: String(yield* Effect.orDie(peer.receive)), received: Effect.andThen(settle, peer.received) }
  })

  const leave = { then: "leave" } as const

  it.effect("said several times means the earliest end, of one middleware and of several", () =>
    Effect.gen(function* () {
      for (const [first, second] of [
        [[3, 1, 2], []],
        [[3], [1]],
        [[1], [3]],
        [[Infinity], [1]]
      ] as const) {
        const say = (minutes: ReadonlyArray<number>) => (expires: Expires) =>
          Effect.forEach(minutes, (n) => expires(n === Infinity ? "Infinity" : { minutes: n }, leave))
        const { received } = yield* connect(say(first), say(second))
        yield* TestClock.adjust(MINUTE - 1)
        assert.deepStrictEqual(yield* received, [])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* received, ["41/twice,"])
      }
    })
  )

  it.effect("takes dates, and times with a zone", () =>
    Effect.gen(function* () {
      for (const at of [new Date(MINUTE), DateTime.makeZonedUnsafe(MINUTE, { timeZone: "Europe/Berlin" })]) {
        yield* TestClock.setTime(0)
        const { received } = yield* connect((expires) => expires(at, leave))
        yield* TestClock.adjust(MINUTE + 9_999)
        assert.deepStrictEqual(yield* received, [])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* received, ["41/twice,"])
      }
    })
  )

  for (const [name, at] of [
    ["a number", 1_800_000_000],
    ["a bigint", 1_800_000_000n],
    ["an invalid date", new Date("never")],
    ["an invalid duration", "soon"]
  ] as const) {
    it.effect(`refuses the client at ${name}, rather than to guess`, () =>
      Effect.gen(function* () {
        const { answer } = yield* connect((expires) => expires(at as any))
        assert.strictEqual(answer, '44/twice,{"message":"Internal error"}')
      })
    )
  }

  it.effect("dies when it is called after the middleware has decided", () =>
    Effect.gen(function* () {
      let late: Expires | undefined
      const { answer } = yield* connect((expires) => Effect.sync(() => (late = expires)))
      assert.match(answer, /^40/)
      const exit = yield* Effect.exit(late!("1 minute"))
      assert.include(String(exit), "after its middleware had decided")
    })
  )
})
