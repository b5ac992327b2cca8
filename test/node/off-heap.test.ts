/**
 * Large reads, of which V8 knows little: what they cost in collections of everything that a process keeps.
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { WebSocket } from "ws"

import { YoungObjects } from "../../src/node/internal/offHeap.ts"
import { engineUrl, within } from "../support/RawClient.ts"
import { type RunningWorker, startWorker } from "../support/workers.ts"

const MB = 1024 * 1024

describe("the young objects that come with large reads", () => {
  it("fill their space with every 24 MiB", () => {
    for (const capacity of [1, 16, 64]) {
      const young = new YoungObjects(() => capacity * MB)
      let made = 0
      for (let read = 0; read < 24 * MB; read += 64 * 1024) made += young.fill(64 * 1024)
      assert.approximately(made, capacity * MB, 64 * 1024)
    }
  })

  it("are as many as their space asks for when it has grown", () => {
    let capacity = 16 * MB
    const young = new YoungObjects(() => capacity)
    young.fill(24 * MB)
    capacity = 32 * MB
    young.fill(24 * MB)
    assert.approximately(young.fill(23 * MB), (capacity / 24) * 23, 64 * 1024)
  })

  it("fill it once for what has come at once", () => {
    const young = new YoungObjects(() => 16 * MB)
    assert.approximately(young.fill(1_000 * MB), 16 * MB, 64 * 1024)
  })

  it("are none where nothing is known of their space", () => {
    const young = new YoungObjects(() => 0)
    assert.strictEqual(young.fill(1_000 * MB), 0)
  })

  it("are not kept", () => {
    const young = new YoungObjects(() => 16 * MB)
    assert.isAbove(young.fill(20 * MB), 0)
    assert.isUndefined(young.last)
  })
})

describe("a server that large messages come to", () => {
  let server: RunningWorker | undefined
  afterAll(() => server?.stop())

  it("collects the young objects, not everything", { timeout: 60_000 }, async () => {
    // Buffers are given back by a thread of their own, which is late on a busy machine: here it is done at once.
    const running = (server = await startWorker("--trace-gc", "--single-threaded-gc"))
    const url = engineUrl(running.url, { EIO: "4", transport: "websocket" })
    const client = new WebSocket(url.replace("http", "ws"))
    const payload = Buffer.alloc(64 * 1024, 7)
    const send = () => {
      client.send('451-["message",{"_placeholder":true,"num":0}]')
      client.send(payload)
    }
    // 64 MB of memory outside of the heap are what V8 would collect everything for; this makes 800.
    let left = 6_400
    let before = 0
    await within(
      "answers",
      new Promise<void>((resolve, reject) => {
        client.on("error", reject)
        client.on("message", (data: Buffer, isBinary) => {
          if (!isBinary) {
            const packet = data.toString()
            if (packet.startsWith("0{")) client.send("40")
            else if (packet.startsWith("40")) {
              before = running.output.length
              for (let i = 0; i < 8; i++) send()
            }
          } else if (--left === 0) resolve()
          else if (left >= 8) send()
        })
      }),
      50_000
    )
    client.close()
    const lines = running.output.slice(before)
    const scavenges = lines.split("Scavenge").length - 1
    const all = lines.split("Mark-Compact").length - 1
    assert.isAtLeast(scavenges, 10)
    assert.isAtMost(all, 4, `beside ${scavenges} scavenges`)
  })
})
