/**
 * The change of a client's session from polling to WebSocket, and everything that can go wrong on the way.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"

import { openPolling, openUpgrading, type TestClient, upgradable } from "../support/engineClient.ts"

/** Packets of one turn leave at its end. */
const turn = Effect.yieldNow

/** Whether the session lives, over polling, and both directions work. */
const assertPolls = Effect.fnUntraced(function* (test: TestClient) {
  const told = test.told.length
  test.assertAlive()
  assert.strictEqual(test.client.transportName, "polling")
  assert.isTrue(test.ws().closed)
  assert.deepStrictEqual(test.ws().take(), [])
  const gets = test.gets().length
  test.get().respond("4in")
  assert.deepStrictEqual(test.told.slice(told), ["4in"])
  assert.strictEqual(test.gets().length, gets + 1)
  test.client.send("4out", undefined)
  yield* turn
  assert.strictEqual(test.post().request.body, "4out")
  test.post().respond("ok")
  yield* TestClock.adjust("1 minute")
  test.assertOver("ping timeout")
})

describe("an upgrade", () => {
  it.effect("probes, waits for the poll that the server releases, and goes on over WebSocket", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("probing")
      const ws = test.ws()
      const gets = test.gets().length
      ws.events.onText("3probe")
      assert.deepStrictEqual(ws.take(), [])
      assert.strictEqual(test.client.transportName, "polling")
      test.get().respond("6")
      assert.deepStrictEqual(ws.take(), ["5"])
      assert.deepStrictEqual(test.told, ["open s", "upgrade"])
      assert.strictEqual(test.client.transportName, "websocket")
      assert.strictEqual(test.gets().length, gets)
      ws.events.onText("4in")
      ws.events.onBinary(new Uint8Array([1]))
      test.client.send("4out", [new Uint8Array([2])])
      yield* turn
      assert.deepStrictEqual(ws.take(), ["4out", new Uint8Array([2])])
      assert.deepStrictEqual(test.told.slice(2), ["4in", new Uint8Array([1])])
      assert.deepStrictEqual(test.posts(), [])
      test.client.close()
      // The server sees the WebSocket go: nothing is posted to it.
      assert.deepStrictEqual(test.posts(), [])
      test.assertOver("forced close")
    })
  )

  it.effect("polls and posts as before until it is answered", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("probing")
      test.get().respond("4one")
      test.get().respond("2")
      yield* turn
      assert.deepStrictEqual(test.bodies(), ["3"])
      test.post().respond("ok")
      assert.deepStrictEqual(test.told, ["open s", "4one"])
      assert.strictEqual(test.gets().length, 4)
      test.ws().events.onText("3probe")
      test.get().respond("6")
      assert.deepStrictEqual(test.told, ["open s", "4one", "upgrade"])
    })
  )

  for (const order of ["poll, then the post", "post, then the poll"] as const) {
    it.effect(`waits for the ${order}`, () =>
      Effect.gen(function* () {
        const test = yield* openUpgrading("probing")
        test.client.send("4out", undefined)
        yield* turn
        test.ws().events.onText("3probe")
        const releases = [() => test.get().respond("4in\x1e6"), () => test.post().respond("ok")]
        if (order.startsWith("post")) releases.reverse()
        releases[0]!()
        yield* turn
        assert.deepStrictEqual(test.ws().take(), [])
        releases[1]!()
        assert.deepStrictEqual(test.ws().take(), ["5"])
        assert.deepStrictEqual(test.told, ["open s", "4in", "upgrade"])
        assert.deepStrictEqual([test.gets().length, test.posts().length], [2, 1])
      })
    )
  }

  it.effect("neither loses, doubles nor reorders what is emitted around it", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("connecting")
      const ws = test.ws()
      let n = 0
      const emit = Effect.suspend(() => {
        test.client.send(`4${n++}`, undefined)
        test.client.send(`4${n++}`, [new Uint8Array([n])])
        return turn
      })
      const delivered: Array<string | Uint8Array | undefined> = []
      const flushed = Effect.sync(() => {
        delivered.push(...test.post().request.body!.split("\x1e"))
        test.post().respond("ok")
      }).pipe(Effect.andThen(turn))
      yield* emit
      ws.events.onOpen()
      yield* emit
      yield* flushed
      assert.deepStrictEqual(ws.take(), ["2probe"])
      yield* emit
      ws.events.onText("3probe")
      yield* emit
      yield* flushed
      yield* emit
      // Nothing is posted any more while the poll is awaited.
      assert.strictEqual(test.posts().length, 2)
      // In the turn that completes it, too.
      test.client.send(`4${n++}`, undefined)
      test.get().respond("6")
      test.client.send(`4${n++}`, undefined)
      yield* turn
      yield* emit
      const [upgrade, ...rest] = ws.take()
      assert.strictEqual(upgrade, "5")
      delivered.push(
        ...rest.map((packet) => (typeof packet === "string" ? packet : `b${Buffer.from(packet).toString("base64")}`))
      )
      const messages = delivered.filter((packet) => (packet as string).startsWith("4"))
      assert.deepStrictEqual(
        messages,
        Array.from({ length: n }, (_, i) => `4${i}`)
      )
      // Each attachment follows its packet.
      assert.strictEqual(delivered.length, messages.length + 6)
      for (const [i, packet] of delivered.entries()) {
        if (!(packet as string).startsWith("b")) continue
        const [number] = Buffer.from((packet as string).slice(1), "base64")
        assert.strictEqual(delivered[i - 1], `4${number! - 1}`)
      }
    })
  )

  it.effect("delivers what the last poll brings before what the WebSocket does", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("answered")
      test.get().respond("41\x1ebAg==\x1e43")
      test.ws().events.onText("44")
      assert.deepStrictEqual(test.told, ["open s", "41", new Uint8Array([2]), "43", "upgrade", "44"])
    })
  )

  it.effect("lets nobody send past what waits for it", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("probing")
      assert.isTrue(test.client.writable)
      test.ws().events.onText("3probe")
      assert.isFalse(test.client.writable)
      test.get().respond("6")
      assert.isTrue(test.client.writable)
    })
  )
})

describe("an upgrade that comes to nothing", () => {
  for (const [what, answer] of [
    ["a pong of another kind", "3"],
    ["a pong with something after it", "3probe2"],
    ["a message", "4early"],
    ["a noop", "6"],
    ["a ping", "2"],
    ["a close packet", "1"],
    ["an open packet", '0{"sid":"other"}'],
    ["nothing in it", ""],
    ["what is no packet", "<html>"],
    ["bytes", new Uint8Array([51])]
  ] as const) {
    it.effect(`leaves the session on polling when the answer is ${what}`, () =>
      Effect.gen(function* () {
        const test = yield* openUpgrading("probing")
        if (typeof answer === "string") test.ws().events.onText(answer)
        else test.ws().events.onBinary(answer)
        assert.deepStrictEqual(test.told, ["open s"])
        yield* assertPolls(test)
      })
    )
  }

  for (const packet of ["4early", "3probe", "6", ""]) {
    it.effect(`leaves the session on polling when "${packet}" follows the answer too early`, () =>
      Effect.gen(function* () {
        const test = yield* openUpgrading("answered")
        test.client.send("4waits", undefined)
        test.ws().events.onText(packet)
        assert.deepStrictEqual(test.told, ["open s"])
        assert.deepStrictEqual(test.bodies(), ["4waits"])
        test.post().respond("ok")
        yield* assertPolls(test)
      })
    )
  }

  for (const until of ["connecting", "probing", "answered"] as const) {
    for (const description of [undefined, "broken"]) {
      it.effect(`leaves the session on polling when the WebSocket is ${description ?? "closed"} while ${until}`, () =>
        Effect.gen(function* () {
          const test = yield* openUpgrading(until, { rememberUpgrade: true })
          test.ws().events.onClose(description)
          assert.isFalse(test.memory.upgraded)
          // Packets of the failed one are ignored then.
          test.ws().events.onText("3probe")
          test.ws().events.onText("4late")
          yield* assertPolls(test)
        })
      )
    }

    it.effect(`lets go of a WebSocket that is ${until} for longer than a connection may take`, () =>
      Effect.gen(function* () {
        const test = yield* openUpgrading(until, { connectTimeout: 3_000 })
        test.client.send("4waits", undefined)
        yield* TestClock.adjust("2999 millis")
        assert.isFalse(test.ws().closed)
        yield* TestClock.adjust("1 millis")
        assert.isTrue(test.ws().closed)
        assert.deepStrictEqual(test.bodies(), ["4waits"])
        test.post().respond("ok")
        yield* assertPolls(test)
      })
    )
  }

  it.effect("begins to poll again when the poll was over already", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("probing")
      test.client.send("4out", undefined)
      yield* turn
      test.ws().events.onText("3probe")
      const gets = test.gets().length
      test.get().respond("6")
      assert.strictEqual(test.gets().length, gets)
      test.ws().fail()
      assert.strictEqual(test.gets().length, gets + 1)
      test.post().respond("ok")
      yield* assertPolls(test)
    })
  )

  it.effect("posts only when the post that was under way is over", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("probing")
      test.client.send("41", undefined)
      yield* turn
      test.ws().events.onText("3probe")
      test.client.send("42", undefined)
      yield* turn
      test.ws().fail()
      yield* turn
      assert.deepStrictEqual(test.bodies(), ["41"])
      test.post().respond("ok")
      assert.deepStrictEqual(test.bodies(), ["41", "42"])
      test.post().respond("ok")
      yield* assertPolls(test)
    })
  )

  it.effect("is not waited for any more when it has succeeded", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("answered", { connectTimeout: 3_000 })
      test.get().respond("6")
      yield* TestClock.adjust("10 seconds")
      test.assertAlive()
      assert.isFalse(test.ws().closed)
    })
  )
})

describe("a session that ends during its upgrade", () => {
  for (const until of ["connecting", "probing", "answered"] as const) {
    for (const [what, end, reason] of [
      ["the server closes it", (test) => Effect.sync(() => test.get().respond("1")), "transport close"],
      ["the poll fails", (test) => Effect.sync(() => test.get().fail("gone")), "transport error"],
      ["the poll is refused", (test) => Effect.sync(() => test.get().respond("{}", 400)), "transport error"],
      ["the poll is malformed", (test) => Effect.sync(() => test.get().respond("4a\x1e")), "parse error"],
      [
        "the network is lost",
        ({ platform }) => Effect.sync(() => platform.offline.forEach((f) => f())),
        "transport close"
      ],
      ["no ping comes", () => TestClock.adjust("45 seconds"), "ping timeout"]
    ] as ReadonlyArray<[string, (test: TestClient) => Effect.Effect<void>, TestClient["closes"][number]["reason"]]>) {
      it.effect(`takes the WebSocket that is ${until} with it when ${what}`, () =>
        Effect.gen(function* () {
          const test = yield* openUpgrading(until, { connectTimeout: 100_000 })
          yield* end(test)
          if (reason === "parse error") test.post().respond("ok")
          test.ws().events.onOpen()
          test.ws().events.onText("3probe")
          test.ws().events.onText("4late")
          test.ws().fail()
          test.assertOver(reason)
          assert.isFalse(test.told.includes("upgrade"))
        })
      )
    }
  }

  it.effect("because a post fails is not upgraded", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("probing")
      test.client.send("4out", undefined)
      yield* turn
      test.ws().events.onText("3probe")
      test.get().respond("6")
      test.post().respond("too large", 413)
      test.post().respond("ok")
      test.assertOver("payload too large", "POST was answered with status 413")
      assert.deepStrictEqual(test.ws().take(), [])
    })
  )
})

describe("the liveness of a session", () => {
  it.effect("is answered over the WebSocket when the last poll has asked for it", () =>
    Effect.gen(function* () {
      const test = yield* openUpgrading("answered")
      test.get().respond("2")
      assert.deepStrictEqual(test.ws().take(), ["5", "3"])
      assert.deepStrictEqual(test.posts(), [])
    })
  )

  it.effect("is watched across an upgrade, from the last ping on", () =>
    Effect.gen(function* () {
      const liveness = { ...upgradable, pingInterval: 1_000, pingTimeout: 500 }
      const test = yield* openPolling(liveness)
      test.ws().events.onOpen()
      test.ws().events.onText("3probe")
      yield* TestClock.adjust("1 second")
      test.get().respond("2\x1e6")
      yield* TestClock.adjust("1499 millis")
      test.assertAlive()
      test.ws().events.onText("2")
      yield* turn
      assert.deepStrictEqual(test.ws().take(), ["2probe", "5", "3", "3"])
      yield* TestClock.adjust("1499 millis")
      // Only pings count.
      test.ws().events.onText("4in")
      test.assertAlive()
      yield* TestClock.adjust("1 millis")
      test.assertOver("ping timeout")
    })
  )

  it.effect("is not begun anew by the upgrade itself", () =>
    Effect.gen(function* () {
      const test = yield* openPolling({ ...upgradable, pingInterval: 1_000, pingTimeout: 500 })
      yield* TestClock.adjust("1 second")
      test.ws().events.onOpen()
      test.ws().events.onText("3probe")
      test.get().respond("6")
      assert.deepStrictEqual(test.told, ["open s", "upgrade"])
      yield* TestClock.adjust("499 millis")
      test.assertAlive()
      yield* TestClock.adjust("1 millis")
      test.assertOver("ping timeout")
    })
  )

  it.effect("ends with the WebSocket when that is closed or broken", () =>
    Effect.gen(function* () {
      for (const [description, reason] of [
        [undefined, "transport close"],
        ["broken", "transport error"]
      ] as const) {
        const test = yield* openUpgrading("answered")
        test.get().respond("6")
        test.ws().events.onClose(description)
        test.assertOver(reason)
      }
    })
  )
})
