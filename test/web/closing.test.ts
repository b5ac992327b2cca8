/**
 * Standard WebSockets that close while messages wait, on a platform that has read them already.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import * as EngineServer from "../../src/engine/EngineServer.ts"
import type { EngineOptions } from "../../src/engine/EngineOptions.ts"
import * as WebEngine from "../../src/web/WebEngine.ts"
import { makeCollector } from "../support/engine.ts"
import { within } from "../support/RawClient.ts"
import { FakeWebSocket } from "./fakeWebSocket.ts"

const open = Effect.fnUntraced(function* (options: EngineOptions = {}) {
  const { onSession, ...told } = makeCollector()
  const engine = yield* EngineServer.make({ drainTimeout: 0, ...options }, onSession)
  const sockets: Array<FakeWebSocket> = []
  const handler = yield* WebEngine.makeHandler(engine, {
    upgrade: () => {
      const socket = new FakeWebSocket()
      sockets.push(socket)
      return { response: new Response(null), socket }
    }
  })
  const fetch = (query: Record<string, string>, init?: RequestInit) =>
    Effect.promise(async () => {
      const url = `http://example.com/socket.io/?${new URLSearchParams({ EIO: "4", ...query }).toString()}`
      return within(
        "response",
        Promise.resolve(handler(new Request(url, init), { address: "192.0.2.1", secure: true }))
      )
    })
  const ask = fetch({ transport: "websocket" }, { headers: { upgrade: "websocket" } })
  /** A WebSocket that has sent many messages, and closes. */
  const burst = Effect.map(ask, () => {
    const socket = sockets.at(-1)!
    socket.open()
    for (let i = 0; i < 1_000; i++) socket.receive(`4${i}`)
    return socket
  })
  return { engine, fetch, ask, burst, sockets, ...told }
})

/** Waits until something is so. */
const until = (isSo: () => boolean) =>
  Effect.promise(() =>
    within(
      "change",
      (async () => {
        while (!isSo()) await new Promise<void>((resolve) => setImmediate(resolve))
      })()
    )
  )

const ALL = Array.from({ length: 1_000 }, (_, i) => `4${i}`)

describe("a standard WebSocket that closes while messages wait", () => {
  it.live("has them handled in turns, and its session ends then", () =>
    Effect.gen(function* () {
      const { burst, closes, engine, messages } = yield* open()
      const socket = yield* burst
      socket.end(1005)
      assert.isBelow(messages.length, 100)
      assert.strictEqual(closes.length, 0)
      assert.strictEqual(engine.sessionCount, 1)
      yield* until(() => closes.length > 0)
      assert.deepStrictEqual(messages, ALL)
      assert.strictEqual(closes[0]!.reason, "transport close")
      assert.strictEqual(engine.sessionCount, 0)
    })
  )

  it.live("counts for the limits until then", () =>
    Effect.gen(function* () {
      const { ask, burst, closes } = yield* open({ limits: { maxConnections: 1 } })
      const socket = yield* burst
      socket.end(1005)
      assert.strictEqual((yield* ask).status, 503)
      yield* until(() => closes.length > 0)
      assert.strictEqual((yield* ask).status, 200)
    })
  )

  it.live("has them handled after an upgrade, too", () =>
    Effect.gen(function* () {
      const { closes, fetch, messages, sockets } = yield* open()
      const opened = yield* fetch({ transport: "polling" })
      const { sid } = JSON.parse((yield* Effect.promise(() => opened.text())).slice(1))
      yield* fetch({ transport: "websocket", sid }, { headers: { upgrade: "websocket" } })
      const socket = sockets[0]!
      socket.open()
      socket.receive("2probe")
      socket.receive("5")
      for (const message of ALL) socket.receive(message)
      socket.end(1005)
      yield* until(() => closes.length > 0)
      assert.deepStrictEqual(messages, ALL)
      assert.strictEqual(closes[0]!.reason, "transport close")
    })
  )

  it.live("has them handled before the fault that closed it", () =>
    Effect.gen(function* () {
      const { burst, closes, messages } = yield* open({ limits: { maxPayload: 100 } })
      const socket = yield* burst
      socket.receive(`4${"x".repeat(100)}`)
      assert.strictEqual(closes.length, 0)
      socket.end(1009)
      yield* until(() => closes.length > 0)
      assert.deepStrictEqual(messages, ALL)
      assert.strictEqual(closes[0]!.reason, "payload too large")
    })
  )

  it.live("loses them when the server closes the session, which ends at once", () =>
    Effect.gen(function* () {
      const { burst, closes, engine, messages, sessions } = yield* open()
      const socket = yield* burst
      socket.end(1005)
      sessions[0]!.closeUnsafe()
      const { length } = messages
      assert.strictEqual(closes[0]!.reason, "forced close")
      assert.strictEqual(engine.sessionCount, 0)
      yield* engine.drain
      assert.strictEqual(messages.length, length)
      assert.strictEqual(closes.length, 1)
    })
  )

  it.live("does not keep a shutdown waiting", () =>
    Effect.gen(function* () {
      const { burst, closes, engine } = yield* open({ drainTimeout: "20 seconds" })
      const socket = yield* burst
      socket.end(1005)
      yield* Effect.timeout(engine.drain, "10 seconds")
      assert.strictEqual(closes[0]!.reason, "server shutting down")
    })
  )

  it.live("has them handled amid a drain, which waits for them", () =>
    Effect.gen(function* () {
      const { burst, closes, engine, messages } = yield* open()
      const socket = yield* burst
      socket.end(1005)
      yield* engine.move({ notice: 0 })
      assert.deepStrictEqual(messages, ALL)
      assert.strictEqual(closes.length, 1)
    })
  )

  it.live("loses those that wait while the session has paused", () =>
    Effect.gen(function* () {
      const { burst, closes, messages, sessions } = yield* open()
      const socket = yield* burst
      socket.end(1005)
      sessions[0]!.pauseUnsafe()
      const { length } = messages
      yield* until(() => closes.length > 0)
      assert.strictEqual(messages.length, length)
      assert.strictEqual(closes[0]!.reason, "transport close")
    })
  )
})

/** A platform brings so many messages in one turn, as there is so much to read. */
const flood = (socket: FakeWebSocket, count: number): void => {
  for (let i = 0; i < count; i++) socket.receive(`4${i}`)
}

const nextTurn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

describe("a standard WebSocket that brings many messages in one turn", () => {
  it.live("has ten thousand handled, in each turn", () =>
    Effect.gen(function* () {
      const { ask, closes, messages, sockets } = yield* open()
      yield* ask
      sockets[0]!.open()
      flood(sockets[0]!, 10_000)
      yield* nextTurn
      flood(sockets[0]!, 10_000)
      assert.strictEqual(closes.length, 0)
      yield* until(() => messages.length === 20_000)
      const expected = Array.from({ length: 10_000 }, (_, i) => `4${i}`)
      assert.deepStrictEqual(messages, [...expected, ...expected])
    })
  )

  it.live("is closed with what waits when there are more than others can wait for", () =>
    Effect.gen(function* () {
      const { ask, closes, engine, messages, sockets } = yield* open()
      yield* ask
      const socket = sockets[0]!
      socket.open()
      flood(socket, 12_000)
      assert.strictEqual(closes.length, 0)
      flood(socket, 1)
      assert.strictEqual(closes[0]!.reason, "inbound overflow")
      assert.strictEqual(socket.closedWith, 1013)
      assert.strictEqual(engine.sessionCount, 0)
      const { length } = messages
      assert.isBelow(length, 100)
      flood(socket, 1)
      yield* nextTurn
      yield* nextTurn
      assert.strictEqual(messages.length, length)
    })
  )

  it.live("has fewer binary messages, each of which has memory of its own", () =>
    Effect.gen(function* () {
      const { ask, closes, sockets } = yield* open()
      yield* ask
      const socket = sockets[0]!
      socket.open()
      for (let i = 0; i < 3_000; i++) socket.receive(new ArrayBuffer(1))
      assert.strictEqual(closes.length, 0)
      socket.receive(new ArrayBuffer(1))
      assert.strictEqual(closes[0]!.reason, "inbound overflow")
    })
  )
})
