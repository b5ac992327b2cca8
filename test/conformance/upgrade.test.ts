import { assert, describe, it } from "@effect/vitest"

import {
  engineUrl,
  Inbox,
  join,
  PollingClient,
  RawSocket,
  request,
  WebSocketClient,
  within
} from "../support/RawClient.ts"
import { isReference, sharedServer } from "../support/servers.ts"

const server = sharedServer({ pingInterval: 60_000, upgradeTimeout: 500 })

const open = async (joined = true) => {
  const { url } = await server()
  const sid = await PollingClient.handshake(url)
  const client = new PollingClient(url, sid, false)
  if (joined) {
    await client.post("40")
    const seen: Array<string> = []
    while (!seen.some((packet) => packet.startsWith("42"))) seen.push(...(await request(client.url)).body.split("\x1e"))
  }
  return client
}

const candidate = async (sid: string) => {
  const socket = new RawSocket((await server()).url, { EIO: "4", transport: "websocket", sid })
  await socket.opened
  return socket
}

/** A poll that the server has read. */
const held = async (client: PollingClient) => {
  const response = request(client.url)
  await request(engineUrl((await server()).url, { EIO: "4", transport: "polling" }))
  return { response }
}

const probe = async (socket: RawSocket) => {
  socket.send("2probe")
  assert.strictEqual(await socket.next(), "3probe")
}

const asClient = (client: PollingClient, socket: RawSocket) => {
  const upgraded = new WebSocketClient(socket)
  upgraded.sid = client.sid
  return upgraded
}

const roundTrip = async (client: WebSocketClient, value: unknown) => {
  await client.send(`42["message",${JSON.stringify(value)}]`)
  assert.strictEqual(await client.next(), `42["message-back",${JSON.stringify(value)}]`)
}

describe("upgrade from polling to WebSocket", () => {
  it("answers the probe, releases the held poll and goes on over the WebSocket", async () => {
    const client = await open()
    const { response } = await held(client)
    const socket = await candidate(client.sid)
    await probe(socket)
    assert.strictEqual((await response).body, "6")
    socket.send("5")
    await roundTrip(asClient(client, socket), "hello")
    socket.close()
  })

  it.runIf(!isReference)("releases the held poll with the probe, not on a beat", async () => {
    const client = await open()
    const { response } = await held(client)
    const socket = await candidate(client.sid)
    const order = new Inbox<string>()
    response.then(
      () => order.push("poll"),
      () => {}
    )
    await probe(socket)
    // The reference needs up to 100 ms for this; here it is under way when the probe is answered.
    assert.strictEqual(await order.next("released poll"), "poll")
    // A poll that comes while the client makes up its mind is not held either, but for a moment.
    assert.strictEqual((await request(client.url)).body, "6")
    socket.send("5")
    await roundTrip(asClient(client, socket), 1)
    socket.close()
  })

  it("refuses polls afterwards", async () => {
    const client = await open()
    const socket = await candidate(client.sid)
    await probe(socket)
    socket.send("5")
    await roundTrip(asClient(client, socket), 1)
    for (const method of ["GET", "POST"]) {
      const { body, status } = await request(client.url, { method })
      assert.strictEqual(status, 400)
      assert.deepStrictEqual(JSON.parse(body), { code: 3, message: "Bad request" })
    }
    socket.close()
  })

  it("keeps the order of what the server sends across the upgrade, text and binary", async () => {
    const client = await open()
    const socket = await candidate(client.sid)
    await probe(socket)
    await client.post('42["burst",500]\x1e451-["message",{"_placeholder":true,"num":0}]\x1ebAQID')
    socket.send("5")
    const packets: Array<string | Buffer> = []
    for (let i = 0; i < 502; i++) packets.push(await socket.next())
    assert.deepStrictEqual(
      packets.slice(0, 500),
      Array.from({ length: 500 }, (_, i) => `42["burst-item",${i}]`)
    )
    assert.strictEqual(packets[500], '451-["message-back",{"_placeholder":true,"num":0}]')
    assert.deepStrictEqual(packets[501], Buffer.from([1, 2, 3]))
    socket.close()
  })

  it("works for a session that has joined no namespace yet", async () => {
    const client = await open(false)
    const socket = await candidate(client.sid)
    await probe(socket)
    socket.send("5")
    await join(asClient(client, socket))
    socket.close()
  })

  for (const packet of ["4hello", "2", "3", "2prob", ""]) {
    it(`closes a candidate that sends ${JSON.stringify(packet)}, and keeps the session`, async () => {
      const client = await open()
      const socket = await candidate(client.sid)
      socket.send(packet)
      await within("end of the candidate", socket.closed)
      await client.post('42["message",1]')
      assert.include((await request(client.url)).body, '42["message-back",1]')
      await client.close()
    })
  }

  it("closes a candidate that does nothing in time, and keeps the session", async () => {
    const client = await open()
    const socket = await candidate(client.sid)
    await within("end of the candidate", socket.closed)
    await client.post('42["message",1]')
    assert.include((await request(client.url)).body, '42["message-back",1]')
    await client.close()
  })

  it("lets the client try again after a candidate has failed", async () => {
    const client = await open()
    const first = await candidate(client.sid)
    first.send("nonsense")
    await within("end of the candidate", first.closed)
    const socket = await candidate(client.sid)
    await probe(socket)
    socket.send("5")
    await roundTrip(asClient(client, socket), 1)
    socket.close()
  })

  it("closes a second candidate, and goes on with the first", async () => {
    const client = await open()
    const socket = await candidate(client.sid)
    await probe(socket)
    const second = await candidate(client.sid)
    await within("end of the second", second.closed)
    socket.send("5")
    await roundTrip(asClient(client, socket), 1)
    socket.close()
  })

  it("refuses a WebSocket for an unknown session", async () => {
    const socket = new RawSocket((await server()).url, { EIO: "4", transport: "websocket", sid: "unknown" })
    await socket.opened.then(
      () => assert.fail("opened"),
      (error: Error) => assert.include(error.message, "400")
    )
  })

  it("closes the candidate when the session ends meanwhile", async () => {
    const client = await open()
    const socket = await candidate(client.sid)
    await client.post("1")
    await within("end of the candidate", socket.closed)
  })

  it.runIf(!isReference)("hands the last packets over when the server disconnects during the upgrade", async () => {
    const client = await open()
    const socket = await candidate(client.sid)
    await probe(socket)
    await client.post('42["bye",true]')
    socket.send("5")
    assert.strictEqual(await socket.next(), "41")
    await within("end of the connection", socket.closed)
  })
})
