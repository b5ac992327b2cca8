/**
 * Ids that a `RetryingEmitter` gives to events, and its outbox: under a clock that the test moves, and to real servers.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Result, Schema, Scope } from "effect"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import { TestClock } from "effect/testing"

import * as Binary from "../../src/Binary.ts"
import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import * as RetryingEmitter from "../../src/client/RetryingEmitter.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform } from "../../src/engine/ClientPlatform.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { AckError } from "../../src/SocketIoError.ts"
import { type FakeWebSocket, makeFakePlatform } from "../support/fakeClientPlatform.ts"
import { serve } from "../support/serve.ts"

class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", { article: Schema.String }) {}

class Shop extends Namespace.make("/shop", {
  clientToServer: [
    Event.make("order", { payload: Schema.String, ack: Schema.Int, error: SoldOut, once: {} }),
    Event.make("pair", { args: [Schema.Int, Schema.optional(Schema.Int)], once: {} }),
    Event.make("tick", { once: {} }),
    Event.make("numbered", { payload: { id: Schema.String }, once: { key: ({ id }) => id } }),
    Event.make("plain", { payload: Schema.String }),
    Event.make("image", { payload: Binary.Bytes, once: {} })
  ]
}) {}

type ShopSocket = ClientSocket<typeof Shop>

/** A client whose server is the test. */
const setup = Effect.gen(function* () {
  const platform = makeFakePlatform()
  const client = yield* SocketIoClient.make({ url: "http://test", transports: ["websocket"] }).pipe(
    Effect.provideService(ClientPlatform, platform)
  )
  const scope = yield* Scope.make()
  const socket = yield* SocketIoClient.socket(Shop).pipe(
    Effect.provideService(SocketIoClient.SocketIoClient, client),
    Scope.provide(scope)
  )
  return { platform, scope, socket, last: () => platform.sockets.at(-1)! }
})

const sent = Effect.fnUntraced(function* (server: FakeWebSocket) {
  yield* TestClock.adjust(0)
  return server.take() as ReadonlyArray<string>
})

const admit = Effect.fnUntraced(function* (server: FakeWebSocket) {
  server.accept({ pingInterval: 1_000_000 })
  yield* sent(server)
  server.events.onText('40/shop,{"sid":"id"}')
  yield* Effect.yieldNow
})

/** Acknowledges what was sent. */
const answer = (server: FakeWebSocket, packet: string, args: string) =>
  Effect.sync(() => server.events.onText(`43/shop,${idOf(packet)}${args}`))

const idOf = (packet: string) => /^42\/shop,(\d+)/.exec(packet)![1]

/** The data of an event that was sent. */
const dataOf = (packet: string): ReadonlyArray<any> => JSON.parse(packet.replace(/^42\/shop,\d+/, ""))

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(Effect.result(effect), { startImmediately: true })

const reasonOf = (result: Result.Result<unknown, unknown>) =>
  Result.isFailure(result) && result.failure instanceof AckError ? result.failure.reason._tag : result

const retry = { retries: Infinity, ackTimeout: "5 seconds" } as const

describe("the ids of a RetryingEmitter", () => {
  it.effect("are after the arguments of events that are handled once, and the same in every try", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup
      yield* admit(last())
      const emitter = yield* RetryingEmitter.make(socket, retry)
      yield* fork(emitter.emit("order", "book"))
      const [first] = yield* sent(last())
      yield* TestClock.adjust("5 seconds")
      const [second] = yield* sent(last())
      const [event, payload, { id, ...others }] = dataOf(first!)
      assert.deepStrictEqual([event, payload, others], ["order", "book", {}])
      assert.match(id, /^[\w-]{20}$/)
      assert.deepStrictEqual(dataOf(second!), dataOf(first!))
      assert.notStrictEqual(idOf(second!), idOf(first!))
      yield* answer(last(), second!, '[{"_tag":"Success","value":1}]')
      yield* fork(emitter.emitWithAck("order", "book"))
      const [third] = yield* sent(last())
      assert.notStrictEqual(dataOf(third!)[2].id, id)
    })
  )

  it.effect("have their place whatever the event carries, and are left out where they are not read", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup
      yield* admit(last())
      const emitter = yield* RetryingEmitter.make(socket, retry)
      const data = Effect.fnUntraced(function* (emitting: Effect.Effect<void, unknown>) {
        yield* fork(emitting)
        const [packet] = yield* sent(last())
        yield* answer(last(), packet!, "[]")
        return dataOf(packet!).map((value) => (typeof value === "object" && value?.id?.length === 20 ? "id" : value))
      })
      assert.deepStrictEqual(yield* data(emitter.emit("tick")), ["tick", "id"])
      assert.deepStrictEqual(yield* data(emitter.emit("pair", [1, 2])), ["pair", 1, 2, "id"])
      assert.deepStrictEqual(yield* data(emitter.emit("pair", [1])), ["pair", 1, null, "id"])
      assert.deepStrictEqual(yield* data(emitter.emit("plain", "text")), ["plain", "text"])
      assert.deepStrictEqual(yield* data(emitter.emit("numbered", { id: "0123456789abcdef" })), [
        "numbered",
        { id: "0123456789abcdef" }
      ])
      // An event that is sent without an emitter has none.
      yield* socket.emit("tick")
      assert.deepStrictEqual(yield* sent(last()), ['42/shop,["tick"]'])
    })
  )

  it.effect("do not change that a wrong payload fails, and is not sent", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup
      yield* admit(last())
      const emitter = yield* RetryingEmitter.make(socket, retry)
      const result = yield* Effect.result(emitter.emit("order", 5 as never))
      assert.strictEqual(reasonOf(result), "PayloadRefused")
      assert.deepStrictEqual(yield* sent(last()), [])
    })
  )
})

describe("a refusal that names a time", () => {
  it.effect("takes one try, and the next one comes after that time", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup
      yield* admit(last())
      const emitter = yield* RetryingEmitter.make(socket, { retries: 1, ackTimeout: "5 seconds" })
      const emitting = yield* fork(emitter.emit("order", "book"))
      const refuse = (packet: string, data: string) =>
        answer(last(), packet, `[{"_tag":"Failure","error":{"_tag":"EventRefused","message":"later"${data}}}]`)
      const [first] = yield* sent(last())
      yield* refuse(first!, ',"data":{"retryAfter":2000}')
      yield* TestClock.adjust("1999 millis")
      assert.deepStrictEqual(yield* sent(last()), [])
      yield* TestClock.adjust("1 millis")
      const [second] = yield* sent(last())
      assert.deepStrictEqual(dataOf(second!), dataOf(first!))
      // Nobody waits longer than a minute, and there is no third try.
      yield* refuse(second!, ',"data":{"retryAfter":1e9}')
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(reasonOf(yield* Fiber.join(emitting)), "EventRefused")
      // Without a time it is an answer.
      const refused = yield* fork(emitter.emit("order", "book"))
      yield* refuse((yield* sent(last()))[0]!, ',"data":{"id":"missing"}')
      assert.strictEqual(reasonOf(yield* Fiber.join(refused)), "EventRefused")
    })
  )
})

/** A store in memory that survives clients, and fails when it is told to. */
const makeStore = () => {
  const map = new Map<string, string>()
  const fails = { get: false, set: false, remove: false }
  const error = (method: string) => new KeyValueStore.KeyValueStoreError({ method, message: "no" })
  /** Writes wait for it, if it is there. */
  let gate: Deferred.Deferred<void> | undefined
  const store = KeyValueStore.makeStringOnly({
    get: (key) => (fails.get ? Effect.fail(error("get")) : Effect.sync(() => map.get(key))),
    set: (key, value) =>
      Effect.suspend(() =>
        fails.set
          ? Effect.fail(error("set"))
          : Effect.andThen(
              gate === undefined ? Effect.void : Deferred.await(gate),
              Effect.sync(() => void map.set(key, value))
            )
      ),
    remove: (key) => (fails.remove ? Effect.fail(error("remove")) : Effect.sync(() => void map.delete(key))),
    clear: Effect.sync(() => map.clear()),
    size: Effect.sync(() => map.size),
    keys: Effect.sync(() => [...map.keys()].toReversed())
  })
  return { map, fails, store, hold: (next: Deferred.Deferred<void> | undefined) => void (gate = next) }
}

describe("the outbox of a RetryingEmitter", () => {
  const open = (socket: ShopSocket, store: KeyValueStore.KeyValueStore, more: object = {}) =>
    RetryingEmitter.make(socket, { ...retry, outbox: store, ...more })

  it.effect("holds an event until it is acknowledged, and the next client sends what is left, in order", () =>
    Effect.gen(function* () {
      const { map, store } = makeStore()
      const first = yield* setup
      yield* admit(first.last())
      const emitter = yield* open(first.socket, store)
      const waits = yield* Effect.forEach(["a", "b", "c"], (article) => emitter.offer("order", article))
      assert.strictEqual(map.size, 3)
      assert.strictEqual(yield* emitter.size, 3)
      const [a] = yield* sent(first.last())
      yield* answer(first.last(), a!, '[{"_tag":"Success","value":1}]')
      assert.strictEqual(yield* waits[0]!, 1)
      assert.strictEqual(map.size, 2)
      const [b] = yield* sent(first.last())
      // The socket ends: those who wait are told, and the events stay.
      yield* Scope.close(first.scope, Exit.void)
      assert.strictEqual(reasonOf(yield* Effect.result(waits[1]!)), "Disconnected")
      assert.strictEqual(reasonOf(yield* Effect.result(waits[2]!)), "Disconnected")
      assert.strictEqual(reasonOf(yield* Effect.result(emitter.offer("order", "d"))), "Disconnected")
      assert.strictEqual(map.size, 2)

      const second = yield* setup
      yield* admit(second.last())
      const restored: Array<RetryingEmitter.RestoredEvent> = []
      const next = yield* open(second.socket, store, {
        onRestored: (event: RetryingEmitter.RestoredEvent) => Effect.sync(() => void restored.push(event))
      })
      const d = yield* next.offer("order", "d")
      const [again] = yield* sent(second.last())
      assert.deepStrictEqual(dataOf(again!), dataOf(b!))
      yield* answer(second.last(), again!, '[{"_tag":"Success","value":2}]')
      const [c] = yield* sent(second.last())
      assert.deepStrictEqual(dataOf(c!).slice(0, 2), ["order", "c"])
      yield* answer(second.last(), c!, '[{"_tag":"Failure","error":{"_tag":"SoldOut","article":"c"}}]')
      const [last] = yield* sent(second.last())
      assert.deepStrictEqual(dataOf(last!).slice(0, 2), ["order", "d"])
      yield* answer(second.last(), last!, '[{"_tag":"Success","value":4}]')
      assert.strictEqual(yield* d, 4)
      assert.strictEqual(map.size, 0)
      assert.strictEqual(yield* next.size, 0)
      assert.deepStrictEqual(restored, [
        { event: "order", payload: "b", exit: Exit.succeed(2) },
        { event: "order", payload: "c", exit: Exit.fail(new SoldOut({ article: "c" })) }
      ])
    })
  )

  it.effect("keeps an event whose wait is interrupted", () =>
    Effect.gen(function* () {
      const { map, store } = makeStore()
      const { last, socket } = yield* setup
      const emitter = yield* open(socket, store)
      const emitting = yield* Effect.forkChild(emitter.emit("order", "a"), { startImmediately: true })
      yield* Fiber.interrupt(emitting)
      assert.strictEqual(map.size, 1)
      yield* admit(last())
      const [packet] = yield* sent(last())
      yield* answer(last(), packet!, '[{"_tag":"Success","value":1}]')
      yield* sent(last())
      assert.strictEqual(map.size, 0)
    })
  )

  it.effect("sends nothing that it has not written, and writes in the order of the calls", () =>
    Effect.gen(function* () {
      const { hold, map, store } = makeStore()
      const { last, socket } = yield* setup
      yield* admit(last())
      const emitter = yield* open(socket, store)
      const gate = yield* Deferred.make<void>()
      hold(gate)
      yield* fork(emitter.emit("order", "a"))
      yield* fork(emitter.emit("order", "b"))
      assert.deepStrictEqual(yield* sent(last()), [])
      hold(undefined)
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(dataOf((yield* sent(last()))[0]!).slice(0, 2), ["order", "a"])
      assert.deepStrictEqual(
        [...map.values()].map((text) => JSON.parse(text)[0][1]),
        ["a", "b"]
      )
    })
  )

  it.effect("gives an event up when its retries are used up", () =>
    Effect.gen(function* () {
      const { map, store } = makeStore()
      const { last, socket } = yield* setup
      yield* admit(last())
      const emitter = yield* open(socket, store, { retries: 0 })
      const emitting = yield* fork(emitter.emit("order", "a"))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(reasonOf(yield* Fiber.join(emitting)), "Timeout")
      assert.strictEqual(map.size, 0)
    })
  )

  it.effect("is bounded in events and in characters, also by what an earlier client has left", () =>
    Effect.gen(function* () {
      const { map, store } = makeStore()
      const { socket } = yield* setup
      const emitter = yield* open(socket, store, { maxEvents: 2 })
      yield* emitter.offer("order", "a")
      yield* emitter.offer("order", "b")
      const error = yield* Effect.flip(emitter.offer("order", "c"))
      assert.strictEqual(error._tag === "OutboxError" && error.reason._tag, "Full")
      assert.strictEqual(map.size, 2)
      const { socket: other } = yield* setup
      const next = yield* open(other, store, { maxBytes: 400 })
      assert.strictEqual(yield* next.size, 2)
      const large = yield* Effect.flip(next.offer("order", "x".repeat(300)))
      assert.strictEqual(large._tag === "OutboxError" && large.reason._tag, "Full")
      yield* next.offer("order", "c")
      assert.strictEqual(map.size, 3)
    })
  )

  it.effect("fails when its store does, with what was accepted still in it", () =>
    Effect.gen(function* () {
      const { fails, map, store } = makeStore()
      const { last, socket } = yield* setup
      yield* admit(last())
      const emitter = yield* open(socket, store)
      fails.set = true
      const error = yield* Effect.flip(emitter.emit("order", "a"))
      assert.strictEqual(error._tag === "OutboxError" && error.reason._tag, "StoreFailed")
      assert.strictEqual(yield* emitter.size, 0)
      assert.deepStrictEqual(yield* sent(last()), [])
      fails.set = false
      // An event that cannot be removed is answered all the same. The next client sends it again.
      fails.remove = true
      const emitting = yield* fork(emitter.emitWithAck("order", "b"))
      const [packet] = yield* sent(last())
      yield* answer(last(), packet!, '[{"_tag":"Success","value":1}]')
      assert.deepStrictEqual(yield* Fiber.join(emitting), Result.succeed(1))
      assert.strictEqual(map.size, 1)
      fails.get = true
      const { socket: other } = yield* setup
      const unread = yield* Effect.flip(open(other, store))
      assert.strictEqual(unread._tag === "OutboxError" && unread.reason._tag, "StoreFailed")
    })
  )

  it.effect("drops what a crash has cut, leaves what is not its own, and what no contract declares fails", () =>
    Effect.gen(function* () {
      const { map, store } = makeStore()
      map.set("socket.io-outbox:/shop:0000000000000001:aaaaaaaaaaaaaaaaaaaa", '[["order","a",{"id":"aaaa')
      map.set("socket.io-outbox:/shop:0000000000000002:bbbbbbbbbbbbbbbbbbbb", '[["gone","b"]]')
      map.set("socket.io-outbox:/shop:0000000000000003:cccccccccccccccccccc", '[["plain","c"]]')
      map.set("socket.io-outbox:/other:0000000000000003:cccccccccccccccccccc", "other")
      map.set("theme", "dark")
      const { last, socket } = yield* setup
      yield* admit(last())
      const restored: Array<RetryingEmitter.RestoredEvent> = []
      yield* open(socket, store, {
        onRestored: (event: RetryingEmitter.RestoredEvent) => Effect.sync(() => void restored.push(event))
      })
      const [packet] = yield* sent(last())
      assert.deepStrictEqual(dataOf(packet!), ["plain", "c"])
      assert.strictEqual(restored[0]!.event, "gone")
      assert.match(String(restored[0]!.exit), /EventNotHandled/)
      yield* answer(last(), packet!, "[]")
      yield* sent(last())
      assert.deepStrictEqual(
        [...map.keys()],
        ["socket.io-outbox:/other:0000000000000003:cccccccccccccccccccc", "theme"]
      )
    })
  )

  it.effect("takes bytes, and refuses what cannot be stored", () =>
    Effect.gen(function* () {
      const { store } = makeStore()
      const first = yield* setup
      const emitter = yield* open(first.socket, store)
      yield* emitter.offer("image", new Uint8Array([1, 2, 3]))
      const blob = yield* Effect.flip(emitter.offer("image", Binary.fromBlob(new Blob(["x"]))))
      assert.strictEqual(blob._tag === "OutboxError" && blob.reason._tag, "Unstorable")
      yield* Scope.close(first.scope, Exit.void)
      const second = yield* setup
      yield* admit(second.last())
      yield* open(second.socket, store)
      const [text, bytes] = (yield* sent(second.last())) as ReadonlyArray<unknown>
      assert.match(String(text), /^451-\/shop,\d+\["image",\{"_placeholder":true,"num":0\},\{"id":"[\w-]{20}"\}\]$/)
      assert.deepStrictEqual(new Uint8Array(bytes as Uint8Array), new Uint8Array([1, 2, 3]))
    })
  )

  it.effect("is refused with bounds that make no sense", () =>
    Effect.gen(function* () {
      const { socket } = yield* setup
      for (const option of ["maxEvents", "maxBytes"]) {
        const error = yield* Effect.flip(open(socket, makeStore().store, { [option]: 0 }))
        assert.strictEqual(error._tag === "InvalidOptionError" && error.option, option)
      }
    })
  )
})

describe("a RetryingEmitter, to a real server", () => {
  it.live("has an event handled once, though its first answer is late", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      let runs = 0
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(Shop, () =>
          Effect.succeed(
            Shop.of({
              order: () => {
                runs++
                return Effect.as(Deferred.await(gate), runs)
              },
              pair: () => Effect.void,
              tick: () => Deferred.succeed(gate, undefined),
              numbered: () => Effect.void,
              plain: () => Effect.void,
              image: () => Effect.void
            })
          )
        )
      )
      const client = yield* Layer.build(SocketIoClient.layer({ url }))
      yield* Effect.provideContext(
        Effect.gen(function* () {
          const socket = yield* SocketIoClient.connect(Shop)
          const emitter = yield* RetryingEmitter.make(socket, { retries: Infinity, ackTimeout: "50 millis" })
          const tries: Array<unknown> = []
          yield* socket.onAnyOutgoing((event) => Effect.sync(() => void tries.push(event)))
          const first = yield* Effect.forkChild(emitter.emitWithAck("order", "a"), { startImmediately: true })
          yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => tries.length >= 3 })
          const opener = yield* RetryingEmitter.make(socket, { retries: 0, ackTimeout: "5 seconds" })
          yield* opener.emit("tick")
          assert.strictEqual(yield* Fiber.join(first), 1)
          assert.strictEqual(runs, 1)
        }),
        client
      )
    })
  )
})
