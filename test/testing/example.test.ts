/**
 * What a user's test of a namespace looks like.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Event, Namespace } from "effect-socket.io"
import { SocketIoClient } from "effect-socket.io/client"
import { SocketIoServer } from "effect-socket.io/server"
import { TestSocketIo } from "effect-socket.io/testing"

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
        return (yield* chat.sockets).filter((other) => other.rooms.has(room)).length
      })
    })
  })
)

const Test = ChatLive.pipe(Layer.provideMerge(TestSocketIo.layer()))

it.effect("says how many are in the room", () =>
  Effect.gen(function* () {
    const ada = yield* SocketIoClient.connect(Chat)
    const bob = yield* Effect.flatMap(TestSocketIo.makeClient(), (client) => client.connect(Chat))
    assert.strictEqual(yield* ada.emitWithAck("join", { room: "lobby" }), 1)
    assert.strictEqual(yield* bob.emitWithAck("join", { room: "lobby" }), 2)
  }).pipe(Effect.provide(Test))
)
