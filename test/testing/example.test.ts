/**
 * The tests that the guide on testing shows to users.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Event, Namespace } from "effect-socket.io"
import { SocketIoClient } from "effect-socket.io/client"
import { SocketIoServer } from "effect-socket.io/server"
import { Simulation, TestSocketIo } from "effect-socket.io/testing"

class Chat extends Namespace.make("/chat", {
  clientToServer: [Event.make("join", { payload: { room: Schema.String }, ack: Schema.Int })]
}) {}

const ChatLive = SocketIoServer.layerNamespace(
  Chat,
  Effect.fnUntraced(function* (socket) {
    const chat = yield* SocketIoServer.namespace(Chat)
    return Chat.of({
      join: Effect.fnUntraced(function* ({ room }) {
        yield* socket.join(room)
        return yield* chat.in(room).local.size
      })
    })
  })
)

const Test = ChatLive.pipe(Layer.provideMerge(TestSocketIo.layer()))

it.effect("says how many are in the room", () =>
  Effect.gen(function* () {
    const ada = yield* SocketIoClient.connect(Chat)
    const bob = yield* (yield* TestSocketIo.makeClient()).connect(Chat)
    assert.strictEqual(yield* ada.emitWithAck("join", { room: "lobby" }), 1)
    assert.strictEqual(yield* bob.emitWithAck("join", { room: "lobby" }), 2)
  }).pipe(Effect.provide(Test))
)

it.effect("forgets who was there when the connection breaks", () =>
  Effect.gen(function* () {
    const ada = yield* SocketIoClient.connect(Chat)
    yield* ada.emitWithAck("join", { room: "lobby" })
    const network = yield* TestSocketIo.network
    yield* network.stall
    yield* TestClock.adjust("1 minute")
    assert.isFalse(ada.connected)
    yield* network.restore
    yield* TestClock.adjust("30 seconds")
    assert.strictEqual(yield* ada.emitWithAck("join", { room: "lobby" }), 1)
  }).pipe(Effect.provide(Test))
)

it.effect("says what the protocol says", () =>
  Effect.gen(function* () {
    const raw = yield* TestSocketIo.rawClient()
    assert.match(String(yield* raw.receive), /^0{"sid":/)
    yield* raw.send("40/chat,")
    assert.match(String(yield* raw.receive), /^40\/chat,{"sid":/)
  }).pipe(Effect.provide(Test))
)

const World = ChatLive.pipe(
  Layer.provideMerge(Simulation.layer({ latency: [1, 200], resetRate: 0.01, halfOpenRate: 0.005 }))
)

it.live("counts right, whatever happens", () =>
  Simulation.check(
    { seeds: 500 },
    Effect.gen(function* () {
      const clients = yield* Effect.forEach([1, 2, 3], () => TestSocketIo.makeClient())
      const chats = yield* Effect.forEach(clients, (client) => client.connect(Chat))
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Simulation.outages(clients)
          yield* Effect.forEach(chats, (chat) => Effect.ignore(chat.emitWithAck("join", { room: "lobby" })))
          yield* Effect.sleep("1 minute")
        })
      )
      yield* Simulation.calm
      yield* Effect.sleep("1 minute")
      const members = yield* Effect.forEach(chats, (chat) => chat.emitWithAck("join", { room: "lobby" }))
      assert.strictEqual(Math.max(...members), 3)
    }).pipe(Effect.provide(World))
  )
)
