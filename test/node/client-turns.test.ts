/**
 * A client on Node whose server sends as much as it can: the messages of one turn of the event loop are few, all come in their order, and
 * before the end of the connection.
 */
import { once } from "node:events"
import type { AddressInfo } from "node:net"

import { assert, describe, it } from "@effect/vitest"
import { WebSocket, WebSocketServer } from "ws"

import { openWebSocket } from "../../src/node/internal/clientWebSocket.ts"
import { within } from "../support/RawClient.ts"

/** What a client gets of a server that sends these messages, and closes. */
const receive = async (messages: ReadonlyArray<string | Buffer>) => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" })
  await once(server, "listening")
  server.on("connection", (socket) => {
    for (const message of messages) socket.send(message)
    socket.close()
  })
  const got: Array<string | Buffer> = []
  let [inTurn, most] = [0, 0]
  const take = (message: string | Buffer) => {
    got.push(message)
    if (inTurn++ === 0) {
      setImmediate(() => {
        most = Math.max(most, inTurn)
        inTurn = 0
      })
    }
  }
  const closed = new Promise<void>((resolve) => {
    const ws = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
    openWebSocket(ws, {
      onOpen: () => {},
      onText: take,
      onBinary: (bytes) => take(Buffer.from(bytes as Uint8Array)),
      onClose: () => resolve()
    })
  })
  await within("end of a WebSocket", closed, 20_000)
  const total = got.length
  await new Promise((resolve) => setImmediate(resolve))
  server.close()
  assert.strictEqual(got.length, total)
  return { got, most }
}

describe("a client on Node whose server sends as much as it can", () => {
  it("takes few messages in a turn, all of them, before the end", async () => {
    const messages = Array.from({ length: 20_000 }, (_, i) => (i % 100 === 0 ? Buffer.from(String(i)) : String(i)))
    const { got, most } = await receive(messages)
    assert.deepStrictEqual(got, messages)
    // Two turns of the client may be in one of the test.
    assert.isAtMost(most, 128)
  })

  it("stops reading at pongs, too, until its next turn", async () => {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" })
    await once(server, "listening")
    server.on("connection", (socket) => {
      for (let i = 0; i < 1_000; i++) socket.pong()
      socket.send("last")
    })
    const ws = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const text = new Promise<string>((resolve) =>
      openWebSocket(ws, { onOpen: () => {}, onText: resolve, onBinary: () => {}, onClose: () => {} })
    )
    let pongs = 0
    let pauses = 0
    ws.on("pong", () => {
      pongs++
      if (ws.isPaused) pauses++
    })
    assert.strictEqual(await within("the last message", text, 20_000), "last")
    assert.strictEqual(pongs, 1_000)
    assert.isAbove(pauses, 0)
    ws.terminate()
    server.close()
  })

  it("takes a single message at once", async () => {
    assert.deepStrictEqual(await receive(["one"]), { got: ["one"], most: 1 })
  })
})
