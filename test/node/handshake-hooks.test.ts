/**
 * The hook that decides whether a session may open.
 */
import * as Http from "node:http"
import * as Net from "node:net"

import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Latch, Layer, Scope } from "effect"

import type { EngineRequest } from "../../src/engine/EngineRequest.ts"
import { RequestForbidden } from "../../src/engine/HandshakeError.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import { ask, poll, raise, sessionCount, soon, start } from "../support/handshake.ts"
import { engineUrl, openClient, PollingClient, RawSocket, request, transports, within } from "../support/RawClient.ts"
import { startUpgrade } from "../support/RawUpgrade.ts"
import { call, connect, listen, refusal } from "../support/serve.ts"
import type { HandshakeOptions } from "../../src/engine/EngineOptions.ts"

/** Asks for a session; gives the function that goes away. */
const knock = (url: string, transport: "polling" | "websocket"): (() => void) => {
  if (transport === "websocket") return startUpgrade(url).end
  const abort = new AbortController()
  request(engineUrl(url, { EIO: "4", transport }), { signal: abort.signal }).catch(() => {})
  return () => abort.abort()
}

/** A connection that has asked for a WebSocket. */
const earlyBird = (url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = Net.connect(Number(new URL(url).port), "127.0.0.1")
      socket.write(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
      )
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** A frame with the text `40`. */
const CONNECT = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x34, 0x30])

const forbid = (message: string) => Effect.fail(new RequestForbidden({ message }))

describe("allowRequest", () => {
  for (const when of ["at once", "later"]) {
    const pause = when === "later" ? Effect.sleep("20 millis") : Effect.void

    it.live(`lets clients in that it allows ${when}, over every transport`, () =>
      Effect.gen(function* () {
        const serving = yield* start({ handshake: { allowRequest: () => pause } })
        for (const transport of transports) {
          const raw = yield* Effect.promise(() => openClient(transport, serving.url))
          assert.match(raw.sid, /^[\w-]{20}$/)
          yield* Effect.promise(() => raw.close())
        }
        const socket = yield* connect(serving.url)
        assert.deepStrictEqual(yield* call(socket, "echo", 1, Buffer.from([2])), [1, Buffer.from([2])])
      })
    )

    it.live(`refuses over HTTP with status 403 and the message, ${when}`, () =>
      Effect.gen(function* () {
        const serving = yield* start({
          handshake: { allowRequest: () => Effect.andThen(pause, forbid('nobody "here"')) }
        })
        const { body, headers, status } = yield* poll(serving.url)
        assert.deepStrictEqual([status, body], [403, '{"code":4,"message":"nobody \\"here\\""}'])
        assert.strictEqual(headers["content-type"], "application/json")
        assert.strictEqual(sessionCount(serving), 0)
        assert.deepStrictEqual(serving.logs, [])
      })
    )

    it.live(`refuses an upgrade before any 101 with status 400 and the message, ${when}`, () =>
      Effect.gen(function* () {
        const serving = yield* start({
          handshake: { allowRequest: () => Effect.andThen(pause, forbid("späte gäste")) }
        })
        const { body, headers, status } = yield* ask(serving.url)
        assert.deepStrictEqual([status, body, headers.connection], [400, "späte gäste", "close"])
        assert.strictEqual(headers["content-length"], String(Buffer.byteLength(body)))
        assert.strictEqual(sessionCount(serving), 0)
      })
    )
  }

  const defects: ReadonlyArray<readonly [how: string, allowRequest: NonNullable<HandshakeOptions["allowRequest"]>]> = [
    ["dies", () => Effect.die(new Error("the database is gone"))],
    ["dies later", () => Effect.andThen(Effect.sleep("1 millis"), Effect.die(new Error("the database is gone")))],
    ["throws", () => raise("the database is gone")]
  ]
  for (const [how, allowRequest] of defects) {
    it.live(`refuses with the standard message and logs the defect when it ${how}`, () =>
      Effect.gen(function* () {
        const { logs, url } = yield* start({ handshake: { allowRequest } })
        const { body, status } = yield* poll(url)
        assert.deepStrictEqual([status, body], [403, '{"code":4,"message":"Forbidden"}'])
        const refused = yield* ask(url)
        assert.deepStrictEqual([refused.status, refused.body], [400, "Forbidden"])
        assert.lengthOf(logs, 2)
        for (const line of logs) assert.match(line, /^Error allowRequest failed .*the database is gone/)
      })
    )
  }

  it.live("sees the query and the headers of the request", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const allowRequest = (request: EngineRequest) => {
        const { headers, query, url } = request.details()
        seen.push([
          request.method,
          request.query.get("token"),
          request.header("x-key"),
          request.header("missing"),
          [query.get("token"), headers["x-key"], url.startsWith("/socket.io/?")]
        ])
        return request.query.get("token") === "ä b" && request.header("x-key") === "1" ? Effect.void : forbid("no")
      }
      const { url } = yield* start({ handshake: { allowRequest } })
      const [query, headers] = [{ token: "ä b" }, { "X-Key": "1" }]
      assert.strictEqual((yield* poll(url, query, headers)).status, 200)
      assert.strictEqual((yield* ask(url, query, headers)).status, 101)
      const expected = ["GET", "ä b", "1", undefined, ["ä b", "1", true]]
      assert.deepStrictEqual(seen, [expected, expected])
      assert.strictEqual((yield* poll(url, query)).status, 403)
      assert.strictEqual((yield* ask(url, {}, headers)).status, 400)
    })
  )

  it.live("refuses with the standard message when it interrupts itself", () =>
    Effect.gen(function* () {
      const { logs, url } = yield* start({ handshake: { allowRequest: () => Effect.interrupt } })
      const response = yield* poll(url)
      assert.strictEqual(response.status, 403)
      assert.deepStrictEqual(JSON.parse(response.body), { code: 4, message: "Forbidden" })
      assert.deepStrictEqual(logs, [])
    })
  )

  it.live("is asked once per session, not for its later requests, nor for its upgrade", () =>
    Effect.gen(function* () {
      let asked = 0
      const allowRequest = () => (++asked > 1 ? forbid("once is enough") : Effect.void)
      const { url } = yield* start({ handshake: { allowRequest } })
      const sid = yield* Effect.promise(() => PollingClient.handshake(url))
      const client = new PollingClient(url, sid, false)
      assert.strictEqual((yield* Effect.promise(() => client.post("40"))).body, "ok")
      assert.match((yield* poll(url, { sid })).body, /^40\{/)
      const socket = new RawSocket(url, { EIO: "4", transport: "websocket", sid })
      yield* Effect.promise(() => socket.opened)
      socket.send("2probe")
      assert.strictEqual(yield* Effect.promise(() => socket.next()), "3probe")
      socket.send("5", '420["echo"]')
      assert.strictEqual(yield* Effect.promise(() => socket.next()), "430[[]]")
      socket.close()
      assert.strictEqual(asked, 1)
      assert.strictEqual((yield* poll(url)).status, 403)
    })
  )

  it.live("is not asked about what is refused anyway", () =>
    Effect.gen(function* () {
      let asked = 0
      const { url } = yield* start({
        cors: { origin: "*" },
        handshake: { allowRequest: () => Effect.sync(() => void asked++) }
      })
      assert.strictEqual((yield* poll(url, { transport: "pigeon" })).status, 400)
      assert.strictEqual((yield* poll(url, { sid: "unknown" })).status, 400)
      assert.strictEqual((yield* ask(url, { EIO: "3" })).status, 400)
      const preflight = yield* Effect.promise(() =>
        request(engineUrl(url, { EIO: "4", transport: "polling" }), { method: "OPTIONS" })
      )
      assert.strictEqual(preflight.status, 204)
      assert.strictEqual(asked, 0)
    })
  )

  /** A hook that never comes to a decision, and says when it is asked and when it is interrupted. */
  const undecided = Effect.gen(function* () {
    const asked = yield* Deferred.make<void>()
    const interrupted = yield* Deferred.make<void>()
    const allowRequest = ({ query }: EngineRequest) =>
      query.has("other")
        ? Effect.void
        : Deferred.succeed(asked, undefined).pipe(
            Effect.andThen(Effect.never),
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
          )
    return { allowRequest, asked: Deferred.await(asked), interrupted: Deferred.await(interrupted) }
  })

  it.live("is interrupted when the client goes meanwhile, over HTTP", () =>
    Effect.gen(function* () {
      const { allowRequest, asked, interrupted } = yield* undecided
      const serving = yield* start({ handshake: { allowRequest } })
      const abort = new AbortController()
      const response = request(engineUrl(serving.url, { EIO: "4", transport: "polling" }), { signal: abort.signal })
      response.catch(() => {})
      yield* soon("question", asked)
      abort.abort()
      yield* soon("interruption", interrupted)
      assert.strictEqual(sessionCount(serving), 0)
      assert.deepStrictEqual(serving.logs, [])
    })
  )

  it.live("is interrupted when the client goes behind a body that nobody waits for", () =>
    Effect.gen(function* () {
      const { allowRequest, asked, interrupted } = yield* undecided
      const serving = yield* start({ handshake: { allowRequest } })
      const socket = Net.connect(Number(new URL(serving.url).port), "127.0.0.1")
      socket.on("error", () => {})
      socket.write("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
      socket.write(Buffer.alloc(500_000))
      yield* soon("question", asked)
      socket.end()
      yield* soon("interruption", interrupted)
      socket.destroy()
    })
  )

  for (const how of ["end", "reset"] as const) {
    it.live(
      `is interrupted when the client that asks for a WebSocket goes meanwhile, by ${how === "end" ? "an end" : "a reset"}`,
      () =>
        Effect.gen(function* () {
          const { allowRequest, asked, interrupted } = yield* undecided
          const serving = yield* start({ handshake: { allowRequest } })
          const connection = startUpgrade(serving.url)
          yield* soon("question", asked)
          connection[how]()
          yield* soon("interruption", interrupted)
          assert.strictEqual(sessionCount(serving), 0)
          assert.deepStrictEqual(serving.logs, [])
        })
    )
  }

  for (const transport of transports) {
    it.live(`forgets a client that has gone from ${transport}, though the decision takes its time`, () =>
      Effect.gen(function* () {
        const asked = yield* Deferred.make<void>()
        const gone = yield* Deferred.make<void>()
        const decided = yield* Deferred.make<void>()
        const decision = yield* Latch.make(false)
        // It does not let itself be hurried.
        const slow = Effect.uninterruptibleMask((restore) =>
          Deferred.succeed(asked, undefined).pipe(
            Effect.andThen(restore(Effect.never)),
            Effect.catchCause(() => Deferred.succeed(gone, undefined)),
            Effect.andThen(decision.await),
            Effect.andThen(Deferred.succeed(decided, undefined))
          )
        )
        const serving = yield* start({
          handshake: { allowRequest: ({ query }) => (query.has("other") ? Effect.void : slow) }
        })
        const leave = knock(serving.url, transport)
        yield* soon("question", Deferred.await(asked))
        leave()
        yield* soon("interruption", Deferred.await(gone))
        yield* decision.open
        yield* soon("decision", Deferred.await(decided))
        // A round trip later.
        assert.strictEqual((yield* poll(serving.url, { other: "1" })).status, 200)
        assert.strictEqual(sessionCount(serving), 1)
        assert.deepStrictEqual(serving.logs, [])
      })
    )
  }

  it.live("lets a client in that speaks before it has its WebSocket", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      const decision = yield* Latch.make(false)
      const { url } = yield* start({
        handshake: { allowRequest: () => Effect.andThen(Deferred.succeed(asked, undefined), decision.await) }
      })
      const early = yield* earlyBird(url)
      yield* soon("question", Deferred.await(asked))
      early.write(CONNECT)
      // Its message has arrived.
      assert.strictEqual((yield* poll(url, { sid: "unknown" })).status, 400)
      yield* decision.open
      const heard = within(
        "reply to CONNECT",
        new Promise<void>((resolve) => {
          let text = ""
          early.on("data", (chunk) => {
            text += chunk.toString("latin1")
            if (/101 Switching.*40\{"sid"/s.test(text)) resolve()
          })
        })
      )
      yield* Effect.promise(() => heard)
    })
  )

  it.live("lets nobody in who does not wait for the WebSocket to say a lot", () =>
    Effect.gen(function* () {
      const { allowRequest, asked, interrupted } = yield* undecided
      const { url } = yield* start({ handshake: { allowRequest } })
      const early = yield* earlyBird(url)
      const closed = within("end of the connection", new Promise((resolve) => early.once("close", resolve)))
      early.on("error", () => {}).resume()
      yield* soon("question", asked)
      early.write(Buffer.alloc(100_000))
      yield* soon("interruption", interrupted)
      yield* Effect.promise(() => closed)
    })
  )

  for (const transport of transports) {
    it.live(`does not keep a server from shutting down, over ${transport}`, () =>
      Effect.gen(function* () {
        const { allowRequest, asked, interrupted } = yield* undecided
        const scope = yield* Scope.make()
        const http = Http.createServer()
        const url = yield* listen(http)
        yield* Layer.buildWithScope(NodeSocketIoServer.layerAttached(http, { handshake: { allowRequest } }), scope)
        const response: Promise<{ readonly status: number; readonly body: string }> =
          transport === "websocket"
            ? startUpgrade(url).response
            : request(engineUrl(url, { EIO: "4", transport: "polling" }))
        yield* soon("question", asked)
        // Not within the question itself, which is a test of its own.
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* Effect.forkScoped(Scope.close(scope, Exit.void), { startImmediately: true })
        const { body, status } = yield* Effect.promise(() => response)
        assert.deepStrictEqual(
          [status, body],
          transport === "websocket" ? [503, "Forbidden"] : [503, '{"code":4,"message":"Forbidden"}']
        )
        yield* soon("interruption", interrupted)
      })
    )
  }

  it.live("may itself shut the server down", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const http = Http.createServer()
      const url = yield* listen(http)
      const allowRequest = () =>
        Effect.asVoid(Effect.forkDetach(Scope.close(scope, Exit.void), { startImmediately: true }))
      yield* Layer.buildWithScope(NodeSocketIoServer.layerAttached(http, { handshake: { allowRequest } }), scope)
      const { body, status } = yield* poll(url)
      assert.deepStrictEqual([status, body], [503, '{"code":4,"message":"Forbidden"}'])
    })
  )

  it.live("is what official clients see as connect_error", () =>
    Effect.gen(function* () {
      const { url } = yield* start({ handshake: { allowRequest: () => forbid("members only") } })
      const polling = yield* refusal(url, { transports: ["polling"] })
      assert.strictEqual(polling.message, "xhr poll error")
      assert.propertyVal(polling, "description", 403)
      const webSocket = yield* refusal(url, { transports: ["websocket"] })
      assert.strictEqual(webSocket.message, "websocket error")
    })
  )
})
