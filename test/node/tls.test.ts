/**
 * Servers that listen with TLS.
 */
import type { TLSSocket } from "node:tls"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Option } from "effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

import * as NodeSocketIoHttp from "../../src/node/NodeSocketIoHttp.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { cert, key } from "../support/certificate.ts"
import { transports } from "../support/RawClient.ts"
import { call, connect } from "../support/serve.ts"

const echo = SocketIoServer.layerNamespace("/", (socket) =>
  Effect.andThen(
    socket.on("secure", () => Effect.succeed(socket.handshake.secure)),
    socket.on("certificate", () =>
      Effect.succeed(
        Option.match(NodeSocketIoServer.requestOf(socket), {
          onNone: () => "none",
          onSome: ({ socket }) => (socket as TLSSocket).getPeerCertificate().subject?.CN
        })
      )
    )
  )
)

/** A logger that keeps lines. */
const keeping = (lines: Array<string>) =>
  Logger.layer([Logger.make(({ message }) => void lines.push(String([message].flat()[0])))])

/** Where a server that says so listens. */
const listening = Effect.fnUntraced(function* (options: Partial<NodeSocketIoServer.ListeningOptions> = {}) {
  const lines: Array<string> = []
  const settings = { port: 0, host: "127.0.0.1", tls: { key, cert }, drainTimeout: "1 second", ...options } as const
  yield* Layer.build(echo.pipe(Layer.provide(NodeSocketIoServer.layer(settings)), Layer.provide(keeping(lines))))
  return /https:\/\/127\.0\.0\.1:\d+/.exec(lines[0]!)![0]
})

describe("a server that listens with TLS", () => {
  for (const transport of [...transports, "both"] as const) {
    it.live(`serves official clients over ${transport}, and says where`, () =>
      Effect.gen(function* () {
        const url = yield* listening()
        const socket = yield* connect(url, {
          rejectUnauthorized: false,
          ...(transport === "both" ? {} : { transports: [transport] })
        })
        assert.isTrue(yield* call(socket, "secure"))
      })
    )
  }

  it.live("knows the certificate of a client, if it asks for one and keeps requests", () =>
    Effect.gen(function* () {
      const url = yield* listening({ tls: { key, cert, requestCert: true, ca: cert }, keepRequests: true })
      const socket = yield* connect(url, { rejectUnauthorized: false, key, cert, transports: ["websocket"] })
      assert.strictEqual(yield* call(socket, "certificate"), "localhost")
    })
  )

  it.live("fails if Node does not take its settings, and does not listen", () =>
    Effect.gen(function* () {
      const options = { port: 0, tls: { key: "no key", cert } }
      const errors = [
        yield* Effect.flip(Layer.build(NodeSocketIoServer.layer(options))),
        yield* Effect.flip(Layer.build(NodeSocketIoHttp.layer(options)))
      ]
      for (const error of errors) assert.deepInclude(error, { _tag: "InvalidOptionError", option: "tls" })
    })
  )

  it.live("shares its port with an HTTP application", () =>
    Effect.gen(function* () {
      const App = HttpRouter.serve(HttpRouter.add("GET", "/hello", HttpServerResponse.text("hello")), {
        disableLogger: true
      })
      const context = yield* Layer.build(
        Layer.merge(App, echo).pipe(
          Layer.provideMerge(
            NodeSocketIoHttp.layer({
              port: 0,
              host: "127.0.0.1",
              tls: { key, cert },
              drainTimeout: "1 second"
            })
          ),
          Layer.provide(keeping([]))
        )
      )
      const { HttpServer } = yield* Effect.promise(() => import("effect/http/HttpServer"))
      const { address } = Context.get(context, HttpServer)
      const socket = yield* connect(`https://127.0.0.1:${(address as { readonly port: number }).port}`, {
        rejectUnauthorized: false
      })
      assert.isTrue(yield* call(socket, "secure"))
    })
  )
})
