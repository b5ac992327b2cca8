/**
 * How often a client may send an event.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Metric, Option, Schema } from "effect"
import { TestClock } from "effect/testing"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import type { EventRateLimit } from "../../src/RateLimit.ts"
import * as RateLimiter from "../../src/server/RateLimiter.ts"
import * as ServerMetrics from "../../src/server/ServerMetrics.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as StreamEvent from "../../src/StreamEvent.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { call, connect, serve } from "../support/serve.ts"

class Silly extends Schema.TaggedError<Silly>()("Silly", {}) {}

class Chat extends Namespace.make("/", {
  clientToServer: [
    Event.make("say", { payload: Schema.Int, ack: Schema.Int, error: Silly, rateLimit: { limit: 2, burst: 3 } }),
    Event.make("type", { rateLimit: { limit: 1 } }),
    Event.make("shout", { rateLimit: { limit: 1, onExceeded: "disconnect" } }),
    Event.make("typed", { ack: Schema.Int }),
    Event.make("free", { ack: Schema.Void })
  ]
}) {}

const chat = (reasons: Deferred.Deferred<string> = Deferred.makeUnsafe()) =>
  SocketIoServer.layerNamespace(
    Chat,
    Effect.fnUntraced(function* (socket) {
      let typed = 0
      yield* Effect.forkScoped(Effect.flatMap(socket.disconnected, (reason) => Deferred.succeed(reasons, reason)))
      return Chat.of({
        say: (n) => Effect.succeed(n),
        type: () => Effect.sync(() => void typed++),
        shout: () => Effect.void,
        typed: () => Effect.sync(() => typed),
        free: () => Effect.void
      })
    })
  )

const inMemory = (namespace: Layer.Layer<never, never, SocketIoServer.SocketIoServer>) =>
  Effect.provide(Layer.provideMerge(namespace, TestSocketIo.layer()))

describe("an event with a rate limit", () => {
  it.effect("is refused when it comes too often, until there are tokens again", () =>
    Effect.gen(function* () {
      const socket = yield* SocketIoClient.connect(Chat)
      const say = (n: number) => Effect.exit(socket.emitWithAck("say", n))
      const exits = yield* Effect.forEach([1, 2, 3, 4, 5], say, { concurrency: "unbounded" })
      assert.deepStrictEqual(exits.slice(0, 3), [Exit.succeed(1), Exit.succeed(2), Exit.succeed(3)])
      for (const exit of exits.slice(3)) {
        const error = Option.getOrThrow(Exit.findErrorOption(exit))
        assert.deepInclude(error, {
          _tag: "AckError",
          reason: { _tag: "EventRefused", description: "rate limit exceeded", data: { retryAfter: 500 } }
        })
      }
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(yield* say(6), Exit.succeed(6))
      assert.isTrue(Exit.isFailure(yield* say(7)))
      const { count } = yield* Metric.value(
        Metric.withAttributes(ServerMetrics.eventsLimited, { namespace: "/", event: "say" })
      )
      assert.strictEqual(Number(count), 3)
    }).pipe(inMemory(chat()), Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("holds back no other event, no other socket, and not itself after a reconnection", () =>
    Effect.gen(function* () {
      const one = yield* SocketIoClient.connect(Chat)
      const two = yield* (yield* TestSocketIo.makeClient()).connect(Chat)
      const type = (socket: typeof one) => Effect.repeat(socket.emit("type"), { times: 4 })
      yield* type(one)
      yield* Effect.repeat(one.emitWithAck("free"), { times: 9 })
      assert.strictEqual(yield* one.emitWithAck("typed"), 1)
      yield* type(two)
      assert.strictEqual(yield* two.emitWithAck("typed"), 1)
      yield* one.disconnect()
      yield* one.reconnect()
      yield* type(one)
      assert.strictEqual(yield* one.emitWithAck("typed"), 1)
    }).pipe(inMemory(chat()))
  )

  it.live("closes the connection where it says so, of an official client, too", () =>
    Effect.gen(function* () {
      const reasons = yield* Deferred.make<string>()
      const { url } = yield* serve(chat(reasons))
      const [socket, other] = [yield* connect(url), yield* connect(url)]
      assert.deepInclude(yield* call(socket, "say", 1), { _tag: "Success" })
      const left = new Promise<string>((resolve) => socket.once("disconnect", resolve))
      for (let i = 0; i < 2; i++) socket.emit("shout")
      assert.strictEqual(yield* Deferred.await(reasons), "rate limit exceeded")
      assert.strictEqual(yield* Effect.promise(() => left), "transport close")
      assert.strictEqual(yield* call(other, "free"), undefined)
    })
  )

  it.effect("that makes no sense is refused where its namespace is served", () =>
    Effect.gen(function* () {
      const nonsense: ReadonlyArray<readonly [rateLimit: EventRateLimit, why: string]> = [
        [{ limit: 0 }, "limit must be a positive number, not 0"],
        [{ limit: 1, burst: 0 }, "burst must be a positive integer, not 0"],
        [{ limit: 1, interval: Infinity }, "interval must be a positive, finite duration"]
      ]
      const refused = Effect.fnUntraced(function* (contract: Namespace.Static, why: string) {
        const layer: Layer.Layer<never, unknown, any> = SocketIoServer.layerNamespace(contract, () => Effect.never)
        const exit = yield* Effect.exit(Layer.build(Layer.provide(layer, TestSocketIo.layer()) as Layer.Layer<never>))
        assert.include(String(exit), why)
      })
      for (const [rateLimit, why] of nonsense) {
        const event = Event.make("event", { rateLimit })
        yield* refused(Namespace.make("/a", { clientToServer: [event] }), `rateLimit of event "event": ${why}`)
      }
      const rateLimit = { limit: 0 }
      const stream = StreamEvent.make("stream", { item: Schema.String, rateLimit })
      yield* refused(Namespace.make("/b").add(stream), 'rateLimit of event "stream": limit must be')
      class Wrong extends NamespaceMiddleware.Service<never>()("test/Wrong", {
        refresh: { event: "auth", same: () => true, rateLimit }
      }) {}
      yield* refused(Namespace.make("/c").middleware(Wrong), 'rateLimit of event "auth": limit must be')
    })
  )
})

describe("a rate limiter as packet middleware", () => {
  it.effect("refuses what comes too fast of the events that it applies to", () =>
    Effect.gen(function* () {
      const socket = yield* SocketIoClient.connect("/")
      const ask = (event: string) =>
        socket.emitWithAck(event).pipe(Effect.timeoutOption("50 millis"), Effect.forkChild({ startImmediately: true }))
      const asked = yield* Effect.forEach(["a", "b", "a", "free", "b"], ask)
      yield* TestClock.adjust("60 millis")
      const answers = yield* Fiber.joinAll(asked)
      assert.deepStrictEqual(answers.map(Option.isSome), [true, true, false, true, false])
      yield* TestClock.adjust("1 second")
      const again = yield* ask("a")
      yield* TestClock.adjust("60 millis")
      assert.isTrue(Option.isSome(yield* Fiber.join(again)))
    }).pipe(
      inMemory(
        SocketIoServer.layerNamespace(
          "/",
          Effect.fnUntraced(function* (socket) {
            yield* socket.use(RateLimiter.make({ limit: 2 }, ({ event }) => event !== "free"))
            for (const event of ["a", "b", "free"]) yield* socket.on(event, () => Effect.void)
          })
        )
      )
    )
  )

  it("throws at a limit that makes no sense", () => {
    assert.throws(() => RateLimiter.make({ limit: Number.NaN }), "rate limit: limit must be a positive number")
  })
})
