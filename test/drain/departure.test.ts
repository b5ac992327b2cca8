/**
 * Clients that move from one server to another, under a clock: what becomes of events, acknowledgements and handlers.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

import type { DrainOptions } from "../../src/engine/Drain.ts"
import type { SocketStatus } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import type { Untyped } from "../../src/Namespace.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import type { RawPeer } from "../../src/testing/RawPeer.ts"
import { makeFleet } from "../support/fleet.ts"

type AnySocket = ServerSocket<Untyped>

/** The application of all servers: it says what it has handled, and where. */
const makeApplication = () => {
  const log: Array<string> = []
  const sockets: Array<AnySocket> = []
  const namespaces = (name: string) =>
    SocketIoServer.layerNamespace(
      "/",
      Effect.fnUntraced(function* (socket) {
        sockets.push(socket)
        yield* Effect.forkScoped(
          Effect.map(socket.disconnected, (reason) => log.push(`${name}: ${reason}`)),
          { startImmediately: true, uninterruptible: true }
        )
        yield* socket.on("note", (text) => Effect.sync(() => void log.push(`${name}: ${String(text)}`)))
        yield* socket.on("ask", (text) =>
          Effect.as(
            Effect.sync(() => log.push(`${name}: ${String(text)}`)),
            name
          )
        )
        yield* socket.on("work", (millis) =>
          Effect.sleep(Number(millis)).pipe(
            Effect.andThen(Effect.sync(() => log.push(`${name}: worked`))),
            Effect.as(name),
            Effect.onInterrupt(() => Effect.sync(() => log.push(`${name}: interrupted`)))
          )
        )
      })
    )
  return { log, sockets, namespaces }
}

const settle = Effect.repeat(Effect.yieldNow, { times: 300 })

/** Two servers, and a drain of the first one that has begun. */
const draining = Effect.fnUntraced(function* (options: DrainOptions = {}) {
  const application = makeApplication()
  const fleet = yield* makeFleet(application.namespaces)
  const first = yield* fleet.start("first")
  const drain = Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(first.shape.drain({ notice: 0, over: 0, ...options }), {
      startImmediately: true
    })
    yield* settle
    return fiber
  })
  return { ...application, ...fleet, first, drain }
})

/** A raw client in the default namespace. */
const join = Effect.fnUntraced(function* (peer: RawPeer) {
  yield* peer.receive
  yield* peer.send("40")
  assert.match(String(yield* peer.receive), /^40\{"sid"/)
  return peer
})

const MOVE = /^422147483647\["~fx:move",\{"within":(\d+)\}\]$/

describe("a connection that departs", () => {
  it.effect("of an official client, is closed at once if nothing is under way, without any other packet", () =>
    Effect.gen(function* () {
      const { drain, log, raw } = yield* draining()
      const peer = yield* join(yield* raw())
      const draining_ = yield* drain
      assert.deepStrictEqual(yield* peer.received, [])
      assert.strictEqual(yield* peer.closed, "closed")
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(draining_), { moved: 1, cut: 0, inFlight: 0 })
      assert.deepStrictEqual(log, ["first: server shutting down"])
    })
  )

  it.effect("waits for handlers to answer, for a second at most", () =>
    Effect.gen(function* () {
      const { drain, log, raw } = yield* draining({ over: "100 millis" })
      const quick = yield* join(yield* raw())
      const slow = yield* join(yield* raw())
      yield* quick.send('421["work",500]')
      yield* slow.send('421["work",1400]')
      yield* settle
      const fiber = yield* drain
      yield* TestClock.adjust("450 millis")
      assert.deepStrictEqual(yield* quick.received, [])
      yield* TestClock.adjust("100 millis")
      yield* settle
      assert.deepStrictEqual(yield* quick.received, ['431["first"]'])
      assert.strictEqual(yield* quick.closed, "closed")
      // The slow one has its time, but cannot be answered any more.
      yield* TestClock.adjust("700 millis")
      yield* settle
      assert.strictEqual(yield* slow.closed, "closed")
      assert.deepStrictEqual(log, ["first: worked", "first: server shutting down"])
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(yield* slow.received, [])
      assert.deepStrictEqual(log.slice(2), ["first: worked", "first: server shutting down"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(fiber), { moved: 2, cut: 0, inFlight: 0 })
    })
  )

  it.effect("handles what was on its way, and gives handlers the rest of the time, and at least a second", () =>
    Effect.gen(function* () {
      const { drain, log, raw } = yield* draining()
      const peer = yield* join(yield* raw())
      yield* peer.send('42["note","before"]')
      yield* settle
      // In the same turn as the close frame leaves the other side.
      const fiber = yield* Effect.forkChild(Effect.flatMap(drain, Fiber.join), { startImmediately: true })
      yield* peer.send('42["note","on its way"]')
      yield* peer.send('421["work",900]')
      yield* peer.send('422["work",60000]')
      yield* settle
      assert.strictEqual(yield* peer.closed, "closed")
      assert.deepStrictEqual(log, ["first: before", "first: on its way"])
      yield* TestClock.adjust("950 millis")
      assert.deepStrictEqual(log.slice(2), ["first: worked"])
      yield* TestClock.adjust("2 seconds")
      assert.sameMembers(log.slice(3), ["first: interrupted", "first: server shutting down"])
      assert.deepStrictEqual(yield* Fiber.join(fiber), { moved: 1, cut: 0, inFlight: 1 })
    })
  )

  it.effect("fails the acknowledgements that its client owes when it has left", () =>
    Effect.gen(function* () {
      const { drain, raw, sockets } = yield* draining()
      const peer = yield* join(yield* raw())
      const asked = yield* Effect.forkChild(Effect.flip(sockets[0]!.emitWithAck("question")), {
        startImmediately: true
      })
      yield* drain
      yield* TestClock.adjust("1100 millis")
      yield* settle
      assert.strictEqual(yield* peer.closed, "closed")
      assert.strictEqual((yield* Fiber.join(asked)).reason._tag, "Disconnected")
      assert.strictEqual((yield* Effect.flip(sockets[0]!.emitWithAck("question"))).reason._tag, "Disconnected")
    })
  )

  it.effect("sends nothing after its close, also where sends wait for capacity", () =>
    Effect.gen(function* () {
      const application = makeApplication()
      const fleet = yield* makeFleet(application.namespaces, { limits: { outboxOverflow: "suspend", maxOutbox: 100 } })
      const first = yield* fleet.start("first")
      const peer = yield* join(yield* fleet.raw())
      yield* peer.send('421["work",60000]')
      yield* settle
      const sending = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3], (i) => application.sockets[0]!.emit("news", i, "x".repeat(1_000))),
        { startImmediately: true }
      )
      yield* Effect.forkChild(first.shape.drain({ notice: 0, over: 0 }), { startImmediately: true })
      yield* TestClock.adjust("1100 millis")
      yield* settle
      assert.isDefined(sending.pollUnsafe())
      yield* application.sockets[0]!.emit("late")
      yield* settle
      assert.isFalse((yield* peer.received).includes('42["late"]'))
    })
  )
})

describe("a client that understands it", () => {
  it.effect(
    "is asked to move, gets nothing but acknowledgements after it was told to, and is closed when they are given",
    () =>
      Effect.gen(function* () {
        const { drain, first, log, raw, sockets } = yield* draining({ over: "5 seconds" })
        const peer = yield* join(yield* raw("&fx=1"))
        yield* peer.send('421["work",3000]')
        yield* peer.send('422["work",60000]')
        yield* settle
        const fiber = yield* drain
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* peer.receive, '431["first"]')
        const asked = MOVE.exec(String(yield* peer.receive))
        assert.closeTo(Number(asked?.[1]), 2_000, 100)
        const [news] = sockets as [AnySocket]
        yield* news.emit("news", 1)
        assert.strictEqual(yield* peer.receive, '42["news",1]')
        yield* peer.send('423["ask","the last one"]')
        yield* peer.send("432147483647[]")
        yield* settle
        assert.strictEqual(yield* peer.receive, '433["first"]')
        // One handler still runs: a second is enough.
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.strictEqual(yield* peer.receive, '42["~fx:moved"]')
        yield* news.emit("news", 2)
        const everybody = yield* first.shape.namespace("/")
        yield* everybody.emit("news", 3)
        assert.strictEqual((yield* Effect.flip(news.emitWithAck("question"))).reason._tag, "Disconnected")
        yield* settle
        assert.deepStrictEqual(yield* peer.received, [])
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.strictEqual(yield* peer.closed, "closed")
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* Fiber.join(fiber), { moved: 1, cut: 0, inFlight: 1 })
        assert.sameMembers(log, [
          "first: worked",
          "first: the last one",
          "first: interrupted",
          "first: server shutting down"
        ])
      })
  )

  it.effect("is closed as others are if it does not move", () =>
    Effect.gen(function* () {
      const { drain, raw } = yield* draining()
      const peer = yield* join(yield* raw("&fx=1"))
      const fiber = yield* drain
      assert.match(String(yield* peer.receive), MOVE)
      yield* TestClock.adjust("1900 millis")
      assert.deepStrictEqual(yield* peer.received, [])
      yield* TestClock.adjust("200 millis")
      yield* settle
      assert.strictEqual(yield* peer.closed, "closed")
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(fiber), { moved: 1, cut: 0, inFlight: 0 })
    })
  )

  it.effect("may say anything else with the number of the move", () =>
    Effect.gen(function* () {
      const { drain, raw } = yield* draining()
      const peer = yield* join(yield* raw("&fx=1"))
      // Before it was asked, and in another namespace, it is an acknowledgement like any other.
      yield* peer.send("432147483647[]")
      yield* drain
      assert.match(String(yield* peer.receive), MOVE)
      yield* peer.send("431[]")
      yield* peer.send("432147483647[]")
      yield* settle
      assert.strictEqual(yield* peer.receive, '42["~fx:moved"]')
      // Again, it means nothing.
      yield* peer.send("432147483647[]")
      yield* settle
      assert.strictEqual(yield* peer.closed, "closed")
    })
  )

  it.effect("joins no more namespaces after it was told to move", () =>
    Effect.gen(function* () {
      const { drain, raw, sockets } = yield* draining()
      const peer = yield* raw("&fx=1")
      yield* peer.receive
      yield* drain
      assert.match(String(yield* peer.receive), MOVE)
      yield* peer.send("40")
      assert.match(String(yield* peer.receive), /^40\{/)
      yield* peer.send("432147483647[]")
      yield* peer.send('42["work",500]')
      yield* peer.send("41")
      yield* peer.send("40")
      yield* settle
      assert.lengthOf(sockets, 1)
    })
  )
})

describe("a client of this library", () => {
  /** A client with a socket, and its statuses. */
  const chatting = Effect.fnUntraced(function* (client: SocketIoClient.SocketIoClientShape) {
    const socket = yield* Effect.provideService(SocketIoClient.connect("/"), SocketIoClient.SocketIoClient, client)
    const statuses: Array<SocketStatus> = []
    yield* socket.status.pipe(
      Stream.runForEach((status) => Effect.sync(() => statuses.push(status))),
      Effect.forkScoped({ startImmediately: true })
    )
    const tags = () => statuses.map(({ _tag }) => _tag)
    return { socket, tags }
  })

  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]] as const) {
    it.effect(`moves without an outage, in order, and with its answers, over ${transports.join(" and ")}`, () =>
      Effect.gen(function* () {
        const { balance, client, drain, first, log, start } = yield* draining({ over: "10 seconds" })
        const { socket, tags } = yield* chatting(yield* client({ transports }))
        const second = yield* start("second")
        yield* balance(second)
        const answers: Array<unknown> = []
        // Many events while it moves, and one of which the handler takes its time.
        const work = yield* Effect.forkChild(socket.emitWithAck("work", 9_900), { startImmediately: true })
        const fiber = yield* drain
        for (let i = 0; i < 400; i++) {
          yield* socket.emit("note", i)
          yield* Effect.forkChild(
            Effect.map(socket.emitWithAck("ask", `asked ${i}`), ([name]) => answers.push(name)),
            { startImmediately: true }
          )
          yield* TestClock.adjust(50)
        }
        assert.deepStrictEqual(yield* Fiber.join(work), ["first"])
        yield* settle
        const handled = log.filter((line) => !line.includes("worked") && !line.includes("shutting"))
        const texts = handled.map((line) => line.replace(/^\w+: /, ""))
        assert.deepStrictEqual(texts, Array.from({ length: 400 }, (_, i) => [String(i), `asked ${i}`]).flat())
        const moved = handled.findIndex((line) => line.startsWith("second"))
        assert.isAbove(moved, 100)
        assert.isTrue(handled.slice(moved).every((line) => line.startsWith("second")))
        assert.lengthOf(answers, 400)
        assert.deepStrictEqual(tags(), ["Connected", "Connected"])
        assert.deepStrictEqual(yield* Fiber.join(fiber), { moved: 1, cut: 0, inFlight: 0 })
        assert.strictEqual(first.engine.sessionCount, 0)
        assert.strictEqual(second.engine.sessionCount, 1)
        assert.isTrue(log.includes("first: server shutting down"))
      })
    )
  }

  it.effect("comes back to its server when the drain is interrupted while it moves", () =>
    Effect.gen(function* () {
      const { client, drain, first, sockets } = yield* draining()
      const { socket, tags } = yield* chatting(yield* client())
      const fiber = yield* drain
      // The server refuses it, until the drain is interrupted.
      yield* settle
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* first.shape.readiness, "ready")
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(tags(), ["Connected", "Connected"])
      assert.strictEqual(socket.id, sockets[1]!.id)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(first.engine.sessionCount, 1)
    })
  )

  it.effect("sees an outage where there is no other server", () =>
    Effect.gen(function* () {
      const { client, drain, start } = yield* draining()
      const { tags } = yield* chatting(yield* client())
      const fiber = yield* drain
      yield* TestClock.adjust("2100 millis")
      yield* settle
      assert.deepStrictEqual(tags(), ["Connected", "Disconnected"])
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(fiber), { moved: 1, cut: 0, inFlight: 0 })
      yield* start("second")
      yield* TestClock.adjust("5 seconds")
      yield* settle
      assert.strictEqual(tags().at(-1), "Connected")
    })
  )

  it.effect("that answers slowly has its time to do so, over its previous connection", () =>
    Effect.gen(function* () {
      const { balance, client, drain, sockets, start } = yield* draining({ over: "10 seconds" })
      const { socket } = yield* chatting(yield* client())
      yield* socket.respond("question", () => Effect.as(Effect.sleep("11 seconds"), "answer"))
      const asked = yield* Effect.forkChild(sockets[0]!.emitWithAck("question"), { startImmediately: true })
      yield* balance(yield* start("second"))
      yield* drain
      yield* TestClock.adjust("12 seconds")
      yield* settle
      assert.deepStrictEqual(yield* Fiber.join(asked), ["answer"])
      assert.lengthOf(sockets, 2)
    })
  )
})

describe("with recovery", () => {
  for (const [work, reason] of [
    [500, "server shutting down"],
    [60_000, "session resumed"]
  ] as const) {
    it.effect(
      `what is sent while a client moves comes after the move, once, where the former socket ends with ${reason}`,
      () =>
        Effect.gen(function* () {
          const application = makeApplication()
          const fleet = yield* makeFleet(application.namespaces, { recovery: true })
          const first = yield* fleet.start("first")
          const client = yield* fleet.client()
          const socket = yield* Effect.provideService(
            SocketIoClient.connect("/"),
            SocketIoClient.SocketIoClient,
            client
          )
          const news = yield* socket.subscribe("news")
          const seen: Array<unknown> = []
          yield* Effect.forkScoped(
            Stream.runForEach(news, ([first]) => Effect.sync(() => seen.push(first))),
            { startImmediately: true }
          )
          const everybody = yield* first.shape.namespace("/")
          for (let i = 0; i < 9; i++) yield* join(yield* fleet.raw())
          const mine = () => application.sockets.findLast(({ id }) => id === socket.id)!
          let sent = 0
          const send = Effect.suspend(() => Effect.andThen(mine().emit("news", ++sent), everybody.emit("news", ++sent)))
          yield* send
          const { id } = socket
          yield* Effect.forkChild(socket.emitWithAck("work", work).pipe(Effect.ignore), { startImmediately: true })
          const draining = yield* Effect.forkChild(first.shape.drain({ notice: 0, over: "10 seconds" }), {
            startImmediately: true
          })
          // The first one of ten.
          yield* TestClock.adjust("1050 millis")
          yield* settle
          yield* send
          // There is no other server: it comes back to this one, which takes it again.
          yield* Fiber.interrupt(draining)
          yield* TestClock.adjust("980 millis")
          yield* send
          yield* TestClock.adjust("1200 millis")
          yield* send
          yield* settle
          assert.strictEqual(socket.id, id)
          assert.isTrue(socket.recovered)
          assert.lengthOf(application.sockets, 11)
          yield* everybody.emit("news", ++sent)
          yield* settle
          assert.deepStrictEqual(
            seen.map((news) => String(news)),
            Array.from({ length: sent }, (_, i) => String(i + 1))
          )
          assert.include(application.log, `first: ${reason}`)
        })
    )
  }

  it.effect("a pong over a connection that gets nothing more confirms nothing", () =>
    Effect.gen(function* () {
      const application = makeApplication()
      const fleet = yield* makeFleet(application.namespaces, {
        recovery: true,
        heartbeat: { pingInterval: "1 second" }
      })
      const first = yield* fleet.start("first")
      const peer = yield* fleet.raw("&fx=1")
      yield* peer.receive
      yield* peer.send("40")
      const { pid } = JSON.parse(String(yield* peer.receive).slice(2))
      const [server] = application.sockets as [AnySocket]
      yield* peer.send('421["work",600000]')
      yield* settle
      const draining = yield* Effect.forkChild(first.shape.drain({ notice: 0, over: "1 minute" }), {
        startImmediately: true
      })
      // It is moved late; until then it answers pings.
      let isAsked = false
      while (!isAsked) {
        yield* TestClock.adjust("500 millis")
        yield* settle
        for (const packet of yield* peer.received) {
          if (packet === "2") yield* peer.send("3")
          else isAsked = MOVE.test(String(packet)) || isAsked
        }
      }
      yield* peer.send("432147483647[]")
      yield* TestClock.adjust("1 second")
      yield* server.emit("news", "kept")
      for (let i = 0; i < 2; i++) {
        yield* settle
        for (const packet of yield* peer.received) if (packet === "2") yield* peer.send("3")
        yield* TestClock.adjust("400 millis")
      }
      yield* Fiber.interrupt(draining)
      const again = yield* fleet.raw("&fx=1")
      yield* again.receive
      yield* again.send(`40${JSON.stringify({ pid })}`)
      assert.strictEqual(JSON.parse(String(yield* again.receive).slice(2)).pid, pid)
      assert.match(String(yield* again.receive), /^42\["news","kept"/)
    })
  )
})

describe("a shutdown with onShutdown", () => {
  const fleetOf = Effect.fnUntraced(function* (onShutdown: DrainOptions) {
    const application = makeApplication()
    const fleet = yield* makeFleet(application.namespaces, { onShutdown, drainTimeout: "5 seconds" })
    return { ...application, ...fleet }
  })

  it.effect("moves clients before the namespaces' layers close, which close first", () =>
    Effect.gen(function* () {
      const { client, log, raw, start } = yield* fleetOf({ notice: "2 seconds", over: "4 seconds" })
      const first = yield* start("first")
      const ours = yield* client()
      const socket = yield* Effect.provideService(SocketIoClient.connect("/"), SocketIoClient.SocketIoClient, ours)
      const peer = yield* join(yield* raw())
      const second = yield* start("second")
      const closing = yield* Effect.forkChild(first.close, { startImmediately: true })
      yield* settle
      assert.strictEqual(yield* first.shape.readiness, "draining")
      yield* TestClock.adjust("1900 millis")
      yield* peer.send('421["ask","still there"]')
      assert.strictEqual(yield* peer.receive, '431["first"]')
      yield* TestClock.adjust("4200 millis")
      yield* settle
      assert.strictEqual(yield* peer.closed, "closed")
      assert.deepStrictEqual(yield* socket.emitWithAck("ask", "over there"), ["second"])
      yield* TestClock.adjust("200 millis")
      yield* settle
      assert.isDefined(closing.pollUnsafe())
      assert.sameMembers(log, [
        "first: still there",
        "first: server shutting down",
        "first: server shutting down",
        "second: over there"
      ])
      assert.strictEqual(second.engine.sessionCount, 1)
    })
  )

  it.effect(
    "moves only the clients of a namespace that closes alone, and the server is ready a second after that",
    () =>
      Effect.gen(function* () {
        const { raw, start } = yield* fleetOf({ notice: "1 second", over: "2 seconds" })
        const first = yield* start("first")
        const scope = yield* Scope.make()
        yield* first.shape.register("/other", () => Effect.void).pipe(Scope.provide(scope))
        const stays = yield* join(yield* raw())
        const leaves = yield* raw()
        yield* leaves.receive
        yield* leaves.send("40/other,")
        yield* leaves.receive
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* settle
        assert.isFalse(first.engine.isReady)
        // It is one of two, so that it has half of the time.
        yield* TestClock.adjust("1900 millis")
        assert.deepStrictEqual(yield* leaves.received, [])
        yield* TestClock.adjust("150 millis")
        yield* settle
        assert.strictEqual(yield* leaves.closed, "closed")
        yield* TestClock.adjust("100 millis")
        assert.isDefined(closing.pollUnsafe())
        assert.isFalse(first.engine.isReady)
        yield* TestClock.adjust("1100 millis")
        assert.isTrue(first.engine.isReady)
        yield* stays.send('421["ask","stays"]')
        assert.strictEqual(yield* stays.receive, '431["first"]')
      })
  )

  it.effect("gives notice once, however long the finalizers of one namespace take before the next one closes", () =>
    Effect.gen(function* () {
      const fleet = yield* makeFleet(() => Layer.empty as never, {
        onShutdown: { notice: "5 seconds", over: "1 second" },
        drainTimeout: "10 seconds"
      })
      const first = yield* fleet.start("first")
      const readiness: Array<string> = []
      yield* first.shape.readinessChanges.pipe(
        Stream.runForEach((value) => Effect.sync(() => readiness.push(value))),
        Effect.forkScoped({ startImmediately: true })
      )
      const scopes: Array<Scope.Closeable> = []
      for (const name of ["/slow", "/other"]) {
        const scope = yield* Scope.make()
        scopes.push(scope)
        const finalizer = name === "/slow" ? Effect.sleep("4 seconds") : Effect.void
        yield* first.shape
          .register(name, () => Effect.asVoid(Effect.addFinalizer(() => finalizer)))
          .pipe(Scope.provide(scope))
        const peer = yield* fleet.raw()
        yield* peer.receive
        yield* peer.send(`40${name},`)
        yield* peer.receive
      }
      const closing = yield* Effect.forkChild(
        Effect.gen(function* () {
          for (const scope of scopes) yield* Scope.close(scope, Exit.void)
          // Something else closes between the namespaces and the server.
          yield* Effect.sleep("3 seconds")
          yield* first.close
        }),
        { startImmediately: true }
      )
      let seconds = 0
      while (closing.pollUnsafe() === undefined) {
        yield* TestClock.adjust("500 millis")
        yield* settle
        seconds += 0.5
      }
      assert.isAtMost(seconds, 5 + 1 + 4 + 3 + 1)
      assert.deepStrictEqual(readiness, ["ready", "draining"])
    })
  )

  it.effect("is over at once when a layer serves the namespace again", () =>
    Effect.gen(function* () {
      const { raw, start } = yield* fleetOf({ notice: "1 second", over: "1 second" })
      const first = yield* start("first")
      yield* join(yield* raw())
      const serve = (scope: Scope.Closeable) =>
        first.shape.register("/other", () => Effect.void).pipe(Scope.provide(scope))
      const scope = yield* Scope.make()
      yield* serve(scope)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("1100 millis")
      yield* Fiber.join(closing)
      assert.isFalse(first.engine.isReady)
      yield* serve(yield* Scope.make())
      assert.isTrue(first.engine.isReady)
    })
  )
})
