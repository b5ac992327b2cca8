/**
 * Clients of this library that move from one server to another, under a clock: what becomes of events, acknowledgements and handlers.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"

import type { SocketStatus } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { makeFleet } from "../support/fleet.ts"
import { type AnySocket, draining, join, makeApplication, MOVE, settle } from "./application.ts"

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

  it.effect("has an outage without the extra for moves, as the official client has, and comes back by itself", () =>
    Effect.gen(function* () {
      const { balance, client, drain, log, start } = yield* draining()
      const { socket, tags } = yield* chatting(yield* client({ extras: [] }))
      yield* balance(yield* start("second"))
      const fiber = yield* drain
      yield* TestClock.adjust("10 seconds")
      yield* settle
      yield* socket.emit("note", 1)
      yield* settle
      assert.deepStrictEqual(tags(), ["Connected", "Disconnected", "Connecting", "Connected"])
      assert.deepStrictEqual(yield* Fiber.join(fiber), { moved: 1, cut: 0, inFlight: 0 })
      assert.isTrue(log.includes("second: 1"))
    })
  )

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
