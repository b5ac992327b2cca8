/**
 * Connections that come all at once.
 */
import * as Net from "node:net"

import * as Http from "node:http"

import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"

import * as EngineServer from "../../src/engine/EngineServer.ts"
import * as Openings from "../../src/internal/openings.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as NodeEngine from "../../src/node/NodeEngine.ts"
import { upgradeRequest, wire } from "../hostile/victim.ts"
import { soon } from "../support/handshake.ts"
import { engineUrl, request } from "../support/RawClient.ts"
import { call, connect, listen, serve } from "../support/serve.ts"

const spin = (millis: number) => {
  for (const until = performance.now() + millis; performance.now() < until;);
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** An engine on a port. It tells of requests as they come, of those that ask to open, and of answers. */
const watched = Effect.fnUntraced(function* (on: {
  readonly come?: (request: Http.IncomingMessage, response: Http.ServerResponse | Net.Socket) => void
  readonly ask?: (n: string | undefined) => void
}) {
  const http = Http.createServer()
  const url = yield* listen(http)
  const engine = yield* EngineServer.run(
    {
      drainTimeout: 0,
      handshake: { allowRequest: ({ query }) => Effect.sync(() => on.ask?.(query.get("n"))) }
    },
    () => Effect.never
  )
  yield* NodeEngine.attach(engine, http)
  const { emit } = http
  http.emit = ((event: string, ...args: [Http.IncomingMessage, Http.ServerResponse]) => {
    if (event === "request" || event === "upgrade") on.come?.(...args)
    return (emit as (...args: Array<any>) => boolean).call(http, event, ...args)
  }) as typeof http.emit
  return url
})

const handshake = (n: string) => `GET /socket.io/?EIO=4&transport=polling&n=${n} HTTP/1.1\r\nHost: a\r\n\r\n`

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

  it.live("of connections that bring hundreds leave every newcomer its turn", () =>
    Effect.gen(function* () {
      let asked = 0
      const marks: Array<number> = []
      const url = yield* watched({
        come: ({ url }) => {
          if (url!.includes("n=newcomer")) marks.push(asked)
        },
        ask: (n) => {
          if (n === "newcomer") marks.push(asked)
          asked++
        }
      })
      const newcomer = yield* wire(url)
      const hasty = yield* Effect.all(Array.from({ length: 6 }, () => wire(url)))
      for (const { write } of hasty) write(handshake("hasty").repeat(700))
      for (let i = 0; i < 10; i++) {
        yield* Effect.promise(() => hasty[0]!.until((text) => text.split("HTTP/").length > 20 * i))
        newcomer.write(handshake("newcomer"))
        yield* Effect.promise(() => newcomer.until((text) => text.split("HTTP/").length > i + 1))
      }
      assert.lengthOf(marks, 20)
      // At most one of each connection was before it.
      for (let i = 0; i < 20; i += 2) assert.isAtMost(marks[i + 1]! - marks[i]!, 6)
      assert.isBelow(marks[19]!, 6 * 700)
    })
  )

  it.live("of a connection that brings thousands are not read before those before have had their turn", () =>
    Effect.gen(function* () {
      const connections = 4
      let unanswered = 0
      let most = 0
      let answered = 0
      const done = yield* Deferred.make<void>()
      const url = yield* watched({
        come: (_request, response) => {
          most = Math.max(most, ++unanswered)
          response.once("close", () => {
            unanswered--
            if (++answered === 4_000) Deferred.doneUnsafe(done, Effect.void)
          })
        }
      })
      const wires = yield* Effect.all(Array.from({ length: connections }, () => wire(url)))
      yield* Effect.promise(async () => {
        for (let i = 0; i < 500; i++) {
          for (const { write } of wires) write("GET /socket.io/? HTTP/1.1\r\nHost:\r\n\r\n".repeat(8))
          await turn()
        }
      })
      yield* soon("answers", Deferred.await(done))
      // Those of one read, 64 KiB, are there at once.
      assert.isAtMost(most, connections * 2_048)
    })
  )

  it.live("that wait are forgotten when their connection ends", () =>
    Effect.gen(function* () {
      let waiting = 0
      let ended = 0
      const url = yield* watched({
        come: ({ socket }) => {
          waiting++
          socket.once("close", () => ended++)
        }
      })
      const wires = [yield* wire(url), yield* wire(url)] as const
      // Each takes a turn of its own, so that others wait.
      const others = new Set<Openings.Opening>()
      for (let i = 0; i < 10_000; i++) {
        let opening: Openings.Opening | undefined
        opening = Openings.take({ destroyed: false }, () => {
          if (opening !== undefined) others.delete(opening)
          spin(1)
        })
        if (opening !== undefined) others.add(opening)
      }
      yield* Effect.addFinalizer(() => Effect.sync(() => others.forEach(Openings.forget)))
      wires[0].write(handshake("0"))
      wires[1].write(upgradeRequest("/socket.io/?EIO=4&transport=websocket"))
      const until = (holds: () => boolean) =>
        Effect.promise(async () => {
          while (!holds()) await turn()
        })
      yield* soon(
        "requests",
        until(() => waiting === 2)
      )
      assert.strictEqual(Openings.size() - others.size, 2)
      for (const { reset } of wires) reset()
      yield* soon(
        "end of the connections",
        until(() => ended === 2)
      )
      yield* Effect.promise(turn)
      assert.strictEqual(Openings.size() - others.size, 0)
      assert.isAbove(others.size, 0)
    })
  )
})
