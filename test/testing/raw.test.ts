/**
 * Peers that speak packets, on either side, in memory.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { RequestForbidden } from "effect-socket.io/engine/HandshakeError"
import { SocketIoClient } from "effect-socket.io/client"
import { SocketIoServer } from "effect-socket.io/server"
import { type RawPeer, TestSocketIo } from "effect-socket.io/testing"

const Echo = SocketIoServer.layerNamespace("/", (socket) =>
  socket.on("echo", (...args) => Effect.as(socket.emit("echoed", ...args), "done"))
)

const layer = (options?: TestSocketIo.TestOptions) => Echo.pipe(Layer.provideMerge(TestSocketIo.layer(options)))

/** The next packet, with the random ids in it replaced. */
const packet = (peer: RawPeer.RawPeer) =>
  Effect.map(peer.receive, (packet) =>
    typeof packet === "string" ? packet.replaceAll(/"sid":"[\w-]{20}"/g, '"sid":"…"') : Array.from(packet)
  )

const OPEN = '{"sid":"…","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'

describe("a raw client", () => {
  it.effect("sees the packets of the server as they are, text and bytes, and the end", () =>
    Effect.gen(function* () {
      const client = yield* TestSocketIo.rawClient()
      assert.strictEqual(yield* packet(client), `0${OPEN}`)
      yield* client.send("40")
      assert.strictEqual(yield* packet(client), '40{"sid":"…"}')
      yield* client.send('427["echo","a"]')
      assert.deepStrictEqual([yield* packet(client), yield* packet(client)], ['42["echoed","a"]', '437["done"]'])
      yield* client.send('451-["echo",{"_placeholder":true,"num":0}]')
      yield* client.send(new Uint8Array([1, 2]))
      assert.strictEqual(yield* packet(client), '451-["echoed",{"_placeholder":true,"num":0}]')
      assert.deepStrictEqual(yield* packet(client), [1, 2])
      yield* TestClock.adjust("26 seconds")
      assert.deepStrictEqual(yield* client.received, ["2"])
      yield* client.send("3")
      yield* client.send("1")
      assert.strictEqual(yield* client.closed, "closed")
      assert.strictEqual((yield* Effect.flip(client.receive)).ending, "closed")
      assert.deepStrictEqual(yield* client.received, [])
    }).pipe(Effect.provide(layer()))
  )

  it.effect("sees what is there before it learns of the end", () =>
    Effect.gen(function* () {
      const client = yield* TestSocketIo.rawClient()
      yield* client.send("nonsense")
      assert.strictEqual(yield* client.closed, "closed")
      assert.strictEqual(yield* packet(client), `0${OPEN}`)
      assert.strictEqual((yield* Effect.flip(client.receive)).message, "the connection was closed")
    }).pipe(Effect.provide(layer()))
  )

  it.effect("is cut with its own network", () =>
    Effect.gen(function* () {
      const client = yield* TestSocketIo.rawClient()
      yield* client.network.cut
      assert.strictEqual(yield* client.closed, "cut")
    }).pipe(Effect.provide(layer()))
  )

  it.effect("is refused as over HTTP, at once or when the application has decided", () =>
    Effect.gen(function* () {
      const wrong = yield* Effect.flip(TestSocketIo.rawClient({ query: { transport: "pigeon" } }))
      assert.deepStrictEqual([wrong.status, wrong.body], [400, "Transport unknown"])
      const headers = { Authorization: "wrong" }
      const forbidden = yield* Effect.flip(TestSocketIo.rawClient({ headers }))
      assert.deepStrictEqual([forbidden.status, forbidden.body], [400, "who are you?"])
      yield* TestSocketIo.rawClient({ headers: { authorization: "right" } })
    }).pipe(
      Effect.provide(
        layer({
          handshake: {
            allowRequest: (request) =>
              Effect.andThen(
                Effect.yieldNow,
                request.header("authorization") === "wrong"
                  ? Effect.fail(new RequestForbidden({ message: "who are you?" }))
                  : Effect.void
              )
          }
        })
      )
    )
  )

  it.effect("may go while the application decides: then it is not asked any more", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      const gone = yield* Deferred.make<void>()
      const allowRequest = () =>
        Effect.andThen(
          Deferred.succeed(asked, undefined),
          Effect.onInterrupt(Effect.never, () => Deferred.succeed(gone, undefined))
        )
      const context = yield* Layer.build(layer({ handshake: { allowRequest } }))
      const connecting = yield* Effect.forkChild(
        Effect.provideContext(Effect.scoped(TestSocketIo.rawClient()), context)
      )
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(connecting)
      yield* Deferred.await(gone)
    })
  )

  it.effect("loses its connection over a message that is too large", () =>
    Effect.gen(function* () {
      const client = yield* TestSocketIo.rawClient()
      yield* client.send("40")
      yield* client.send(`42["echo","${"x".repeat(100)}"]`)
      assert.strictEqual(yield* client.closed, "closed")
      assert.lengthOf(yield* client.received, 2)
    }).pipe(Effect.provide(layer({ limits: { maxPayload: 100 } })))
  )
})

describe("raw requests", () => {
  const post = (sid: string, body: string) => TestSocketIo.request({ query: { sid }, method: "POST", body })
  const poll = (sid: string) => Effect.map(TestSocketIo.request({ query: { sid } }), ({ body }) => String(body))

  it.effect("poll, with the statuses and headers of the server", () =>
    Effect.gen(function* () {
      const opened = yield* TestSocketIo.request()
      assert.deepStrictEqual(
        [opened.status, opened.headers["content-type"], opened.headers["access-control-allow-origin"]],
        [200, "text/plain; charset=UTF-8", "*"]
      )
      const { sid, upgrades } = JSON.parse(String(opened.body).slice(1))
      assert.deepStrictEqual(upgrades, ["websocket"])
      assert.strictEqual((yield* post(sid, "40")).body, "ok")
      assert.match(yield* poll(sid), /^40\{"sid":"[^"]+"\}$/)
      const held = yield* Effect.forkChild(poll(sid), { startImmediately: true })
      yield* post(sid, '420["echo","ä"]')
      // Packets that the server sends within one turn leave together.
      assert.strictEqual(yield* Fiber.join(held), '42["echoed","ä"]\u001e430["done"]')
      const large = yield* post(sid, "x".repeat(101))
      assert.strictEqual(large.status, 413)
      const unknown = yield* TestSocketIo.request({ query: { sid: "unknown" } })
      assert.deepStrictEqual([unknown.status, JSON.parse(String(unknown.body)).code], [400, 1])
    }).pipe(Effect.provide(layer({ limits: { maxPayload: 100 }, cors: { origin: "*" } })))
  )

  it.effect("that are interrupted end their connection: the session is over with its poll", () =>
    Effect.gen(function* () {
      const { body } = yield* TestSocketIo.request()
      const { sid } = JSON.parse(String(body).slice(1))
      const held = yield* Effect.forkChild(poll(sid), { startImmediately: true })
      yield* Fiber.interrupt(held)
      assert.strictEqual((yield* post(sid, "40")).status, 400)
    }).pipe(Effect.provide(layer()))
  )
})

describe("a raw server", () => {
  it.effect("sees the packets of the client as they are, and answers with any", () =>
    Effect.gen(function* () {
      const server = yield* TestSocketIo.RawServer
      const connecting = yield* Effect.forkChild(SocketIoClient.connect("/chat", { auth: { token: "t" } }))
      const connection = yield* server.accept
      assert.strictEqual(connection.request.url, "/socket.io/?EIO=4&transport=websocket")
      yield* connection.send(`0${OPEN}`)
      assert.strictEqual(yield* connection.receive, '40/chat,{"token":"t"}')
      yield* connection.send('40/chat,{"sid":"a"}')
      const socket = yield* Fiber.join(connecting)
      assert.strictEqual(socket.id, "a")
      const news = yield* socket.subscribe("news")
      yield* connection.send('42/chat,["news",1]')
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(news, 1)), [[1]])
      const asking = yield* Effect.forkChild(socket.emitWithAck("echo", new Uint8Array([7])))
      assert.strictEqual(yield* connection.receive, '451-/chat,0["echo",{"_placeholder":true,"num":0}]')
      assert.deepStrictEqual(yield* connection.receive, new Uint8Array([7]))
      yield* connection.send('43/chat,0["answer"]')
      assert.deepStrictEqual(yield* Fiber.join(asking), ["answer"])
      yield* connection.send("2")
      assert.strictEqual(yield* connection.receive, "3")
      yield* socket.disconnect()
      assert.strictEqual(yield* connection.receive, "41/chat,")
      assert.strictEqual(yield* connection.closed, "closed")
    }).pipe(Effect.scoped, Effect.provide(TestSocketIo.layerRawServer()))
  )

  it.effect("can refuse, go away, and be found again", () =>
    Effect.gen(function* () {
      const server = yield* TestSocketIo.RawServer
      const socket = yield* SocketIoClient.socket("/")
      const statuses = yield* Effect.forkChild(
        Stream.runCollect(
          Stream.takeUntil(
            Stream.map(socket.status, (status) => (status._tag === "Failed" ? status.error.message : status._tag)),
            (status) => status === "Connected"
          )
        ),
        { startImmediately: true }
      )
      yield* server.refuse
      yield* TestClock.adjust("5 seconds")
      yield* (yield* server.accept).close
      yield* TestClock.adjust("5 seconds")
      const connection = yield* server.accept
      yield* connection.send(`0${OPEN}`)
      yield* connection.receive
      yield* connection.send('40{"sid":"a"}')
      assert.deepStrictEqual(yield* Fiber.join(statuses), [
        "Connecting",
        "the server answered with status 400: refused",
        "closed by the server",
        "Connecting",
        "Connected"
      ])
    }).pipe(Effect.scoped, Effect.provide(TestSocketIo.layerRawServer()))
  )

  it.effect("takes no polls", () =>
    Effect.gen(function* () {
      const failed = yield* Effect.flip(SocketIoClient.connect("/"))
      assert.strictEqual(failed.message, "GET was answered with status 404")
    }).pipe(
      Effect.scoped,
      Effect.provide(TestSocketIo.layerRawServer({ transports: ["polling"], reconnection: false }))
    )
  )
})
