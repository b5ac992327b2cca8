/**
 * Trace contexts and official peers.
 */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Tracer } from "effect"

import * as ClientTelemetry from "../../src/client/ClientTelemetry.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { serveOfficial } from "../support/official.ts"
import { python, requires } from "../support/peers.ts"
import { call, connect, next, serve } from "../support/serve.ts"
import { Shop } from "./shop.ts"
import { linksOf, parentOf, recording, SPAN, TRACE, traceparent } from "./spans.ts"

const SENT = `${TRACE}/${SPAN}`

/** Serves a shop, with the server's spans in hand. */
const served = Effect.gen(function* () {
  const recorded = recording()
  const layer = SocketIoServer.layerNamespace(Shop, (socket) =>
    Effect.succeed(
      Shop.of({
        order: (article) => Effect.as(socket.emit("sold", article), article),
        several: ([one, two]) => Effect.succeed(`${one} ${two}`),
        bare: () => Effect.succeed("done"),
        pay: Effect.succeed
      })
    )
  )
  const { url } = yield* Effect.provideService(serve(layer), Tracer.Tracer, recorded.tracer)
  return { url, ...recorded }
})

describe("the official client", () => {
  for (const transport of ["polling", "websocket"] as const) {
    it.live(`sends its context as the last argument, over ${transport}, and sees none of ours`, () =>
      Effect.gen(function* () {
        const { only, url } = yield* served
        const extraHeaders = { traceparent }
        const socket = yield* connect(`${url}/shop`, { transports: [transport], extraHeaders })
        const sold = next(socket, "sold")
        assert.strictEqual(yield* call(socket, "order", "book", { traceparent }), "book")
        assert.deepStrictEqual(yield* sold, ["book"])
        assert.strictEqual(yield* call(socket, "several", "a", "b", { traceparent }), "a b")
        assert.strictEqual(yield* call(socket, "bare"), "done")
        for (const event of ["order", "several"]) assert.strictEqual(parentOf(only(`socket.io ${event}`)), SENT)
        const bare = only("socket.io bare")
        assert.isUndefined(parentOf(bare))
        assert.deepStrictEqual(linksOf(bare), [SENT])
      })
    )
  }
})

describe("python-socketio", requires("python-socketio"), () => {
  it.live("sends its context behind the arguments of its events", () =>
    Effect.gen(function* () {
      const { only, url } = yield* served
      const script = fileURLToPath(new URL("official.py", import.meta.url))
      const run = () => promisify(execFile)(python, [script, url, traceparent], { timeout: 20_000 })
      const { stdout } = yield* Effect.promise(run)
      assert.deepStrictEqual(JSON.parse(stdout), ["book", "a b", "done"])
      for (const event of ["order", "several", "bare"]) {
        assert.strictEqual(parentOf(only(`socket.io ${event}`)), SENT)
        assert.deepStrictEqual(linksOf(only(`socket.io ${event}`)), [SENT])
      }
    })
  )
})

describe("the official server", () => {
  for (const transport of ["polling", "websocket"] as const) {
    it.live(`gets no argument more of a client in a trace, over ${transport}`, () =>
      Effect.gen(function* () {
        const counted: Array<readonly [event: string, args: number, first: unknown]> = []
        const { url } = yield* serveOfficial((io) => {
          io.of("/shop").on("connection", (socket) => {
            socket.onAny((event: string, ...args: Array<unknown>) => counted.push([event, args.length, args[0]]))
            socket.on("order", (...args: Array<any>) => {
              socket.emit("sold", args[0])
              args.at(-1)(args[0])
            })
            socket.on("bare", (...args: Array<any>) => args.at(-1)(String(args.length)))
          })
        })
        const recorded = recording()
        const client = SocketIoClient.layer({
          url,
          transports: [transport],
          extras: [ClientTelemetry.make()]
        }).pipe(Layer.provide(recorded.layer))
        yield* Effect.gen(function* () {
          const shop = yield* SocketIoClient.connect(Shop)
          assert.strictEqual(yield* shop.emitWithAck("order", "book"), "book")
          assert.strictEqual(yield* shop.emitWithAck("bare"), "1")
          yield* shop.emit("several", ["a", "b"])
          assert.strictEqual(yield* shop.emitWithAck("bare"), "1")
        }).pipe(
          Effect.withSpan("purchase"),
          Effect.provide(client),
          Effect.provideService(Tracer.Tracer, recorded.tracer)
        )
        // An acknowledgement counts as an argument.
        assert.deepStrictEqual(
          counted.map(([event, args]) => [event, args]),
          [
            ["order", 2],
            ["bare", 1],
            ["several", 2],
            ["bare", 1]
          ]
        )
        // The client's own spans are there all the same.
        assert.strictEqual(recorded.spans.filter(({ name }) => name.startsWith("socket.io ")).length, 4)
      }).pipe(Effect.scoped)
    )
  }
})
