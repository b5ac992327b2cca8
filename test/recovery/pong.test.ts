/**
 * A pong proves receipt: when the server reads it, the client's application has been handed everything that was sent before the ping.
 * With the exceptions, each with its consequence.
 */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { Worker } from "node:worker_threads"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { io } from "socket.io-client"

import { costly } from "../support/extent.ts"
import { within } from "../support/RawClient.ts"
import { type ClientName, makeScript, type Script, startPongServer, type Way } from "./pongs.ts"
import { makeRandom } from "./random.ts"
import { startOfficial } from "./servers.ts"
import type { CutPoint } from "./relay.ts"

const ways: ReadonlyArray<ReadonlyArray<Way>> = [["websocket"], ["polling"], ["polling", "websocket"]]

const names: ReadonlyArray<ClientName> = ["official", "ours"]

describe("a pong", () => {
  let server: Awaited<ReturnType<typeof startPongServer>>
  beforeAll(async () => {
    server = await startPongServer()
  })
  afterAll(() => server.stop())

  /** Points of cuts all over what a script sends in both directions. */
  const pointsOf = async (client: ClientName, some: ReadonlyArray<Way>, script: Script, number: number) => {
    const { passed } = await server.play(client, some, script)
    const { below, pick } = makeRandom(number)
    return Array.from({ length: number }, (): CutPoint => {
      // Only the answers matter: requests of polling are mostly headers.
      const direction = pick(["down", "down", "up"] as const)
      const half = Math.floor(passed[direction] / 2)
      const bytes = below(3) === 0 ? below(half) : half + below(half + 2)
      return { direction, bytes, how: pick(["end", "reset", "stall", "deaf"]) }
    })
  }

  for (const client of names) {
    for (const some of ways) {
      it(`proves receipt wherever the connection is cut (${client} client, ${some.join(" to ")})`, async () => {
        let pongs = 0
        for (let seed = 0; seed < costly(4, 2, 1); seed++) {
          // Large ones take several reads.
          const script = makeScript(seed, seed % 2 === 0 ? 0 : 100_000)
          const report = await server.cutAt(
            client,
            some,
            script,
            await pointsOf(client, some, script, costly(2_000, 120, 60))
          )
          assert.deepStrictEqual(report.broken, [])
          pongs += report.pongs
        }
        assert.isAbove(pongs, 0)
      }, 300_000)
    }
  }

  it("may be read before a handler of the same turn runs; the client does nothing else before it has handed over all", async () => {
    const { close, io: server, url } = await startOfficial({ connectionStateRecovery: {} })
    const flag = new Int32Array(new SharedArrayBuffer(4))
    const calls = Promise.withResolvers<ReadonlyArray<readonly [n: number, isRead: boolean]>>()
    const back = Promise.withResolvers<unknown>()
    let offset: unknown
    server.once("connection", (socket) => {
      server.once("connection", ({ handshake }) => back.resolve(handshake.auth["offset"]))
      const tcp = (socket.conn.transport as any).socket._socket
      socket.conn.on("packet", ({ type }: { readonly type: string }) => {
        if (type !== "pong") return
        // The connection is cut while the client is busy.
        tcp.resetAndDestroy()
        Atomics.store(flag, 0, 1)
        Atomics.notify(flag, 0)
      })
      // While the first is under way, the others are collected. They leave in one piece, so that the client reads all of them at once.
      socket.conn.on("flush", () => {
        tcp.cork()
        setImmediate(() => tcp.uncork())
      })
      for (const n of [0, 1, 2]) socket.emit("e", n)
      offset = (socket.nsp.adapter as any).packets.at(-1).id
      ;(socket.conn as any).sendPacket("ping")
    })
    const client = new Worker(new URL("busyClient.ts", import.meta.url), { workerData: { flag, url }, execArgv: [] })
    client.once("message", calls.resolve)
    client.once("error", calls.reject)
    try {
      // The pong leaves while the events are decoded: it may have been read when the first handler begins, and has been at the second.
      const heard = await within("all events", calls.promise)
      assert.deepStrictEqual(
        heard.map(([n]) => n),
        [0, 1, 2]
      )
      assert.isTrue(heard[2]![1])
      assert.strictEqual(await within("return of the client", back.promise), offset)
    } finally {
      await client.terminate()
      await close()
    }
  })

  it("is sent for events that wait for CONNECT: an official server that runs middleware after it has sent what was missed", async () => {
    const { close, io: server, url } = await startOfficial({ connectionStateRecovery: { skipMiddlewares: false } })
    const handed: Array<number> = []
    const client = io(url, { transports: ["websocket"], forceNew: true, reconnectionDelay: 10, randomizationFactor: 0 })
    client.on("e", (n: number) => handed.push(n))
    const pong = Promise.withResolvers<ReadonlyArray<number>>()
    let comings = 0
    server.use((socket, next) => {
      if (++comings === 1) return next()
      socket.conn.on("packet", ({ type }: { readonly type: string }) => {
        if (type !== "pong") return
        pong.resolve([...handed])
        next()
      })
      // As the heartbeat may do while middleware takes its time.
      ;(socket.conn as any).sendPacket("ping")
    })
    try {
      await within(
        "connection",
        new Promise<void>((resolve) => server.once("connection", (socket) => resolve(void socket.emit("e", 1))))
      )
      await within("event", new Promise<void>((resolve) => client.once("e", () => resolve())))
      const [socket] = [...server.of("/").sockets.values()]
      const gone = new Promise((resolve) => socket!.once("disconnect", resolve))
      client.io.engine.close()
      await gone
      server.emit("e", 2)
      assert.deepStrictEqual(await within("pong", pong.promise), [1])
      await within("connection", new Promise<void>((resolve) => client.once("connect", () => resolve())))
      assert.deepStrictEqual(handed, [1, 2])
    } finally {
      client.disconnect()
      await close()
    }
  })

  it("is sent for events of a payload that also closes the session: the client hands them over when it is back", async () => {
    const connects: Array<string> = []
    const done = Promise.withResolvers<void>()
    const handed: Array<number> = []
    /** The events that the application has when the server reads the pong. */
    let atPong: ReadonlyArray<number> | undefined
    let sessions = 0
    let polls: PromiseWithResolvers<(body: string) => void>
    const answerPoll = async (...packets: ReadonlyArray<string>) => {
      const answer = await polls.promise
      polls = Promise.withResolvers()
      answer(packets.join("\x1e"))
    }
    const server = Http.createServer((request, response) => {
      const sid = new URL(request.url!, "http://x").searchParams.get("sid")
      const answer = (body: string) => void response.writeHead(200, { "content-type": "text/plain" }).end(body)
      if (sid === null) {
        const open = { sid: `s${++sessions}`, upgrades: [], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1e6 }
        polls = Promise.withResolvers()
        return answer(`0${JSON.stringify(open)}`)
      }
      if (request.method === "GET") return polls.resolve(answer)
      let body = ""
      request.on("data", (chunk) => (body += chunk))
      request.on("end", async () => {
        answer("ok")
        if (body === "3") atPong = [...handed]
        if (!body.startsWith("40")) return
        connects.push(body)
        await answerPoll('40{"sid":"a","pid":"P"}', ...(sid === "s1" ? ['42["e",1,"ep.1"]'] : []))
        if (sid === "s1") await answerPoll('42["e",2,"ep.2"]', "2", "1")
        else done.resolve()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const client = io(url, { transports: ["polling"], forceNew: true, reconnectionDelay: 50, randomizationFactor: 0 })
    client.on("e", (n: number) => handed.push(n))
    try {
      await within("return of the client", done.promise)
      await within("connection", new Promise<void>((resolve) => client.once("connect", () => resolve())))
      assert.deepStrictEqual(atPong, [1])
      // The client asks for the second event once more, and has it already: a server must not take the offset's word over the pong's.
      assert.deepStrictEqual(connects, ["40", '40{"pid":"P","offset":"ep.1"}'])
      assert.deepStrictEqual(handed, [1, 2])
    } finally {
      client.disconnect()
      server.closeAllConnections()
      server.close()
    }
  })
})
