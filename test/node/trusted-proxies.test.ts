/**
 * The address of a client: the peer's, or what a proxy says of it that is trusted.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { addressOf, readTrust, type Trust } from "../../src/engine/TrustedProxies.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { poll, start } from "../support/handshake.ts"
import { within } from "../support/RawClient.ts"
import { call, client, connect, serve } from "../support/serve.ts"

const WhereLive = SocketIoServer.layerNamespace("/", (socket) =>
  socket.on("where", () => Effect.succeed(socket.handshake.address))
)

const trustOf = (option: number | ReadonlyArray<string>): Trust => {
  const trust = readTrust(option)
  if (typeof trust !== "function") throw new Error(String(trust))
  return trust
}

describe("the address of a client", () => {
  const cases: ReadonlyArray<
    readonly [
      what: string,
      trusted: number | ReadonlyArray<string>,
      peer: string,
      header: string | undefined,
      is: string
    ]
  > = [
    ["what the only proxy says", 1, "10.0.0.1", "192.0.2.1", "192.0.2.1"],
    ["not what stands before it, which the client has written", 1, "10.0.0.1", "1.1.1.1, 192.0.2.1", "192.0.2.1"],
    ["what the outer one of two proxies says", 2, "10.0.0.1", "1.1.1.1, 192.0.2.1, 10.0.0.2", "192.0.2.1"],
    ["the peer's if the proxy says nothing", 1, "10.0.0.1", undefined, "10.0.0.1"],
    ["as far as it is known, if there are fewer hops", 3, "10.0.0.1", "192.0.2.1", "192.0.2.1"],
    ["the last that can be trusted, if the next is none", 2, "10.0.0.1", "192.0.2.1, unknown", "10.0.0.1"],
    ["the same behind it", 2, "10.0.0.1", "hidden, 10.0.0.2", "10.0.0.2"],
    ["the peer's with an empty header", 1, "10.0.0.1", "", "10.0.0.1"],
    ["the peer's with commas alone", 5, "10.0.0.1", ",,,,", "10.0.0.1"],
    ["the one that a trusted address says", ["10.0.0.1"], "10.0.0.1", "1.1.1.1, 192.0.2.1", "192.0.2.1"],
    ["the peer's if that is not trusted", ["10.0.0.1"], "10.0.0.2", "1.1.1.1", "10.0.0.2"],
    ["the first that is not in the ranges", ["10.0.0.0/8"], "10.0.0.1", "1.1.1.1, 192.0.2.1, 10.9.9.9", "192.0.2.1"],
    ["the first of all, if all are trusted", ["10.0.0.0/8"], "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
    ["of IPv4 though it is written as of IPv6", ["10.0.0.0/8"], "::ffff:10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1"],
    ["of a range of IPv6", ["fd00::/8"], "fd00::1", "2001:db8::1", "2001:db8::1"],
    ["without its port", 1, "10.0.0.1", "192.0.2.1:4711", "192.0.2.1"],
    ["without brackets and port", 1, "10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"],
    ["without its zone", 1, "10.0.0.1", "fe80::1%eth0", "fe80::1"],
    ["of who writes to a Unix socket", 1, "", "192.0.2.1", "192.0.2.1"]
  ]
  for (const [what, trusted, peer, header, is] of cases) {
    it(`is ${what}`, () => assert.strictEqual(addressOf(peer, header, trustOf(trusted)), is))
  }

  it("is found in time, however long the header is", () => {
    const header = `${"10.0.0.1,".repeat(100_000)}10.0.0.1`
    const began = performance.now()
    for (let i = 0; i < 100; i++) assert.strictEqual(addressOf("10.0.0.1", header, trustOf(["10.0.0.0/8"])), "10.0.0.1")
    assert.isBelow(performance.now() - began, 1_000)
  })

  it.live("is what the handshake says, over every transport", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(WhereLive, { trustedProxies: ["127.0.0.1"] })
      for (const transport of ["polling", "websocket"]) {
        const extraHeaders = { "x-forwarded-for": "1.1.1.1, 192.0.2.1" }
        const socket = yield* connect(url, { transports: [transport], extraHeaders })
        assert.strictEqual(yield* call(socket, "where"), "192.0.2.1")
      }
    })
  )

  it.live("is the peer's by default, whatever the header says", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(WhereLive, {})
      const socket = yield* connect(url, { extraHeaders: { "x-forwarded-for": "1.1.1.1" } })
      assert.match(yield* call(socket, "where"), /127\.0\.0\.1$/)
    })
  )
})

describe("connections behind a proxy", () => {
  it.live("are counted by the address that the proxy says, and never by what a client has written", () =>
    Effect.gen(function* () {
      const from = (url: string, header: string) =>
        Effect.map(poll(url, {}, { "x-forwarded-for": header }), ({ status }) => status)
      const behind = yield* start({ limits: { maxConnectionsPerAddress: 1 }, trustedProxies: 1 })
      assert.strictEqual(yield* from(behind.url, "1.1.1.1, 192.0.2.1"), 200)
      assert.strictEqual(yield* from(behind.url, "2.2.2.2, 192.0.2.1"), 503)
      assert.strictEqual(yield* from(behind.url, "1.1.1.1, 192.0.2.2"), 200)
      const bare = yield* start({ limits: { maxConnectionsPerAddress: 1 } })
      assert.strictEqual(yield* from(bare.url, "1.1.1.1"), 200)
      assert.strictEqual(yield* from(bare.url, "2.2.2.2"), 503)
    })
  )
})

describe("a server that is full", () => {
  for (const transport of ["polling", "websocket"]) {
    it.live(`lets official clients in when there is room, as they come again: ${transport}`, () =>
      Effect.gen(function* () {
        const { url } = yield* serve(WhereLive, { limits: { maxConnections: 1 } })
        const first = yield* connect(url, { transports: [transport] })
        const second = yield* client(url, {
          transports: [transport],
          reconnection: true,
          reconnectionDelay: 10,
          reconnectionDelayMax: 50
        })
        const refused = new Promise((resolve) => second.once("connect_error", resolve))
        const connected = new Promise<void>((resolve) => second.once("connect", resolve))
        second.connect()
        yield* Effect.promise(() => within("refusal", refused))
        assert.isTrue(first.connected)
        first.disconnect()
        yield* Effect.promise(() => within("connection", connected))
      })
    )
  }
})
