/**
 * The promises about order, and the reasons for which sockets disconnect, over every transport: with the official client
 * where it can show it, by hand where it behaves too well.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Queue, Scope, Stream } from "effect"
import type { Socket } from "socket.io-client"

import type * as Namespace from "../../src/Namespace.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { openClient, PollingClient, RawSocket, request, transports, WebSocketClient } from "../support/RawClient.ts"
import { call, client, connect, next, serve } from "../support/serve.ts"

/** Serves plain namespaces whose sockets the test prepares, and gives the sockets as they come. */
const plain = Effect.fnUntraced(function* (
  prepare: (socket: ServerSocket<Namespace.Untyped>) => Effect.Effect<unknown, never, any> = () => Effect.void,
  options: NodeOptions = {},
  names: ReadonlyArray<string> = ["/"]
) {
  const sockets = yield* Queue.unbounded<ServerSocket<Namespace.Untyped>>()
  const layers = names.map((name) =>
    SocketIoServer.layerNamespace(name, (socket) =>
      Effect.asVoid(Effect.andThen(prepare(socket) as Effect.Effect<unknown>, Queue.offer(sockets, socket)))
    )
  )
  const serving = yield* serve(Layer.mergeAll(Layer.empty, ...layers), options)
  return { ...serving, socket: Queue.take(sockets) }
})

/** Everything that a client hears, in order. */
const hearing = (socket: Socket, heard: Array<unknown>) => {
  socket.on("connect", () => heard.push("connect"))
  socket.onAny((event, ...args) => heard.push([event, ...args]))
}

const count = 200

for (const transport of [...transports, "upgrade"] as const) {
  const options = { transports: transport === "upgrade" ? [...transports] : [transport] }

  describe(`order over ${transport}`, () => {
    it.live("the client is told that it is connected before anything else, then what its builder sends", () =>
      Effect.gen(function* () {
        const { url } = yield* plain((socket) =>
          Effect.gen(function* () {
            yield* socket.emit("first")
            yield* Effect.yieldNow
            yield* socket.emit("second")
          })
        )
        const heard: Array<unknown> = []
        const socket = yield* client(url, options)
        hearing(socket, heard)
        const second = next(socket, "second")
        socket.connect()
        yield* second
        assert.deepStrictEqual(heard, ["connect", ["first"], ["second"]])
      })
    )

    it.live("is kept from client to server across namespaces, binary in between, also while it upgrades", () =>
      Effect.gen(function* () {
        const seen: Array<number> = []
        const done = yield* Deferred.make<void>()
        const { url } = yield* plain(
          (socket) =>
            socket.on("n", (...args) =>
              Effect.suspend(() => {
                const [n, data] = args as [n: number, data: Uint8Array | null]
                seen.push(n)
                assert.strictEqual(data === null ? 0 : data.length, n % 3)
                return n === count - 1 ? Deferred.succeed(done, undefined) : Effect.void
              })
            ),
          {},
          ["/", "/other"]
        )
        const main = yield* client(url, options)
        const other = main.io.socket("/other")
        yield* Effect.addFinalizer(() => Effect.sync(() => other.disconnect()))
        yield* Effect.callback<void>((resume) => {
          let left = 2
          const connected = () => --left === 0 && resume(Effect.void)
          for (const socket of [main, other]) socket.once("connect", connected).connect()
        })
        for (let n = 0; n < count; n++) {
          const socket = n % 2 === 0 ? main : other
          socket.emit("n", n, n % 3 === 0 ? null : Buffer.alloc(n % 3, n))
          // In several turns, so that some of them fall into the upgrade.
          if (n % 20 === 0) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        }
        yield* Deferred.await(done)
        assert.deepStrictEqual(
          seen,
          Array.from({ length: count }, (_, n) => n)
        )
      })
    )

    it.live("is kept from server to client: emits, broadcasts, requests and acknowledgements", () =>
      Effect.gen(function* () {
        const { url } = yield* plain((socket) =>
          socket.on("go", () =>
            Effect.gen(function* () {
              const all = yield* SocketIoServer.namespace("/")
              yield* socket.join("room")
              for (let n = 0; n < count; n += 4) {
                yield* socket.emit("n", n)
                yield* all.emit("n", n + 1, Buffer.from([1]))
                yield* all.to("room").emit("n", n + 2)
                yield* Effect.forkChild(socket.emitWithAck("n", n + 3), { startImmediately: true })
                if (n % 20 === 0) yield* Effect.yieldNow
              }
              return "done"
            })
          )
        )
        const seen: Array<unknown> = []
        const socket = yield* client(url, options)
        socket.on("n", (n: number) => seen.push(n))
        const done = yield* Effect.callback<string>((resume) => {
          socket.on("connect", () => socket.emit("go", (value: string) => resume(Effect.succeed(value))))
          socket.connect()
        })
        assert.strictEqual(done, "done")
        // The acknowledgement came behind everything that its handler had sent.
        assert.deepStrictEqual(
          seen,
          Array.from({ length: count }, (_, n) => n)
        )
      })
    )

    it.live("of an end: it is told with rooms intact, rooms are left, then it is disconnected", () =>
      Effect.gen(function* () {
        const log: Array<string> = []
        const ended = yield* Deferred.make<void>()
        const { server, socket, url } = yield* plain((socket) =>
          Effect.gen(function* () {
            yield* socket.join("room")
            yield* socket.onDisconnecting((reason) =>
              Effect.sync(() => log.push(`disconnecting ${reason} ${socket.connected} ${socket.rooms.has("room")}`))
            )
            yield* Effect.addFinalizer(() =>
              Effect.andThen(
                Effect.sync(() => log.push(`finalizer ${socket.connected} ${socket.rooms.has("room")}`)),
                Deferred.succeed(ended, undefined)
              )
            )
          })
        )
        const all = yield* Effect.provideContext(SocketIoServer.namespace("/"), server)
        const follow = <A, E>(stream: Stream.Stream<A, E>, line: (value: A) => string) =>
          Effect.forkChild(
            Stream.runForEach(Stream.take(stream, 1), (value) => Effect.sync(() => log.push(line(value)))),
            { startImmediately: true }
          )
        const official = yield* connect(url, options)
        const ours = yield* socket
        const left = yield* follow(all.roomChanges(), (change) => `${change._tag} ${change.room}`)
        const gone = yield* follow(all.disconnections(), ({ reason }) => `disconnected ${reason}`)
        official.disconnect()
        yield* Deferred.await(ended)
        yield* Fiber.join(left)
        yield* Fiber.join(gone)
        const [first, ...rest] = log
        assert.strictEqual(first, "disconnecting client namespace disconnect true true")
        assert.deepStrictEqual(rest.toSorted(), [
          "Left room",
          "disconnected client namespace disconnect",
          "finalizer false true"
        ])
        assert.deepStrictEqual(yield* all.to("room").fetchSockets, [])
        assert.strictEqual(yield* ours.disconnected, "client namespace disconnect")
      })
    )

    it.live("of disconnect: the packet comes behind what was sent, and the connection stays for other namespaces", () =>
      Effect.gen(function* () {
        const { url } = yield* plain(
          (socket) =>
            socket.on("leave", (close) =>
              Effect.andThen(socket.emit("last words"), socket.disconnect({ close: close === true }))
            ),
          {},
          ["/", "/other"]
        )
        const main = yield* connect(url, options)
        const other = main.io.socket("/other")
        yield* Effect.addFinalizer(() => Effect.sync(() => other.disconnect()))
        const connected = next(other, "connect")
        other.connect()
        yield* connected
        const heard: Array<unknown> = []
        const gone = [next(main, "disconnect"), next(other, "disconnect")]
        for (const socket of [main, other]) {
          socket.onAny((event) => heard.push(event))
          socket.once("disconnect", (reason) => heard.push(reason))
        }
        main.emit("leave", false)
        yield* gone[0]!
        assert.isTrue(other.connected)
        other.emit("leave", true)
        yield* gone[1]!
        assert.deepStrictEqual(heard, ["last words", "io server disconnect", "last words", "io server disconnect"])
      })
    )
  })
}

for (const transport of transports) {
  const options = { transports: [transport] }

  /** The reasons that server and official client give for the same end. */
  const bothSay = Effect.fnUntraced(function* (
    end: (socket: ServerSocket<Namespace.Untyped>, client: Socket) => Effect.Effect<unknown, never, Scope.Scope>,
    serverOptions: NodeOptions = {}
  ) {
    const { socket, url } = yield* plain(undefined, serverOptions)
    const official = yield* connect(url, options)
    const ours = yield* socket
    const gone = next(official, "disconnect")
    yield* end(ours, official)
    return [yield* ours.disconnected, (yield* gone)[0]]
  })

  /** The server's reason for the end of a session by hand, in the default namespace. */
  const serverSays = Effect.fnUntraced(function* (
    end: (client: PollingClient | WebSocketClient, socket: ServerSocket<Namespace.Untyped>) => Promise<unknown>,
    serverOptions: NodeOptions = {}
  ) {
    const { socket, url } = yield* plain(undefined, serverOptions)
    const raw = yield* Effect.promise(() => openClient(transport, url) as Promise<PollingClient | WebSocketClient>)
    yield* Effect.promise(() => raw.send("40"))
    const ours = yield* socket
    yield* Effect.promise(() => end(raw, ours).catch(() => {}))
    return yield* ours.disconnected
  })

  describe(`the reason over ${transport}`, () => {
    it.live("when the client leaves the namespace", () =>
      Effect.gen(function* () {
        const said = yield* bothSay((_, client) => Effect.sync(() => client.disconnect()))
        assert.deepStrictEqual(said, ["client namespace disconnect", "io client disconnect"])
      })
    )

    it.live("when the server removes it", () =>
      Effect.gen(function* () {
        const said = yield* bothSay((socket) => socket.disconnect())
        assert.deepStrictEqual(said, ["server namespace disconnect", "io server disconnect"])
      })
    )

    it.live("when the server closes its connection", () =>
      Effect.gen(function* () {
        const said = yield* bothSay((socket) => socket.disconnect({ close: true }))
        assert.deepStrictEqual(said, ["server namespace disconnect", "io server disconnect"])
      })
    )

    it.live("when the client closes the connection", () =>
      Effect.gen(function* () {
        const said = yield* bothSay((_, client) => Effect.sync(() => client.io.engine.close()))
        assert.deepStrictEqual(said, ["transport close", "forced close"])
      })
    )

    it.live("when the server shuts down", () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { socket, url } = yield* Scope.provide(plain(), scope)
        const official = yield* connect(url, options)
        const ours = yield* socket
        const gone = next(official, "disconnect")
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* ours.disconnected, "server shutting down")
        assert.strictEqual((yield* gone)[0], "transport close")
      })
    )

    it.live("when pongs do not come", () =>
      Effect.gen(function* () {
        const reason = yield* serverSays(
          async (client) => {
            client.answersPings = false
          },
          { heartbeat: { pingInterval: 50, pingTimeout: 50 } }
        )
        assert.strictEqual(reason, "ping timeout")
      })
    )

    it.live("when the client breaks the protocol", () =>
      Effect.gen(function* () {
        for (const packet of ["9", "4", "42", "42{}", '45["x"]', "2", "451-[]"]) {
          assert.strictEqual(yield* serverSays((client) => client.send(packet)), "parse error", packet)
        }
      })
    )

    it.live("when handlers fall behind", () =>
      Effect.gen(function* () {
        const { socket, url } = yield* plain((socket) => socket.on("stuck", () => Effect.never), {
          limits: { maxPendingEvents: 2 }
        })
        const official = yield* connect(url, options)
        const ours = yield* socket
        for (let i = 0; i < 4; i++) official.emit("stuck")
        assert.strictEqual(yield* ours.disconnected, "inbound overflow")
      })
    )

    it.live("when the client does not take what is sent", () =>
      Effect.gen(function* () {
        const { socket, url } = yield* plain(undefined, { limits: { maxOutbox: 200_000 } })
        const raw = yield* Effect.promise(() => openClient(transport, url))
        yield* Effect.promise(() => raw.send("40"))
        const ours = yield* socket
        // In one turn, in which the client reads nothing, and more than the kernel takes for it.
        const chunk = "x".repeat(4_000_000)
        yield* Effect.forEach([1, 2, 3, 4], () => ours.emit("data", chunk), { discard: true })
        assert.strictEqual(yield* ours.disconnected, "outbox overflow")
      })
    )
  })
}

describe("the reason of one transport", () => {
  it.live("is a transport error for two polls at once", () =>
    Effect.gen(function* () {
      const { socket, url } = yield* plain()
      const polling = yield* Effect.promise(() => PollingClient.open(url))
      yield* Effect.promise(() => polling.send("40"))
      const ours = yield* socket
      yield* Effect.promise(() => Promise.all([request(polling.url), request(polling.url)]))
      assert.strictEqual(yield* ours.disconnected, "transport error")
    })
  )

  it.live("is payload too large for a WebSocket message beyond the limit", () =>
    Effect.gen(function* () {
      const { socket, url } = yield* plain(undefined, { limits: { maxPayload: 1_000 } })
      const raw = yield* Effect.promise(() => WebSocketClient.open(url))
      yield* Effect.promise(() => raw.send("40"))
      const ours = yield* socket
      yield* Effect.promise(() => raw.send("x".repeat(2_000)))
      assert.strictEqual(yield* ours.disconnected, "payload too large")
    })
  )

  it.live("is transport close for a connection that is reset", () =>
    Effect.gen(function* () {
      const { socket, url } = yield* plain()
      const raw = new RawSocket(url, { EIO: "4", transport: "websocket" })
      yield* Effect.promise(() => raw.opened)
      raw.send("40")
      const ours = yield* socket
      raw.terminate()
      assert.include(["transport close", "transport error"], yield* ours.disconnected)
    })
  )

  it.live("is connect timeout for who joins nothing: the connection ends", () =>
    Effect.gen(function* () {
      const { url } = yield* plain(undefined, { limits: { connectTimeout: 50 } })
      const raw = yield* Effect.promise(() => WebSocketClient.open(url))
      yield* Effect.promise(() => raw.closed)
    })
  )

  it.live("reaches whoever waits for an acknowledgement", () =>
    Effect.gen(function* () {
      const { socket, url } = yield* plain()
      const official = yield* connect(url)
      const ours = yield* socket
      const asking = yield* Effect.forkChild(Effect.exit(ours.emitWithAck("question")), { startImmediately: true })
      yield* call(official, "unheard").pipe(Effect.forkChild({ startImmediately: true }))
      official.disconnect()
      const exit = yield* Fiber.join(asking)
      assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("Disconnected"))
    })
  )
})
