/**
 * Refreshes of a client's rights over its open connection.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Metric } from "effect"
import { TestClock } from "effect/testing"

import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import * as ServerMetrics from "../../src/server/ServerMetrics.ts"
import { Cluster } from "../support/linkedAdapter.ts"
import { CurrentUser, runs, token } from "./desk.ts"
import { settle, world } from "./raw.ts"

const MINUTE = 60_000

describe("a refresh", () => {
  it.effect("that is accepted moves the end, and is answered with it", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const { peer, socket } = yield* join({ name: "ada", in: MINUTE, notice: 0 })
      yield* TestClock.adjust(MINUTE - 1)
      const answer = yield* peer.refresh({ name: "ada", in: MINUTE, notice: 0 })
      assert.deepStrictEqual(answer, { _tag: "Success", value: { expiresIn: MINUTE } })
      yield* TestClock.adjust(MINUTE - 1)
      yield* settle
      assert.isTrue(socket.connected)
      yield* TestClock.adjust(1)
      yield* settle
      assert.isTrue(yield* peer.isClosed)
    })
  )

  it.effect("may take the end away", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const { peer, socket } = yield* join({ name: "ada", in: MINUTE, notice: 0 })
      assert.deepStrictEqual(yield* peer.refresh({ name: "ada" }), { _tag: "Success", value: {} })
      yield* TestClock.adjust(10 * MINUTE)
      yield* settle
      assert.isTrue(socket.connected)
    })
  )

  for (const [name, claims, error] of [
    ["its middleware refuses", { name: "nobody" }, { _tag: "ConnectRefused", message: "who?" }],
    ["fails as its middleware declares", { name: "suspended" }, { _tag: "Suspended", until: 7 }],
    [
      "has ended already",
      { name: "ada", in: 0 },
      { _tag: "ConnectRefused", message: "Auth expired", data: { code: "expired" } }
    ],
    ["its middleware dies of", { name: "ada", dies: true }, { _tag: "InternalError" }],
    ["takes too long", { name: "ada", takes: 50_000 }, { _tag: "ConnectRefused", message: "Connect timeout" }]
  ] as const) {
    it.effect(`that ${name} is answered so, and the old end stands`, () =>
      Effect.gen(function* () {
        const { join, told } = yield* world()
        const { peer, socket } = yield* join({ name: "ada", rooms: ["a"], in: MINUTE, notice: 0 })
        const open = runs.open
        const refreshing = yield* Effect.forkChild(peer.refresh(claims), { startImmediately: true })
        yield* settle
        yield* TestClock.adjust(50_000)
        assert.deepStrictEqual(yield* Fiber.join(refreshing), { _tag: "Failure", error })
        assert.strictEqual(yield* peer.answer("whoami"), "ada of a")
        yield* settle
        assert.deepStrictEqual([told, runs.open], [[], open])
        yield* TestClock.adjust(9_999)
        yield* settle
        assert.isTrue(socket.connected)
        yield* TestClock.adjust(1)
        yield* settle
        assert.isTrue(yield* peer.isClosed)
      })
    )
  }

  it.effect("with the credentials of another user is refused, and closes the connection after the answer", () =>
    Effect.gen(function* () {
      const { join, told } = yield* world()
      const { peer, socket } = yield* join({ name: "ada", in: MINUTE })
      const reason = yield* Effect.forkChild(socket.disconnected, { startImmediately: true })
      const { error } = yield* peer.refresh({ name: "bob", in: MINUTE })
      assert.deepStrictEqual(error, { _tag: "ConnectRefused", message: "Auth changed", data: { code: "changed" } })
      assert.strictEqual(yield* Fiber.join(reason), "auth changed")
      assert.isTrue(yield* peer.isClosed)
      assert.deepStrictEqual(told, [])
    })
  )

  it.effect("shows the new user to handlers that start later; one that runs keeps its user", () =>
    Effect.gen(function* () {
      const { join, open } = yield* world()
      const { peer } = yield* join({ name: "ada", rooms: ["a", "b"], in: MINUTE })
      const slow = yield* peer.ask("slow")
      yield* settle
      yield* peer.refresh({ name: "ada", rooms: ["b"], in: MINUTE })
      assert.strictEqual(yield* peer.answer("whoami"), "ada of b")
      yield* open
      assert.strictEqual(yield* peer.next, `43/desk,${slow}[["ada of a+b","ada of a+b"]]`)
    })
  )

  it.effect("shows the new user to a handler that has waited for its turn meanwhile", () =>
    Effect.gen(function* () {
      const { join, open } = yield* world()
      const { peer } = yield* join({ name: "ada", rooms: ["a"] })
      const first = yield* peer.ask("turn")
      const second = yield* peer.ask("turn")
      yield* settle
      yield* peer.refresh({ name: "ada", rooms: ["b"] })
      yield* open
      assert.deepStrictEqual(yield* peer.received, [`43/desk,${first}["ada of a"]`, `43/desk,${second}["ada of b"]`])
    })
  )

  it.effect("shows the new user to handlers and checks that a builder has added, too", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const note = (who: string) => Effect.map(CurrentUser, ({ rooms }) => void seen.push(`${who}: ${rooms.join("+")}`))
      const { join } = yield* world({}, (socket) =>
        Effect.gen(function* () {
          yield* socket.on("whoami", () => note("on"))
          yield* socket.onAny(() => note("any"))
          yield* socket.use(() => note("use"))
          yield* socket.onDisconnecting(() => note("disconnecting"))
        })
      )
      const { peer } = yield* join({ name: "ada", rooms: ["a"] })
      yield* peer.answer("whoami")
      yield* peer.refresh({ name: "ada", rooms: ["b"] })
      yield* peer.answer("whoami")
      yield* peer.send("41/desk,")
      yield* settle
      assert.deepStrictEqual(seen, ["any: a", "use: a", "on: a", "any: b", "use: b", "on: b", "disconnecting: b"])
    })
  )

  it.effect("is answered after the handlers of refreshes, one of which may fail", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const { join } = yield* world({}, (socket) =>
        Effect.gen(function* () {
          yield* socket.onAuth(() => Effect.die(new Error("broken")))
          yield* socket.onAuth((user) =>
            Effect.andThen(
              Effect.sleep("1 second"),
              Effect.sync(() => seen.push(user.name))
            )
          )
          const { rooms } = yield* CurrentUser
          seen.push(rooms.join())
        })
      )
      const { peer } = yield* join({ name: "ada", rooms: ["a"] })
      const refreshing = yield* Effect.forkChild(peer.refresh({ name: "ada", rooms: ["b"] }), {
        startImmediately: true
      })
      yield* settle
      assert.deepStrictEqual([refreshing.pollUnsafe(), seen], [undefined, ["a"]])
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(refreshing))._tag, "Success")
      assert.deepStrictEqual(seen, ["a", "ada"])
    })
  )

  it.effect("of another runs after it: they do not overtake each other", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const { peer } = yield* join({ name: "ada", rooms: ["a"] })
      yield* peer.ask("auth", { token: token({ name: "ada", rooms: ["slow"], takes: 2_000 }) })
      yield* peer.ask("auth", { token: token({ name: "ada", rooms: ["quick"] }) })
      yield* settle
      assert.deepStrictEqual(yield* peer.received, [])
      yield* TestClock.adjust("2 seconds")
      assert.lengthOf(yield* peer.received, 2)
      assert.strictEqual(yield* peer.answer("whoami"), "ada of quick")
    })
  )

  it.effect("too often is refused before the middleware runs", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const { peer } = yield* join({ name: "ada" })
      for (let i = 0; i < 5; i++) assert.strictEqual((yield* peer.refresh({ name: "ada" }))._tag, "Success")
      const before = runs.count
      const { error } = yield* peer.refresh({ name: "ada" })
      assert.deepStrictEqual(error, {
        _tag: "EventRefused",
        message: "rate limit exceeded",
        data: { retryAfter: 1_000 }
      })
      assert.strictEqual(runs.count, before)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* peer.refresh({ name: "ada" }))._tag, "Success")
    })
  )

  it.effect("in floods costs the middleware's time no more than its rate, and holds nothing", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const { peer } = yield* join({ name: "ada" })
      const before = { ...runs }
      const data = JSON.stringify(["auth", { token: token({ name: "ada", takes: 1_000 }) }])
      for (let i = 0; i < 5_000; i++) yield* peer.send(`42/desk,${data}`)
      yield* settle
      yield* TestClock.adjust("10 seconds")
      yield* settle
      assert.strictEqual(runs.count - before.count, 5)
      // That of the last one.
      assert.strictEqual(runs.open - before.open, 1)
      assert.strictEqual(yield* peer.answer("whoami"), "ada of ")
    })
  )

  it.effect("with a payload beyond the bound of auth payloads, or not of its form, never reaches the middleware", () =>
    Effect.gen(function* () {
      const { join } = yield* world({ limits: { maxAuthBytes: 1_000 } })
      const { peer } = yield* join({ name: "ada" })
      const before = runs.count
      const large = yield* peer.answer("auth", { token: "x".repeat(2_000) })
      assert.deepStrictEqual(large.error, { _tag: "EventRefused", message: "Auth payload too large" })
      const wrong = yield* peer.answer("auth", { token: 5 })
      assert.deepStrictEqual(wrong.error, { _tag: "PayloadRefused", message: "Invalid auth payload" })
      assert.strictEqual(runs.count, before)
    })
  )

  it.effect("is seen by no handler of all events, no check, and no stream: it holds credentials", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const { join } = yield* world({}, (socket) =>
        Effect.gen(function* () {
          yield* socket.onAny((event) => Effect.sync(() => seen.push(event)))
          yield* socket.use(({ event }) => Effect.sync(() => seen.push(event)))
          yield* socket.untyped.onAny((event) => Effect.sync(() => seen.push(event)))
        })
      )
      const { peer } = yield* join({ name: "ada" })
      yield* peer.refresh({ name: "ada" })
      assert.deepStrictEqual(seen, [])
    })
  )

  it.effect("gives back what earlier ones have acquired, when handlers that may use it have ended", () =>
    Effect.gen(function* () {
      const { join, open } = yield* world()
      const before = runs.open
      const { peer } = yield* join({ name: "ada", rooms: ["a"] })
      yield* peer.refresh({ name: "ada", rooms: ["b"] })
      yield* peer.ask("slow")
      yield* settle
      for (const room of ["c", "d", "e"]) yield* peer.refresh({ name: "ada", rooms: [room] })
      yield* settle
      // That of the CONNECT stays as long as the socket; the last one; and the one that the slow handler may use.
      assert.strictEqual(runs.open - before, 3)
      yield* open
      yield* settle
      assert.strictEqual(runs.open - before, 2)
      yield* peer.send("41/desk,")
      yield* settle
      assert.strictEqual(runs.open, before)
    })
  )

  it.effect("under way ends with its socket, and gives everything back", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const before = runs.open
      const { peer } = yield* join({ name: "ada" })
      yield* peer.ask("auth", { token: token({ name: "ada", takes: 10_000 }) })
      yield* settle
      assert.strictEqual(runs.open - before, 2)
      yield* peer.send("41/desk,")
      yield* settle
      assert.strictEqual(runs.open, before)
    })
  )

  it.effect("is counted by its result", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const counted = (result: string) =>
        Effect.map(
          Metric.value(Metric.withAttributes(ServerMetrics.authRefreshes, { namespace: "/desk", result })),
          ({ count }) => count
        )
      const before = [yield* counted("accepted"), yield* counted("refused")]
      const { peer } = yield* join({ name: "ada" })
      yield* peer.refresh({ name: "ada" })
      yield* peer.refresh({ name: "nobody" })
      yield* peer.refresh({ name: "ada" })
      assert.deepStrictEqual([yield* counted("accepted"), yield* counted("refused")], [before[0]! + 2, before[1]! + 1])
    })
  )
})

describe("the notice of an end", () => {
  const notice = (expiresIn: number) => `42/desk,["auth:expiring",{"expiresIn":${expiresIn}}]`

  it.effect("comes by default 30 seconds before it, once", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const { peer } = yield* join({ name: "ada", in: 10 * MINUTE })
      yield* TestClock.adjust(10 * MINUTE - 30_001)
      assert.deepStrictEqual(yield* peer.received, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* peer.received, [notice(30_000)])
      yield* TestClock.adjust(29_999)
      assert.deepStrictEqual(yield* peer.received, [])
    })
  )

  it.effect("counts from the end itself, without the tolerance", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const { peer } = yield* join({ name: "ada", at: 10 * MINUTE, notice: 5_000 })
      yield* TestClock.adjust(10 * MINUTE - 5_000)
      assert.deepStrictEqual(yield* peer.received, [notice(5_000)])
    })
  )

  it.effect("comes at half of the time, where rights last shorter than it says", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const { peer } = yield* join({ name: "ada", in: 10_000, notice: MINUTE })
      yield* TestClock.adjust(4_999)
      assert.deepStrictEqual(yield* peer.received, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* peer.received, [notice(5_000)])
    })
  )

  it.effect("comes again after a refresh that gives more time, and not after one that gives none", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const { peer } = yield* join({ name: "ada", at: 10 * MINUTE, notice: MINUTE })
      yield* TestClock.adjust(9 * MINUTE)
      assert.deepStrictEqual(yield* peer.received, [notice(MINUTE)])
      yield* peer.refresh({ name: "ada", at: 10 * MINUTE, notice: MINUTE })
      yield* TestClock.adjust(MINUTE / 2)
      assert.deepStrictEqual(yield* peer.received, [])
      yield* peer.refresh({ name: "ada", at: 20 * MINUTE, notice: MINUTE })
      yield* TestClock.adjust(9.5 * MINUTE)
      assert.deepStrictEqual(yield* peer.received, [notice(MINUTE)])
    })
  )

  it.effect("comes to clients of this library also as a control event", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const { peer } = yield* join({ name: "ada", in: 10 * MINUTE, notice: MINUTE }, true)
      yield* TestClock.adjust(9 * MINUTE)
      assert.deepStrictEqual(yield* peer.received, [
        notice(MINUTE),
        `42/desk,2147483647["~fx:auth",{"event":"auth","expiresIn":${MINUTE}}]`
      ])
    })
  )
})

describe("rooms after a downgrade", () => {
  it.effect("send nothing more to the client, once it has the answer", () =>
    Effect.gen(function* () {
      const { join, namespace, told } = yield* world()
      const { peer, socket } = yield* join({ name: "ada", rooms: ["a", "b", "c"] })
      yield* namespace.to("a").emit("news", "before")
      assert.strictEqual(yield* peer.next, '42/desk,["news","before"]')
      yield* peer.refresh({ name: "ada", rooms: ["b"] })
      for (const room of ["a", "b", "c"]) yield* namespace.to(room).emit("news", `to ${room}`)
      assert.deepStrictEqual(yield* peer.received, ['42/desk,["news","to b"]'])
      assert.deepStrictEqual(Array.from(socket.rooms).toSorted(), ["b", socket.id].toSorted())
      assert.deepStrictEqual(told, [{ name: "ada", rooms: ["b"] }])
    })
  )

  it.effect("send nothing more to it from other servers of a cluster, either", () =>
    Effect.gen(function* () {
      const cluster = new Cluster()
      const server = () => world().pipe(Effect.provideService(AdapterFactory, cluster.member().factory))
      const here = yield* server()
      const there = yield* server()
      const { peer } = yield* here.join({ name: "ada", rooms: ["a", "b"] })
      yield* there.namespace.to("a").emit("news", "before")
      assert.strictEqual(yield* peer.next, '42/desk,["news","before"]')
      yield* peer.refresh({ name: "ada", rooms: ["b"] })
      for (const room of ["a", "b"]) yield* there.namespace.to(room).emit("news", `to ${room}`)
      assert.deepStrictEqual(yield* peer.received, ['42/desk,["news","to b"]'])
    })
  )

  it.effect("are left where the decision fails, and the failure is given after all rooms", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const { socket } = yield* join({ name: "ada", rooms: ["a", "b", "c"] })
      const asked: Array<string> = []
      const failure = yield* Effect.flip(
        socket.reauthorize((room) => {
          asked.push(room)
          return room === "a" ? Effect.fail("no database") : Effect.succeed(room === "b")
        })
      )
      assert.strictEqual(failure, "no database")
      assert.deepStrictEqual(asked, ["a", "b", "c"])
      assert.deepStrictEqual(Array.from(socket.rooms).toSorted(), ["b", socket.id].toSorted())
    })
  )

  it.effect("are told to the caller", () =>
    Effect.gen(function* () {
      const { join } = yield* world()
      const { socket } = yield* join({ name: "ada", rooms: ["a", "b", "c"] })
      assert.deepStrictEqual(yield* socket.reauthorize((room) => Effect.succeed(room === "b")), ["a", "c"])
    })
  )
})
