import * as Net from "node:net"

import { assert, describe, it } from "@effect/vitest"

import { engineUrl, join, PollingClient, request, within } from "../support/RawClient.ts"
import { isReference, sharedServer } from "../support/servers.ts"

const server = sharedServer({ maxPayload: 10_000 })

const open = async () => PollingClient.open((await server()).url)

/** A session that only polls when it is told to. */
const silent = async () => {
  const { url } = await server()
  const sid = await PollingClient.handshake(url)
  return new PollingClient(url, sid, false)
}

/** A request whose fate is watched, started before what follows. */
const poll = async (client: PollingClient) => {
  const response = request(client.url)
  // A second connection proves that the server has read what came before on the first.
  await request(engineUrl((await server()).url, { EIO: "4", transport: "polling" }))
  return { response }
}

describe("HTTP long-polling", () => {
  it("answers a POST with ok", async () => {
    const client = await open()
    const { body, headers, status } = await client.post("40")
    assert.strictEqual(status, 200)
    assert.strictEqual(body, "ok")
    assert.strictEqual(headers["content-type"], "text/html")
    assert.strictEqual(headers["cache-control"], "no-store")
    await client.close()
  })

  it("takes several packets in one payload, in order", async () => {
    const client = await open()
    await join(client)
    await client.send('42["message",1]', '42["message",2]', '42["message",3]')
    for (const i of [1, 2, 3]) assert.strictEqual(await client.next(), `42["message-back",${i}]`)
    await client.close()
  })

  it("holds a poll until there is something to send", async () => {
    const client = await silent()
    const { response } = await poll(client)
    void client.post("40")
    assert.match((await response).body, /^40\{"sid":"[\w-]{20}"\}/)
    await client.close()
  })

  it("sends what has gathered between two polls as one payload", async () => {
    const client = await silent()
    await client.post("40")
    const seen: Array<string> = []
    while (!seen.some((packet) => packet.startsWith("42"))) seen.push(...(await request(client.url)).body.split("\x1e"))
    await client.post('42["message",1]\x1e42["message","\\u001e"]')
    // The reference handles events a little later than it answers the POST.
    await request(engineUrl((await server()).url, { EIO: "4", transport: "polling" }))
    assert.deepStrictEqual((await request(client.url)).body.split("\x1e"), [
      '42["message-back",1]',
      '42["message-back","\\u001e"]'
    ])
    await client.close()
  })

  it("takes and sends binary as base64", async () => {
    const client = await open()
    await join(client)
    await client.send('451-["message",{"_placeholder":true,"num":0}]', Uint8Array.from([1, 2, 255]))
    assert.strictEqual(await client.next(), '451-["message-back",{"_placeholder":true,"num":0}]')
    assert.deepStrictEqual(await client.next(), Buffer.from([1, 2, 255]))
    await client.close()
  })

  it("takes base64 in lines of 76 characters, as MIME has it", async () => {
    const client = await open()
    await join(client)
    const bytes = Buffer.from(Array.from({ length: 300 }, (_, i) => i % 256))
    const text = bytes.toString("base64").replaceAll(/.{1,76}/g, "$&\n")
    await client.post(`451-["message",{"_placeholder":true,"num":0}]\u001eb${text}`)
    assert.strictEqual(await client.next(), '451-["message-back",{"_placeholder":true,"num":0}]')
    assert.deepStrictEqual(await client.next(), bytes)
    await client.close()
  })

  it("reads characters that are split between chunks", async () => {
    const client = await open()
    await join(client)
    const { port } = await server()
    const body = Buffer.from('42["message","\u20ac\u{1f600}\u00e9"]')
    const { pathname, search } = new URL(client.url)
    const socket = Net.connect(port, "127.0.0.1").setNoDelay(true)
    socket.write(`POST ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`)
    for (const byte of body) await new Promise((resolve) => socket.write(Uint8Array.of(byte), resolve))
    assert.strictEqual(await client.next(), '42["message-back","\u20ac\u{1f600}\u00e9"]')
    socket.destroy()
    await client.close()
  })

  it("closes the session on a second poll while one is held", async () => {
    const client = await silent()
    const { response: first } = await poll(client)
    const second = await request(client.url)
    assert.strictEqual(second.status, 400)
    assert.strictEqual(second.body, "")
    assert.strictEqual((await first).body, "1")
    assert.strictEqual((await request(client.url)).status, 400)
  })

  it("closes the session on a second POST while one is under way", async () => {
    const client = await silent()
    const { port } = await server()
    const { pathname, search } = new URL(client.url)
    const socket = Net.connect(port, "127.0.0.1")
    socket.write(`POST ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n4`)
    const { response: held } = await poll(client)
    const second = await client.post("40")
    assert.strictEqual(second.status, 400)
    assert.strictEqual((await held).body, "1")
    socket.destroy()
  })

  it("closes the session when a held poll is aborted", async () => {
    const client = await silent()
    const abort = new AbortController()
    const held = request(client.url, { signal: abort.signal })
    await request(engineUrl((await server()).url, { EIO: "4", transport: "polling" }))
    abort.abort()
    await held.then(
      () => assert.fail("aborted"),
      () => {}
    )
    await within(
      "end of the session",
      (async () => {
        while ((await client.post("3")).status !== 400);
      })()
    )
  })

  it("closes the session when a POST breaks off", async () => {
    const client = await open()
    const { port } = await server()
    const { pathname, search } = new URL(client.url)
    const socket = Net.connect(port, "127.0.0.1")
    await new Promise<void>((resolve) =>
      socket.write(`POST ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n4`, () => resolve())
    )
    await request(engineUrl((await server()).url, { EIO: "4", transport: "polling" }))
    socket.destroy()
    await client.closed
  })

  for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS"]) {
    it(`answers ${method} in a session with 500, and keeps the session`, async () => {
      const client = await open()
      const { body, status } = await request(client.url, { method })
      assert.strictEqual(status, 500)
      assert.strictEqual(body, "")
      await join(client)
      await client.close()
    })
  }

  it("answers a body that is announced too large with 413, and keeps the session", async () => {
    const client = await open()
    assert.strictEqual((await client.post("4".repeat(10_001))).status, 413)
    await join(client)
    await client.close()
  })

  it("answers a body that grows too large with 413, and keeps the session", async () => {
    const client = await open()
    const response = await request(client.url, {
      method: "POST",
      body: "4".repeat(20_000),
      headers: { "transfer-encoding": "chunked" }
    })
    assert.strictEqual(response.status, 413)
    await join(client)
    await client.close()
  })

  it("takes a body of exactly the limit", async () => {
    const client = await open()
    await join(client)
    const start = '42["message","'
    const text = "x".repeat(10_000 - start.length - 2)
    assert.strictEqual((await client.post(start + text + '"]')).status, 200)
    assert.strictEqual(await client.next(), `42["message-back","${text}"]`)
    await client.close()
  })

  for (const [what, body] of [
    ["an empty body", ""],
    ["an unknown packet type", "abc"],
    ["an empty packet", "3\x1e\x1e3"],
    ["a separator alone", "\x1e"],
    ["a ping", "2"]
  ]) {
    it(`closes the session on ${what}`, async () => {
      const client = await open()
      const other = await open()
      await join(other)
      await client.post(body!)
      await client.closed
      assert.strictEqual((await request(client.url)).status, 400)
      await other.send('420["whoami"]')
      assert.match(String(await other.next()), /^430\["/)
      await other.close()
    })
  }

  // The reference has decoded them, but handles events only in the next turn, when the session is closed.
  it.runIf(!isReference)("delivers the packets before a bad one", async () => {
    const watcher = await open()
    await join(watcher)
    await watcher.send('420["join","watch"]')
    await watcher.next()
    const client = await open()
    await join(client)
    await client.post('420["in-room","watch","seen"]\x1eabc')
    assert.strictEqual(await watcher.next(), '42["room-message","seen"]')
    await client.closed
    await watcher.close()
  })

  it("ignores packets that only servers send", async () => {
    const client = await open()
    await client.send("0{}", "6", "5")
    await join(client)
    await client.close()
  })

  it.runIf(!isReference)("refuses more packets in one payload than the limit", async () => {
    const client = await open()
    await client.post(
      Array.from({ length: 10_001 }, () => "")
        .join("\x1e")
        .slice(0, 9_000)
    )
    await client.closed
  })
})
