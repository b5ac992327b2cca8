/**
 * The namespaces that are open on a server, and those that open.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import { ConnectRefused } from "../../src/NamespaceMiddleware.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { openPage, settle } from "../support/adminPage.ts"

class Chat extends Namespace.make("/chat", {
  clientToServer: [Event.make("say", { payload: Schema.Date })],
  serverToClient: [Event.make("said", { payload: Schema.Date })]
}) {}

const Application = Layer.mergeAll(
  SocketIoServer.layerNamespace("/", () => Effect.void),
  SocketIoServer.layerNamespace(Chat, (socket) =>
    Effect.succeed(Chat.of({ say: (date) => socket.emit("said", date) }))
  ),
  SocketIoServer.layerDynamicNamespace(
    /^\/room-\d+$/,
    ({ name }) =>
      name === "/room-0" ? Effect.fail(new ConnectRefused({ message: "no" })) : Effect.succeed(() => Effect.void),
    { idleTimeToLive: "1 second" }
  )
)

const withServer = Effect.provide(Layer.provideMerge(Application, TestSocketIo.layer()))

const open = Effect.map(SocketIoServer.namespaces, (handles) => handles.map(({ name }) => name).toSorted())

/** The names of those that open from now on. */
const openings = Effect.gen(function* () {
  const names: Array<string> = []
  yield* SocketIoServer.namespaceOpenings().pipe(
    Stream.runForEach(({ name }) => Effect.sync(() => names.push(name))),
    Effect.forkScoped({ startImmediately: true })
  )
  return names
})

describe("the namespaces of a server", () => {
  it.effect("are those that layers serve, and dynamic ones from their first client to a while after their last", () =>
    Effect.gen(function* () {
      const opened = yield* openings
      assert.deepStrictEqual(yield* open, ["/", "/chat"])
      const client = yield* openPage(undefined, { namespace: "/room-1" })
      assert.strictEqual((yield* openPage(undefined, { namespace: "/room-0" })).answer, "no")
      assert.strictEqual((yield* openPage(undefined, { namespace: "/other" })).answer, "Invalid namespace")
      assert.deepStrictEqual(yield* open, ["/", "/chat", "/room-1"])
      yield* client.close
      assert.deepStrictEqual(yield* open, ["/", "/chat", "/room-1"])
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.deepStrictEqual(yield* open, ["/", "/chat"])
      yield* openPage(undefined, { namespace: "/room-1" })
      assert.deepStrictEqual(opened, ["/room-1", "/room-1"])
    }).pipe(withServer)
  )

  it.effect("are told while their layer serves them", () =>
    Effect.gen(function* () {
      const opened = yield* openings
      const server = yield* SocketIoServer.SocketIoServer
      for (let round = 0; round < 2; round++) {
        const scope = yield* Scope.make()
        yield* Scope.provide(
          server.register("/late", () => Effect.void),
          scope
        )
        assert.deepStrictEqual(yield* open, ["/", "/chat", "/late"])
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* open, ["/", "/chat"])
      }
      yield* settle
      assert.deepStrictEqual(opened, ["/late", "/late"])
    }).pipe(withServer)
  )

  it.effect("have no contract here: any event goes out, and what comes in is seen as it is on the wire", () =>
    Effect.gen(function* () {
      const client = yield* openPage(undefined, { namespace: "/chat" })
      const handles = yield* SocketIoServer.namespaces
      const chat = handles.find(({ name }) => name === "/chat")!
      const [socket] = yield* chat.sockets
      const seen: Array<unknown> = []
      yield* socket!.onAny((event, args) => Effect.sync(() => seen.push([event, ...args])))
      yield* chat.emit("undeclared", 1)
      yield* client.emit("say", "2030-01-01T00:00:00.000Z")
      assert.deepStrictEqual(client.events, [
        ["undeclared", 1],
        ["said", "2030-01-01T00:00:00.000Z"]
      ])
      assert.deepStrictEqual(seen, [["say", "2030-01-01T00:00:00.000Z"]])
    }).pipe(withServer)
  )

  it.effect("end their streams when they close", () =>
    Effect.gen(function* () {
      const client = yield* openPage(undefined, { namespace: "/room-1" })
      const handles = yield* SocketIoServer.namespaces
      const room = handles.find(({ name }) => name === "/room-1")!
      const reader = yield* Effect.forkChild(Stream.runDrain(room.connections()), { startImmediately: true })
      yield* settle
      assert.isUndefined(reader.pollUnsafe())
      yield* client.close
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.isDefined(reader.pollUnsafe())
      // A handle that is kept keeps no namespace.
      assert.deepStrictEqual(yield* room.sockets, [])
      assert.deepStrictEqual(yield* open, ["/", "/chat"])
    }).pipe(withServer)
  )
})
