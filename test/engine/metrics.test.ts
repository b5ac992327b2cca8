/**
 * The engine's counts, as they are read.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Metric, Scope } from "effect"
import { TestClock } from "effect/testing"

import * as EngineMetrics from "../../src/engine/EngineMetrics.ts"
import { RequestForbidden } from "../../src/engine/HandshakeError.ts"
import { OutboundMessage } from "../../src/engine/OutboundMessage.ts"
import { makeEngine } from "../support/engine.ts"
import { alone, read, readOnly } from "../support/metrics.ts"

type Engine = Effect.Success<ReturnType<typeof makeEngine>>

const poll = (engine: Engine): string => JSON.parse(engine.http({}).responses[0]!.body.slice(1)).sid

const upgrade = (engine: Engine, sid: string) => {
  const channel = engine.webSocket({ sid })
  channel.receive("2probe")
  channel.receive("5")
  return channel
}

describe("connections", () => {
  it.effect("go up and down, by transport", () =>
    alone(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* read, {})
        const engine = yield* makeEngine()
        assert.deepStrictEqual(yield* read, {})
        const channel = engine.webSocket()
        engine.webSocket()
        const sid = poll(engine)
        assert.deepStrictEqual(yield* readOnly("connections"), {
          connections_opened: 3,
          "connections{polling}": 1,
          "connections{websocket}": 2
        })
        channel.end()
        engine.http({ sid }, "POST", "1")
        assert.deepStrictEqual(yield* readOnly("connections"), { connections_opened: 3, "connections{websocket}": 1 })
      })
    )
  )

  it.effect("change their transport by an upgrade", () =>
    alone(
      Effect.gen(function* () {
        const engine = yield* makeEngine()
        const sid = poll(engine)
        const candidate = engine.webSocket({ sid })
        candidate.receive("2probe")
        // It is not over yet.
        assert.deepStrictEqual(yield* readOnly("connections"), { connections_opened: 1, "connections{polling}": 1 })
        candidate.receive("5")
        assert.deepStrictEqual(yield* readOnly("connections"), { connections_opened: 1, "connections{websocket}": 1 })
        candidate.end()
        assert.deepStrictEqual(yield* readOnly("connections"), { connections_opened: 1 })
      })
    )
  )

  it.effect("can be read one by one", () =>
    alone(
      Effect.gen(function* () {
        // The first reader does not spoil it.
        assert.deepInclude(yield* Metric.value(EngineMetrics.connectionsOpened), { count: 0 })
        const polling = Metric.withAttributes(EngineMetrics.connections, { transport: "polling" })
        assert.deepInclude(yield* Metric.value(polling), { value: 0 })
        const engine = yield* makeEngine()
        poll(engine)
        poll(engine)
        assert.deepInclude(yield* Metric.value(EngineMetrics.connectionsOpened), { count: 2 })
        assert.deepInclude(yield* Metric.value(polling), { value: 2 })
      })
    )
  )
})

describe("disconnects", () => {
  it.effect("are counted by their reason", () =>
    alone(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const engine = yield* Scope.provide(makeEngine({ limits: { maxOutbox: 1_000 } }), scope)
        const [closed, gone, wrong, broken, large] = Array.from({ length: 5 }, () => engine.webSocket())
        yield* engine.sessions[0]!.close()
        closed!.end()
        gone!.end()
        wrong!.receive("x")
        broken!.end({ kind: "error", message: "reset" })
        large!.end({ kind: "too large", message: "too large" })
        for (const _ of [1, 2]) {
          engine.http({ sid: poll(engine) }, "POST", "1")
        }
        poll(engine)
        const beyond = new OutboundMessage("4" + "x".repeat(3_000), undefined, false)
        for (const _ of [1, 2]) engine.sessions.at(-1)!.sendUnsafe(beyond)
        assert.deepStrictEqual(yield* readOnly("disconnects"), {
          "disconnects{forced close}": 1,
          "disconnects{transport close}": 3,
          "disconnects{parse error}": 1,
          "disconnects{transport error}": 1,
          "disconnects{payload too large}": 1,
          "disconnects{outbox overflow}": 1
        })
        engine.webSocket()
        yield* TestClock.adjust("46 seconds")
        engine.webSocket()
        yield* Scope.close(scope, Exit.void)
        const { "disconnects{ping timeout}": late, "disconnects{server shutting down}": last } = yield* read
        assert.deepStrictEqual([late, last], [1, 1])
        assert.deepStrictEqual(yield* readOnly("connections"), { connections_opened: 10 })
      })
    )
  )
})

describe("refusals", () => {
  it.effect("are counted by their code, over HTTP and before upgrades", () =>
    alone(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const engine = yield* Scope.provide(
          makeEngine({
            handshake: {
              allowRequest: ({ query }) =>
                query.has("stranger") ? Effect.fail(new RequestForbidden({ message: "no" })) : Effect.void
            }
          }),
          scope
        )
        engine.http({ transport: "pigeon" })
        for (const _ of [1, 2]) engine.http({ sid: "unknown" })
        assert.throws(() => engine.webSocket({ sid: "unknown" }))
        engine.http({}, "POST")
        engine.http({ transport: "websocket" })
        assert.throws(() => engine.webSocket({ transport: "polling" }))
        engine.http({ stranger: "1" })
        assert.throws(() => engine.webSocket({ stranger: "1" }))
        engine.http({ EIO: "3" })
        assert.deepStrictEqual(yield* read, {
          "handshake_refusals{0}": 1,
          "handshake_refusals{1}": 3,
          "handshake_refusals{2}": 1,
          "handshake_refusals{3}": 2,
          "handshake_refusals{4}": 2,
          "handshake_refusals{5}": 1
        })
        yield* Scope.close(scope, Exit.void)
        engine.http({})
        assert.strictEqual((yield* read)["handshake_refusals{4}"], 3)
      })
    )
  )
})

describe("packets", () => {
  const counts = Effect.map(read, ({ packets_received = 0, packets_sent = 0 }) => [packets_received, packets_sent])

  it.effect("are counted each way over WebSocket, attachments and heartbeats included", () =>
    alone(
      Effect.gen(function* () {
        const engine = yield* makeEngine({ heartbeat: { pingInterval: "10 seconds" } })
        const channel = engine.webSocket()
        const session = engine.sessions[0]!
        // The open packet.
        assert.deepStrictEqual(yield* counts, [0, 1])
        yield* session.send("text")
        yield* session.send(Uint8Array.from([1]))
        assert.deepStrictEqual(yield* counts, [0, 3])
        session.sendUnsafe(new OutboundMessage("4x", [Uint8Array.from([1]), Uint8Array.from([2])], false))
        session.sendUnsafe(new OutboundMessage(undefined, [Uint8Array.from([1])], true))
        assert.deepStrictEqual(yield* counts, [0, 7])
        assert.lengthOf(channel.take(), 7)
        channel.receive("4text")
        channel.receive(Uint8Array.from([1]))
        channel.receive("bAQ==")
        assert.deepStrictEqual(yield* counts, [3, 7])
        yield* TestClock.adjust("10200 millis")
        channel.receive("3")
        assert.deepStrictEqual(yield* counts, [4, 8])
        // Packets after the end do not count.
        yield* session.close()
        channel.receive("4late")
        yield* session.send("late")
        yield* session.send(Uint8Array.from([1]))
        assert.deepStrictEqual(yield* counts, [4, 8])
      })
    )
  )

  it.effect(
    "are counted each way over polling, in payloads one by one, when they are sent and not when they leave",
    () =>
      alone(
        Effect.gen(function* () {
          const engine = yield* makeEngine()
          const sid = poll(engine)
          engine.http({ sid }, "POST", ["4one", "4two", "bAQ=="].join("\x1e"))
          assert.deepStrictEqual(yield* counts, [3, 1])
          yield* engine.sessions[0]!.send("one")
          yield* engine.sessions[0]!.send(Uint8Array.from([1]))
          assert.deepStrictEqual(yield* counts, [3, 3])
          assert.strictEqual(engine.http({ sid }).responses[0]!.body, "4one\x1ebAQ==")
          assert.deepStrictEqual(yield* counts, [3, 3])
        })
      )
  )

  it.effect("are not counted again when an upgrade takes them along", () =>
    alone(
      Effect.gen(function* () {
        const engine = yield* makeEngine()
        const sid = poll(engine)
        yield* engine.sessions[0]!.send("one")
        yield* engine.sessions[0]!.send("two")
        const channel = upgrade(engine, sid)
        assert.deepStrictEqual(channel.take(), ["3probe", "4one", "4two"])
        assert.deepStrictEqual(yield* counts, [0, 3])
        channel.receive("4three")
        yield* engine.sessions[0]!.send("four")
        assert.deepStrictEqual(yield* counts, [1, 4])
      })
    )
  )
})

describe("bytes", () => {
  const bytes = readOnly("bytes")

  it.effect("are those of bodies over polling, and stay when the session goes", () =>
    alone(
      Effect.gen(function* () {
        const engine = yield* makeEngine()
        const open = engine.http({})
        const sent = open.responses[0]!.body.length
        const { sid } = JSON.parse(open.responses[0]!.body.slice(1))
        assert.deepStrictEqual(yield* bytes, { "bytes_sent{polling}": sent })
        engine.http({ sid }, "POST", "4hello")
        yield* engine.sessions[0]!.send("ä")
        assert.strictEqual(engine.http({ sid }).responses[0]!.body, "4ä")
        const expected = { "bytes_received{polling}": 6, "bytes_sent{polling}": sent + 3 }
        assert.deepStrictEqual(yield* bytes, expected)
        engine.http({ sid }, "POST", "1")
        assert.strictEqual(engine.server.sessionCount, 0)
        assert.deepStrictEqual(yield* bytes, { ...expected, "bytes_received{polling}": 7 })
      })
    )
  )

  it.effect("are those of the connection over WebSocket, and stay when the session goes", () =>
    alone(
      Effect.gen(function* () {
        const engine = yield* makeEngine()
        const channel = engine.webSocket()
        const opening = String(channel.take()[0]).length
        channel.receive("4hello")
        yield* engine.sessions[0]!.send(new Uint8Array(1_000))
        const expected = { "bytes_received{websocket}": 6, "bytes_sent{websocket}": opening + 1_000 }
        assert.deepStrictEqual(yield* bytes, expected)
        channel.end()
        assert.deepStrictEqual(yield* bytes, expected)
      })
    )
  )

  it.effect("are counted for each of the transports across an upgrade", () =>
    alone(
      Effect.gen(function* () {
        const engine = yield* makeEngine()
        const sid = poll(engine)
        engine.http({ sid }, "POST", "4hello")
        const before = yield* bytes
        assert.deepStrictEqual(Object.keys(before), ["bytes_received{polling}", "bytes_sent{polling}"])
        const channel = upgrade(engine, sid)
        channel.receive("4more")
        // The packets of the upgrade itself count for the WebSocket: 2probe, 3probe, 5.
        const during = { ...before, "bytes_received{websocket}": 12, "bytes_sent{websocket}": 6 }
        assert.deepStrictEqual(yield* bytes, during)
        channel.end()
        assert.deepStrictEqual(yield* bytes, during)
      })
    )
  )

  it.effect("are not counted twice when the session goes before the WebSocket that it would have changed to", () =>
    alone(
      Effect.gen(function* () {
        const engine = yield* makeEngine()
        const sid = poll(engine)
        const candidate = engine.webSocket({ sid })
        engine.http({ sid }, "POST", "1")
        assert.strictEqual(candidate.state, "closing")
        const during = yield* bytes
        assert.strictEqual(during["bytes_received{polling}"], 1)
        candidate.end()
        assert.deepStrictEqual(yield* bytes, during)
      })
    )
  )
})

describe("the outbox", () => {
  it.effect("holds what a client does not take, until it does or goes", () =>
    alone(
      Effect.gen(function* () {
        const engine = yield* makeEngine()
        const sid = poll(engine)
        const channel = engine.webSocket()
        assert.notProperty(yield* read, "outbox_bytes")
        // What waits for a poll counts with its objects.
        const objects = new OutboundMessage("", undefined, false).waitingBytes
        yield* engine.sessions[0]!.send("x".repeat(999))
        assert.strictEqual((yield* read).outbox_bytes, 1_000 + objects)
        channel.buffered = 5_000
        assert.strictEqual((yield* read).outbox_bytes, 6_000 + objects)
        engine.http({ sid })
        assert.strictEqual((yield* read).outbox_bytes, 5_000)
        yield* engine.sessions[0]!.send("x".repeat(99))
        channel.end()
        assert.strictEqual((yield* read).outbox_bytes, 100 + objects)
        // It is closed, and its last packets wait for the client still.
        yield* engine.sessions[0]!.close()
        assert.strictEqual((yield* read).outbox_bytes, 100 + objects)
        engine.http({ sid })
        engine.http({ sid })
        assert.notProperty(yield* read, "outbox_bytes")
      })
    )
  )
})
