/**
 * Clients of Socket.IO 2 (Engine.IO 3), with the official client.
 */
import { afterEach, assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Queue, Schema } from "effect"
// The package of version 2 has no types.
import { createRequire } from "node:module"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { EventRefused } from "../../src/server/ServerSocket.ts"
import { call as callV4, connect as connectV4, next as nextV4, serve } from "../support/serve.ts"
import { within } from "../support/RawClient.ts"
import { sharedServer } from "../support/servers.ts"

interface SocketV2 {
  readonly id: string
  readonly connected: boolean
  readonly io: { readonly engine: { readonly transport: { readonly name: string }; close(): void; once: Function } }
  on(event: string, listener: (...args: Array<any>) => void): void
  once(event: string, listener: (...args: Array<any>) => void): void
  emit(event: string, ...args: ReadonlyArray<unknown>): void
  disconnect(): void
}

const io: (url: string, options: object) => SocketV2 = createRequire(import.meta.url)("socket.io-client-v2")

const server = sharedServer({ allowEIO3: true })
const shortHeartbeat = sharedServer({ allowEIO3: true, pingInterval: 200, pingTimeout: 200 })
const withoutV3 = sharedServer()

const sockets: Array<SocketV2> = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.disconnect()
})

const open = (url: string, options: object = {}): SocketV2 => {
  const socket = io(url, { forceNew: true, reconnection: false, ...options })
  sockets.push(socket)
  return socket
}

const next = (socket: SocketV2, event: string): Promise<ReadonlyArray<any>> =>
  within(`event ${event}`, new Promise((resolve) => socket.once(event, (...args) => resolve(args))))

const connected = async (socket: SocketV2): Promise<SocketV2> => {
  await within(
    "connection",
    new Promise<void>((resolve, reject) => {
      socket.once("connect", () => resolve())
      for (const event of ["error", "connect_error"]) socket.once(event, reject)
    })
  )
  return socket
}

/** The arguments of an acknowledgement. */
const call = (socket: SocketV2, event: string, ...args: ReadonlyArray<unknown>): Promise<any> =>
  within(`acknowledgement of ${event}`, new Promise((resolve) => socket.emit(event, ...args, resolve)))

const tables: ReadonlyArray<readonly [name: string, options: { readonly transports: ReadonlyArray<string> }]> = [
  ["polling", { transports: ["polling"] }],
  ["WebSocket", { transports: ["websocket"] }],
  ["polling, then WebSocket", { transports: ["polling", "websocket"] }]
]

for (const [name, options] of tables) {
  const start = async (namespace = "/") => connected(open((await server()).url + namespace, options))

  describe(`the client of version 2 over ${name}`, () => {
    it("is in the default namespace without asking, and knows its id", async () => {
      const socket = open((await server()).url, options)
      const upgraded =
        options.transports.length > 1
          ? within(
              "upgrade",
              new Promise<void>((resolve) => {
                socket.on("connect", () => socket.io.engine.once("upgrade", () => resolve()))
              })
            )
          : Promise.resolve()
      await connected(socket)
      await upgraded
      assert.strictEqual(await call(socket, "whoami"), socket.id)
      assert.strictEqual(await call(socket, "transport"), options.transports.at(-1))
    })

    it("exchanges events and acknowledgements, both ways", async () => {
      const socket = await start()
      const back = next(socket, "message-back")
      socket.emit("message", 1, "two", { three: [null, true] }, "späte grüße 😀")
      assert.deepStrictEqual(await back, [1, "two", { three: [null, true] }, "späte grüße 😀"])
      assert.strictEqual(await call(socket, "message-with-ack", "echo"), "echo")
      socket.on("question", (value, answer) => answer(value + 1))
      const answered = next(socket, "answered")
      socket.emit("ask", 1)
      assert.deepStrictEqual(await answered, [2])
    })

    it("exchanges binary, both ways, in events and acknowledgements", async () => {
      const socket = await start()
      const back = next(socket, "message-back")
      socket.emit("message", Buffer.from([1, 2, 3]), { nested: [Buffer.from([4])] })
      assert.deepStrictEqual(await back, [Buffer.from([1, 2, 3]), { nested: [Buffer.from([4])] }])
      const large = Buffer.alloc(100_000, 7)
      assert.deepStrictEqual(await call(socket, "message-with-ack", large), large)
    })

    it("joins namespaces with a query, under an id of its own, and leaves them", async () => {
      const main = await start()
      const custom = open(`${(await server()).url}/custom?token=abc&x=1`, options)
      const auth = next(custom, "auth")
      await connected(custom)
      assert.deepStrictEqual(await auth, [{ token: "abc", x: "1" }])
      assert.match(custom.id, /^\/custom#[\w-]{20}$/)
      assert.strictEqual(await call(custom, "whoami"), custom.id)
      custom.disconnect()
      assert.strictEqual(await call(main, "message-with-ack", "still here"), "still here")
    })

    it("gets error packets where others get CONNECT_ERROR", async () => {
      const refused = open(`${(await server()).url}/auth`, options)
      assert.deepStrictEqual(await next(refused, "error"), [{ code: 401, need: "token" }])
      const unknown = open(`${(await server()).url}/nowhere`, options)
      assert.deepStrictEqual(await next(unknown, "error"), [{ message: "Invalid namespace" }])
      const admitted = open(`${(await server()).url}/auth?token=secret`, options)
      await connected(admitted)
    })

    it("shares rooms and broadcasts with clients of version 4", () =>
      Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const { url } = yield* Effect.promise(server)
            const old = yield* Effect.promise(() => start())
            const young = yield* connectV4(url)
            yield* Effect.promise(() => call(old, "join", "mixed"))
            yield* callV4(young, "join", "mixed")
            const both = [next(old, "room-message"), Effect.runPromise(nextV4(young, "room-message"))]
            const binary = Buffer.from([9, 8, 7])
            yield* callV4(young, "in-room", "mixed", "hello", binary)
            for (const message of both) {
              assert.deepStrictEqual(yield* Effect.promise(() => message), ["hello", binary])
            }
          })
        )
      ))

    it("sees why it was disconnected", async () => {
      const socket = await start()
      const gone = next(socket, "disconnect")
      socket.emit("bye", false)
      assert.deepStrictEqual(await gone, ["io server disconnect"])
      const other = await start()
      const closed = next(other, "disconnect")
      socket.emit("bye", true)
      other.emit("bye", true)
      assert.deepStrictEqual(await closed, ["io server disconnect"])
    })

    it("stays connected by its own pings", async () => {
      const socket = await connected(open((await shortHeartbeat()).url, options))
      let pongs = 0
      await within(
        "pongs",
        new Promise<void>((resolve, reject) => {
          socket.on("pong", () => ++pongs === 5 && resolve())
          socket.on("disconnect", reject)
        })
      )
      assert.strictEqual(await call(socket, "message-with-ack", 1), 1)
    })

    it("is refused where it is not allowed", async () => {
      const socket = open((await withoutV3()).url, options)
      await next(socket, "connect_error")
      assert.isFalse(socket.connected)
    })
  })
}

describe("clients of version 2", () => {
  it.live("join a namespace with a contract though the default one is not served", () =>
    Effect.gen(function* () {
      class Room extends Namespace.make("/room", {
        auth: Schema.Struct({ name: Schema.String }),
        clientToServer: [Event.make("greet", { payload: Schema.String, ack: Schema.String })]
      }) {}
      const left = yield* Queue.unbounded<string>()
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(Room, (socket) =>
          Effect.gen(function* () {
            yield* Effect.forkScoped(
              Effect.flatMap(socket.disconnected, (reason) => Queue.offer(left, reason)),
              {
                startImmediately: true,
                uninterruptible: true
              }
            )
            yield* socket.use(({ args }) =>
              args[0] === "x" ? Effect.fail(new EventRefused({ message: "no" })) : Effect.void
            )
            return Room.of({ greet: (text) => Effect.succeed(`${text} ${socket.auth.name}`) })
          })
        ) as Layer.Layer<never, never, SocketIoServer.SocketIoServer>,
        { allowEIO3: true }
      )
      const socket = open(`${url}/room?name=Ada`)
      yield* Effect.promise(() => connected(socket))
      assert.strictEqual(yield* Effect.promise(() => call(socket, "greet", "hello")), "hello Ada")
      const refused = open(`${url}/room`)
      assert.deepStrictEqual(yield* Effect.promise(() => next(refused, "error")), ["Invalid auth payload"])
      socket.io.engine.close()
      assert.strictEqual(yield* Queue.take(left), "transport close")
    })
  )

  it.live("join dynamic namespaces, are fetched, moved between rooms and sent away like others", () =>
    Effect.gen(function* () {
      class Document extends Namespace.dynamic("/document/:id", {
        params: { id: Schema.FiniteFromString },
        clientToServer: [Event.make("edit", { payload: Schema.String, ack: Schema.Finite })],
        serverToClient: [Event.make("edited", { payload: Schema.String })]
      }) {}
      const { server, url } = yield* serve(
        SocketIoServer.layerDynamicNamespace(Document, ({ params }) =>
          Effect.succeed(() => Effect.succeed(Document.of({ edit: () => Effect.succeed(params.id) })))
        ),
        { allowEIO3: true }
      )
      const old = open(`${url}/document/7`)
      yield* Effect.promise(() => connected(old))
      assert.strictEqual(yield* Effect.promise(() => call(old, "edit", "x")), 7)
      const refused = open(`${url}/document/seven`)
      assert.deepStrictEqual(yield* Effect.promise(() => next(refused, "error")), [{ message: "Invalid namespace" }])
      const young = yield* connectV4(`${url}/document/7`)
      const documents = yield* Effect.provideContext(SocketIoServer.dynamicNamespaces(Document), server)
      const document = documents.get({ id: 7 })
      const ids = (yield* document.fetchSockets).map(({ id }) => id)
      assert.deepStrictEqual(ids.toSorted(), [old.id, young.id].toSorted())
      yield* document.to(old.id).socketsJoin("old")
      const edited = next(old, "edited")
      yield* document.to("old").compress(false).emit("edited", "for the old")
      assert.deepStrictEqual(yield* Effect.promise(() => edited), ["for the old"])
      const gone = next(old, "disconnect")
      yield* document.to("old").disconnectSockets()
      assert.deepStrictEqual(yield* Effect.promise(() => gone), ["io server disconnect"])
      assert.strictEqual(yield* callV4(young, "edit", "x"), 7)
    })
  )
})
