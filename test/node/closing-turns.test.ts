/**
 * WebSockets that close after a burst: the messages before the end take turns with others, and all come before it.
 */
import { once } from "node:events"
import * as Net from "node:net"

import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Queue, type Scope } from "effect"

import type { DisconnectReason } from "../../src/DisconnectReason.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { frame, Opcode, text } from "../bench/load/frames.ts"
import { soon } from "../support/handshake.ts"
import { within } from "../support/RawClient.ts"
import { call, connect, serve } from "../support/serve.ts"

/** A namespace that counts events, all of them and the most of one turn, and says why its sockets have gone. */
const open = Effect.fnUntraced(function* (options: NodeOptions = {}) {
  const ends = yield* Queue.unbounded<readonly [reason: DisconnectReason, seen: number]>()
  const seen = { all: 0, inTurn: 0, most: 0, inOrder: true }
  const take = (value: unknown) => {
    seen.inOrder &&= value === seen.all
    seen.all++
    if (seen.inTurn++ > 0) return
    setImmediate(() => {
      seen.most = Math.max(seen.most, seen.inTurn)
      seen.inTurn = 0
    })
  }
  const layer = SocketIoServer.layerNamespace(
    "/",
    Effect.fnUntraced(function* (socket) {
      yield* socket.on("take", (value) => Effect.sync(() => take(value)))
      yield* socket.on("seen", () => Effect.sync(() => seen.all))
      yield* socket.on("leave", () => socket.disconnect({ close: true }))
      yield* socket.onDisconnecting((reason) => Queue.offer(ends, [reason, seen.all]))
    })
  )
  const { server, url } = yield* serve(layer, options)
  return { server, url, seen, end: soon("end", Queue.take(ends)) }
})

/** A WebSocket by hand that has joined. */
const join = (url: string): Effect.Effect<Net.Socket, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const { hostname, port } = new URL(url)
      const socket = Net.connect({ host: hostname, port: Number(port), noDelay: true }).on("error", () => {})
      let got = ""
      const joined = new Promise<void>((resolve) => {
        socket.on("data", (chunk: Buffer) => {
          got += chunk.toString("latin1")
          if (/40\{"sid"/.test(got)) resolve()
        })
      })
      socket.write(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" +
          "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
      )
      await within("answer to an upgrade", once(socket, "data"))
      socket.write(text("40"))
      await within("namespace", joined)
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

const takes = (count: number): ReadonlyArray<Buffer> => Array.from({ length: count }, (_, i) => text(`42["take",${i}]`))

const CLOSE = frame(Opcode.close, "")

describe("a WebSocket that closes after a burst", () => {
  // The close frame of the first is read at once, as it is in a small read.
  for (const count of [700, 3_000]) {
    it.live(`has its ${count} messages handled a few in a turn, all of them, before its end`, () =>
      Effect.gen(function* () {
        const { end, seen, url } = yield* open()
        const socket = yield* join(url)
        socket.end(Buffer.concat([...takes(count), CLOSE]))
        assert.deepStrictEqual(yield* end, ["transport close", count])
        assert.isTrue(seen.inOrder)
        // Two turns of the connection may be in one of the test.
        assert.isAtMost(seen.most, 64)
      })
    )
  }

  it.live("has them handled after a reset, too", () =>
    Effect.gen(function* () {
      const { end, seen, url } = yield* open()
      const socket = yield* join(url)
      yield* Effect.promise(
        () => new Promise<void>((resolve) => socket.write(Buffer.concat(takes(700)), () => resolve()))
      )
      yield* soon("first messages", Effect.repeat(Effect.sleep("1 millis"), { until: () => seen.all > 0 }))
      socket.resetAndDestroy()
      assert.strictEqual((yield* end)[1], 700)
      assert.isAtMost(seen.most, 64)
    })
  )

  it.live("leaves the others their turns, however many such connections there are", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* open()
      const other = yield* connect(url, { transports: ["websocket"] })
      const sockets = yield* Effect.forEach(Array.from({ length: 10 }), () => join(url))
      const burst = Buffer.concat([...takes(700), CLOSE])
      for (const socket of sockets) socket.end(burst)
      let amid = 0
      for (; seen.all < 7_000; amid++) yield* call(other, "seen")
      assert.isAtLeast(amid, 20)
    })
  )

  it.live("is closed at once when a handler closes it amid them", () =>
    Effect.gen(function* () {
      const { end, seen, server, url } = yield* open()
      const socket = yield* join(url)
      const first = takes(100)
      socket.end(Buffer.concat([...first, text('42["leave"]'), ...takes(600), CLOSE]))
      assert.deepStrictEqual(yield* end, ["server namespace disconnect", 100])
      const { connectionCount } = Context.get(server, SocketIoServer.SocketIoServer)
      yield* soon("no connection", Effect.repeat(connectionCount, { until: (count) => count === 0 }))
      assert.strictEqual(seen.all, 100)
    })
  )
})
