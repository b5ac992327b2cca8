/**
 * Connections that come all at once.
 */
import * as Net from "node:net"

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import * as Openings from "../../src/internal/openings.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { engineUrl, request } from "../support/RawClient.ts"
import { call, connect, serve } from "../support/serve.ts"

const spin = (millis: number) => {
  for (const until = performance.now() + millis; performance.now() < until;);
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

describe("openings", () => {
  it("are given a millisecond per turn, one at the least, in their order", async () => {
    const opened: Array<number> = []
    const connection = new Net.Socket()
    for (let i = 0; i < 6; i++) {
      Openings.take(connection, () => {
        spin(0.7)
        opened.push(i)
      })
    }
    // Two, unless the machine has taken longer for the first.
    assert.isAtLeast(opened.length, 1)
    assert.isAtMost(opened.length, 2)
    for (let turns = 0; opened.length < 6; turns++) {
      assert.isBelow(turns, 20)
      const before = opened.length
      await turn()
      assert.isAtMost(opened.length - before, 4)
    }
    assert.deepStrictEqual(opened, [0, 1, 2, 3, 4, 5])
  })

  it("of a connection that has ended meanwhile are left out", async () => {
    const [gone, there] = [new Net.Socket(), new Net.Socket()]
    const opened: Array<string> = []
    await turn()
    Openings.take(there, () => spin(2))
    Openings.take(gone, () => opened.push("gone"))
    Openings.take(there, () => opened.push("there"))
    gone.destroy()
    for (let turns = 0; opened.length === 0; turns++) {
      assert.isBelow(turns, 20)
      await turn()
    }
    assert.deepStrictEqual(opened, ["there"])
  })

  it.live("over real connections all succeed, and those that are reset while they wait harm nobody", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(
        SocketIoServer.layerNamespace("/", (socket) => socket.on("sync", () => Effect.succeed("synced")))
      )
      const other = yield* connect(url, { transports: ["websocket"] })
      const { hostname, port } = new URL(url)
      yield* Effect.promise(async () => {
        for (let i = 0; i < 100; i++) {
          const socket = Net.connect({ host: hostname, port: Number(port) })
          socket.on("error", () => {})
          socket.on("connect", () => {
            socket.write(
              "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
              () => socket.resetAndDestroy()
            )
          })
        }
        const handshakes = await Promise.all(
          Array.from({ length: 100 }, () => request(engineUrl(url, { EIO: "4", transport: "polling" })))
        )
        assert.deepStrictEqual(new Set(handshakes.map(({ status }) => status)), new Set([200]))
      })
      assert.strictEqual(yield* call(other, "sync"), "synced")
    })
  )
})
