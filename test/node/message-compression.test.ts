/**
 * Compression of WebSocket messages (RFC 7692).
 */
import type { Socket as NetSocket } from "node:net"

import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Scope } from "effect"
import type { Socket } from "socket.io-client"
import { type ClientOptions, WebSocket } from "ws"

import type * as Namespace from "../../src/Namespace.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { engineUrl, Inbox, within } from "../support/RawClient.ts"
import { ask } from "../support/handshake.ts"
import { connect, serve } from "../support/serve.ts"
import type { WebSocketOptions } from "../../src/node/NodeEngine.ts"

const OFFER = { "sec-websocket-extensions": "permessage-deflate; client_max_window_bits" }

/** A server that echoes, and hands out the sockets of its clients and how they ended. */
const setup = Effect.fnUntraced(function* (options: NodeOptions = {}) {
  const sockets: Array<ServerSocket<Namespace.Untyped>> = []
  const ended = yield* Deferred.make<string>()
  const { server, url } = yield* serve(
    SocketIoServer.layerNamespace("/", (socket) =>
      Effect.gen(function* () {
        sockets.push(socket)
        yield* socket.on("echo", (...args) => socket.emit("echo", ...args))
        yield* socket.join("room")
        yield* Effect.forkScoped(
          Effect.flatMap(socket.disconnected, (reason) => Deferred.succeed(ended, reason)),
          { startImmediately: true, uninterruptible: true }
        )
      })
    ),
    options
  )
  const everyone = yield* Effect.provideContext(SocketIoServer.namespace("/"), server)
  return { url, sockets, everyone, ended: Deferred.await(ended) }
})

/** A WebSocket in the default namespace, with what its connection reads. */
const rawClient = Effect.fnUntraced(function* (
  url: string,
  perMessageDeflate: ClientOptions["perMessageDeflate"] & {} = true
) {
  const inbox = new Inbox<string | Buffer>()
  const wire: Array<Buffer> = []
  const target = engineUrl(url, { EIO: "4", transport: "websocket" }).replace("http", "ws")
  const ws = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(target, { perMessageDeflate })),
    (ws) => Effect.sync(() => ws.terminate())
  )
  ws.on("message", (data: Buffer, isBinary) => inbox.push(isBinary ? data : data.toString()))
  const opened = new Promise((resolve, reject) => ws.once("open", resolve).on("error", reject))
  const closed = within("end of the WebSocket", new Promise<number>((resolve) => ws.once("close", resolve)))
  closed.catch(() => {})
  yield* Effect.promise(() => within("open WebSocket", opened))
  ;(ws as unknown as { readonly _socket: NetSocket })._socket.prependListener("data", (chunk) => wire.push(chunk))
  const next = Effect.promise(() => inbox.next("WebSocket message"))
  ws.send("40")
  assert.match(String(yield* next), /^0\{/)
  assert.match(String(yield* next), /^40\{/)
  return {
    ws,
    next,
    closed: Effect.promise(() => closed),
    /** Takes messages, and the bytes that they had on the wire together. They must not come before. */
    measure: Effect.fnUntraced(function* (count = 1) {
      const messages: Array<string | Buffer> = []
      wire.length = 0
      for (let i = 0; i < count; i++) messages.push(yield* next)
      return { message: messages.at(-1), wire: Buffer.concat(wire) }
    })
  }
})

const text = "compress me ".repeat(2_000)
const packet = `42["text","${text}"]`

describe("perMessageDeflate", () => {
  it.live("is off by default: nothing is agreed on, though clients offer it", () =>
    Effect.gen(function* () {
      const { sockets, url } = yield* setup()
      const { headers, status } = yield* ask(url, {}, OFFER)
      assert.strictEqual(status, 101)
      assert.isUndefined(headers["sec-websocket-extensions"])
      const client = yield* rawClient(url)
      assert.strictEqual(client.ws.extensions, "")
      yield* sockets.at(-1)!.emit("text", text)
      const { message, wire } = yield* client.measure()
      assert.strictEqual(message, packet)
      assert.isAtLeast(wire.length, packet.length)
    })
  )

  const offers: ReadonlyArray<readonly [what: string, options: WebSocketOptions["perMessageDeflate"] & {}]> = [
    ["true", true],
    ["settings", { zlibDeflateOptions: { level: 1 }, serverMaxWindowBits: 10, clientMaxWindowBits: 12 }],
    ["no context takeover", { serverNoContextTakeover: true, clientNoContextTakeover: true }]
  ]
  for (const [what, perMessageDeflate] of offers) {
    it.live(`with ${what} compresses both ways, from 1,024 bytes on, for clients that offer it`, () =>
      Effect.gen(function* () {
        const { sockets, url } = yield* setup({ webSocket: { perMessageDeflate } })
        assert.match((yield* ask(url, {}, OFFER)).headers["sec-websocket-extensions"] as string, /^permessage-deflate/)
        const client = yield* rawClient(url, { threshold: 0 })
        assert.include(client.ws.extensions, "permessage-deflate")
        const socket = sockets.at(-1)!
        yield* socket.emit("text", text)
        const large = yield* client.measure()
        assert.strictEqual(large.message, packet)
        assert.isBelow(large.wire.length, packet.length / 10)
        const [small, enough] = ["x".repeat(1_023 - '42["text",""]'.length), "x".repeat(1_024 - '42["text",""]'.length)]
        yield* socket.emit("text", small)
        const plain = yield* client.measure()
        assert.strictEqual(plain.message, `42["text","${small}"]`)
        assert.include(plain.wire.toString("latin1"), `42["text","${small}"]`)
        yield* socket.emit("text", enough)
        const compressed = yield* client.measure()
        assert.strictEqual(compressed.message, `42["text","${enough}"]`)
        assert.isBelow(compressed.wire.length, 100)
        client.ws.send(`42["echo","${text}"]`)
        assert.strictEqual(yield* client.next, `42["echo","${text}"]`)
      })
    )
  }

  it.live("leaves clients that do not offer it alone", () =>
    Effect.gen(function* () {
      const { sockets, url } = yield* setup({ webSocket: { perMessageDeflate: true } })
      const client = yield* rawClient(url, false)
      assert.strictEqual(client.ws.extensions, "")
      yield* sockets[0]!.emit("text", text)
      const { message, wire } = yield* client.measure()
      assert.strictEqual(message, packet)
      assert.include(wire.toString(), packet)
    })
  )

  it.live("takes another threshold, in bytes", () =>
    Effect.gen(function* () {
      const { sockets, url } = yield* setup({ webSocket: { perMessageDeflate: { threshold: 100 } } })
      const client = yield* rawClient(url)
      const frame = (body: string) => `42["text","${body}"]`
      for (const [body, compressed] of [
        ["x".repeat(86), false],
        ["x".repeat(87), true],
        ["ä".repeat(43), false],
        ["ä".repeat(44), true],
        ["€".repeat(28), false],
        ["€".repeat(29), true]
      ] as const) {
        yield* sockets[0]!.emit("text", body)
        const { message, wire } = yield* client.measure()
        assert.strictEqual(message, frame(body))
        assert.strictEqual(wire.length < Buffer.byteLength(frame(body)), compressed, body)
      }
    })
  )

  it.live("compresses attachments, by their own size", () =>
    Effect.gen(function* () {
      const { everyone, sockets, url } = yield* setup({ webSocket: { perMessageDeflate: true } })
      const client = yield* rawClient(url)
      for (const target of [sockets[0]!, everyone.to("room")]) {
        yield* target.emit("bytes", Buffer.alloc(10_000, 7))
        const { message, wire } = yield* client.measure(2)
        assert.deepStrictEqual(message, Buffer.alloc(10_000, 7))
        assert.isBelow(wire.length, 500)
        // Its announcement is short.
        assert.include(wire.toString("latin1"), '451-["bytes",{"_placeholder":true,"num":0}]')
      }
    })
  )

  it.live("leaves what is sent with compress(false) as it is, broadcasts and attachments included", () =>
    Effect.gen(function* () {
      const { everyone, sockets, url } = yield* setup({ webSocket: { perMessageDeflate: true } })
      const client = yield* rawClient(url)
      yield* sockets[0]!.compress(false).emit("text", text)
      const direct = yield* client.measure()
      assert.strictEqual(direct.message, packet)
      assert.include(direct.wire.toString(), packet)
      yield* everyone.to("room").compress(false).emit("text", text)
      const broadcast = yield* client.measure()
      assert.strictEqual(broadcast.message, packet)
      assert.include(broadcast.wire.toString(), packet)
      yield* everyone.to("room").compress(false).emit("bytes", Buffer.from(text))
      const { message, wire } = yield* client.measure(2)
      assert.deepStrictEqual(message, Buffer.from(text))
      assert.include(wire.toString(), text)
      yield* everyone.to("room").emit("text", text)
      assert.isBelow((yield* client.measure()).wire.length, packet.length / 10)
    })
  )

  it.live("ends connections whose messages are larger than maxPayload when they are unpacked", () =>
    Effect.gen(function* () {
      const { ended, url } = yield* setup({ webSocket: { perMessageDeflate: true }, limits: { maxPayload: 10_000 } })
      const client = yield* rawClient(url, { threshold: 0 })
      client.ws.send(`42["echo","${"x".repeat(20_000)}"]`)
      assert.strictEqual(yield* client.closed, 1009)
      assert.strictEqual(yield* ended, "payload too large")
    })
  )

  it.live("sends everything before it closes", () =>
    Effect.gen(function* () {
      const { sockets, url } = yield* setup({ webSocket: { perMessageDeflate: { threshold: 0 } } })
      const client = yield* rawClient(url)
      for (let i = 0; i < 50; i++) yield* sockets[0]!.emit("text", text, i)
      yield* sockets[0]!.disconnect({ close: true })
      for (let i = 0; i < 50; i++) assert.strictEqual(yield* client.next, `42["text","${text}",${i}]`)
      assert.strictEqual(yield* client.next, "41")
      assert.strictEqual(yield* client.closed, 1005)
    })
  )

  it.live("sends everything before the server shuts down", () =>
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const client = yield* Effect.scoped(
        Effect.gen(function* () {
          const { sockets, url } = yield* setup({ webSocket: { perMessageDeflate: { threshold: 0 } } })
          const client = yield* Scope.provide(rawClient(url), scope)
          for (let i = 0; i < 50; i++) yield* sockets[0]!.emit("text", text, i)
          return client
        })
      )
      for (let i = 0; i < 50; i++) assert.strictEqual(yield* client.next, `42["text","${text}",${i}]`)
      yield* client.closed
    })
  )

  const refused: ReadonlyArray<readonly [option: string, value: any]> = [
    ["webSocket.perMessageDeflate", { serverMaxWindowBits: 3 }],
    ["webSocket.perMessageDeflate", { clientMaxWindowBits: 16 }],
    ["webSocket.perMessageDeflate", { zlibDeflateOptions: { level: 99 } }],
    ["webSocket.perMessageDeflate", { zlibDeflateOptions: { memLevel: 0 } }],
    ["webSocket.perMessageDeflate", { zlibInflateOptions: { chunkSize: 1 } }],
    ["webSocket.perMessageDeflate.threshold", { threshold: -1 }],
    ["webSocket.perMessageDeflate.threshold", { threshold: "1 KB" }]
  ]
  for (const [option, value] of refused) {
    it.live(`with ${JSON.stringify(value)} fails the layer`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Effect.scoped(serve(Layer.empty, { webSocket: { perMessageDeflate: value } })))
        assert.deepInclude(error, { _tag: "InvalidOptionError", option })
      })
    )
  }
})

describe("perMessageDeflate and official clients", () => {
  const compresses = (socket: Socket): boolean => {
    const { transport } = socket.io.engine as unknown as { readonly transport: { readonly ws?: WebSocket } }
    return transport.ws?.extensions.includes("permessage-deflate") === true
  }

  const upgraded = (socket: Socket) =>
    Effect.promise(() =>
      within(
        "upgrade",
        new Promise<void>((resolve) => {
          if (socket.io.engine.transport.name === "websocket") resolve()
          else socket.io.engine.once("upgrade", () => resolve())
        })
      )
    )

  /** The numbers that a client has got, each with the rest of its message. */
  const collect = (socket: Socket) => {
    const got: Array<readonly [n: number, size: number]> = []
    const sizes = (value: string | Uint8Array) => value.length
    socket.on("item", (n: number, value: string | Uint8Array) => got.push([n, sizes(value)]))
    return got
  }

  it.live("works from the beginning and behind an upgrade, both ways", () =>
    Effect.gen(function* () {
      const { url } = yield* setup({ webSocket: { perMessageDeflate: true } })
      for (const transports of [["websocket"], ["polling", "websocket"]]) {
        const socket = yield* connect(url, {
          transports: transports as ["polling"],
          perMessageDeflate: { threshold: 0 }
        })
        yield* upgraded(socket)
        assert.isTrue(compresses(socket))
        const bytes = Buffer.alloc(50_000, 3)
        const back = within("echo", new Promise((resolve) => socket.once("echo", (...args) => resolve(args))))
        socket.emit("echo", text, bytes, "small")
        assert.deepStrictEqual(yield* Effect.promise(() => back), [text, bytes, "small"])
      }
    })
  )

  it.live("keeps the order of direct and broadcast events, for clients that compress and others in one room", () =>
    Effect.gen(function* () {
      const { everyone, sockets, url } = yield* setup({ webSocket: { perMessageDeflate: true } })
      const clients = [
        yield* connect(url, { transports: ["websocket"], perMessageDeflate: { threshold: 0 } }),
        yield* connect(url, { transports: ["websocket"], perMessageDeflate: false as never }),
        yield* connect(url, { transports: ["websocket"] }),
        yield* connect(url, { transports: ["polling"] }),
        // This one changes over meanwhile.
        yield* connect(url, { transports: ["polling", "websocket"] })
      ]
      assert.deepStrictEqual(clients.slice(0, 4).map(compresses), [true, false, true, false])
      const all = clients.map(collect)
      const expected: Array<readonly [n: number, size: number]> = []
      const values = ["small", text, Buffer.alloc(2_000, 1), Buffer.alloc(10, 2), text.slice(0, 1_100)]
      for (let n = 0; n < 200; n++) {
        const value = values[n % values.length]!
        const isDirect = n % 2 === 0
        const isCompressed = n % 3 !== 0
        if (isDirect) for (const socket of sockets) yield* socket.compress(isCompressed).emit("item", n, value)
        else yield* everyone.to("room").compress(isCompressed).emit("item", n, value)
        expected.push([n, value.length])
        if (n % 40 === 39) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      const done = clients.map((socket) =>
        within("the end", new Promise<void>((resolve) => socket.once("done", () => resolve())))
      )
      yield* everyone.to("room").emit("done")
      yield* Effect.promise(() => Promise.all(done))
      for (const got of all) assert.deepStrictEqual(got, expected)
    })
  )
})
