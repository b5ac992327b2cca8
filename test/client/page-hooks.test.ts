/**
 * A client whose page is left, frozen, restored, or loses the network.
 */
import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import type { SocketStatus } from "../../src/client/ClientSocket.ts"
import * as ClientExtras from "../../src/client/ClientExtras.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform } from "../../src/engine/ClientPlatform.ts"
import { openPacket, openPolling, openUpgrading } from "../support/engineClient.ts"
import { makeFakePlatform } from "../support/fakeClientPlatform.ts"
import { FakePage } from "../support/fakePage.ts"

let page: FakePage

beforeEach(() => {
  page = new FakePage()
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page))
  vi.stubGlobal("removeEventListener", page.removeEventListener.bind(page))
})

afterEach(() => {
  vi.unstubAllGlobals()
})

/** A client in the page that is connected to the default namespace, over one transport. */
const connected = Effect.fnUntraced(function* (options: Partial<ClientOptions>) {
  const fake = makeFakePlatform()
  const { onOffline } = yield* ClientPlatform
  const client = yield* SocketIoClient.make({
    url: "http://test",
    extras: [ClientExtras.closeOnPageHide],
    ...options
  }).pipe(Effect.provideService(ClientPlatform, { ...fake, onOffline }))
  const socket = yield* Effect.provideService(SocketIoClient.socket("/"), SocketIoClient.SocketIoClient, client)
  const statuses: Array<SocketStatus> = []
  yield* Effect.forkScoped(
    Stream.runForEach(socket.status, (status) => Effect.sync(() => statuses.push(status))),
    { startImmediately: true }
  )
  const overPolling = options.transports![0] === "polling"
  const poll = () => fake.polls.findLast(({ request }) => request.method === "GET")!
  /** Lets in whoever asks last. */
  const admit = Effect.gen(function* () {
    if (overPolling) poll().respond(openPacket())
    else fake.sockets.at(-1)!.accept()
    yield* Effect.yieldNow
    if (overPolling) {
      fake.polls.at(-1)!.respond("ok")
      poll().respond('40{"sid":"id"}')
    } else fake.sockets.at(-1)!.events.onText('40{"sid":"id"}')
    yield* Effect.yieldNow
    assert.strictEqual(statuses.at(-1)!._tag, "Connected")
  })
  /** How many sessions were begun. */
  const sessions = () => fake.sockets.length + fake.polls.filter(({ request }) => !request.url.includes("sid=")).length
  const delivered = () => [
    ...fake.sockets.flatMap(({ sent }) => sent),
    ...fake.polls.flatMap(({ request }) => request.body?.split("\x1e") ?? [])
  ]
  yield* admit
  return { ...fake, admit, delivered, poll, sessions, socket, statuses }
})

for (const transport of ["polling", "websocket"] as const) {
  const options = { transports: [transport] } as const

  describe(`a page with a client over ${transport}`, () => {
    for (const persisted of [true, false]) {
      it.effect(
        `keeps no connection, and opens none, when it is left ${persisted ? "for the cache" : "for good"}`,
        () =>
          Effect.gen(function* () {
            const { poll, polls, sessions, sockets, statuses } = yield* connected(options)
            const before = poll()
            page.hide(persisted)
            // At once: there may be no other turn.
            if (transport === "polling") {
              assert.isTrue(before.isAborted())
              assert.deepStrictEqual([polls.at(-1)!.request.method, polls.at(-1)!.request.body], ["POST", "1"])
            } else assert.isTrue(sockets[0]!.closed)
            assert.strictEqual(sessions(), 1)
            for (let i = 0; i < 10; i++) yield* Effect.yieldNow
            assert.strictEqual(sessions(), 1)
            assert.deepStrictEqual(statuses.at(-1), {
              _tag: "Disconnected",
              reason: "transport close",
              description: "page hidden",
              willRetry: true
            })
            assert.deepStrictEqual(page.listening, [])
          })
      )
    }

    it.effect("connects again when it comes back from the cache, and can be left again", () =>
      Effect.gen(function* () {
        const { admit, delivered, sessions, socket, statuses } = yield* connected(options)
        for (let times = 1; times <= 3; times++) {
          // Timers stand still while it is frozen.
          page.hide(true)
          yield* socket.emit("frozen", times)
          page.show(true)
          yield* TestClock.adjust("1500 millis")
          assert.strictEqual(sessions(), times + 1)
          yield* admit
          assert.strictEqual(delivered().filter((packet) => packet === `42["frozen",${times}]`).length, 1)
        }
        assert.isTrue(socket.connected)
        assert.strictEqual(statuses.filter(({ _tag }) => _tag === "Disconnected").length, 3)
      })
    )

    it.effect("connects again when the network is lost, and may be back", () =>
      Effect.gen(function* () {
        const { admit, poll, sessions, sockets, statuses } = yield* connected(options)
        const before = poll()
        page.dispatchEvent(new Event("offline"))
        yield* Effect.yieldNow
        assert.isTrue(transport === "polling" ? before.isAborted() : sockets[0]!.closed)
        assert.deepInclude(statuses.at(-1), { reason: "transport close", description: "offline" })
        assert.strictEqual(sessions(), 1)
        page.dispatchEvent(new Event("online"))
        yield* TestClock.adjust("1500 millis")
        assert.strictEqual(sessions(), 2)
        yield* admit
      })
    )

    it.effect("is listened to for one session at a time, and not any more when the client leaves", () =>
      Effect.gen(function* () {
        const { admit, sessions, socket } = yield* connected(options)
        assert.sameMembers(page.listening, ["offline", "pagehide"])
        page.dispatchEvent(new Event("offline"))
        assert.deepStrictEqual(page.listening, [])
        yield* TestClock.adjust("1500 millis")
        yield* admit
        assert.sameMembers(page.listening, ["offline", "pagehide"])
        yield* socket.disconnect()
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(page.listening, [])
        page.hide(true)
        page.dispatchEvent(new Event("offline"))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(sessions(), 2)
      })
    )

    it.effect("keeps its connection when it is left, unless it has the extra", () =>
      Effect.gen(function* () {
        const { socket, sessions } = yield* connected({ ...options, extras: [] })
        assert.deepStrictEqual(page.listening, ["offline"])
        page.hide(true)
        page.show(true)
        yield* Effect.yieldNow
        assert.isTrue(socket.connected)
        assert.strictEqual(sessions(), 1)
      })
    )
  })
}

describe("a page with a session", () => {
  it.effect("that is left or frozen keeps no connection, and the server is told", () =>
    Effect.gen(function* () {
      for (const until of ["connecting", "answered"] as const) {
        const test = yield* openUpgrading(until)
        test.client.send("41", undefined)
        test.page.hide(true)
        assert.deepStrictEqual(test.bodies(), ["1"])
        test.post().respond("ok")
        test.assertOver("transport close", "page hidden")
      }
    })
  )

  it.effect("that is left while a post is under way keeps no connection, either", () =>
    Effect.gen(function* () {
      const test = yield* openPolling()
      test.client.send("41", undefined)
      yield* Effect.yieldNow
      test.page.hide(true)
      assert.isTrue(test.get().isAborted())
      assert.strictEqual(test.closes.length, 1)
      test.post().respond("ok")
      assert.deepStrictEqual(test.bodies(), ["41", "1"])
      test.post().respond("ok")
      test.assertOver("transport close")
    })
  )

  it.effect("that is left is not listened to where that is not wanted", () =>
    Effect.gen(function* () {
      const test = yield* openPolling({}, { closeOnPageHide: false })
      assert.deepStrictEqual(test.page.listening, [])
      assert.strictEqual(test.platform.offline.size, 1)
    })
  )

  it.effect("that loses the network keeps what it has to a server on the same machine", () =>
    Effect.gen(function* () {
      for (const [origin, listens] of [
        ["http://localhost", 0],
        ["https://localhost:3000", 0],
        ["http://localhost.example.org", 1],
        ["http://my-localhost:3000", 1],
        ["http://test", 1]
      ] as const) {
        const test = yield* openPolling({}, { origin })
        assert.strictEqual(test.platform.offline.size, listens, origin)
      }
    })
  )
})
