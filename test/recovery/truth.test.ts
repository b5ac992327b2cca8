/**
 * Recovery says that nothing is missing only if that is so: the moments in which this is hard.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Option, Queue } from "effect"

import { TestClock } from "effect/testing"

import type { Deliver } from "../../src/testing/Link.ts"
import { type Peer, settle, world } from "./raw.ts"

describe("a client that comes back", () => {
  it.effect(
    "is told so before it gets what it has missed: clients keep events for later until then, and would hear them twice",
    () =>
      Effect.gen(function* () {
        const { namespace, next, open } = yield* world()
        const first = yield* open
        const { pid } = yield* first.connect()
        yield* next
        yield* first.close
        yield* settle
        yield* namespace.emit("one")
        yield* namespace.emit("two")
        const second = yield* open
        yield* second.send(`40${JSON.stringify({ pid })}`)
        yield* next
        yield* namespace.emit("three")
        yield* settle
        const packets = (yield* second.received).map(String)
        assert.match(packets[0]!, /^40\{/)
        assert.deepStrictEqual(
          packets.slice(1).map((packet) => JSON.parse(packet.slice(2))[0]),
          ["one", "two", "three"]
        )
      })
  )

  it.effect("is not there any more if its connection ends with what it has missed", () =>
    Effect.gen(function* () {
      let isHeld = false
      const { another, ends, namespace, next, open } = yield* world({
        limits: { maxOutbox: 2_000 },
        deliver: ({ arrive, direction }, later) => {
          if (!isHeld || direction === "to server") later(arrive)
        }
      })
      const first = yield* open
      const { pid, sid } = yield* first.connect()
      yield* next
      yield* first.close
      yield* settle
      yield* namespace.emit("one", "x".repeat(200))
      const second = yield* open
      yield* second.connect({}, "/other")
      isHeld = true
      // More than it may be behind, but for this turn.
      yield* another.emit("flood", "x".repeat(4_000))
      yield* second.send(`40${JSON.stringify({ pid })}`)
      yield* settle
      assert.deepStrictEqual(yield* Queue.take(ends), { sid, reason: "kicked" })
      assert.deepStrictEqual(yield* namespace.fetchSockets, [])
      assert.isUndefined(yield* Effect.timeoutOption(next, 0).pipe(Effect.map(Option.getOrUndefined)))
    })
  )

  it.effect(
    "may ask again while middleware still decides on its last attempt, of which nobody knows that it is lost",
    () =>
      Effect.gen(function* () {
        let isSlow = false
        const decide = Effect.suspend(() => (isSlow ? Effect.never : Effect.void))
        const { next, open } = yield* world({ decide })
        const first = yield* open
        const { pid, sid } = yield* first.connect()
        yield* next
        yield* first.close
        yield* settle
        isSlow = true
        const second = yield* open
        yield* second.send(`40${JSON.stringify({ pid })}`)
        yield* settle
        isSlow = false
        const third = yield* open
        assert.deepStrictEqual(yield* third.connect({ pid }), { sid, pid })
        assert.isTrue((yield* next).recovered)
        assert.strictEqual(yield* second.closed, "closed")
      })
  )

  it.effect("comes in time, or too late: the server need not have looked", () =>
    Effect.gen(function* () {
      const { ends, namespace, next, open } = yield* world({ recovery: { maxDisconnection: "1 second" } })
      // The log is looked at now and then, more rarely than once in a second.
      const other = yield* open
      yield* other.connect()
      yield* next
      yield* namespace.emit("one")
      const asked = Effect.fnUntraced(function* (millis: number) {
        const first = yield* open
        const { pid, sid } = yield* first.connect()
        yield* next
        yield* first.close
        yield* settle
        yield* TestClock.adjust(millis)
        const second = yield* open
        const answer = yield* second.connect({ pid })
        return { isBack: answer.sid === sid, sid, socket: yield* next }
      })
      const early = yield* asked(999)
      assert.isTrue(early.isBack)
      const late = yield* asked(1_000)
      assert.isFalse(late.isBack)
      assert.isFalse(late.socket.recovered)
      assert.deepStrictEqual(yield* Queue.take(ends), { sid: late.sid, reason: "expired" })
    })
  )

  it.effect("waits as long again if its connection is lost while middleware decides", () =>
    Effect.gen(function* () {
      let isSlow = false
      const decide = Effect.suspend(() => (isSlow ? Effect.never : Effect.void))
      const { ends, next, open } = yield* world({ decide, recovery: { maxDisconnection: "10 seconds" } })
      const connect = Effect.fnUntraced(function* () {
        const peer = yield* open
        const answer = yield* peer.connect()
        yield* next
        return { ...answer, peer }
      })
      const one = yield* connect()
      yield* one.peer.close
      yield* settle
      yield* TestClock.adjust("9 seconds")
      isSlow = true
      const second = yield* open
      yield* second.send(`40${JSON.stringify({ pid: one.pid })}`)
      yield* settle
      isSlow = false
      const two = yield* connect()
      yield* two.peer.close
      yield* second.close
      yield* settle
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(yield* Queue.size(ends), 0)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(
        (yield* Queue.takeAll(ends)).map(({ reason, sid }) => [sid, reason]),
        [
          [two.sid, "expired"],
          [one.sid, "expired"]
        ]
      )
    })
  )
})

describe("what handlers send while another event is being delivered", () => {
  it.effect("comes after that event, to all: a client that has one has what was before it", () =>
    Effect.gen(function* () {
      const { namespace, next, open } = yield* world({
        build: (socket, namespace) =>
          socket.onAnyOutgoing((event) => {
            if (event !== "broadcast" && event !== "direct") return Effect.void
            return Effect.andThen(socket.emit(`own ${event}`), namespace.emit(`all ${event}`))
          })
      })
      const peers = yield* Effect.replicateEffect(
        Effect.gen(function* () {
          const peer = yield* open
          yield* peer.connect()
          return { peer, socket: yield* next }
        }),
        3
      )
      yield* namespace.emit("broadcast")
      yield* peers[1]!.socket.emit("direct")
      for (const { peer } of peers) {
        const events = yield* peer.events
        const names = events.map(([name]) => name)
        assert.strictEqual(names[0], "broadcast")
        assert.strictEqual(names.filter((name) => name === "all broadcast").length, 3)
        if (peer === peers[1]!.peer) assert.deepStrictEqual(names.slice(-3), ["direct", "own direct", "all direct"])
        else assert.strictEqual(names.at(-1), "all direct")
        const positions = events.map((event) => Number.parseInt(String(event.at(-1)).split(".")[1]!, 36))
        assert.deepStrictEqual(
          positions,
          positions.toSorted((a, b) => a - b)
        )
      }
    })
  )

  it.effect("may let a client in that comes back: it has that event once, or not if it was for others", () =>
    Effect.gen(function* () {
      let decided = Deferred.makeUnsafe<void>()
      const decide = Effect.sync(() => void Deferred.doneUnsafe(decided, Effect.void))
      yield* decide
      const { namespace, next, open } = yield* world({
        decide: Effect.suspend(() => Deferred.await(decided)),
        build: (socket) => socket.onAnyOutgoing((event) => (event === "broadcast" ? decide : Effect.void))
      })
      const watcher = yield* open
      yield* watcher.connect()
      yield* next
      const first = yield* open
      const { pid, sid } = yield* first.connect()
      yield* (yield* next).join("red")
      let peer = first
      for (const [target, expected] of [
        [namespace.all, ["broadcast"]],
        [namespace.except("red"), []]
      ] as const) {
        yield* peer.close
        yield* settle
        decided = Deferred.makeUnsafe<void>()
        peer = yield* open
        yield* peer.send(`40${JSON.stringify({ pid })}`)
        yield* settle
        yield* target.emit("broadcast")
        const socket = yield* next
        assert.deepStrictEqual([socket.id, socket.recovered], [sid, true])
        // The client has confirmed nothing: it gets the first one again when it comes back for the second time.
        const names = (yield* peer.events).map(([name]) => name)
        assert.deepStrictEqual(names, [...(target === namespace.all ? [] : ["broadcast"]), ...expected])
      }
    })
  )

  it.effect("comes after it, too, when that has ended a connection, and changes of rooms do", () =>
    Effect.gen(function* () {
      let held = -1
      const { namespace, next, open } = yield* world({
        limits: { maxOutbox: 1_000 },
        deliver: ({ arrive, direction, link }, later) => {
          if (link !== held || direction === "to server") later(arrive)
        },
        build: (socket, namespace) =>
          socket.onDisconnecting(() =>
            Effect.gen(function* () {
              yield* namespace.emit("left")
              yield* namespace.to("red").socketsLeave("red")
              yield* namespace.except("blue").socketsJoin("blue")
            })
          )
      })
      const join = Effect.gen(function* () {
        const peer = yield* open
        yield* peer.connect()
        const socket = yield* next
        yield* socket.join("red")
        return { peer, socket }
      })
      yield* join
      held = 0
      const others = [yield* join, yield* join]
      // It is behind by more than it may be.
      yield* others[0]!.socket.emit("before")
      yield* namespace.emit("flood", "x".repeat(3_000))
      yield* settle
      yield* namespace.to(["red", "blue"]).except("green").emit("last", "x".repeat(3_000))
      for (const { peer } of others) {
        const names = (yield* peer.events).map(([name]) => name)
        assert.deepStrictEqual(names.slice(-3), ["flood", "last", "left"])
      }
    })
  )
})

/** A network that keeps what is for clients while `isHeld`. */
const holding = () => {
  const held: Array<() => void> = []
  const deliver: Deliver = ({ arrive, direction }, later) => {
    if (!self.isHeld || direction === "to server") later(arrive)
    else held.push(arrive)
  }
  const self = {
    isHeld: false,
    deliver,
    release: () => {
      self.isHeld = false
      for (const arrive of held.splice(0)) arrive()
    }
  }
  return self
}

describe("a client that reads slowly", () => {
  const big = "x".repeat(400)

  for (const outboxOverflow of ["dropNewest", "dropOldest"] as const) {
    it.effect(`is not recovered once a message for it was dropped (${outboxOverflow})`, () =>
      Effect.gen(function* () {
        const network = holding()
        const { deliver } = network
        const { namespace, next, open } = yield* world({ deliver, limits: { maxOutbox: 1_000, outboxOverflow } })
        const first = yield* open
        const { pid } = yield* first.connect()
        const socket = yield* next
        network.isHeld = true
        for (let i = 0; i < 8; i++) {
          if (i % 2 === 0) yield* socket.emit(String(i), big)
          else yield* namespace.emit(String(i), big)
        }
        yield* settle
        network.release()
        yield* namespace.emit("end")
        const events = yield* first.events
        assert.isBelow(events.length, 9)
        const [last, offset] = events.at(-1)!
        assert.strictEqual(last, "end")
        yield* first.close
        yield* settle
        const second = yield* open
        assert.deepStrictEqual((yield* second.connect({ pid, offset })).fx, { recovered: { reason: "overflow" } })
        assert.isFalse((yield* next).recovered)
      })
    )

    it.effect(`gets what it has missed, and nothing of that is dropped (${outboxOverflow})`, () =>
      Effect.gen(function* () {
        const network = holding()
        const { deliver } = network
        const limits = { maxOutbox: 2_000, outboxOverflow }
        const { another, namespace, next, open } = yield* world({ deliver, limits })
        const first = yield* open
        const { pid } = yield* first.connect()
        yield* next
        yield* first.close
        yield* settle
        yield* namespace.emit("missed", "x".repeat(200))
        const second = yield* open
        yield* second.connect({}, "/other")
        network.isHeld = true
        for (let i = 0; i < 8; i++) yield* another.emit(String(i), big)
        yield* second.send(`40${JSON.stringify({ pid })}`)
        assert.isTrue((yield* next).recovered)
        for (let i = 0; i < 8; i++) yield* another.emit(String(i), big)
        yield* settle
        network.release()
        yield* namespace.emit("end")
        const names = (yield* second.events).map(([name]) => name)
        assert.isBelow(names.length, 18)
        assert.deepStrictEqual(
          names.filter((name) => /\D/.test(name)),
          ["missed", "end"]
        )
      })
    )

    it.effect(`is recovered, though a message was dropped that it need not get (${outboxOverflow})`, () =>
      Effect.gen(function* () {
        const network = holding()
        const { deliver } = network
        const limits = { maxOutbox: 1_000, outboxOverflow }
        const { another, namespace, next, open } = yield* world({ deliver, limits })
        const first = yield* open
        const { pid } = yield* first.connect()
        const socket = yield* next
        yield* first.connect({}, "/other")
        network.isHeld = true
        for (let i = 0; i < 8; i++) yield* another.emit(String(i), big)
        const asked = yield* Effect.forkChild(Effect.flip(socket.emitWithAck("ask", big)), { startImmediately: true })
        yield* namespace.all.volatile.emit("volatile")
        for (let i = 0; i < 8; i++) yield* another.emit(String(i), big)
        yield* settle
        network.release()
        yield* settle
        yield* first.close
        assert.strictEqual((yield* Fiber.join(asked))._tag, "AckError")
        const second = yield* open
        yield* second.connect({ pid })
        assert.isTrue((yield* next).recovered)
      })
    )
  }

  it.effect("gets an event that has waited for capacity until its connection was lost (suspend)", () =>
    Effect.gen(function* () {
      const network = holding()
      const { deliver } = network
      const limits = { maxOutbox: 2_000, outboxOverflow: "suspend" } as const
      const { another, next, open } = yield* world({ deliver, limits })
      const first = yield* open
      const { pid } = yield* first.connect()
      const socket = yield* next
      yield* first.connect({}, "/other")
      network.isHeld = true
      yield* socket.emit("early")
      for (let i = 0; i < 6; i++) yield* Effect.forkChild(another.emit(String(i), big), { startImmediately: true })
      const late = yield* Effect.forkChild(socket.emit("late"), { startImmediately: true })
      yield* settle
      assert.isUndefined(late.pollUnsafe())
      yield* first.network.cut
      network.release()
      yield* Fiber.join(late)
      const second = yield* open
      yield* second.connect({ pid })
      assert.isTrue((yield* next).recovered)
      assert.deepStrictEqual(
        (yield* second.events).map(([name]) => name),
        ["early", "late"]
      )
    })
  )
})

describe("the offset of a client", () => {
  /** A client that has heard an event, and is away; another one was sent meanwhile. */
  const away = Effect.fnUntraced(function* (auth?: object) {
    const { namespace, next, open } = yield* world()
    const first = yield* open
    const { pid, sid } = yield* first.connect(auth)
    yield* next
    if (auth === undefined) yield* namespace.emit("one")
    yield* settle
    yield* first.close
    yield* settle
    yield* namespace.emit("two")
    const back = Effect.fnUntraced(function* (offset: unknown) {
      const second = yield* open
      const { fx, sid: now } = yield* second.connect({ pid, offset })
      yield* next
      const names = (yield* second.events).map(([name]) => name)
      return { isBack: now === sid, names, reason: fx?.recovered.reason }
    })
    return { back, first }
  })

  it.effect("may be that of an earlier session, until the first event: clients do not forget it", () =>
    Effect.gen(function* () {
      const { back } = yield* away({ pid: "of another server", offset: "of-another-server" })
      assert.deepStrictEqual(yield* back("of-another-server"), { isBack: true, names: ["two"], reason: undefined })
    })
  )

  for (const [offset, reason] of [
    ["poison", "unknown"],
    ["", "unknown"],
    [1, "unknown"],
    [null, "unknown"],
    [{}, "unknown"],
    [["x"], "unknown"],
    ["x".repeat(5_000), "unknown"],
    ["abcdef.1", "epoch"],
    ["abcdef.zzzzzzzzzzz", "epoch"]
  ] as const) {
    it.effect(`is nothing that the server knows (${JSON.stringify(offset).slice(0, 30)}): the client begins anew`, () =>
      Effect.gen(function* () {
        const { back } = yield* away()
        assert.deepStrictEqual(yield* back(offset), { isBack: false, names: [], reason })
      })
    )
  }

  it.effect("is not beyond the last message, or written in another way", () =>
    Effect.gen(function* () {
      for (const change of [
        (offset: string) => `${offset.slice(0, 7)}9`,
        (offset: string) => `${offset.slice(0, 7)}-1x`,
        (offset: string) => `${offset.slice(0, 7)}01`,
        (offset: string) => `${offset} `
      ]) {
        const { back, first } = yield* away()
        const [[, offset]] = (yield* first.events) as [[string, string]]
        assert.isFalse((yield* back(change(offset))).isBack, change(offset))
      }
    })
  )

  it.effect("follows whatever clients may take for one: also a value that becomes a text on its way", () =>
    Effect.gen(function* () {
      const { namespace, next, open } = yield* world()
      const peer = yield* open
      const { pid, sid } = yield* peer.connect()
      const socket = yield* next
      yield* namespace.emit("one")
      const [[, offset]] = (yield* peer.events) as [[string, string]]
      const texts = [new Date(0), new URL("http://localhost"), { toJSON: () => "text" }, Object("text"), "text"]
      for (const emit of [
        (event: string, value: unknown) => socket.volatile.emit(event, value),
        (event: string, value: unknown) => namespace.all.volatile.emit(event, value)
      ]) {
        for (const value of texts) {
          yield* emit("text", value)
          assert.deepStrictEqual(
            (yield* peer.events).map((event) => [typeof event[1], event[2]]),
            [["string", offset]]
          )
        }
        for (const value of [1, true, null, { text: "text" }, ["text"], Buffer.from("bytes")]) {
          yield* emit("none", value)
          assert.deepStrictEqual(
            (yield* peer.events).map((event) => event.length),
            [2]
          )
        }
      }
      yield* peer.close
      const second = yield* open
      assert.strictEqual((yield* second.connect({ pid, offset })).sid, sid)
    })
  )

  it.effect("counts for later, too: what it says was received does not come again", () =>
    Effect.gen(function* () {
      const { namespace, next, open } = yield* world()
      const first = yield* open
      const { pid } = yield* first.connect()
      yield* next
      yield* namespace.emit("one")
      const [[, offset]] = (yield* first.events) as [[string, string]]
      yield* first.close
      const second = yield* open
      yield* second.connect({ pid, offset })
      yield* next
      yield* second.close
      yield* settle
      yield* namespace.emit("two")
      const third = yield* open
      yield* third.connect({ pid })
      assert.isTrue((yield* next).recovered)
      assert.deepStrictEqual(
        (yield* third.events).map(([name]) => name),
        ["two"]
      )
    })
  )
})

describe("a pong", () => {
  /** Sends two events around a ping; gives what comes after a lost connection. */
  const missed = Effect.fnUntraced(function* (
    pong: (peer: Peer, network: ReturnType<typeof holding>) => Effect.Effect<void>
  ) {
    const network = holding()
    const { deliver } = network
    const heartbeat = { pingInterval: "10 seconds", pingTimeout: "5 seconds" } as const
    const { namespace, next, open } = yield* world({ deliver, heartbeat })
    const first = yield* open
    const { pid } = yield* first.connect()
    yield* next
    yield* namespace.emit("one")
    yield* pong(first, network)
    yield* settle
    yield* first.network.cut
    yield* settle
    const second = yield* open
    yield* second.connect({ pid })
    assert.isTrue((yield* next).recovered)
    return (yield* second.events).map(([name]) => name)
  })

  it.effect("says that all before its ping has come", () =>
    Effect.gen(function* () {
      const names = yield* missed((peer) => Effect.andThen(TestClock.adjust("10 seconds"), peer.send("3")))
      assert.deepStrictEqual(names, [])
    })
  )

  it.effect("that answers no ping says nothing, and neither do those after it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* missed((peer) => peer.send("3")), ["one"])
      const later = yield* missed((peer) =>
        Effect.gen(function* () {
          yield* peer.send("3")
          yield* settle
          yield* TestClock.adjust("10 seconds")
          yield* peer.send("3")
        })
      )
      assert.deepStrictEqual(later, ["one"])
    })
  )

  it.effect("of an earlier connection says nothing", () =>
    Effect.gen(function* () {
      const heartbeat = { pingInterval: "10 seconds", pingTimeout: "5 seconds" } as const
      const { namespace, next, open } = yield* world({ heartbeat })
      const first = yield* open
      const { pid } = yield* first.connect()
      yield* next
      yield* TestClock.adjust("10 seconds")
      const second = yield* open
      yield* second.connect({ pid })
      yield* next
      yield* namespace.emit("one")
      // The ping of the first connection was the last one so far.
      yield* first.send("3")
      yield* second.send("3")
      yield* second.network.cut
      const third = yield* open
      yield* third.connect({ pid })
      assert.deepStrictEqual(
        (yield* third.events).map(([name]) => name),
        ["one"]
      )
    })
  )

  it.effect("answers the oldest of several pings", () =>
    Effect.gen(function* () {
      let isSlow = true
      const heartbeat = { pingInterval: "10 seconds", pingTimeout: "5 seconds" } as const
      const { namespace, next, open } = yield* world({
        heartbeat,
        reading: { pauseAt: 1, pauseTimeout: "1 hour" },
        build: (socket) =>
          socket.on("work", () => Effect.suspend(() => (isSlow ? Effect.sleep("22 seconds") : Effect.void)))
      })
      const first = yield* open
      const { pid } = yield* first.connect()
      yield* next
      // It is not read for a while, and pinged all the same.
      for (let i = 0; i < 3; i++) yield* first.send('42["work"]')
      yield* settle
      yield* namespace.emit("one")
      yield* TestClock.adjust("10 seconds")
      yield* namespace.emit("two")
      yield* first.send("3")
      yield* TestClock.adjust("5 seconds")
      yield* namespace.emit("three")
      yield* TestClock.adjust("5 seconds")
      yield* namespace.emit("four")
      isSlow = false
      yield* TestClock.adjust("2 seconds")
      yield* settle
      const pings = (yield* first.received).filter((packet) => packet === "2").length
      assert.isAtLeast(pings, 3)
      yield* first.network.cut
      const second = yield* open
      yield* second.connect({ pid })
      assert.isTrue((yield* next).recovered)
      assert.deepStrictEqual(
        (yield* second.events).map(([name]) => name),
        ["two", "three", "four"]
      )
    })
  )
})
