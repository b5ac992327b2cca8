/**
 * Long-polling beside others: what one request brings takes turns, what is not read is bounded, and what trickles in ends.
 */
import * as Net from "node:net"

import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Queue, Schema, type Scope } from "effect"
import { WebSocket } from "ws"

import type { DisconnectReason } from "../../src/DisconnectReason.ts"
import * as Event from "../../src/Event.ts"
import { Chunks } from "../../src/internal/chunks.ts"
import * as Namespace from "../../src/Namespace.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { soon } from "../support/handshake.ts"
import { memoryInUse } from "../support/memory.ts"
import { engineUrl, PollingClient, request, within } from "../support/RawClient.ts"
import { call, connect, serve } from "../support/serve.ts"

class Typed extends Namespace.make("/typed", {
  clientToServer: [Event.make("move", { payload: { x: Schema.Int } })]
}) {}

/** A namespace that counts events, answers how many there were, and says why its sockets have gone. */
const open = Effect.fnUntraced(function* (options: NodeOptions = {}) {
  const ends = yield* Queue.unbounded<DisconnectReason>()
  let counted = 0
  const layer = SocketIoServer.layerNamespace(
    "/",
    Effect.fnUntraced(function* (socket) {
      yield* socket.on("count", () => Effect.sync(() => ++counted))
      yield* socket.on("counted", () => Effect.sync(() => counted))
      yield* socket.on("echo", (...args) => socket.emit("echo", ...args))
      yield* socket.on("die", () => Effect.die("as asked"))
      yield* socket.on("shout", () => Effect.andThen(socket.broadcast.emit("shouted"), socket.emit("shouted")))
      yield* socket.onDisconnecting((reason) => Queue.offer(ends, reason))
    })
  )
  const idle = SocketIoServer.layerNamespace("/idle", () => Effect.void)
  const typed = SocketIoServer.layerNamespace(Typed, () => Effect.succeed(Typed.of({ move: () => Effect.void })))
  const rooms = SocketIoServer.layerDynamicNamespace(/^\/room\/\d+$/, () => Effect.succeed(() => Effect.void))
  const { logs, url } = yield* serve(Layer.mergeAll(layer, idle, typed, rooms), {
    drainTimeout: "200 millis",
    ...options
  })
  return { url, logs, end: soon("end", Queue.take(ends)), counted: () => counted }
})

const polling = Effect.fnUntraced(function* (url: string, polls = true) {
  const sid = yield* Effect.promise(() => PollingClient.handshake(url))
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => new PollingClient(url, sid, polls)),
    (client) => Effect.promise(() => client.close())
  )
  yield* Effect.promise(() => client.send("40"))
  return client
})

/** A TCP connection that sends what it is given, and reads nothing. */
const silent = (url: string, text: string): Effect.Effect<Net.Socket, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<Net.Socket>((resolve) => {
          const { hostname, port } = new URL(url)
          const socket = Net.connect({ host: hostname, port: Number(port) }, () => {
            socket.write(text, () => resolve(socket))
          })
          socket.on("error", () => {})
          socket.pause()
        })
    ),
    (socket) => Effect.sync(() => socket.destroy())
  )

const closed = (socket: Net.Socket) => {
  const end = new Promise<void>((resolve) => socket.once("close", resolve))
  // It notices only when it reads.
  socket.resume()
  return Effect.promise(() => within("end of a connection", end))
}

const target = (url: string, sid: string) => engineUrl(url, { EIO: "4", transport: "polling", sid }).slice(url.length)

describe("a request of many packets", () => {
  it.live("is handled a few at a time, in order, and answered when it is done", () =>
    Effect.gen(function* () {
      const { counted, url } = yield* open()
      const other = yield* connect(url, { transports: ["websocket"] })
      const client = yield* polling(url)
      const posted = client.send(...Array.from({ length: 5_000 }, () => '42["count"]'), '427["counted"]')
      yield* soon("first packets", Effect.repeat(Effect.sleep("1 millis"), { until: () => counted() > 0 }))
      // The others have their turns amid it.
      const amid = yield* Effect.forEach([1, 2, 3], () => call(other, "counted"))
      assert.isBelow(Math.max(...(amid as ReadonlyArray<number>)), 5_000)
      yield* Effect.promise(() => posted)
      assert.strictEqual(counted(), 5_000)
      yield* Effect.promise(async () => {
        assert.match(String(await client.next()), /^40/)
        assert.strictEqual(await client.next(), "437[5000]")
      })
    })
  )

  for (const packet of [
    "40/idle,\x1e41/idle,",
    "40/nowhere,",
    "40/room/%,",
    '42["unknown"]',
    '42["die"]',
    '42["shout"]',
    '42/typed,["move",{"x":"no"}]',
    "431[]",
    "3"
  ]) {
    it.live(`leaves the others their turns, whatever the packets are: ${JSON.stringify(packet)}`, () =>
      Effect.gen(function* () {
        const { url } = yield* open()
        const other = yield* connect(url, { transports: ["websocket"] })
        const client = yield* polling(url)
        const progress = { isDone: false, amid: 0 }
        yield* Effect.promise(() => client.send("40/typed,"))
        const posted = client.send(...Array.from({ length: 3_000 }, (_, i) => packet.replaceAll("%", String(i))))
        posted.finally(() => (progress.isDone = true)).catch(() => {})
        // Many answers come before all is handled, as each waits for a few packets alone.
        for (; !progress.isDone && progress.amid < 20; progress.amid++) yield* call(other, "counted")
        assert.strictEqual(progress.amid, 20)
        yield* Effect.promise(() => posted)
      })
    )
  }

  it.live("that is wrong amid them ends its session there, and is answered", () =>
    Effect.gen(function* () {
      const { counted, end, url } = yield* open()
      const client = yield* polling(url)
      const packets = Array.from({ length: 1_000 }, (_, i) => (i === 500 ? "4x" : '42["count"]'))
      yield* Effect.promise(() => client.post(packets.join("\x1e")))
      assert.strictEqual(yield* end, "parse error")
      assert.strictEqual(counted(), 500)
    })
  )

  it.live("comes before what a WebSocket brings to which the session changes meanwhile", () =>
    Effect.gen(function* () {
      const { url } = yield* open()
      const client = yield* polling(url)
      yield* Effect.promise(async () => {
        assert.match(String(await client.next()), /^40/)
        const ws = new WebSocket(
          engineUrl(url, { EIO: "4", transport: "websocket", sid: client.sid }).replace("http", "ws")
        )
        const received: Array<string> = []
        const answered = new Promise<string>((resolve) => {
          ws.on("message", (data: Buffer) => {
            received.push(String(data))
            if (String(data).startsWith("439")) resolve(String(data))
          })
        })
        await within("open WebSocket", new Promise((resolve) => ws.once("open", resolve)))
        ws.send("2probe")
        await within("probe", new Promise((resolve) => ws.once("message", resolve)))
        const posted = client.send(...Array.from({ length: 2_000 }, () => '42["count"]'))
        // The server has begun with it when it answers another request.
        await request(engineUrl(url, { EIO: "4", transport: "polling" }))
        ws.send("5")
        ws.send('429["counted"]')
        assert.strictEqual(await within("answer", answered), "439[2000]")
        await posted
        ws.terminate()
      })
    })
  )
})

describe("responses that a client does not read", () => {
  const megabyte = "x".repeat(900_000)

  /** Lets the server send a megabyte to a poll that is not read. */
  const unread = Effect.fnUntraced(function* (url: string, client: PollingClient, messages: number) {
    for (let i = 0; i < messages; i++) {
      const { status } = yield* Effect.promise(() => client.post(`42["echo","${megabyte}"]`))
      if (status !== 200) return undefined
    }
    return yield* silent(url, `GET ${target(url, client.sid)} HTTP/1.1\r\nHost: a\r\n\r\n`)
  })

  it.live("count as what waits for it, so that it gets no further than maxOutbox", () =>
    Effect.gen(function* () {
      const { end, url } = yield* open({ limits: { maxOutbox: 12_000_000 } })
      const client = yield* polling(url, false)
      const stuck: Array<Net.Socket> = []
      for (;;) {
        const socket = yield* unread(url, client, 5)
        if (socket === undefined) break
        stuck.push(socket)
        // Nobody could take more.
        assert.isBelow(stuck.length, 10)
      }
      assert.strictEqual(yield* end, "outbox overflow")
      // They are of no use to anybody.
      for (const socket of stuck) yield* closed(socket)
    })
  )

  it.live("lose their connection after pingTimeout", () =>
    Effect.gen(function* () {
      const { url } = yield* open({ heartbeat: { pingTimeout: "300 millis", pingInterval: "1 minute" } })
      const client = yield* polling(url, false)
      const socket = (yield* unread(url, client, 8))!
      // It is not read meanwhile, but for what the kernels hold.
      yield* soon("end", Effect.repeat(Effect.sleep("10 millis"), { until: () => stateOf(socket) === "closed" }))
    })
  )

  it.live("leave nothing when the session is over", () =>
    Effect.gen(function* () {
      const { end, url } = yield* open()
      const before = memoryInUse()
      const client = yield* polling(url, false)
      const socket = (yield* unread(url, client, 12))!
      yield* Effect.promise(() => client.post("1"))
      assert.strictEqual(yield* end, "transport close")
      yield* closed(socket)
      assert.isBelow(memoryInUse() - before, 3_000_000)
    })
  )

  it.live("arrive whole where the client is slow, but reads them", () =>
    Effect.gen(function* () {
      const { url } = yield* open()
      const client = yield* polling(url, false)
      const socket = (yield* unread(url, client, 10))!
      let bytes = 0
      socket.on("data", (chunk) => {
        bytes += chunk.length
        socket.pause()
        setImmediate(() => socket.resume())
      })
      socket.resume()
      yield* soon("response", Effect.repeat(Effect.sleep("1 millis"), { until: () => bytes > 9_000_000 }))
      assert.strictEqual((yield* Effect.promise(() => client.post('42["count"]'))).status, 200)
    })
  )
})

/** Whether the other side has closed the connection, which one that does not read hears of only by writing. */
const stateOf = (socket: Net.Socket): string => {
  socket.write("\r\n")
  return socket.destroyed || socket.closed ? "closed" : "open"
}

describe("a request that trickles in", () => {
  it.live("ends with its session", () =>
    Effect.gen(function* () {
      const { end, url } = yield* open({ heartbeat: { pingInterval: "50 millis", pingTimeout: "300 millis" } })
      const client = yield* polling(url, false)
      const headers = "Host: a\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n"
      const socket = yield* silent(url, `POST ${target(url, client.sid)} HTTP/1.1\r\n${headers}\r\n42`)
      assert.strictEqual(yield* end, "ping timeout")
      yield* closed(socket)
    })
  )

  it.live("holds what has come, however small its chunks are", () =>
    Effect.gen(function* () {
      const { url } = yield* open()
      const client = yield* polling(url, false)
      const head = `POST ${target(url, client.sid)} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n`
      const socket = yield* silent(url, head)
      const chunks = Buffer.from("1\r\n4\r\n".repeat(150_000))
      const before = memoryInUse()
      // More than kernels hold: the server has read most of it when it is written.
      for (let i = 0; i < 6; i++) {
        yield* Effect.promise(() => new Promise<void>((resolve) => socket.write(chunks, () => resolve())))
      }
      const held = memoryInUse() - before
      assert.isBelow(held, 5_000_000)
    })
  )

  it("puts small chunks together, and keeps what is large as it is", () => {
    const chunks = new Chunks()
    const expected: Array<Buffer> = []
    for (let i = 0; i < 3_000; i++) {
      const chunk = Buffer.alloc(i % 100 === 0 ? 5_000 : (i * 7) % 50, i)
      expected.push(Buffer.from(chunk))
      chunks.add(chunk)
    }
    assert.isTrue(Buffer.concat(expected).equals(chunks.join()))
    assert.strictEqual(chunks.size, Buffer.concat(expected).length)
    assert.strictEqual(new Chunks().join().length, 0)
  })
})
