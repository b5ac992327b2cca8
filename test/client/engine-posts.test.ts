/**
 * The POSTs of a client's session over polling, and their times: as much as the server takes at once, one request at a time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"

import { openClient, openPolling, type TestClient } from "../support/engineClient.ts"

const SEPARATOR = "\x1e"

/** Sends all of it within one turn. */
const send = Effect.fnUntraced(function* ({ client }: TestClient, ...packets: ReadonlyArray<string | Uint8Array>) {
  for (const packet of packets) {
    if (typeof packet === "string") client.send(packet, undefined)
    else client.send(undefined, [packet])
  }
  yield* Effect.yieldNow
})

/** The bodies that are posted until everything is, each as its packets. */
const posted = Effect.fnUntraced(function* (test: TestClient) {
  let answered = 0
  while (answered < test.posts().length) {
    // Never a second one beside the first.
    assert.strictEqual(test.posts().length, answered + 1)
    answered++
    test.post().respond("ok")
    yield* Effect.yieldNow
  }
  return test.bodies().map((body) => body!.split(SEPARATOR))
})

const bytesOf = (packets: ReadonlyArray<string>) => Buffer.byteLength(packets.join(SEPARATOR))

describe("a post", () => {
  it.effect("carries everything that is sent within one turn", () =>
    Effect.gen(function* () {
      const test = yield* openPolling()
      yield* send(test, "41", new Uint8Array([1, 2, 255]), "42")
      assert.deepStrictEqual(yield* posted(test), [["41", "bAQL/", "42"]])
      assert.strictEqual(test.post().request.headers["content-type"], "text/plain;charset=UTF-8")
    })
  )

  it.effect("waits for the one before, with everything that is sent meanwhile", () =>
    Effect.gen(function* () {
      const test = yield* openPolling()
      yield* send(test, "41")
      yield* send(test, "42")
      assert.isFalse(test.client.writable)
      yield* send(test, "43")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(test.bodies(), ["41"])
      assert.deepStrictEqual(yield* posted(test), [["41"], ["42", "43"]])
      assert.isTrue(test.client.writable)
    })
  )

  it.effect("does not wait for the poll, nor the poll for it", () =>
    Effect.gen(function* () {
      const test = yield* openPolling()
      yield* send(test, "41")
      test.get().respond("4in")
      assert.deepStrictEqual(test.told, ["open s", "4in"])
      assert.strictEqual(test.gets().length, 3)
      test.post().respond("ok")
      assert.strictEqual(test.gets().length, 3)
    })
  )

  for (const [what, packets, maxPayload, groups] of [
    ["exactly what fits", ["4aaa", "4bbb", "4ccc"], 9, [2, 1]],
    ["one byte less than the next would need", ["4aaa", "4bbb", "4ccc"], 13, [2, 1]],
    ["all of it when that fits exactly", ["4aaa", "4bbb", "4ccc"], 14, [3]],
    ["two bytes for an umlaut", ["4ä", "4b"], 5, [1, 1]],
    ["two bytes for an umlaut, and no more", ["4ä", "4b"], 6, [2]],
    ["three bytes for a euro", ["4€", "4b"], 6, [1, 1]],
    ["three bytes for a euro, and no more", ["4€", "4b"], 7, [2]],
    ["four bytes for an emoji", ["4😀", "4b"], 7, [1, 1]],
    ["four bytes for an emoji, and no more", ["4😀", "4b"], 8, [2]],
    ["bytes as base64", [new Uint8Array(4), "4b"], 11, [1, 1]],
    ["bytes as base64, and no more", [new Uint8Array(4), "4b"], 12, [2]],
    ["empty bytes", [new Uint8Array(0), "4b"], 3, [1, 1]],
    ["empty bytes, and no more", [new Uint8Array(0), "4b"], 4, [2]],
    ["a packet that is too large alone", ["4a", `4${"b".repeat(100)}`, "4c", "4d"], 10, [1, 1, 2]],
    ["each alone where nothing fits", ["4a", "4b", "4c"], 0, [1, 1, 1]]
  ] as ReadonlyArray<[string, ReadonlyArray<string | Uint8Array>, number, ReadonlyArray<number>]>) {
    it.effect(`takes ${what}`, () =>
      Effect.gen(function* () {
        const test = yield* openPolling({ maxPayload })
        yield* send(test, ...packets)
        const bodies = yield* posted(test)
        assert.deepStrictEqual(
          bodies.map((body) => body.length),
          groups
        )
        for (const body of bodies) assert.isTrue(body.length === 1 || bytesOf(body) <= maxPayload)
        assert.deepStrictEqual(
          bodies.flat(),
          packets.map((packet) => (typeof packet === "string" ? packet : `b${Buffer.from(packet).toString("base64")}`))
        )
      })
    )
  }

  it.effect("counts bytes as base64 when they always travel as that", () =>
    Effect.gen(function* () {
      for (const [maxPayload, groups] of [
        [11, 2],
        [12, 1]
      ] as const) {
        const test = yield* openPolling({ maxPayload }, { forceBase64: true })
        yield* send(test, new Uint8Array(4), "4b")
        assert.strictEqual((yield* posted(test)).length, groups)
        assert.strictEqual(new URL(test.get().request.url).searchParams.get("b64"), "1")
      }
    })
  )

  it.effect("is never larger than the server takes, in order, for many packets", () =>
    Effect.gen(function* () {
      const maxPayload = 1_000
      const test = yield* openPolling({ maxPayload })
      const packets = Array.from({ length: 2_000 }, (_, i) => `4${i}${"ä€😀x".repeat(i % 7)}`)
      yield* send(test, ...packets)
      const bodies = yield* posted(test)
      for (const [i, body] of bodies.entries()) {
        assert.isAtMost(bytesOf(body), maxPayload)
        // Nothing is held back, either.
        const next = bodies[i + 1]
        if (next !== undefined) assert.isAbove(bytesOf([...body, next[0]!]), maxPayload)
      }
      assert.deepStrictEqual(bodies.flat(), packets)
    })
  )

  it.effect("that fails ends the session, with what the server said", () =>
    Effect.gen(function* () {
      for (const [respond, description] of [
        [(test: TestClient) => test.post().respond("", 502), "POST was answered with status 502"],
        [(test: TestClient) => test.post().fail("gone"), "POST failed: gone"]
      ] as const) {
        const test = yield* openPolling()
        yield* send(test, "41")
        yield* send(test, "42")
        respond(test)
        test.assertOver("transport error", description)
        assert.deepStrictEqual(test.bodies(), ["41"])
      }
    })
  )
})

describe("a WebSocket", () => {
  it.effect("takes a frame per packet, whatever the server's payloads may be", () =>
    Effect.gen(function* () {
      const test = yield* openClient({ transports: ["websocket"] })
      test.ws().accept({ maxPayload: 5 })
      yield* send(test, "4aaa", new Uint8Array(9), "4bbb")
      assert.deepStrictEqual(test.ws().take(), ["4aaa", new Uint8Array(9), "4bbb"])
    })
  )

  it.effect("takes bytes as base64 when that is asked for", () =>
    Effect.gen(function* () {
      const test = yield* openClient({ transports: ["websocket"], forceBase64: true })
      assert.strictEqual(new URL(test.ws().request.url).searchParams.get("b64"), "1")
      test.ws().accept()
      yield* send(test, "4a", new Uint8Array([1, 2, 255]))
      assert.deepStrictEqual(test.ws().take(), ["4a", "bAQL/"])
    })
  )
})
