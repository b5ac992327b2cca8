/**
 * The bounds of everything that servers can make each other hold, and messages that make no sense.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"

import type { ClusterReceiver } from "../../src/adapter/ClusterLink.ts"
import type { ClusterAnswer, ClusterMessage, Sender } from "../../src/adapter/ClusterMessage.ts"
import * as DistributedAdapter from "../../src/adapter/DistributedAdapter.ts"
import { FakeHost } from "../support/fakeHost.ts"
import * as Bus from "../support/memoryBus.ts"
import { all, ask, flags, gather, join, packet, rooms } from "../support/memoryCluster.ts"

const travel = TestClock.adjust(10)

const pair = Effect.gen(function* () {
  const bus = yield* Bus.make({ latency: [1, 1] })
  return { bus, a: yield* join(bus, "a"), b: yield* join(bus, "b") }
})

/** An adapter, and the test as all other servers. It can be paused. */
const alone = Effect.fnUntraced(function* (servers: () => number | undefined = () => 3, awayFor?: () => number) {
  const process = (yield* Bus.make()).server("a")
  const host = new FakeHost("a")
  const monitor = new Bus.CountingMonitor()
  const sent: Array<ClusterMessage> = []
  const answers: Array<ClusterAnswer> = []
  let receiver!: ClusterReceiver
  host.adapter = yield* DistributedAdapter.make(
    host,
    (_, self) =>
      Effect.sync(() => {
        receiver = self
        return {
          uid: "a",
          send: (message) => void sent.push(message),
          answer: (_, answer) => void answers.push(answer),
          servers: Effect.sync(servers),
          ...(awayFor !== undefined && { awayFor })
        }
      }),
    monitor
  ).pipe(Effect.provideService(Clock.Clock, process.clock))
  /** The id of the last question. */
  const requestId = () => {
    const question = sent.findLast((message) => message._tag === "Question")
    assert.isDefined(question)
    return question.requestId
  }
  return { host, monitor, process, sent, answers, receiver, requestId, adapter: host.adapter }
})

const native = (uid: string): Sender => ({ uid, native: true })

const someone: Sender = { uid: undefined, native: false }

const askClients = (requestId: string, timeout?: number): ClusterMessage => ({
  _tag: "Question",
  requestId,
  question: { _tag: "Ask", data: ["ask"], mayHaveBinary: true, selection: all, flags, timeout }
})

describe("answers that make no sense", () => {
  it.effect("a second answer of one server does not count for another one", () =>
    Effect.gen(function* () {
      const { adapter, receiver, requestId } = yield* alone()
      const counted = yield* ask(adapter.count(all, false))
      yield* TestClock.adjust(1)
      for (const count of [5, 7, 9]) receiver.onAnswer(native("b"), { _tag: "Counted", requestId: requestId(), count })
      yield* TestClock.adjust(1)
      assert.strictEqual(counted.result(), undefined)
      receiver.onAnswer(native("c"), { _tag: "Counted", requestId: requestId(), count: 1 })
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(counted.result(), { value: 6, missing: 0 })
    })
  )

  it.effect("answers to other questions, of other kinds and after the end change nothing", () =>
    Effect.gen(function* () {
      const { adapter, receiver, requestId } = yield* alone()
      const counted = yield* ask(adapter.count(all, false))
      const id = requestId()
      yield* TestClock.adjust(1)
      receiver.onAnswer(native("b"), { _tag: "Counted", requestId: "stray", count: 100 })
      receiver.onAnswer(native("b"), { _tag: "Answered", requestId: id, args: [1] })
      receiver.onAnswer(native("b"), { _tag: "Recipients", requestId: id, count: 3 })
      receiver.onAnswer(native("b"), { _tag: "Acknowledged", requestId: id, acknowledgement: { sid: "x", args: [] } })
      receiver.onAnswer(native("b"), { _tag: "RecipientLeft", requestId: id })
      receiver.onAnswer(native("b"), { _tag: "Counted", requestId: id, count: 1 })
      receiver.onAnswer(native("c"), { _tag: "Counted", requestId: id, count: 1 })
      receiver.onAnswer(native("d"), { _tag: "Counted", requestId: id, count: 1 })
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(counted.result(), { value: 2, missing: 0 })
    })
  )

  it.effect("no server has more acknowledgements than recipients, and no socket more than one", () =>
    Effect.gen(function* () {
      const { adapter, receiver, requestId } = yield* alone(() => 2)
      const acks = yield* gather(adapter.broadcastWithAck(packet("ask"), all, flags))
      yield* TestClock.adjust(1)
      const id = requestId()
      const acknowledge = (sid: string) =>
        receiver.onAnswer(native("b"), { _tag: "Acknowledged", requestId: id, acknowledgement: { sid, args: [sid] } })
      // One is faster than the number.
      acknowledge("b1")
      acknowledge("b1")
      receiver.onAnswer(native("b"), { _tag: "Recipients", requestId: id, count: 2 })
      acknowledge("b1")
      yield* TestClock.adjust(1)
      assert.strictEqual(acks.missing(), undefined)
      acknowledge("b2")
      acknowledge("b3")
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(
        acks.items.map(({ sid }) => sid),
        ["b1", "b2"]
      )
      assert.strictEqual(acks.missing(), 0)
    })
  )

  it.effect("without a number of recipients, acknowledgements are bounded", () =>
    Effect.gen(function* () {
      const { adapter, receiver, requestId } = yield* alone()
      const acks = yield* gather(adapter.broadcastWithAck(packet("ask"), all, flags))
      yield* TestClock.adjust(1)
      const id = requestId()
      for (let i = 0; i < 12_000; i++) {
        receiver.onAnswer(someone, {
          _tag: "Acknowledged",
          requestId: id,
          acknowledgement: { sid: undefined, args: [] }
        })
      }
      for (let i = 0; i < 10; i++) yield* TestClock.adjust(1)
      assert.strictEqual(acks.items.length, 10_000)
      yield* Fiber.interrupt(acks.fiber)
    })
  )

  it.effect("a number of servers that is too low does not end a question that a server is at work on", () =>
    Effect.gen(function* () {
      const { adapter, receiver, requestId } = yield* alone(() => 1)
      const { adapter: other, receiver: to, requestId: id } = yield* alone(() => 2)
      const none = yield* gather(adapter.serverSideEmitWithAck(["ready"]))
      const answers = yield* gather(other.serverSideEmitWithAck(["ready"]))
      yield* TestClock.adjust(1)
      assert.strictEqual(none.missing(), 0)
      assert.isDefined(requestId())
      assert.isDefined(receiver)
      to.onAnswer(native("c"), { _tag: "Alive", requestId: id() })
      to.onAnswer(native("b"), { _tag: "Answered", requestId: id(), args: ["b"] })
      yield* TestClock.adjust(1)
      assert.strictEqual(answers.missing(), undefined)
      to.onAnswer(native("c"), { _tag: "Answered", requestId: id(), args: ["c"] })
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(answers.items, [["b"], ["c"]])
      assert.strictEqual(answers.missing(), 0)
    })
  )
})

describe("numbers of servers, and time", () => {
  it.effect("one that answers and dies before it is counted does not stand for another one", () =>
    Effect.gen(function* () {
      let servers = 3
      const { adapter, receiver, requestId } = yield* alone(() => servers)
      const answer = (uid: string, count: number) =>
        receiver.onAnswer(native(uid), { _tag: "Counted", requestId: requestId(), count })
      yield* ask(adapter.count(all, false))
      yield* TestClock.adjust(1)
      answer("b", 1)
      answer("c", 2)
      yield* TestClock.adjust(1)
      const counted = yield* ask(adapter.count(all, false))
      answer("c", 2)
      servers = 2
      yield* TestClock.adjust(100)
      assert.strictEqual(counted.result(), undefined)
      answer("b", 1)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(counted.result(), { value: 3, missing: 0 })
      // The next question knows that it is not there.
      const next = yield* ask(adapter.count(all, false))
      answer("b", 1)
      yield* TestClock.adjust(200)
      assert.deepStrictEqual(next.result(), { value: 1, missing: 0 })
    })
  )

  it.effect("what an asker has not read while it slept accuses nobody", () =>
    Effect.gen(function* () {
      const { adapter, process, receiver, requestId } = yield* alone(() => 2)
      receiver.onMessage(native("b"), { _tag: "Ping", requestId: "x" })
      const answers = yield* gather(adapter.serverSideEmitWithAck(["ready"]))
      const id = requestId()
      yield* TestClock.adjust(600)
      receiver.onAnswer(native("b"), { _tag: "Alive", requestId: id })
      yield* TestClock.adjust(100)
      process.pause()
      yield* TestClock.adjust("30 seconds")
      process.resume()
      yield* TestClock.adjust(60)
      assert.strictEqual(answers.missing(), undefined)
      receiver.onAnswer(native("b"), { _tag: "Answered", requestId: id, args: ["b"] })
      yield* TestClock.adjust(1)
      assert.strictEqual(answers.missing(), 0)
    })
  )
})

describe("a broker that is away", () => {
  /** The broker is away from the second 10 on. */
  const AWAY = 10_000
  const cut = Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const awayFor = () => Math.max(0, clock.currentTimeMillisUnsafe() - AWAY)
    return yield* alone(() => (awayFor() > 0 ? undefined : 3), awayFor)
  })

  it.effect(
    "ends questions after a second, and later ones at once, with the number of servers that were heard before",
    () =>
      Effect.gen(function* () {
        const { adapter, receiver } = yield* cut
        for (const uid of ["b", "c"]) receiver.onMessage(native(uid), { _tag: "Ping", requestId: "x" })
        yield* TestClock.adjust(AWAY + 10)
        const early = yield* ask(adapter.count(all, false))
        yield* TestClock.adjust(900)
        assert.strictEqual(early.result(), undefined)
        yield* TestClock.adjust(200)
        assert.deepStrictEqual(early.result(), { value: 0, missing: 2 })
        const late = yield* ask(adapter.count(all, false))
        yield* TestClock.adjust(60)
        assert.deepStrictEqual(late.result(), { value: 0, missing: 2 })
      })
  )

  it.effect("leaves the time of requestTimeout to servers that are at work on a question", () =>
    Effect.gen(function* () {
      const { adapter, receiver, requestId } = yield* cut
      yield* TestClock.adjust(AWAY - 100)
      const answers = yield* gather(adapter.serverSideEmitWithAck(["ready"]))
      receiver.onAnswer(native("b"), { _tag: "Alive", requestId: requestId() })
      yield* TestClock.adjust(4_900)
      assert.strictEqual(answers.missing(), undefined)
      yield* TestClock.adjust(400)
      assert.strictEqual(answers.missing(), 2)
    })
  )
})

describe("what others can make a server hold", () => {
  it.effect("10,001 open questions of others: the oldest one is given up, and its asker learns it", () =>
    Effect.gen(function* () {
      const { answers, host, receiver } = yield* alone()
      const socket = host.connect("a1")
      for (let i = 0; i < 10_001; i++) receiver.onMessage(native("b"), askClients(String(i)))
      assert.strictEqual(socket.asked.size, 10_000)
      answers.length = 0
      receiver.onMessage(native("b"), { _tag: "Ping", requestId: "0" })
      receiver.onMessage(native("b"), { _tag: "Ping", requestId: "1" })
      assert.deepStrictEqual(answers, [{ _tag: "Alive", requestId: "1" }])
    })
  )

  it.effect("a question that comes twice is asked once", () =>
    Effect.gen(function* () {
      const { host, receiver } = yield* alone()
      const socket = host.connect("a1")
      receiver.onMessage(native("b"), askClients("1"))
      receiver.onMessage(native("b"), askClients("1"))
      receiver.onMessage(native("c"), askClients("1"))
      assert.strictEqual(socket.asked.size, 2)
      host.handle = () => {}
      const event: ClusterMessage = {
        _tag: "Question",
        requestId: "2",
        question: { _tag: "ServerEvent", data: ["ready"] }
      }
      receiver.onMessage(native("b"), event)
      receiver.onMessage(native("b"), event)
      assert.strictEqual(host.events.length, 1)
    })
  )

  it.effect("an asker that is interrupted, leaves or dies takes its questions with it", () =>
    Effect.gen(function* () {
      const { a, b, bus } = yield* pair
      const c = yield* join(bus, "c")
      const b1 = b.host.connect("b1")
      const question = (member: typeof a) => gather(member.adapter.broadcastWithAck(packet("ask"), rooms("b1"), flags))
      const acks = yield* question(a)
      yield* question(c)
      yield* travel
      assert.strictEqual(b1.asked.size, 2)
      yield* Fiber.interrupt(acks.fiber)
      yield* travel
      assert.strictEqual(b1.asked.size, 1)
      yield* c.leave
      yield* travel
      assert.strictEqual(b1.asked.size, 0)
    })
  )

  it.effect("an asker that is silent for a minute is not waited for; one that pings is", () =>
    Effect.gen(function* () {
      const { host, receiver } = yield* alone()
      const socket = host.connect("a1")
      receiver.onMessage(native("b"), askClients("1"))
      receiver.onMessage(native("c"), askClients("2"))
      yield* TestClock.adjust("50 seconds")
      receiver.onMessage(native("c"), { _tag: "Ping", requestId: "2" })
      yield* TestClock.adjust("50 seconds")
      receiver.onMessage(native("d"), askClients("3"))
      assert.strictEqual(socket.asked.size, 2)
    })
  )

  it.effect("a handler that answers after its question was taken back sends nothing", () =>
    Effect.gen(function* () {
      const { answers, host, receiver } = yield* alone()
      let reply: ((args: ReadonlyArray<unknown>) => void) | undefined
      host.handle = (_, self) => {
        reply = self
      }
      receiver.onMessage(native("b"), {
        _tag: "Question",
        requestId: "1",
        question: { _tag: "ServerEvent", data: ["x"] }
      })
      receiver.onMessage(native("b"), { _tag: "Cancel", requestId: "1" })
      reply!(["late"])
      assert.deepStrictEqual(answers, [])
    })
  )

  it.effect("a message that cannot be delivered is counted, and the next one is", () =>
    Effect.gen(function* () {
      const { host, monitor, receiver } = yield* alone()
      const socket = host.connect("a1")
      const broadcast = (selection: unknown): ClusterMessage =>
        ({ _tag: "Broadcast", data: ["x"], mayHaveBinary: true, selection, flags }) as ClusterMessage
      receiver.onMessage(native("b"), broadcast({ rooms: null, except: [] }))
      host.handle = () => {
        throw new Error("no")
      }
      const event = { _tag: "ServerEvent", data: ["x"] } as const
      receiver.onMessage(native("b"), event)
      receiver.onMessage(native("b"), { _tag: "Question", requestId: "1", question: event })
      receiver.onMessage(native("b"), broadcast(all))
      assert.strictEqual(monitor.refusals.length, 3)
      assert.deepStrictEqual(socket.heard, [["x"]])
    })
  )

  it.effect("interrupted questions and ended ones leave nothing behind at the others", () =>
    Effect.gen(function* () {
      const { a, b } = yield* pair
      const b1 = b.host.connect("b1")
      b.host.handle = () => {}
      for (let i = 0; i < 100; i++) {
        const acks = yield* gather(a.adapter.broadcastWithAck(packet("ask"), all, flags))
        const answers = yield* gather(a.adapter.serverSideEmitWithAck(["ready"]))
        const fetched = yield* ask(a.adapter.fetchSockets(all, false))
        yield* travel
        yield* Fiber.interruptAll([acks.fiber, answers.fiber, fetched.fiber])
      }
      yield* travel
      assert.strictEqual(b1.asked.size, 0)
      assert.deepStrictEqual(sizes(a.adapter), { open: 0, work: 0 })
      assert.deepStrictEqual(sizes(b.adapter), { open: 0, work: 0 })
    })
  )
})

/** The memory of an adapter for questions. */
const sizes = (adapter: unknown) => {
  const { answering, questions } = adapter as {
    questions: { open: Map<unknown, unknown> }
    answering: { work: Map<unknown, unknown> }
  }
  return { open: questions.open.size, work: answering.work.size }
}

describe("the end of a namespace", () => {
  it.effect("open questions end with what has come, and are taken back; later ones end at once", () =>
    Effect.gen(function* () {
      const { a, b } = yield* pair
      a.host.connect("a1")
      const b1 = b.host.connect("b1")
      b.host.handle = () => {}
      const acks = yield* gather(a.adapter.broadcastWithAck(packet("ask"), rooms("b1"), flags))
      const answers = yield* gather(a.adapter.serverSideEmitWithAck(["ready"]))
      yield* travel
      yield* a.leave
      yield* TestClock.adjust(0)
      assert.strictEqual(acks.missing(), 1)
      assert.strictEqual(answers.missing(), 1)
      yield* travel
      assert.strictEqual(b1.asked.size, 0)
      const later = yield* Effect.exit(a.adapter.count(all, false))
      assert.isTrue(Exit.isFailure(later))
    })
  )

  it.effect("clients of others are no longer asked", () =>
    Effect.gen(function* () {
      const { a, b } = yield* pair
      const a1 = a.host.connect("a1")
      yield* gather(b.adapter.broadcastWithAck(packet("ask"), all, flags))
      yield* travel
      assert.strictEqual(a1.asked.size, 1)
      yield* a.leave
      assert.strictEqual(a1.asked.size, 0)
    })
  )
})
