import { assert, describe, it } from "@effect/vitest"

import {
  join,
  openClient,
  PollingClient,
  RawSocket,
  request,
  transports,
  WebSocketClient,
  within
} from "../support/RawClient.ts"
import { isReference, sharedServer } from "../support/servers.ts"

const server = sharedServer({ pingInterval: 200, pingTimeout: 150 })

/** It waits longer for the answers, as the machine may be busy. */
const patient = sharedServer({ pingInterval: 200, pingTimeout: 1_000 })

describe("heartbeat", () => {
  it("sends a ping after the interval over WebSocket, again after every pong", async () => {
    const client = await WebSocketClient.open((await patient()).url)
    client.answersPings = false
    for (let i = 0; i < 3; i++) {
      const started = performance.now()
      assert.strictEqual(await client.next(), "2")
      assert.isAtLeast(performance.now() - started, 150)
      await client.send("3")
    }
    await client.close()
  })

  it("sends a ping after the interval over polling", async () => {
    const { url } = await patient()
    const client = new PollingClient(url, await PollingClient.handshake(url), false)
    for (let i = 0; i < 3; i++) {
      assert.strictEqual((await request(client.url)).body, "2")
      await client.post("3")
    }
    await client.close()
  })

  for (const transport of transports) {
    it(`keeps a client over ${transport} that answers, for many intervals`, async () => {
      const client = await openClient(transport, (await patient()).url)
      await join(client)
      const until = performance.now() + 1_500
      while (performance.now() < until) {
        await client.send('420["whoami"]')
        assert.match(String(await client.next()), /^430/)
      }
      await client.close()
    })
  }

  it("closes a WebSocket session that does not answer", async () => {
    const client = await WebSocketClient.open((await server()).url)
    client.answersPings = false
    await client.closed
  })

  it("closes a polling session that does not answer", async () => {
    const { url } = await server()
    const client = new PollingClient(url, await PollingClient.handshake(url), false)
    await within(
      "end of the session",
      (async () => {
        while ((await request(client.url)).status === 200);
      })()
    )
  })

  it.runIf(!isReference)("closes a session that stops answering across an upgrade", async () => {
    const { url } = await server()
    const sid = await PollingClient.handshake(url)
    const client = new PollingClient(url, sid, false)
    // The ping is sent over polling, and never answered.
    assert.strictEqual((await request(client.url)).body, "2")
    const socket = new RawSocket(url, { EIO: "4", transport: "websocket", sid })
    await socket.opened
    socket.send("2probe", "5")
    await within("end of the session", socket.closed)
  })

  it("takes a pong that nobody asked for", async () => {
    const client = await WebSocketClient.open((await patient()).url)
    await client.send("3", "3")
    await join(client)
    await client.close()
  })
})
