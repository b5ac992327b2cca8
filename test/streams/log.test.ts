/**
 * The memory for streams: its bounds, and what they cost those who read.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Metric } from "effect"
import { TestClock } from "effect/testing"

import * as TimerWheel from "../../src/engine/TimerWheel.ts"
import { costOf } from "../../src/internal/cost.ts"
import { Flush, StreamReader } from "../../src/server/internal/streamReader.ts"
import * as StreamLog from "../../src/streams/StreamLog.ts"
import * as StreamMetrics from "../../src/streams/StreamMetrics.ts"
import type { RunningLog } from "../../src/streams/StreamLog.ts"

const about = (key?: string, owner?: string) => ({ namespace: "/chat", event: "answer", owner, key })

const stream = (client = "client", key?: string, owner?: string) => ({
  about: about(key, owner),
  client,
  idle: 60_000
})

const make = Effect.fnUntraced(function* (limits: StreamLog.Limits = {}) {
  const log = yield* StreamLog.makeMemory(limits)
  const begin = (client?: string, key?: string, owner?: string) =>
    Effect.flatMap(log.begin(stream(client, key, owner)), (begun) =>
      begun._tag === "Began" ? Effect.succeed(begun.log) : Effect.die(new Error("it runs"))
    )
  const finished = (client?: string) =>
    Effect.tap(begin(client), (running) => Effect.sync(() => running.finish({ _tag: "Success" })))
  const read = Effect.fnUntraced(function* ({ id }: { readonly id: string }) {
    const found = yield* log.open(id)
    return found === undefined ? undefined : [found.start, found.length]
  })
  return { ...log, begin, finished, read }
})

/** A reader that has everything at once. */
const reading = Effect.fnUntraced(function* (log: Effect.Success<ReturnType<typeof make>>, { id }: RunningLog) {
  const readable = (yield* log.open(id))!
  return readable.watch({ onChange: () => readable.reached(readable.length, readable.length) })
})

describe("the memory for streams", () => {
  it.effect("keeps a number of values of one stream, and drops the oldest", () =>
    Effect.gen(function* () {
      const log = yield* make({ maxItems: 3 })
      const running = yield* log.begin()
      yield* reading(log, running)
      yield* running.append([1, 2, 3])
      assert.deepStrictEqual(yield* log.read(running), [0, 3])
      yield* running.append([4, 5])
      assert.deepStrictEqual(yield* log.read(running), [2, 5])
      const { slice } = (yield* log.open(running.id))!
      assert.isFunction(slice)
      assert.deepStrictEqual((yield* log.open(running.id))!.slice(0, 10, 1_000), [3, 4, 5])
      assert.deepStrictEqual((yield* log.open(running.id))!.slice(3, 1, 1_000), [4])
      assert.deepStrictEqual((yield* log.open(running.id))!.slice(9, 1, 1_000), [])
    })
  )

  it.effect("keeps a number of bytes of one stream, and one value whatever its size", () =>
    Effect.gen(function* () {
      const log = yield* make({ maxBytes: 4_096 })
      const running = yield* log.begin()
      yield* reading(log, running)
      const kilobyte = "x".repeat(1_000)
      for (let i = 0; i < 5; i++) yield* running.append([kilobyte])
      assert.deepStrictEqual(yield* log.read(running), [3, 5])
      yield* running.append(["x".repeat(10_000)])
      assert.deepStrictEqual(yield* log.read(running), [5, 6])
      // No more than its share in a message, and one value at least.
      assert.strictEqual((yield* log.open(running.id))!.slice(0, 10, 1).length, 1)
    })
  )

  it.effect("makes a stream wait for a reader before it drops values, but not for ever", () =>
    Effect.gen(function* () {
      const log = yield* make({ maxItems: 4 })
      const running = yield* log.begin()
      const writing = yield* Effect.forkChild(running.append([1, 2, 3, 4, 5, 6]), { startImmediately: true })
      assert.deepStrictEqual(yield* log.read(running), [0, 4])
      const readable = (yield* log.open(running.id))!
      // A quarter of the log may be on its way when the connection is lost.
      readable.reached(2, 0)
      yield* Effect.yieldNow
      assert.deepStrictEqual(yield* log.read(running), [1, 5])
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(writing.pollUnsafe())
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(writing)
      assert.deepStrictEqual(yield* log.read(running), [2, 6])
      // It has waited: nobody reads.
      yield* running.append([7, 8, 9])
      assert.deepStrictEqual(yield* log.read(running), [5, 9])
    })
  )

  it.effect("refuses a stream beyond those that may run, for one client and in all", () =>
    Effect.gen(function* () {
      const log = yield* make({ maxRunning: 3, maxRunningPerClient: 2 })
      yield* log.begin("one")
      const second = yield* log.begin("one")
      assert.deepStrictEqual((yield* Effect.flip(log.begin("one"))).reason, {
        _tag: "Full",
        bound: "maxRunningPerClient"
      })
      yield* log.begin("two")
      assert.deepStrictEqual((yield* Effect.flip(log.begin("three"))).reason, { _tag: "Full", bound: "maxRunning" })
      second.finish({ _tag: "Success" })
      yield* log.begin("one")
    })
  )

  it.effect("counts what a stream keeps to make its values, and refuses more, until it has ended", () =>
    Effect.gen(function* () {
      const log = yield* StreamLog.makeMemory({
        maxBytesPerClient: 100_000,
        maxTotalBytes: 150_000,
        retain: "1 second"
      })
      const begin = (client: string, held: number, owner?: string) =>
        Effect.map(log.begin({ ...stream(client, undefined, owner), held }), (begun) => {
          assert.strictEqual(begun._tag, "Began")
          return (begun as Extract<typeof begun, { readonly _tag: "Began" }>).log
        })
      const refused = (client: string, held: number) =>
        Effect.map(Effect.flip(begin(client, held)), ({ reason }) => (reason._tag === "Full" ? reason.bound : reason))
      const one = yield* begin("one", 60_000)
      assert.strictEqual(yield* refused("one", 50_000), "maxBytesPerClient")
      yield* begin("one", 30_000)
      yield* begin("two", 50_000)
      assert.strictEqual(yield* refused("three", 20_000), "maxTotalBytes")
      yield* begin("three", 5_000)
      one.finish({ _tag: "Success" })
      yield* begin("one", 60_000)
      // One that nobody reads makes room for another, as where too many run.
      assert.strictEqual(yield* refused("four", 30_000), "maxTotalBytes")
      yield* TestClock.adjust("10 seconds")
      yield* begin("four", 30_000)
    })
  )

  it.effect("stops one without an owner and without readers for another one, when as many run as may", () =>
    Effect.gen(function* () {
      const log = yield* make({ maxRunning: 5, maxRunningPerClient: 2 })
      const end = Effect.fnUntraced(function* ({ id }: { readonly id: string }) {
        return (yield* log.open(id))!.end?._tag
      })
      const full = { _tag: "Full", bound: "maxRunning" } as const
      const owned = yield* log.begin("owner Ada", undefined, "Ada")
      const read = yield* log.begin("one")
      yield* reading(log, read)
      const single = yield* log.begin("two")
      yield* TestClock.adjust("1 second")
      const pair = [yield* log.begin("three"), yield* log.begin("three")]
      let interrupted = 0
      for (const running of pair) running.onInterrupt(() => interrupted++)
      yield* TestClock.adjust("8999 millis")
      assert.deepStrictEqual((yield* Effect.flip(log.begin("four"))).reason, full)
      yield* TestClock.adjust("1 millis")
      const fourth = yield* log.begin("four")
      assert.strictEqual(yield* end(single), "Idle")
      yield* TestClock.adjust("1 second")
      // First of all the client that has more of them.
      yield* log.begin("five")
      assert.deepStrictEqual(yield* Effect.forEach(pair, end), ["Idle", undefined])
      yield* log.begin("six")
      assert.strictEqual(interrupted, 2)
      assert.deepStrictEqual((yield* Effect.flip(log.begin("seven"))).reason, full)
      assert.deepStrictEqual(yield* Effect.forEach([owned, read, fourth], end), [undefined, undefined, undefined])
    })
  )

  it.effect("keeps a stream for its time after its end", () =>
    Effect.gen(function* () {
      const log = yield* make({ retain: "1 minute" })
      const running = yield* log.finished()
      yield* TestClock.adjust("59 seconds")
      assert.isDefined(yield* log.open(running.id))
      yield* TestClock.adjust("1 second")
      assert.isUndefined(yield* log.open(running.id))
    })
  )

  it.effect("drops ended streams beyond their number: those of the client, and the oldest of all", () =>
    Effect.gen(function* () {
      const log = yield* make({ maxStreams: 4, maxStreamsPerClient: 2, maxRunningPerClient: 2 })
      const mine = [yield* log.finished("one"), yield* log.finished("one"), yield* log.finished("one")]
      assert.deepStrictEqual(yield* Effect.forEach(mine, log.read), [undefined, [0, 0], [0, 0]])
      const others = [yield* log.finished("two"), yield* log.finished("three"), yield* log.begin("four")]
      assert.deepStrictEqual(yield* Effect.forEach(mine, log.read), [undefined, undefined, [0, 0]])
      assert.deepStrictEqual(yield* Effect.forEach(others, log.read), [
        [0, 0],
        [0, 0],
        [0, 0]
      ])
    })
  )

  it.effect("keeps no values of a stream that it has dropped, also for its readers, and tells them", () =>
    Effect.gen(function* () {
      const log = yield* make({ maxStreamsPerClient: 1, retain: "1 minute" })
      for (const drop of [log.finished(), TestClock.adjust("1 minute")]) {
        const running = yield* log.begin()
        yield* running.append([1, 2])
        running.finish({ _tag: "Success" })
        const readable = (yield* log.open(running.id))!
        let told = 0
        readable.watch({ onChange: () => told++ })
        assert.deepStrictEqual(readable.slice(0, 10, 1_000), [1, 2])
        yield* drop
        assert.isUndefined(yield* log.open(running.id))
        assert.deepStrictEqual(readable.slice(0, 10, 1_000), [])
        assert.deepStrictEqual([readable.start, readable.length, told], [2, 2, 1])
      }
    })
  )

  it.effect("drops ended streams beyond the bytes of a client and of all, and then values of the one that grows", () =>
    Effect.gen(function* () {
      const kilobytes = (count: number) => Array.from({ length: count }, () => "x".repeat(1_000))
      const log = yield* make({ maxBytesPerClient: 20_000, maxTotalBytes: 40_000 })
      const old = yield* log.begin("one")
      yield* old.append(kilobytes(8))
      old.finish({ _tag: "Success" })
      const growing = yield* log.begin("one")
      yield* reading(log, growing)
      yield* growing.append(kilobytes(8))
      assert.isDefined(yield* log.open(old.id))
      yield* growing.append(kilobytes(4))
      assert.isUndefined(yield* log.open(old.id))
      yield* growing.append(kilobytes(40))
      const [start, length] = (yield* log.read(growing))!
      assert.strictEqual(length, 52)
      assert.isAtMost((length! - start!) * costOf(kilobytes(1)[0]), 20_000)
      // The client has its share, and the others have theirs until all is full.
      const other = yield* log.begin("two")
      yield* other.append(kilobytes(10))
      other.finish({ _tag: "Success" })
      const third = yield* log.begin("three")
      yield* third.append(kilobytes(15))
      assert.isUndefined(yield* log.open(other.id))
      assert.deepStrictEqual(yield* log.read(growing), [start, length])
    })
  )

  it.effect("tells the first end only, and forgets the key then", () =>
    Effect.gen(function* () {
      const log = yield* make()
      const running = yield* log.begin("one", "key")
      assert.deepStrictEqual(
        yield* log.begin("two", "key").pipe(Effect.catchDefect(() => log.find(about("key")))),
        running.id
      )
      assert.isUndefined(yield* log.find(about("key", "somebody")))
      let interrupted = 0
      running.onInterrupt(() => interrupted++)
      yield* log.stop(running.id)
      running.finish({ _tag: "Success" })
      yield* running.append(["late"])
      assert.strictEqual(interrupted, 1)
      assert.deepStrictEqual((yield* log.open(running.id))!.end, { _tag: "Stopped" })
      assert.deepStrictEqual(yield* log.read(running), [0, 0])
      assert.isUndefined(yield* log.find(about("key")))
      running.onInterrupt(() => interrupted++)
      assert.strictEqual(interrupted, 2)
    })
  )

  it.effect("tells its metrics, and takes them back", () =>
    Effect.gen(function* () {
      const values = Effect.map(
        Effect.all([
          Metric.value(StreamMetrics.streamsRunning),
          Metric.value(StreamMetrics.streamsKept),
          Metric.value(StreamMetrics.streamBytes)
        ]),
        (gauges) => gauges.map(({ value }) => value)
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const log = yield* make({ maxItems: 1, maxRunningPerClient: 1 })
          const running = yield* log.begin()
          yield* reading(log, running)
          yield* running.append([1, 2, 3])
          yield* Effect.flip(log.begin())
          yield* log.finished("other")
          yield* TestClock.adjust("1 second")
          const [runs, kept, bytes] = yield* values
          assert.deepStrictEqual([runs, kept], [1, 2])
          assert.isAbove(bytes!, 2_000)
        })
      )
      assert.deepStrictEqual(yield* values, [0, 0, 0])
      const count = (counter: Metric.Counter<number>, attributes: Readonly<Record<string, string>>) =>
        Effect.map(Metric.value(Metric.withAttributes(counter, attributes)), ({ count }) => count)
      assert.strictEqual(yield* count(StreamMetrics.streamValuesDropped, {}), 2)
      assert.strictEqual(yield* count(StreamMetrics.streamsRefused, { bound: "maxRunningPerClient" }), 1)
      assert.strictEqual(yield* count(StreamMetrics.streamsEnded, { end: "Success" }), 1)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("refuses options that make no sense", () =>
    Effect.gen(function* () {
      for (const [option, value] of [
        ["maxItems", 0],
        ["maxBytes", 1],
        ["maxRunning", 0.5],
        ["retain", "-1 second"],
        ["maxReaders", 0]
      ] as const) {
        const error = yield* Effect.flip(StreamLog.makeMemory({ [option]: value }))
        assert.strictEqual(error.option, option)
      }
    })
  )
})

/** A stream with some items, and readers of it for a socket. */
const readersOf = Effect.fnUntraced(function* (
  items: ReadonlyArray<string>,
  socket: ConstructorParameters<typeof StreamReader>[0]["socket"]
) {
  const log = yield* StreamLog.makeMemory()
  const begun = yield* log.begin(stream())
  if (begun._tag !== "Began") return assert.fail("it runs")
  yield* begun.log.append(items)
  const readable = (yield* log.open(begun.log.id))!
  const wheel = yield* TimerWheel.make(Duration.millis(60_000))
  const flush = new Flush((task) => task())
  const about = { socket, log: readable, event: "items", mayHaveBinary: false, window: undefined, after: 0 }
  const start = (delay = 0) => new StreamReader({ ...about, delay, flush, wheel, onDone: () => {} })
  return { log: begun.log, start }
})

describe("readers of a client that does not read", () => {
  it.effect("look seldom after a while, and go on soon when it does", () =>
    Effect.gen(function* () {
      let looks = 0
      let buffered = 1_000_000
      let sent = 0
      const session = {
        get buffered() {
          looks++
          return buffered
        }
      }
      const socket = { isConnected: true, connection: { session }, sendEncoded: () => void sent++ }
      const { start } = yield* readersOf(["a", "b"], socket)
      const readers = Array.from({ length: 10 }, () => start())
      yield* TestClock.adjust("100 millis")
      // While it may be slow only, they look often.
      assert.isAtLeast(looks, 10 * 4)
      yield* TestClock.adjust("1 minute")
      assert.isAtMost(looks, 10 * 220)
      assert.strictEqual(sent, 0)
      buffered = 0
      yield* TestClock.adjust("400 millis")
      assert.strictEqual(sent, readers.length)
    })
  )
})

describe("readers of an outbox that drops what it has no capacity for", () => {
  it.effect("send smaller messages, less and less often", () =>
    Effect.gen(function* () {
      const sizes: Array<number> = []
      let most = 0
      const socket = {
        isConnected: true,
        connection: { session: { buffered: 0 } },
        sendEncoded: ({ data }: { readonly data: ReadonlyArray<unknown> }, onDropped: () => void) => {
          const { length } = JSON.stringify(data)
          sizes.push(length)
          if (length > most) onDropped()
        }
      }
      const { log, start } = yield* readersOf(
        Array.from({ length: 200 }, () => "x".repeat(500)),
        socket
      )
      const reader = start()
      yield* TestClock.adjust("1 minute")
      // It would be 6,000 otherwise, of 64 KB each.
      assert.isAtMost(sizes.length, 220)
      assert.isAtMost(sizes.at(-1)!, 1_000)
      most = 1_000_000
      yield* TestClock.adjust("400 millis")
      assert.isAtMost(sizes.at(-1)!, 1_000)
      reader.onAck(200)
      yield* log.append(Array.from({ length: 200 }, () => "x".repeat(500)))
      assert.isAtLeast(Math.max(...sizes.slice(-4)), 30_000)
    })
  )

  it.effect("begin when it is their time, also when their client says that it has read", () =>
    Effect.gen(function* () {
      let sent = 0
      const socket = {
        isConnected: true,
        connection: { session: { buffered: 0 } },
        sendEncoded: () => void sent++
      }
      const { start } = yield* readersOf(["a", "b"], socket)
      const reader = start(500)
      yield* TestClock.adjust("400 millis")
      reader.onAck(0)
      assert.strictEqual(sent, 0)
      yield* TestClock.adjust("200 millis")
      assert.strictEqual(sent, 1)
    })
  )
})
