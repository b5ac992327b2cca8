/**
 * Sockets and namespaces in logs: they lead to the whole server, which is not shown.
 */
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Formatter, Layer, Logger, Option, Stream } from "effect"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

class Chat extends Namespace.make("/chat") {}

const Live = SocketIoServer.layerNamespace(Chat, () => Effect.succeed(Chat.of({}))).pipe(
  Layer.provideMerge(TestSocketIo.layer())
)

/** In the three ways in which values are logged. */
const ways: ReadonlyArray<readonly [name: string, show: (value: unknown) => Effect.Effect<string>]> = [
  ["console.log", (value) => Effect.sync(() => inspect(value, { depth: null }))],
  ["JSON", (value) => Effect.sync(() => JSON.stringify(value))],
  ["Formatter", (value) => Effect.sync(() => Formatter.format(value))],
  [
    "Effect.log",
    (value) =>
      Effect.suspend(() => {
        const lines: Array<string> = []
        const logger = Logger.map(Logger.formatLogFmt, (line) => void lines.push(line))
        return Effect.map(Effect.provide(Effect.log(value), Logger.layer([logger])), () => lines.join("\n"))
      })
  ]
]

describe("a value that is logged", () => {
  for (const [name, show] of ways) {
    it.effect(`by ${name} shows what it is, and not the server`, () =>
      Effect.gen(function* () {
        const handle = yield* SocketIoServer.namespace(Chat)
        const client = yield* SocketIoClient.connect(Chat)
        const socket = Option.getOrThrow(yield* handle.socket(client.id!))
        const [remote] = yield* handle.fetchSockets
        const values = {
          socket: [socket, socket.id, "/chat", "websocket"],
          plain: [socket.untyped, socket.id, "/chat", "websocket"],
          emitter: [socket.volatile, socket.id, "/chat"],
          operator: [socket.to("lobby"), "/chat", "lobby", socket.id],
          remote: [remote, socket.id, "/chat"],
          handle: [handle, "/chat"],
          connection: [socket.connection, socket.connection.id, "websocket"],
          engine: [yield* (yield* SocketIoServer.SocketIoServer).engine, "sessionCount"]
        }
        for (const [of, [value, ...parts]] of Object.entries(values)) {
          const text = yield* show(value)
          for (const part of parts) assert.include(text, part as string, of)
          assert.isBelow(text.length, 300, `${of}: ${text}`)
        }
      }).pipe(Effect.provide(Live))
    )
  }

  it.effect("of a session is the session alone", () =>
    Effect.gen(function* () {
      const engine = yield* (yield* SocketIoServer.SocketIoServer).engine
      const sessions = yield* Effect.forkChild(Stream.runHead(engine.sessions()), { startImmediately: true })
      yield* SocketIoClient.connect(Chat)
      const session = Option.getOrThrow(yield* Fiber.join(sessions))
      const text = inspect(session, { depth: null })
      assert.include(text, session.id)
      assert.isBelow(text.length, 200)
    }).pipe(Effect.provide(Live))
  )
})
