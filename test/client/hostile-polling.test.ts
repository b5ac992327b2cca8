/**
 * Servers that do not keep to the protocol over polling: whatever they answer ends with a reason or is dropped, and nothing hangs.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform, type PollResponse } from "../../src/engine/ClientPlatform.ts"
import { openClient, openPacket, openPolling, openUpgrading, type TestClient } from "../support/engineClient.ts"
import { type FakePlatform, makeFakePlatform } from "../support/fakeClientPlatform.ts"

const turn = Effect.yieldNow

/** The answer of a server to a request. */
type Answer = readonly [body: string, status?: number]

const statuses = [201, 204, 301, 302, 304, 400, 401, 403, 404, 413, 429, 500, 502, 503, 504]

describe("the opening over polling", () => {
  for (const [what, [body, status], reason] of [
    ["a page", ["<!doctype html><html>Log in</html>"], "parse error"],
    ["nothing", [""], "parse error"],
    ["a separator", ["\x1e"], "parse error"],
    ["JSON of its own", ['{"sid":"s"}'], "parse error"],
    ["a payload of protocol 3", [`97:${openPacket()}`], "parse error"],
    ["bytes", ["bAQID"], "parse error"],
    ["a noop", ["6"], "parse error"],
    ["a close packet", ["1"], "parse error"],
    ["a message before the open packet", [`40{"sid":"id"}\x1e${openPacket()}`], "parse error"],
    ["an open packet without its data", ["0"], "parse error"],
    ["an open packet that is cut off", [openPacket().slice(0, -1)], "parse error"],
    ...[
      { sid: null },
      { sid: "" },
      { sid: ["s"] },
      { upgrades: null },
      { upgrades: [1] },
      { upgrades: { length: 1 } },
      { pingInterval: "25000" },
      { pingInterval: -1 },
      { pingTimeout: Number.MAX_VALUE },
      { pingTimeout: 0.5 },
      { maxPayload: {} },
      { maxPayload: true }
    ].map((handshake): [string, Answer, "parse error"] => [
      `an open packet with ${JSON.stringify(handshake)}`,
      [openPacket(handshake)],
      "parse error"
    ]),
    ...statuses.map((status): [string, Answer, "transport error"] => [
      `status ${status}`,
      [openPacket(), status],
      "transport error"
    ])
  ] as ReadonlyArray<[string, Answer, "parse error" | "transport error"]>) {
    it.effect(`fails with a ${reason} when the answer is ${what}`, () =>
      Effect.gen(function* () {
        const test = yield* openClient()
        test.get().respond(body, status)
        test.assertOver(reason)
        assert.isNotEmpty(test.closes[0]!.description)
        assert.deepStrictEqual(test.told, ["close"])
        assert.strictEqual(test.platform.polls.length + test.platform.sockets.length, 1)
      })
    )
  }

  it.effect("ignores what the open packet has besides", () =>
    Effect.gen(function* () {
      const test = yield* openClient()
      test.get().respond(openPacket({ __proto__: null, constructor: 1, toString: "no", more: [{}] }))
      assert.deepStrictEqual(test.told, ["open s"])
    })
  )

  it.effect("lets no session id break the address of the requests", () =>
    Effect.gen(function* () {
      const sid = "a&transport=x#/../\r\n?😀"
      const test = yield* openClient()
      test.get().respond(openPacket({ sid }))
      const { hash, pathname, searchParams } = new URL(test.get().request.url)
      assert.deepStrictEqual(
        [pathname, hash, searchParams.get("sid"), searchParams.getAll("transport")],
        ["/engine.io/", "", sid, ["polling"]]
      )
    })
  )

  it.effect("takes no liveness that is over at once for one that lasts", () =>
    Effect.gen(function* () {
      const test = yield* openClient()
      test.get().respond(openPacket({ pingInterval: 0, pingTimeout: 0 }))
      yield* turn
      assert.deepStrictEqual(test.told, ["open s", "close"])
      test.assertOver("ping timeout")
    })
  )

  it.effect("takes a liveness of thousands of years", () =>
    Effect.gen(function* () {
      const forever = Number.MAX_SAFE_INTEGER
      const test = yield* openPolling({ pingInterval: forever, pingTimeout: forever })
      yield* TestClock.adjust("1 hour")
      test.assertAlive()
      test.client.close()
      test.post().respond("ok")
      test.assertOver("forced close")
    })
  )
})

describe("a session over polling", () => {
  for (const [what, body, reason, told] of [
    ["a page", "<html>", "parse error", []],
    ["nothing", "", "parse error", []],
    ["a packet of an unknown type", "4a\x1e7\x1e4b", "parse error", ["4a"]],
    ["a packet of an unknown type beyond ASCII", "4a\x1e😀\x1e4b", "parse error", ["4a"]],
    ["an empty packet in between", "4a\x1e\x1e4b", "parse error", ["4a"]],
    ["an empty packet at the end", "4a\x1e", "parse error", ["4a"]],
    ["bytes that are no base64", "4a\x1eb%\x1e4b", "parse error", ["4a"]],
    ["a close packet, and more after it", "4a\x1e1\x1e4b\x1ebAQID\x1e2", "transport close", ["4a"]]
  ] as const) {
    it.effect(`ends with a ${reason} when the poll brings ${what}`, () =>
      Effect.gen(function* () {
        const test = yield* openPolling()
        test.get().respond(body)
        // The server hears of it, unless it knows.
        assert.deepStrictEqual(test.bodies(), reason === "parse error" ? ["1"] : [])
        if (reason === "parse error") test.post().respond("<html>", 500)
        yield* turn
        assert.deepStrictEqual(test.told, ["open s", ...told, "close"])
        test.assertOver(reason)
        assert.strictEqual(test.gets().length, 2)
      })
    )
  }

  for (const status of statuses) {
    it.effect(`ends with a transport error when a poll is answered with status ${status}`, () =>
      Effect.gen(function* () {
        const test = yield* openPolling()
        test.get().respond("4a", status)
        test.assertOver("transport error", `GET was answered with status ${status}`)
        assert.deepStrictEqual(test.told, ["open s", "close"])
      })
    )
  }

  it.effect("drops what means nothing to a client", () =>
    Effect.gen(function* () {
      const test = yield* openPolling()
      test.get().respond(["6", "3", "3probe", "5", openPacket({ sid: "other" }), "0", "4in"].join("\x1e"))
      assert.deepStrictEqual(test.told, ["open s", "4in"])
      assert.strictEqual(test.client.id, "s")
      yield* turn
      assert.deepStrictEqual(test.posts(), [])
      test.assertAlive()
    })
  )

  it.effect("hears nothing any more once it has ended, whatever was under way", () =>
    Effect.gen(function* () {
      const test = yield* openPolling()
      test.client.send("4out", undefined)
      yield* turn
      const [poll, post] = [test.get(), test.post()]
      poll.respond("1")
      post.respond("", 500)
      poll.respond("4late")
      test.assertOver("transport close")
      assert.deepStrictEqual(test.told, ["open s", "close"])
      assert.strictEqual(test.platform.polls.length, 3)
    })
  )

  it.effect("ends when the platform dies of a request", () =>
    Effect.gen(function* () {
      for (const method of ["GET", "POST"]) {
        const fake = makeFakePlatform()
        let dies = false
        const platform: FakePlatform = {
          ...fake,
          request: (request) =>
            dies && request.method === method ? Effect.die(new Error("a bug")) : fake.request(request)
        }
        const test = yield* openPolling({}, { platform })
        dies = true
        test.client.send("4out", undefined)
        yield* turn
        if (method === "GET") test.get().respond("6")
        test.assertOver("transport error", `${method} failed: a bug`)
      }
    })
  )

  it.effect("answers a flood of pings once, as long as the answer waits", () =>
    Effect.gen(function* () {
      const test = yield* openPolling()
      test.get().respond(Array.from({ length: 1_000 }, () => "2").join("\x1e"))
      yield* turn
      assert.deepStrictEqual(test.bodies(), ["3"])
      for (let i = 0; i < 100; i++) {
        test.get().respond("2\x1e2")
        yield* turn
      }
      test.post().respond("ok")
      assert.deepStrictEqual(test.bodies(), ["3", "3"])
    })
  )

  it.effect("takes a payload of 100,000 packets, and not one more", () =>
    Effect.gen(function* () {
      const packets = Array.from({ length: 100_000 }, (_, i) => `4${i}`)
      const test = yield* openPolling()
      test.get().respond(packets.join("\x1e"))
      assert.deepStrictEqual(test.told, ["open s", ...packets])
      test.assertAlive()
      test.get().respond(["6", ...packets].join("\x1e"))
      test.post().respond("ok")
      test.assertOver("too many packets", "too many packets")
    })
  )

  it.effect("stands 10,000 responses in a row", () =>
    Effect.gen(function* () {
      const test = yield* openPolling()
      const { polls } = test.platform
      for (let i = 0; i < 10_000; i++) {
        polls.at(-1)!.respond("6")
        // Not every request is made within the same turn.
        if (polls.length === i + 2) yield* turn
      }
      polls.at(-1)!.respond("4in")
      yield* turn
      assert.deepStrictEqual(test.told, ["open s", "4in"])
      assert.strictEqual(test.gets().length, 10_003)
    })
  )
})

/** A platform whose server answers at once: polls with noops, once the session is open, more often than any test should see. */
const endlessNoops = (answer: (response: PollResponse) => Effect.Effect<PollResponse>) => {
  const fake = makeFakePlatform()
  let polls = 0
  const platform: FakePlatform = {
    ...fake,
    request: ({ method, url }) =>
      Effect.suspend(() => {
        if (++polls > 10_000) return Effect.never
        const body = method === "POST" ? "ok" : url.includes("sid=") ? "6" : openPacket()
        return answer({ status: 200, body })
      })
  }
  return { platform, polls: () => polls }
}

describe("a server that answers with noops without end", () => {
  for (const [what, answer] of [
    ["at once", (response: PollResponse) => Effect.succeed(response)],
    ["as soon as a promise is kept", (response: PollResponse) => Effect.promise(() => Promise.resolve(response))],
    ["in the next turn", (response: PollResponse) => Effect.as(Effect.yieldNow, response)]
  ] as const) {
    it.effect(`${what} keeps nobody else from running, and can be left`, () =>
      Effect.gen(function* () {
        const { platform, polls } = endlessNoops(answer)
        const others = { turns: 0 }
        const other = yield* Effect.forkChild(
          Effect.forever(
            Effect.andThen(
              Effect.yieldNow,
              Effect.sync(() => others.turns++)
            )
          )
        )
        const test = yield* openClient({ platform, transports: ["polling"] })
        while (others.turns < 100) yield* turn
        const before = polls()
        while (others.turns < 200) yield* turn
        // It is polled all the time, but others have their turns in between.
        assert.isAbove(polls(), before)
        assert.isBelow(polls(), 10_000)
        yield* Fiber.interrupt(other)
        test.assertAlive()
        test.client.close()
        for (let i = 0; i < 10; i++) yield* turn
        test.assertOver("forced close")
        const after = polls()
        for (let i = 0; i < 10; i++) yield* turn
        assert.strictEqual(polls(), after)
      })
    )
  }

  it.effect("is left when no ping comes, all the same", () =>
    Effect.gen(function* () {
      const test = yield* openPolling({ pingInterval: 1_000, pingTimeout: 500 })
      for (let i = 0; i < 15; i++) {
        test.get().respond("6")
        test.assertAlive()
        yield* TestClock.adjust("100 millis")
      }
      test.assertOver("ping timeout")
    })
  )
})

describe("a client of a hostile server", () => {
  it.effect("says what was wrong with every answer, and tries again", () =>
    Effect.gen(function* () {
      const platform = makeFakePlatform()
      const client = yield* SocketIoClient.make({
        url: "http://test",
        reconnection: Schedule.spaced("1 second")
      }).pipe(Effect.provideService(ClientPlatform, platform))
      const socket = yield* Effect.provideService(SocketIoClient.socket("/"), SocketIoClient.SocketIoClient, client)
      const answers = [["<html>"], [""], ["{}", 500], ["", 302], ['0{"sid":1}'], ["1"]] as ReadonlyArray<Answer>
      const failed = yield* Effect.forkChild(
        socket.status.pipe(
          Stream.filter((status) => status._tag === "Failed"),
          Stream.take(answers.length),
          Stream.runCollect
        ),
        { startImmediately: true }
      )
      for (const [i, [body, status]] of answers.entries()) {
        assert.strictEqual(platform.polls.length, i + 1)
        platform.polls[i]!.respond(body, status)
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(
        (yield* Fiber.join(failed)).map(({ error }) => [error.message, error.willRetry]),
        [
          ["not an open packet", true],
          ["empty packet", true],
          ["GET was answered with status 500", true],
          ["GET was answered with status 302", true],
          ["not an open packet", true],
          ["not an open packet", true]
        ]
      )
    })
  )
})

describe("an upgrade of a hostile server", () => {
  it.effect("is not made twice, whatever it offers", () =>
    Effect.gen(function* () {
      const test = yield* openPolling({ upgrades: ["websocket", "websocket", "websocket"] })
      assert.strictEqual(test.platform.sockets.length, 1)
      test.ws().fail()
      test.get().respond(openPacket({ upgrades: ["websocket"] }))
      assert.strictEqual(test.platform.sockets.length, 1)
    })
  )

  it.effect("is over when the WebSocket sends without end before the answer", () =>
    Effect.gen(function* () {
      const test: TestClient = yield* openUpgrading("probing")
      for (let i = 0; i < 1_000; i++) test.ws().events.onText("6")
      assert.isTrue(test.ws().closed)
      test.assertAlive()
      assert.deepStrictEqual(test.told, ["open s"])
    })
  )
})
