import { assert, describe, it } from "@effect/vitest"

import { join, RawSocket, request, WebSocketClient, within } from "../support/RawClient.ts"
import { isReference, sharedServer } from "../support/servers.ts"

const server = sharedServer({ maxPayload: 10_000, pingInterval: 300, pingTimeout: 200 })

const patient = sharedServer()

const open = async () => WebSocketClient.open((await server()).url)

/** A well-behaved client beside the one under test. */
const stillServes = async () => {
  const client = await open()
  await join(client)
  await client.send('42["message","fine"]')
  assert.strictEqual(await client.next(), '42["message-back","fine"]')
  await client.close()
}

describe("WebSocket transport", () => {
  it("sends a packet per frame, binary as binary frames", async () => {
    const client = await open()
    await join(client)
    await client.send('452-["message",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]')
    await client.send(Uint8Array.from([1]), Uint8Array.from([2, 3]))
    assert.strictEqual(
      await client.next(),
      '452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    )
    assert.deepStrictEqual(await client.next(), Buffer.from([2, 3]))
    assert.deepStrictEqual(await client.next(), Buffer.from([1]))
    await client.close()
  })

  it("takes binary as base64 text, too", async () => {
    const client = await open()
    await join(client)
    await client.send('451-["message",{"_placeholder":true,"num":0}]', "bAQID")
    await client.next()
    assert.deepStrictEqual(await client.next(), Buffer.from([1, 2, 3]))
    await client.close()
  })

  it("takes heartbeats between a packet and its attachments", async () => {
    const client = await open()
    await join(client)
    client.answersPings = false
    await client.send('451-["message",{"_placeholder":true,"num":0}]')
    assert.strictEqual(await client.next(), "2")
    await client.send("3", Uint8Array.from([9]))
    client.answersPings = true
    await client.next()
    assert.deepStrictEqual(await client.next(), Buffer.from([9]))
    await client.close()
  })

  for (const [what, packet] of [
    ["an empty message", ""],
    ["an unknown packet type", "abc"],
    ["a ping", "2"],
    ["a probe outside an upgrade", "2probe"]
  ]) {
    it(`closes the session on ${what}`, async () => {
      const client = await open()
      await client.send(packet!)
      await client.closed
      await stillServes()
    })
  }

  it("closes the session on a frame that is larger than the limit, with code 1009", async () => {
    const client = await open()
    await client.send("4" + "x".repeat(10_000))
    assert.strictEqual(await client.socket.closed, 1009)
    await stillServes()
  })

  it("takes a frame of exactly the limit", async () => {
    const client = await open()
    await join(client)
    const start = '42["message","'
    const text = "x".repeat(10_000 - start.length - 2)
    await client.send(start + text + '"]')
    assert.strictEqual(await client.next(), `42["message-back","${text}"]`)
    await client.close()
  })

  it("closes the session on a frame that breaks the WebSocket protocol", async () => {
    const client = await open()
    client.socket.sendRaw(Uint8Array.from([0xf1, 0x80, 0, 0, 0, 0]))
    await client.closed
    await stillServes()
  })

  it("closes the session on text that is not UTF-8", async () => {
    const client = await open()
    client.socket.sendRaw(Uint8Array.from([0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]))
    await client.closed
    await stillServes()
  })

  it("survives garbage right after the upgrade request", async () => {
    const { port } = await server()
    const { connect } = await import("node:net")
    const socket = connect(port, "127.0.0.1")
    socket.write(
      "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\xff\xff\xff\xff"
    )
    await within("end of the connection", new Promise((resolve) => socket.on("close", resolve).resume()))
    await stillServes()
  })

  it("survives a connection that is reset during its upgrade", async () => {
    const { port } = await server()
    const { connect } = await import("node:net")
    for (const path of ["/socket.io/?EIO=4&transport=websocket", "/socket.io/?transport=abc", "/elsewhere"]) {
      const socket = connect(port, "127.0.0.1")
      const written = new Promise<void>((resolve) =>
        socket.write(
          `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
          () => resolve()
        )
      )
      await written
      socket.resetAndDestroy()
    }
    await stillServes()
  })

  it("ignores packets that only servers send", async () => {
    const client = await open()
    await client.send("0{}", "6", "5")
    await join(client)
    await client.close()
  })

  it.runIf(!isReference)("ends the session at once on a close packet", async () => {
    const client = await open()
    client.answersPings = false
    await client.send("1")
    await client.closed
    assert.notInclude(client.socket.rest, "2", "the session has waited for a heartbeat")
  })

  it("refuses polls in a session on WebSocket", async () => {
    const client = await open()
    const { url } = await server()
    const { body, status } = await request(`${url}/socket.io/?EIO=4&transport=polling&sid=${client.sid}`)
    assert.strictEqual(status, 400)
    assert.deepStrictEqual(JSON.parse(body), { code: 3, message: "Bad request" })
    await client.close()
  })

  // The reference takes it for an upgrade, and waits until that times out.
  it.runIf(!isReference)("closes a second WebSocket for a session that has one", async () => {
    const client = await WebSocketClient.open((await patient()).url)
    const second = new RawSocket((await patient()).url, { EIO: "4", transport: "websocket", sid: client.sid })
    await within("end of the second", second.closed)
    await join(client)
    await client.close()
  })
})
