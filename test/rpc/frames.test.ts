/**
 * The frames of RPC by hand, as clients without Effect write them: right ones, wrong ones and hostile ones.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric, Queue, Schema, Stream } from "effect"
import { Rpc, RpcGroup, RpcServer } from "effect/rpc"
import * as fc from "fast-check"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as SocketIoRpcServer from "../../src/rpc/SocketIoRpcServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { count } from "../support/extent.ts"
import { died, request, success } from "./frameValues.ts"

class Group extends RpcGroup.make(
  Rpc.make("Add", { payload: { a: Schema.Int, b: Schema.Int }, success: Schema.Int }),
  Rpc.make("Nothing"),
  Rpc.make("Wait"),
  Rpc.make("Hold", { payload: Schema.String }),
  Rpc.make("Crash"),
  Rpc.make("Numbers", { success: Schema.Int, stream: true })
) {}

interface Seen {
  running: number
  started: number
  produced: number
  added: Array<number>
}

/** Serves the group, and gives a client that speaks by hand. */
const byHand = Effect.fnUntraced(function* (options: SocketIoRpcServer.ServerOptions = {}, fatal = true) {
  const seen: Seen = { running: 0, started: 0, produced: 0, added: [] }
  const wait = Effect.acquireUseRelease(
    Effect.sync(() => {
      seen.running++
      seen.started++
    }),
    () => Effect.never,
    () => Effect.sync(() => void seen.running--)
  )
  const handlers = Group.toLayer({
    Add: ({ a, b }) =>
      Effect.sync(() => {
        seen.added.push(a + b)
        return a + b
      }),
    Nothing: () => Effect.void,
    Wait: () => wait,
    Hold: () => wait,
    Crash: () => Effect.die("boom"),
    Numbers: () =>
      Stream.range(1, 1_000).pipe(
        Stream.rechunk(1),
        Stream.tap(() => Effect.sync(() => seen.produced++))
      )
  })
  const server = RpcServer.layer(Group, { disableFatalDefects: !fatal }).pipe(
    Layer.provide(handlers),
    Layer.provide(SocketIoRpcServer.layerProtocol("/rpc", options)),
    Layer.provideMerge(TestSocketIo.layer())
  )
  const context = yield* Layer.build(server)
  const socket = yield* SocketIoClient.connect("/rpc").pipe(Effect.provide(context))
  const frames = yield* Queue.unbounded<any>()
  yield* socket.respond("rpc", (frame) => Queue.offer(frames, frame))
  const say = (...frames: ReadonlyArray<unknown>) =>
    Effect.forEach(frames, (frame) => socket.emit("rpc", frame), { discard: true })
  /** The frames that come until there are none between the answers to two pings. */
  const hear = Effect.gen(function* () {
    const heard: Array<any> = []
    for (let quiet = 0; quiet < 2; quiet++) {
      // Handlers have their turns.
      yield* Effect.repeat(Effect.yieldNow, { times: 10 })
      yield* say({ _tag: "Ping" })
      for (;;) {
        const frame = yield* Queue.take(frames)
        if (frame._tag === "Pong") break
        heard.push(frame)
        quiet = 0
      }
    }
    return heard
  })
  const ask = (...frames: ReadonlyArray<unknown>) => Effect.andThen(say(...frames), hear)
  return { seen, socket, say, hear, ask }
})

const chunk = (requestId: unknown, value: number) => ({ _tag: "Chunk", requestId, values: [value] })
const ack = (requestId: unknown) => ({ _tag: "Ack", requestId })

const refused = (reason: string) =>
  Effect.map(Metric.value(Metric.withAttributes(SocketIoRpcServer.rpcRefusals, { reason })), ({ count }) =>
    Number(count)
  )

/** Every test counts from zero. */
const counting = Effect.provideServiceEffect(
  Metric.MetricRegistry,
  Effect.sync(() => new Map())
)

describe("frames by hand", () => {
  const it_ = (what: string, test: () => Effect.Effect<unknown, any, any>) =>
    it.effect(what, () => test().pipe(Effect.scoped, counting) as Effect.Effect<void>)

  it_("call with as little as possible, with numbers and with texts as ids", () =>
    Effect.gen(function* () {
      const { ask } = yield* byHand()
      assert.deepStrictEqual(yield* ask(request(1, "Add", { a: 1, b: 2 })), [success(1, 3)])
      assert.deepStrictEqual(yield* ask(request("one", "Add", { a: 2, b: 2 }, { headers: [["a", "b"]] })), [
        success("one", 4)
      ])
      assert.deepStrictEqual(yield* ask(request(1, "Nothing")), [success(1, null)])
    })
  )

  it_("stream, `window` chunks ahead of the acknowledgements", () =>
    Effect.gen(function* () {
      const { ask, seen } = yield* byHand({ window: 3 })
      assert.deepStrictEqual(yield* ask(request(1, "Numbers")), [chunk(1, 1), chunk(1, 2), chunk(1, 3)])
      assert.strictEqual(seen.produced, 3)
      assert.deepStrictEqual(yield* ask(ack(1)), [chunk(1, 4)])
      assert.deepStrictEqual(yield* ask(ack(1), ack(1)), [chunk(1, 5), chunk(1, 6)])
      const [exit] = yield* ask({ _tag: "Interrupt", requestId: 1 })
      assert.strictEqual(exit.exit._tag, "Failure")
      assert.strictEqual(seen.produced, 6)
    })
  )

  it_("acknowledge in advance to no effect", () =>
    Effect.gen(function* () {
      const { ask, seen } = yield* byHand({ window: 2 })
      yield* ask(request(1, "Numbers"))
      // Two chunks are under way: two of these count, and the next two are sent.
      yield* ask(...Array.from({ length: 2 }, () => ack(1)))
      assert.strictEqual(seen.produced, 4)
      yield* ask(...Array.from({ length: 10_000 }, () => ack(2)))
      yield* ask({ ...ack(1), total: 1_000_000 }, { ...ack(1), total: -1 }, { ...ack(1), total: 0 })
      assert.strictEqual(seen.produced, 4)
      yield* ask({ ...ack(1), total: 4 })
      assert.strictEqual(seen.produced, 6)
    })
  )

  it_("notify: the handler runs, and nothing is said, however it ends", () =>
    Effect.gen(function* () {
      const { ask, seen } = yield* byHand()
      const notification = (tag: string, payload?: unknown) =>
        request(undefined, tag, payload, { isNotification: true })
      assert.deepStrictEqual(yield* ask(notification("Add", { a: 4, b: 4 })), [])
      assert.deepStrictEqual(seen.added, [8])
      const silent = [
        notification("Add", { a: "x" }),
        notification("Crash"),
        notification("Unknown"),
        notification("Numbers")
      ]
      assert.deepStrictEqual(yield* ask(...silent), [])
      while (seen.produced < 1_000) yield* Effect.yieldNow
      assert.deepStrictEqual(yield* ask(), [])
    })
  )

  it_("get a defect for a payload that does not fit, and for an Rpc that is not there", () =>
    Effect.gen(function* () {
      const { ask } = yield* byHand()
      const [first] = yield* ask(request(1, "Add", { a: "x" }))
      assert.strictEqual(first.exit.cause[0]._tag, "Die")
      assert.deepStrictEqual(yield* ask(request(2, "Unknown")), [died(2, "Unknown request tag: Unknown")])
      assert.deepStrictEqual(yield* ask(request(3, "__proto__")), [died(3, "Unknown request tag: __proto__")])
    })
  )

  it_("are refused if they break a rule, and nobody else suffers", () =>
    Effect.gen(function* () {
      const { ask, seen } = yield* byHand()
      yield* ask(request("kept", "Wait"))
      const long = "x".repeat(65)
      const silent: ReadonlyArray<unknown> = [
        null,
        7,
        "Request",
        [],
        {},
        { _tag: "Chunk", requestId: 1, values: [1] },
        { _tag: "Exit", requestId: "kept", exit: {} },
        { _tag: ["Request"] },
        { _tag: "constructor" },
        { _tag: "Ack" },
        { _tag: "Ack", requestId: {} },
        { _tag: "Interrupt", requestId: null },
        { _tag: "Interrupt", requestId: { toString: 1 } },
        { ...ack("kept"), total: "1" },
        request(undefined, "Nothing"),
        request(1.5, "Nothing"),
        request({ toString: 1 }, "Nothing"),
        request(long, "Nothing"),
        request("kept", "Nothing")
      ]
      assert.deepStrictEqual(yield* ask(...silent), [])
      assert.strictEqual(yield* refused("frame"), silent.length)
      const headers = "headers are up to 100 pairs of texts, of up to 16,384 characters together"
      const answered: ReadonlyArray<readonly [unknown, string]> = [
        [request(1, "Nothing", null, { headers: 1 }), headers],
        [request(1, "Nothing", null, { headers: { a: "b" } }), headers],
        [request(1, "Nothing", null, { headers: [["a"]] }), headers],
        [request(1, "Nothing", null, { headers: [["a", 1]] }), headers],
        [request(1, "Nothing", null, { headers: Array.from({ length: 101 }, () => ["a", "b"]) }), headers],
        [request(1, "Nothing", null, { headers: [["a", "b".repeat(16_384)]] }), headers],
        [{ _tag: "Request", id: 1 }, "a request needs the tag of an Rpc"],
        [request(1, "x".repeat(257)), "a request needs the tag of an Rpc"],
        [{ _tag: "Request", id: 1, tag: { toString: 1 } }, "a request needs the tag of an Rpc"]
      ]
      for (const [frame, defect] of answered) assert.deepStrictEqual(yield* ask(frame), [died(1, defect)])
      assert.strictEqual(yield* refused("frame"), silent.length + answered.length)
      assert.strictEqual(seen.running, 1)
      yield* ask({ _tag: "Interrupt", requestId: "kept" })
      assert.strictEqual(seen.running, 0)
    })
  )

  it_("of any kind leave the server as it was", () =>
    Effect.gen(function* () {
      const { ask, seen } = yield* byHand({ maxInFlight: 1_000_000, maxInFlightBytes: 1_000_000_000 }, false)
      const id = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.string(), fc.jsonValue())
      const frame = fc.oneof(
        fc.jsonValue(),
        fc.record({
          _tag: fc.constantFrom("Request", "Request", "Ack", "Interrupt"),
          id: fc.integer({ min: 0, max: 9 }),
          requestId: fc.integer({ min: 0, max: 9 }),
          tag: fc.constantFrom("Add", "Nothing", "Wait", "Crash", "Numbers"),
          payload: fc.constantFrom(null, { a: 1, b: 2 }),
          isNotification: fc.boolean(),
          discard: fc.boolean()
        }),
        fc.record(
          {
            _tag: fc.oneof(fc.constantFrom("Request", "Ack", "Interrupt"), fc.string()),
            id,
            requestId: id,
            tag: fc.oneof(fc.constantFrom("Add", "Nothing", "Wait", "Crash", "Numbers"), fc.jsonValue()),
            payload: fc.oneof(fc.constant(null), fc.record({ a: fc.integer(), b: fc.integer() }), fc.jsonValue()),
            headers: fc.oneof(fc.constant([]), fc.jsonValue()),
            isNotification: fc.oneof(fc.boolean(), fc.jsonValue()),
            discard: fc.oneof(fc.boolean(), fc.jsonValue()),
            total: fc.jsonValue(),
            traceId: fc.jsonValue(),
            spanId: fc.jsonValue(),
            sampled: fc.jsonValue()
          },
          { requiredKeys: [] }
        )
      )
      for (const frames of fc.sample(fc.array(frame, { maxLength: 20 }), count(2_000, 200))) yield* ask(...frames)
      const id_ = "none that is generated"
      const answers = yield* ask(request(id_, "Add", { a: 20, b: 22 }))
      assert.deepStrictEqual(
        answers.filter(({ requestId }) => requestId === id_),
        [success(id_, 42)]
      )
      assert.isAbove(seen.started, 0)
    })
  )

  it_("after Eof are not read, and handlers go on", () =>
    Effect.gen(function* () {
      const { say, seen, socket } = yield* byHand()
      yield* say(request(1, "Wait"), { _tag: "Eof" }, request(2, "Add", { a: 1, b: 1 }), {
        _tag: "Interrupt",
        requestId: 1
      })
      yield* Effect.repeat(Effect.yieldNow, { times: 100 })
      assert.deepStrictEqual(seen.added, [])
      assert.strictEqual(seen.running, 1)
      yield* socket.disconnect()
      yield* Effect.repeat(Effect.yieldNow, { times: 100 })
      assert.strictEqual(seen.running, 0)
    })
  )
})

describe("requests in flight", () => {
  const it_ = (what: string, test: () => Effect.Effect<unknown, any, any>) =>
    it.effect(what, () => test().pipe(Effect.scoped, counting) as Effect.Effect<void>)

  const tooMany = (id: unknown, count: number) => died(id, `too many requests in flight: ${count}`)

  it_("are `maxInFlight` at the most: one more is answered with a defect, and there is capacity when one ends", () =>
    Effect.gen(function* () {
      const { ask, seen } = yield* byHand({ maxInFlight: 3 })
      assert.deepStrictEqual(yield* ask(...[1, 2, 3].map((id) => request(id, "Wait"))), [])
      assert.deepStrictEqual(yield* ask(request(4, "Wait")), [tooMany(4, 3)])
      assert.deepStrictEqual(yield* ask(request(4, "Add", { a: 1, b: 1 })), [tooMany(4, 3)])
      assert.strictEqual(yield* refused("in flight"), 2)
      yield* ask({ _tag: "Interrupt", requestId: 2 })
      assert.deepStrictEqual(yield* ask(request(4, "Wait")), [])
      assert.strictEqual(seen.running, 3)
    })
  )

  it_("include streams, notifications and discarded requests until their handlers end", () =>
    Effect.gen(function* () {
      const { ask, seen } = yield* byHand({ maxInFlight: 3 })
      yield* ask(
        request(undefined, "Wait", null, { isNotification: true }),
        request(1, "Wait", null, { discard: true })
      )
      yield* ask(request(2, "Numbers"))
      assert.deepStrictEqual(yield* ask(request(3, "Nothing")), [tooMany(3, 3)])
      assert.deepStrictEqual(yield* ask(request(undefined, "Wait", null, { isNotification: true })), [])
      assert.strictEqual(seen.started, 2)
    })
  )

  it_("leave nothing when they have ended, in any way", () =>
    Effect.gen(function* () {
      const { ask } = yield* byHand({ maxInFlight: 1 })
      const more = [{}, { discard: true }, { isNotification: true }]
      const tags: ReadonlyArray<readonly [string, unknown]> = [
        ["Add", { a: 1, b: 1 }],
        ["Add", "wrong"],
        ["Nothing", null],
        ["Crash", null],
        ["Unknown", null]
      ]
      for (let round = 0; round < 3; round++) {
        for (const [tag, payload] of tags) {
          for (const extra of more) {
            const answers = yield* ask(request(1, tag, payload, extra))
            assert.strictEqual(answers.length, "isNotification" in extra ? 0 : 1, `${tag} ${JSON.stringify(extra)}`)
            assert.notInclude(JSON.stringify(answers), "in flight")
          }
        }
      }
      assert.deepStrictEqual(yield* ask(request(1, "Nothing")), [success(1, null)])
    })
  )

  it_("hold `maxInFlightBytes` at the most", () =>
    Effect.gen(function* () {
      const { ask, seen } = yield* byHand({ maxInFlightBytes: 22_000 })
      yield* ask(request(1, "Hold", "x".repeat(3_000)), request(2, "Hold", "x".repeat(3_000)))
      assert.deepStrictEqual(yield* ask(request(3, "Hold", "x".repeat(3_000))), [tooMany(3, 2)])
      yield* ask({ _tag: "Interrupt", requestId: 1 })
      yield* ask(request(3, "Hold", "x".repeat(3_000)))
      assert.strictEqual(seen.running, 2)
    })
  )

  it_("are those of a connection, over all of its sockets", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const handlers = Group.toLayer({
        Add: ({ a, b }) => Effect.succeed(a + b),
        Nothing: () => Effect.void,
        Wait: () => Effect.never,
        Hold: () => Effect.never,
        Crash: () => Effect.die("boom"),
        Numbers: () => Stream.empty
      })
      const documents = SocketIoServer.layerDynamicNamespace(/^\/document\/\d+$/, () =>
        Effect.map(
          SocketIoRpcServer.Endpoint,
          ({ attach }) =>
            (socket) =>
              attach(socket)
        )
      )
      const context = yield* Layer.build(
        Layer.merge(documents, RpcServer.layer(Group).pipe(Layer.provide(handlers))).pipe(
          Layer.provide(SocketIoRpcServer.layerEndpoint({ maxInFlight: 3 })),
          Layer.provideMerge(TestSocketIo.layer())
        )
      )
      const settle = Effect.repeat(Effect.yieldNow, { times: 50 })
      const sockets = yield* Effect.forEach([0, 1, 2, 3], (n) =>
        Effect.gen(function* () {
          const socket = yield* SocketIoClient.connect(`/document/${n}`).pipe(Effect.provide(context))
          yield* socket.respond("rpc", (frame: any) =>
            Effect.sync(() => seen.push(`${n}: ${frame.exit.cause?.[0].defect ?? frame.exit.value}`))
          )
          yield* socket.emit("rpc", request(1, "Wait"))
          return socket
        })
      )
      yield* settle
      assert.deepStrictEqual(seen.splice(0), ["3: too many requests in flight: 3"])
      yield* sockets[0]!.disconnect()
      yield* settle
      yield* sockets[3]!.emit("rpc", request(2, "Add", { a: 1, b: 2 }))
      yield* settle
      assert.deepStrictEqual(seen, ["3: 3"])
    })
  )

  it_("are refused options that make no sense", () =>
    Effect.gen(function* () {
      for (const options of [{ window: 0 }, { maxInFlight: 0.5 }, { maxInFlightBytes: -1 }, { maxAwayBytes: -1 }]) {
        const error: any = yield* Effect.flip(byHand(options))
        assert.strictEqual(error._tag, "InvalidOptionError")
        assert.strictEqual(error.option, Object.keys(options)[0])
      }
    })
  )
})
