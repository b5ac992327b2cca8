/**
 * Which transports a client's session begins with, and what it does when they fail.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"

import type { TransportName } from "../../src/engine/Transport.ts"
import {
  openClient,
  openPacket,
  openPolling,
  openUpgrading,
  type TestClient,
  upgradable
} from "../support/engineClient.ts"
import { makeFakePlatform } from "../support/fakeClientPlatform.ts"

const orders: ReadonlyArray<ReadonlyArray<TransportName>> = [
  ["polling", "websocket"],
  ["websocket", "polling"]
]

/** The attempts of the session so far. */
const tried = ({ platform: { polls, sockets } }: TestClient) => ({ polls: polls.length, sockets: sockets.length })

/** How a server can fail an opening, over either transport, and what is said of it. */
const failures: Record<TransportName, ReadonlyArray<[string, (test: TestClient) => void, RegExp]>> = {
  polling: [
    ["nobody is there", ({ get }) => get().fail("nobody there"), /^GET failed: nobody there$/],
    ["the handshake is refused", ({ get }) => get().respond('{"code":5}', 400), /^GET was answered with status 400$/],
    ["another server answers", ({ get }) => get().respond("<html>"), /^not an open packet$/],
    [
      "another server answers, with an open packet after it",
      ({ get }) => get().respond(`<html>\x1e${openPacket()}\x1e4in`),
      /^not an open packet$/
    ],
    ["the response is empty", ({ get }) => get().respond(""), /^empty packet$/],
    ["the open packet is malformed", ({ get }) => get().respond('0{"sid":7}'), /^not an open packet$/]
  ],
  websocket: [
    ["nobody is there", ({ ws }) => ws().fail("nobody there"), /^nobody there$/],
    ["the handshake is refused", ({ ws }) => ws().events.onClose(undefined), /^not accepted$/],
    [
      "it closes before the open packet",
      ({ ws }) => {
        ws().events.onOpen()
        ws().events.onClose(undefined)
      },
      /^closed by the server$/
    ],
    [
      "the open packet is malformed",
      ({ ws }) => {
        ws().events.onOpen()
        ws().events.onText("40")
      },
      /^not an open packet$/
    ],
    [
      "bytes come before the open packet",
      ({ ws }) => {
        ws().events.onOpen()
        ws().events.onBinary(new Uint8Array(1))
      },
      /^not an open packet$/
    ]
  ]
}

/** Opens the session over the transport that was tried last. */
const accept = (test: TestClient, name: TransportName, handshake: object = {}) =>
  name === "polling" ? test.get().respond(openPacket(handshake)) : test.ws().accept(handshake)

describe("the transports of a session", () => {
  it.effect("begin with the first one", () =>
    Effect.gen(function* () {
      const polling = yield* openClient({ transports: ["polling", "websocket"] })
      assert.deepStrictEqual(tried(polling), { polls: 1, sockets: 0 })
      assert.strictEqual(polling.client.transportName, "polling")
      const webSocket = yield* openClient({ transports: ["websocket", "polling"] })
      assert.deepStrictEqual(tried(webSocket), { polls: 0, sockets: 1 })
      assert.strictEqual(webSocket.client.transportName, "websocket")
    })
  )

  it.effect("are addressed as the protocol says, whatever else is asked for", () =>
    Effect.gen(function* () {
      const query = { token: "a&b", EIO: "3", transport: "carrier pigeon", sid: "x" }
      const polling = yield* openClient({ query })
      const url = (text: string) => {
        const { host, pathname, protocol, searchParams } = new URL(text)
        return [protocol, host, pathname, Object.fromEntries(searchParams)] as const
      }
      const [, , , { t: first, ...asked }] = url(polling.get().request.url)
      assert.deepStrictEqual(asked, { token: "a&b", EIO: "4", transport: "polling" })
      polling.get().respond(openPacket())
      const [, , , { t: second, ...polled }] = url(polling.get().request.url)
      assert.deepStrictEqual(polled, { token: "a&b", EIO: "4", transport: "polling", sid: "s" })
      assert.notStrictEqual(first, second)
      const webSocket = yield* openClient({ query, transports: ["websocket"] })
      assert.deepStrictEqual(url(webSocket.ws().request.url), [
        "ws:",
        "test",
        "/engine.io/",
        { token: "a&b", EIO: "4", transport: "websocket" }
      ])
    })
  )

  for (const order of orders) {
    const [first, second] = order as [TransportName, TransportName]
    for (const [what, fail, description] of failures[first]) {
      it.effect(`end with ${first} when ${what}, unless all are to be tried`, () =>
        Effect.gen(function* () {
          const test = yield* openClient({ transports: order })
          const before = tried(test)
          fail(test)
          yield* Effect.yieldNow
          assert.match(test.closes[0]!.description!, description)
          test.assertOver(test.closes[0]!.reason)
          assert.deepStrictEqual(tried(test), before)
          assert.deepStrictEqual(test.told, ["close"])
        })
      )

      it.effect(`go on from ${first} to ${second} when ${what} and all are to be tried`, () =>
        Effect.gen(function* () {
          const test = yield* openClient({ transports: order, tryAllTransports: true })
          fail(test)
          yield* Effect.yieldNow
          assert.deepStrictEqual(tried(test), { polls: 1, sockets: 1 })
          assert.strictEqual(test.client.transportName, second)
          assert.deepStrictEqual(test.told, [])
          if (first === "websocket") assert.isTrue(test.ws().closed)
          accept(test, second)
          assert.deepStrictEqual(test.told, ["open s"])
          test.client.close()
          yield* Effect.yieldNow
          if (second === "polling") test.post().respond("ok")
          test.assertOver("forced close")
        })
      )
    }

    it.effect(`tell of what ${second} failed, when ${first} has failed before`, () =>
      Effect.gen(function* () {
        for (const [, failFirst] of failures[first]) {
          for (const [, failSecond, description] of failures[second]) {
            const test = yield* openClient({ transports: order, tryAllTransports: true })
            failFirst(test)
            failSecond(test)
            assert.match(test.closes[0]!.description!, description)
            test.assertOver(test.closes[0]!.reason)
            assert.deepStrictEqual(tried(test), { polls: 1, sockets: 1 })
          }
        }
      })
    )

    it.effect(`go on from ${first} to ${second} when that does not connect in time, and have the same time each`, () =>
      Effect.gen(function* () {
        const connectTimeout = 3_000
        const test = yield* openClient({ transports: order, tryAllTransports: true, connectTimeout })
        yield* TestClock.adjust("2999 millis")
        assert.strictEqual(test.client.transportName, first)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(test.client.transportName, second)
        assert.isTrue(first === "polling" ? test.get().isAborted() : test.ws().closed)
        yield* TestClock.adjust("2999 millis")
        test.assertAlive()
        yield* TestClock.adjust("1 millis")
        test.assertOver("timeout")
        assert.deepStrictEqual(tried(test), { polls: 1, sockets: 1 })
      })
    )

    it.effect(`are not tried any more once ${first} has opened the session`, () =>
      Effect.gen(function* () {
        const test = yield* openClient({ transports: order, tryAllTransports: true, upgrade: false })
        accept(test, first)
        const before = tried(test)
        failures[first][0]![1](test)
        test.assertOver("transport error")
        assert.strictEqual(tried(test).sockets, before.sockets)
      })
    )
  }

  it.effect("do not hear of a WebSocket any more that has failed", () =>
    Effect.gen(function* () {
      const test = yield* openClient({ transports: ["websocket", "polling"], tryAllTransports: true })
      const ws = test.ws()
      ws.fail()
      ws.accept()
      ws.events.onBinary(new Uint8Array(1))
      ws.fail()
      assert.deepStrictEqual(test.told, [])
      assert.deepStrictEqual(tried(test), { polls: 1, sockets: 1 })
      test.get().respond(openPacket())
      ws.events.onText("41")
      ws.fail()
      assert.deepStrictEqual(test.told, ["open s"])
    })
  )

  it.effect("go on when the platform opens no WebSocket to such an address", () =>
    Effect.gen(function* () {
      const platform = makeFakePlatform()
      const throwing = {
        ...platform,
        openWebSocket: () => {
          throw new TypeError("what an address")
        }
      }
      const alone = yield* openClient({ transports: ["websocket"], platform: throwing })
      yield* Effect.yieldNow
      alone.assertOver("transport error", "TypeError: what an address")
      const test = yield* openClient({
        transports: ["websocket", "polling"],
        tryAllTransports: true,
        platform: throwing
      })
      yield* Effect.yieldNow
      test.get().respond(openPacket())
      assert.deepStrictEqual(test.told, ["open s"])
    })
  )

  it.effect("that have failed in this session are not upgraded to in it", () =>
    Effect.gen(function* () {
      const test = yield* openClient({ transports: ["websocket", "polling"], tryAllTransports: true })
      test.ws().fail()
      test.get().respond(openPacket(upgradable))
      assert.deepStrictEqual(tried(test), { polls: 2, sockets: 1 })
    })
  )
})

describe("a session over WebSocket", () => {
  for (const [what, packet, reason] of [
    ["a close packet", "1", "transport close"],
    ["a packet of an unknown type", "7", "parse error"],
    ["a page", "<html>", "parse error"],
    ["nothing in a frame", "", "parse error"],
    ["bytes that are no base64", "b%", "parse error"]
  ] as const) {
    it.effect(`ends with a ${reason} by ${what}, and hears nothing after it`, () =>
      Effect.gen(function* () {
        const test = yield* openClient({ transports: ["websocket"] })
        test.ws().accept()
        test.ws().events.onText("4a")
        test.ws().events.onText(packet)
        test.ws().events.onText("4b")
        test.ws().events.onBinary(new Uint8Array(1))
        test.ws().events.onText("2")
        test.ws().fail()
        yield* Effect.yieldNow
        assert.deepStrictEqual(test.told, ["open s", "4a", "close"])
        assert.deepStrictEqual(test.ws().take(), [])
        test.assertOver(reason)
      })
    )
  }

  it.effect("drops what means nothing to a client", () =>
    Effect.gen(function* () {
      const test = yield* openClient({ transports: ["websocket"] })
      test.ws().accept()
      for (const packet of ["6", "3", "3probe", "5", openPacket({ sid: "other" }), "0", "4in"]) {
        test.ws().events.onText(packet)
      }
      yield* Effect.yieldNow
      assert.deepStrictEqual(test.told, ["open s", "4in"])
      assert.strictEqual(test.client.id, "s")
      assert.deepStrictEqual(test.ws().take(), [])
    })
  )
})

describe("an upgrade", () => {
  it.effect("is made when the server offers it", () =>
    Effect.gen(function* () {
      const test = yield* openPolling(upgradable)
      const { searchParams } = new URL(test.ws().request.url)
      assert.deepStrictEqual(Object.fromEntries(searchParams), { EIO: "4", transport: "websocket", sid: "s" })
    })
  )

  for (const [when, handshake, options] of [
    ["it is not wanted", upgradable, { upgrade: false }],
    ["the server offers none", {}, {}],
    ["the server offers what is not known", { upgrades: ["webtransport", ""] }, {}],
    ["the WebSocket is not among the transports", upgradable, { transports: ["polling"] }]
  ] as const) {
    it.effect(`is not made when ${when}`, () =>
      Effect.gen(function* () {
        const test = yield* openPolling(handshake, options)
        assert.deepStrictEqual(tried(test), { polls: 2, sockets: 0 })
        test.get().respond("6")
        assert.deepStrictEqual(tried(test), { polls: 3, sockets: 0 })
        test.assertAlive()
      })
    )
  }

  it.effect("is not made from a WebSocket, whatever the server offers", () =>
    Effect.gen(function* () {
      const test = yield* openClient({ transports: ["websocket", "polling"] })
      test.ws().accept(upgradable)
      assert.deepStrictEqual(tried(test), { polls: 0, sockets: 1 })
    })
  )
})

describe("what sessions remember of an upgrade", () => {
  const rememberUpgrade = true

  /** Whether the next session begins with a WebSocket. */
  const next = Effect.fnUntraced(function* ({ memory }: TestClient, options: Parameters<typeof openClient>[0] = {}) {
    return (yield* openClient({ rememberUpgrade, memory, ...options })).client.transportName === "websocket"
  })

  it.effect("is nothing before it has succeeded", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("answered", { rememberUpgrade })
      assert.isFalse(yield* next(test))
      test.get().respond("6")
      assert.deepStrictEqual(test.told, ["open s", "upgrade"])
      assert.isTrue(yield* next(test))
    })
  )

  it.effect("is of no use when that is not asked for, or there must be no WebSocket", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("answered", { rememberUpgrade })
      test.get().respond("6")
      assert.isFalse(yield* next(test, { rememberUpgrade: false }))
      assert.isFalse(yield* next(test, { transports: ["polling"] }))
      assert.isTrue(yield* next(test, { transports: ["polling", "websocket"] }))
    })
  )

  it.effect("is a WebSocket that the session began with, too", () =>
    Effect.gen(function* () {
      const test = yield* openClient({ rememberUpgrade, transports: ["websocket"] })
      test.ws().accept()
      assert.isTrue(yield* next(test))
    })
  )

  it.effect("is forgotten with a session over polling", () =>
    Effect.gen(function* () {
      const test = yield* openPolling({}, { rememberUpgrade, transports: ["polling"], memory: { upgraded: true } })
      assert.isFalse(yield* next(test))
    })
  )

  for (const [what, fail] of failures.websocket) {
    it.effect(`is forgotten when the WebSocket comes to nothing: ${what}`, () =>
      Effect.gen(function* () {
        const test = yield* openClient({ rememberUpgrade, memory: { upgraded: true } })
        fail(test)
        test.assertOver(test.closes[0]!.reason)
        assert.isFalse(yield* next(test))
      })
    )
  }

  it.effect("is forgotten when the WebSocket never opens", () =>
    Effect.gen(function* () {
      const test = yield* openClient({ rememberUpgrade, memory: { upgraded: true } })
      yield* TestClock.adjust("20 seconds")
      test.assertOver("timeout")
      assert.isFalse(yield* next(test))
    })
  )

  it.effect("is forgotten when the WebSocket breaks, and kept when it is closed", () =>
    Effect.gen(function* () {
      for (const [description, reason] of [
        ["closed with code 1006", "transport error"],
        [undefined, "transport close"]
      ] as const) {
        const test = yield* openClient({ rememberUpgrade, memory: { upgraded: true } })
        test.ws().accept()
        test.ws().events.onClose(description)
        test.assertOver(reason)
        assert.strictEqual(yield* next(test), reason === "transport close")
      }
    })
  )

  it.effect("does not keep a session from polling when all transports are to be tried", () =>
    Effect.gen(function* () {
      const test = yield* openClient({ rememberUpgrade, tryAllTransports: true, memory: { upgraded: true } })
      test.ws().fail()
      test.get().respond(openPacket())
      assert.deepStrictEqual(test.told, ["open s"])
      assert.isFalse(yield* next(test))
    })
  )
})
