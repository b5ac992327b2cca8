/**
 * Events that are handled once: the official client, which sends an id, and the server's answers.
 */
import { createServer } from "node:http"

import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Metric, Option, Schema } from "effect"
import type { Socket } from "socket.io-client"

import * as Binary from "../../src/Binary.ts"
import * as Event from "../../src/Event.ts"
import * as EventAnswer from "../../src/EventAnswer.ts"
import { CurrentMessageId, Idempotency, IdempotencyError, layerMemory } from "../../src/idempotency/Idempotency.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import type * as Once from "../../src/Once.ts"
import * as ServerMetrics from "../../src/server/ServerMetrics.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { attempt, call, client, connect, listen, next, serve } from "../support/serve.ts"

class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", { article: Schema.String }) {}
class CurrentUser extends Context.Service<CurrentUser, string>()("once/CurrentUser") {}

const Article = { article: Schema.String }

const Order = Event.make("order", { payload: Article, ack: Schema.Int, error: SoldOut, once: {} })
const Plain = Event.make("plain", { payload: Article, ack: Schema.Int })
const Pair = Event.make("pair", { args: [Schema.String, Schema.Int], ack: Schema.String, once: {} })
const Tick = Event.make("tick", { once: {} })
const Image = Event.make("image", { ack: Schema.Struct({ data: Binary.Bytes, size: Schema.Int }), once: {} })
const Numbered = Event.make("numbered", {
  payload: { number: Schema.String },
  ack: Schema.Int,
  once: { key: ({ number }) => number }
})

class Shop extends Namespace.make("/shop", {
  clientToServer: [Order, Plain, Pair, Tick, Image, Numbered]
}) {}

type Handlers = Namespace.Handlers<Namespace.ClientToServer<typeof Shop>>

let handled = 0

/** Handlers of which a test replaces those that it is about. */
const shop = (overrides: Partial<Handlers> = {}) =>
  SocketIoServer.layerNamespace(Shop, () =>
    Effect.sync(() => {
      const count = () => Effect.sync(() => ++handled)
      return Shop.of({
        order: count,
        plain: count,
        pair: ([text, n]) => Effect.as(count(), `${text} ${n}`),
        tick: count,
        image: () => Effect.map(count(), (size) => ({ data: new Uint8Array([1, 2, size]), size })),
        numbered: count,
        ...overrides
      } as Handlers)
    })
  )

const open = Effect.fnUntraced(function* (overrides: Partial<Handlers> = {}) {
  handled = 0
  const serving = yield* serve(shop(overrides))
  const url = `${serving.url}/shop`
  return { ...serving, url, socket: yield* connect(url) }
})

const id = "0f4c7d62-4e0f-4a43-9a0e-1c8f1c1f5b1a"

const refused = (data: unknown, message: string) => ({
  _tag: "Failure",
  error: { _tag: "EventRefused", message, data }
})

describe("an event that is handled once", () => {
  it.live("is answered again as it was answered, over any connection, and its handler runs once", () =>
    Effect.gen(function* () {
      const { socket, url } = yield* open()
      const order = (socket: Socket, id: string) => call(socket, "order", { article: "book" }, { id })
      assert.deepStrictEqual(yield* order(socket, id), { _tag: "Success", value: 1 })
      assert.deepStrictEqual(yield* order(socket, id), { _tag: "Success", value: 1 })
      const other = yield* connect(url)
      assert.deepStrictEqual(yield* order(other, id), { _tag: "Success", value: 1 })
      assert.deepStrictEqual(yield* order(other, `${id}2`), { _tag: "Success", value: 2 })
      assert.strictEqual(handled, 2)
    })
  )

  it.live("is not confused with another event, or the same event in another namespace, with the same id", () =>
    Effect.gen(function* () {
      const { server, socket, url } = yield* open()
      class Other extends Namespace.make("/other", { clientToServer: [Order] }) {}
      yield* Layer.build(
        SocketIoServer.layerNamespace(Other, () => Effect.succeed(Other.of({ order: () => Effect.succeed(-1) }))).pipe(
          Layer.provide(Layer.succeedContext(server))
        )
      )
      assert.deepStrictEqual(yield* call(socket, "order", { article: "book" }, { id }), { _tag: "Success", value: 1 })
      assert.strictEqual(yield* call(socket, "pair", "a", 1, { id }), "a 1")
      const other = yield* connect(url.replace("/shop", "/other"))
      assert.deepStrictEqual(yield* call(other, "order", { article: "book" }, { id }), { _tag: "Success", value: -1 })
    })
  )

  it.live("has its id after the arguments that it declares: none, one or several", () =>
    Effect.gen(function* () {
      const { socket } = yield* open()
      for (let i = 0; i < 2; i++) {
        assert.strictEqual(yield* call(socket, "pair", "a", 1, { id }), "a 1")
        assert.isUndefined(yield* call(socket, "tick", { id }))
        assert.deepStrictEqual(yield* call(socket, "order", { article: "a" }, { id }), { _tag: "Success", value: 3 })
      }
      assert.strictEqual(handled, 3)
    })
  )

  it.live("is answered again with bytes", () =>
    Effect.gen(function* () {
      const { socket } = yield* open()
      const first = yield* call(socket, "image", { id })
      const again = yield* call(socket, "image", { id })
      assert.deepStrictEqual(first, { data: Buffer.from([1, 2, 1]), size: 1 })
      assert.deepStrictEqual(again, first)
    })
  )

  it.live("is answered again with the failure that it declares", () =>
    Effect.gen(function* () {
      let tries = 0
      const { socket } = yield* open({
        order: ({ article }) => Effect.suspend(() => Effect.fail(new SoldOut({ article: `${article} ${++tries}` })))
      })
      const expected = { _tag: "Failure", error: { _tag: "SoldOut", article: "book 1" } }
      for (let i = 0; i < 2; i++) {
        assert.deepStrictEqual(yield* call(socket, "order", { article: "book" }, { id }), expected)
      }
      assert.strictEqual(tries, 1)
    })
  )

  it.live("is handled again after a defect, and after an answer that does not fit its schema", () =>
    Effect.gen(function* () {
      const outcomes: Array<Effect.Effect<number>> = [
        Effect.die(new Error("once")),
        Effect.succeed(0.5),
        Effect.succeed(3)
      ]
      const { logs, socket } = yield* open({ order: () => Effect.suspend(() => outcomes.shift()!) })
      const order = () => call(socket, "order", { article: "book" }, { id })
      const died = { _tag: "Failure", error: { _tag: "InternalError" } }
      assert.deepStrictEqual(yield* order(), died)
      assert.deepStrictEqual(yield* order(), died)
      assert.deepStrictEqual(yield* order(), { _tag: "Success", value: 3 })
      assert.deepStrictEqual(yield* order(), { _tag: "Success", value: 3 })
      assert.strictEqual(logs.filter((line) => line.includes("event handler failed")).length, 2)
    })
  )

  it.live("waits while it is handled, also over another connection, and gets the same answer", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const started = yield* Deferred.make<void>()
      let runs = 0
      const { socket, url } = yield* open({
        order: () =>
          Effect.andThen(
            Effect.suspend(() => {
              runs++
              return Deferred.succeed(started, undefined)
            }),
            Effect.as(Deferred.await(gate), 7)
          )
      })
      const other = yield* connect(url)
      const order = (socket: Socket) =>
        Effect.forkChild(call(socket, "order", { article: "book" }, { id }), { startImmediately: true })
      const fibers = [yield* order(socket), yield* order(socket), yield* order(other)]
      yield* Deferred.await(started)
      // The event after it on the other connection has been handled.
      assert.strictEqual(yield* call(other, "plain", { article: "book" }), 1)
      assert.isTrue(fibers.every((fiber) => fiber.pollUnsafe() === undefined))
      yield* Deferred.succeed(gate, undefined)
      for (const fiber of fibers) assert.deepStrictEqual(yield* Fiber.join(fiber), { _tag: "Success", value: 7 })
      assert.strictEqual(runs, 1)
    })
  )

  it.live("is handled to its end though its client leaves, and its answer is kept", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      let runs = 0
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(Shop, (socket) =>
          Effect.gen(function* () {
            // The scope of the socket is open as long as its handlers use it.
            yield* Effect.addFinalizer(() => Deferred.succeed(ended, undefined))
            const order = Effect.suspend(() => {
              runs++
              return Deferred.succeed(started, undefined)
            }).pipe(
              Effect.andThen(Deferred.await(gate)),
              // A timeout works within it.
              Effect.andThen(Effect.timeoutOption(Effect.never, "10 millis")),
              Effect.andThen(Effect.sync(() => (Deferred.isDoneUnsafe(ended) && socket.id === first.id ? -1 : runs)))
            )
            const nothing = () => Effect.void as Effect.Effect<any>
            return Shop.of({
              order: () => order,
              plain: () => Effect.succeed(0),
              pair: nothing,
              tick: nothing,
              image: nothing,
              numbered: nothing
            })
          })
        )
      )
      const first = { id: "" }
      const socket = yield* connect(`${url}/shop`)
      first.id = socket.id!
      const other = yield* connect(`${url}/shop`)
      socket.emit("order", { article: "book" }, { id })
      yield* Deferred.await(started)
      const waiting = yield* Effect.forkChild(call(other, "order", { article: "book" }, { id }), {
        startImmediately: true
      })
      socket.disconnect()
      assert.strictEqual(yield* call(other, "plain", { article: "book" }), 0)
      assert.isUndefined(waiting.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* Fiber.join(waiting), { _tag: "Success", value: 1 })
      yield* Deferred.await(ended)
      assert.strictEqual(runs, 1)
    })
  )

  it.live("is handled by the next one that waits, if its handler may be interrupted and its client leaves", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      let runs = 0
      const { socket, url } = yield* open({
        order: () =>
          Effect.suspend(() =>
            ++runs === 1
              ? Effect.andThen(Deferred.succeed(started, undefined), Effect.interruptible(Effect.never))
              : Effect.succeed(runs)
          )
      })
      const other = yield* connect(url)
      socket.emit("order", { article: "book" }, { id })
      yield* Deferred.await(started)
      const waiting = yield* Effect.forkChild(call(other, "order", { article: "book" }, { id }), {
        startImmediately: true
      })
      assert.strictEqual(yield* call(other, "plain", { article: "book" }), 1)
      assert.isUndefined(waiting.pollUnsafe())
      socket.disconnect()
      assert.deepStrictEqual(yield* Fiber.join(waiting), { _tag: "Success", value: 2 })
    })
  )

  it.live("is kept though its client has left, if its handler has ended", () =>
    Effect.gen(function* () {
      const { socket, url } = yield* open()
      socket.emit("order", { article: "book" }, { id })
      // The answer to the next one says that the first one was handled.
      yield* call(socket, "plain", { article: "book" })
      socket.disconnect()
      const other = yield* connect(url)
      assert.deepStrictEqual(yield* call(other, "order", { article: "book" }, { id }), { _tag: "Success", value: 1 })
      assert.strictEqual(handled, 2)
    })
  )

  it.live("keeps its place under a limit of concurrency", () =>
    Effect.gen(function* () {
      handled = 0
      const seen: Array<string> = []
      class Queue extends Namespace.make("/queue", { concurrency: 1, clientToServer: [Order, Plain] }) {}
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(Queue, () =>
          Effect.succeed(
            Queue.of({
              order: ({ article }) =>
                Effect.andThen(
                  Effect.yieldNow,
                  Effect.sync(() => seen.push(article))
                ),
              plain: ({ article }) => Effect.sync(() => seen.push(article))
            })
          )
        )
      )
      const socket = yield* connect(`${url}/queue`)
      socket.emit("order", { article: "a" }, { id })
      socket.emit("plain", { article: "b" })
      socket.emit("order", { article: "a" }, { id })
      socket.emit("order", { article: "c" }, { id: `${id}2` })
      yield* call(socket, "plain", { article: "d" })
      assert.deepStrictEqual(seen, ["a", "b", "c", "d"])
    })
  )
})

describe("the id of a message", () => {
  const missing = refused(
    { id: "missing" },
    "the event needs an id of 16 to 256 characters: { id } after its arguments"
  )
  const invalid = refused({ id: "invalid" }, "the id must have 16 to 256 characters")

  it.live("is needed: without one the event is refused, and its client and the log say so", () =>
    Effect.gen(function* () {
      const { logs, server, socket } = yield* open()
      for (const attributes of [[], [null], ["an id that is no object"], [[id]], [{ id: 5 }], [{ ID: id }], [{}]]) {
        assert.deepStrictEqual(yield* call(socket, "order", { article: "book" }, ...attributes), missing)
      }
      assert.deepStrictEqual(yield* call(socket, "order", { article: "book" }, { id: "x".repeat(257) }), missing)
      assert.deepStrictEqual(yield* call(socket, "order", { article: "book" }, {}, { id }), missing)
      assert.deepStrictEqual(yield* call(socket, "order", { article: "book" }, { id: "x".repeat(15) }), invalid)
      assert.strictEqual(handled, 0)
      // The answer of an event without declared failures is the same.
      assert.deepStrictEqual(yield* call(socket, "pair", "a", 1), missing)
      assert.isTrue(logs.some((line) => line.startsWith("Warn [socket.io:socket] event refused")))
      const count = yield* Effect.provideContext(
        Metric.value(Metric.withAttributes(ServerMetrics.eventsRefused, { namespace: "/shop", event: "order" })),
        server as Context.Context<never>
      )
      assert.isAtLeast(count.count, 10)
    })
  )

  it.live("is counted where it spares a handler", () =>
    Effect.gen(function* () {
      const { socket } = yield* open()
      const repeated = Metric.value(
        Metric.withAttributes(ServerMetrics.eventsRepeated, { namespace: "/shop", event: "order" })
      )
      const before = (yield* repeated).count
      for (let i = 0; i < 3; i++) yield* call(socket, "order", { article: "book" }, { id })
      assert.strictEqual((yield* repeated).count - before, 2)
    })
  )

  it.live("may be in the payload", () =>
    Effect.gen(function* () {
      const { socket } = yield* open()
      const number = "2026-000000000017"
      assert.strictEqual(yield* call(socket, "numbered", { number }), 1)
      assert.strictEqual(yield* call(socket, "numbered", { number }, { id }), 1)
      assert.deepStrictEqual(yield* call(socket, "numbered", { number: "17" }), invalid)
      assert.deepStrictEqual(yield* call(socket, "numbered", { number: "1".repeat(257) }), invalid)
    })
  )

  it.live("means nothing to an event that does not ask for it", () =>
    Effect.gen(function* () {
      const { socket } = yield* open()
      assert.strictEqual(yield* call(socket, "plain", { article: "book" }, { id }), 1)
      assert.strictEqual(yield* call(socket, "plain", { article: "book" }, { id }), 2)
    })
  )

  it.live("is known to the handler, and only to it", () =>
    Effect.gen(function* () {
      const seen: Array<Option.Option<string>> = []
      const look = Effect.map(CurrentMessageId, (id) => seen.push(id))
      const { socket } = yield* open({ order: () => look, plain: () => look, numbered: () => look })
      yield* call(socket, "order", { article: "book" }, { id })
      yield* call(socket, "plain", { article: "book" }, { id })
      yield* call(socket, "numbered", { number: "2026-000000000017" })
      assert.deepStrictEqual(seen, [Option.some(id), Option.none(), Option.some("2026-000000000017")])
    })
  )
})

describe("the owner of a message", () => {
  class Authentication extends NamespaceMiddleware.Service<Authentication>()("once/Authentication", {
    provides: CurrentUser,
    auth: Schema.Struct({ user: Schema.String })
  }) {}
  const AuthenticationLive = Layer.succeed(Authentication, ({ auth }) => Effect.succeed(auth.user))
  const byService = Event.make("by-service", {
    payload: Schema.String,
    ack: Schema.Int,
    once: { owner: (_, services) => Context.getUnsafe(services, CurrentUser) }
  })
  const byAuth = Event.make("by-auth", {
    payload: Schema.String,
    ack: Schema.Int,
    once: { owner: (socket: Once.OwnerSocket<{ readonly user: string }>) => socket.auth.user }
  })
  const byData = Event.make("by-data", {
    payload: Schema.String,
    ack: Schema.Int,
    once: { owner: ({ data }) => data["user"] as string }
  })
  class Owned extends Namespace.make("/owned", {
    auth: Schema.Struct({ user: Schema.String }),
    data: { user: Schema.String },
    clientToServer: [byService, byAuth, byData]
  }).middleware(Authentication) {}

  const OwnedLive = SocketIoServer.layerNamespace(Owned, (socket) =>
    Effect.gen(function* () {
      const user = yield* CurrentUser
      if (user !== "nobody") yield* socket.setData({ user })
      const count = () => Effect.sync(() => ++handled)
      return Owned.of({ "by-service": count, "by-auth": count, "by-data": count })
    })
  ).pipe(Layer.provide(AuthenticationLive))

  it.live("keeps ids apart, which may be short then: from a service, the auth payload or the data", () =>
    Effect.gen(function* () {
      handled = 0
      const { url } = yield* serve(OwnedLive)
      const ada = yield* connect(`${url}/owned`, { auth: { user: "ada" } })
      const again = yield* connect(`${url}/owned`, { auth: { user: "ada" } })
      const grace = yield* connect(`${url}/owned`, { auth: { user: "grace" } })
      for (const event of ["by-service", "by-auth", "by-data"]) {
        handled = 0
        assert.strictEqual(yield* call(ada, event, "book", { id: "1" }), 1)
        assert.strictEqual(yield* call(again, event, "book", { id: "1" }), 1)
        assert.strictEqual(yield* call(grace, event, "book", { id: "1" }), 2)
        assert.deepStrictEqual(
          yield* call(grace, event, "book", { id: "" }),
          refused({ id: "invalid" }, "the id must have 1 to 256 characters")
        )
      }
    })
  )

  it.live("must be there: an event without one fails as a handler does", () =>
    Effect.gen(function* () {
      handled = 0
      const { logs, url } = yield* serve(OwnedLive)
      const nobody = yield* connect(`${url}/owned`, { auth: { user: "nobody" } })
      assert.deepStrictEqual(yield* call(nobody, "by-data", "book", { id: "1" }), {
        _tag: "Failure",
        error: { _tag: "InternalError" }
      })
      assert.strictEqual(handled, 0)
      assert.isTrue(logs.some((line) => line.includes('owner of event "by-data" must be a text')))
    })
  )
})

describe("a store of answers that does not work", () => {
  const failing = (fails: { claim: boolean; complete: boolean }) => {
    const error = new IdempotencyError({ reason: { _tag: "Unavailable" }, message: "secret: 10.0.0.7 is down" })
    return Layer.succeed(Idempotency, {
      claim: () =>
        fails.claim
          ? Effect.fail(error)
          : Effect.succeed({
              _tag: "Claimed",
              complete: () => (fails.complete ? Effect.fail(error) : Effect.void)
            } as const)
    })
  }

  it.live("refuses events, which may come again later, and tells clients no more than that", () =>
    Effect.gen(function* () {
      handled = 0
      const fails = { claim: true, complete: false }
      const { logs, url } = yield* serve(shop().pipe(Layer.provide(failing(fails))))
      const socket = yield* connect(`${url}/shop`)
      const answer = yield* call(socket, "order", { article: "book" }, { id })
      assert.deepStrictEqual(answer, refused({ retryAfter: 1_000 }, "the event cannot be handled now"))
      assert.strictEqual(handled, 0)
      assert.isTrue(logs.some((line) => line.startsWith("Error event refused") && line.includes("10.0.0.7")))
      const exit = yield* Effect.exit(EventAnswer.decode(Order, [answer]))
      assert.isTrue(Exit.isFailure(exit))
      fails.claim = false
      assert.deepStrictEqual(yield* call(socket, "order", { article: "book" }, { id }), { _tag: "Success", value: 1 })
    })
  )

  it.live("may be below the server's layer, for all of its namespaces", () =>
    Effect.gen(function* () {
      handled = 0
      const http = createServer()
      const url = yield* listen(http)
      const server = NodeSocketIoServer.layerAttached(http).pipe(
        Layer.provide(failing({ claim: true, complete: false })),
        Layer.provide(Logger.layer([]))
      )
      yield* Layer.build(Layer.provide(shop(), server))
      const socket = yield* connect(`${url}/shop`)
      const answer = yield* call(socket, "order", { article: "book" }, { id })
      assert.deepStrictEqual(answer, refused({ retryAfter: 1_000 }, "the event cannot be handled now"))
    })
  )

  it.live("costs no answer of a handler that has run, and is logged", () =>
    Effect.gen(function* () {
      handled = 0
      const { logs, url } = yield* serve(shop().pipe(Layer.provide(failing({ claim: false, complete: true }))))
      const socket = yield* connect(`${url}/shop`)
      assert.deepStrictEqual(yield* call(socket, "order", { article: "book" }, { id }), { _tag: "Success", value: 1 })
      assert.isTrue(logs.some((line) => line.includes("its answer was not kept")))
    })
  )
})

describe("a client that invents ids", () => {
  it.live("displaces its own answers, and not those of others", () =>
    Effect.gen(function* () {
      handled = 0
      const memory = layerMemory({ maxEntries: 1_000, maxEntriesPerClient: 100 })
      const { url } = yield* serve(shop().pipe(Layer.provide(memory)))
      const honest = yield* connect(`${url}/shop`)
      assert.strictEqual(yield* call(honest, "pair", "a", 1, { id }), "a 1")
      const hostile = yield* connect(`${url}/shop`)
      const invented = (i: number) => ({ id: `${i} `.padEnd(256, "x") })
      for (let i = 0; i < 1_500; i++) hostile.emit("order", { article: "book" }, invented(i))
      // Those that it has displaced are handled again, the latest ones are not.
      assert.deepStrictEqual(yield* call(hostile, "order", { article: "book" }, invented(1_499)), {
        _tag: "Success",
        value: 1_501
      })
      assert.deepStrictEqual(yield* call(hostile, "order", { article: "book" }, invented(0)), {
        _tag: "Success",
        value: 1_502
      })
      yield* call(honest, "pair", "a", 1, { id })
      assert.strictEqual(handled, 1_502)
    })
  )

  it.live("or repeats one, while its handler runs, is held to the events that may wait", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(shop({ order: () => Effect.never }), {
        limits: { maxPendingEvents: 100 },
        reading: { pauseAt: 100, resumeAt: 50 }
      })
      const socket = yield* connect(`${url}/shop`)
      const gone = next(socket, "disconnect")
      for (let i = 0; i < 200; i++) socket.emit("order", { article: "book" }, { id })
      assert.strictEqual((yield* gone)[0], "transport close")
    })
  )
})

describe("a client that leaves while its messages are handled", () => {
  const serveWaiting = Effect.fnUntraced(function* (
    options: NodeSocketIoServer.NodeOptions,
    memory: Parameters<typeof layerMemory>[0] = {}
  ) {
    handled = 0
    const gate = yield* Deferred.make<void>()
    const order = () => Effect.as(Deferred.await(gate), 1)
    const { server, url } = yield* serve(shop({ order }).pipe(Layer.provide(layerMemory(memory))), options)
    const { connectionCount } = Context.get(server, SocketIoServer.SocketIoServer)
    const left = (count: number) =>
      Effect.repeat(Effect.andThen(Effect.sleep(5), connectionCount), { until: (open) => open === count })
    return { url: `${url}/shop`, gate, left }
  })

  it.live("counts as a connection until their handlers have ended, over every transport", () =>
    Effect.gen(function* () {
      const { gate, left, url } = yield* serveWaiting({ limits: { maxConnections: 3 } })
      const other = yield* connect(url)
      for (const transport of ["websocket", "polling"]) {
        const leaving = yield* connect(url, { transports: [transport] })
        leaving.emit("order", { article: "book" }, { id: `${id} ${transport}` })
        // The answer to the next one says that its handler has started.
        yield* call(leaving, "plain", { article: "book" })
        leaving.disconnect()
        yield* left(1)
      }
      assert.match(yield* attempt(yield* client(url)), /^refused/)
      assert.strictEqual(yield* call(other, "plain", { article: "book" }), 3)
      yield* Deferred.succeed(gate, undefined)
      yield* call(other, "plain", { article: "book" })
      const more = [yield* connect(url), yield* connect(url)]
      assert.match(yield* attempt(yield* client(url)), /^refused/)
      for (const socket of more) socket.disconnect()
      yield* left(1)
      // One whose handlers may be interrupted, or have ended, is gone at once.
      yield* connect(url)
      yield* connect(url)
    })
  )

  it.live("leaves places for messages of others, however often it does", () =>
    Effect.gen(function* () {
      const { gate, left, url } = yield* serveWaiting({}, { maxRunning: 200 })
      for (let i = 0; i < 10; i++) {
        const leaving = yield* connect(url)
        for (let n = 0; n < 200; n++) leaving.emit("order", { article: "book" }, { id: `${id} ${i} ${n}` })
        yield* call(leaving, "plain", { article: "book" })
        leaving.disconnect()
        yield* left(0)
      }
      const honest = yield* connect(url)
      assert.strictEqual(yield* call(honest, "pair", "a", 1, { id }), "a 1")
      yield* Deferred.succeed(gate, undefined)
    })
  )
})

describe("the types of an event that is handled once", () => {
  it("are those of its payload", () => {
    // @ts-expect-error: the payload has no such member
    Event.make("wrong", { payload: Article, once: { key: ({ number }) => number } })
    // @ts-expect-error: an id is a text
    Event.make("wrong", { payload: { n: Schema.Int }, once: { key: ({ n }) => n } })
    const tuple = Event.make("right", { args: [Schema.String, Schema.Int], once: { key: ([text]) => text } })
    assert.strictEqual(tuple.once?.key?.(["a", 1]), "a")
  })
})

describe("the names of events", () => {
  it("do not begin as those of this library do", () => {
    assert.throws(() => Event.make("~fx:move"), /"~fx:move" is a reserved event name/)
    assert.strictEqual(Event.make("fx:move")._tag, "fx:move")
  })
})

describe("a window that makes no sense", () => {
  for (const window of [0, "25 days", Infinity] as const) {
    it.effect(`is a defect of the layer: ${window}`, () =>
      Effect.gen(function* () {
        class Wrong extends Namespace.make("/wrong", { clientToServer: [Event.make("wrong", { once: { window } })] }) {}
        const layer = SocketIoServer.layerNamespace(Wrong, () => Effect.succeed(Wrong.of({ wrong: () => Effect.void })))
        const exit = yield* Effect.exit(Layer.build(Layer.provide(layer, SocketIoServer.layer())))
        assert.match(String(exit), /once of event "wrong": window must be/)
      })
    )
  }
})
