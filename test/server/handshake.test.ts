/**
 * The details of a client's first request, beside the official server.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Server } from "socket.io"

import type { Handshake } from "../../src/Handshake.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { call, connect, serve } from "../support/serve.ts"

const serveOurs = Effect.map(
  serve(
    SocketIoServer.layerNamespace("/", (socket) => socket.on("handshake", () => Effect.sync(() => socket.handshake)))
  ),
  ({ url }) => url
)

const serveOfficial = Effect.acquireRelease(
  Effect.promise(async () => {
    const http = createServer()
    const io = new Server(http)
    io.on("connection", (socket) => socket.on("handshake", (answer) => answer(socket.handshake)))
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve))
    return { io, url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` }
  }),
  ({ io }) => Effect.promise(() => io.close())
).pipe(Effect.map(({ url }) => url))

describe("a handshake as JSON", () => {
  for (const [from, headers] of [
    ["a page of another origin", { origin: "https://example.com" }],
    ["no page", {}]
  ] as ReadonlyArray<readonly [string, Record<string, string>]>) {
    it.live(`has what the official one has, from ${from}`, () =>
      Effect.gen(function* () {
        const options = {
          transports: ["websocket"],
          query: { room: "a b", __proto: "1" },
          auth: { token: "t" },
          extraHeaders: headers
        }
        const shown = Effect.fnUntraced(function* (url: string) {
          const client = yield* connect(url, options)
          const handshake: Record<string, any> = yield* call(client, "handshake")
          const { host: _host, "sec-websocket-key": _key, ...others } = handshake.headers
          // Seconds may differ: what it is written like must not.
          const time = new Date(handshake.time).getTime()
          assert.strictEqual(new Date(time).toString(), handshake.time)
          assert.strictEqual(time, Math.floor(handshake.issued / 1_000) * 1_000)
          const { issued: _issued, time: _time, ...rest } = handshake
          return { ...rest, headers: others } as Record<string, any>
        })
        const ours = yield* shown(yield* serveOurs)
        const official = yield* shown(yield* serveOfficial)
        assert.strictEqual(ours.xdomain, "origin" in headers)
        assert.deepInclude(ours.query, { room: "a b", EIO: "4" })
        assert.deepStrictEqual(ours, official)
      })
    )
  }

  it.live("has its query as an object, which is a map in the program", () =>
    Effect.gen(function* () {
      const seen: Array<Handshake> = []
      const { url } = yield* serve(
        SocketIoServer.layerNamespace("/", (socket) => Effect.sync(() => void seen.push(socket.handshake)))
      )
      yield* connect(url, { query: { room: "1" } })
      assert.strictEqual(seen[0]!.query.get("room"), "1")
      assert.strictEqual(JSON.parse(JSON.stringify(seen[0])).query.room, "1")
    })
  )
})
