/**
 * The edge for servers that speak the fetch API, with requests and WebSockets that the test makes.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"

import * as EngineServer from "../../src/engine/EngineServer.ts"
import { RequestForbidden } from "../../src/engine/HandshakeError.ts"
import type { EngineOptions } from "../../src/engine/EngineOptions.ts"
import { OutboundMessage } from "../../src/engine/OutboundMessage.ts"
import * as WebEngine from "../../src/web/WebEngine.ts"
import { makeCollector } from "../support/engine.ts"
import { within } from "../support/RawClient.ts"
import { FakeWebSocket } from "./fakeWebSocket.ts"

const INFO: WebEngine.RequestInfo = { address: "192.0.2.1", secure: true }

const urlOf = (query: Record<string, string>, path = "/socket.io/") =>
  `http://example.com${path}?${new URLSearchParams({ EIO: "4", transport: "polling", ...query }).toString()}`

/** An engine, and what brings it requests. */
const open = Effect.fnUntraced(function* (options: EngineOptions = {}, web: WebEngine.HandlerOptions = {}) {
  const { onSession, ...told } = makeCollector()
  const sockets: Array<FakeWebSocket> = []
  const engine = yield* EngineServer.make({ drainTimeout: 0, ...options }, onSession)
  const upgraded: Array<Headers> = []
  const handler = yield* WebEngine.makeHandler(engine, {
    upgrade: (_request, headers) => {
      const socket = new FakeWebSocket()
      sockets.push(socket)
      upgraded.push(headers)
      // Node makes no response with status 101.
      return { response: new Response(null, { status: 200, headers: { "x-switching": "yes" } }), socket }
    },
    ...web
  })
  const fetch = (query: Record<string, string> = {}, init: RequestInit = {}, info = INFO) =>
    Effect.promise(async () => within("response", Promise.resolve(handler(new Request(urlOf(query), init), info))))
  const text = (query: Record<string, string> = {}, init: RequestInit = {}) =>
    Effect.flatMap(fetch(query, init), (response) => Effect.promise(() => response.text()))
  const webSocket = Effect.fnUntraced(function* (query: Record<string, string> = {}) {
    const response = yield* fetch({ transport: "websocket", ...query }, { headers: { upgrade: "websocket" } })
    assert.strictEqual(response.headers.get("x-switching"), "yes")
    const socket = sockets.at(-1)!
    socket.open()
    return socket
  })
  const handshake = Effect.map(text(), (body) => JSON.parse(body.slice(1)).sid as string)
  return { engine, handler, fetch, text, webSocket, handshake, ...told, upgraded, sockets }
})

/** Waits until something is so. */
const until = (isSo: () => boolean) =>
  Effect.promise(() =>
    within(
      "change",
      (async () => {
        while (!isSo()) await new Promise<void>((resolve) => setImmediate(resolve))
      })()
    )
  )

describe("a handler of the fetch API", () => {
  it.live("opens sessions over polling, takes packets and sends packets", () =>
    Effect.gen(function* () {
      const { closes, fetch, handshake, messages, sessions, text } = yield* open()
      const sid = yield* handshake
      assert.strictEqual(sessions[0]!.details.address, "192.0.2.1")
      assert.isTrue(sessions[0]!.details.secure)
      assert.strictEqual(sessions[0]!.details.url, "/socket.io/?EIO=4&transport=polling")
      const posted = yield* fetch({ sid }, { method: "POST", body: "4h\u00e9\x1ebAQID" })
      assert.strictEqual(posted.status, 200)
      assert.deepStrictEqual(messages, ["4h\u00e9", Buffer.from([1, 2, 3])])
      yield* sessions[0]!.send("back")
      assert.strictEqual(yield* text({ sid }), "4back")
      yield* fetch({ sid }, { method: "POST", body: "1" })
      assert.strictEqual(closes[0]!.reason, "transport close")
    })
  )

  it.live("gives others their turn while a body comes in chunks of one byte, and takes it whole", () =>
    Effect.gen(function* () {
      const { fetch, handshake, messages } = yield* open()
      const sid = yield* handshake
      const letters = new TextEncoder().encode(`4${"x".repeat(5_000)}`)
      let [sent, inTurn, most, turns] = [0, 0, 0, 0]
      const body = new ReadableStream<Uint8Array>(
        {
          pull: (controller) => {
            if (inTurn++ === 0) {
              turns++
              setImmediate(() => {
                most = Math.max(most, inTurn)
                inTurn = 0
              })
            }
            if (sent === letters.length) controller.close()
            else controller.enqueue(letters.subarray(sent, ++sent))
          }
        },
        { highWaterMark: 0 }
      )
      const { status } = yield* fetch({ sid }, { method: "POST", body, duplex: "half" } as RequestInit)
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(messages, [`4${"x".repeat(5_000)}`])
      // Without turns it is read in one.
      assert.isAtMost(most, 300)
      assert.isAtLeast(turns, 17)
    })
  )

  it.live("answers a request whose body breaks off, and closes its connection", () =>
    Effect.gen(function* () {
      const { closes, fetch, handshake } = yield* open()
      for (const headers of [{}, { "content-length": "10" }]) {
        const sid = yield* handshake
        const body = new ReadableStream<Uint8Array>({
          start: (controller) => controller.enqueue(Uint8Array.of(52)),
          pull: (controller) => controller.error(new Error("invalid chunk"))
        })
        const { headers: answered, status } = yield* fetch({ sid }, {
          method: "POST",
          body,
          headers,
          duplex: "half"
        } as RequestInit)
        assert.deepStrictEqual([status, answered.get("connection")], [500, "close"])
        assert.strictEqual(closes.at(-1)!.description, "a post was aborted")
      }
    })
  )

  it.live("closes a session whose poll is aborted by its signal", () =>
    Effect.gen(function* () {
      const { closes, handler, handshake } = yield* open()
      const sid = yield* handshake
      const abort = new AbortController()
      void handler(new Request(urlOf({ sid }), { signal: abort.signal }), INFO)
      const early = yield* Effect.promise(async () =>
        handler(new Request(urlOf({}), { signal: AbortSignal.abort() }), INFO)
      )
      assert.strictEqual(early.status, 400)
      abort.abort()
      yield* until(() => closes.length > 0)
      assert.strictEqual(closes[0]!.reason, "transport error")
    })
  )

  it.live("reads a body without a length up to the largest message, and no further", () =>
    Effect.gen(function* () {
      const { fetch, handshake, messages } = yield* open({ limits: { maxPayload: 1_000 } })
      const sid = yield* handshake
      let pulled = 0
      const streamed = (chunks: number, chunk: string) =>
        new ReadableStream({
          pull: (controller) => {
            if (pulled++ === chunks) controller.close()
            else controller.enqueue(new TextEncoder().encode(chunk))
          }
        })
      const init = (body: ReadableStream) => ({ method: "POST", body, duplex: "half" }) as RequestInit
      assert.strictEqual((yield* fetch({ sid }, init(streamed(5, "4444")))).status, 200)
      assert.deepStrictEqual(messages, ["4444".repeat(5)])
      pulled = 0
      assert.strictEqual((yield* fetch({ sid }, init(streamed(1_000_000, "4".repeat(100))))).status, 413)
      assert.isBelow(pulled, 20)
      const announced = yield* fetch(
        { sid },
        { method: "POST", body: "4".repeat(2_000), headers: { "content-length": "2000" } }
      )
      assert.strictEqual(announced.status, 413)
    })
  )

  it.live("refuses a body that is larger than it was announced", () =>
    Effect.gen(function* () {
      const { fetch, handshake } = yield* open({ limits: { maxPayload: 1_000 } })
      const sid = yield* handshake
      const init = { method: "POST", body: "4".repeat(2_000), headers: { "content-length": "10" } }
      assert.strictEqual((yield* fetch({ sid }, init)).status, 413)
    })
  )

  it.live("counts a large response until it is read, and closes a session that reads none", () =>
    Effect.gen(function* () {
      const { closes, fetch, handshake, sessions } = yield* open({ limits: { maxOutbox: 300_000 } })
      const sid = yield* handshake
      const session = sessions[0]!
      yield* session.send("x".repeat(200_000))
      const first = yield* fetch({ sid })
      assert.strictEqual(first.headers.get("content-length"), "200001")
      assert.isAtLeast(session.buffered, 200_000)
      assert.strictEqual((yield* Effect.promise(() => first.text())).length, 200_001)
      yield* until(() => session.buffered === 0)
      yield* session.send("x".repeat(200_000))
      yield* fetch({ sid })
      assert.strictEqual(closes.length, 0)
      // Everything beyond the budget must be read as fast as it is sent, except for an eighth.
      let sent = 0
      for (; closes.length === 0; sent++) {
        yield* session.send("x".repeat(100_000))
        yield* Effect.sleep("1 millis")
      }
      assert.isBelow(sent, 20)
      assert.strictEqual(closes[0]!.reason, "outbox overflow")
    })
  )

  it.live("drops the connection of a response that is not read in time", () =>
    Effect.gen(function* () {
      const { fetch, handshake, sessions } = yield* open({ heartbeat: { pingTimeout: "50 millis" } })
      const sid = yield* handshake
      yield* sessions[0]!.send("x".repeat(200_000))
      const { body } = yield* fetch({ sid })
      yield* until(() => sessions[0]!.buffered === 0)
      const read = yield* Effect.exit(Effect.tryPromise(() => new Response(body).text()))
      assert.isTrue(Exit.isFailure(read))
    })
  )

  it.live("sends cookies, CORS, and the headers of the application, with upgrades, too", () =>
    Effect.gen(function* () {
      const { fetch, upgraded, webSocket } = yield* open({
        cookie: true,
        cors: { origin: "https://example.org", credentials: true },
        responseHeaders: () => ({ "x-app": "1", "set-cookie": ["a=1", "b=2"] })
      })
      const { headers } = yield* fetch({}, { headers: { origin: "https://example.org" } })
      assert.strictEqual(headers.get("access-control-allow-origin"), "https://example.org")
      assert.strictEqual(headers.get("x-content-type-options"), "nosniff")
      assert.strictEqual(headers.getSetCookie().length, 3)
      assert.match(headers.getSetCookie()[2]!, /^io=/)
      const preflight = yield* fetch({}, { method: "OPTIONS", headers: { origin: "https://example.org" } })
      assert.strictEqual(preflight.status, 204)
      assert.include(preflight.headers.get("access-control-allow-methods"), "POST")
      yield* webSocket()
      assert.strictEqual(upgraded[0]!.get("x-app"), "1")
      assert.deepStrictEqual(upgraded[0]!.getSetCookie(), ["a=1", "b=2"])
    })
  )

  it.live("refuses by origin, by the application and by numbers, before a WebSocket is open", () =>
    Effect.gen(function* () {
      const { fetch, handshake } = yield* open({
        allowedOrigins: "https://example.org",
        limits: { maxConnectionsPerAddress: 1 },
        handshake: {
          allowRequest: (request) =>
            request.query.has("forbidden")
              ? Effect.andThen(Effect.yieldNow, Effect.fail(new RequestForbidden({ message: "go away" })))
              : Effect.void
        }
      })
      const init = (upgrade: boolean, headers = {}) => ({
        headers: { ...headers, ...(upgrade ? { upgrade: "websocket" } : {}) }
      })
      for (const upgrade of [false, true]) {
        const transport = upgrade ? "websocket" : "polling"
        const evil = yield* fetch({ transport }, init(upgrade, { origin: "https://evil.example" }))
        assert.strictEqual(evil.status, 403)
        const forbidden = yield* fetch({ transport, forbidden: "1" }, init(upgrade))
        assert.strictEqual(forbidden.status, upgrade ? 400 : 403)
        assert.include(yield* Effect.promise(() => forbidden.text()), "go away")
      }
      yield* handshake
      for (const upgrade of [false, true]) {
        const full = yield* fetch({ transport: upgrade ? "websocket" : "polling" }, init(upgrade))
        assert.strictEqual(full.status, 503)
        assert.strictEqual(full.headers.get("retry-after"), "5")
      }
      const other = yield* fetch({}, {}, { address: "192.0.2.2", secure: false })
      assert.strictEqual(other.status, 200)
    })
  )

  it.live("interrupts the decision on a request that is aborted", () =>
    Effect.gen(function* () {
      let asked = 0
      let interrupted = 0
      const allowRequest = () =>
        Effect.suspend(() => {
          asked++
          return Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
        })
      const { handler } = yield* open({ handshake: { allowRequest } })
      for (const upgrade of [false, true]) {
        const abort = new AbortController()
        const headers: Record<string, string> = upgrade ? { upgrade: "websocket" } : {}
        const url = urlOf({ transport: upgrade ? "websocket" : "polling" })
        const answer = Promise.resolve(handler(new Request(url, { signal: abort.signal, headers }), INFO))
        yield* until(() => asked === (upgrade ? 2 : 1))
        abort.abort()
        yield* until(() => interrupted === asked)
        yield* Effect.promise(() => within("answer", answer))
      }
    })
  )

  it.live("believes proxies that it trusts", () =>
    Effect.gen(function* () {
      const { fetch, sessions } = yield* open({}, { trustedProxies: ["192.0.2.0/24"] })
      const forwarded = { headers: { "x-forwarded-for": "203.0.113.9" } }
      yield* fetch({}, forwarded)
      yield* fetch({}, forwarded, { address: "198.51.100.1", secure: false })
      assert.deepStrictEqual(
        sessions.map(({ details }) => details.address),
        ["203.0.113.9", "198.51.100.1"]
      )
    })
  )

  it.live("answers at paths of other layers, and leaves the rest to the application", () =>
    Effect.gen(function* () {
      const { engine, handler } = yield* open(
        {},
        { path: "/live", fetch: ({ url }) => new Response(`app ${new URL(url).pathname}`) }
      )
      yield* engine.routes.add("path", "/readyz", (exchange) =>
        exchange.respond(200, {}, `${Effect.runSync(engine.readiness)} ${exchange.request.method}`)
      )
      const get = (path: string) =>
        Effect.promise(async () => {
          const response = await handler(new Request(`http://example.com${path}`), INFO)
          return `${response.status} ${(await response.text()).slice(0, 30)}`
        })
      assert.strictEqual(yield* get("/readyz"), "200 ready GET")
      assert.strictEqual(yield* get("/socket.io/?EIO=4&transport=polling"), "200 app /socket.io/")
      assert.match(yield* get("/live/?EIO=4&transport=polling"), /^200 0\{"sid"/)
      assert.match(yield* get("/live?EIO=4&transport=polling"), /^200 0\{"sid"/)
      yield* engine.drain
      assert.match(yield* get("/live/?EIO=4&transport=polling"), /^503/)
      yield* Effect.exit(engine.move({ notice: 0 }))
      assert.strictEqual(yield* get("/readyz"), "200 draining GET")
    })
  )

  it.live("answers requests for WebSockets with 400 where there are none", () =>
    Effect.gen(function* () {
      const engine = yield* EngineServer.make({})
      const handler = yield* WebEngine.makeHandler(engine)
      const request = new Request(urlOf({ transport: "websocket" }), { headers: { upgrade: "websocket" } })
      const response = yield* Effect.promise(async () => handler(request, INFO))
      assert.strictEqual(response.status, 400)
    })
  )

  it.effect("refuses options that make no sense", () =>
    Effect.gen(function* () {
      const engine = yield* EngineServer.make({})
      for (const [option, value] of Object.entries({
        path: "socket.io",
        trustedProxies: ["10.0.0.0/33"],
        maxHeldBytes: 0,
        unknown: 1
      })) {
        const error = yield* Effect.flip(WebEngine.makeHandler(engine, { [option]: value }))
        assert.strictEqual(error.option, option)
      }
    })
  )
})

describe("a standard WebSocket", () => {
  it.live("carries a session, in both forms", () =>
    Effect.gen(function* () {
      const { closes, messages, sessions, webSocket } = yield* open()
      const socket = yield* webSocket()
      assert.match(String(socket.sent[0]), /^0\{"sid"/)
      socket.receive("4h\u00e9")
      socket.receive(Uint8Array.from([1, 2]).buffer)
      assert.deepStrictEqual(messages, ["4h\u00e9", Uint8Array.from([1, 2])])
      yield* sessions[0]!.send("back")
      yield* sessions[0]!.send(Uint8Array.from([3]))
      assert.deepStrictEqual(socket.sent.slice(1), ["4back", Uint8Array.from([3])])
      socket.end(1005)
      assert.strictEqual(closes[0]!.reason, "transport close")
    })
  )

  it.live("takes over a session that polled", () =>
    Effect.gen(function* () {
      const { handshake, sessions, text, webSocket } = yield* open()
      const sid = yield* handshake
      const socket = yield* webSocket({ sid })
      socket.receive("2probe")
      assert.deepStrictEqual(socket.sent, ["3probe"])
      assert.strictEqual(yield* text({ sid }), "6")
      socket.receive("5")
      yield* sessions[0]!.send("over")
      assert.deepStrictEqual(socket.sent, ["3probe", "4over"])
    })
  )

  it.live("that never opens harms nobody", () =>
    Effect.gen(function* () {
      const { engine, fetch, sessions } = yield* open()
      yield* fetch({ transport: "websocket" }, { headers: { upgrade: "websocket" } })
      assert.strictEqual(sessions.length, 0)
      assert.strictEqual(engine.sessionCount, 0)
    })
  )

  it.live("that opens after the last place was taken, or after the server has closed, is closed at once", () =>
    Effect.gen(function* () {
      const { engine, fetch, sessions, sockets } = yield* open({ limits: { maxConnections: 1 } })
      const ask = fetch({ transport: "websocket" }, { headers: { upgrade: "websocket" } })
      yield* ask
      yield* ask
      yield* ask
      sockets[0]!.open()
      sockets[1]!.open()
      assert.strictEqual(sessions.length, 1)
      assert.strictEqual(engine.sessionCount, 1)
      assert.strictEqual(sockets[0]!.readyState, 1)
      assert.strictEqual(sockets[1]!.readyState, 2)
      sockets[1]!.end(1006)
      sockets[0]!.end(1005)
      yield* engine.drain
      sockets[2]!.open()
      assert.strictEqual(sessions.length, 1)
      assert.strictEqual(engine.sessionCount, 0)
      assert.strictEqual(sockets[2]!.readyState, 2)
      sockets[2]!.end(1006)
    })
  )

  it.live("that opens after the end of the session that it would take over is closed", () =>
    Effect.gen(function* () {
      const { engine, fetch, handshake, sessions, sockets } = yield* open()
      const sid = yield* handshake
      yield* fetch({ transport: "websocket", sid }, { headers: { upgrade: "websocket" } })
      yield* sessions[0]!.close()
      yield* fetch({ sid })
      assert.strictEqual(engine.sessionCount, 0)
      const socket = sockets[0]!
      socket.open()
      socket.receive("2probe")
      assert.strictEqual(socket.readyState, 2)
      assert.deepStrictEqual(socket.sent, [])
    })
  )

  it.live("is closed with 1009 after a message that is too large, by its bytes", () =>
    Effect.gen(function* () {
      const { closes, messages, webSocket } = yield* open({ limits: { maxPayload: 100 } })
      const fits = yield* webSocket()
      fits.receive(`4${"\u00e9".repeat(49)}`)
      assert.strictEqual(messages.length, 1)
      for (const data of [`4${"\u00e9".repeat(50)}`, new Uint8Array(101).buffer]) {
        const socket = yield* webSocket()
        socket.receive(data)
        assert.strictEqual(socket.closedWith, 1009)
        assert.strictEqual(closes.at(-1)!.reason, "payload too large")
        // Later messages belong to no session.
        socket.receive("4more")
        assert.strictEqual(messages.length, 1)
      }
    })
  )

  it.live("holds messages while the session has paused, in their order", () =>
    Effect.gen(function* () {
      const { messages, sessions, webSocket } = yield* open()
      const socket = yield* webSocket()
      sessions[0]!.pauseUnsafe()
      for (let i = 0; i < 100; i++) socket.receive(`4${i}`)
      assert.strictEqual(messages.length, 0)
      sessions[0]!.resumeUnsafe()
      yield* until(() => messages.length === 100)
      assert.deepStrictEqual(
        messages,
        Array.from({ length: 100 }, (_, i) => `4${i}`)
      )
    })
  )

  it.live("is closed when more waits for a paused session than may, except for one message", () =>
    Effect.gen(function* () {
      const { closes, messages, sessions, webSocket } = yield* open({}, { maxHeldBytes: 1_000 })
      const socket = yield* webSocket()
      sessions[0]!.pauseUnsafe()
      socket.receive(`4${"x".repeat(5_000)}`)
      assert.strictEqual(closes.length, 0)
      socket.receive("4y")
      assert.strictEqual(closes[0]!.reason, "inbound overflow")
      assert.strictEqual(socket.closedWith, 1013)
      assert.strictEqual(messages.length, 0)
    })
  )

  it.live("counts small messages with their objects", () =>
    Effect.gen(function* () {
      const { closes, sessions, webSocket } = yield* open({}, { maxHeldBytes: 10_000 })
      const socket = yield* webSocket()
      sessions[0]!.pauseUnsafe()
      let count = 0
      for (; closes.length === 0; count++) socket.receive("3")
      assert.isBelow(count, 110)
      assert.isAbove(count, 50)
    })
  )

  it.live("gets a share at a time; the rest waits in the channel, counts, and is dropped with the session", () =>
    Effect.gen(function* () {
      const { closes, sessions, webSocket } = yield* open({ limits: { maxOutbox: 1_000_000 } })
      const socket = yield* webSocket()
      socket.stall()
      for (let i = 0; i < 9; i++) yield* sessions[0]!.send("x".repeat(100_000))
      assert.isAtMost(socket.bufferedAmount, 400_000)
      assert.isAtLeast(sessions[0]!.buffered, 900_000)
      assert.strictEqual(closes.length, 0)
      socket.release()
      yield* until(() => socket.sent.length === 10)
      assert.strictEqual(sessions[0]!.buffered, 0)
      socket.stall()
      for (let i = 0; i < 60; i++) yield* sessions[0]!.send("x".repeat(100_000))
      yield* until(() => closes.length > 0)
      assert.strictEqual(closes[0]!.reason, "outbox overflow")
      assert.isAtMost(socket.bufferedAmount, 400_000)
    })
  )

  it.live("gets some thousand small messages at a time, and the others count with their objects", () =>
    Effect.gen(function* () {
      const { closes, sessions, webSocket } = yield* open({ limits: { maxOutbox: 1_000_000 } })
      const socket = yield* webSocket()
      socket.stall()
      let sent = 0
      for (; sent < 20_000 && closes.length === 0; sent++) {
        sessions[0]!.sendUnsafe(new OutboundMessage("4", undefined, false))
        if (sent % 1_000 === 0) yield* Effect.sleep("1 millis")
      }
      assert.isAtMost(socket.sent.length, 2_050)
      assert.isAtMost(sent - socket.sent.length, 1_125_000 / 130)
      assert.strictEqual(closes[0]!.reason, "outbox overflow")
    })
  )

  it.live("sends everything that waits before it closes", () =>
    Effect.gen(function* () {
      const { sessions, webSocket } = yield* open()
      const socket = yield* webSocket()
      socket.stall()
      for (let i = 0; i < 9; i++) yield* sessions[0]!.send("x".repeat(100_000))
      yield* sessions[0]!.close()
      assert.isUndefined(socket.closedWith)
      socket.release()
      yield* until(() => socket.closedWith !== undefined)
      assert.strictEqual(socket.sent.length, 10)
    })
  )

  it.live("lets others have their turn when it brings many messages", () =>
    Effect.gen(function* () {
      const { messages, webSocket } = yield* open()
      const [busy, other] = [yield* webSocket(), yield* webSocket()]
      for (let i = 0; i < 1_000; i++) busy.receive("4busy")
      other.receive("4other")
      assert.isBelow(messages.indexOf("4other"), 100)
      yield* until(() => messages.length === 1_001)
    })
  )

  it.live("that fails ends its session with the error's words", () =>
    Effect.gen(function* () {
      const { closes, webSocket } = yield* open()
      const socket = yield* webSocket()
      socket.fail("reset by peer")
      assert.strictEqual(closes[0]!.reason, "transport error")
      assert.strictEqual(closes[0]!.description, "reset by peer")
    })
  )
})
