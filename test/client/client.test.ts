/**
 * The client, against the official server and against ours.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option, Schedule, type Scope, Stream } from "effect"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import type * as Namespace from "../../src/Namespace.ts"
import { Parser } from "../../src/Parser.ts"
import { msgpack } from "../../src/protocol/MsgpackParser.ts"
import { json } from "../../src/protocol/PacketParser.ts"
import * as ReferenceServer from "../support/ReferenceServer.ts"
import type { RunningServer, TestServerOptions } from "../support/TestServer.ts"
import * as TestServer from "../support/TestServer.ts"

const parsers = { json, msgpack } as const

const peers = { "the official server": ReferenceServer.start, "our server": TestServer.start } as const

/** Soon, and again and again. */
const reconnectFast = Schedule.spaced("50 millis")

const ways = [
  ["polling", { transports: ["polling"] }],
  ["WebSocket", { transports: ["websocket"] }],
  ["an upgrade", {}]
] as const

/** A client that is one until the test is over. */
const clientOf = Effect.fnUntraced(function* (
  url: string,
  options: Partial<ClientOptions>,
  parser: keyof typeof parsers
) {
  return yield* Layer.build(SocketIoClient.layer({ url, ...options })).pipe(
    Effect.provideService(Parser, parsers[parser])
  )
})

const emitted = (socket: ClientSocket<Namespace.Untyped>, event: string) =>
  Effect.map(socket.subscribe(event), (stream) => Effect.map(Stream.runHead(stream), Option.getOrThrow))

for (const [peer, start] of Object.entries(peers)) {
  for (const parser of ["json", "msgpack"] as const) {
    for (const [way, way_options] of ways) {
      const running = (options: TestServerOptions = {}): Effect.Effect<RunningServer, never, Scope.Scope> =>
        Effect.acquireRelease(
          Effect.promise(() => start({ ...options, parser })),
          (server) => Effect.promise(() => server.stop().catch(() => {}))
        )
      const using = <A, E, R>(
        use: (server: RunningServer) => Effect.Effect<A, E, R>,
        options: TestServerOptions = {},
        clientOptions: Partial<ClientOptions> = {}
      ) =>
        Effect.gen(function* () {
          const server = yield* running(options)
          const client = yield* clientOf(server.url, { ...way_options, ...clientOptions }, parser)
          return yield* Effect.provideContext(use(server), client)
        }) as Effect.Effect<A, E, Exclude<R, SocketIoClient.SocketIoClient> | Scope.Scope>

      describe(`the client over ${way} with ${parser}, against ${peer}`, () => {
        it.live("connects, exchanges events and acknowledgements, and leaves", () =>
          using(() =>
            Effect.gen(function* () {
              const socket = yield* SocketIoClient.connect("/")
              assert.strictEqual((yield* socket.emitWithAck("whoami"))[0], socket.id)
              const back = yield* emitted(socket, "message-back")
              yield* socket.emit("message", 1, "zwei", { drei: [null] }, "grüße 😀")
              assert.deepStrictEqual(yield* back, [1, "zwei", { drei: [null] }, "grüße 😀"])
              yield* socket.disconnect()
              assert.isFalse(socket.connected)
              assert.isUndefined(socket.id)
            })
          )
        )

        it.live("carries binary both ways", () =>
          using(() =>
            Effect.gen(function* () {
              const socket = yield* SocketIoClient.connect("/")
              const back = yield* emitted(socket, "message-back")
              yield* socket.emit("message", new Uint8Array([1, 2, 255]), { nested: [new Uint8Array([3]).buffer] })
              const [bytes, { nested }] = (yield* back) as [Uint8Array, { readonly nested: [Uint8Array] }]
              assert.deepStrictEqual([...bytes], [1, 2, 255])
              assert.deepStrictEqual([...nested[0]], [3])
              const large = new Uint8Array(300_000).map((_, i) => i)
              const [answer] = yield* socket.emitWithAck("message-with-ack", large)
              assert.isTrue(Buffer.from(answer as Uint8Array).equals(Buffer.from(large)))
            })
          )
        )

        it.live("sends auth, anew for every connection", () =>
          using(() =>
            Effect.gen(function* () {
              let times = 0
              const socket = yield* SocketIoClient.socket("/", { auth: Effect.sync(() => ({ times: ++times })) })
              const first = yield* emitted(socket, "auth")
              assert.deepStrictEqual(yield* first, [{ times: 1 }])
              const second = yield* emitted(socket, "auth")
              yield* socket.disconnect()
              yield* socket.reconnect()
              assert.deepStrictEqual(yield* second, [{ times: 2 }])
            })
          )
        )

        it.live("is refused with message and data, for good, and gets in with what is asked for", () =>
          using(() =>
            Effect.gen(function* () {
              const refused = yield* Effect.flip(SocketIoClient.connect("/auth").pipe(Effect.scoped))
              assert.deepStrictEqual(
                [refused.message, refused.reason, refused.willRetry],
                ["not authorized", { _tag: "Refused", data: { code: 401, need: "token" } }, false]
              )
              const admitted = yield* SocketIoClient.connect("/auth", { auth: { token: "secret" } })
              assert.isTrue(admitted.connected)
              const unknown = yield* Effect.flip(SocketIoClient.connect("/nowhere"))
              assert.strictEqual(unknown.message, "Invalid namespace")
            })
          )
        )

        it.live("has several namespaces on one connection", () =>
          using(() =>
            Effect.gen(function* () {
              const main = yield* SocketIoClient.connect("/")
              const custom = yield* SocketIoClient.connect("/custom")
              assert.notStrictEqual(main.id, custom.id)
              yield* custom.disconnect()
              assert.deepStrictEqual(yield* main.emitWithAck("message-with-ack", "still here"), ["still here"])
            })
          )
        )

        it.live("answers what the server asks", () =>
          using(() =>
            Effect.gen(function* () {
              const socket = yield* SocketIoClient.connect("/")
              yield* socket.respond("question", (n) => Effect.delay(Effect.succeed(Number(n) + 1), "1 millis"))
              const answered = yield* emitted(socket, "answered")
              yield* socket.emit("ask", 41)
              assert.deepStrictEqual(yield* answered, [42])
            })
          )
        )

        it.live("sends what was emitted before it was connected, in order", () =>
          using(() =>
            Effect.gen(function* () {
              const socket = yield* SocketIoClient.socket("/")
              const items = yield* socket.subscribe("message-back")
              for (let i = 0; i < 100; i++) yield* socket.emit("message", i)
              yield* socket.volatile.emit("message", "dropped")
              const seen = yield* Stream.runCollect(Stream.take(items, 100))
              assert.deepStrictEqual(
                Array.from(seen, ([i]) => i),
                Array.from({ length: 100 }, (_, i) => i)
              )
              assert.deepStrictEqual(yield* socket.emitWithAck("message-with-ack", "last"), ["last"])
            })
          )
        )

        it.live("is told why the server sends it away, and does not come back by itself", () =>
          using(() =>
            Effect.gen(function* () {
              const socket = yield* SocketIoClient.connect("/")
              const statuses = yield* Effect.forkChild(Stream.runCollect(Stream.take(socket.status, 2)), {
                startImmediately: true
              })
              const pending = yield* Effect.forkChild(Effect.flip(socket.emitWithAck("boom")), {
                startImmediately: true
              })
              yield* socket.emit("bye", false)
              const [, gone] = Array.from(yield* Fiber.join(statuses))
              assert.deepStrictEqual(gone, {
                _tag: "Disconnected",
                reason: "io server disconnect",
                willRetry: false
              })
              assert.strictEqual((yield* Fiber.join(pending)).reason._tag, "Disconnected")
            })
          )
        )

        it.live("stays connected over many heartbeats", () =>
          using(
            () =>
              Effect.gen(function* () {
                const socket = yield* SocketIoClient.connect("/")
                yield* Effect.sleep("600 millis")
                assert.isTrue(socket.connected)
                assert.deepStrictEqual(yield* socket.emitWithAck("message-with-ack", 1), [1])
              }),
            { pingInterval: 50, pingTimeout: 1_000 }
          )
        )

        it.live("comes back when the server is restarted, with what was emitted meanwhile", () =>
          using(
            (server) =>
              Effect.gen(function* () {
                const socket = yield* SocketIoClient.connect("/")
                const { id } = socket
                const lost = yield* Deferred.make<void>()
                const back = yield* Deferred.make<string>()
                yield* Effect.forkChild(
                  Stream.runForEach(socket.status, (status) =>
                    status._tag === "Disconnected"
                      ? Deferred.succeed(lost, undefined)
                      : status._tag === "Connected" && status.id !== id
                        ? Deferred.succeed(back, status.id)
                        : Effect.void
                  ),
                  { startImmediately: true }
                )
                yield* Effect.promise(() => server.stop())
                yield* Deferred.await(lost)
                const answer = yield* Effect.forkChild(socket.emitWithAck("message-with-ack", "meanwhile"), {
                  startImmediately: true
                })
                yield* Effect.acquireRelease(
                  Effect.promise(() => start({ port: server.port, parser })),
                  (again) => Effect.promise(() => again.stop().catch(() => {}))
                )
                assert.strictEqual(yield* Deferred.await(back), socket.id)
                assert.deepStrictEqual(yield* Fiber.join(answer), ["meanwhile"])
              }),
            {},
            { reconnection: reconnectFast }
          )
        )
      })
    }
  }
}
