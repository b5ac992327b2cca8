/**
 * The client's times, under a clock that the test moves, and servers that do not keep to the protocol.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import * as ClientExtras from "../../src/client/ClientExtras.ts"
import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import type * as Namespace from "../../src/Namespace.ts"
import { fakeSocket, statusesOf } from "../support/fakeClient.ts"
import { type FakeWebSocket } from "../support/fakeClientPlatform.ts"
import { stubPage } from "../support/fakePage.ts"

/** A client of the default namespace over WebSocket, with everything that its status tells. */
const setup = Effect.fnUntraced(function* (options: Partial<ClientOptions> = {}) {
  const client = yield* fakeSocket(options)
  return { ...client, statuses: yield* statusesOf(client.socket) }
})

/** Lets the client in. */
const admit = Effect.fnUntraced(function* (server: FakeWebSocket, sid = "id", handshake: object = {}) {
  server.accept(handshake)
  yield* Effect.yieldNow
  assert.deepStrictEqual(server.take(), ["40"])
  server.events.onText(`40{"sid":"${sid}"}`)
  yield* Effect.yieldNow
})

/** The pauses between attempts that all fail, in milliseconds. */
const pauses = Effect.fnUntraced(function* (count: number, options: Partial<ClientOptions> = {}) {
  const { last, platform } = yield* setup(options)
  const found: Array<number> = []
  for (let i = 0; i < count; i++) {
    const attempts = platform.sockets.length
    last().fail()
    let waited = 0
    while (platform.sockets.length === attempts && waited <= 10_000) {
      yield* TestClock.adjust("10 millis")
      waited += 10
    }
    found.push(waited)
  }
  return found
})

describe("a client that does not come back by itself", () => {
  for (const [what, reconnection] of [
    ["is off", false],
    ["has no attempts", Schedule.recurs(0)]
  ] as const) {
    it.effect(`connects when it is asked to, though reconnection ${what}`, () =>
      Effect.gen(function* () {
        const { last, platform, socket, statuses } = yield* setup({ reconnection })
        yield* admit(last())
        for (let round = 2; round < 4; round++) {
          last().fail("gone")
          yield* TestClock.adjust("1 minute")
          assert.lengthOf(platform.sockets, round - 1)
          const status = statuses.at(-1)!
          assert.isFalse(
            status._tag === "Failed" ? status.error.willRetry : (status as { willRetry?: boolean }).willRetry
          )
          const reconnecting = yield* Effect.forkChild(socket.reconnect(), { startImmediately: true })
          assert.lengthOf(platform.sockets, round)
          yield* admit(last(), `id ${round}`)
          yield* Fiber.join(reconnecting)
          assert.strictEqual(socket.id, `id ${round}`)
        }
      })
    )
  }
})

describe("a server that accepts connections, and no namespace", () => {
  it.effect("is left alone for longer and longer, and each attempt is told as one that has failed", () =>
    Effect.gen(function* () {
      const { last, platform, statuses } = yield* setup({ reconnection: Schedule.exponential("1 second") })
      for (const pause of [1_000, 2_000, 4_000]) {
        const attempts = platform.sockets.length
        last().accept()
        yield* Effect.yieldNow
        last().fail("gone")
        yield* TestClock.adjust(pause - 1)
        assert.lengthOf(platform.sockets, attempts)
        yield* TestClock.adjust(1)
        assert.lengthOf(platform.sockets, attempts + 1)
      }
      const failed = statuses.flatMap((status) => (status._tag === "Failed" ? [status.error] : []))
      assert.deepStrictEqual(
        failed.map(({ message, willRetry }) => [message, willRetry]),
        [1, 2, 3].map(() => ["gone", true])
      )
      // One that lets the client in is another one.
      yield* admit(last())
      last().fail("gone")
      const attempts = platform.sockets.length
      yield* TestClock.adjust("1 second")
      assert.lengthOf(platform.sockets, attempts + 1)
    })
  )
})

describe("a client whose timers come late, as in a page's background", () => {
  it.effect("finds out that its connection is overdue when it has something to send, and keeps that", () =>
    Effect.gen(function* () {
      let now = 0
      const late: Clock.Clock = {
        ...(yield* Clock.Clock),
        currentTimeMillisUnsafe: () => now,
        monotonicTimeNanosUnsafe: () => BigInt(now) * 1_000_000n,
        sleep: () => Effect.never
      }
      yield* Effect.gen(function* () {
        const { last, platform, socket, statuses } = yield* setup({ reconnection: false })
        yield* admit(last(), "id", { pingInterval: 25_000, pingTimeout: 20_000 })
        now = 45_000
        yield* socket.emit("in time")
        yield* Effect.yieldNow
        assert.deepStrictEqual(last().take(), ['42["in time"]'])
        now = 45_001
        const asking = yield* Effect.forkChild(socket.emitWithAck("too late"), { startImmediately: true })
        yield* Effect.yieldNow
        assert.isFalse(socket.connected)
        assert.deepStrictEqual(last().take(), [])
        assert.deepStrictEqual(statuses.at(-1), { _tag: "Disconnected", reason: "ping timeout", willRetry: false })
        assert.isUndefined(asking.pollUnsafe())
        yield* Effect.forkChild(socket.reconnect(), { startImmediately: true })
        assert.lengthOf(platform.sockets, 2)
        last().accept()
        yield* Effect.yieldNow
        last().events.onText('40{"sid":"next"}')
        yield* Effect.yieldNow
        assert.deepStrictEqual(last().take(), ["40", '420["too late"]'])
        last().events.onText("430[1]")
        assert.deepStrictEqual(yield* Fiber.join(asking), [1])
      }).pipe(Effect.provideService(Clock.Clock, late))
    })
  )
})

describe("the backoff of a client", () => {
  it.effect("is what it waits between attempts, and each outage begins anew", () =>
    Effect.gen(function* () {
      const found = yield* pauses(6).pipe(Random.withSeed("a seed"))
      const bounds = [
        [500, 1_510],
        [1_000, 3_010],
        [2_000, 5_010],
        [2_500, 5_010],
        [2_500, 5_010],
        [2_500, 5_010]
      ]
      for (const [i, pause] of found.entries()) {
        assert.isAtLeast(pause, bounds[i]![0]!)
        assert.isAtMost(pause, bounds[i]![1]!)
      }
      const { last, platform } = yield* setup()
      last().fail()
      yield* TestClock.adjust("2 seconds")
      last().fail()
      yield* TestClock.adjust("4 seconds")
      yield* admit(last())
      last().fail("gone")
      const attempts = platform.sockets.length
      yield* TestClock.adjust("1510 millis")
      assert.strictEqual(platform.sockets.length, attempts + 1)
    })
  )

  it.effect("can be any schedule, which is run anew for every outage; when it ends, that is said", () =>
    Effect.gen(function* () {
      const reconnection = Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 3 }))
      assert.deepStrictEqual(yield* pauses(3, { reconnection }), [100, 200, 400])
      const { last, platform, socket, statuses } = yield* setup({ reconnection })
      for (const pause of [100, 200, 400]) {
        last().fail("nobody there")
        yield* TestClock.adjust(pause)
      }
      last().fail("nobody there")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(platform.sockets.length, 4)
      const failed = statuses.filter((status) => status._tag === "Failed")
      assert.deepStrictEqual(
        failed.map(({ error }) => error.willRetry),
        [true, true, true, false]
      )
      assert.strictEqual(failed.at(-1)!.error.message, "nobody there")
      const again = yield* Effect.forkChild(socket.reconnect(), { startImmediately: true })
      yield* admit(last())
      yield* Fiber.join(again)
      assert.isTrue(socket.connected)
    })
  )

  it.effect("is not there where reconnection is off", () =>
    Effect.gen(function* () {
      const { last, platform, statuses } = yield* setup({ reconnection: false })
      yield* admit(last())
      last().fail("gone")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(platform.sockets.length, 1)
      assert.deepStrictEqual(statuses.at(-1), {
        _tag: "Disconnected",
        reason: "transport error",
        description: "gone",
        willRetry: false
      })
    })
  )
})

describe("the liveness of a client", () => {
  it.effect("is over when no ping comes in time, and each ping begins it anew", () =>
    Effect.gen(function* () {
      const { last, statuses } = yield* setup()
      yield* admit(last(), "id", { pingInterval: 1_000, pingTimeout: 500 })
      const server = last()
      for (let i = 0; i < 5; i++) {
        yield* TestClock.adjust("1400 millis")
        server.events.onText("2")
        yield* Effect.yieldNow
        assert.deepStrictEqual(server.take(), ["3"])
      }
      assert.strictEqual(statuses.at(-1)!._tag, "Connected")
      yield* TestClock.adjust("1500 millis")
      assert.isTrue(server.closed)
      assert.deepStrictEqual(statuses.at(-1), { _tag: "Disconnected", reason: "ping timeout", willRetry: true })
    })
  )

  it.effect("is over when the connection takes too long", () =>
    Effect.gen(function* () {
      const { last, statuses } = yield* setup({ connectTimeout: "3 seconds" })
      yield* TestClock.adjust("2999 millis")
      assert.isFalse(last().closed)
      yield* TestClock.adjust("1 millis")
      assert.isTrue(last().closed)
      yield* Effect.yieldNow
      const status = statuses.at(-1)!
      assert.strictEqual(status._tag === "Failed" && status.error.message, "timeout")
    })
  )

  it.effect("is over when the network is lost, and nothing listens any more then", () =>
    Effect.gen(function* () {
      const { last, platform, statuses } = yield* setup()
      yield* admit(last())
      for (const listener of platform.offline) listener()
      yield* Effect.yieldNow
      assert.deepStrictEqual(statuses.at(-1), {
        _tag: "Disconnected",
        reason: "transport close",
        description: "offline",
        willRetry: true
      })
      assert.strictEqual(platform.offline.size, 0)
    })
  )

  it.effect("ends when the page is left, and is not opened again before that has come to rest", () =>
    Effect.gen(function* () {
      const page = yield* stubPage
      const { last, platform, statuses } = yield* setup({ extras: [ClientExtras.closeOnPageHide] })
      yield* admit(last())
      page.hide(true)
      assert.isTrue(last().closed)
      yield* TestClock.adjust("400 millis")
      assert.deepInclude(statuses.at(-1), { reason: "transport close", description: "page hidden" })
      assert.strictEqual(platform.sockets.length, 1)
      // A page that is restored goes on where it was.
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(platform.sockets.length, 2)
      yield* admit(last(), "again")
    })
  )
})

describe("what is emitted", () => {
  const emit = (socket: ClientSocket<Namespace.Untyped>, ...numbers: ReadonlyArray<number>) =>
    Effect.forEach(numbers, (n) => socket.emit("n", n), { discard: true })

  it.effect("waits for the connection up to its bound, and drops the newest or the oldest", () =>
    Effect.gen(function* () {
      for (const [bufferOverflow, kept] of [
        ["newest", [1, 2]],
        ["oldest", [2, 3]]
      ] as const) {
        const { last, socket } = yield* setup({ maxBuffered: 2, bufferOverflow })
        yield* emit(socket, 1, 2, 3)
        yield* admit(last())
        assert.deepStrictEqual(
          last().take(),
          kept.map((n) => `42["n",${n}]`)
        )
      }
    })
  )

  it.effect("fails its acknowledgement when there is no room, or when the connection ends after it", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup({ maxBuffered: 1 })
      const first = yield* Effect.forkChild(Effect.flip(socket.emitWithAck("a")), { startImmediately: true })
      assert.strictEqual((yield* Effect.flip(socket.emitWithAck("b"))).reason._tag, "NotSent")
      yield* admit(last())
      assert.deepStrictEqual(last().take(), ['420["a"]'])
      last().fail("gone")
      assert.strictEqual((yield* Fiber.join(first)).reason._tag, "Disconnected")
    })
  )

  it.effect("is not sent any more when who waits for its acknowledgement gives up before", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup()
      const asking = yield* Effect.forkChild(
        Effect.result(Effect.timeout(socket.emitWithAck("question"), "1 second")),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(asking)
      yield* emit(socket, 1)
      yield* admit(last())
      assert.deepStrictEqual(last().take(), ['42["n",1]'])
    })
  )
})

describe("a server that does not keep to the protocol", () => {
  const opens = [
    "0",
    "0null",
    "0[]",
    "0{}",
    '0{"sid":1,"upgrades":[],"pingInterval":1,"pingTimeout":1,"maxPayload":1}',
    '0{"sid":"a","upgrades":{},"pingInterval":1,"pingTimeout":1,"maxPayload":1}',
    '0{"sid":"a","upgrades":[],"pingInterval":-1,"pingTimeout":1,"maxPayload":1}',
    "<html>",
    "40",
    "2"
  ]

  it.effect("cannot open a session with a malformed packet; the client tries again", () =>
    Effect.gen(function* () {
      const { last, platform, statuses } = yield* setup({ reconnection: Schedule.spaced("1 second") })
      for (const open of opens) {
        const attempts = platform.sockets.length
        last().events.onOpen()
        last().events.onText(open)
        yield* Effect.yieldNow
        assert.strictEqual(statuses.at(-1)!._tag, "Failed", open)
        assert.isTrue(last().closed)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(platform.sockets.length, attempts + 1)
      }
    })
  )

  for (const packet of [
    "9",
    "4",
    "42{}",
    '45["x"]',
    '4999999999999-["x"]',
    '451-["x",{"_placeholder":true,"num":0}]4',
    "44",
    "44[]",
    "42[]",
    "b%"
  ]) {
    it.effect(`loses the connection by ${packet}`, () =>
      Effect.gen(function* () {
        const { last, statuses } = yield* setup()
        yield* admit(last())
        last().events.onText(packet)
        yield* Effect.yieldNow
        const status = statuses.at(-1)!
        assert.deepInclude(status, { _tag: "Disconnected", reason: "parse error", willRetry: true })
        assert.isNotEmpty((status as { readonly description?: string }).description)
      })
    )
  }

  it.effect("loses the connection by text where an attachment is awaited, and not before", () =>
    Effect.gen(function* () {
      const { last, statuses } = yield* setup()
      yield* admit(last())
      last().events.onText('451-["x",{"_placeholder":true,"num":0}]')
      yield* Effect.yieldNow
      assert.strictEqual(statuses.at(-1)!._tag, "Connected")
      last().events.onText('42["y"]')
      yield* Effect.yieldNow
      assert.deepInclude(statuses.at(-1), { reason: "parse error", description: "text while attachments pending" })
    })
  )

  it.effect("harms nothing by what is merely odd", () =>
    Effect.gen(function* () {
      const { last, socket, statuses } = yield* setup()
      yield* admit(last())
      for (const packet of [
        "6",
        "6",
        "3",
        "5",
        '0{"sid":"x"}',
        '431["stray"]',
        '40{"sid":"again"}',
        '44{"message":"late"}',
        '44"late"',
        '42/other,["x"]'
      ]) {
        last().events.onText(packet)
        yield* Effect.yieldNow
        assert.strictEqual(statuses.at(-1)!._tag, "Connected", packet)
      }
      assert.strictEqual(socket.id, "id")
      const answer = yield* Effect.forkChild(socket.emitWithAck("q"), { startImmediately: true })
      yield* Effect.yieldNow
      last().events.onText('430["first"]')
      last().events.onText('430["second"]')
      assert.deepStrictEqual(yield* Fiber.join(answer), ["first"])
      assert.strictEqual(statuses.at(-1)!._tag, "Connected")
    })
  )

  for (const [reply, message] of [
    ["40", "older protocol"],
    ['40{"sid":7}', "older protocol"],
    ['44{"message":7}', "refused"],
    ['44"no"', "no"],
    ['44{"message":"go away","data":[1]}', "go away"]
  ] as const) {
    it.effect(`is taken for a refusal that is final when it replies ${reply}`, () =>
      Effect.gen(function* () {
        const { last, platform, statuses } = yield* setup()
        last().accept()
        yield* Effect.yieldNow
        last().events.onText(reply)
        yield* TestClock.adjust("1 hour")
        const status = statuses.at(-1)!
        assert.isTrue(status._tag === "Failed" && !status.error.willRetry && status.error.message.includes(message))
        assert.strictEqual(platform.sockets.length, 1)
        assert.isTrue(last().closed)
      })
    )
  }
})
