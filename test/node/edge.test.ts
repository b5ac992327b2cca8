import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Net from "node:net"

import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Schema, Scope } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { WebSocketServer } from "ws"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NodeSocketIoHttp from "../../src/node/NodeSocketIoHttp.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { openWebSocket } from "../hostile/victim.ts"
import { engineUrl, PollingClient, RawSocket, request, within } from "../support/RawClient.ts"
import { call, client, connect, grace, listen, next, refusal, serve } from "../support/serve.ts"

class Plain extends Namespace.make("/", {
  clientToServer: [Event.make("ping!", { ack: Schema.String })],
  serverToClient: [Event.make("news", { payload: Schema.String })]
}) {}

const PlainLive = SocketIoServer.layerNamespace(Plain, () =>
  Effect.succeed(Plain.of({ "ping!": () => Effect.succeed("pong!") }))
)

const quiet = Layer.provide(Logger.layer([]))

/** Sockets, timers and servers that keep the process alive, by kind. */
const resources = () => {
  const counts: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) {
    if (/TCP|Timeout|Immediate/.test(kind)) counts[kind] = (counts[kind] ?? 0) + 1
  }
  return counts
}

describe("a server alone on its port", () => {
  const build = (options: Partial<NodeSocketIoServer.ListeningOptions> = {}) =>
    Layer.build(
      PlainLive.pipe(
        Layer.provideMerge(NodeSocketIoServer.layer({ port: 0, host: "127.0.0.1", ...options })),
        grace(0),
        quiet
      )
    )

  /** The address that the server logs is how one learns of a free port. */
  const logged = Effect.fnUntraced(function* (options: Partial<NodeSocketIoServer.ListeningOptions> = {}) {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    const server = yield* Layer.build(
      PlainLive.pipe(
        Layer.provideMerge(NodeSocketIoServer.layer({ port: 0, host: "127.0.0.1", ...options })),
        grace(0),
        Layer.provide(Logger.layer([logger]))
      )
    )
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(lines.join("\n"))![0]
    return { url, server, lines }
  })

  it.live("serves clients, says where it listens, and answers other paths with 404", () =>
    Effect.gen(function* () {
      const { lines, url } = yield* logged()
      assert.match(lines[0]!, /^Socket\.IO server listening on http:\/\/127\.0\.0\.1:\d+\/socket\.io\/$/)
      const socket = yield* connect(url)
      assert.strictEqual(yield* call(socket, "ping!"), "pong!")
      const other = yield* Effect.promise(() => request(`${url}/elsewhere`))
      assert.strictEqual(other.status, 404)
    })
  )

  it.live("fails to start on a port that is taken", () =>
    Effect.gen(function* () {
      const taken = Http.createServer()
      yield* listen(taken)
      const { port } = taken.address() as AddressInfo
      const error = yield* Effect.flip(Effect.scoped(build({ port })))
      assert.deepInclude(error, { _tag: "ListenError" })
      assert.match(error.message, /EADDRINUSE/)
    })
  )

  it.live("leaves nothing behind when its scope closes: clients told, sockets closed, timers gone", () =>
    Effect.gen(function* () {
      const before = resources()
      const scope = yield* Scope.make()
      const { url } = yield* Scope.provide(logged({ drainTimeout: "1 second" }), scope)
      const reasons: Array<string> = []
      for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
        const socket = yield* connect(url, { transports: transports as ["polling"] })
        socket.on("disconnect", (reason) => reasons.push(reason))
      }
      // One that opens a connection and says nothing.
      const silent = Net.connect(Number(new URL(url).port), "127.0.0.1")
      yield* Effect.promise(() => new Promise((resolve) => silent.once("connect", resolve)))
      const gone = Effect.promise(() =>
        within("end of the silent", new Promise((resolve) => silent.once("close", resolve)))
      )
      const started = performance.now()
      yield* Scope.close(scope, Exit.void)
      assert.isBelow(performance.now() - started, 2_500)
      yield* gone
      yield* Effect.promise(() =>
        within(
          "reasons",
          (async () => {
            while (reasons.length < 3) await new Promise((resolve) => setImmediate(resolve))
          })()
        )
      )
      assert.deepStrictEqual(reasons, ["transport close", "transport close", "transport close"])
      yield* Effect.promise(() =>
        within(
          `the resources of before, ${JSON.stringify(before)}`,
          (async () => {
            while ((resources().TCPSocketWrap ?? 0) > (before.TCPSocketWrap ?? 0)) {
              await new Promise((resolve) => setImmediate(resolve))
            }
          })()
        )
      )
      assert.isAtMost(resources().TCPServerWrap ?? 0, before.TCPServerWrap ?? 0)
      yield* Effect.promise(() =>
        request(url).then(
          () => assert.fail("it still listens"),
          () => {}
        )
      )
    })
  )

  it.live("gives its port to the next process while it drains, when those that poll have come once more", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { url } = yield* Scope.provide(logged({ drainTimeout: "1 minute" }), scope)
      const port = Number(new URL(url).port)
      const listens = Effect.promise(
        () =>
          new Promise<boolean>((resolve) => {
            const next = Http.createServer()
            next.once("error", () => resolve(false))
            next.listen(port, "127.0.0.1", () => next.close(() => resolve(true)))
          })
      )
      // A WebSocket that does not close when it is told to.
      const stays = yield* openWebSocket(url)
      const poll = yield* Effect.promise(() => PollingClient.handshake(url))
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      // A close frame.
      yield* Effect.promise(() => stays.until((received) => received.includes("\x88")))
      assert.isFalse(yield* listens)
      // Over a connection of its own.
      const last = yield* Effect.promise(() => request(engineUrl(url, { EIO: "4", transport: "polling", sid: poll })))
      assert.strictEqual(last.body, "1")
      yield* Effect.promise(() =>
        within(
          "a free port",
          (async () => {
            while (!(await Effect.runPromise(listens))) await new Promise((resolve) => setImmediate(resolve))
          })()
        )
      )
      assert.isUndefined(closing.pollUnsafe())
      stays.reset()
      yield* Fiber.join(closing)
    })
  )

  it.live("uses another path, with or without a trailing slash", () =>
    Effect.gen(function* () {
      const { url } = yield* logged({ path: "/realtime/", drainTimeout: 0 })
      for (const path of ["/realtime", "/realtime/"]) {
        const socket = yield* connect(url, { path })
        assert.strictEqual(yield* call(socket, "ping!"), "pong!")
      }
      const response = yield* Effect.promise(() => request(`${url}/realtime?EIO=4&transport=polling`))
      assert.strictEqual(response.status, 200)
    })
  )

  it.live("fails on a path of an http.Server that another server has, until that one has closed", () =>
    Effect.gen(function* () {
      const http = Http.createServer()
      const attach = (path?: string) =>
        NodeSocketIoServer.makeAttached(http, { drainTimeout: 0, ...(path === undefined ? {} : { path }) })
      const scope = yield* Scope.make()
      yield* Scope.provide(attach(), scope)
      for (const path of ["/socket.io", "/socket.io/", "/socket.io/below"]) {
        const error = yield* Effect.flip(Effect.scoped(attach(path)))
        assert.deepInclude(error, { _tag: "InvalidOptionError", option: "path" })
        assert.match(error.message, /is taken: another server is attached to this http.Server at "\/socket.io\/"$/)
      }
      yield* Effect.scoped(attach("/other"))
      yield* Effect.scoped(NodeSocketIoServer.makeAttached(Http.createServer(), { drainTimeout: 0 }))
      yield* Scope.close(scope, Exit.void)
      yield* attach()
    })
  )

  it.live("takes its options from configuration", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      const configured = PlainLive.pipe(
        Layer.provide(
          NodeSocketIoServer.layerConfig({
            port: Config.Int("PORT"),
            host: Config.String("HOST"),
            path: Config.String("SOCKET_PATH").pipe(Config.withDefault("/other")),
            heartbeat: { pingInterval: Config.Duration("PING_INTERVAL") },
            drainTimeout: Config.Duration("DRAIN_TIMEOUT")
          })
        ),
        Layer.provide(Logger.layer([logger]))
      )
      const build = (env: Record<string, string>) =>
        Layer.build(configured).pipe(
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(env))
        )
      yield* build({ PORT: "0", HOST: "127.0.0.1", PING_INTERVAL: "7 seconds", DRAIN_TIMEOUT: "0 seconds" })
      const url = /http:\/\/127\.0\.0\.1:\d+\/other\//.exec(lines.join("\n"))![0]
      const { body } = yield* Effect.promise(() => request(`${url}?EIO=4&transport=polling`))
      assert.strictEqual(JSON.parse(body.slice(1)).pingInterval, 7_000)
      const error = yield* Effect.flip(
        build({ PORT: "many", HOST: "127.0.0.1", PING_INTERVAL: "7 seconds", DRAIN_TIMEOUT: "0 seconds" })
      )
      assert.strictEqual(error._tag, "ConfigError")
    })
  )
})

describe("attached to an http.Server of somebody else's", () => {
  const attach = (http: Http.Server, options = {}) =>
    Layer.build(
      PlainLive.pipe(Layer.provideMerge(NodeSocketIoServer.layerAttached(http, { ...options })), grace(0), quiet)
    )
  const answer = (http: Http.Server) =>
    http.on("request", (request, response) => response.end(`theirs ${request.method} ${request.url}`))

  for (const order of ["before", "after"]) {
    it.live(`leaves other requests alone, when it is attached ${order} them`, () =>
      Effect.gen(function* () {
        const http = Http.createServer()
        if (order === "after") answer(http)
        yield* attach(http, { drainTimeout: 0 })
        if (order === "before") answer(http)
        const url = yield* listen(http)
        const socket = yield* connect(url)
        assert.strictEqual(yield* call(socket, "ping!"), "pong!")
        const response = yield* Effect.promise(() => request(`${url}/theirs`, { method: "POST", body: "x" }))
        assert.strictEqual(response.body, "theirs POST /theirs")
        const engine = yield* Effect.promise(() => request(`${url}/socket.io/?EIO=4&transport=polling`))
        assert.match(engine.body, /^0\{/)
      })
    )

    it.live(`leaves other upgrades alone, when it is attached ${order} them`, () =>
      Effect.gen(function* () {
        const http = Http.createServer()
        const others = new WebSocketServer({ noServer: true })
        const theirs = () =>
          http.on("upgrade", (request, socket, head) =>
            others.handleUpgrade(request, socket, head, (ws) =>
              ws.on("message", (data) => ws.send(`theirs ${String(data)}`))
            )
          )
        if (order === "after") theirs()
        yield* attach(http)
        if (order === "before") theirs()
        const url = yield* listen(http)
        const socket = yield* connect(url, { transports: ["websocket"] })
        assert.strictEqual(yield* call(socket, "ping!"), "pong!")
        const other = new WebSocket(`${url.replace("http", "ws")}/other`)
        const reply = within(
          "reply",
          new Promise((resolve) => {
            other.addEventListener("open", () => other.send("x"))
            other.addEventListener("message", ({ data }) => resolve(data))
          })
        )
        assert.strictEqual(yield* Effect.promise(() => reply), "theirs x")
        other.close()
      })
    )
  }

  it.live("ends upgrades that nobody answers", () =>
    Effect.gen(function* () {
      const http = Http.createServer()
      yield* attach(http)
      const url = yield* listen(http)
      const socket = Net.connect(Number(new URL(url).port), "127.0.0.1")
      socket.write("GET /nobody HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
      yield* Effect.promise(() => within("end", new Promise((resolve) => socket.on("end", resolve).resume())))
      socket.destroy()
    })
  )

  it.live("forgets upgrades that nobody answers, though nobody reads what else their peers send", () =>
    Effect.gen(function* () {
      const http = Http.createServer()
      yield* attach(http, { foreignUpgrades: { timeout: "10 millis" } })
      const url = yield* listen(http)
      const asked = new Promise<Net.Socket>((resolve) =>
        http.prependOnceListener("upgrade", (_request, socket: Net.Socket) => resolve(socket))
      )
      const socket = Net.connect(Number(new URL(url).port), "127.0.0.1")
      socket.on("error", () => {})
      socket.write("GET /nobody HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
      const peer = yield* Effect.promise(() => within("request", asked))
      socket.end("x")
      if (!peer.destroyed) {
        yield* Effect.promise(() => within("close", new Promise((resolve) => peer.once("close", resolve))))
      }
      socket.destroy()
    })
  )

  it.live("ends upgrades that wait for an answer when its scope closes", () =>
    Effect.gen(function* () {
      const http = Http.createServer()
      const scope = yield* Scope.make()
      yield* Scope.provide(attach(http, { foreignUpgrades: { timeout: "1 hour" } }), scope)
      const url = yield* listen(http)
      // Gone by the time that the engine looks whether it is alone.
      const asked = new Promise((resolve) => http.prependOnceListener("upgrade", resolve))
      const socket = Net.connect(Number(new URL(url).port), "127.0.0.1")
      socket.on("error", () => {})
      socket.write("GET /nobody HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
      yield* Effect.promise(() => within("request", asked))
      const ended = new Promise((resolve) => socket.once("close", resolve).resume())
      yield* Scope.close(scope, Exit.void)
      yield* Effect.promise(() => within("close", ended))
    })
  )

  it.live("gives the path back when its scope closes, and leaves the server running", () =>
    Effect.gen(function* () {
      const http = Http.createServer()
      answer(http)
      const url = yield* listen(http)
      const listeners = () => ["request", "upgrade", "close", "error"].map((event) => http.listenerCount(event))
      const [emit, before] = [http.emit, listeners()]
      const scope = yield* Scope.make()
      yield* Scope.provide(attach(http), scope)
      const socket = yield* connect(url)
      const gone = next(socket, "disconnect")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* gone)[0], "transport close")
      assert.strictEqual(http.emit, emit)
      assert.deepStrictEqual(listeners(), before)
      const response = yield* Effect.promise(() => request(`${url}/socket.io/?EIO=4&transport=polling`))
      assert.match(response.body, /^theirs GET/)
    })
  )

  it.live("several times, on several paths", () =>
    Effect.gen(function* () {
      const http = Http.createServer()
      answer(http)
      yield* attach(http, { path: "/one" })
      yield* attach(http, { path: "/two" })
      const url = yield* listen(http)
      for (const path of ["/one", "/two"]) {
        const socket = yield* connect(url, { path })
        assert.strictEqual(yield* call(socket, "ping!"), "pong!")
      }
    })
  )

  it.live("refuses what is no http.Server, with a word on what to pass", () =>
    Effect.gen(function* () {
      const app = (() => {}) as unknown as Http.Server
      const error = yield* Effect.flip(Effect.scoped(attach(app)))
      assert.match(error.message, /http\.createServer\(app\)/)
    })
  )
})

describe("beside an Effect HTTP application", () => {
  it.live("shares its port; routes broadcast to clients", () =>
    Effect.gen(function* () {
      const Routes = HttpRouter.add(
        "POST",
        "/news",
        Effect.gen(function* () {
          const plain = yield* SocketIoServer.namespace(Plain)
          yield* plain.emit("news", "extra")
          return HttpServerResponse.text("told")
        })
      )
      const context = yield* Layer.build(
        Layer.mergeAll(PlainLive, HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true })).pipe(
          Layer.provideMerge(NodeSocketIoHttp.layer({ port: 0, host: "127.0.0.1" })),
          grace(0),
          quiet
        )
      )
      const { address } = yield* Effect.provideContext(HttpServer.HttpServer, context)
      const url = `http://127.0.0.1:${(address as { readonly port: number }).port}`
      const socket = yield* connect(url)
      const news = next(socket, "news")
      const response = yield* Effect.promise(() => request(`${url}/news`, { method: "POST" }))
      assert.strictEqual(response.body, "told")
      assert.deepStrictEqual(yield* news, ["extra"])
      const missing = yield* Effect.promise(() => request(`${url}/missing`))
      assert.strictEqual(missing.status, 404)
    })
  )

  it.live("says goodbye before the HTTP server waits for open connections", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        Layer.mergeAll(PlainLive, HttpRouter.serve(Layer.empty, { disableLogger: true, disableListenLog: true })).pipe(
          Layer.provideMerge(NodeSocketIoHttp.layer({ port: 0, host: "127.0.0.1" })),
          grace(0),
          quiet
        ),
        scope
      )
      const { address } = yield* Effect.provideContext(HttpServer.HttpServer, context)
      const socket = yield* connect(`http://127.0.0.1:${(address as { readonly port: number }).port}`)
      const gone = next(socket, "disconnect")
      const started = performance.now()
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* gone)[0], "transport close")
      assert.isBelow(performance.now() - started, 4_000)
    })
  )

  it.live("does not wait, at its end, for connections over which nothing has come", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        HttpRouter.serve(Layer.empty, { disableLogger: true, disableListenLog: true }).pipe(
          Layer.provideMerge(NodeSocketIoHttp.layer({ port: 0, host: "127.0.0.1" })),
          quiet
        ),
        scope
      )
      const { address } = yield* Effect.provideContext(HttpServer.HttpServer, context)
      const { port } = address as { readonly port: number }
      const silent = Net.connect(port, "127.0.0.1")
      silent.on("error", () => {})
      const gone = new Promise<void>((resolve) => silent.once("close", () => resolve()))
      yield* Effect.promise(() => new Promise<void>((resolve) => silent.once("connect", resolve)))
      // Behind it in the server's queue: it has been accepted, too.
      yield* Effect.promise(() => request(`http://127.0.0.1:${port}/`))
      yield* Effect.timeout(Scope.close(scope, Exit.void), "10 seconds")
      yield* Effect.promise(() => gone)
    })
  )

  it.live("can be attached to the http.Server of a NodeHttpServer that is built elsewhere", () =>
    Effect.gen(function* () {
      const http = Http.createServer()
      const Routes = HttpRouter.add("GET", "/hello", HttpServerResponse.text("hello"))
      const context = yield* Layer.build(
        Layer.mergeAll(
          PlainLive.pipe(Layer.provide(NodeSocketIoServer.layerAttached(http)), grace(0)),
          HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true })
        ).pipe(
          Layer.provideMerge(
            NodeHttpServer.layer(() => http, { port: 0, host: "127.0.0.1", disablePreemptiveShutdown: true })
          ),
          quiet
        )
      )
      const { address } = yield* Effect.provideContext(HttpServer.HttpServer, context)
      const url = `http://127.0.0.1:${(address as { readonly port: number }).port}`
      assert.strictEqual((yield* Effect.promise(() => request(`${url}/hello`))).body, "hello")
      const socket = yield* connect(url)
      assert.strictEqual(yield* call(socket, "ping!"), "pong!")
    })
  )
})

describe("an upgrade of another path", () => {
  it.effect("is ended by the clock of the fiber that has attached the server", () =>
    Effect.gen(function* () {
      const http = Http.createServer()
      yield* Layer.build(
        NodeSocketIoServer.layerAttached(http, { foreignUpgrades: { timeout: "1 hour" }, drainTimeout: 0 }).pipe(quiet)
      )
      const url = yield* listen(http)
      const socket = Net.connect(Number(new URL(url).port), "127.0.0.1")
      socket.write("GET /other HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
      socket.on("error", () => {}).resume()
      // The request takes real time to arrive.
      while (!socket.closed) {
        yield* TestClock.adjust("1 hour")
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
    })
  )
})

describe("namespaces that are built before the server listens", () => {
  class Late extends Context.Service<Late, { readonly answer: string }>()("test/Late") {}

  /** Serves. `onListening` runs in the moment in which the address is logged. */
  const serving = Effect.fnUntraced(function* <A, E>(
    namespaces: Layer.Layer<A, E, SocketIoServer.SocketIoServer>,
    onListening: (url: string) => void = () => {},
    options: Partial<NodeSocketIoServer.ListeningOptions> = {}
  ) {
    let url = ""
    const logger = Logger.make(({ message }) => {
      url = /http:\/\/127\.0\.0\.1:\d+/.exec(String(message))?.[0] ?? url
      onListening(url)
    })
    const scope = yield* Scope.fork(yield* Effect.scope)
    const build = Layer.buildWithScope(
      NodeSocketIoServer.serve(namespaces, { port: 0, host: "127.0.0.1", drainTimeout: "2 seconds", ...options }).pipe(
        Layer.provide(Logger.layer([logger]))
      ),
      scope
    )
    return { build: Effect.map(build, (context) => ({ context, url })), close: Scope.close(scope, Exit.void) }
  })

  /** A namespace that takes its time to be built, and whose step is told. */
  const slow = (steps: Array<string>, mayGoOn: Deferred.Deferred<void>) =>
    Layer.effectDiscard(
      Effect.andThen(
        Deferred.await(mayGoOn),
        Effect.sync(() => steps.push("built"))
      )
    ).pipe(Layer.provideMerge(PlainLive))

  it.live("serves a client that connects in the first moment", () =>
    Effect.gen(function* () {
      const mayGoOn = yield* Deferred.make<void>()
      const steps: Array<string> = []
      let first: Promise<string> | undefined
      const { build } = yield* serving(slow(steps, mayGoOn), (url) => {
        steps.push("listening")
        const socket = new RawSocket(url, { EIO: "4", transport: "websocket" })
        first = socket.opened.then(async () => {
          await socket.next()
          socket.send("40")
          const answer = String(await socket.next())
          socket.close()
          return answer
        })
      })
      const building = yield* Effect.forkChild(build, { startImmediately: true })
      yield* Effect.yieldNow
      assert.deepStrictEqual(steps, [])
      yield* Deferred.succeed(mayGoOn, undefined)
      yield* Fiber.join(building)
      assert.deepStrictEqual(steps, ["built", "listening"])
      assert.match(yield* Effect.promise(() => first!), /^40\{"sid":/)
    })
  )

  it.live("refuses a name that is not there at once", () =>
    Effect.gen(function* () {
      const { build } = yield* serving(PlainLive)
      const { url } = yield* build
      const socket = yield* Effect.acquireRelease(
        Effect.promise(async () => {
          const socket = new RawSocket(url, { EIO: "4", transport: "websocket" })
          await socket.opened
          await socket.next()
          return socket
        }),
        (socket) => Effect.sync(() => socket.close())
      )
      // A client that waits for a namespace is answered later than this.
      socket.send("40/nowhere,", "40")
      assert.strictEqual(yield* Effect.promise(() => socket.next()), '44/nowhere,{"message":"Invalid namespace"}')
      assert.match(String(yield* Effect.promise(() => socket.next())), /^40\{/)
      assert.strictEqual((yield* refusal(`${url}/nowhere`)).message, "Invalid namespace")
    })
  )

  it.live("gives the server, and what the namespaces' layers give", () =>
    Effect.gen(function* () {
      const { build } = yield* serving(Layer.merge(PlainLive, Layer.succeed(Late, { answer: "there" })))
      const { context, url } = yield* build
      assert.strictEqual(Context.get(context, Late).answer, "there")
      const socket = yield* connect(url)
      const news = next(socket, "news")
      const plain = yield* Effect.provideContext(SocketIoServer.namespace(Plain), context)
      yield* plain.emit("news", "extra")
      assert.deepStrictEqual(yield* news, ["extra"])
    })
  )

  it.live("close before the server does: clients that poll learn of the end over a new connection", () =>
    Effect.gen(function* () {
      const steps: Array<string> = []
      const { build, close } = yield* serving(
        Layer.effectDiscard(
          Effect.gen(function* () {
            const engine = yield* (yield* SocketIoServer.SocketIoServer).engine
            // The namespaces' layers close while the server still listens, and has its sessions.
            yield* Effect.addFinalizer(() => Effect.sync(() => steps.push(`namespaces close: ${engine.sessionCount}`)))
          })
        ).pipe(Layer.provideMerge(PlainLive))
      )
      const { url } = yield* build
      const sid = yield* Effect.promise(() => PollingClient.handshake(url))
      const socket = yield* connect(url)
      const gone = next(socket, "disconnect")
      const closing = yield* Effect.forkChild(close, { startImmediately: true })
      assert.strictEqual((yield* gone)[0], "transport close")
      // It is still listening: the client that polls comes once more, over a connection of its own.
      const last = yield* Effect.promise(() => request(engineUrl(url, { EIO: "4", transport: "polling", sid })))
      assert.strictEqual(last.body, "1")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(steps, ["namespaces close: 2"])
      const error = yield* Effect.flip(Effect.tryPromise(() => request(url)))
      assert.include(String(error.cause), "ECONNREFUSED")
    })
  )

  it.live("fail it if one of them fails, and nothing listens", () =>
    Effect.gen(function* () {
      const before = resources()
      const steps: Array<string> = []
      const { build } = yield* serving(
        Layer.merge(PlainLive, Layer.effectDiscard(Effect.fail("no namespace" as const))),
        () => steps.push("listening")
      )
      assert.strictEqual(yield* Effect.flip(build), "no namespace")
      assert.deepStrictEqual(steps, [])
      assert.deepStrictEqual(resources(), before)
    })
  )

  it.live("close if it cannot listen", () =>
    Effect.gen(function* () {
      const taken = yield* listen(Http.createServer())
      const ended: Array<string> = []
      const { build } = yield* serving(
        Layer.merge(PlainLive, Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => ended.push("ended"))))),
        undefined,
        { port: Number(new URL(taken).port) }
      )
      const error = yield* Effect.flip(build)
      assert.instanceOf(error, NodeSocketIoServer.ListenError)
      assert.deepStrictEqual(ended, ["ended"])
    })
  )
})

describe("namespaces as layers", () => {
  it.live("clients that come before a namespace is there wait for it, others are refused at once", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(Layer.empty, { namespaceGrace: "5 seconds" })
      const early = yield* client(url)
      const waiting = next(early, "connect")
      early.connect()
      // The engine's opening is on its way back before the namespace comes to be.
      yield* Effect.promise(() => within("opening", new Promise<void>((resolve) => early.io.once("open", resolve))))
      yield* Layer.build(Layer.provide(PlainLive, Layer.succeedContext(server)))
      yield* waiting
      assert.strictEqual(yield* call(early, "ping!"), "pong!")
    })
  )

  it.live("a client that waits in vain is refused when the time is over", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(PlainLive, { namespaceGrace: "300 millis" })
      const socket = yield* client(`${url}/nowhere`)
      const refused = next(socket, "connect_error")
      socket.connect()
      assert.strictEqual((yield* refused)[0].message, "Invalid namespace")
    })
  )

  it.live("closing a namespace's layer closes its clients' connections, so that they come back", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(Layer.empty)
      const live = Layer.provide(PlainLive, Layer.succeedContext(server))
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(live, scope)
      const socket = yield* connect(url)
      const gone = next(socket, "disconnect")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* gone)[0], "transport close")
      yield* Layer.build(Layer.fresh(live))
      yield* connect(url)
    })
  )

  it.live("two layers for one namespace are a defect", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(serve(Layer.mergeAll(PlainLive, Layer.fresh(PlainLive))))
      assert.isTrue(Exit.hasDies(exit))
      assert.match(String(exit), /served by two layers/)
    })
  )

  it.live("limit how many of them one connection may join", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(
        Layer.mergeAll(
          PlainLive,
          SocketIoServer.layerNamespace("/a", () => Effect.void),
          SocketIoServer.layerNamespace("/b", () => Effect.void)
        ),
        { limits: { maxNamespaces: 2 } }
      )
      const socket = new RawSocket(url, { EIO: "4", transport: "websocket" })
      yield* Effect.promise(async () => {
        await socket.next()
        socket.send("40", "40/a,", "40/b,")
        await socket.next()
        await socket.next()
        assert.strictEqual(await socket.next(), '44/b,{"message":"Too many namespaces"}')
        socket.close()
      })
    })
  )
})

describe("broadcasts from anywhere", () => {
  it.live("reach rooms, single sockets and everybody; handles without a contract send any event", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(PlainLive)
      const [a, b] = [yield* connect(url), yield* connect(url)]
      const inServer = Effect.provideContext(server)
      const plain = yield* inServer(SocketIoServer.namespace(Plain))
      const any = yield* inServer(SocketIoServer.namespace("/"))
      const seen: Array<string> = []
      for (const [name, socket] of Object.entries({ a, b })) {
        socket.on("news", (text) => seen.push(`${name} ${text}`))
        socket.on("other", (...args) => seen.push(`${name} other ${args.join()}`))
      }
      const settle = Effect.gen(function* () {
        yield* call(a, "ping!")
        yield* call(b, "ping!")
        return seen.splice(0).toSorted()
      })
      const sockets = yield* plain.sockets
      assert.sameMembers(
        sockets.map(({ id }) => id),
        [a.id!, b.id!]
      )
      const first = sockets.find(({ id }) => id === a.id)!
      yield* first.join(["room", "room"])
      yield* plain.emit("news", "all")
      yield* plain.to("room").emit("news", "room")
      yield* plain.to(b.id!).emit("news", "single")
      yield* plain.except("room").emit("news", "outside")
      yield* plain.to(["room", a.id!, b.id!]).emit("news", "once")
      yield* plain.in("room").except(a.id!).emit("news", "nobody")
      yield* first.broadcast.emit("news", "others")
      yield* any.to("room").emit("other", 1, 2)
      assert.deepStrictEqual(yield* settle, [
        "a all",
        "a once",
        "a other 1,2",
        "a room",
        "b all",
        "b once",
        "b others",
        "b outside",
        "b single"
      ])
      assert.deepStrictEqual(Array.from(first.rooms), [a.id!, "room"])
      yield* first.leave("room")
      yield* plain.to("room").emit("news", "gone")
      assert.deepStrictEqual(yield* settle, [])
    })
  )

  it.live("that cannot be encoded are a defect of the caller, and harm nobody", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(PlainLive)
      const socket = yield* connect(url)
      const any = yield* Effect.provideContext(SocketIoServer.namespace("/"), server)
      const circular: Array<unknown> = []
      circular.push(circular)
      for (const value of [circular, 1n]) {
        assert.isTrue(Exit.hasDies(yield* Effect.exit(any.emit("other", value))))
      }
      assert.isTrue(Exit.hasDies(yield* Effect.exit(any.emit("disconnect"))))
      assert.strictEqual(yield* call(socket, "ping!"), "pong!")
    })
  )
})
