/**
 * The memory that peers can make a server hold on platforms whose WebSockets cannot be paused. The memory is that of the server's process, with
 * what the platform holds.
 */
import * as Net from "node:net"

import { afterAll, afterEach, assert, describe, it } from "@effect/vitest"
import { io, type Socket } from "socket.io-client"
import { WebSocket } from "ws"

import { frame, Opcode } from "../bench/load/frames.ts"
import { requires } from "../support/peers.ts"
import { engineUrl, join, PollingClient, request, WebSocketClient, within } from "../support/RawClient.ts"
import { runtimes } from "../support/runtimePrograms.ts"
import { RuntimeHost } from "../support/runtimes.ts"
import type { RunningServer } from "../support/TestServer.ts"

const MB = 1_000_000

/** The end of a session, as another client of the server is told. */
const reasonOf = async (watcher: Socket, sid: string): Promise<string> => {
  const ended = async (): Promise<string> => {
    const log = (await watcher.timeout(10_000).emitWithAck("log")) as ReadonlyArray<{ sid: string; reason: string }>
    return log.find((entry) => entry.sid === sid)?.reason ?? ended()
  }
  return within("end of a session", ended())
}

/** Waits until a number has stayed the same for half a second. */
const untilStill = async (read: () => number): Promise<void> => {
  for (let before = -1; before !== read();) {
    before = read()
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}

/** The connection below a WebSocket of `ws`. */
const connectionOf = (client: WebSocketClient): Net.Socket =>
  (client.socket as unknown as { readonly ws: { readonly _socket: Net.Socket } }).ws._socket

const frames = (opcode: number, count: number, payload: string | Uint8Array = ""): Buffer =>
  Buffer.concat(Array<Buffer>(count).fill(frame(opcode, payload)))

const peers = { bun: "Bun", deno: "Deno" } as const

for (const name of ["bun", "deno"] as const) {
  const { skip, meta } = requires(peers[name])

  describe(`a server on ${runtimes[name].name}`, { skip, meta }, () => {
    let host: RuntimeHost | undefined
    const running: Array<RunningServer> = []
    const sockets: Array<Socket> = []

    const start = async (options: Parameters<RuntimeHost["start"]>[0]) => {
      const server = await (host ??= new RuntimeHost(runtimes[name])).start(options)
      running.push(server)
      return server
    }

    /** An official client that is connected. */
    const connect = async (url: string, transport: "polling" | "websocket" = "websocket") => {
      const socket = io(url, { forceNew: true, reconnection: false, transports: [transport] })
      sockets.push(socket)
      await within("connection", new Promise<void>((resolve) => socket.once("connect", resolve)))
      return socket
    }

    afterEach(async () => {
      for (const socket of sockets.splice(0)) socket.disconnect()
      for (const server of running.splice(0)) await server.stop()
    })
    afterAll(async () => {
      await host?.end()
    })

    it("closes WebSockets that are not read, and lets their memory go", { timeout: 60_000 }, async () => {
      const server = await start({ maxOutbox: 2 * MB })
      const writer = await connect(server.url)
      const before = await host!.memory()
      const stalled: Array<{ readonly client: WebSocketClient; readonly sid: string }> = []
      for (let i = 0; i < 8; i++) {
        const client = await WebSocketClient.open(server.url)
        const sid = await join(client)
        await client.send('420["join","stalled"]')
        await client.next()
        connectionOf(client).pause()
        stalled.push({ client, sid })
      }
      // 60 MB for each: far more than the buffers of a connection in the kernel.
      for (let i = 0; i < 120; i++) await writer.timeout(10_000).emitWithAck("large-to-room", "stalled", MB / 2)
      for (const { sid } of stalled) assert.strictEqual(await reasonOf(writer, sid), "outbox overflow")
      const after = await host!.memory()
      // Without the limit it would be more than 400 MB.
      assert.isBelow(after - before, 100 * MB)
      for (const { client } of stalled) client.socket.terminate()
    })

    it("drops messages for a client that does not read, and sends it the latest when it does", async () => {
      const server = await start({ maxOutbox: MB, outboxOverflow: "dropOldest" })
      const writer = await connect(server.url)
      const client = await WebSocketClient.open(server.url)
      await join(client)
      await client.send('420["join","slow"]')
      await client.next()
      connectionOf(client).pause()
      for (let i = 0; i < 60; i++) await writer.timeout(10_000).emitWithAck("large-to-room", "slow", MB / 2)
      await writer.timeout(10_000).emitWithAck("in-room", "slow", "last")
      connectionOf(client).resume()
      let large = 0
      for (let packet = ""; packet !== '42["room-message","last"]'; packet = String(await client.next())) large++
      assert.isBelow(large, 60)
      await client.close()
    })

    it("closes a session that polls and does not read the responses", { timeout: 60_000 }, async () => {
      const server = await start({ maxOutbox: 16 * MB })
      const writer = await connect(server.url)
      const client = new PollingClient(server.url, await PollingClient.handshake(server.url), false)
      await client.post("40")
      const { body } = await request(client.url)
      const { sid } = JSON.parse(/40({[^}]*})/.exec(body)![1]!)
      await client.post('42["join","stalled"]')
      const before = await host!.memory()
      const polls: Array<Net.Socket> = []
      // Each response is larger than the buffers of its connection in the kernel.
      for (let round = 0; round < 8; round++) {
        for (let i = 0; i < 12; i++) await writer.timeout(10_000).emitWithAck("large-to-room", "stalled", MB)
        const poll = Net.connect(server.port, "127.0.0.1")
        poll.on("error", () => {}).pause()
        poll.write(`GET ${new URL(client.url).pathname}${new URL(client.url).search} HTTP/1.1\r\nHost: x\r\n\r\n`)
        polls.push(poll)
      }
      assert.strictEqual(await reasonOf(writer, sid), "outbox overflow")
      // Without the limit it would be about 80 MB.
      assert.isBelow((await host!.memory()) - before, 60 * MB)
      for (const poll of polls) poll.destroy()
    })

    it("holds few answers to pings for a client that does not read them", { timeout: 60_000 }, async () => {
      const server = await start({ maxOutbox: 2 * MB })
      const watcher = await connect(server.url)
      const client = await WebSocketClient.open(server.url)
      const sid = await join(client)
      const connection = connectionOf(client)
      connection.pause()
      const before = await host!.memory()
      // Pings of the protocol, with as much as they may carry.
      const pings = frames(9, 100, Buffer.alloc(125))
      let written = 0
      connection.on("error", () => {})
      if (name === "bun") {
        // Bun reads on, and the session ends. More at once would end it for that.
        while (written++ < 5_000 && connection.writable) {
          connection.write(pings)
          await watcher.timeout(10_000).emitWithAck("whoami")
        }
        assert.strictEqual(await reasonOf(watcher, sid), "outbox overflow")
      } else {
        // Deno reads no further than it can answer.
        const write = () => {
          if (written++ < 5_000 && connection.writable) connection.write(pings, write)
        }
        write()
        await within(
          "pause of the server",
          untilStill(() => written)
        )
        assert.isBelow(written, 5_000)
      }
      assert.isBelow((await host!.memory()) - before, 40 * MB)
      connection.destroy()
    })

    it("takes ten thousand events that a client emits at once", async () => {
      const server = await start({})
      const client = await connect(server.url)
      const answers = Array.from({ length: 10_000 }, (_, i) =>
        client.timeout(20_000).emitWithAck("message-with-ack", i)
      )
      assert.deepStrictEqual(
        await Promise.all(answers),
        Array.from({ length: 10_000 }, (_, i) => i)
      )
    })

    const floods = {
      messages: frames(Opcode.text, 8_000, "3"),
      ...(name === "bun" ? { pings: frames(9, 8_000), pongs: frames(10, 8_000) } : {})
    }
    for (const [kind, flood] of Object.entries(floods)) {
      it(`closes a client that sends ${kind} faster than others have their turn`, async () => {
        const server = await start({})
        const watcher = await connect(server.url)
        const client = await WebSocketClient.open(server.url)
        const sid = await join(client)
        const connection = connectionOf(client)
        connection.on("error", () => {})
        const write = () => {
          if (connection.writable) connection.write(flood, write)
        }
        write()
        assert.strictEqual(await reasonOf(watcher, sid), "inbound overflow")
        connection.destroy()
      })
    }

    it("closes a client whose messages wait too long for their handlers", { timeout: 60_000 }, async () => {
      const server = await start({ maxPendingBytes: 8 * MB, pauseAt: 10 })
      const watcher = await connect(server.url)
      const client = await WebSocketClient.open(server.url)
      const sid = await join(client)
      const before = await host!.memory()
      // Ten of them pause reading; the rest waits, as the platform reads on.
      for (let i = 0; i < 11; i++) await client.send('42["stuck"]')
      const text = "x".repeat(100_000)
      for (let i = 0; i < 1_000; i++) await client.send(`42["stuck","${text}"]`)
      assert.strictEqual(await reasonOf(watcher, sid), "inbound overflow")
      await client.closed
      // Without the limit it would be 100 MB.
      assert.isBelow((await host!.memory()) - before, 60 * MB)
    })

    it("counts small messages that wait with their objects", async () => {
      const server = await start({ maxPendingBytes: 2 * MB, pauseAt: 10 })
      const watcher = await connect(server.url)
      const client = await WebSocketClient.open(server.url)
      const sid = await join(client)
      for (let i = 0; i < 11; i++) await client.send('42["stuck"]')
      const before = await host!.memory()
      // One byte each: 40,000 bytes, which take a hundred times as much memory.
      for (let i = 0; i < 40_000; i++) client.socket.send("3")
      assert.strictEqual(await reasonOf(watcher, sid), "inbound overflow")
      assert.isBelow((await host!.memory()) - before, 60 * MB)
    })

    it("goes on with a client whose handlers have caught up", async () => {
      const server = await start({ pauseAt: 2 })
      const client = await WebSocketClient.open(server.url)
      await join(client)
      client.socket.send('420["pausing"]', '421["pausing"]', '422["pausing"]', '423["whoami"]')
      const answers: Array<string> = []
      for (let i = 0; i < 4; i++) answers.push(String(await client.next()).slice(0, 3))
      assert.deepStrictEqual(answers.toSorted(), ["430", "431", "432", "433"])
      await client.close()
    })

    it("tells why a WebSocket has ended", async () => {
      const server = await start({ maxPayload: 1_000 })
      const watcher = await connect(server.url)
      const ended = async (end: (client: WebSocketClient) => unknown) => {
        const client = await WebSocketClient.open(server.url)
        const sid = await join(client)
        await end(client)
        return reasonOf(watcher, sid)
      }
      assert.strictEqual(await ended((client) => client.send("4".repeat(2_000))), "payload too large")
      // A reserved bit. Deno tells of it as of any other error.
      const reserved = Uint8Array.from([0xf1, 0x80, 0, 0, 0, 0])
      const fault = name === "bun" ? "parse error" : "transport error"
      assert.strictEqual(await ended((client) => client.socket.sendRaw(reserved)), fault)
      assert.strictEqual(await ended((client) => client.socket.close(1009)), "transport close")
      assert.include(["transport close", "transport error"], await ended((client) => client.socket.terminate()))
    })

    it("waits for the application's decision on a handshake, and still knows its request", async () => {
      const server = await start({ decisionTime: 30 })
      for (const transport of ["polling", "websocket"] as const) {
        const socket = io(server.url, {
          forceNew: true,
          reconnection: false,
          transports: [transport],
          extraHeaders: { "x-test": transport }
        })
        sockets.push(socket)
        const { address, headers } = await socket.timeout(10_000).emitWithAck("handshake")
        assert.deepStrictEqual([address, headers["x-test"]], ["127.0.0.1", transport])
      }
    })

    it("limits connections, by address, too, over either transport", async () => {
      for (const limit of ["maxConnections", "maxConnectionsPerAddress"] as const) {
        const server = await start({ [limit]: 1, drainTimeout: 50 })
        const first = await connect(server.url)
        assert.strictEqual((await first.timeout(10_000).emitWithAck("handshake")).address, "127.0.0.1")
        assert.strictEqual((await request(engineUrl(server.url, { EIO: "4", transport: "polling" }))).status, 503)
        const refused = new WebSocket(engineUrl(server.url, { EIO: "4", transport: "websocket" }).replace("http", "ws"))
        const error = await within("refusal", new Promise<Error>((resolve) => refused.once("error", resolve)))
        assert.include(error.message, "503")
        first.disconnect()
        await within(
          "place",
          (async () => {
            while ((await request(engineUrl(server.url, { EIO: "4", transport: "polling" }))).status !== 200);
          })()
        )
      }
    })

    it("ends with its clients: those that poll come once more, and the port is free", async () => {
      const server = await start({})
      const [over, polling] = [await connect(server.url), await connect(server.url, "polling")]
      const ends = [over, polling].map((socket) => new Promise<string>((resolve) => socket.once("disconnect", resolve)))
      running.splice(0)
      await server.stop()
      assert.deepStrictEqual(await within("ends", Promise.all(ends)), ["transport close", "transport close"])
      const again = await start({ port: server.port })
      assert.strictEqual(again.port, server.port)
    })
  })
}
