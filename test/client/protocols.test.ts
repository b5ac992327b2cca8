/**
 * The parts of a socket that a protocol on top of it needs: changes of the status in their moment, and the word that the server
 * keeps the session.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

const Say = Event.make("say", { payload: Schema.String, ack: Schema.String })

class Chat extends Namespace.make("/chat", { clientToServer: [Say], serverToClient: [Say] }) {}

const recoverable: Array<boolean> = []

/** It greets each client at once. */
const ChatLive = SocketIoServer.layerNamespace(
  Chat,
  Effect.fnUntraced(function* (socket) {
    recoverable.push(socket.recoverable)
    yield* Effect.addFinalizer(() => Effect.sync(() => recoverable.push(socket.recoverable)))
    yield* socket.untyped.emit("greeting", socket.id)
    return Chat.of({ say: (text) => Effect.succeed(text) })
  })
)

const serving = (options: TestSocketIo.TestOptions, test: Effect.Effect<void, any, any>) =>
  test.pipe(
    Effect.scoped,
    Effect.provide(ChatLive.pipe(Layer.provideMerge(TestSocketIo.layer(options)))),
    Effect.provide(Logger.layer([]))
  ) as Effect.Effect<void, any>

const settle = Effect.repeat(Effect.yieldNow, { times: 50 })

describe("onStatus", () => {
  it.effect("runs its handler before the events that follow the change, until the scope closes", () =>
    serving(
      { recovery: true },
      Effect.gen(function* () {
        const chat = yield* SocketIoClient.connect(Chat)
        const seen: Array<string> = []
        const scope = yield* Scope.make()
        yield* chat
          .onStatus((status) =>
            Effect.sync(() => seen.push(status._tag === "Connected" ? `Connected ${status.recovered}` : status._tag))
          )
          .pipe(Scope.provide(scope))
        yield* chat.onAny((event) => Effect.sync(() => seen.push(event)))
        const network = yield* TestSocketIo.network
        yield* settle
        yield* network.drop
        yield* settle
        assert.deepStrictEqual(seen, ["greeting", "Disconnected"])
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(seen.slice(2), ["Connecting", "Connected true", "greeting"])
        yield* Scope.close(scope, Exit.void)
        yield* network.drop
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(seen.slice(5), ["greeting"])
      })
    )
  )

  it.effect("survives a handler that fails", () =>
    serving(
      {},
      Effect.gen(function* () {
        const chat = yield* SocketIoClient.connect(Chat)
        const seen: Array<string> = []
        yield* chat.onStatus(() => Effect.die("boom"))
        yield* chat.onStatus((status) => Effect.sync(() => seen.push(status._tag)))
        yield* chat.disconnect()
        assert.deepStrictEqual(seen, ["Disconnected"])
      })
    )
  )
})

describe("recoverable", () => {
  for (const recovery of [true, false]) {
    it.effect(`says on both sides whether the session is kept (recovery: ${recovery})`, () =>
      serving(
        recovery ? { recovery: true } : {},
        Effect.gen(function* () {
          recoverable.length = 0
          const socket = yield* SocketIoClient.socket(Chat)
          assert.isFalse(socket.recoverable)
          yield* socket.reconnect()
          assert.strictEqual(socket.recoverable, recovery)
          yield* (yield* TestSocketIo.network).cut
          yield* settle
          assert.strictEqual(socket.recoverable, recovery)
          assert.deepStrictEqual(recoverable, [recovery, false])
        })
      )
    )
  }
})
