/**
 * Networks that break, go dead and come back, under a clock that the test moves.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer, Queue, Random, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import type * as Namespace from "../../src/Namespace.ts"
import { type ClientSocket, SocketIoClient } from "effect-socket.io/client"
import { type ServerSocket, SocketIoServer } from "effect-socket.io/server"
import { type Link, TestSocketIo } from "effect-socket.io/testing"

/** A namespace that acknowledges `echo`, never acknowledges `forget`, and its sockets as they come. */
const serving = Effect.fnUntraced(function* (options: TestSocketIo.TestOptions = {}) {
  const sockets = yield* Queue.unbounded<ServerSocket.ServerSocket<Namespace.Untyped>>()
  const Echo = SocketIoServer.layerNamespace(
    "/",
    Effect.fnUntraced(function* (socket) {
      yield* socket.on("echo", (...args) => Effect.succeed(args[0]))
      yield* socket.on("forget", () => Effect.never)
      yield* Queue.offer(sockets, socket)
    })
  )
  const context = yield* Layer.build(Layer.provideMerge(Echo, TestSocketIo.layer(options)))
  const here = Effect.provideContext(context)
  return { here, sockets, network: yield* here(TestSocketIo.network) }
})

/** The events from now on, each with its time. */
const timeline = Effect.sync(() => {
  const log: Array<string> = []
  const note = (what: string) => Effect.map(Clock.currentTimeMillis, (now) => void log.push(`${now} ${what}`))
  const watch = (name: string, socket: ClientSocket.ClientSocketBase) =>
    Effect.forkScoped(
      Stream.runForEach(socket.status, (status) =>
        note(
          status._tag === "Disconnected"
            ? `${name}: ${status.reason}`
            : status._tag === "Failed"
              ? `${name}: ${status.error.message}`
              : `${name}: ${status._tag}`
        )
      ),
      { startImmediately: true }
    )
  const watchServer = (socket: ServerSocket.ServerSocket<Namespace.Untyped>) =>
    Effect.forkScoped(Effect.flatMap(socket.disconnected, (reason) => note(`server: ${reason}`)))
  return { log, note, watch, watchServer, take: () => log.splice(0) }
})

describe("a half-open network", () => {
  it.effect("is noticed by both sides, each after its own heartbeat, exactly then", () =>
    Effect.gen(function* () {
      const { here, network, sockets } = yield* serving({
        heartbeat: { pingInterval: "10 seconds", pingTimeout: "5 seconds" },

        client: { reconnection: false }
      })
      const { log, take, watch, watchServer } = yield* timeline
      const socket = yield* here(SocketIoClient.connect("/"))
      yield* watch("client", socket)
      yield* watchServer(yield* Queue.take(sockets))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(take(), ["0 client: Connected"])
      // The last ping was at 60 s: no other deadline is near it.
      yield* network.stall
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(log, ["75000 client: ping timeout", "75000 server: ping timeout"])
    })
  )

  it.effect("brings what was sent meanwhile, in order, if it comes back before anybody has noticed", () =>
    Effect.gen(function* () {
      const { here, network, sockets } = yield* serving()
      const socket = yield* here(SocketIoClient.connect("/"))
      const server = yield* Queue.take(sockets)
      const news = yield* socket.subscribe("news")
      yield* network.stall
      const echo = yield* Effect.forkChild(socket.emitWithAck("echo", 1), { startImmediately: true })
      for (const n of [1, 2]) yield* server.emit("news", n)
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(echo.pollUnsafe())
      yield* network.restore
      assert.deepStrictEqual(yield* Fiber.join(echo), [1])
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(news, 2)), [[1], [2]])
      yield* TestClock.adjust("5 minutes")
      assert.isTrue(socket.connected)
    })
  )

  it.effect("does not answer new connections: they time out", () =>
    Effect.gen(function* () {
      const { here, network } = yield* serving({ client: { connectTimeout: "3 seconds", reconnection: false } })
      const { log, watch } = yield* timeline
      yield* network.stall
      const socket = yield* here(SocketIoClient.socket("/"))
      yield* watch("client", socket)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(log, ["0 client: Connecting", "3000 client: timeout"])
      yield* network.restore
      yield* socket.reconnect()
      assert.isTrue(socket.connected)
    })
  )

  it.effect("is given up by a server that has closed its side, after 30 seconds", () =>
    Effect.gen(function* () {
      const { here, network, sockets } = yield* serving()
      yield* here(SocketIoClient.connect("/"))
      const server = yield* Queue.take(sockets)
      const engine = yield* (yield* here(SocketIoServer.SocketIoServer)).engine
      yield* network.stall
      yield* server.disconnect({ close: true })
      assert.strictEqual(engine.sessionCount, 0)
      yield* TestClock.adjust("29 seconds")
      const draining = yield* Effect.forkChild(engine.drain, { startImmediately: true })
      yield* TestClock.adjust("900 millis")
      assert.isUndefined(draining.pollUnsafe())
      yield* TestClock.adjust("200 millis")
      yield* Fiber.join(draining)
    })
  )

  it.effect("fills the outbox of a client that takes nothing, up to its limit", () =>
    Effect.gen(function* () {
      const { here, network, sockets } = yield* serving({ limits: { maxOutbox: 1_000 } })
      yield* here(SocketIoClient.connect("/"))
      const server = yield* Queue.take(sockets)
      yield* network.stall
      yield* server.emit("news", "x".repeat(900))
      yield* server.emit("news", "x".repeat(900))
      // In a later turn: it could have taken some of it by now.
      yield* TestClock.adjust(1)
      assert.isTrue(server.connected)
      yield* server.emit("news", "x".repeat(900))
      assert.strictEqual(yield* server.disconnected, "outbox overflow")
    })
  )
})

describe("a network that is cut", () => {
  it.effect("ends connections at once, on both sides, and fails what waits for acknowledgements", () =>
    Effect.gen(function* () {
      const { here, network, sockets } = yield* serving({ client: { reconnection: false } })
      const socket = yield* here(SocketIoClient.connect("/"))
      const server = yield* Queue.take(sockets)
      const asking = yield* Effect.forEach([socket.emitWithAck("forget"), server.emitWithAck("forget")], (ask) =>
        Effect.forkChild(Effect.flip(ask), { startImmediately: true })
      )
      // Behind both of them.
      yield* socket.emitWithAck("echo", 1)
      yield* network.cut
      assert.isFalse(socket.connected)
      assert.strictEqual(yield* server.disconnected, "transport close")
      for (const fiber of asking) {
        const { event, reason } = yield* Fiber.join(fiber)
        assert.deepStrictEqual([event, reason._tag], ["forget", "Disconnected"])
      }
    })
  )

  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]] as const) {
    it.effect(`is connected over again after the pauses of the backoff, with auth run anew, over ${transports}`, () =>
      Effect.gen(function* () {
        const { here, network, sockets } = yield* serving({
          client: { transports, reconnection: Schedule.exponential("100 millis") }
        })
        const { take, watch } = yield* timeline
        let run = 0
        const auth = Effect.sync(() => ({ run: ++run }))
        const socket = yield* here(SocketIoClient.connect("/", { auth }))
        yield* watch("client", socket)
        const first = yield* Queue.take(sockets)
        yield* network.cut
        yield* TestClock.adjust("1 second")
        yield* network.restore
        yield* TestClock.adjust("1 second")
        const lost = take().map((line) => line.replace(/(GET|transport) .*$/, "lost").replace(/the .*$/, "lost"))
        // Attempts at 100, 300, 700 and 1,500 ms: the last one finds the network again.
        assert.deepStrictEqual(lost, [
          "0 client: Connected",
          "0 client: lost",
          "100 client: lost",
          "300 client: lost",
          "700 client: lost",
          "1500 client: Connecting",
          "1500 client: Connected"
        ])
        const second = yield* Queue.take(sockets)
        assert.notStrictEqual(second.id, first.id)
        assert.deepStrictEqual([first.handshake.auth, second.handshake.auth], [{ run: 1 }, { run: 2 }])
        assert.deepStrictEqual(yield* socket.emitWithAck("echo", "again"), ["again"])
        assert.strictEqual(second.transport, transports.at(-1)!)
      })
    )
  }

  it.effect("loses what was on its way, and holds nothing back that is emitted meanwhile", () =>
    Effect.gen(function* () {
      const { here, network, sockets } = yield* serving({ client: { reconnection: Schedule.spaced("1 second") } })
      const socket = yield* here(SocketIoClient.connect("/"))
      const server = yield* Queue.take(sockets)
      const news = yield* socket.subscribe("news")
      yield* server.emit("news", "lost")
      yield* network.drop
      const echo = yield* Effect.forkChild(socket.emitWithAck("echo", "buffered"), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(echo), ["buffered"])
      yield* (yield* Queue.take(sockets)).emit("news", "kept")
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(news, 1)), [["kept"]])
    })
  )

  it.effect("is one client's: others do not notice", () =>
    Effect.gen(function* () {
      const { here, sockets } = yield* serving({ client: { reconnection: false } })
      const ada = yield* here(SocketIoClient.connect("/"))
      const client = yield* here(TestSocketIo.makeClient({ address: "10.0.0.2", reconnection: false }))
      const bob = yield* client.connect("/")
      yield* client.network.cut
      assert.deepStrictEqual([ada.connected, bob.connected], [true, false])
      assert.deepStrictEqual(yield* ada.emitWithAck("echo", 1), [1])
      const addresses = (yield* Queue.clear(sockets)).map(({ handshake }) => handshake.address)
      assert.deepStrictEqual(addresses, ["127.0.0.1", "10.0.0.2"])
    })
  )
})

describe("how things arrive", () => {
  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]] as const) {
    it.effect(`takes no time, whoever sends while the clock runs through, over ${transports}`, () =>
      Effect.gen(function* () {
        const { here, sockets } = yield* serving({ client: { transports } })
        const { log, note } = yield* timeline
        const socket = yield* here(SocketIoClient.connect("/"))
        const server = yield* Queue.take(sockets)
        yield* server.on("ask", (n) => Effect.andThen(note(`server got ${n}`), socket.emitWithAck("echo", n)))
        const news = yield* socket.subscribe("news")
        yield* Effect.forkScoped(Stream.runForEach(news, ([n]) => note(`client got ${n}`)))
        yield* Effect.forkScoped(
          Effect.forEach([1, 2], (n) => Effect.andThen(Effect.sleep("1 second"), server.emit("news", n)))
        )
        yield* Effect.forkScoped(
          Effect.forEach([3, 4], (n) =>
            Effect.sleep("1500 millis").pipe(
              Effect.andThen(socket.emitWithAck("ask", n)),
              Effect.andThen(socket.emitWithAck("echo", n)),
              Effect.andThen(note(`client is done with ${n}`))
            )
          )
        )
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(log, [
          "1000 client got 1",
          "1500 server got 3",
          "1500 client is done with 3",
          "2000 client got 2",
          "3000 server got 4",
          "3000 client is done with 4"
        ])
      })
    )
  }

  it.effect("can be decided by the test: a delay is a round trip that takes twice as long", () =>
    Effect.gen(function* () {
      const context = yield* Effect.context<never>()
      const deliver: Link.Deliver = ({ arrive }) =>
        void Effect.runForkWith(context)(Effect.andThen(Effect.sleep("50 millis"), Effect.sync(arrive)))
      const { here } = yield* serving({ deliver })
      const connecting = yield* Effect.forkChild(here(SocketIoClient.connect("/")), { startImmediately: true })
      yield* TestClock.adjust("199 millis")
      assert.isUndefined(connecting.pollUnsafe())
      // The request and its answer, with the open packet behind it; then CONNECT and its reply.
      yield* TestClock.adjust("1 millis")
      const socket = yield* Fiber.join(connecting)
      const [took] = yield* Effect.all([Effect.timed(socket.emitWithAck("echo", 1)), TestClock.adjust("1 second")], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual([Duration.toMillis(took[0]), took[1]], [100, [1]])
      yield* socket.disconnect()
      yield* TestClock.adjust("1 second")
    })
  )

  it.effect("is the same in every run", () =>
    Effect.gen(function* () {
      const run = Effect.gen(function* () {
        const sent: Array<string> = []
        let id = 0
        const { here, network } = yield* serving({
          handshake: { generateId: () => Effect.sync(() => `session-${++id}`) },
          client: { transports: ["polling", "websocket"] },
          deliver: ({ arrive, direction, link, size }, later) => {
            sent.push(`${link} ${direction} ${size}`)
            later(arrive)
          }
        })
        const { log, watch } = yield* timeline
        const socket = yield* here(SocketIoClient.connect("/"))
        yield* watch("client", socket)
        for (let i = 0; i < 60; i++) {
          const kind = yield* Random.nextIntBetween(0, 4)
          if (kind === 0) yield* network.drop
          else if (kind === 1) yield* TestClock.adjust("7 seconds")
          else yield* Effect.forkChild(socket.emitWithAck("echo", i), { startImmediately: true })
        }
        yield* TestClock.adjust("10 seconds")
        return [...sent, ...log.map((line) => line.replace(/Connected.*/, "Connected"))]
      }).pipe(Effect.scoped, Random.withSeed("a seed"), Effect.provide(TestClock.layer()))
      const first = yield* run
      assert.isAbove(first.length, 100)
      assert.deepStrictEqual(yield* run, first)
    })
  )
})
