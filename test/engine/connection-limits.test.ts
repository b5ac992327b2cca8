/**
 * How many connections there may be, and how long the application may think about one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Metric } from "effect"
import { TestClock } from "effect/testing"

import * as EngineMetrics from "../../src/engine/EngineMetrics.ts"
import { networkOf, unmapped } from "../../src/engine/ClientAddress.ts"
import { HandshakeError } from "../../src/engine/HandshakeError.ts"
import { makeEngine } from "../support/engine.ts"
import { FakeChannel, type FakeExchange, fakeRequest } from "../support/fakes.ts"

const outcome = ({ responses }: FakeExchange): string | number => {
  const [response] = responses
  return response === undefined ? "undecided" : response.status
}

const sidOf = ({ responses }: FakeExchange): string => JSON.parse(responses[0]!.body.slice(1)).sid

const full = [503, '{"code":4,"message":"Too many connections"}'] as const

describe("a server that is full", () => {
  it.effect("refuses handshakes over every transport with code 4 and status 503, and says when to come again", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({ limits: { maxConnections: 2 } })
      engine.webSocket()
      engine.http({})
      const exchange = engine.http({})
      assert.deepStrictEqual(
        exchange.responses.map(({ body, status }) => [status, body] as const),
        [full]
      )
      assert.propertyVal(exchange.headers[0], "retry-after", "5")
      let refused: unknown
      try {
        engine.webSocket()
      } catch (error) {
        refused = error
      }
      assert.deepInclude(refused, { code: 4, status: 503 })
      assert.strictEqual(engine.server.sessionCount, 2)
    })
  )

  it.effect("goes on with the sessions that are open, and has room when one of them ends", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({ limits: { maxConnections: 1 } })
      const sid = sidOf(engine.http({}))
      assert.strictEqual(outcome(engine.http({ sid }, "POST", "4hello")), 200)
      assert.strictEqual(outcome(engine.http({})), 503)
      engine.http({ sid }, "POST", "1")
      assert.strictEqual(outcome(engine.http({})), 200)
    })
  )

  it.effect("counts a session that is closed until its client has taken what waits for it", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({ limits: { maxConnections: 1 } })
      const sid = sidOf(engine.http({}))
      yield* engine.sessions[0]!.send("last words")
      yield* engine.sessions[0]!.close()
      assert.strictEqual(engine.server.sessionCount, 0)
      assert.strictEqual(outcome(engine.http({})), 503)
      assert.strictEqual(engine.http({ sid }).responses[0]!.body, "4last words")
      assert.strictEqual(engine.http({ sid }).responses[0]!.body, "1")
      assert.strictEqual(outcome(engine.http({})), 200)
    })
  )

  it.effect("counts handshakes that nobody has decided on, until their clients go", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({
        limits: { maxConnections: 2 },
        handshake: { allowRequest: () => Effect.never }
      })
      const first = engine.http({})
      const second = engine.http({})
      assert.deepStrictEqual([first, second, engine.http({})].map(outcome), ["undecided", "undecided", 503])
      first.abort()
      first.abort()
      assert.deepStrictEqual([engine.http({}), engine.http({})].map(outcome), ["undecided", 503])
    })
  )

  it.effect("counts a handshake once, however it is decided", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({
        limits: { maxConnections: 2 },
        handshake: {
          allowRequest: ({ query }) =>
            Effect.andThen(Effect.sleep(10), query.has("no") ? Effect.die("no") : Effect.void)
        }
      })
      const exchanges = [engine.http({ no: "1" }), engine.http({})]
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(exchanges.map(outcome), [403, 200])
      const more = [engine.http({}), engine.http({})]
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(more.map(outcome), [200, 503])
    })
  )

  it.effect("is not ready while it is full, also by a connection that its edge accepts in a later turn", () =>
    Effect.gen(function* () {
      const { server } = yield* makeEngine({ limits: { maxConnections: 1 } })
      const channel = new FakeChannel()
      let accept: (() => void) | undefined
      server.handleUpgrade(fakeRequest({ transport: "websocket" }), (decision) => {
        if (!(decision instanceof HandshakeError)) accept = () => decision.accept(channel)
      })
      assert.strictEqual(yield* server.readiness, "ready")
      accept!()
      assert.strictEqual(yield* server.readiness, "full")
      channel.end()
      assert.strictEqual(yield* server.readiness, "ready")
    })
  )

  it.effect("counts the refusals, and logs them every ten seconds at the most", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))
    return Effect.gen(function* () {
      const engine = yield* makeEngine({ limits: { maxConnections: 1 } })
      engine.http({})
      for (let i = 0; i < 100; i++) engine.http({})
      yield* TestClock.adjust("10 seconds")
      engine.http({})
      const said = (n: string) => `Warn maxConnections: ${n} refused since this was said last`
      assert.deepStrictEqual(lines, [said("1 handshake was"), said("100 handshakes were")])
      const { count } = yield* Metric.value(Metric.withAttributes(EngineMetrics.refusals, { code: "4" }))
      assert.strictEqual(count, 101)
    }).pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(Metric.MetricRegistry, new Map()))
  })
})

describe("a client that brings many connections", () => {
  it.effect("is refused for its own address, whoever else comes", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({ limits: { maxConnectionsPerAddress: 2, maxConnections: 5 } })
      const from = (address: string) => outcome(engine.http({}, "GET", "", { address }))
      assert.deepStrictEqual(["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"].map(from), [200, 200, 503, 200])
      // One and the same, in the other form.
      assert.strictEqual(from("::ffff:192.0.2.1"), 503)
      engine.http({ sid: engine.sessions[0]!.id }, "POST", "1")
      assert.deepStrictEqual(["::ffff:c000:201", "192.0.2.1"].map(from), [200, 503])
    })
  )

  it.effect("is known by the first 64 bits of an address of IPv6", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({ limits: { maxConnectionsPerAddress: 1 } })
      const from = (address: string) => outcome(engine.http({}, "GET", "", { address }))
      assert.deepStrictEqual(["2001:db8::1", "2001:db8:0:0:ffff::2", "2001:db8:0:1::1"].map(from), [200, 503, 200])
    })
  )

  it.effect("is not counted where it has no address", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({ limits: { maxConnectionsPerAddress: 1 } })
      const from = (address: string) => outcome(engine.http({}, "GET", "", { address }))
      assert.deepStrictEqual(["", "", ""].map(from), [200, 200, 200])
    })
  )

  for (const [address, network] of [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["0:0:0:0:0:ffff:c000:0201", "192.0.2.1"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["2001:DB8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["64:ff9b::192.0.2.1", "64:ff9b:0:0::/64"],
    ["unknown", "unknown"],
    ["1:2", "1:2"],
    ["1::2::3", "1::2::3"],
    ["::ffff:1.2.3.400", "::ffff:1.2.3.400"],
    [":".repeat(10_000), ":".repeat(10_000)]
  ] as const) {
    it(`${address.slice(0, 40)} is of ${network.slice(0, 40)}`, () => {
      assert.strictEqual(networkOf(address), network)
      assert.strictEqual(unmapped(address), network.startsWith("192") ? network : address)
    })
  }
})

describe("a decision on a request that takes too long", () => {
  for (const hook of ["allowRequest", "generateId"] as const) {
    it.effect(`refuses it after handshake.timeout and is interrupted: ${hook}`, () =>
      Effect.gen(function* () {
        let interrupted = 0
        const slow = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
        const engine = yield* makeEngine({ handshake: { [hook]: slow, timeout: "3 seconds" } })
        const exchange = engine.http({})
        yield* TestClock.adjust(2_900)
        assert.deepStrictEqual([outcome(exchange), interrupted], ["undecided", 0])
        yield* TestClock.adjust(400)
        assert.deepInclude(exchange.responses[0], { status: 403, body: '{"code":4,"message":"Forbidden"}' })
        assert.strictEqual(interrupted, 1)
        exchange.abort()
        assert.strictEqual(exchange.responses.length, 1)
      })
    )
  }

  it.effect("ends it though it cannot be interrupted, after 20 seconds by default", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({
        handshake: { allowRequest: () => Effect.uninterruptible(Effect.sleep("1 minute")) }
      })
      const exchange = engine.http({})
      yield* TestClock.adjust(19_900)
      assert.strictEqual(outcome(exchange), "undecided")
      yield* TestClock.adjust(400)
      assert.strictEqual(outcome(exchange), 403)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([exchange.responses.length, engine.server.sessionCount], [1, 0])
    })
  )

  it.effect("is not when both hooks are done in time", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({
        handshake: {
          allowRequest: () => Effect.sleep("9 seconds"),
          generateId: () => Effect.as(Effect.sleep("9 seconds"), "an id")
        }
      })
      const exchange = engine.http({})
      yield* TestClock.adjust("18 seconds")
      assert.strictEqual(sidOf(exchange), "an id")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(exchange.responses.length, 1)
    })
  )
})
