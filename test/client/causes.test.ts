/**
 * The causes that a client tells when it cannot connect, or loses its connection: in the logs, in `ConnectError`, in `Disconnected`.
 */
import * as Http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Logger, Option, References, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"

import * as ClientDebug from "../../src/client/ClientDebug.ts"
import * as ClientExtras from "../../src/client/ClientExtras.ts"
import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform } from "../../src/engine/ClientPlatform.ts"
import type * as Namespace from "../../src/Namespace.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { makeFakePlatform } from "../support/fakeClientPlatform.ts"
import { clientOf, serveOfficial, ways } from "../support/official.ts"
import { listen, serve } from "../support/serve.ts"
import { MOVE_ID } from "./rawServer.ts"

/** Takes what is logged, from this level on. */
const collecting = (level: "Info" | "Debug" = "Info") => {
  const lines: Array<string> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    const { subsystem = "" } = fiber.getRef(References.CurrentLogAnnotations)
    lines.push(`${logLevel} ${String(subsystem)} ${[message].flat().map(String).join(" ")}`)
  })
  const layer = Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, level))
  return { lines, layer }
}

/** A client on its way, whose server is the test, and what it logs. */
const setup = Effect.fnUntraced(function* (
  options: Partial<ClientOptions> = {},
  level: "Info" | "Debug" = "Info",
  debug: Layer.Layer<never> = ClientDebug.layer()
) {
  const platform = makeFakePlatform()
  const { layer, lines } = collecting(level)
  const context = yield* Layer.build(Layer.merge(layer, debug))
  const use = yield* clientOf({ url: "http://test", transports: ["websocket"], ...options }).pipe(
    Effect.provideService(ClientPlatform, platform),
    Effect.provideContext(context)
  )
  return { platform, lines, use, last: () => platform.sockets.at(-1)! }
})

/** The next status of a kind. */
const nextStatus = <Tag extends "Disconnected" | "Failed">(socket: ClientSocket<Namespace.Untyped>, tag: Tag) =>
  Stream.runHead(Stream.filter(socket.status, ({ _tag }) => _tag === tag)).pipe(
    Effect.map((status) => Option.getOrThrow(status) as Extract<Option.Option.Value<typeof status>, { _tag: Tag }>)
  )

const withDebug = <A, E, R>(setting: string, effect: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const before = process.env.DEBUG
      process.env.DEBUG = setting
      return before
    }),
    () => effect,
    (before) =>
      Effect.sync(() => {
        if (before === undefined) delete process.env.DEBUG
        else process.env.DEBUG = before
      })
  )

describe("the log of a client that cannot connect", () => {
  it.effect("has a warning when the first attempt has failed, and then one a minute at the most", () =>
    Effect.gen(function* () {
      const { last, lines, platform, use } = yield* setup({ reconnection: Schedule.spaced("1 second") })
      yield* use(SocketIoClient.socket("/"))
      assert.deepStrictEqual(lines, [])
      for (let i = 0; i < 150; i++) {
        last().fail("nobody there")
        yield* TestClock.adjust("1 second")
      }
      assert.lengthOf(platform.sockets, 151)
      assert.deepStrictEqual(
        lines,
        Array.from({ length: 3 }, () => "Warn  cannot connect to http://test, trying again: nobody there")
      )
    })
  )

  it.effect(
    "has a warning of a server that accepts connections and lets nobody in, but none of one lost connection",
    () =>
      Effect.gen(function* () {
        const { last, lines, use } = yield* setup({ reconnection: Schedule.spaced("1 second") })
        yield* use(SocketIoClient.socket("/"))
        for (let i = 0; i < 3; i++) {
          last().accept()
          if (i === 0) last().events.onText('40{"sid":"id"}')
          last().fail("gone")
          assert.lengthOf(lines, i < 1 ? 0 : 1)
          yield* TestClock.adjust("1 second")
        }
      })
  )

  it.effect("has no warning of a lost connection that could not move before", () =>
    Effect.gen(function* () {
      const { last, lines, platform, use } = yield* setup({ extras: [ClientExtras.moves] })
      yield* use(SocketIoClient.socket("/"))
      last().accept()
      yield* Effect.yieldNow
      last().events.onText('40{"sid":"id"}')
      last().events.onText(`42${MOVE_ID}["~fx:move",{"within":60000}]`)
      yield* Effect.yieldNow
      assert.lengthOf(platform.sockets, 2)
      last().fail("nobody there")
      yield* Effect.yieldNow
      platform.sockets[0]!.fail("gone")
      yield* Effect.yieldNow
      assert.deepStrictEqual(lines, [])
      yield* TestClock.adjust("1500 millis")
      last().fail("nobody there")
      yield* Effect.yieldNow
      assert.deepStrictEqual(lines, ["Warn  cannot connect to http://test, trying again: nobody there"])
    })
  )

  it.effect("has the details of the error with the warning", () =>
    Effect.gen(function* () {
      const annotations: Array<unknown> = []
      const logger = Logger.make(({ fiber }) => {
        annotations.push(fiber.getRef(References.CurrentLogAnnotations))
      })
      const { last, use } = yield* setup({}, "Info", Layer.merge(ClientDebug.layer(), Logger.layer([logger])))
      yield* use(SocketIoClient.socket("/"))
      last().events.onClose("refused", { closeCode: 1006 })
      assert.deepStrictEqual(annotations, [{ reason: "transport error", description: "refused", closeCode: 1006 }])
    })
  )

  it.live("has a warning on the platform of Node, too", () =>
    Effect.gen(function* () {
      const warned = yield* Deferred.make<string>()
      const logger = Logger.make(({ logLevel, message }) => {
        Deferred.doneUnsafe(warned, Effect.succeed(`${logLevel} ${[message].flat().map(String).join(" ")}`))
      })
      const use = yield* clientOf({ url: "http://localhost:1", transports: ["websocket"] }).pipe(
        Effect.provide([NodeClientPlatform.layer, Logger.layer([logger])])
      )
      yield* use(SocketIoClient.socket("/"))
      assert.match(yield* Deferred.await(warned), /^Warn cannot connect to http:\/\/localhost:1, trying again: /)
    })
  )

  it.effect("has nothing where warnings are not wanted", () =>
    Effect.gen(function* () {
      const { last, lines, use } = yield* setup({ reconnection: Schedule.spaced("1 second") })
      yield* use(SocketIoClient.socket("/")).pipe(Effect.provideService(References.MinimumLogLevel, "Error"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(lines, [])
      last().fail()
      assert.lengthOf(lines, 1)
    })
  )

  it.effect("has a warning of a refusal that nobody would know of otherwise", () =>
    Effect.gen(function* () {
      const { last, lines, use } = yield* setup()
      yield* use(SocketIoClient.socket("/a"))
      last().accept()
      last().events.onText('44/a,{"message":"token expired"}')
      assert.deepStrictEqual(lines, ['Warn  not connected to "/a": token expired'])
    })
  )

  it.effect("has no warning of a refusal that is told", () =>
    Effect.gen(function* () {
      const { last, lines, use } = yield* setup()
      const connecting = yield* Effect.forkChild(Effect.flip(use(SocketIoClient.connect("/a"))), {
        startImmediately: true
      })
      last().accept()
      last().events.onText('44/a,{"message":"token expired"}')
      yield* Effect.yieldNow
      assert.isDefined(connecting.pollUnsafe())
      assert.deepStrictEqual(lines, [])
    })
  )

  it.effect("has every step at level Debug, with the part of the client that it comes from", () =>
    Effect.gen(function* () {
      const { last, lines, use } = yield* setup({ reconnection: Schedule.spaced("1 second") }, "Debug")
      yield* use(SocketIoClient.socket("/"))
      last().fail("nobody there")
      yield* TestClock.adjust("1 second")
      last().accept()
      yield* Effect.yieldNow
      last().events.onText('40{"sid":"id"}')
      assert.deepStrictEqual(
        lines.filter((line) => line.startsWith("Debug")).map((line) => line.slice("Debug socket.io-client:".length)),
        [
          "socket Connecting",
          "manager connecting",
          "engine closed",
          "manager trying again",
          "socket Failed",
          "manager connecting",
          "engine opened",
          "socket Connecting",
          "socket Connected"
        ]
      )
    })
  )

  it.effect("has no step and no warning without the layer that writes them", () =>
    Effect.gen(function* () {
      const { last, lines, use } = yield* setup({ reconnection: Schedule.spaced("1 second") }, "Debug", Layer.empty)
      yield* use(SocketIoClient.socket("/"))
      last().fail("nobody there")
      assert.deepStrictEqual(lines, [])
    })
  )

  it.effect("has the parts that a setting of the layer asks for", () =>
    Effect.gen(function* () {
      const { last, lines, use } = yield* setup({}, "Info", ClientDebug.layer("socket.io-client:engine"))
      yield* use(SocketIoClient.socket("/"))
      last().accept()
      assert.deepStrictEqual(lines, ["Debug socket.io-client:engine opened"])
    })
  )

  it.live("has the parts that DEBUG asks for on the platform of Node", () =>
    withDebug(
      "socket.io-client:manager",
      Effect.gen(function* () {
        const { layer, lines } = collecting("Info")
        const client = clientOf({ url: "http://localhost:1", reconnection: false }).pipe(
          Effect.provide([NodeClientPlatform.layer, layer])
        )
        const use = yield* client
        yield* Effect.flip(use(SocketIoClient.connect("/")))
        assert.deepStrictEqual(lines, ["Debug socket.io-client:manager connecting"])
      })
    )
  )

  it.effect("has the parts that DEBUG asks for, whatever else is logged", () =>
    withDebug(
      "socket.io-client:*,-socket.io-client:socket",
      Effect.gen(function* () {
        const { last, lines, use } = yield* setup()
        yield* use(SocketIoClient.socket("/"))
        last().accept()
        assert.deepStrictEqual(lines, [
          "Debug socket.io-client:manager connecting",
          "Debug socket.io-client:engine opened"
        ])
      })
    )
  )
})

describe("the cause of a connection that did not come about", () => {
  /** A server that refuses everything. */
  const refusing = Effect.suspend(() => {
    const refuse = { code: 4, message: "token expired" }
    const http = Http.createServer((_, response) => response.writeHead(403).end(JSON.stringify(refuse)))
    http.on("upgrade", (_, socket) => {
      const body = JSON.stringify(refuse)
      socket.end(`HTTP/1.1 403 Forbidden\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`)
    })
    return listen(http)
  })

  for (const transport of ways) {
    it.live(`is the status and the words of the response over ${transport}`, () =>
      Effect.gen(function* () {
        const url = yield* refusing
        const use = yield* clientOf({ url, transports: [transport], reconnection: false }).pipe(
          Effect.provide(NodeClientPlatform.layer)
        )
        const error = yield* Effect.flip(use(SocketIoClient.connect("/")))
        assert.match(error.message, /answered with status 403: token expired$/)
        assert.isFalse(error.willRetry)
        assert.deepInclude(error.reason, {
          _tag: "Disconnected",
          reason: "transport error",
          status: 403,
          body: '{"code":4,"message":"token expired"}'
        })
      })
    )
  }

  it.live("is the status in runtimes with nothing of Node, too, over polling", () =>
    Effect.gen(function* () {
      const use = yield* clientOf({ url: yield* refusing, transports: ["polling"], reconnection: false })
      const error = yield* Effect.flip(use(SocketIoClient.connect("/")))
      assert.strictEqual(error.reason._tag === "Disconnected" && error.reason.status, 403)
    })
  )

  for (const transport of ways) {
    it.live(`is the underlying error over ${transport}, where nobody listens`, () =>
      Effect.gen(function* () {
        // Nobody is there any more.
        const url = yield* Effect.scoped(listen(Http.createServer()))
        const use = yield* clientOf({ url, transports: [transport], reconnection: false }).pipe(
          Effect.provide(NodeClientPlatform.layer)
        )
        const error = yield* Effect.flip(use(SocketIoClient.connect("/")))
        assert.instanceOf(error.cause, Error)
        assert.match(error.message, /ECONNREFUSED/)
      })
    )
  }

  it.effect("is what the auth effect died of", () =>
    Effect.gen(function* () {
      const { last, use } = yield* setup()
      const defect = new Error("no token")
      const connecting = yield* Effect.forkChild(
        Effect.flip(use(SocketIoClient.connect("/", { auth: Effect.die(defect) }))),
        { startImmediately: true }
      )
      last().accept()
      yield* Effect.yieldNow
      const exit = connecting.pollUnsafe()
      assert.isTrue(exit?._tag === "Success" && exit.value.cause === defect)
    })
  )
})

describe("the reason of a lost connection", () => {
  it.effect("comes with the code and the reason of the WebSocket", () =>
    Effect.gen(function* () {
      const { last, use } = yield* setup({ reconnection: false })
      const socket = yield* use(SocketIoClient.socket("/"))
      const lost = yield* Effect.forkChild(nextStatus(socket, "Disconnected"), { startImmediately: true })
      last().accept()
      last().events.onText('40{"sid":"id"}')
      last().events.onClose(undefined, { closeCode: 4001, closeReason: "maintenance" })
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      const exit = lost.pollUnsafe()
      assert.deepStrictEqual(exit?._tag === "Success" && exit.value, {
        _tag: "Disconnected",
        reason: "transport close",
        willRetry: false,
        description: "closed by the server",
        closeCode: 4001,
        closeReason: "maintenance"
      } as never)
    })
  )

  for (const transport of ways) {
    for (const [peer, start] of [
      [
        "the official server",
        Effect.map(
          serveOfficial(() => {}),
          ({ url }) => url
        )
      ],
      ["our server", Effect.map(serve(SocketIoServer.layerNamespace("/", () => Effect.void)), ({ url }) => url)]
    ] as const) {
      it.live(`is "payload too large" when more was sent over ${transport} than ${peer} takes`, () =>
        Effect.gen(function* () {
          const use = yield* clientOf({ url: yield* start, transports: [transport], reconnection: false }).pipe(
            Effect.provide(NodeClientPlatform.layer)
          )
          const socket = yield* use(SocketIoClient.connect("/"))
          const lost = yield* Effect.forkChild(nextStatus(socket, "Disconnected"), { startImmediately: true })
          yield* socket.emit("upload", "x".repeat(2_000_000))
          const status = yield* Fiber.join(lost)
          assert.strictEqual(status.reason, "payload too large")
          assert.isDefined(transport === "polling" ? status.status : status.closeCode)
        })
      )
    }
  }

  for (const [what, options, sent, reason] of [
    ["attachments are too many", { maxAttachments: 1 }, [Buffer.alloc(1), Buffer.alloc(1)], "too many attachments"],
    ["attachments are too large", { maxAttachmentBytes: 10 }, [Buffer.alloc(11)], "attachments too large"],
    ["a payload is nested too deep", { maxDepth: 3 }, [[[[[]]]]], "nesting too deep"]
  ] as const) {
    it.live(`is the limit's name when ${what}`, () =>
      Effect.gen(function* () {
        const { url } = yield* serveOfficial((io) =>
          io.on("connection", (socket) => socket.on("go", () => socket.emit("much", ...sent)))
        )
        const use = yield* clientOf({ url, reconnection: false, ...options })
        const socket = yield* use(SocketIoClient.connect("/"))
        const lost = yield* Effect.forkChild(nextStatus(socket, "Disconnected"), { startImmediately: true })
        yield* socket.emit("go")
        const status = yield* Fiber.join(lost)
        assert.strictEqual(status.reason, reason)
        assert.match(status.description!, /more than \d+/)
      })
    )
  }
})
