/**
 * Calls and streams through outages: with recovery they go on, without it they fail.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Logger, Queue, Schema, Scope, Stream } from "effect"
import { Rpc, RpcClient, RpcGroup, RpcServer } from "effect/rpc"
import { TestClock } from "effect/testing"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as SocketIoRpcClient from "../../src/rpc/SocketIoRpcClient.ts"
import * as SocketIoRpcServer from "../../src/rpc/SocketIoRpcServer.ts"
import type { ServerOptions } from "../../src/server/ServerOptions.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

class Group extends RpcGroup.make(
  Rpc.make("Ping", { success: Schema.String }),
  Rpc.make("Ask", { payload: { n: Schema.Int }, success: Schema.Int }),
  Rpc.make("Numbers", { payload: { count: Schema.Int }, success: Schema.Int, stream: true })
) {}

const WINDOW = 4

/** A server whose answers the test gives, and its client. */
const world = Effect.fnUntraced(function* (
  options: ServerOptions,
  protocol: SocketIoRpcClient.ProtocolOptions = {},
  bounds: SocketIoRpcServer.ServerOptions = {}
): Effect.fn.Return<any, any, Scope.Scope> {
  const seen = { asked: [] as Array<number>, interrupted: [] as Array<number>, produced: 0, closed: 0 }
  const answers = Array.from({ length: 10 }, () => Deferred.makeUnsafe<void>())
  const handlers = Group.toLayer({
    Ping: () => Effect.succeed("pong"),
    Ask: ({ n }) =>
      Effect.sync(() => void seen.asked.push(n)).pipe(
        Effect.andThen(Deferred.await(answers[n]!)),
        Effect.as(n),
        Effect.onInterrupt(() => Effect.sync(() => void seen.interrupted.push(n)))
      ),
    Numbers: ({ count }) =>
      Stream.range(1, count).pipe(
        Stream.rechunk(1),
        Stream.tap(() => Effect.sync(() => seen.produced++)),
        Stream.ensuring(Effect.sync(() => seen.closed++))
      )
  })
  const rpcServer = RpcServer.layer(Group).pipe(
    Layer.provide(handlers),
    Layer.provide(SocketIoRpcServer.layerProtocol("/rpc", { window: WINDOW, ...bounds }))
  )
  const test = yield* Layer.build(TestSocketIo.layer(options))
  const build = Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Effect.scope)
    yield* Layer.buildWithScope(Layer.fresh(rpcServer).pipe(Layer.provide(Layer.succeedContext(test))), scope)
    return scope
  })
  const serverScope = yield* build
  const socket = yield* SocketIoClient.connect("/rpc").pipe(Effect.provide(test))
  const client = yield* RpcClient.make(Group).pipe(
    Effect.provideService(RpcClient.Protocol, yield* SocketIoRpcClient.protocolOf(socket, protocol))
  )
  const { network } = (yield* TestSocketIo.TestSocketIo.pipe(Effect.provide(test))).client
  const others = Effect.gen(function* () {
    const other = yield* TestSocketIo.makeClient().pipe(Effect.provide(test))
    const socket = yield* other.connect("/rpc")
    const protocol = yield* SocketIoRpcClient.protocolOf(socket)
    const client = yield* RpcClient.make(Group).pipe(Effect.provideService(RpcClient.Protocol, protocol))
    return { client, network: other.network, socket }
  })
  const settle = Effect.repeat(Effect.yieldNow, { times: 50 })
  const namespace = yield* SocketIoServer.namespace("/rpc").pipe(Effect.provide(test))
  return {
    seen,
    client,
    socket,
    namespace,
    others,
    /** Another layer takes the place of the server's. */
    replace: Effect.andThen(Scope.close(serverScope, Exit.void), build),
    network,
    settle,
    answer: (n: number) => Deferred.succeed(answers[n]!, undefined),
    fork: (effect: Effect.Effect<any, any>) =>
      Effect.tap(Effect.forkChild(Effect.exit(effect), { startImmediately: true }), () => settle),
    back: Effect.gen(function* () {
      yield* network.restore
      yield* TestClock.adjust("30 seconds")
      assert.isTrue(socket.connected)
      yield* settle
    })
  }
})

const it_ = (what: string, test: () => Effect.Effect<unknown, any, any>) =>
  it.effect(what, () => test().pipe(Effect.scoped, Effect.provide(Logger.layer([]))) as Effect.Effect<void>)

const messageOf = (exit: any): unknown => {
  const error: any = Exit.findErrorOption(exit)
  return error._tag === "Some" && error.value._tag === "RpcClientError" ? error.value.reason.message : String(exit)
}

describe("with recovery, an outage that the session survives", () => {
  it_("lets a call wait, and its answer comes from the time of the outage", () =>
    Effect.gen(function* () {
      const { answer, back, client, fork, network, seen, settle, socket } = yield* world({ recovery: true })
      const call = yield* fork(client.Ask({ n: 1 }))
      yield* network.cut
      yield* settle
      assert.isFalse(socket.connected)
      yield* answer(1)
      yield* settle
      assert.isUndefined(call.pollUnsafe())
      yield* back
      assert.isTrue(socket.recovered)
      assert.deepStrictEqual(yield* Fiber.join(call), Exit.succeed(1))
      assert.deepStrictEqual(seen.asked, [1])
    })
  )

  it_("lets a call wait that is answered after it", () =>
    Effect.gen(function* () {
      const { answer, back, client, fork, network, seen } = yield* world({ recovery: true })
      const call = yield* fork(client.Ask({ n: 1 }))
      yield* network.cut
      yield* back
      assert.isUndefined(call.pollUnsafe())
      yield* answer(1)
      assert.deepStrictEqual(yield* Fiber.join(call), Exit.succeed(1))
      assert.deepStrictEqual([seen.asked, seen.interrupted], [[1], []])
    })
  )

  it_("sends requests again that were lost on their way, and each is handled once", () =>
    Effect.gen(function* () {
      const { answer, back, client, fork, network, seen, settle } = yield* world({ recovery: true })
      const before = yield* fork(client.Ask({ n: 1 }))
      yield* network.stall
      const lost = yield* fork(client.Ask({ n: 2 }))
      yield* network.cut
      yield* settle
      const after = yield* fork(client.Ask({ n: 3 }))
      assert.deepStrictEqual(seen.asked, [1])
      yield* back
      assert.deepStrictEqual(seen.asked, [1, 2, 3])
      for (const n of [1, 2, 3]) yield* answer(n)
      const exits = yield* Effect.all([before, lost, after].map(Fiber.join))
      assert.deepStrictEqual(exits, [Exit.succeed(1), Exit.succeed(2), Exit.succeed(3)])
    })
  )

  it_("brings an answer that was lost on its way, and the request is not handled again", () =>
    Effect.gen(function* () {
      const { answer, back, client, fork, network, seen, settle } = yield* world({ recovery: true })
      const call = yield* fork(client.Ask({ n: 1 }))
      yield* network.stall
      yield* answer(1)
      yield* settle
      yield* network.cut
      yield* settle
      assert.isUndefined(call.pollUnsafe())
      yield* back
      assert.deepStrictEqual(yield* Fiber.join(call), Exit.succeed(1))
      assert.deepStrictEqual(seen.asked, [1])
    })
  )

  it_("shows an answer of the time of the outage to nobody else, though another socket is in the room of its id", () =>
    Effect.gen(function* () {
      const { answer, back, client, fork, namespace, network, others, settle, socket } = yield* world({
        recovery: true
      })
      const { socket: other } = yield* others
      yield* namespace.to(other.id).socketsJoin(socket.id)
      const heard: Array<unknown> = []
      yield* other.onAny((event: string) => Effect.sync(() => void heard.push(event)))
      const call = yield* fork(client.Ask({ n: 1 }))
      yield* network.cut
      yield* settle
      yield* answer(1)
      yield* settle
      yield* back
      assert.deepStrictEqual(yield* Fiber.join(call), Exit.succeed(1))
      assert.deepStrictEqual(heard, [])
    })
  )

  it_("does not disturb streams, however often it comes", () =>
    Effect.gen(function* () {
      const { back, client, network, seen, settle } = yield* world({ recovery: true })
      const numbers: Queue.Dequeue<number, any> = yield* client.Numbers(
        { count: 30 },
        { asQueue: true, streamBufferSize: 1 }
      )
      for (let n = 1; n <= 30; n++) {
        assert.strictEqual(yield* Queue.take(numbers), n)
        // Chunks and acknowledgements that are on their way are lost.
        if (n % 3 === 1) yield* network.stall
        if (n % 3 !== 2) continue
        yield* network.cut
        yield* settle
        yield* back
      }
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Queue.take(numbers))))
      yield* settle
      assert.deepStrictEqual([seen.produced, seen.closed], [30, 1])
    })
  )

  it_("makes a handler wait that is `window` chunks ahead of its reader", () =>
    Effect.gen(function* () {
      const { back, client, network, seen, settle } = yield* world({ recovery: true })
      const numbers: Queue.Dequeue<number, any> = yield* client.Numbers(
        { count: 100 },
        { asQueue: true, streamBufferSize: 1 }
      )
      yield* Queue.take(numbers)
      yield* settle
      yield* network.cut
      yield* TestClock.adjust("10 seconds")
      const { produced } = seen
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(seen.produced, produced)
      assert.isAtMost(produced, 2 + WINDOW)
      yield* back
      for (let n = 2; n <= 100; n++) assert.strictEqual(yield* Queue.take(numbers), n)
    })
  )

  it_("interrupts a handler whose call was interrupted meanwhile, once the client is back", () =>
    Effect.gen(function* () {
      const { back, client, fork, network, seen, settle } = yield* world({ recovery: true })
      const call = yield* fork(client.Ask({ n: 1 }))
      const other = yield* fork(client.Ask({ n: 2 }))
      yield* network.cut
      yield* settle
      yield* Fiber.interrupt(call)
      assert.deepStrictEqual(seen.interrupted, [])
      yield* back
      assert.deepStrictEqual(seen.interrupted, [1])
      assert.isUndefined(other.pollUnsafe())
    })
  )

  it_("leaves the handler of a discarded call alone", () =>
    Effect.gen(function* () {
      const { back, client, network, seen, settle } = yield* world({ recovery: true })
      yield* client.Ask({ n: 1 }, { discard: true })
      yield* network.cut
      yield* settle
      yield* back
      assert.deepStrictEqual([seen.asked, seen.interrupted], [[1], []])
      assert.strictEqual(yield* client.Ping(), "pong")
    })
  )
})

describe("the questions of a client that is back", () => {
  it_("are answered once for each return, with the number that they have", () =>
    Effect.gen(function* () {
      const { back, client, fork, network, settle, socket } = yield* world({ recovery: true })
      yield* fork(client.Ask({ n: 1 }))
      yield* network.cut
      yield* settle
      yield* back
      const heard: Array<any> = []
      yield* socket.onAny((_event: string, [frame]: ReadonlyArray<unknown>) => Effect.sync(() => heard.push(frame)))
      // The protocol has asked already.
      yield* socket.emit("rpc", { _tag: "Resume", question: 7 })
      yield* socket.emit("rpc", { _tag: "Ping" })
      yield* settle
      assert.deepStrictEqual(heard, [{ _tag: "Pong" }])
    })
  )
})

describe("the session's end", () => {
  it_("comes for calls with the layer of their server, though the socket recovers", () =>
    Effect.gen(function* () {
      const { back, client, fork, network, replace, seen, settle, socket } = yield* world({ recovery: true })
      const call = yield* fork(client.Ask({ n: 1 }))
      yield* network.cut
      yield* settle
      yield* replace
      assert.deepStrictEqual(seen.interrupted, [1])
      const waiting = yield* fork(client.Ping())
      const heard: Array<any> = []
      yield* socket.onAny((_event: string, [frame]: ReadonlyArray<unknown>) => Effect.sync(() => heard.push(frame)))
      yield* back
      assert.isTrue(socket.recovered)
      // The former server has said that it interrupts the call. The new one knows nothing of it.
      const exit: any = yield* Fiber.join(call)
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.deepStrictEqual(heard[0]._tag, "Exit")
      assert.deepStrictEqual(heard[1], { _tag: "Reset", question: 1 })
      assert.deepStrictEqual(yield* Fiber.join(waiting), Exit.succeed("pong"))
    })
  )

  it_("makes the calls fail when the client is back, and interrupted their handlers before", () =>
    Effect.gen(function* () {
      const { back, client, fork, network, seen, settle, socket } = yield* world({ recovery: true })
      const call = yield* fork(client.Ask({ n: 1 }))
      yield* network.cut
      yield* settle
      const waiting = yield* fork(client.Ping())
      yield* TestClock.adjust("3 minutes")
      assert.isFalse(socket.connected)
      assert.deepStrictEqual(seen.interrupted, [1])
      assert.isUndefined(call.pollUnsafe())
      yield* back
      assert.isFalse(socket.recovered)
      assert.include(["transport close", "transport error"], messageOf(yield* Fiber.join(call)))
      // It was made during the outage: it belongs to the new session.
      assert.deepStrictEqual(yield* Fiber.join(waiting), Exit.succeed("pong"))
    })
  )

  it_("comes at once where the client leaves, or the server disconnects it", () =>
    Effect.gen(function* () {
      const { client, fork, seen, settle, socket } = yield* world({ recovery: true })
      const call = yield* fork(client.Ask({ n: 1 }))
      yield* socket.disconnect()
      yield* settle
      assert.deepStrictEqual(seen.interrupted, [1])
      assert.strictEqual(messageOf(yield* Fiber.join(call)), "io client disconnect")
    })
  )
})

describe("the requests of clients that are away", () => {
  it_("take `maxAwayBytes` together: those of the client that is away for the longest time end for others", () =>
    Effect.gen(function* () {
      // The memory of one request and a little more.
      const { back, client, fork, network, others, seen, settle } = yield* world(
        { recovery: true },
        {},
        { maxAwayBytes: 10_000 }
      )
      const first = yield* fork(client.Ask({ n: 1 }))
      yield* network.cut
      yield* settle
      assert.deepStrictEqual(seen.interrupted, [])
      const other = yield* others
      const second = yield* fork(other.client.Ask({ n: 2 }))
      yield* other.network.cut
      yield* settle
      assert.deepStrictEqual(seen.interrupted, [1])
      yield* back
      assert.include(["transport close", "transport error"], messageOf(yield* Fiber.join(first)))
      assert.strictEqual(yield* client.Ping(), "pong")
      assert.isUndefined(second.pollUnsafe())
      assert.deepStrictEqual(seen.asked, [1, 2])
    })
  )
})

describe("an outbox that makes its server wait", () => {
  it_("delays calls and streams, and loses none", () =>
    Effect.gen(function* () {
      const { answer, client, fork, network, seen, settle } = yield* world({
        limits: { maxOutbox: 100, outboxOverflow: "suspend" }
      })
      const numbers = yield* fork(Stream.runCollect(client.Numbers({ count: 50 })))
      const calls: Array<Fiber.Fiber<Exit.Exit<unknown, unknown>>> = []
      for (let n = 0; n < 10; n++) calls.push(yield* fork(client.Ask({ n })))
      yield* network.stall
      for (let n = 0; n < 10; n++) yield* answer(n)
      yield* settle
      yield* network.restore
      assert.deepStrictEqual(
        yield* Effect.all(calls.map(Fiber.join)),
        Array.from({ length: 10 }, (_, n) => Exit.succeed(n))
      )
      const exit: any = yield* Fiber.join(numbers)
      assert.deepStrictEqual(exit, Exit.succeed(Array.from({ length: 50 }, (_, n) => n + 1)))
      assert.deepStrictEqual(seen.interrupted, [])
    })
  )
})

describe("without recovery", () => {
  it_("the loss of the connection makes calls in flight fail, and interrupts their handlers; later calls wait", () =>
    Effect.gen(function* () {
      const { back, client, fork, network, seen, settle } = yield* world({})
      const call = yield* fork(client.Ask({ n: 1 }))
      const stream = yield* fork(Stream.runDrain(client.Numbers({ count: 1_000_000 })))
      yield* network.cut
      yield* settle
      for (const fiber of [call, stream]) {
        assert.include(["transport close", "transport error"], messageOf(yield* Fiber.join(fiber)))
      }
      assert.deepStrictEqual([seen.interrupted, seen.closed], [[1], 1])
      const later = yield* fork(client.Ping())
      assert.isUndefined(later.pollUnsafe())
      yield* back
      assert.deepStrictEqual(yield* Fiber.join(later), Exit.succeed("pong"))
    })
  )

  it_("a client that does not resume sees the same", () =>
    Effect.gen(function* () {
      const { back, client, fork, network, seen, settle, socket } = yield* world({ recovery: true }, { resume: false })
      const call = yield* fork(client.Ask({ n: 1 }))
      yield* network.cut
      yield* settle
      assert.include(["transport close", "transport error"], messageOf(yield* Fiber.join(call)))
      yield* back
      assert.isTrue(socket.recovered)
      assert.deepStrictEqual(seen.interrupted, [1])
      assert.strictEqual(yield* client.Ping(), "pong")
    })
  )
})
