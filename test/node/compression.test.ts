/**
 * Compression of long-polling responses.
 */
import * as Zlib from "node:zlib"

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import type * as Namespace from "../../src/Namespace.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { engineUrl, request, type Response } from "../support/RawClient.ts"
import { serve } from "../support/serve.ts"
import type { PollingOptions } from "../../src/node/NodeEngine.ts"

const decoders: Record<string, (body: Buffer) => Buffer> = { gzip: Zlib.gunzipSync, deflate: Zlib.inflateSync }

/** The coding of a response, and its body without it. */
const decoded = ({ bytes, headers }: Response): readonly [coding: string | undefined, body: string] => {
  const coding = headers["content-encoding"]
  assert.strictEqual(headers["content-length"], String(bytes.length))
  return [coding, (coding === undefined ? bytes : decoders[coding]!(bytes)).toString()]
}

/** A client that polls by hand, in a namespace, and its socket on the server. */
const setup = Effect.fnUntraced(function* (options: NodeOptions = {}, query: Record<string, string> = {}) {
  const sockets: Array<ServerSocket<Namespace.Untyped>> = []
  const { server, url } = yield* serve(
    SocketIoServer.layerNamespace("/", (socket) => Effect.sync(() => void sockets.push(socket))),
    { drainTimeout: "50 millis", allowEIO3: true, ...options }
  )
  const all = { EIO: "4", transport: "polling", ...query }
  const open = yield* Effect.promise(() => request(engineUrl(url, all), { headers: { "accept-encoding": "gzip" } }))
  const sid = /\bsid[\\":]+([\w-]+)/.exec(open.body)![1]!
  const target = engineUrl(url, { ...all, sid })
  const poll = (acceptEncoding: string | null = "gzip") =>
    Effect.promise(() =>
      request(target, { headers: acceptEncoding === null ? {} : { "accept-encoding": acceptEncoding } })
    )
  const post = (body: string) =>
    Effect.promise(() => request(target, { method: "POST", body, headers: { "accept-encoding": "gzip" } }))
  // In revision 3 clients are in the default namespace without asking.
  const joined = all.EIO === "4" ? yield* post("40") : undefined
  const connected = yield* poll()
  const everyone = yield* Effect.provideContext(SocketIoServer.namespace("/"), server)
  return { poll, post, socket: sockets[0]!, everyone, opening: [open, ...(joined ? [joined] : []), connected] }
})

/** An event whose packet has this many bytes. */
const ofSize = (size: number): string => {
  const text = "compress me ".repeat(size / 10).slice(0, size - '42["text",""]'.length)
  assert.strictEqual(`42["text","${text}"]`.length, size)
  return text
}

describe("polling.compression", () => {
  const codings: ReadonlyArray<readonly [accepted: string | null, coding: string | undefined]> = [
    ["gzip", "gzip"],
    ["deflate", "deflate"],
    ["gzip, deflate, br, zstd", "gzip"],
    ["deflate, gzip", "gzip"],
    ["gzip;q=0.5, deflate;q=0.8", "deflate"],
    ["gzip;q=0, deflate", "deflate"],
    ["gzip ; q=1.0 ,deflate;q=0.999", "gzip"],
    ["GZIP", "gzip"],
    ["*", "gzip"],
    ["*;q=0.1, gzip;q=0", "deflate"],
    ["br", undefined],
    ["identity", undefined],
    ["identity, gzip;q=0.5", undefined],
    ["gzip;q=0", undefined],
    ["gzip;q=nonsense", undefined],
    ["", undefined],
    [null, undefined]
  ]
  for (const [accepted, coding] of codings) {
    it.live(`answers "Accept-Encoding: ${accepted ?? "(none)"}" with ${coding ?? "plain text"}`, () =>
      Effect.gen(function* () {
        const { poll, socket } = yield* setup()
        const text = ofSize(20_000)
        yield* socket.emit("text", text)
        const response = yield* poll(accepted)
        assert.deepStrictEqual(decoded(response), [coding, `42["text","${text}"]`])
        assert.strictEqual(response.headers["content-type"], "text/plain; charset=UTF-8")
        if (coding !== undefined) assert.isBelow(response.bytes.length, 1_000)
      })
    )
  }

  const thresholds: ReadonlyArray<readonly [options: PollingOptions["compression"], from: number]> = [
    [undefined, 1_024],
    [true, 1_024],
    [{}, 1_024],
    [{ threshold: 100 }, 100],
    [{ threshold: 50_000 }, 50_000]
  ]
  for (const [compression, from] of thresholds) {
    it.live(`with ${JSON.stringify(compression) ?? "no option"} compresses from ${from} bytes on`, () =>
      Effect.gen(function* () {
        const { poll, socket } = yield* setup(compression === undefined ? {} : { polling: { compression } })
        yield* socket.emit("text", ofSize(from - 1))
        assert.deepStrictEqual(decoded(yield* poll()), [undefined, `42["text","${ofSize(from - 1)}"]`])
        yield* socket.emit("text", ofSize(from))
        assert.deepStrictEqual(decoded(yield* poll()), ["gzip", `42["text","${ofSize(from)}"]`])
      })
    )
  }

  it.live("counts bytes, not characters", () =>
    Effect.gen(function* () {
      const { poll, socket } = yield* setup()
      const text = "ä".repeat(600)
      yield* socket.emit("text", text)
      assert.deepStrictEqual(decoded(yield* poll()), ["gzip", `42["text","${text}"]`])
    })
  )

  it.live("counts what leaves together", () =>
    Effect.gen(function* () {
      const { poll, socket } = yield* setup()
      yield* socket.emit("text", ofSize(600))
      yield* socket.emit("text", ofSize(600))
      const packet = `42["text","${ofSize(600)}"]`
      assert.deepStrictEqual(decoded(yield* poll()), ["gzip", `${packet}\x1e${packet}`])
    })
  )

  it.live("compresses nothing with false", () =>
    Effect.gen(function* () {
      const { poll, socket } = yield* setup({ polling: { compression: false } })
      yield* socket.emit("text", ofSize(20_000))
      assert.deepStrictEqual(decoded(yield* poll()), [undefined, `42["text","${ofSize(20_000)}"]`])
    })
  )

  it.live("answers a poll that is held, too", () =>
    Effect.gen(function* () {
      const { poll, post, socket } = yield* setup()
      const [response] = yield* Effect.all(
        [
          poll("deflate"),
          // A request later the poll has most likely arrived; if not, it is the same for the client.
          Effect.andThen(post("3"), socket.emit("text", ofSize(20_000)))
        ],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(decoded(response), ["deflate", `42["text","${ofSize(20_000)}"]`])
    })
  )

  it.live("leaves handshakes, acknowledgements of posts and errors as they are", () =>
    Effect.gen(function* () {
      const { opening, post } = yield* setup({ polling: { compression: { threshold: 0 } } })
      const error = yield* post("what is this?")
      for (const response of [...opening.slice(0, 2), error]) {
        assert.isUndefined(response.headers["content-encoding"])
        assert.match(response.body, /^(0\{|ok)/)
      }
    })
  )

  it.live("compresses attachments with what they belong to", () =>
    Effect.gen(function* () {
      const { poll, socket } = yield* setup()
      yield* socket.emit("bytes", Buffer.alloc(10_000, 7))
      const [coding, body] = decoded(yield* poll())
      assert.strictEqual(coding, "gzip")
      const [text, attachment] = body.split("\x1e")
      assert.strictEqual(text, '451-["bytes",{"_placeholder":true,"num":0}]')
      assert.deepStrictEqual(Buffer.from(attachment!.slice(1), "base64"), Buffer.alloc(10_000, 7))
    })
  )

  it.live("compresses the payloads of Engine.IO 3, of bytes and for scripts", () =>
    Effect.gen(function* () {
      const bytes = Buffer.alloc(10_000, 7)
      const binary = yield* setup({}, { EIO: "3" })
      yield* binary.socket.emit("bytes", bytes)
      const response = yield* binary.poll()
      assert.deepInclude(response.headers, { "content-type": "application/octet-stream", "content-encoding": "gzip" })
      assert.deepStrictEqual(Zlib.gunzipSync(response.bytes).subarray(-10_000), bytes)
      const script = yield* setup({}, { EIO: "3", j: "0" })
      yield* script.socket.emit("bytes", bytes)
      const [coding, body] = decoded(yield* script.poll())
      assert.strictEqual(coding, "gzip")
      assert.match(body, /^___eio\[0\]\("/)
      assert.include(body, bytes.toString("base64"))
    })
  )
})

describe("compress(false)", () => {
  const text = ofSize(5_000)
  const packet = (name: string) => `42["${name}","${text}"]`

  it.live("leaves an event as it is", () =>
    Effect.gen(function* () {
      const { poll, socket } = yield* setup()
      yield* socket.compress(false).emit("one", text)
      assert.deepStrictEqual(decoded(yield* poll()), [undefined, packet("one")])
      yield* socket.compress(true).emit("two", text)
      assert.deepStrictEqual(decoded(yield* poll()), ["gzip", packet("two")])
    })
  )

  it.live("leaves a broadcast as it is", () =>
    Effect.gen(function* () {
      const { everyone, poll, socket } = yield* setup()
      yield* socket.join("room")
      yield* everyone.to("room").compress(false).emit("one", text)
      assert.deepStrictEqual(decoded(yield* poll()), [undefined, packet("one")])
      yield* everyone.to("room").compress(true).emit("two", text)
      assert.deepStrictEqual(decoded(yield* poll()), ["gzip", packet("two")])
      yield* everyone.except("nobody").compress(false).emit("three", text)
      assert.deepStrictEqual(decoded(yield* poll()), [undefined, packet("three")])
    })
  )

  it.live("does not keep others in the same response from being compressed, and the order is kept", () =>
    Effect.gen(function* () {
      const { everyone, poll, socket } = yield* setup()
      yield* socket.join("room")
      yield* socket.compress(false).emit("one", text)
      yield* everyone.to("room").emit("two", text)
      yield* everyone.except("nobody").compress(false).emit("three", text)
      assert.deepStrictEqual(decoded(yield* poll()), [
        "gzip",
        [packet("one"), packet("two"), packet("three")].join("\x1e")
      ])
      // That was for one response.
      yield* socket.compress(false).emit("four", text)
      assert.deepStrictEqual(decoded(yield* poll()), [undefined, packet("four")])
    })
  )

  it.live("keeps the order from response to response", () =>
    Effect.gen(function* () {
      const { everyone, poll, socket } = yield* setup()
      const got: Array<string> = []
      for (let i = 0; i < 20; i += 2) {
        yield* socket.compress(i % 4 === 0).emit(`event ${i}`, text)
        yield* everyone
          .except("nobody")
          .compress(i % 3 === 0)
          .emit(`event ${i + 1}`, text)
        got.push(...decoded(yield* poll())[1].split("\x1e"))
      }
      assert.deepStrictEqual(
        got,
        Array.from({ length: 20 }, (_, i) => packet(`event ${i}`))
      )
    })
  )
})
