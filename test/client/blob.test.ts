/**
 * Blobs in what clients send: they are read when their turn has come, and nothing overtakes them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Layer, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

import * as Binary from "../../src/Binary.ts"
import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"
import { msgpack } from "../../src/protocol/MsgpackParser.ts"
import { isProtocolError } from "../../src/protocol/ProtocolError.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { fakeSocket, statusesOf } from "../support/fakeClient.ts"
import { type FakePoll } from "../support/fakeClientPlatform.ts"
import * as ReferenceServer from "../support/ReferenceServer.ts"
import { serve } from "../support/serve.ts"
import * as TestServer from "../support/TestServer.ts"

/** A Blob that is read when the test says so. */
class SlowBlob extends Blob {
  reads = 0
  private readonly answer = Promise.withResolvers<ArrayBuffer>()

  override arrayBuffer(): Promise<ArrayBuffer> {
    this.reads++
    return this.answer.promise
  }

  readonly arrive = Effect.promise(async () => {
    this.answer.resolve(await super.arrayBuffer())
    await settled()
  })

  readonly fail = Effect.promise(async () => {
    this.answer.reject(new DOMException("gone", "NotReadableError"))
    await settled()
  })
}

/** When everything has happened that does not wait for anything. */
const settled = async () => {
  for (let i = 0; i < 5; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}
const settle = Effect.promise(settled)

const handshake = (upgrades: ReadonlyArray<string>) =>
  `0${JSON.stringify({ sid: "s", upgrades, pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1_000_000 })}`

/** A client of the default namespace, connected to a server that the test is. */
const setup = Effect.fnUntraced(function* (transport: "polling" | "websocket", options: Partial<ClientOptions> = {}) {
  const { platform, socket } = yield* fakeSocket({ transports: [transport], ...options })
  const statuses = yield* statusesOf(socket)
  const taken = new Set<FakePoll>()
  /** The request of a method that waits for its response. */
  const waiting = (method: "GET" | "POST") =>
    platform.polls.findLast((poll) => poll.request.method === method && !taken.has(poll) && !poll.isAborted())
  const respond = (method: "GET" | "POST", body: string) =>
    Effect.andThen(
      Effect.sync(() => {
        const poll = waiting(method)!
        taken.add(poll)
        poll.respond(body)
        return poll.request.body
      }),
      (body) => Effect.as(settle, body)
    )
  /** The POST of the client; `undefined` if there is none. */
  const posted = Effect.suspend(() => (waiting("POST") === undefined ? Effect.undefined : respond("POST", "ok")))
  if (transport === "websocket") {
    platform.sockets[0]!.accept()
    yield* settle
    assert.deepStrictEqual(platform.sockets[0]!.take(), ["40"])
    platform.sockets[0]!.events.onText('40{"sid":"id"}')
  } else {
    yield* respond("GET", handshake(options.transports?.includes("websocket") ? ["websocket"] : []))
    assert.strictEqual(yield* posted, "40")
    yield* respond("GET", '40{"sid":"id"}')
  }
  yield* settle
  assert.isTrue(socket.connected)
  /** The connection is lost. */
  const lose = Effect.andThen(
    Effect.sync(() => waiting("GET")!.fail("reset")),
    settle
  )
  return { platform, socket, statuses, posted, lose, respond, waiting }
})

const base64 = (text: string) => `b${btoa(text)}`

describe("a Blob over polling", () => {
  it.effect("lets earlier messages go, and holds the rest until it is read", () =>
    Effect.gen(function* () {
      const { posted, socket } = yield* setup("polling")
      const blob = new SlowBlob(["abc"])
      yield* socket.emit("before")
      yield* socket.emit("file", new Uint8Array([120]), { blob })
      yield* socket.emit("after")
      yield* settle
      const first = '52-["file",{"_placeholder":true,"num":0},{"blob":{"_placeholder":true,"num":1}}]'
      assert.strictEqual(yield* posted, `42["before"]\x1e4${first}\x1e${base64("x")}`)
      yield* socket.emit("after, too")
      yield* settle
      assert.isUndefined(yield* posted)
      yield* blob.arrive
      assert.strictEqual(yield* posted, `${base64("abc")}\x1e42["after"]\x1e42["after, too"]`)
      assert.strictEqual(blob.reads, 1)
    })
  )

  it.effect("is read each time it is sent", () =>
    Effect.gen(function* () {
      const { posted, socket } = yield* setup("polling")
      const blob = new Blob(["abc"])
      yield* socket.emit("twice", blob, blob)
      const bodies: Array<string | undefined> = []
      for (let i = 0; i < 3; i++) {
        // A Blob of the platform takes more than a turn.
        yield* Effect.promise(() => blob.arrayBuffer())
        yield* settle
        bodies.push(yield* posted)
      }
      const text = '452-["twice",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
      assert.deepStrictEqual(bodies, [text, base64("abc"), base64("abc")])
    })
  )

  it.effect("holds what is volatile: it is dropped", () =>
    Effect.gen(function* () {
      const { posted, socket } = yield* setup("polling")
      const blob = new SlowBlob(["abc"])
      yield* socket.emit("file", blob)
      yield* settle
      yield* posted
      yield* socket.volatile.emit("dropped")
      yield* blob.arrive
      assert.strictEqual(yield* posted, base64("abc"))
      assert.isUndefined(yield* posted)
    })
  )

  it.effect("goes over WebSocket, in its place, when an upgrade is complete before it is read", () =>
    Effect.gen(function* () {
      const { platform, posted, respond, socket } = yield* setup("polling", { transports: ["polling", "websocket"] })
      const [webSocket] = platform.sockets as [(typeof platform.sockets)[number]]
      const blob = new SlowBlob(["abc"])
      yield* socket.emit("file", blob)
      yield* socket.emit("after")
      yield* settle
      assert.strictEqual(yield* posted, '451-["file",{"_placeholder":true,"num":0}]')
      webSocket.events.onOpen()
      assert.deepStrictEqual(webSocket.take(), ["2probe"])
      webSocket.events.onText("3probe")
      yield* respond("GET", "6")
      assert.deepStrictEqual(webSocket.take(), ["5"])
      yield* blob.arrive
      assert.deepStrictEqual(webSocket.take(), [new Uint8Array([97, 98, 99]), '42["after"]'])
    })
  )

  it.effect("waits for an upgrade that is under way when it is read", () =>
    Effect.gen(function* () {
      const { platform, posted, respond, socket } = yield* setup("polling", { transports: ["polling", "websocket"] })
      const [webSocket] = platform.sockets as [(typeof platform.sockets)[number]]
      const blob = new SlowBlob(["abc"])
      yield* socket.emit("file", blob)
      yield* settle
      yield* posted
      webSocket.events.onOpen()
      webSocket.events.onText("3probe")
      yield* blob.arrive
      assert.isUndefined(yield* posted)
      yield* respond("GET", "6")
      assert.deepStrictEqual(webSocket.take(), ["2probe", "5", new Uint8Array([97, 98, 99])])
    })
  )

  it.effect("is forgotten when the connection ends while it is read", () =>
    Effect.gen(function* () {
      const { lose, posted, respond, socket, waiting } = yield* setup("polling", {
        reconnection: Schedule.spaced("1 second")
      })
      const blob = new SlowBlob(["abc"])
      const asked = yield* Effect.forkChild(Effect.flip(socket.emitWithAck("file", blob)), { startImmediately: true })
      yield* settle
      yield* posted
      yield* lose
      assert.strictEqual((yield* Fiber.join(asked)).reason._tag, "Disconnected")
      yield* TestClock.adjust("1 second")
      yield* respond("GET", handshake([]))
      assert.strictEqual(yield* posted, "40")
      yield* respond("GET", '40{"sid":"again"}')
      yield* blob.arrive
      assert.isUndefined(yield* posted)
      yield* socket.emit("next")
      yield* settle
      assert.strictEqual(yield* posted, '42["next"]')
      assert.isDefined(waiting("GET"))
    })
  )

  it.effect("ends the connection if it cannot be read, and the client comes back", () =>
    Effect.gen(function* () {
      const { posted, socket, statuses, waiting } = yield* setup("polling", {
        reconnection: Schedule.spaced("1 second")
      })
      const blob = new SlowBlob(["abc"])
      yield* socket.emit("file", blob)
      yield* settle
      yield* posted
      yield* blob.fail
      assert.deepInclude(statuses.at(-1), { _tag: "Disconnected", reason: "transport error", willRetry: true })
      yield* TestClock.adjust("1 second")
      assert.isDefined(waiting("GET"))
    })
  )

  it.effect("is waited for when the socket leaves", () =>
    Effect.gen(function* () {
      const { posted, socket, waiting } = yield* setup("polling")
      const blob = new SlowBlob(["abc"])
      yield* socket.emit("file", blob)
      yield* settle
      yield* posted
      yield* socket.disconnect()
      yield* settle
      assert.isDefined(waiting("GET"))
      yield* blob.arrive
      assert.strictEqual(yield* posted, `${base64("abc")}\x1e41`)
      assert.strictEqual(yield* posted, "1")
      assert.isUndefined(waiting("GET"))
    })
  )
})

describe("a Blob over WebSocket", () => {
  it.effect("is left to the platform, in its place", () =>
    Effect.gen(function* () {
      const { platform, socket } = yield* setup("websocket")
      const blob = new SlowBlob(["abc"])
      yield* socket.emit("file", blob)
      yield* socket.emit("after")
      yield* settle
      const text = '451-["file",{"_placeholder":true,"num":0}]'
      assert.deepStrictEqual(platform.sockets[0]!.take() as ReadonlyArray<unknown>, [text, blob, '42["after"]'])
      assert.strictEqual(blob.reads, 0)
    })
  )

  it.effect("is read where bytes travel as base64", () =>
    Effect.gen(function* () {
      const { platform, socket } = yield* setup("websocket", { forceBase64: true })
      const [webSocket] = platform.sockets as [(typeof platform.sockets)[number]]
      const blob = new SlowBlob(["abc"])
      yield* socket.emit("file", blob)
      yield* socket.emit("after")
      yield* settle
      assert.deepStrictEqual(webSocket.take(), ['451-["file",{"_placeholder":true,"num":0}]'])
      yield* blob.arrive
      assert.deepStrictEqual(webSocket.take(), [base64("abc"), '42["after"]'])
    })
  )
})

for (const [way, options] of [
  ["polling", { transports: ["polling"] }],
  ["WebSocket", { transports: ["websocket"] }],
  ["an upgrade", {}]
] as const) {
  for (const [peer, start] of [
    ["our server", TestServer.start],
    ["the official server", ReferenceServer.start]
  ] as const) {
    for (const [platform, layer] of [
      ["its own", Layer.empty],
      ["Node's", NodeClientPlatform.layer]
    ] as const) {
      it.live(`Blobs and Files arrive as bytes, in order, over ${way} at ${peer}, from ${platform} platform`, () =>
        Effect.gen(function* () {
          const server = yield* Effect.acquireRelease(
            Effect.promise(() => start()),
            (server) => Effect.promise(() => server.stop())
          )
          const client = yield* Layer.build(Layer.provide(SocketIoClient.layer({ url: server.url, ...options }), layer))
          const socket = yield* Effect.provideContext(SocketIoClient.connect("/"), client)
          const back = yield* socket.subscribe("message-back")
          const large = new Blob([new Uint8Array(300_000).map((_, i) => i)])
          yield* socket.emit("message", 1)
          yield* socket.emit("message", 2, { file: new File(["abc"], "a.txt") })
          yield* socket.emit("message", 3, new Uint8Array([1]), large, new Blob([]))
          yield* socket.emit("message", 4)
          const found = yield* Stream.runCollect(Stream.take(back, 4))
          assert.deepStrictEqual(
            found.map(([i]) => i),
            [1, 2, 3, 4]
          )
          const { file } = found[1]![1] as { readonly file: Uint8Array }
          assert.deepStrictEqual(Buffer.from(file), Buffer.from("abc"))
          const parts = found[2]!.slice(1) as ReadonlyArray<Uint8Array>
          assert.deepStrictEqual(
            parts.map((bytes) => bytes.length),
            [1, 300_000, 0]
          )
          assert.isTrue(Buffer.from(parts[1]!).equals(Buffer.from(yield* Effect.promise(() => large.arrayBuffer()))))
        })
      )
    }
  }
}

const Content = Schema.Struct({ name: Schema.String, content: Binary.Bytes })
const Upload = Event.make("upload", { payload: Content, ack: Content })
class Files extends Namespace.make("/files", { clientToServer: [Upload], serverToClient: [Upload] }) {}

const abc = () => Binary.fromBlob(new Blob(["abc"]))
const received = (file: typeof Content.Type) => [file.name, String.fromCharCode(...file.content)]

describe("a Blob in a contract", () => {
  it.live("stands where bytes do, on the way to the server and in answers to it", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(Files, (socket) =>
          Effect.succeed(
            Files.of({
              upload: (file) =>
                Effect.gen(function* () {
                  asked.push(received(file))
                  return yield* Effect.orDie(socket.emitWithAck("upload", file))
                })
            })
          )
        )
      )
      const client = yield* Layer.build(SocketIoClient.layer({ url, transports: ["polling"] }))
      const files = yield* Effect.provideContext(SocketIoClient.connect(Files), client)
      yield* files.respond("upload", ({ content, name }) => {
        asked.push(received({ content, name }))
        return Effect.succeed({ name: "c", content: Binary.fromBlob(new File(["def"], "c")) })
      })
      const answer = yield* files.emitWithAck("upload", { name: "a", content: abc() })
      assert.deepStrictEqual(asked, [
        ["a", "abc"],
        ["a", "abc"]
      ])
      assert.deepStrictEqual(received(answer), ["c", "def"])
    })
  )

  it.live(
    "is a defect of who sends it where it cannot be read: on servers, and in other parsers than the JSON one",
    () =>
      Effect.gen(function* () {
        const { server } = yield* serve(
          SocketIoServer.layerNamespace(Files, () => Effect.succeed(Files.of({ upload: Effect.succeed })))
        )
        const defect = (effect: Effect.Effect<unknown, unknown>) =>
          Effect.map(Effect.sandbox(effect).pipe(Effect.flip), (cause) =>
            Cause.hasDies(cause) ? (Cause.squash(cause) as { readonly message: string }).message : undefined
          )
        const namespace = yield* Effect.provideContext(SocketIoServer.namespace(Files), server)
        assert.strictEqual(
          yield* defect(namespace.emit("upload", { name: "a", content: abc() })),
          "a Blob: read it first"
        )
        const packet = msgpack.encode({ type: 2, namespace: "/", id: undefined, data: ["upload", abc()] }, true)
        assert.strictEqual(
          isProtocolError(packet) ? packet.message : undefined,
          "not encodable: a Blob in MessagePack: read it first"
        )
      })
  )
})
