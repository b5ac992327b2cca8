/**
 * The ends of requests: a request counts until its handler's finalizers have run, and its id is free when it is answered.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Schema, SchemaGetter, Stream } from "effect"
import { Rpc, RpcGroup, RpcServer } from "effect/rpc"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { CurrentSlot } from "../../src/rpc/internal/slot.ts"
import * as SocketIoRpcServer from "../../src/rpc/SocketIoRpcServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { died, request, success } from "./frameValues.ts"

/** A text whose decoding waits for the test. */
const slowText = (gate: Deferred.Deferred<void>) =>
  Schema.String.pipe(
    Schema.decodeTo(Schema.String, {
      decode: SchemaGetter.transformEffect((text: string) => Effect.as(Deferred.await(gate), text)),
      encode: SchemaGetter.passthrough()
    })
  )

const settle = Effect.repeat(Effect.yieldNow, { times: 50 })

/** A server whose handlers, finalizers and payloads take their time, and a client that speaks by hand. */
const world = Effect.fnUntraced(function* (options: SocketIoRpcServer.ServerOptions = {}) {
  const decoded = yield* Deferred.make<void>()
  const closed = yield* Deferred.make<void>()
  const seen = { begun: 0, chunks: 0, closed: 0, slots: [] as Array<unknown> }
  const text = slowText(decoded)
  const group = RpcGroup.make(
    Rpc.make("Quick", { success: Schema.Int }),
    Rpc.make("Tidy", { success: Schema.Int }),
    Rpc.make("Pages", { success: Schema.Int, stream: true }),
    Rpc.make("Untidy", { success: Schema.Int }),
    Rpc.make("Hold", { payload: Schema.Boolean }),
    Rpc.make("Later", { payload: text, success: text }),
    Rpc.make("LaterPages", { payload: text, success: Schema.Int, stream: true })
  )
  /** A resource whose release waits for the test. */
  const resource = Effect.acquireRelease(Effect.void, () =>
    Effect.andThen(
      Deferred.await(closed),
      Effect.sync(() => seen.closed++)
    )
  )
  const pages = Stream.range(1, 100).pipe(
    Stream.rechunk(1),
    Stream.tap(() => Effect.sync(() => seen.chunks++))
  )
  const begin = Effect.sync(() => ++seen.begun)
  const handlers = group.toLayer({
    Quick: () => begin,
    Tidy: () => Effect.andThen(resource, begin),
    Pages: () => Stream.take(pages, 2),
    Untidy: () => Effect.andThen(resource, Effect.die("boom")),
    Hold: (isFirst) =>
      Effect.contextWith((context) => {
        seen.slots.push(Context.getUnsafe(context as Context.Context<CurrentSlot>, CurrentSlot))
        return Deferred.await(isFirst ? decoded : closed)
      }),
    Later: (text) => Effect.as(begin, text),
    LaterPages: () => Stream.unwrap(Effect.as(begin, pages))
  })
  const context = yield* Layer.build(
    RpcServer.layer(group).pipe(
      Layer.provide(handlers),
      Layer.provide(SocketIoRpcServer.layerProtocol("/rpc", options)),
      Layer.provideMerge(TestSocketIo.layer())
    )
  )
  const socket = yield* SocketIoClient.connect("/rpc").pipe(Effect.provide(context))
  // A test that fails does not wait for them.
  yield* Effect.addFinalizer(() =>
    Effect.andThen(Deferred.succeed(decoded, undefined), Deferred.succeed(closed, undefined))
  )
  let heard: Array<any> = []
  yield* socket.respond("rpc", (frame) => Effect.sync(() => void heard.push(frame)))
  return {
    seen,
    decode: Deferred.succeed(decoded, undefined),
    close: Effect.andThen(Deferred.succeed(closed, undefined), settle),
    /** Sends frames; gives what comes. */
    ask: (...frames: ReadonlyArray<unknown>) =>
      Effect.gen(function* () {
        heard = []
        for (const frame of frames) yield* socket.emit("rpc", frame)
        yield* settle
        return heard
      })
  }
})

const tooMany = (requestId: unknown, count: number) => died(requestId, `too many requests in flight: ${count}`)

const it_ = (what: string, test: () => Effect.Effect<unknown, any, any>) =>
  it.effect(what, () => Effect.scoped(test()) as Effect.Effect<void>)

describe("a request whose finalizers are at work", () => {
  it_("has left its id to a later one, which has its own answer", () =>
    Effect.gen(function* () {
      const { ask, close, seen } = yield* world({ maxInFlight: 3 })
      assert.deepStrictEqual(yield* ask(request(1, "Tidy")), [success(1, 1)])
      assert.deepStrictEqual(yield* ask(request(1, "Tidy")), [success(1, 2)])
      assert.deepStrictEqual(yield* ask(request(1, "Quick")), [success(1, 3)])
      assert.deepStrictEqual(yield* ask(request(1, "Pages")), [
        { _tag: "Chunk", requestId: 1, values: [1] },
        { _tag: "Chunk", requestId: 1, values: [2] },
        success(1, null)
      ])
      yield* close
      assert.strictEqual(seen.closed, 2)
      // Nothing is left of them.
      for (let n = 4; n < 12; n++) assert.deepStrictEqual(yield* ask(request(1, "Quick")), [success(1, n)])
    })
  )

  it_("counts until they have run", () =>
    Effect.gen(function* () {
      const { ask, close } = yield* world({ maxInFlight: 3 })
      assert.deepStrictEqual(yield* ask(request(1, "Tidy")), [success(1, 1)])
      assert.deepStrictEqual(yield* ask(request(2, "Tidy", null, { discard: true })), [success(2, null)])
      assert.deepStrictEqual(yield* ask(request(3, "Untidy")), [{ _tag: "Defect", defect: "boom" }])
      assert.deepStrictEqual(yield* ask(request(4, "Quick")), [tooMany(4, 3)])
      // Also one that has the id of another.
      assert.deepStrictEqual(yield* ask(request(1, "Quick")), [tooMany(1, 3)])
      yield* close
      assert.deepStrictEqual(yield* ask(request(4, "Quick")), [success(4, 3)])
    })
  )

  it_("is not disturbed by frames about the later one", () =>
    Effect.gen(function* () {
      const { ask, close, seen } = yield* world({ window: 2 })
      assert.lengthOf(yield* ask(request(1, "Tidy")), 1)
      const [first, ...others] = yield* ask(request(1, "LaterPages", "x"))
      assert.deepStrictEqual([first, others], [undefined, []])
      const [exit] = yield* ask({ _tag: "Interrupt", requestId: 1 })
      assert.deepStrictEqual([exit.requestId, exit.exit.cause[0]._tag], [1, "Interrupt"])
      assert.deepStrictEqual([seen.begun, seen.closed], [1, 0])
      yield* close
      assert.strictEqual(seen.closed, 1)
    })
  )
})

describe("a request whose payload is being decoded", () => {
  it_("ends with its interruption, and its handler does not start", () =>
    Effect.gen(function* () {
      const { ask, decode, seen } = yield* world({ maxInFlight: 2 })
      assert.deepStrictEqual(yield* ask(request(1, "LaterPages", "x"), request(2, "Later", "y")), [])
      assert.deepStrictEqual(yield* ask(request(3, "Quick")), [tooMany(3, 2)])
      for (const id of [1, 2]) {
        const [exit] = yield* ask({ _tag: "Interrupt", requestId: id })
        assert.deepStrictEqual([exit.requestId, exit.exit.cause[0]._tag], [id, "Interrupt"])
      }
      assert.deepStrictEqual(yield* ask(request(3, "Quick"), request(4, "Quick")), [success(3, 1), success(4, 2)])
      yield* decode
      yield* settle
      assert.deepStrictEqual([seen.begun, seen.chunks], [2, 0])
      assert.deepStrictEqual(yield* ask(request(1, "Later", "z")), [success(1, "z")])
    })
  )
})

describe("a connection", () => {
  it_("keeps the contexts of 16 requests for later ones, however many it had at once", () =>
    Effect.gen(function* () {
      const { ask, decode, seen } = yield* world()
      const many = (isFirst: boolean) => Array.from({ length: 100 }, (_, id) => request(id, "Hold", isFirst))
      assert.lengthOf(yield* ask(...many(true)), 0)
      yield* decode
      yield* settle
      assert.lengthOf(yield* ask(...many(false)), 0)
      // A hundred were new at first.
      assert.strictEqual(new Set(seen.slots).size, 200 - 16)
    })
  )
})
