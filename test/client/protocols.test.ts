/**
 * The parts of a socket that a protocol on top of it needs: changes of the status in their moment, undeclared events, and the word that the
 * server keeps the session.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Option, Queue, Result, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

const Say = Event.make("say", { payload: Schema.String, ack: Schema.String })

class Chat extends Namespace.make("/chat", { clientToServer: [Say], serverToClient: [Say] }) {}

const recoverable: Array<boolean> = []

/** It greets each client at once, and answers undeclared questions. */
const ChatLive = SocketIoServer.layerNamespace(
  Chat,
  Effect.fnUntraced(function* (socket) {
    recoverable.push(socket.recoverable)
    yield* Effect.addFinalizer(() => Effect.sync(() => recoverable.push(socket.recoverable)))
    yield* socket.untyped.emit("greeting", socket.id)
    yield* socket.untyped.on("double", (n) => Effect.succeed(Number(n) * 2))
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

describe("an untyped socket", () => {
  it.effect("has the events that the contract does not declare, and no others", () =>
    serving(
      {},
      Effect.gen(function* () {
        const chat = yield* SocketIoClient.connect(Chat)
        const { untyped } = chat
        assert.deepStrictEqual([untyped.id, untyped.namespace, untyped.connected], [chat.id, "/chat", true])
        assert.deepStrictEqual(yield* untyped.emitWithAck("double", 21), [42])
        assert.strictEqual(yield* chat.emitWithAck("say", "declared"), "declared")
        assert.isTrue(Exit.hasDies(yield* Effect.exit(untyped.emit("say", "declared"))))

        const undeclared = yield* Queue.unbounded<unknown>()
        yield* untyped.respond("question", (n) => Effect.as(Queue.offer(undeclared, n), Number(n) + 1))
        const said = yield* chat.subscribe("say")
        const all: Array<string> = []
        yield* untyped.onAny((event) => Effect.sync(() => all.push(event)))
        const handle = yield* SocketIoServer.namespace("/chat")
        const answers = yield* Stream.runCollect(handle.emitWithAck("question", 1))
        assert.deepStrictEqual(
          answers.map(({ response }) => Result.getOrThrow(response)),
          [[2]]
        )
        assert.strictEqual(yield* Queue.take(undeclared), 1)
        yield* handle.emit("say", "to the contract")
        assert.deepStrictEqual(yield* Stream.runHead(said), Option.some("to the contract"))
        // The first one has waited for its reader, as with any socket.
        assert.deepStrictEqual(all, ["greeting", "question"])
      })
    )
  )

  it.effect("is itself where there is no contract, and ends with its socket", () =>
    serving(
      {},
      Effect.gen(function* () {
        const plain = yield* TestSocketIo.makeClient()
        const socket = yield* plain.connect("/chat")
        assert.strictEqual(socket.untyped, socket)
        const scope = yield* Scope.make()
        const { untyped } = yield* SocketIoClient.connect(Chat).pipe(Scope.provide(scope))
        const ended = yield* Effect.forkChild(Stream.runDrain(untyped.stream("never")), { startImmediately: true })
        yield* Scope.close(scope, Exit.void)
        yield* settle
        assert.isDefined(ended.pollUnsafe())
      })
    )
  )
})
