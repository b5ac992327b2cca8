/**
 * Options that make no sense, and those that say where the server stands on its HTTP server.
 */
import * as Http from "node:http"
import * as Net from "node:net"
import { performance } from "node:perf_hooks"

import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"

import type { DrainOptions } from "../../src/engine/Drain.ts"
import type { HandshakeOptions, HeartbeatOptions, UpgradeOptions } from "../../src/engine/EngineOptions.ts"
import type { ForeignUpgradeOptions, PollingOptions, WebSocketOptions } from "../../src/node/NodeEngine.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import type { RecoveryOptions } from "../../src/server/RecoveryOptions.ts"
import type { AuthOptions, ReadingOptions, ServerLimits } from "../../src/server/ServerOptions.ts"
import type { TracingOptions } from "../../src/server/TracingOptions.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { request, within } from "../support/RawClient.ts"
import { call, connect, grace, listen } from "../support/serve.ts"

const EchoLive = SocketIoServer.layerNamespace("/", (socket) => socket.on("echo", (...args) => Effect.succeed(args)))

const quiet = Layer.provide(Logger.layer([]))

const attach = (http: Http.Server, options: NodeSocketIoServer.NodeOptions = {}) =>
  Layer.build(EchoLive.pipe(Layer.provide(NodeSocketIoServer.layerAttached(http, options)), grace(0), quiet))

/** An HTTP server with a server on it, beside what answers everything else. */
const serveBeside = Effect.fnUntraced(function* (options: NodeSocketIoServer.NodeOptions = {}) {
  const http = Http.createServer((incoming, response) => response.end(`theirs ${incoming.url}`))
  yield* attach(http, { drainTimeout: "50 millis", ...options })
  return { http, url: yield* listen(http) }
})

/** The values of each option of a group that are refused; nothing where every value that its type allows makes sense. */
type Nonsense<Group> = { readonly [K in keyof Required<Group>]: ReadonlyArray<unknown> }

const notAFunction = ["yes", 1, {}, null]

const notASwitch = ["yes", 1, null]

const heartbeat: Nonsense<HeartbeatOptions> = {
  pingInterval: ["never", 0, 9.9, -1, Infinity, Number.NaN, "30 days"],
  // Clients wait for it and the interval, in one timer.
  pingTimeout: ["never", 0, 9.9, -1, Infinity, Number.NaN, "30 days", 2 ** 31 - 25_000],
  schedule: ["25 seconds", 25_000, {}]
}

const handshake: Nonsense<HandshakeOptions> = {
  allowRequest: notAFunction,
  generateId: notAFunction,
  timeout: [0, "soon", Infinity],
  headers: notAFunction
}

const upgrade: Nonsense<UpgradeOptions> = { allow: notASwitch, timeout: ["0 millis", -1, Infinity, 2 ** 31] }

const rates = [
  {},
  { limit: 0 },
  { limit: Infinity },
  { limit: 1, interval: 0 },
  { limit: 1, interval: "soon" },
  { limit: 1, interval: Infinity },
  { limit: 1, burst: 0.5 },
  { limit: 1, burst: 0 },
  5
]

const limits: Nonsense<ServerLimits> = {
  maxPayload: [0, -1, 1.5, Infinity, Number.NaN, 2 ** 53, "1 MB"],
  maxPacketsPerPayload: [0, 1.5, Infinity],
  maxOutbox: [0, 1.5, Number.NaN],
  outboxOverflow: ["drop", "", null, 1],
  rateLimit: rates,
  maxConnections: [0, -1, 1.5, Infinity],
  maxConnectionsPerAddress: [0, -1, 1.5, Infinity],
  connectTimeout: [0, "0 seconds", Infinity, 2 ** 31],
  maxNamespaces: [0, 1.5],
  openingRate: rates,
  maxAuthBytes: [-1, 0.5, Infinity],
  maxRooms: [-1, 1.5],
  maxPendingPackets: [0, -1],
  maxPendingEvents: [0, -1],
  maxPendingBytes: [0, -1, 0.5],
  middlewareTimeout: [0, "soon", Infinity, 2 ** 31],
  maxPendingAcks: [0, -1],
  maxAttachments: [0, 1.5],
  maxAttachmentBytes: [0, 1.5],
  attachmentTimeout: [0, Infinity, 2 ** 31],
  maxDepth: [0, 1.5]
}

const reading: Nonsense<ReadingOptions> = {
  pauseAt: [0, 1.5, Infinity],
  resumeAt: [-1, 1.5, 1_000],
  pauseTimeout: [0, "soon", Infinity, 2 ** 31]
}

const polling: Nonsense<PollingOptions> = { compression: ["gzip", 1_024, null] }

const webSocket: Nonsense<WebSocketOptions> = {
  perMessageDeflate: [{ serverMaxWindowBits: 16 }, { zlibDeflateOptions: { level: 10 } }, "yes", 1_024, null]
}

const foreignUpgrades: Nonsense<ForeignUpgradeOptions> = {
  destroy: notASwitch,
  timeout: [-1, "soon", Infinity, 2 ** 31]
}

const onShutdown: Nonsense<DrainOptions> = {
  notice: [-1, "soon", Infinity, 2 ** 31],
  over: [-1, "soon", Infinity, 2 ** 31],
  rate: [0, -1, Number.NaN, "fast"]
}

const auth: Nonsense<AuthOptions> = {
  tolerance: [-1, "soon", Infinity, 2 ** 31],
  rate: [0, -1, Number.NaN, "fast"]
}

const tracing: Nonsense<TracingOptions> = {
  names: ["otel", 1, null],
  trust: ["child", true, null]
}

const recovery: Nonsense<RecoveryOptions> = {
  maxDisconnection: [0, "soon", Infinity, 2 ** 31],
  maxEvents: [-1, 1.5, Infinity],
  maxBytes: [-1, 1.5, Infinity],
  maxDirectBytes: [-1, 1.5, Infinity],
  maxSessions: [-1, 1.5, Infinity],
  maxReplay: [-1, 1.5, Infinity],
  maxScan: [-1, 1.5, Infinity],
  maxCatchUpBytes: [-1, 1.5, Infinity]
}

const noGroup = [5, null, "none", []]

const groups = {
  heartbeat,
  handshake,
  upgrade,
  limits,
  reading,
  polling,
  webSocket,
  foreignUpgrades,
  onShutdown,
  auth,
  recovery,
  tracing
}

/** The same for the options on top, the groups themselves among them. */
const nonsense: Nonsense<NodeSocketIoServer.ListeningOptions> = {
  heartbeat: noGroup,
  handshake: noGroup,
  upgrade: noGroup,
  limits: noGroup,
  reading: noGroup,
  polling: noGroup,
  webSocket: noGroup,
  foreignUpgrades: noGroup,
  onShutdown: noGroup,
  auth: noGroup,
  recovery: [5, null, "yes", []],
  allowedOrigins: ["example.com", ["https://a.example/path"], ["https://a.example", 1], /a/g, /a/y, ""],
  trustedProxies: [-1, 1.5, "10.0.0.1", ["10.0.0.1", "proxy"], ["10.0.0.0/33"], ["10.0.0.0/"], ["fd00::/a"], [""]],
  transports: [[], ["carrier pigeon"], ["polling", "webtransport"]],
  allowEIO3: notASwitch,
  responseHeaders: notAFunction,
  cookie: [{ name: "a b" }, { path: "/;" }, { domain: "a;b" }, { maxAge: "soon" }, { sameSite: "never" }, 5],
  cors: ["*", 5],
  drainTimeout: ["forever", -1, Infinity, 2 ** 31],
  tracing: ["yes", 1, null, []],
  path: ["socket.io", "?", "/chat?room=1", "/chat#1", "/a b", "http://example.com/chat"],
  serveClient: notASwitch,
  keepRequests: notASwitch,
  tls: [{ key: "no key" }, { pfx: "nothing" }, { minVersion: "TLSv0" }],
  port: [-1, 65_536, 0.5, "http"],
  host: [],
  backlog: []
}

/** Settings within options. */
const nested: ReadonlyArray<readonly [option: string, options: object]> = [
  ["cors.credentials", { cors: { origin: "*", credentials: true } }],
  ["cors.credentials", { cors: { origin: ["*"], credentials: true } }],
  ["cors.credentials", { cors: { origin: ["https://example.com", "*"], credentials: true } }],
  ["polling.compression.threshold", { polling: { compression: { threshold: -1 } } }],
  ["polling.compression.threshold", { polling: { compression: { threshold: 0.5 } } }],
  ["polling.compression.threshold", { polling: { compression: { threshold: "1 KB" } } }],
  ["webSocket.perMessageDeflate.threshold", { webSocket: { perMessageDeflate: { threshold: -1 } } }],
  ["cors.methods", { cors: { methods: ["GET\n"] } }],
  ["cors.allowedHeaders", { cors: { allowedHeaders: "x-a" } }],
  ["cors.exposedHeaders", { cors: { exposedHeaders: ["x\0"] } }],
  ["limits.rateLimit.onExceeded", { limits: { rateLimit: { limit: 1, onExceeded: "refuse" } } }]
]

/** Names that are no options: of other places, of Socket.IO's own server, or mistyped. */
const unknown: ReadonlyArray<readonly [option: string, options: object]> = [
  ["maxPayload", { maxPayload: 1_000 }],
  ["pingInterval", { pingInterval: 1_000 }],
  ["maxHttpBufferSize", { maxHttpBufferSize: 1_000 }],
  ["limits.maxPayloads", { limits: { maxPayloads: 1_000 } }],
  ["limits.pauseAt", { limits: { pauseAt: 1_000 } }],
  ["heartbeat.interval", { heartbeat: { interval: 1_000 } }],
  ["handshake.allowRequests", { handshake: { allowRequests: () => Effect.void } }],
  ["upgrade.upgradeTimeout", { upgrade: { upgradeTimeout: 1_000 } }],
  ["reading.pauseReadingAt", { reading: { pauseReadingAt: 10 } }],
  ["polling.httpCompression", { polling: { httpCompression: true } }],
  ["polling.compression.treshold", { polling: { compression: { treshold: 1 } } }],
  ["webSocket.deflate", { webSocket: { deflate: true } }],
  ["foreignUpgrades.destroyUpgrade", { foreignUpgrades: { destroyUpgrade: true } }],
  ["cors.origins", { cors: { origins: "*" } }],
  ["cookie.httponly", { cookie: { httponly: true } }],
  ["limits.rateLimit.max", { limits: { rateLimit: { limit: 1, max: 1 } } }],
  ["limits.openingRate.onExceeded", { limits: { openingRate: { limit: 1, onExceeded: "pause" } } }]
]

describe("an option that makes no sense fails the layer", () => {
  const refused = [
    ...Object.entries(nonsense).flatMap(([option, values]) =>
      values.map((value) => [option, { [option]: value }] as const)
    ),
    ...Object.entries(groups).flatMap(([group, options]) =>
      Object.entries(options as Nonsense<object>).flatMap(([option, values]: [string, ReadonlyArray<unknown>]) =>
        values.map((value) => [`${group}.${option}`, { [group]: { [option]: value } }] as const)
      )
    ),
    ...nested,
    ...unknown
  ]
  for (const [option, options] of refused) {
    const [value] = Object.values(options)
    const shown = typeof value === "number" ? String(value) : JSON.stringify(value)
    it.live(`${option}: ${shown}`, () =>
      Effect.gen(function* () {
        const layer = NodeSocketIoServer.layer({ port: 0, host: "127.0.0.1", ...options })
        const error = yield* Effect.flip(Effect.scoped(Layer.build(Layer.provide(layer, Logger.layer([])))))
        assert.deepInclude(error, { _tag: "InvalidOptionError", option })
        assert.isTrue(error.message.startsWith(`option "${option}": `), error.message)
      })
    )
  }

  it.live("but the least values are taken", () =>
    Effect.gen(function* () {
      yield* serveBeside({
        heartbeat: { pingInterval: 10, pingTimeout: 10 },
        handshake: { timeout: 1 },
        upgrade: { timeout: 1 },
        limits: {
          maxPayload: 1,
          maxPacketsPerPayload: 1,
          maxOutbox: 1,
          connectTimeout: 1,
          maxNamespaces: 1,
          maxAuthBytes: 0,
          maxRooms: 0,
          maxPendingPackets: 1,
          maxPendingEvents: 1,
          maxPendingBytes: 1,
          middlewareTimeout: 1,
          maxPendingAcks: 1,
          maxAttachments: 1,
          maxAttachmentBytes: 1,
          attachmentTimeout: 1,
          maxDepth: 1
        },
        reading: { pauseAt: 1, resumeAt: 0, pauseTimeout: 1 },
        transports: ["polling"],
        drainTimeout: 0,
        path: "/",
        foreignUpgrades: { timeout: 0 },
        webSocket: { perMessageDeflate: { threshold: 0, serverMaxWindowBits: 8, clientMaxWindowBits: 8 } },
        polling: { compression: { threshold: 0 } }
      })
    })
  )
})

describe("path", () => {
  const places: ReadonlyArray<readonly [path: string | undefined, clients: ReadonlyArray<string>]> = [
    [undefined, ["/socket.io", "/socket.io/"]],
    ["/chat", ["/chat", "/chat/"]],
    ["/chat/", ["/chat", "/chat/"]],
    ["/api/v1/chat", ["/api/v1/chat", "/api/v1/chat/"]],
    ["/api/v1/chat//", ["/api/v1/chat"]],
    ["/a.b+c", ["/a.b+c"]],
    ["/", ["/", "/anything", "/socket.io"]]
  ]
  for (const [path, clients] of places) {
    it.live(`${path ?? "of the default"} is found by official clients, with and without a trailing slash`, () =>
      Effect.gen(function* () {
        const { url } = yield* serveBeside(path === undefined ? {} : { path })
        for (const path of clients) {
          for (const addTrailingSlash of [true, false]) {
            for (const transport of ["polling", "websocket"]) {
              const socket = yield* connect(url, { path, addTrailingSlash, transports: [transport as "polling"] })
              assert.deepStrictEqual(yield* call(socket, "echo", path), [path])
              socket.disconnect()
            }
          }
        }
      })
    )
  }

  it.live("leaves everything else to others, as similar as it may be", () =>
    Effect.gen(function* () {
      const { url } = yield* serveBeside({ path: "/api/v1/chat" })
      for (const target of [
        "/",
        "/api/v1/",
        "/api/v1/cha?EIO=4&transport=polling",
        "/api/v1/chatty?EIO=4&transport=polling",
        "/api/v1/chatty/?EIO=4&transport=polling",
        "/v1/api/v1/chat/?EIO=4&transport=polling",
        "/API/v1/chat/?EIO=4&transport=polling",
        "/socket.io/?EIO=4&transport=polling"
      ]) {
        const { body } = yield* Effect.promise(() => request(url, { target }))
        assert.strictEqual(body, `theirs ${target}`)
      }
    })
  )

  it.live("has the browser builds of the client below it", () =>
    Effect.gen(function* () {
      const { url } = yield* serveBeside({ path: "/api/v1/chat/" })
      const file = yield* Effect.promise(() => request(`${url}/api/v1/chat/socket.io.min.js`))
      assert.deepStrictEqual(
        [file.status, file.headers["content-type"]],
        [200, "application/javascript; charset=utf-8"]
      )
    })
  )

  for (const path of ["/chat", "/chat/"]) {
    it.live(`${path} is logged as it is`, () =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        const logger = Logger.make(({ message }) => void lines.push(String(message)))
        yield* Layer.build(
          NodeSocketIoServer.layer({ port: 0, host: "127.0.0.1", path }).pipe(Layer.provide(Logger.layer([logger])))
        )
        assert.match(lines.join("\n"), /^Socket\.IO server listening on http:\/\/127\.0\.0\.1:\d+\/chat\/$/)
      })
    )
  }
})

describe("upgrades of other paths", () => {
  /** A connection that asks for an upgrade, and what comes back until its end. */
  const knock = (url: string) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const socket = Net.connect(Number(new URL(url).port), "127.0.0.1")
        let text = ""
        let hasEnded = false
        const started = performance.now()
        socket.on("data", (chunk) => (text += chunk.toString()))
        const ended = within(
          "end",
          new Promise<number>((resolve) =>
            socket.on("end", () => {
              hasEnded = true
              resolve(performance.now() - started)
            })
          )
        )
        ended.catch(() => {})
        socket.write("GET /nobody HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        return {
          ended: Effect.promise(() => ended),
          hasEnded: () => hasEnded,
          text: () => text,
          socket
        }
      }),
      ({ socket }) => Effect.sync(() => socket.destroy())
    )

  it.live("are ended after foreignUpgrades.timeout, not before, with nothing said", () =>
    Effect.gen(function* () {
      const { url } = yield* serveBeside({ foreignUpgrades: { timeout: "150 millis" } })
      const connection = yield* knock(url)
      // Timers of Node may be early by a millisecond.
      assert.isAtLeast(yield* connection.ended, 148)
      assert.strictEqual(connection.text(), "")
    })
  )

  it.live("are ended at once with a timeout of 0", () =>
    Effect.gen(function* () {
      const patient = yield* serveBeside({ foreignUpgrades: { timeout: "1 hour" } })
      const hasty = yield* serveBeside({ foreignUpgrades: { timeout: 0 } })
      const waiting = yield* knock(patient.url)
      for (let i = 0; i < 3; i++) yield* (yield* knock(hasty.url)).ended
      assert.isFalse(waiting.hasEnded())
      // A client that leaves by itself is not waited for.
      waiting.socket.resetAndDestroy()
    })
  )

  it.live("are left alone with foreignUpgrades.destroy: false, and may be reset", () =>
    Effect.gen(function* () {
      const lenient = yield* serveBeside({ foreignUpgrades: { timeout: 0, destroy: false } })
      const strict = yield* serveBeside({ foreignUpgrades: { timeout: 0 } })
      const connection = yield* knock(lenient.url)
      assert.strictEqual((yield* Effect.promise(() => request(`${lenient.url}/x`))).body, "theirs /x")
      // Those that came later have been ended by now elsewhere.
      for (let i = 0; i < 3; i++) yield* (yield* knock(strict.url)).ended
      assert.isFalse(connection.hasEnded())
      connection.socket.resetAndDestroy()
      assert.strictEqual((yield* Effect.promise(() => request(`${lenient.url}/x`))).body, "theirs /x")
    })
  )

  it.live("are left alone when somebody else listens for them, who may take his time", () =>
    Effect.gen(function* () {
      const { http, url } = yield* serveBeside({ foreignUpgrades: { timeout: 0 } })
      http.on("upgrade", (_request, socket) => {
        setTimeout(() => socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"), 50)
      })
      const connection = yield* knock(url)
      yield* connection.ended
      assert.match(connection.text(), /^HTTP\/1\.1 101 /)
    })
  )
})
