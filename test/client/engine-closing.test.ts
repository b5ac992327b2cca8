/**
 * The end of a client's session, wherever it stands: what waits is sent first, and nothing of it is left.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform } from "../../src/engine/ClientPlatform.ts"
import { openClient, openPacket, openPolling, openUpgrading, upgradable } from "../support/engineClient.ts"
import { type FakePlatform, makeFakePlatform } from "../support/fakeClientPlatform.ts"

const turn = Effect.yieldNow

describe("a session that is closed", () => {
  for (const name of ["polling", "websocket"] as const) {
    it.effect(`while it is opened over ${name} is gone at once, and for good`, () =>
      Effect.gen(function* () {
        const test = yield* openClient({ transports: [name], tryAllTransports: true })
        test.client.close("enough")
        test.assertOver("forced close", "enough")
        if (name === "polling") {
          assert.isTrue(test.get().isAborted())
          test.get().respond(openPacket(upgradable))
        } else test.ws().accept()
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(test.told, ["close"])
        assert.deepStrictEqual(test.posts(), [])
        assert.strictEqual(test.platform.polls.length + test.platform.sockets.length, 1)
      })
    )
  }

  it.effect("tells the server over polling, when nothing is under way", () =>
    Effect.gen(function* () {
      const test = yield* openPolling()
      test.client.close()
      assert.deepStrictEqual(test.closes, [{ reason: "forced close" }])
      assert.isTrue(test.get().isAborted())
      assert.deepStrictEqual(test.bodies(), ["1"])
      assert.strictEqual(new URL(test.post().request.url).searchParams.get("sid"), "s")
      test.post().respond("ok")
      test.assertOver("forced close")
    })
  )

  it.effect("does not care how the server takes the news", () =>
    Effect.gen(function* () {
      for (const respond of [
        (test: Effect.Success<ReturnType<typeof openPolling>>) => test.post().respond("unknown sid", 400),
        (test: Effect.Success<ReturnType<typeof openPolling>>) => test.post().fail("gone")
      ]) {
        const test = yield* openPolling()
        test.client.close()
        respond(test)
        test.assertOver("forced close")
      }
    })
  )

  it.effect("does not wait for ever for how the server takes the news", () =>
    Effect.gen(function* () {
      const test = yield* openPolling()
      test.client.close()
      yield* TestClock.adjust("20 seconds")
      assert.isTrue(test.post().isAborted())
      test.assertOver("forced close")
    })
  )

  it.effect("sends what was sent in the same turn before", () =>
    Effect.gen(function* () {
      const polling = yield* openPolling()
      polling.client.send("41", [new Uint8Array([1])])
      polling.client.close()
      assert.deepStrictEqual(polling.bodies(), ["41\x1ebAQ=="])
      polling.assertAlive()
      polling.post().respond("ok")
      assert.deepStrictEqual(polling.bodies(), ["41\x1ebAQ==", "1"])
      polling.post().respond("ok")
      polling.assertOver("forced close")
      const webSocket = yield* openClient({ transports: ["websocket"] })
      webSocket.ws().accept()
      webSocket.client.send("41", [new Uint8Array([1])])
      webSocket.client.close()
      assert.deepStrictEqual(webSocket.ws().take(), ["41", new Uint8Array([1])])
      yield* turn
      webSocket.assertOver("forced close")
    })
  )

  it.effect("posts everything that waits, one post after the other, and then that it goes", () =>
    Effect.gen(function* () {
      const test = yield* openPolling({ maxPayload: 6 })
      for (const packet of ["41", "42", "43", "44", "45"]) test.client.send(packet, undefined)
      yield* turn
      test.client.close()
      test.client.close("again")
      test.client.send("4late", undefined)
      // Packets are taken until the end.
      test.get().respond("4in")
      assert.deepStrictEqual(test.told, ["open s", "4in"])
      for (const body of ["41\x1e42", "43\x1e44", "45"]) {
        yield* turn
        assert.strictEqual(test.bodies().at(-1), body)
        test.assertAlive()
        test.post().respond("ok")
      }
      assert.deepStrictEqual(test.bodies(), ["41\x1e42", "43\x1e44", "45", "1"])
      assert.deepStrictEqual(test.closes, [{ reason: "forced close" }])
      test.post().respond("ok")
      test.assertOver("forced close")
    })
  )

  it.effect("waits for the post that is under way, although nothing waits after it", () =>
    Effect.gen(function* () {
      const test = yield* openPolling()
      test.client.send("41", undefined)
      yield* turn
      test.client.close()
      assert.deepStrictEqual(test.bodies(), ["41"])
      test.post().respond("ok")
      assert.deepStrictEqual(test.bodies(), ["41", "1"])
      test.post().respond("ok")
      test.assertOver("forced close")
    })
  )

  for (const [what, more] of [
    ["a post is under way", []],
    ["more waits after a post", ["42"]]
  ] as const) {
    it.effect(`does not wait for ever when ${what} that the server does not take`, () =>
      Effect.gen(function* () {
        const test = yield* openPolling({}, { connectTimeout: 3_000 })
        test.client.send("41", undefined)
        yield* turn
        for (const packet of more) test.client.send(packet, undefined)
        test.client.close()
        yield* TestClock.adjust("2999 millis")
        test.assertAlive()
        yield* TestClock.adjust("1 millis")
        // It would not take the news, either.
        assert.deepStrictEqual(test.bodies(), ["41"])
        test.assertOver("forced close")
      })
    )
  }

  it.effect("is not kept alive by pings", () =>
    Effect.gen(function* () {
      const test = yield* openPolling({}, { connectTimeout: 3_000 })
      test.client.send("41", undefined)
      yield* turn
      test.client.close()
      for (let i = 0; i < 6; i++) {
        test.get().respond("2")
        yield* TestClock.adjust("500 millis")
      }
      test.assertOver("forced close")
    })
  )

  for (const [what, end] of [
    ["the server closes it", (test) => test.get().respond("1")],
    ["the poll fails", (test) => test.get().fail("gone")],
    ["the post fails", (test) => test.post().fail("gone")],
    ["the network is lost", ({ platform }) => platform.offline.forEach((listener) => listener())]
  ] as ReadonlyArray<[string, (test: Effect.Success<ReturnType<typeof openPolling>>) => void]>) {
    it.effect(`is still its own doing when ${what} while it sends`, () =>
      Effect.gen(function* () {
        const test = yield* openPolling()
        test.client.send("41", undefined)
        yield* turn
        test.client.close()
        end(test)
        test.assertOver("forced close")
        assert.deepStrictEqual(test.bodies(), ["41"])
      })
    )
  }

  it.effect("sends what waits over the WebSocket when that is being upgraded to", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("answered")
      test.client.send("41", undefined)
      test.client.close()
      test.client.send("4late", undefined)
      yield* turn
      test.assertAlive()
      test.get().respond("4in\x1e6")
      assert.deepStrictEqual(test.ws().take(), ["5", "41"])
      assert.deepStrictEqual(test.told, ["open s", "4in", "upgrade", "close"])
      test.assertOver("forced close")
      assert.deepStrictEqual(test.posts(), [])
    })
  )

  it.effect("finishes the upgrade also when nothing waits", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("answered")
      test.client.close()
      test.assertAlive()
      test.get().respond("6")
      assert.deepStrictEqual(test.ws().take(), ["5"])
      test.assertOver("forced close")
    })
  )

  it.effect("sends what waits over polling when the upgrade comes to nothing", () =>
    Effect.gen(function* () {
      for (const waiting of [["41"], []]) {
        const test = yield* openUpgrading("answered")
        for (const packet of waiting) test.client.send(packet, undefined)
        test.client.close()
        test.ws().fail()
        for (const body of [...waiting, "1"]) {
          assert.strictEqual(test.post().request.body, body)
          test.post().respond("ok")
        }
        test.assertOver("forced close")
      }
    })
  )

  it.effect("does not wait for ever for the upgrade", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("answered", { connectTimeout: 3_000 })
      yield* TestClock.adjust("1 second")
      test.client.send("41", undefined)
      test.client.close()
      // The upgrade has come to nothing: what waits is posted.
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(test.bodies(), ["41"])
      yield* TestClock.adjust("1 second")
      test.assertOver("forced close")
    })
  )

  for (const until of ["connecting", "probing"] as const) {
    it.effect(`does not wait for a WebSocket that is ${until}`, () =>
      Effect.gen(function* () {
        const test = yield* openUpgrading(until)
        test.client.close()
        assert.deepStrictEqual(test.bodies(), ["1"])
        test.post().respond("ok")
        test.ws().events.onText("3probe")
        test.assertOver("forced close")
      })
    )
  }

  it.effect("by whom it tells that it is open tries no upgrade", () =>
    Effect.gen(function* () {
      const test = yield* openClient()
      const { push } = test.told
      test.told.push = (...told) => {
        if (told[0] === "open s") test.client.close()
        return push.apply(test.told, told)
      }
      test.get().respond(openPacket(upgradable))
      assert.deepStrictEqual(test.told, ["close", "open s"])
      assert.deepStrictEqual(test.platform.sockets, [])
      assert.deepStrictEqual(test.bodies(), ["1"])
    })
  )
})

describe("a client whose scope closes", () => {
  const scoped = Effect.fnUntraced(function* (options: Partial<ClientOptions> = {}) {
    const platform = makeFakePlatform()
    const scope = yield* Scope.make()
    const socket = yield* SocketIoClient.make({ url: "http://test", ...options }).pipe(
      Effect.flatMap((client) =>
        Effect.provideService(SocketIoClient.socket("/"), SocketIoClient.SocketIoClient, client)
      ),
      Effect.provideService(ClientPlatform, platform),
      Scope.provide(scope)
    )
    const get = () => platform.polls.findLast(({ request }) => request.method === "GET")!
    const posts = () => platform.polls.filter(({ request }) => request.method === "POST")
    return { get, platform, posts, socket, close: Scope.close(scope, Exit.void) }
  })

  type Scoped = Effect.Success<ReturnType<typeof scoped>>

  /** The session is open and the namespace, too; the server offers what is given. */
  const admitted = Effect.fnUntraced(function* (handshake: object, options: Partial<ClientOptions> = {}) {
    const test = yield* scoped(options)
    test.get().respond(openPacket(handshake))
    yield* turn
    test.posts()[0]!.respond("ok")
    test.get().respond('40{"sid":"id"}')
    yield* turn
    assert.isTrue(test.socket.connected)
    return test
  })

  /** Nothing is open, nothing listens, and nothing happens any more. */
  const assertOver = Effect.fnUntraced(function* (platform: FakePlatform) {
    const seen = () => [
      platform.polls.length,
      platform.sockets.length,
      ...platform.sockets.map(({ sent }) => sent.length)
    ]
    const before = seen()
    assert.isTrue(platform.sockets.every(({ closed }) => closed))
    assert.strictEqual(platform.offline.size, 0)
    yield* TestClock.adjust("1 hour")
    assert.deepStrictEqual(seen(), before)
  })

  /** Answers what is posted until nothing is. */
  const bodies = Effect.fnUntraced(function* ({ posts }: Scoped) {
    for (let i = 1; i < posts().length; i++) {
      posts()[i]!.respond("ok")
      yield* turn
    }
    return posts().map(({ request }) => request.body)
  })

  for (const transport of ["polling", "websocket"] as const) {
    it.effect(`while it connects over ${transport} leaves nothing behind`, () =>
      Effect.gen(function* () {
        const { close, platform } = yield* scoped({ transports: [transport] })
        yield* close
        if (transport === "polling") assert.isTrue(platform.polls[0]!.isAborted())
        yield* assertOver(platform)
      })
    )
  }

  it.effect("while it waits for the next attempt leaves nothing behind", () =>
    Effect.gen(function* () {
      const { close, get, platform } = yield* scoped()
      get().fail("nobody there")
      yield* turn
      yield* close
      yield* assertOver(platform)
      assert.strictEqual(platform.polls.length, 1)
    })
  )

  it.effect("says on polling what it has to say, and that it leaves", () =>
    Effect.gen(function* () {
      const test = yield* admitted({})
      yield* test.socket.emit("last", "words")
      yield* test.close
      assert.deepStrictEqual(yield* bodies(test), ["40", '42["last","words"]\x1e41', "1"])
      yield* assertOver(test.platform)
    })
  )

  it.effect("during an upgrade finishes that, and says on the WebSocket what it has to say", () =>
    Effect.gen(function* () {
      const test = yield* admitted(upgradable)
      const [ws] = test.platform.sockets as [FakePlatform["sockets"][number]]
      ws.events.onOpen()
      ws.events.onText("3probe")
      yield* test.socket.emit("last", "words")
      yield* test.close
      test.get().respond("6")
      assert.deepStrictEqual(ws.sent, ["2probe", "5", '42["last","words"]', "41"])
      yield* assertOver(test.platform)
    })
  )

  it.effect("before the upgrade is answered says on polling what it has to say", () =>
    Effect.gen(function* () {
      const test = yield* admitted(upgradable)
      test.platform.sockets[0]!.events.onOpen()
      yield* test.close
      assert.deepStrictEqual(yield* bodies(test), ["40", "41", "1"])
      yield* assertOver(test.platform)
    })
  )

  it.effect("leaves nothing behind when the server takes nothing any more", () =>
    Effect.gen(function* () {
      const test = yield* admitted(upgradable)
      yield* test.socket.emit("last", "words")
      yield* turn
      yield* test.close
      yield* TestClock.adjust("20 seconds")
      assert.isTrue(test.posts().at(-1)!.isAborted())
      assert.isTrue(test.get().isAborted())
      yield* assertOver(test.platform)
    })
  )
})
