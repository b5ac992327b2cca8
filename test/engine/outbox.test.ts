/**
 * The outbox of slow clients, by the policy for full outboxes.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

import type { OutboxOverflow } from "../../src/engine/Outbox.ts"
import { OutboundMessage } from "../../src/engine/OutboundMessage.ts"
import { makeEngine } from "../support/engine.ts"
import type { FakeChannel } from "../support/fakes.ts"
import { alone, readOnly } from "../support/metrics.ts"

/** The bytes that every message counts beside its own. */
const objects = new OutboundMessage("", undefined, false).waitingBytes

/**
 * The bytes that a socket takes before the session's own outbox begins, and a budget of which 100,000 bytes are left then, in three
 * messages.
 */
const share = 64 * 1024
const left = 100_000 + 3 * objects
const maxOutbox = share + left

/** A message of so many bytes that says its name. */
const message = (name: string, size = 40_000, ...attachments: ReadonlyArray<Uint8Array>) =>
  new OutboundMessage(
    "4" + name.padEnd(size - 1, "."),
    attachments.length > 0 ? attachments : undefined,
    attachments.length > 0
  )

const important = (name: string, size?: number) => {
  const result = message(name, size)
  result.droppable = false
  return result
}

/** The names of what was sent. */
const names = (packets: ReadonlyArray<string | Uint8Array>) =>
  packets.map((packet) => (typeof packet === "string" ? packet.slice(1).replaceAll(".", "") : packet.byteLength))

const dropped = readOnly("packets_dropped", "bytes_dropped")

/** A session over a WebSocket that is full, if it is not to be empty. */
const open = Effect.fnUntraced(function* (outboxOverflow: OutboxOverflow, buffered = share) {
  const engine = yield* makeEngine({ limits: { maxOutbox, outboxOverflow } })
  const channel = engine.webSocket()
  channel.take()
  channel.buffered = buffered
  return { ...engine, channel, session: engine.sessions[0]! }
})

/** A session over polling. */
const poll = Effect.fnUntraced(function* (outboxOverflow: OutboxOverflow) {
  const engine = yield* makeEngine({ limits: { maxOutbox: left, outboxOverflow } })
  const sid: string = JSON.parse(engine.http({}).responses[0]!.body.slice(1)).sid
  const names = () =>
    engine
      .http({ sid })
      .responses[0]?.body.split("\x1e")
      .map((packet) => packet.slice(1).replaceAll(".", ""))
  return { ...engine, sid, names, session: engine.sessions[0]! }
})

describe("an outbox that drops the newest", () => {
  it.effect("keeps what fits in its order, and counts exactly what does not", () =>
    alone(
      Effect.gen(function* () {
        const { channel, closes, session } = yield* open("dropNewest")
        for (const name of ["a", "b", "c"]) session.sendUnsafe(message(name))
        session.sendUnsafe(message("d", 20_001))
        session.sendUnsafe(message("e", 20_000))
        assert.strictEqual(session.buffered, maxOutbox)
        channel.drain()
        assert.deepStrictEqual(names(channel.take()), ["a", "b", "e"])
        assert.deepStrictEqual(closes, [])
        assert.deepStrictEqual(yield* dropped, {
          "packets_dropped{dropNewest}": 2,
          "bytes_dropped{dropNewest}": 60_001
        })
        // The open packet, and those three.
        assert.deepStrictEqual(yield* readOnly("packets_sent"), { packets_sent: 4 })
      })
    )
  )

  it.effect("does the same while a client does not poll", () =>
    alone(
      Effect.gen(function* () {
        const { closes, names, session } = yield* poll("dropNewest")
        for (const name of ["a", "b", "c"]) session.sendUnsafe(message(name))
        session.sendUnsafe(message("d", 20_000))
        assert.deepStrictEqual(names(), ["a", "b", "d"])
        assert.deepStrictEqual(closes, [])
        assert.deepStrictEqual(yield* dropped, {
          "packets_dropped{dropNewest}": 1,
          "bytes_dropped{dropNewest}": 40_000
        })
      })
    )
  )

  it.effect("tells, in another turn, whoever wants to know that a message was dropped", () =>
    Effect.gen(function* () {
      const { session } = yield* open("dropNewest", maxOutbox)
      const told: Array<string> = []
      session.sendUnsafe(message("a"), () => told.push("a"))
      assert.deepStrictEqual(told, [])
      yield* Effect.promise(() => Promise.resolve())
      assert.deepStrictEqual(told, ["a"])
    })
  )

  it.effect("lets everything through while nothing waits, however large it is", () =>
    alone(
      Effect.gen(function* () {
        const { channel, session } = yield* open("dropNewest", share - 1)
        session.sendUnsafe(message("large", maxOutbox * 3))
        channel.buffered = maxOutbox * 3
        // Which is no reason to end the session, or to drop what may not be dropped.
        session.sendUnsafe(important("ack", 10))
        session.sendUnsafe(message("next", 10))
        channel.drain()
        assert.deepStrictEqual(names(channel.take()), ["large", "ack"])
        assert.deepStrictEqual(yield* dropped, { "packets_dropped{dropNewest}": 1, "bytes_dropped{dropNewest}": 10 })
      })
    )
  )
})

describe("an outbox that drops the oldest", () => {
  it.effect("drops as many as it takes, and counts exactly those", () =>
    alone(
      Effect.gen(function* () {
        const { channel, closes, session } = yield* open("dropOldest")
        for (const name of ["a", "b", "c", "d"]) session.sendUnsafe(message(name, 30_000))
        session.sendUnsafe(message("e", 60_000))
        channel.drain()
        assert.deepStrictEqual(names(channel.take()), ["d", "e"])
        assert.deepStrictEqual(closes, [])
        assert.deepStrictEqual(yield* dropped, {
          "packets_dropped{dropOldest}": 3,
          "bytes_dropped{dropOldest}": 90_000
        })
      })
    )
  )

  it.effect("does the same while a client does not poll", () =>
    alone(
      Effect.gen(function* () {
        const { names, session } = yield* poll("dropOldest")
        for (const name of ["a", "b", "c", "d"]) session.sendUnsafe(message(name))
        assert.deepStrictEqual(names(), ["c", "d"])
        assert.deepStrictEqual(yield* dropped, {
          "packets_dropped{dropOldest}": 2,
          "bytes_dropped{dropOldest}": 80_000
        })
      })
    )
  )

  it.effect("does not give up everything for a message that would not fit even then", () =>
    alone(
      Effect.gen(function* () {
        const { channel, session } = yield* open("dropOldest")
        session.sendUnsafe(message("a"))
        session.sendUnsafe(message("large", left - objects + 1))
        channel.drain()
        assert.deepStrictEqual(names(channel.take()), ["a"])
        assert.deepStrictEqual(yield* dropped, {
          "packets_dropped{dropOldest}": 1,
          "bytes_dropped{dropOldest}": left - objects + 1
        })
      })
    )
  )

  it.effect("keeps the order and the count over many thousand messages", () =>
    alone(
      Effect.gen(function* () {
        const { channel, session } = yield* open("dropOldest")
        const count = 50_000
        for (let i = 0; i < count; i++) {
          session.sendUnsafe(i % 100 === 0 ? important(String(i), 10) : message(String(i), 100))
        }
        // Something is taken now and then.
        channel.drain(share - 1)
        for (let i = count; i < count + 500; i++) session.sendUnsafe(message(String(i), 100))
        channel.drain()
        const got = names(channel.take()).map(Number)
        assert.deepStrictEqual(
          got,
          got.toSorted((a, b) => a - b)
        )
        const kept = new Set(got)
        for (let i = 0; i < count; i += 100) assert.isTrue(kept.has(i))
        const lost = count + 500 - got.length
        assert.isAbove(lost, 40_000)
        assert.deepStrictEqual(yield* dropped, {
          "packets_dropped{dropOldest}": lost,
          "bytes_dropped{dropOldest}": lost * 100
        })
      })
    )
  )
})

for (const policy of ["dropNewest", "dropOldest"] as const) {
  describe(`an outbox with the policy ${policy}`, () => {
    it.effect("drops a message with all its attachments, or none of it", () =>
      alone(
        Effect.gen(function* () {
          const { channel, session } = yield* open(policy)
          for (const name of ["a", "b"]) {
            session.sendUnsafe(message(name, 20_000, new Uint8Array(20_000), new Uint8Array(15_000)))
          }
          channel.drain()
          assert.deepStrictEqual(names(channel.take()), [policy === "dropNewest" ? "a" : "b", 20_000, 15_000])
          assert.deepStrictEqual(yield* dropped, {
            [`packets_dropped{${policy}}`]: 3,
            [`bytes_dropped{${policy}}`]: 55_000
          })
        })
      )
    )

    it.effect("counts the bytes of a text, and not its characters", () =>
      alone(
        Effect.gen(function* () {
          const { session } = yield* open(policy, maxOutbox)
          const text = "4 aé€😀\ud800"
          session.sendUnsafe(new OutboundMessage(text, undefined, false))
          assert.deepStrictEqual(yield* dropped, {
            [`packets_dropped{${policy}}`]: 1,
            [`bytes_dropped{${policy}}`]: Buffer.byteLength(text)
          })
        })
      )
    )

    it.effect("never drops what may not be dropped, and ends the session when twice the budget waits", () =>
      alone(
        Effect.gen(function* () {
          const { channel, closes, session } = yield* open(policy)
          session.sendUnsafe(message("a", 100_000))
          for (const name of ["b", "c", "d", "e"]) session.sendUnsafe(important(name))
          assert.deepStrictEqual(closes, [])
          const kept = policy === "dropNewest" ? ["a", "b", "c", "d", "e"] : ["b", "c", "d", "e"]
          const bytes = policy === "dropNewest" ? 260_000 + 5 * objects : 160_000 + 4 * objects
          assert.strictEqual(session.buffered, share + bytes)
          session.sendUnsafe(important("f", 2 * maxOutbox - bytes - objects + 1))
          session.sendUnsafe(important("g", 1))
          assert.deepStrictEqual(
            closes.map(({ reason }) => reason),
            ["outbox overflow"]
          )
          assert.strictEqual(channel.state, "terminated")
          assert.notInclude(names(channel.take()), kept[0])
        })
      )
    )

    it.effect("sends pings to a client that is behind, and hears of it when none comes back", () =>
      Effect.gen(function* () {
        const { channel, closes, session } = yield* open(policy)
        session.sendUnsafe(message("a", 100_000))
        yield* TestClock.adjust("25200 millis")
        channel.drain()
        assert.include(channel.take(), "2")
        yield* TestClock.adjust("20200 millis")
        assert.deepStrictEqual(
          closes.map(({ reason }) => reason),
          ["ping timeout"]
        )
      })
    )

    it.effect("hands over no more to a socket than it takes", () =>
      Effect.gen(function* () {
        const { channel, session } = yield* open(policy)
        for (const name of ["a", "b", "c"]) session.sendUnsafe(message(name, 30_000))
        const send = channel.sendText.bind(channel)
        channel.sendText = (text) => {
          channel.buffered += text.length
          send(text)
        }
        channel.drain(share)
        assert.deepStrictEqual(channel.take(), [])
        channel.drain(share - 30_000)
        assert.deepStrictEqual(names(channel.take()), ["a"])
        channel.drain(10_000)
        assert.deepStrictEqual(names(channel.take()), ["b", "c"])
        assert.strictEqual(session.buffered, 70_000)
        session.sendUnsafe(message("d", 5))
        channel.drain(0)
        assert.deepStrictEqual(names(channel.take()), ["d"])
        session.sendUnsafe(message("e", 5))
        assert.deepStrictEqual(names(channel.take()), ["e"])
      })
    )

    it.effect("sends what waits before it closes", () =>
      Effect.gen(function* () {
        const { channel, session } = yield* open(policy)
        for (const name of ["a", "b"]) session.sendUnsafe(message(name))
        yield* session.close()
        assert.deepStrictEqual(names(channel.take()), ["a", "b"])
        assert.strictEqual(channel.state, "closing")
        assert.strictEqual(session.buffered, share)
      })
    )

    it.effect("takes what waits along when the client changes over to a WebSocket", () =>
      alone(
        Effect.gen(function* () {
          const { session, sid, webSocket } = yield* poll(policy)
          for (const name of ["a", "b", "c"]) session.sendUnsafe(message(name))
          session.sendUnsafe(message("d", 10))
          const channel = webSocket({ sid })
          channel.receive("2probe")
          channel.take()
          channel.buffered = share - 1
          const send = channel.sendText.bind(channel)
          channel.sendText = (text) => {
            channel.buffered += text.length
            send(text)
          }
          channel.receive("5")
          const [first, second] = policy === "dropNewest" ? ["a", "b"] : ["b", "c"]
          assert.deepStrictEqual(names(channel.take()), [first])
          channel.drain()
          assert.deepStrictEqual(names(channel.take()), [second, "d"])
          assert.deepStrictEqual(yield* dropped, {
            [`packets_dropped{${policy}}`]: 1,
            [`bytes_dropped{${policy}}`]: 40_000
          })
        })
      )
    )
  })
}

describe("an outbox that suspends", () => {
  /** Sends from a fiber of its own. */
  const sending = (send: Effect.Effect<void>) => Effect.forkChild(send, { startImmediately: true })

  const isDone = (fiber: Fiber.Fiber<void>) => fiber.pollUnsafe() !== undefined

  it.effect("lets senders go on while there is room", () =>
    Effect.gen(function* () {
      const { channel, session } = yield* open("suspend", maxOutbox - 1)
      assert.isTrue(isDone(yield* sending(session.send("a"))))
      channel.drain()
      assert.deepStrictEqual(names(channel.take()), ["a"])
    })
  )

  it.effect("makes senders wait until there is, and lets them go on in their order", () =>
    alone(
      Effect.gen(function* () {
        const { channel, session } = yield* open("suspend", maxOutbox)
        const first = yield* sending(session.send("a".padEnd(maxOutbox, ".")))
        const second = yield* sending(session.send("b"))
        assert.deepStrictEqual([isDone(first), isDone(second)], [false, false])
        channel.drain(share)
        // The first has filled it again.
        assert.deepStrictEqual([isDone(first), isDone(second)], [true, false])
        channel.drain(0)
        assert.isTrue(isDone(second))
        assert.deepStrictEqual(names(channel.take()), ["a", "b"])
        assert.deepStrictEqual(yield* dropped, {})
      })
    )
  )

  it.effect("does the same while a client does not poll", () =>
    Effect.gen(function* () {
      const { names, session } = yield* poll("suspend")
      yield* session.send("a".padEnd(left - objects, "."))
      const second = yield* sending(session.send("b"))
      assert.isFalse(isDone(second))
      assert.deepStrictEqual(names(), ["a"])
      assert.isTrue(isDone(second))
      assert.deepStrictEqual(names(), ["b"])
    })
  )

  it.effect("sends nothing of a sender that is interrupted while it waits", () =>
    Effect.gen(function* () {
      const { channel, session } = yield* open("suspend", maxOutbox)
      const first = yield* sending(session.send("a"))
      const second = yield* sending(session.send("b"))
      yield* Fiber.interrupt(first)
      channel.drain()
      assert.isTrue(isDone(second))
      assert.deepStrictEqual(names(channel.take()), ["b"])
      assert.isTrue(isDone(yield* sending(session.send("c"))))
    })
  )

  it.effect("lets go of senders when the session ends", () =>
    Effect.gen(function* () {
      const { channel, session } = yield* open("suspend", maxOutbox)
      const waiting = yield* sending(session.send("a"))
      channel.end()
      assert.isTrue(isDone(waiting))
      assert.isTrue(isDone(yield* sending(session.send("b"))))
      assert.deepStrictEqual(channel.take(), [])
    })
  )

  it.effect("ends the session of a client for which twice the budget waits of what does not suspend", () =>
    Effect.gen(function* () {
      const { closes, session } = yield* open("suspend")
      session.sendUnsafe(message("a", 2 * maxOutbox - 2 * objects))
      session.sendUnsafe(message("b", 1))
      assert.deepStrictEqual(closes, [])
      session.sendUnsafe(message("c", 1))
      assert.deepStrictEqual(
        closes.map(({ reason }) => reason),
        ["outbox overflow"]
      )
    })
  )
})

describe("a session that is not read", () => {
  const options = { heartbeat: { pingInterval: "10 seconds", pingTimeout: "5 seconds" } } as const

  const pings = (channel: FakeChannel) => channel.take().filter((packet) => packet === "2").length

  it.effect("takes nothing in, and then everything in its order", () =>
    Effect.gen(function* () {
      const { messages, sessions, webSocket } = yield* makeEngine(options)
      const channel = webSocket()
      sessions[0]!.pauseUnsafe()
      for (const packet of ["4a", "4b"]) channel.receive(packet)
      assert.deepStrictEqual(messages, [])
      sessions[0]!.resumeUnsafe()
      channel.receive("4c")
      assert.deepStrictEqual(messages, ["4a", "4b", "4c"])
    })
  )

  it.effect("is not taken for dead, and still pinged", () =>
    alone(
      Effect.gen(function* () {
        const { closes, sessions, webSocket } = yield* makeEngine(options)
        const channel = webSocket()
        sessions[0]!.pauseUnsafe()
        yield* TestClock.adjust("10200 millis")
        for (let i = 0; i < 6; i++) yield* TestClock.adjust("5200 millis")
        assert.deepStrictEqual(closes, [])
        assert.strictEqual(pings(channel), 7)
        assert.deepStrictEqual(yield* readOnly("read_pauses"), { read_pauses: 1 })
      })
    )
  )

  it.effect("has the time for a pong when it is read again, and no more", () =>
    Effect.gen(function* () {
      const { closes, sessions, webSocket } = yield* makeEngine(options)
      webSocket()
      sessions[0]!.pauseUnsafe()
      yield* TestClock.adjust("15 seconds")
      sessions[0]!.resumeUnsafe()
      yield* TestClock.adjust("4900 millis")
      assert.deepStrictEqual(closes, [])
      yield* TestClock.adjust("400 millis")
      assert.deepStrictEqual(
        closes.map(({ reason }) => reason),
        ["ping timeout"]
      )
    })
  )

  it.effect("is taken for alive by the pong that has been waiting", () =>
    Effect.gen(function* () {
      const { closes, sessions, webSocket } = yield* makeEngine(options)
      const channel = webSocket()
      sessions[0]!.pauseUnsafe()
      yield* TestClock.adjust("10200 millis")
      channel.receive("3")
      yield* TestClock.adjust("8 seconds")
      sessions[0]!.resumeUnsafe()
      channel.take()
      yield* TestClock.adjust("9900 millis")
      assert.deepStrictEqual([closes.length, pings(channel)], [0, 0])
      yield* TestClock.adjust("300 millis")
      assert.strictEqual(pings(channel), 1)
    })
  )

  it.effect("is not taken for dead either when its client pings by itself (revision 3)", () =>
    Effect.gen(function* () {
      const { closes, sessions, webSocket } = yield* makeEngine({ ...options, allowEIO3: true })
      webSocket({ EIO: "3" })
      sessions[0]!.pauseUnsafe()
      yield* TestClock.adjust("60 seconds")
      assert.deepStrictEqual(closes, [])
      sessions[0]!.resumeUnsafe()
      yield* TestClock.adjust("14900 millis")
      assert.deepStrictEqual(closes, [])
      yield* TestClock.adjust("400 millis")
      assert.lengthOf(closes, 1)
    })
  )

  it.effect("closes as others do", () =>
    Effect.gen(function* () {
      const { closes, sessions, webSocket } = yield* makeEngine(options)
      const channel = webSocket()
      sessions[0]!.pauseUnsafe()
      yield* sessions[0]!.close()
      assert.deepStrictEqual([closes.length, channel.state], [1, "closing"])
    })
  )

  it.effect("ends when its connection does", () =>
    Effect.gen(function* () {
      const { closes, sessions, webSocket } = yield* makeEngine(options)
      const channel = webSocket()
      sessions[0]!.pauseUnsafe()
      channel.end()
      assert.deepStrictEqual(
        closes.map(({ reason }) => reason),
        ["transport close"]
      )
    })
  )

  describe("over polling", () => {
    const setup = Effect.gen(function* () {
      const engine = yield* makeEngine(options)
      const sid: string = JSON.parse(engine.http({}).responses[0]!.body.slice(1)).sid
      const session = engine.sessions[0]!
      const post = (body: string) => engine.http({ sid }, "POST", body)
      const turn = Effect.promise(() => Promise.resolve())
      return { ...engine, sid, session, post, turn }
    })

    it.effect("has its request answered when everything that it brought is taken in", () =>
      Effect.gen(function* () {
        const { messages, post, session, turn } = yield* setup
        session.pauseUnsafe()
        const request = post("4a\x1e4b")
        assert.deepStrictEqual([messages, request.responses], [[], []])
        session.resumeUnsafe()
        yield* turn
        assert.deepStrictEqual(messages, ["4a", "4b"])
        assert.deepStrictEqual(request.responses, [{ status: 200, body: "ok" }])
        assert.lengthOf(post("4c").responses, 1)
        assert.deepStrictEqual(messages, ["4a", "4b", "4c"])
      })
    )

    it.effect("has what follows in the same request held, when it is paused by what it brings", () =>
      Effect.gen(function* () {
        const { messages, post, session, turn } = yield* setup
        const push = messages.push.bind(messages)
        messages.push = (...items) => {
          session.pauseUnsafe()
          return push(...items)
        }
        const request = post("4a\x1e4b\x1e4c")
        for (const taken of [1, 2]) {
          assert.deepStrictEqual([messages.length, request.responses.length], [taken, 0])
          session.resumeUnsafe()
          yield* turn
        }
        // Paused after the last: there is nothing left to wait for.
        assert.deepStrictEqual(messages, ["4a", "4b", "4c"])
        assert.lengthOf(request.responses, 1)
      })
    )

    it.effect("may not send another request meanwhile", () =>
      Effect.gen(function* () {
        const { closes, post, session } = yield* setup
        session.pauseUnsafe()
        const first = post("4a")
        assert.strictEqual(post("4b").responses[0]!.status, 400)
        assert.deepStrictEqual(
          closes.map(({ reason }) => reason),
          ["transport error"]
        )
        assert.lengthOf(first.responses, 1)
      })
    )

    it.effect("has the request answered when it ends", () =>
      Effect.gen(function* () {
        const { messages, post, session, sid, http } = yield* setup
        session.pauseUnsafe()
        const request = post("4a")
        yield* session.close()
        http({ sid })
        assert.lengthOf(request.responses, 1)
        assert.deepStrictEqual(messages, [])
      })
    )

    it.effect("loses nothing when it changes over to a WebSocket", () =>
      Effect.gen(function* () {
        const { messages, post, session, sid, webSocket } = yield* setup
        const channel = webSocket({ sid })
        channel.receive("2probe")
        session.pauseUnsafe()
        const request = post("4a")
        channel.receive("5")
        assert.lengthOf(request.responses, 1)
        channel.receive("4b")
        assert.deepStrictEqual(messages, ["4a"])
        session.resumeUnsafe()
        assert.deepStrictEqual(messages, ["4a", "4b"])
      })
    )
  })
})
