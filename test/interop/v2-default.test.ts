/**
 * Clients of Socket.IO 2 on a server that does not serve the default namespace, in which they are without asking.
 */
import { createRequire } from "node:module"

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { openClient, RawSocket, request, engineUrl, within } from "../support/RawClient.ts"
import { splitV3 } from "../support/payloadsV3.ts"
import { serve } from "../support/serve.ts"

const ChatLive = SocketIoServer.layerNamespace("/chat", (socket) =>
  socket.on("echo", (...args) => socket.emit("echo", ...args))
)

const start = (options: Parameters<typeof serve>[1] = {}) =>
  serve(ChatLive, { allowEIO3: true, drainTimeout: 0, ...options })

const raw = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = new RawSocket(url, { EIO: "3", transport: "websocket" })
      await socket.opened
      assert.match(String(await socket.next()), /^0\{/)
      return socket
    }),
    (socket) => Effect.sync(() => socket.close())
  )

interface SocketV2 {
  once(event: string, listener: (...args: Array<any>) => void): void
  emit(event: string, ...args: ReadonlyArray<unknown>): void
  close(): void
}

const io2: (url: string, options: object) => SocketV2 = createRequire(import.meta.url)("socket.io-client-v2")

describe("a client of Socket.IO 2 where nothing serves the default namespace", () => {
  it.live("is told that it is in it over WebSocket, and joins others", () =>
    Effect.gen(function* () {
      const { url } = yield* start()
      const socket = yield* raw(url)
      assert.strictEqual(yield* Effect.promise(() => socket.next()), "40")
      socket.send("40/chat")
      assert.strictEqual(yield* Effect.promise(() => socket.next()), "40/chat,")
      socket.send('42/chat,["echo",1]')
      assert.strictEqual(yield* Effect.promise(() => socket.next()), '42/chat,["echo",1]')
    })
  )

  it.live("is told so over polling, too", () =>
    Effect.gen(function* () {
      const { url } = yield* start()
      const poll = (sid: Record<string, string>) =>
        Effect.promise(async () => {
          const { body } = await request(engineUrl(url, { EIO: "3", transport: "polling", ...sid }))
          return splitV3(body)
        })
      const packets = [...(yield* poll({}))]
      const { sid } = JSON.parse(packets[0]!.slice(1))
      if (packets.length === 1) packets.push(...(yield* poll({ sid })))
      assert.strictEqual(packets[1], "40")
    })
  )

  it.live("is told so when nobody may come to serve it any more", () =>
    Effect.gen(function* () {
      const { url } = yield* start({ namespaceGrace: "300 millis" })
      const socket = yield* raw(url)
      assert.strictEqual(yield* Effect.promise(() => socket.next()), "40")
      socket.send("40/chat")
      assert.strictEqual(yield* Effect.promise(() => socket.next()), "40/chat,")
    })
  )

  it.live("is no socket, and what it sends to it is ignored", () =>
    Effect.gen(function* () {
      const { server, url } = yield* start()
      const socket = yield* raw(url)
      assert.strictEqual(yield* Effect.promise(() => socket.next()), "40")
      const root = yield* Effect.provideContext(SocketIoServer.namespace("/"), server)
      assert.deepStrictEqual(yield* root.fetchSockets, [])
      socket.send(
        '42["echo",1]',
        '421["echo",1]',
        '451-["echo",{"_placeholder":true,"num":0}]',
        "b4AQ==",
        "41",
        "40/chat"
      )
      assert.strictEqual(yield* Effect.promise(() => socket.next()), "40/chat,")
    })
  )

  it.live("may take its time to join another one", () =>
    Effect.gen(function* () {
      const { url } = yield* start({ limits: { connectTimeout: "100 millis" } })
      const socket = yield* raw(url)
      assert.strictEqual(yield* Effect.promise(() => socket.next()), "40")
      // One that has not been told has been closed by then.
      const other = yield* Effect.promise(() => openClient("websocket", url))
      yield* Effect.promise(() => other.closed)
      socket.send("40/chat")
      assert.strictEqual(yield* Effect.promise(() => socket.next()), "40/chat,")
    })
  )

  it.live("connects with the official client", () =>
    Effect.gen(function* () {
      const { url } = yield* start()
      const [root, chat] = [url, `${url}/chat`].map((url) => io2(url, { forceNew: true, reconnection: false }))
      const told = [root!, chat!].map((socket) =>
        within("connection", new Promise<void>((resolve) => socket.once("connect", resolve)))
      )
      for (const connected of told) yield* Effect.promise(() => connected)
      const echoed = new Promise((resolve) => chat!.once("echo", resolve))
      chat!.emit("echo", "hello")
      assert.strictEqual(yield* Effect.promise(() => within("echo", echoed)), "hello")
      root!.close()
      chat!.close()
    })
  )
})
