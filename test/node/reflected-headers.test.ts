/**
 * Values of requests that responses repeat: a lenient parser of HTTP allows anything in them.
 */
import * as Http from "node:http"

import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"

import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { upgradeRequest, WEBSOCKET_TARGET, wire } from "../hostile/victim.ts"
import { call, connect, listen } from "../support/serve.ts"

const EchoLive = SocketIoServer.layerNamespace("/", (socket) => socket.on("echo", (n) => Effect.succeed(n)))

const start = Effect.fnUntraced(function* (options: NodeSocketIoServer.NodeOptions) {
  const http = Http.createServer({ insecureHTTPParser: true })
  const errors: Array<string> = []
  const logger = Logger.make(({ cause, logLevel, message }) => {
    if (logLevel === "Error") errors.push(`${message} ${cause}`)
  })
  yield* Layer.build(
    EchoLive.pipe(
      Layer.provide(NodeSocketIoServer.layerAttached(http, { drainTimeout: "50 millis", ...options })),
      Layer.provide(Logger.layer([logger]))
    )
  )
  const url = yield* listen(http)
  const bystander = yield* connect(url, { transports: ["websocket"] })
  return {
    url,
    errors,
    unharmed: Effect.map(call(bystander, "echo", 1), (answer) => assert.strictEqual(answer, 1))
  }
})

const TARGETS: Record<string, string> = {
  "a handshake": "GET /socket.io/?EIO=4&transport=polling",
  "a preflight request": "OPTIONS /socket.io/?EIO=4&transport=polling",
  "a refused request": "GET /socket.io/?EIO=4&transport=pigeon",
  "a client's file": "GET /socket.io/socket.io.js",
  "a preflight request for a client's file": "OPTIONS /socket.io/socket.io.js"
}

const HEADERS: Record<string, string> = {
  Origin: "https://a\0b.example",
  "Access-Control-Request-Headers": "x-a\0\x01",
  "Sec-WebSocket-Protocol": "a\0b"
}

describe("control characters in a request's headers", () => {
  for (const origin of [true, "*", /./s, () => true] as const) {
    for (const [what, target] of Object.entries(TARGETS)) {
      it.live(`are not sent back, and take nothing with them: ${what} with cors.origin ${String(origin)}`, () =>
        Effect.gen(function* () {
          const { errors, unharmed, url } = yield* start({ cors: { origin } })
          for (const [name, value] of Object.entries(HEADERS)) {
            const connection = yield* wire(url)
            const others = name === "Origin" ? "" : "Origin: https://a.example\r\n"
            connection.write(`${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${others}${name}: ${value}\r\n\r\n`)
            const response = yield* Effect.promise(() => connection.ended)
            assert.match(response, /^HTTP\/1\.1 \d{3} /)
            assert.notInclude(response.split("\r\n\r\n")[0]!, "\0")
          }
          assert.deepStrictEqual(errors, [])
          yield* unharmed
        })
      )
    }
  }

  it.live("are not sent back before an upgrade, whether it is refused or not", () =>
    Effect.gen(function* () {
      const { errors, unharmed, url } = yield* start({ cors: { origin: true } })
      for (const target of [WEBSOCKET_TARGET, `${WEBSOCKET_TARGET}&sid=unknown`]) {
        for (const [name, value] of Object.entries(HEADERS)) {
          const connection = yield* wire(url)
          connection.write(upgradeRequest(target, `${name}: ${value}`))
          const response = yield* Effect.promise(() => connection.until(/\r\n\r\n/))
          assert.notInclude(response.split("\r\n\r\n")[0]!, "\0")
          connection.reset()
        }
      }
      assert.deepStrictEqual(errors, [])
      yield* unharmed
    })
  )

  it.live("do not keep the names that a page asks for from being allowed", () =>
    Effect.gen(function* () {
      const { url } = yield* start({ cors: { origin: true } })
      const connection = yield* wire(url)
      connection.write(
        `${TARGETS["a preflight request"]} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: https://a.example\r\n` +
          "Access-Control-Request-Headers: x-a, X-B\r\n\r\n"
      )
      assert.match(yield* Effect.promise(() => connection.ended), /access-control-allow-headers: x-a, X-B\r\n/)
    })
  )
})

describe("every response", () => {
  it.live("says that it is what it says it is", () =>
    Effect.gen(function* () {
      const { url } = yield* start({ cors: { origin: "https://a.example" } })
      for (const target of [...Object.values(TARGETS), "GET /socket.io/?EIO=4&transport=polling&sid=unknown"]) {
        const connection = yield* wire(url)
        connection.write(`${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
        assert.match(yield* Effect.promise(() => connection.ended), /\r\nx-content-type-options: nosniff\r\n/i, target)
      }
      const head = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket"
      for (const refused of [
        upgradeRequest(`${WEBSOCKET_TARGET}&sid=unknown`),
        `GET ${WEBSOCKET_TARGET} HTTP/1.1\r\n${head}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
        `GET ${WEBSOCKET_TARGET} HTTP/1.1\r\n${head}\r\nSec-WebSocket-Version: 99\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`
      ]) {
        const connection = yield* wire(url)
        connection.write(refused)
        const response = yield* Effect.promise(() => connection.ended)
        assert.match(response, /^HTTP\/1\.1 400 Bad Request\r\n(.*\r\n)*x-content-type-options: nosniff\r\n/i)
      }
    })
  )

  it.live("says so without cors, too, unless responseHeaders say otherwise", () =>
    Effect.gen(function* () {
      for (const [options, value] of [
        [{}, "nosniff"],
        [{ responseHeaders: () => ({ "X-Content-Type-Options": "mine" }) }, "mine"]
      ] as const) {
        const { url } = yield* start(options)
        const response = yield* Effect.promise(() => fetch(`${url}/socket.io/?EIO=4&transport=polling`))
        assert.strictEqual(response.headers.get("x-content-type-options"), value)
      }
    })
  )

  it.live("of a server that listens itself says so on other paths, too", () =>
    Effect.gen(function* () {
      let url = ""
      const logger = Logger.make(({ message }) => void (url = /http:\S+/.exec(String(message))?.[0] ?? url))
      yield* Layer.build(
        NodeSocketIoServer.layer({ port: 0, host: "127.0.0.1" }).pipe(Layer.provide(Logger.layer([logger])))
      )
      const response = yield* Effect.promise(() => fetch(new URL("/elsewhere", url)))
      assert.deepStrictEqual([response.status, response.headers.get("x-content-type-options")], [404, "nosniff"])
    })
  )
})
