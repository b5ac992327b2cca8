/**
 * A client that makes the server hold something by frames: answers that it does not take, small ones above all, which take far more
 * memory than their bytes; and messages in pieces of a byte.
 */
import * as Http from "node:http"
import { createServer as createSecureServer } from "node:https"
import * as Net from "node:net"
import { connect as connectSecurely, type TLSSocket } from "node:tls"
import { setImmediate as turn } from "node:timers/promises"

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import type { EngineOptions } from "../../src/engine/EngineOptions.ts"
import * as EngineServer from "../../src/engine/EngineServer.ts"
import type { EngineSession, SessionClose } from "../../src/engine/EngineSession.ts"
import { OutboundMessage } from "../../src/engine/OutboundMessage.ts"
import * as NodeEngine from "../../src/node/NodeEngine.ts"
import { cert, key } from "../support/certificate.ts"
import { within } from "../support/RawClient.ts"
import { listen } from "../support/serve.ts"
import { frame, upgradeRequest, WEBSOCKET_TARGET } from "./victim.ts"

const PING = 9
const PONG = 10

/** A session over a WebSocket, and both ends of its connection. The client reads no more than the opening. */
const open = Effect.fnUntraced(function* (options: EngineOptions = {}, perMessageDeflate = false, isSecure = false) {
  const http = isSecure ? createSecureServer({ key, cert }) : Http.createServer()
  let serverSocket!: Net.Socket
  http.on(isSecure ? "secureConnection" : "connection", (socket) => (serverSocket = socket))
  let session!: EngineSession
  let end!: (close: SessionClose) => void
  const ended = new Promise<SessionClose>((resolve) => (end = resolve))
  const engine = yield* EngineServer.make({ drainTimeout: 0, ...options }, (opened) => {
    session = opened
    return { onOpen() {}, onMessage() {}, onBinary() {}, onClose: end }
  })
  yield* NodeEngine.attach(engine, http, { webSocket: { perMessageDeflate } })
  const { hostname, port } = new URL(yield* listen(http))
  const socket = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const address = { host: hostname, port: Number(port) }
      const socket = isSecure ? connectSecurely({ ...address, rejectUnauthorized: false }) : Net.connect(address)
      socket.setNoDelay(true)
      socket.on("error", () => {})
      const extensions = perMessageDeflate ? ["Sec-WebSocket-Extensions: permessage-deflate"] : []
      socket.write(upgradeRequest(WEBSOCKET_TARGET, ...extensions))
      let text = ""
      await within(
        "open WebSocket",
        new Promise<void>((resolve) => {
          const read = (chunk: Buffer) => {
            text += chunk.toString("latin1")
            if (!text.includes('0{"sid"')) return
            socket.off("data", read)
            resolve()
          }
          socket.on("data", read)
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

/** The client reads nothing from now on, and the system's buffers have taken what they do. */
const stall = ({ session, socket }: Effect.Success<ReturnType<typeof open>>) =>
  Effect.promise(async () => {
    socket.pause()
    for (let waits = 0; waits < 20; waits = session.buffered > 0 ? waits + 1 : 0) {
      const message = new OutboundMessage(`4${"x".repeat(50_000)}`, undefined, false)
      message.compress = false
      if (session.buffered === 0) session.sendUnsafe(message)
      await turn()
    }
  })

/** The least memory of a write that waits, beside its bytes. */
const WRITE = 250

for (const perMessageDeflate of [false, true]) {
  const form = perMessageDeflate ? " with compression" : ""

  describe(`small messages over a WebSocket${form} that is not read`, () => {
    for (const shared of [false, true]) {
      it.live(
        `count with what holds them, where each leaves in a turn of its own${shared ? ": broadcasts, too" : ""}`,
        () =>
          Effect.gen(function* () {
            const maxOutbox = 300_000
            const opened = yield* open({ limits: { maxOutbox } }, perMessageDeflate)
            yield* stall(opened)
            const { ended, session } = opened
            const room = maxOutbox - session.buffered
            let count = 0
            yield* Effect.promise(async () => {
              for (; session.isOpen && count < 5_000; count++) {
                session.sendUnsafe(new OutboundMessage("4", undefined, shared))
                await turn()
              }
            })
            assert.isAtMost(count, (room + maxOutbox / 8) / WRITE + 1)
            assert.isAbove(count, 200)
            assert.strictEqual((yield* ended).reason, "outbox overflow")
          })
      )
    }

    it.live("count no more when they are read", () =>
      Effect.gen(function* () {
        const opened = yield* open({}, perMessageDeflate)
        yield* stall(opened)
        const { session, socket } = opened
        yield* Effect.promise(async () => {
          for (let i = 0; i < 500; i++) {
            session.sendUnsafe(new OutboundMessage("4", undefined, i % 2 === 0))
            await turn()
          }
          assert.isAbove(session.buffered, 500 * WRITE)
          socket.resume()
          while (session.buffered > 0) await turn()
          // Nor do those after that, which leave at once.
          for (let i = 0; i < 500; i++) {
            session.sendUnsafe(new OutboundMessage("4", undefined, i % 2 === 0))
            await turn()
          }
          assert.isBelow(session.buffered, 10 * WRITE)
        })
      })
    )
  })

  it.live(`a long text over a WebSocket${form} that is not read counts with its bytes`, () =>
    Effect.gen(function* () {
      const opened = yield* open({}, perMessageDeflate)
      yield* stall(opened)
      const { session } = opened
      const before = session.buffered
      for (const shared of [false, true]) {
        const message = new OutboundMessage(`4${"€".repeat(100_000)}`, undefined, shared)
        message.compress = false
        session.sendUnsafe(message)
      }
      yield* Effect.promise(() => turn())
      assert.isAbove(session.buffered - before, 600_000 - 300_000 * Number(perMessageDeflate))
    })
  )
}

describe("pings of a client that does not read", () => {
  it.live("end its connection when more answers wait than any client asks for", () =>
    Effect.gen(function* () {
      const { ended, socket } = yield* open()
      socket.pause()
      // The first answers fit into the buffers of the system.
      const pings = Buffer.concat(Array.from({ length: 1_000 }, () => frame(PING, Buffer.alloc(125))))
      const send = () => {
        if (!socket.destroyed) socket.write(pings, send)
      }
      send()
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

for (const isSecure of [false, true]) {
  describe(`pongs that nobody has asked for${isSecure ? ", with TLS" : ""}`, () => {
    it.live("are handled a few in each turn", () =>
      Effect.gen(function* () {
        const { serverSocket, session, socket } = yield* open({}, false, isSecure)
        let received: (() => void) | undefined
        const last = new Promise<void>((resolve) => (received = resolve))
        session.handler = { onOpen() {}, onBinary() {}, onClose() {}, onMessage: () => received!() }
        const bytes = { inTurn: 0, most: 0, isOver: false }
        serverSocket.on("data", ({ length }: Buffer) => {
          bytes.most = Math.max(bytes.most, (bytes.inTurn += length))
        })
        const turns = (async () => {
          for (; !bytes.isOver; bytes.inTurn = 0) await turn()
        })()
        const pongs = Buffer.concat(Array.from({ length: 20_000 }, () => frame(PONG, Buffer.alloc(0))))
        // Small records, each of which is a read of its own.
        if (isSecure) (socket as TLSSocket).setMaxSendFragment(4_096)
        socket.write(Buffer.concat([pongs, frame(1, Buffer.from("4last"))]))
        yield* Effect.promise(() => within("message after pongs", last))
        bytes.isOver = true
        yield* Effect.promise(() => turns)
        assert.isTrue(session.isOpen)
        // There are 120 KB of them.
        assert.isBelow(bytes.most, 16_384)
      })
    )
  })
}

describe("bytes that nobody takes", () => {
  const faults = {
    "after a close frame": frame(8, Buffer.alloc(0)),
    // A bit that only an extension may set.
    "after a fault": Buffer.concat([Buffer.of(0xa1), frame(1, Buffer.from("3")).subarray(1)])
  }
  for (const [name, fault] of Object.entries(faults)) {
    it.live(`${name} are read up to 64 KiB, and then the connection is dropped`, () =>
      Effect.gen(function* () {
        const { ended, serverSocket, socket } = yield* open()
        const before = serverSocket.bytesRead
        const noise = Buffer.alloc(65_536)
        const write = () => {
          if (socket.writable) socket.write(noise, write)
        }
        // It does not notice that the server has ended its side.
        socket.pause().write(fault, write)
        yield* ended
        assert.isTrue(serverSocket.destroyed)
        assert.isBelow(serverSocket.bytesRead - before, 2_000_000)
      })
    )
  }
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
