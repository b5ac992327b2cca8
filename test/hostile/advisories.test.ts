/**
 * The advisories against Socket.IO and its dependencies: the trigger of each advisory, sent to our server or client, and the safe
 * outcome.
 */
import * as Http from "node:http"
import * as Https from "node:https"

import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import { cert, key } from "../support/certificate.ts"
import { memoryInUse } from "../support/memory.ts"
import { engineUrl, PollingClient, request } from "../support/RawClient.ts"
import { listen } from "../support/serve.ts"
import { read } from "../support/sources.ts"
import { enter, frame, openWebSocket, upgradeRequest, victim, WEBSOCKET_TARGET, wire } from "./victim.ts"

/** Sends packets over a WebSocket that is in the namespace, and waits until the server has closed it. */
const offend = (url: string, ...packets: ReadonlyArray<string | Uint8Array>) =>
  Effect.gen(function* () {
    const socket = yield* enter(url)
    socket.send(...packets)
    yield* Effect.promise(() => socket.closed)
  })

/** Whether the last frame closes, and says at the most a code. */
const closes = (received: string): boolean => {
  const bytes = Buffer.from(received, "latin1")
  const [withCode, without] = [bytes.subarray(-4), bytes.subarray(-2)]
  return (withCode[0] === 0x88 && withCode[1] === 2) || (without[0] === 0x88 && without[1] === 0)
}

describe("the server", () => {
  it.live("CVE-2017-16031: ids come from a secure source, not from Math.random", () =>
    Effect.gen(function* () {
      const { unharmed, url } = yield* victim()
      const { random } = Math
      const sids = new Set<string>()
      yield* Effect.acquireUseRelease(
        Effect.sync(() => (Math.random = () => 0.5)),
        () =>
          Effect.promise(async () => {
            for (let i = 0; i < 300; i++) sids.add(await PollingClient.handshake(url))
          }),
        () => Effect.sync(() => (Math.random = random))
      )
      assert.strictEqual(sids.size, 300)
      for (const sid of sids) assert.match(sid, /^[\w-]{20}$/)
      // No bit is the same in all of them.
      for (let at = 0; at < 20; at++) assert.isAbove(new Set([...sids].map((sid) => sid[at])).size, 20)
      yield* unharmed
    })
  )

  it.live("CVE-2020-28481: no origin is allowed unless it is named", () =>
    Effect.gen(function* () {
      const { unharmed, url } = yield* victim()
      const target = engineUrl(url, { EIO: "4", transport: "polling" })
      for (const method of ["GET", "OPTIONS"]) {
        const { headers } = yield* Effect.promise(() =>
          request(target, { method, headers: { origin: "https://evil.example" } })
        )
        assert.isEmpty(Object.keys(headers).filter((name) => name.startsWith("access-control-")))
      }
      yield* unharmed
    })
  )

  it.live(
    "CVE-2024-38355: an event called error is an event like others, and one that cannot be read is no uncaught error",
    () =>
      Effect.gen(function* () {
        const { handled, unharmed, url } = yield* victim()
        const socket = yield* enter(url)
        socket.send('42["error","boom"]', '42["error"]', '420["echo","still here"]')
        assert.strictEqual(yield* Effect.promise(() => socket.next()), '430["still here"]')
        assert.deepStrictEqual(handled, ["error", "error", "echo"])
        yield* offend(url, '42["error"')
        yield* unharmed
      })
  )

  it.live("CVE-2020-36048: a request's body is counted as it comes, and no more of it is kept than allowed", () =>
    Effect.gen(function* () {
      const { ends, unharmed, url } = yield* victim()
      const sid = yield* Effect.promise(() => PollingClient.handshake(url))
      const before = memoryInUse()
      const connection = yield* wire(url)
      connection.write(
        `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n`
      )
      const chunk = Buffer.alloc(65_536, "4")
      for (let i = 0; i < 400; i++) {
        connection.write(`${chunk.length.toString(16)}\r\n`)
        connection.write(chunk)
        connection.write("\r\n")
      }
      assert.match(yield* Effect.promise(() => connection.until(/^HTTP\/1\.1 413 /)), /413/)
      yield* Effect.promise(() => connection.ended.catch(() => ""))
      assert.isBelow(memoryInUse() - before, 30_000_000)
      assert.deepStrictEqual(ends, [])
      yield* unharmed
    })
  )

  it.live("CVE-2022-21676: garbage right after the request for a WebSocket ends that connection", () =>
    Effect.gen(function* () {
      const { unharmed, url } = yield* victim()
      for (const garbage of [[0xff, 0xff, 0xff, 0xff], [0x70, 0x00], [0x81, 0x01, 0x41], [0x00]]) {
        const connection = yield* wire(url)
        connection.write(Buffer.concat([Buffer.from(upgradeRequest(WEBSOCKET_TARGET)), Buffer.from(garbage)]))
        if (garbage.length > 1) yield* Effect.promise(() => connection.ended)
        else connection.reset()
      }
      yield* unharmed
    })
  )

  it.live(
    "CVE-2022-41940: a connection that is reset while its request for a WebSocket is refused is nobody's uncaught error",
    () =>
      Effect.gen(function* () {
        const { unharmed, url } = yield* victim()
        const targets = [
          "/elsewhere",
          "/socket.io/?EIO=4&transport=nothing",
          "/socket.io/?EIO=4&transport=websocket&sid=none"
        ]
        for (const target of targets) {
          for (const protocol of ["websocket", "h2c"]) {
            const connection = yield* wire(url)
            connection.write(upgradeRequest(target).replace("Upgrade: websocket", `Upgrade: ${protocol}`))
            connection.reset()
          }
        }
        yield* unharmed
      })
  )

  it.live("CVE-2023-31125: a request for a WebSocket over a transport that there is not is refused with code 0", () =>
    Effect.gen(function* () {
      const { unharmed, url } = yield* victim()
      for (const transport of ["nothing", "polling", "constructor", "__proto__", ""]) {
        const connection = yield* wire(url)
        connection.write(upgradeRequest(`/socket.io/?EIO=4&transport=${transport}`))
        const response = yield* Effect.promise(() => connection.ended)
        assert.match(response, /^HTTP\/1\.1 400 /, transport)
        assert.match(response, transport === "polling" ? /Bad request/ : /Transport unknown/, transport)
      }
      yield* unharmed
    })
  )

  it.live("CVE-2020-36049: a very long header of a packet costs no more than it is long", () =>
    Effect.gen(function* () {
      const { unharmed, url } = yield* victim()
      const before = memoryInUse()
      const long = 900_000
      for (const packet of [
        `42/${"x".repeat(long)}`,
        `42/${"x".repeat(long)},["echo"]`,
        `42${"9".repeat(long)}["echo"]`,
        `45${"1".repeat(long)}-["echo"]`,
        `45${"1".repeat(long)}`
      ]) {
        yield* offend(url, packet)
      }
      assert.isBelow(memoryInUse() - before, 20_000_000)
      yield* unharmed
    })
  )

  it.live("CVE-2022-2421: placeholders stand for attachments that there are, and for nothing else", () =>
    Effect.gen(function* () {
      const { ends, handled, unharmed, url } = yield* victim()
      const nums = ['"splice"', '"0"', "-1", "1", "0.5", "1e9", "null", "{}", '"__proto__"', '"length"']
      for (const num of nums) {
        yield* offend(url, `451-["hello",{"_placeholder":true,"num":${num}}]`, Buffer.from([1]))
      }
      // Text where an attachment is due.
      yield* offend(url, '451-["hello",{"_placeholder":true,"num":0}]', '42["hello"]')
      assert.deepStrictEqual(handled, [])
      assert.deepStrictEqual(new Set(ends), new Set(["parse error"]))
      yield* unharmed
    })
  )

  it.live("CVE-2023-32695: an event's name is a string or a number", () =>
    Effect.gen(function* () {
      const { ends, handled, unharmed, url } = yield* victim()
      for (const name of ['{"toString":"foo"}', "null", "[]", "{}", "true", '{"__proto__":null}']) {
        yield* offend(url, `42[${name}]`)
      }
      assert.deepStrictEqual(handled, [])
      assert.deepStrictEqual(new Set(ends), new Set(["parse error"]))
      yield* unharmed
    })
  )

  it.live("CVE-2026-33151: more attachments are announced than a packet may have", () =>
    Effect.gen(function* () {
      const { ends, unharmed, url } = yield* victim()
      for (const count of ["11", "1000000000", "99999999999999999999999"]) yield* offend(url, `45${count}-["x"]`)
      assert.deepStrictEqual(ends, ["parse error", "parse error", "parse error"])
      yield* unharmed
    })
  )

  it.live("GHSA-2m8v-j782-fhvr: a packet that announces no attachment at all arms nothing", () =>
    Effect.gen(function* () {
      const { ends, unharmed, url } = yield* victim()
      yield* offend(url, '450-["x"]', Buffer.alloc(100))
      yield* offend(url, '450-["x",{"_placeholder":true,"num":0}]')
      // And bytes that nobody has announced.
      yield* offend(url, Buffer.alloc(100))
      assert.deepStrictEqual(ends, ["parse error", "parse error", "parse error"])
      yield* unharmed
    })
  )

  it.live("GHSA-pxg6-pf52-xh8x: a cookie's name, path and domain are what a cookie may have", () =>
    Effect.gen(function* () {
      for (const cookie of [
        { name: "io; HttpOnly" },
        { name: "io\r\nSet-Cookie: a=b" },
        { name: "io", path: "/; Domain=evil.example" },
        { name: "io", domain: "example.org; Path=/" }
      ]) {
        const layer = NodeSocketIoServer.layer({ port: 0, host: "127.0.0.1", cookie })
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
        assert.deepInclude(error, { _tag: "InvalidOptionError", option: "cookie" })
      }
    })
  )

  it.live("CVE-2016-10518: a WebSocket's ping is answered with its own bytes", () =>
    Effect.gen(function* () {
      const { unharmed, url } = yield* victim()
      const connection = yield* openWebSocket(url)
      for (const text of ["a", "p".repeat(125)]) {
        connection.write(frame(9, Buffer.from(text)))
        // Final, opcode 10, not masked.
        const pong = String.fromCharCode(0x8a, text.length) + text
        const received = yield* Effect.promise(() => connection.until(new RegExp(pong)))
        assert.isTrue(received.endsWith(pong))
      }
      yield* unharmed
    })
  )

  it.live("CVE-2016-10542: a message's size is bounded before it has come", () =>
    Effect.gen(function* () {
      const { unharmed, url } = yield* victim()
      const connection = yield* openWebSocket(url)
      // A text frame of 16 MiB, of which only the header comes.
      connection.write(Buffer.from([0x81, 0xff, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]))
      const received = yield* Effect.promise(() => connection.ended)
      assert.include(received, String.fromCharCode(0x88, 2, 1009 >> 8, 1009 & 255))
      yield* unharmed
    })
  )

  for (const perMessageDeflate of [false, true]) {
    it.live(`GHSA-5v72-xg48-5rpm: extensions called as what objects inherit (compression ${perMessageDeflate})`, () =>
      Effect.gen(function* () {
        const { unharmed, url } = yield* victim({ webSocket: { perMessageDeflate } })
        for (const name of [
          "constructor",
          "__proto__",
          "hasOwnProperty; constructor",
          "permessage-deflate; __proto__=1"
        ]) {
          const connection = yield* wire(url)
          connection.write(upgradeRequest(WEBSOCKET_TARGET, `Sec-WebSocket-Extensions: ${name}`))
          const response = yield* Effect.promise(() => connection.until(/^HTTP\/1\.1 (101|400) /))
          assert.notMatch(response, /constructor|__proto__/)
        }
        yield* unharmed
      })
    )
  }

  it.live("CVE-2021-32640: a very long list of subprotocols is read in linear time", () =>
    Effect.gen(function* () {
      const { unharmed, url } = yield* victim()
      const { user: before } = process.cpuUsage()
      for (let i = 0; i < 10; i++) {
        const connection = yield* wire(url)
        connection.write(upgradeRequest(WEBSOCKET_TARGET, `Sec-WebSocket-Protocol: a${" ".repeat(15_000)}b`))
        yield* Effect.promise(() => connection.until(/^HTTP\/1\.1 400 /))
      }
      // It took seconds each.
      assert.isBelow(process.cpuUsage().user - before, 2_000_000)
      yield* unharmed
    })
  )

  it.live("CVE-2024-37890: a request with so many headers that `Upgrade` is not among those that are kept", () =>
    Effect.gen(function* () {
      const { unharmed, url } = yield* victim()
      const headers = Array.from({ length: 2_500 }, () => "a:b")
      const connection = yield* wire(url)
      const [first, ...rest] = upgradeRequest(WEBSOCKET_TARGET).split("\r\n")
      connection.write([first, "Host: a", ...headers, ...rest].join("\r\n"))
      const response = yield* Effect.promise(() => connection.ended)
      assert.notMatch(response, /^HTTP\/1\.1 101 /)
      yield* unharmed
    })
  )

  it.live(
    "CVE-2026-45736: a WebSocket is closed without a reason of the application's, and so without bytes of anybody's",
    () =>
      Effect.gen(function* () {
        const { unharmed, url } = yield* victim()
        for (const packet of ['42["bye"]', "43", "41"]) {
          const connection = yield* openWebSocket(url)
          connection.write(frame(1, Buffer.from("40")))
          yield* Effect.promise(() => connection.until(/40\{"sid"/))
          connection.write(frame(1, Buffer.from(packet)))
          // A client that leaves its only namespace is not disconnected for it.
          if (packet === "41") connection.write(frame(8, Buffer.from([1_000 >> 8, 1_000 & 255])))
          // A close frame with a code or none, and nothing after it.
          yield* Effect.promise(() => connection.until(closes))
          connection.write(frame(8, Buffer.alloc(0)))
          assert.isTrue(closes(yield* Effect.promise(() => connection.ended)))
        }
        yield* unharmed
      })
  )

  it.live("CVE-2026-48779: a message in hundreds of thousands of fragments is not kept", () =>
    Effect.gen(function* () {
      const { unharmed, url } = yield* victim()
      for (const size of [0, 1]) {
        const connection = yield* openWebSocket(url)
        const before = memoryInUse()
        connection.write(frame(1, Buffer.from("4"), false))
        const fragments = Buffer.concat(Array.from({ length: 1_000 }, () => frame(0, Buffer.alloc(size), false)))
        for (let i = 0; i < 200; i++) connection.write(fragments)
        const received = yield* Effect.promise(() => connection.ended)
        assert.include(received, String.fromCharCode(0x88, 2, 1008 >> 8, 1008 & 255))
        assert.isBelow(memoryInUse() - before, 30_000_000)
      }
      yield* unharmed
    })
  )

  it.live("GHSA-55mf-67qm-4wpg: attachments are bounded by their number, their bytes and the time that they take", () =>
    Effect.gen(function* () {
      const options = {
        limits: { maxAttachments: 3, maxAttachmentBytes: 1_000, attachmentTimeout: "50 millis" }
      } as const
      const { ends, handled, unharmed, url } = yield* victim(options)
      const head = '453-["x",{"_placeholder":true,"num":0}]'
      yield* offend(url, head.replace("3", "4"))
      yield* offend(url, head, Buffer.alloc(500), Buffer.alloc(501))
      yield* offend(url, head, Buffer.alloc(500))
      assert.deepStrictEqual(ends, ["parse error", "parse error", "parse error"])
      assert.deepStrictEqual(handled, [])
      yield* unharmed
    })
  )
})

describe("the client", () => {
  for (const transport of ["polling", "websocket"] as const) {
    it.live(`CVE-2016-10536, CVE-2021-31597: a certificate is verified (${transport})`, () =>
      Effect.gen(function* () {
        const https = Https.createServer({ key, cert }, (_request, response) => response.end("0{}"))
        const url = (yield* listen(https as unknown as Http.Server)).replace("http:", "https:")
        const client = SocketIoClient.layer({ url, transports: [transport], reconnection: false }).pipe(
          Layer.provide(NodeClientPlatform.layer)
        )
        const error = yield* Effect.flip(Effect.provide(SocketIoClient.connect("/"), client))
        assert.match(error.message, /self-signed certificate/)
      })
    )
  }

  it.live("CVE-2020-28502: what a server says is data, never code; requests are those of the platform", () =>
    Effect.gen(function* () {
      const globals = globalThis as { pwned?: boolean }
      const bodies = [
        "');globalThis.pwned=true;//",
        '___eio[0]("globalThis.pwned=true");',
        '0{"sid":"x","upgrades":[],"pingInterval":1e9,"pingTimeout":1e9,"maxPayload":1e6,"toJSON":"globalThis.pwned=true"}\u001e44"globalThis.pwned=true"'
      ]
      for (const body of bodies) {
        const url = yield* listen(Http.createServer((_request, response) => response.end(body)))
        const client = SocketIoClient.layer({ url, transports: ["polling"], reconnection: false })
        yield* Effect.flip(Effect.provide(SocketIoClient.connect("/"), client))
      }
      assert.isUndefined(globals.pwned)
      const { dependencies = {}, peerDependencies } = JSON.parse(read("package.json"))
      for (const name of Object.keys({ ...dependencies, ...peerDependencies })) assert.notMatch(name, /xmlhttp/)
    })
  )
})
