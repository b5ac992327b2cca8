/**
 * The server's writes to WebSockets, read by `ws`: every length of a frame's header, and everything that may leave in one turn.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { WebSocket } from "ws"

import type * as Namespace from "../../src/Namespace.ts"
import type { NamespaceHandle } from "../../src/server/NamespaceHandle.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { engineUrl, within } from "../support/RawClient.ts"
import { serve } from "../support/serve.ts"

/** Connects, joins, asks with `go`, and reads as many messages as are said to come after that. */
const exchange = (url: string, count: number) =>
  Effect.acquireUseRelease(
    Effect.sync(
      () =>
        new WebSocket(engineUrl(url, { EIO: "4", transport: "websocket" }).replace("http", "ws"), {
          perMessageDeflate: false
        })
    ),
    (socket) =>
      Effect.promise(() => {
        const messages: Array<string | Buffer> = []
        return within(
          `${count} messages`,
          new Promise<ReadonlyArray<string | Buffer>>((resolve, reject) => {
            socket.on("error", reject)
            socket.on("close", (code) => reject(new Error(`closed with ${code} after ${messages.length} messages`)))
            socket.on("message", (data: Buffer, isBinary) => {
              const text = isBinary ? undefined : data.toString()
              if (text?.startsWith("0")) return socket.send("40")
              if (text?.startsWith("40")) return socket.send('42["go"]')
              messages.push(text ?? data)
              if (messages.length === count) resolve(messages)
            })
          })
        )
      }),
    (socket) => Effect.sync(() => socket.terminate())
  )

/** Lengths of payloads around those at which a header grows, and at which payloads are not copied any more. */
const lengths = [0, 1, 100, 125, 126, 127, 500, 512, 513, 1_000, 65_535, 65_536, 200_000]

const bytesOf = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + length) % 256)

describe("frames", () => {
  const served = (
    burst: (socket: ServerSocket<Namespace.Untyped>, all: NamespaceHandle<Namespace.Untyped>) => Effect.Effect<unknown>
  ) =>
    serve(
      SocketIoServer.layerNamespace(
        "/",
        Effect.fnUntraced(function* (socket) {
          const all = yield* SocketIoServer.namespace("/")
          yield* socket.on("go", () => burst(socket, all))
        })
      )
    )

  it.live("of every length hold what was sent, as text and as bytes, in order", () =>
    Effect.gen(function* () {
      const { url } = yield* served((socket) =>
        Effect.forEach(lengths, (length) =>
          Effect.andThen(socket.emit("text", "x".repeat(length)), socket.emit("bytes", bytesOf(length)))
        )
      )
      const messages = yield* exchange(url, lengths.length * 3)
      assert.deepStrictEqual(
        messages,
        lengths.flatMap((length) => [
          `42["text","${"x".repeat(length)}"]`,
          '451-["bytes",{"_placeholder":true,"num":0}]',
          Buffer.from(bytesOf(length))
        ])
      )
    })
  )

  it.live("count bytes, not characters", () =>
    Effect.gen(function* () {
      const texts = ["ä".repeat(60), "€".repeat(42), "😀".repeat(127), "\ud800 alone", "😀".repeat(20_000)]
      const { url } = yield* served((socket) => Effect.forEach(texts, (text) => socket.emit("text", text)))
      const messages = yield* exchange(url, texts.length)
      assert.deepStrictEqual(
        messages.map((message) => JSON.parse(String(message).slice(2))[1]),
        texts.map((text) => JSON.parse(JSON.stringify(text)))
      )
    })
  )

  it.live("of broadcasts and of one's own keep their order within a turn, whatever their length", () =>
    Effect.gen(function* () {
      const { url } = yield* served((socket, all) =>
        Effect.gen(function* () {
          yield* all.emit("n", 0)
          for (let n = 1; n < 60; n++) {
            const to = n % 3 === 0 ? all : socket
            const filler = "y".repeat(lengths[n % lengths.length]!)
            if (n % 2 === 0) yield* to.emit("n", n, filler)
            else yield* to.emit("n", n, Buffer.from(filler))
          }
          yield* all.emit("n", 60)
        })
      )
      const messages = yield* exchange(url, 61 + 30)
      const numbers = messages
        .filter((message) => typeof message === "string")
        .map((message) => JSON.parse(message.slice(message.indexOf("[")))[1])
      assert.deepStrictEqual(
        numbers,
        Array.from({ length: 61 }, (_, n) => n)
      )
    })
  )

  it.live("that were sent before a close arrive before it", () =>
    Effect.gen(function* () {
      const { url } = yield* served((socket) =>
        Effect.gen(function* () {
          yield* socket.emit("last words", "z".repeat(100_000))
          yield* socket.emit("bye")
          yield* socket.disconnect({ close: true })
        })
      )
      const [words, bye, disconnect] = yield* exchange(url, 3)
      assert.lengthOf(String(words), 100_000 + '42["last words",""]'.length)
      assert.deepStrictEqual([bye, disconnect], ['42["bye"]', "41"])
    })
  )
})
