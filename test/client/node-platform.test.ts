/**
 * The platform of Node: headers and cookies on every way, bounds, and what is said when nothing comes about.
 */
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Schedule, Stream } from "effect"
import { Server } from "socket.io"
import { WebSocketServer } from "ws"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { listen } from "../support/serve.ts"
import { cert, key } from "../support/certificate.ts"

/** The requests that a server got. */
interface Asked {
  readonly transport: string
  readonly sid: string | null
  readonly headers: Http.IncomingHttpHeaders
}

/** Sees requests before the server does, and what a load balancer would add to their responses. */
const watch = (http: Http.Server, setCookie?: (asked: Asked) => string | undefined): ReadonlyArray<Asked> => {
  const seen: Array<Asked> = []
  const note = ({ headers, url }: Http.IncomingMessage): Asked => {
    const query = new URL(url!, "http://localhost").searchParams
    const asked = { transport: query.get("transport")!, sid: query.get("sid"), headers }
    seen.push(asked)
    return asked
  }
  const emit = http.emit
  http.emit = function (this: Http.Server, event: string, ...args: Array<any>): boolean {
    if (event === "request" || event === "upgrade") {
      const asked = note(args[0])
      const cookie = event === "request" ? setCookie?.(asked) : undefined
      if (cookie !== undefined) args[1].setHeader("set-cookie", cookie)
    }
    return (emit as (...args: Array<any>) => boolean).call(this, event, ...args)
  } as typeof http.emit
  return seen
}

const official = (http: Http.Server, cookie = true) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const io = new Server(http, { serveClient: false, cookie, maxHttpBufferSize: 10_000_000 })
      io.on("connection", (socket) => socket.on("echo", (value, done) => done(value)))
    }),
    () => Effect.void
  )

const ours = (http: Http.Server, cookie: boolean) =>
  Layer.build(
    SocketIoServer.layerNamespace("/", (socket) => socket.on("echo", (value) => Effect.succeed(value))).pipe(
      Layer.provide(
        NodeSocketIoServer.layerAttached(http, { cookie, limits: { maxPayload: 10_000_000 }, drainTimeout: "1 second" })
      )
    )
  ).pipe(Effect.orDie)

/** A client that is one until the test is over. */
const clientOf = (options: ClientOptions, platform: NodeClientPlatform.NodeClientOptions = {}) =>
  Layer.build(SocketIoClient.layer(options).pipe(Layer.provide(NodeClientPlatform.layerWith(platform))))

/** The default namespace of a server, as a client of its own sees it. */
const connectTo = (options: ClientOptions, platform: NodeClientPlatform.NodeClientOptions = {}) =>
  Effect.flatMap(clientOf(options, platform), (client) => Effect.provideContext(SocketIoClient.connect("/"), client))

/** Waits for what must happen while the client goes about its work. */
const eventually = (what: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (what() ? Effect.void : Effect.andThen(Effect.sleep("5 millis"), eventually(what))))

const ways = [
  ["polling", { transports: ["polling"] }],
  ["WebSocket", { transports: ["websocket"] }],
  ["an upgrade", {}]
] as const

for (const [peer, attach] of [
  ["the official server", official],
  ["our server", ours]
] as const) {
  describe(`the platform of Node, against ${peer}`, () => {
    /** A server that is watched. */
    const serving = Effect.fnUntraced(function* (setCookie?: (asked: Asked) => string | undefined) {
      const http = Http.createServer()
      const url = yield* listen(http)
      yield* attach(http, setCookie === undefined)
      return { url, seen: watch(http, setCookie) }
    })

    for (const [way, options] of ways) {
      it.live(`sends headers with every request over ${way}`, () =>
        Effect.gen(function* () {
          const { seen, url } = yield* serving()
          const socket = yield* connectTo({ url, headers: { authorization: "Bearer x" }, ...options })
          assert.deepStrictEqual(yield* socket.emitWithAck("echo", 1), [1])
          if (way === "an upgrade") yield* eventually(() => seen.some(({ transport }) => transport === "websocket"))
          assert.isNotEmpty(seen)
          assert.deepStrictEqual([...new Set(seen.map(({ headers }) => headers.authorization))], ["Bearer x"])
        })
      )

      it.live(`carries binary both ways over ${way}`, () =>
        Effect.gen(function* () {
          const { url } = yield* serving()
          const socket = yield* connectTo({ url, ...options }, { perMessageDeflate: true })
          const bytes = new Uint8Array(100_000).map((_, i) => i)
          const [answer] = yield* socket.emitWithAck("echo", bytes)
          assert.isTrue(Buffer.from(answer as Uint8Array).equals(Buffer.from(bytes)))
        })
      )
    }

    it.live("brings the session's cookie back with later requests and with the upgrade", () =>
      Effect.gen(function* () {
        const { seen, url } = yield* serving()
        const socket = yield* connectTo({ url, withCredentials: true })
        yield* socket.emitWithAck("echo", 1)
        yield* eventually(() => seen.some(({ transport }) => transport === "websocket"))
        const [first, ...later] = seen
        assert.isUndefined(first!.headers.cookie)
        assert.isAbove(later.length, 1)
        for (const { headers, sid } of later) assert.strictEqual(headers.cookie, `io=${sid}`)
      })
    )

    it.live("brings a load balancer's cookie back, with the application's own ones", () =>
      Effect.gen(function* () {
        const { seen, url } = yield* serving(({ sid }) =>
          sid === null ? "node=a%2Fb; Path=/elsewhere; HttpOnly; Max-Age=60" : undefined
        )
        const socket = yield* connectTo({ url, withCredentials: true, headers: { Cookie: "mine=1; node=old" } })
        yield* socket.emitWithAck("echo", 1)
        yield* eventually(() => seen.some(({ transport }) => transport === "websocket"))
        assert.strictEqual(seen[0]!.headers.cookie, "mine=1; node=old")
        for (const { headers } of seen.slice(1)) {
          assert.sameMembers(headers.cookie!.split("; "), ["mine=1", "node=a%2Fb"])
        }
      })
    )

    it.live("keeps no cookies without withCredentials", () =>
      Effect.gen(function* () {
        const { seen, url } = yield* serving()
        const socket = yield* connectTo({ url, transports: ["polling"] })
        yield* socket.emitWithAck("echo", 1)
        assert.isAbove(seen.length, 1)
        assert.isTrue(seen.every(({ headers }) => headers.cookie === undefined))
      })
    )

    it.live("has a jar per client", () =>
      Effect.gen(function* () {
        const { seen, url } = yield* serving()
        const platform = yield* Layer.build(NodeClientPlatform.layer)
        const connect = Effect.flatMap(
          Layer.build(SocketIoClient.layer({ url, withCredentials: true, transports: ["polling"] })),
          (client) => Effect.provideContext(SocketIoClient.connect("/"), client)
        ).pipe(Effect.provideContext(platform))
        yield* connect
        yield* connect
        const openings = seen.filter(({ sid }) => sid === null)
        assert.deepStrictEqual(
          openings.map(({ headers }) => headers.cookie),
          [undefined, undefined]
        )
      })
    )

    for (const [way, options] of ways) {
      it.live(`connects through an agent over ${way}, with headers, cookies and bytes`, () =>
        Effect.gen(function* () {
          const { seen, url } = yield* serving()
          const asked: Array<string> = []
          // It connects to where the server is, whatever the address says, as a proxy does.
          class Through extends Http.Agent {
            override createConnection(options: Net.NetConnectOpts): Net.Socket {
              asked.push((options as Net.TcpNetConnectOpts).host!)
              return Net.connect(Number(new URL(url).port), "127.0.0.1")
            }
          }
          const agent = new Through({ keepAlive: true })
          yield* Effect.addFinalizer(() => Effect.sync(() => agent.destroy()))
          const socket = yield* connectTo(
            { url: "http://behind.invalid", withCredentials: true, headers: { authorization: "Bearer x" }, ...options },
            { agent }
          )
          const bytes = new Uint8Array(100_000).map((_, i) => i)
          const [answer] = yield* socket.emitWithAck("echo", bytes)
          assert.isTrue(Buffer.from(answer as Uint8Array).equals(Buffer.from(bytes)))
          if (way === "an upgrade") yield* eventually(() => seen.some(({ transport }) => transport === "websocket"))
          assert.deepStrictEqual([...new Set(asked)], ["behind.invalid"])
          assert.deepStrictEqual([...new Set(seen.map(({ headers }) => headers.authorization))], ["Bearer x"])
          const last = seen.at(-1)!
          if (last.sid !== null) assert.strictEqual(last.headers.cookie, `io=${last.sid}`)
        })
      )
    }

    for (const [way, options] of ways.slice(0, 2)) {
      it.live(`ends the connection over ${way} when more comes than is allowed`, () =>
        Effect.gen(function* () {
          const { url } = yield* serving()
          const socket = yield* connectTo({ url, reconnection: false, ...options }, { maxPayload: 100_000 })
          const small = "x".repeat(50_000)
          assert.deepStrictEqual(yield* socket.emitWithAck("echo", small), [small])
          const ended = yield* Deferred.make<string>()
          yield* Effect.forkChild(
            Stream.runForEach(socket.status, (status) =>
              status._tag === "Disconnected" ? Deferred.succeed(ended, status.reason) : Effect.void
            ),
            { startImmediately: true }
          )
          const error = yield* Effect.flip(socket.emitWithAck("echo", "x".repeat(200_000)))
          assert.strictEqual(error.reason._tag, "Disconnected")
          assert.strictEqual(yield* Deferred.await(ended), "payload too large")
        })
      )
    }
  })
}

describe("the platform of Node", () => {
  it.live("stores the cookies of a WebSocket's handshake, and brings them back with the next one", () =>
    Effect.gen(function* () {
      const http = Http.createServer()
      const url = yield* listen(http)
      const cookies: Array<string | undefined> = []
      const second = yield* Deferred.make<void>()
      const wss = new WebSocketServer({ server: http })
      wss.on("headers", (headers) => headers.push("Set-Cookie: node=7"))
      wss.on("connection", (ws, request) => {
        cookies.push(request.headers.cookie)
        if (cookies.length === 2) Deferred.doneUnsafe(second, Effect.void)
        ws.terminate()
      })
      const client = yield* clientOf({
        url,
        withCredentials: true,
        transports: ["websocket"],
        reconnection: Schedule.spaced("1 millis")
      })
      yield* Effect.provideContext(SocketIoClient.socket("/"), client)
      yield* Deferred.await(second)
      assert.deepStrictEqual(cookies.slice(0, 2), [undefined, "node=7"])
    })
  )

  it.live("says that a message is too large", () =>
    Effect.gen(function* () {
      const http = Http.createServer()
      const url = yield* listen(http)
      new WebSocketServer({ server: http }).on("connection", (ws) => ws.send("x".repeat(1_001)))
      const platform = yield* NodeClientPlatform.make({ maxPayload: 1_000 })
      const description = yield* Effect.callback<string | undefined>((resume) => {
        platform.openWebSocket(
          { url: url.replace("http", "ws"), headers: {}, protocols: [], withCredentials: false },
          {
            onOpen: () => {},
            onText: () => resume(Effect.succeed("it arrived")),
            onBinary: () => {},
            onClose: (description) => resume(Effect.succeed(description))
          }
        )
      })
      assert.match(String(description), /max payload size exceeded/i)
    })
  )

  for (const [way, options] of ways.slice(0, 2)) {
    const failure = (url: string, platform: NodeClientPlatform.NodeClientOptions = {}) =>
      Effect.map(Effect.flip(connectTo({ url, reconnection: false, ...options }, platform)), ({ message }) => message)

    it.live(`says over ${way} that the connection was refused`, () =>
      Effect.gen(function* () {
        const port = yield* Effect.scoped(Effect.map(listen(Http.createServer()), (url) => new URL(url).port))
        assert.match(yield* failure(`http://127.0.0.1:${port}`), /ECONNREFUSED 127\.0\.0\.1/)
        // A name with several addresses: several attempts.
        assert.match(yield* failure(`http://localhost:${port}`), /ECONNREFUSED/)
      })
    )

    it.live(`says over ${way} that the name is not known`, () =>
      Effect.gen(function* () {
        assert.match(yield* failure("http://nowhere.invalid"), /nowhere\.invalid/)
      })
    )

    it.live(`says over ${way} that the certificate is nobody's`, () =>
      Effect.gen(function* () {
        const https = Https.createServer({ key, cert })
        const url = yield* listen(https as unknown as Http.Server)
        assert.match(yield* failure(url.replace("http", "https")), /self-signed certificate/)
      })
    )

    it.live(`says over ${way} that the server speaks no TLS`, () =>
      Effect.gen(function* () {
        const url = yield* listen(Http.createServer())
        assert.match(yield* failure(url.replace("http", "https")), /SSL|TLS|EPROTO|packet length|wrong version/i)
      })
    )

    it.live(`says over ${way} what another server answered`, () =>
      Effect.gen(function* () {
        const url = yield* listen(Http.createServer((_request, response) => response.writeHead(404).end()))
        assert.match(yield* failure(url), /404/)
      })
    )
  }

  it.live("takes certificates for WebSockets, and another fetch for polling", () =>
    Effect.gen(function* () {
      const https = Https.createServer({ key, cert })
      const url = (yield* listen(https as unknown as Http.Server)).replace("http", "https")
      yield* official(https as unknown as Http.Server)
      const trusting = yield* connectTo({ url, transports: ["websocket"] }, { tls: { ca: cert } })
      assert.deepStrictEqual(yield* trusting.emitWithAck("echo", 1), [1])
      const careless = yield* connectTo({ url, transports: ["websocket"] }, { tls: { rejectUnauthorized: false } })
      assert.deepStrictEqual(yield* careless.emitWithAck("echo", 2), [2])
      const plain = Http.createServer()
      const elsewhere = yield* listen(plain)
      yield* official(plain)
      const polling = yield* connectTo(
        { url, transports: ["polling"] },
        { fetch: (address, init) => fetch(address.replace(url, elsewhere), init) }
      )
      assert.deepStrictEqual(yield* polling.emitWithAck("echo", 3), [3])
    })
  )

  it.live("refuses a bound that makes no sense", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(NodeClientPlatform.make({ maxPayload: 0 }))
      assert.strictEqual(error.option, "maxPayload")
    })
  )
})
