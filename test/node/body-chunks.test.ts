/**
 * Bodies in tiny chunks, and bodies that nobody wants.
 */
import { EventEmitter } from "node:events"
import type { IncomingMessage } from "node:http"

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { onChunk } from "../../src/node/internal/bodyChunks.ts"
import { wire } from "../hostile/victim.ts"
import { soon, start } from "../support/handshake.ts"
import { PollingClient } from "../support/RawClient.ts"

/** A connection that says whether it is read. */
class Connection extends EventEmitter {
  isRead = true
  destroyed = false

  pause(): this {
    this.isRead = false
    return this
  }

  resume(): this {
    this.isRead = true
    this.emit("resume")
    return this
  }

  bring(chunks: number): void {
    for (let i = 0; i < chunks; i++) onChunk({ socket: this } as unknown as IncomingMessage, 1)
  }
}

const turns = (count: number) =>
  Effect.promise(async () => {
    for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
  })

const chunked = (path: string, body: string): string =>
  [`POST ${path} HTTP/1.1`, "Host: a", "Content-Type: text/plain", "Transfer-Encoding: chunked", "", body].join("\r\n")

const oneByOne = (text: string): string => Array.from(text, (letter) => `1\r\n${letter}\r\n`).join("")

describe("a body in tiny chunks", () => {
  it.live("stops the reading of its connection after one read, and lets it go on", () =>
    Effect.gen(function* () {
      const connection = new Connection()
      connection.bring(100)
      assert.isTrue(connection.isRead)
      connection.bring(100)
      assert.isFalse(connection.isRead)
      // Node reads on by itself when a request's stream has room.
      connection.resume()
      assert.isFalse(connection.isRead)
      yield* soon("reading", Effect.repeat(turns(1), { until: () => connection.isRead }))
      assert.strictEqual(connection.listenerCount("resume"), 0)
    })
  )

  it.live("does not stop one that brings a few in each turn", () =>
    Effect.gen(function* () {
      const connection = new Connection()
      for (let i = 0; i < 10; i++) {
        connection.bring(100)
        assert.isTrue(connection.isRead)
        yield* turns(2)
      }
    })
  )

  it.live("arrives whole, and its connection brings the next one", () =>
    Effect.gen(function* () {
      const { url } = yield* start({})
      const sid = yield* Effect.promise(() => PollingClient.handshake(url))
      const connection = yield* wire(url)
      const path = `/socket.io/?EIO=4&transport=polling&sid=${sid}`
      for (let i = 1; i <= 2; i++) {
        connection.write(chunked(path, `${oneByOne(`6${"\x1e6".repeat(4_000)}`)}0\r\n\r\n`))
        const answered = connection.until((received) => received.split("HTTP/1.1 200").length === i + 1)
        assert.notInclude(yield* Effect.promise(() => answered), "HTTP/1.1 4")
      }
    })
  )
})

describe("a body that nobody wants", () => {
  const refused = "/socket.io/?EIO=4&transport=polling&sid=nobody"

  it.live("is read, so that its connection can bring the next request", () =>
    Effect.gen(function* () {
      const { url } = yield* start({})
      const connection = yield* wire(url)
      connection.write(chunked(refused, ""))
      yield* Effect.promise(() => connection.until((received) => received.includes("HTTP/1.1 400")))
      connection.write(`${oneByOne("x".repeat(2_000))}0\r\n\r\n${chunked(refused, "0\r\n\r\n")}`)
      yield* Effect.promise(() => connection.until((received) => received.split("HTTP/1.1 400").length === 3))
    })
  )

  for (const [name, head] of [
    ["a request that is refused", chunked(refused, "")],
    ["a request for a file", chunked("/socket.io/socket.io.js", "").replace("POST", "GET")],
    ["a poll", chunked("/socket.io/?EIO=4&transport=polling", "").replace("POST", "GET")]
  ] as const) {
    it.live(`ends its connection when it has no end: ${name}`, () =>
      Effect.gen(function* () {
        const { url } = yield* start({})
        const connection = yield* wire(url)
        connection.write(head)
        yield* Effect.promise(() => connection.until((received) => received.includes("HTTP/1.1")))
        const part = `4000\r\n${"x".repeat(0x4000)}\r\n`
        for (let i = 0; i < 80; i++) connection.write(part)
        yield* Effect.promise(() => connection.ended)
      })
    )
  }
})
