/**
 * A client that makes the server hold something by frames that are no messages: pings whose answers it does not take, and messages in
 * pieces of a byte.
 */
import * as Http from "node:http"
import * as Net from "node:net"
import { setImmediate as turn } from "node:timers/promises"

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import type { EngineOptions } from "../../src/engine/EngineOptions.ts"
import * as EngineServer from "../../src/engine/EngineServer.ts"
import type { EngineSession, SessionClose } from "../../src/engine/EngineSession.ts"
import * as NodeEngine from "../../src/node/NodeEngine.ts"
import { within } from "../support/RawClient.ts"
import { listen } from "../support/serve.ts"
import { frame, upgradeRequest, WEBSOCKET_TARGET } from "./victim.ts"

const PING = 9

/** A session over a WebSocket, and both ends of its connection. The client reads no more than the opening. */
const open = Effect.fnUntraced(function* (options: EngineOptions = {}) {
  const http = Http.createServer()
  let serverSocket!: Net.Socket
  http.on("connection", (socket) => (serverSocket = socket))
  let session!: EngineSession
  let end!: (close: SessionClose) => void
  const ended = new Promise<SessionClose>((resolve) => (end = resolve))
  const engine = yield* EngineServer.make({ drainTimeout: 0, ...options }, (opened) => {
    session = opened
    return { onOpen() {}, onMessage() {}, onBinary() {}, onClose: end }
  })
  yield* NodeEngine.attach(engine, http)
  const { hostname, port } = new URL(yield* listen(http))
  const socket = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = Net.connect({ host: hostname, port: Number(port) })
      socket.setNoDelay(true)
      socket.on("error", () => {})
      socket.write(upgradeRequest(WEBSOCKET_TARGET))
      let text = ""
      await within(
        "open WebSocket",
        new Promise<void>((resolve) => {
          socket.on("data", (chunk) => {
            text += chunk.toString("latin1")
            if (text.includes('0{"sid"')) resolve()
          })
        })
      )
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  return {
    socket,
    session,
    serverSocket,
    ended: Effect.promise(() => within("end of the session", ended))
  }
})

const closeReason = (close: SessionClose) => [close.reason, close.description]

describe("pings of a client that does not read", () => {
  it.live("end its connection when more answers wait than any client asks for", () =>
    Effect.gen(function* () {
      const { ended, socket } = yield* open()
      socket.pause()
      socket.write(Buffer.concat(Array.from({ length: 1_000 }, () => frame(PING, Buffer.alloc(125)))))
      assert.deepStrictEqual(closeReason(yield* ended), [
        "outbox overflow",
        "the peer does not take the answers to its pings"
      ])
    })
  )

  it.live("end its connection when the answers exceed maxOutbox with what else waits", () =>
    Effect.gen(function* () {
      const { ended, session, socket } = yield* open({ limits: { maxOutbox: 60_000 } })
      socket.pause()
      // The system's buffers take some megabytes first.
      yield* Effect.promise(async () => {
        for (let i = 0; session.buffered < 56_000; i++) {
          Effect.runSync(session.send("x".repeat(3_000)))
          if (i % 10 === 0) await turn()
        }
      })
      assert.isTrue(session.isOpen)
      socket.write(Buffer.concat(Array.from({ length: 50 }, () => frame(PING, Buffer.alloc(125)))))
      const [reason, description] = closeReason(yield* ended)
      assert.strictEqual(reason, "outbox overflow")
      assert.match(description!, /bytes were waiting$/)
    })
  )

  it.live("are answered while it does", () =>
    Effect.gen(function* () {
      const { session, socket } = yield* open()
      yield* Effect.promise(async () => {
        for (let i = 0; i < 500; i++) {
          const answered = new Promise((resolve) => socket.once("data", resolve))
          socket.write(frame(PING, Buffer.from("hi")))
          await within("answer to a ping", answered)
        }
      })
      assert.isTrue(session.isOpen)
    })
  )
})

describe("a message in pieces", () => {
  it.live("of one byte is not kept beyond some hundred fragments", () =>
    Effect.gen(function* () {
      const { ended, socket } = yield* open({ limits: { maxPayload: 100_000 } })
      const byte = Buffer.from("x")
      socket.write(frame(1, byte, false))
      socket.write(Buffer.concat(Array.from({ length: 400 }, () => frame(0, byte, false))))
      assert.deepStrictEqual(closeReason(yield* ended), ["parse error", "Too many message fragments"])
    })
  )

  it.live("of one byte that come one by one is not kept beyond some thousand reads", () =>
    Effect.gen(function* () {
      const { ended, serverSocket, session, socket } = yield* open({ limits: { maxPayload: 100_000 } })
      const whole = frame(1, Buffer.alloc(90_000, "x"))
      yield* Effect.promise(async () => {
        const before = serverSocket.bytesRead
        for (let sent = 0; session.isOpen && sent < 4_000;) {
          socket.write(whole.subarray(sent, ++sent))
          while (session.isOpen && serverSocket.bytesRead < before + sent) await turn()
        }
      })
      assert.deepStrictEqual(closeReason(yield* ended), ["parse error", "Too many buffered chunks"])
    })
  )

  it.live("of the sizes that browsers make arrives", () =>
    Effect.gen(function* () {
      const { session, socket } = yield* open({ limits: { maxPayload: 1_000_000 } })
      let received: ((size: number) => void) | undefined
      const size = new Promise<number>((resolve) => (received = resolve))
      session.handler = { onOpen() {}, onBinary() {}, onClose() {}, onMessage: ({ length }) => received!(length) }
      const piece = Buffer.alloc(4_000, "x")
      socket.write(frame(1, Buffer.from("4"), false))
      for (let i = 0; i < 240; i++) socket.write(frame(0, piece, i === 239))
      assert.strictEqual(yield* Effect.promise(() => within("message", size)), 960_001)
    })
  )
})
