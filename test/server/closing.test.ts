/**
 * The time that closing takes: that of one shutdown, however many things close in it.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"

import * as Namespace from "../../src/Namespace.ts"
import { ClosingTime } from "../../src/engine/ClosingTime.ts"
import { SocketIoServer as Server } from "../../src/server/SocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { open } from "../support/serve.ts"

class Room extends Namespace.dynamic("/room/:id") {}

/** A namespace whose sockets take their time to end. */
const slow = (name: string, finalizer: Effect.Effect<unknown>) =>
  SocketIoServer.layerNamespace(name, () => Effect.addFinalizer(() => finalizer))

const rooms = (finalizer: Effect.Effect<unknown>) =>
  SocketIoServer.layerDynamicNamespace(Room, () =>
    Effect.succeed(() =>
      Effect.as(
        Effect.addFinalizer(() => finalizer),
        Room.of({})
      )
    )
  )

const joined = Effect.fnUntraced(function* (name: string) {
  const raw = yield* TestSocketIo.rawClient()
  yield* raw.send(`40${name},`)
  yield* raw.receive
  assert.include(String(yield* raw.receive), `"sid"`)
  return raw
})

const options: TestSocketIo.TestOptions = { drainTimeout: "10 seconds", heartbeat: { pingTimeout: "1 hour" } }

/** A server in a scope of its own. */
const server = Effect.gen(function* () {
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(TestSocketIo.layer(options), scope)
  return { context, close: Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true }) }
})

describe("a shutdown", () => {
  it.effect("takes drainTimeout once, however many namespaces have sockets that do not end", () =>
    Effect.gen(function* () {
      type Services = Server | TestSocketIo.TestSocketIo
      const ready = yield* Deferred.make<Context.Context<Services>>()
      const Main = Layer.effectDiscard(
        Effect.flatMap(Effect.context<Services>(), (context) => Deferred.succeed(ready, context))
      ).pipe(
        // Each on top of the other, so that they close one after another.
        Layer.provideMerge(rooms(Effect.never)),
        Layer.provideMerge(slow("/two", Effect.never)),
        Layer.provideMerge(slow("/one", Effect.never)),
        Layer.provide(TestSocketIo.layer(options))
      )
      const running = yield* Effect.forkChild(Layer.launch(Main), { startImmediately: true })
      const context = yield* Deferred.await(ready)
      for (const name of ["/one", "/two", "/room/1"]) yield* Effect.provideContext(joined(name), context)
      const closing = yield* Effect.forkChild(Fiber.interrupt(running), { startImmediately: true })
      yield* TestClock.adjust("9900 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("150 millis")
      assert.isDefined(closing.pollUnsafe())
    })
  )

  it.effect("keeps a tenth of its time for what waits for the clients of others", () =>
    Effect.gen(function* () {
      const { close, context } = yield* server
      const closeOne = yield* open(context, slow("/slow", Effect.never))
      yield* open(
        context,
        SocketIoServer.layerNamespace("/other", () => Effect.void)
      )
      yield* Effect.provideContext(joined("/slow"), context)
      const other = yield* Effect.provideContext(joined("/other"), context)
      const closing = yield* Effect.forkChild(closeOne, { startImmediately: true })
      yield* TestClock.adjust("8900 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("150 millis")
      assert.isDefined(closing.pollUnsafe())
      const shutdown = yield* close
      assert.strictEqual(yield* other.closed, "closed")
      yield* TestClock.adjust("1 second")
      assert.isDefined(shutdown.pollUnsafe())
    })
  )

  it.effect("has all of its time when a namespace was replaced before that took its own", () =>
    Effect.gen(function* () {
      const { close, context } = yield* server
      const closeOld = yield* open(context, slow("/main", Effect.never))
      yield* Effect.provideContext(joined("/main"), context)
      const closing = yield* Effect.forkChild(closeOld, { startImmediately: true })
      yield* TestClock.adjust("10100 millis")
      assert.isDefined(closing.pollUnsafe())
      let ended = false
      const takesLong = Effect.andThen(
        Effect.sleep("9 seconds"),
        Effect.sync(() => void (ended = true))
      )
      const closeNew = yield* open(context, slow("/main", takesLong))
      yield* Effect.provideContext(joined("/main"), context)
      const shutdown = yield* Effect.forkChild(closeNew.pipe(Effect.andThen(close), Effect.flatMap(Fiber.join)), {
        startImmediately: true
      })
      yield* TestClock.adjust("9100 millis")
      assert.isTrue(ended)
      yield* TestClock.adjust("1 second")
      assert.isDefined(shutdown.pollUnsafe())
    })
  )

  it.effect("has all of its time when a namespace was closed for good a while before", () =>
    Effect.gen(function* () {
      const { close, context } = yield* server
      const closeOld = yield* open(context, slow("/old", Effect.never))
      yield* Effect.provideContext(joined("/old"), context)
      let ended = false
      yield* open(
        context,
        slow(
          "/main",
          Effect.andThen(
            Effect.sleep("9 seconds"),
            Effect.sync(() => void (ended = true))
          )
        )
      )
      yield* Effect.provideContext(joined("/main"), context)
      const closing = yield* Effect.forkChild(closeOld, { startImmediately: true })
      yield* TestClock.adjust("10100 millis")
      assert.isDefined(closing.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      const shutdown = yield* close
      yield* TestClock.adjust("9100 millis")
      assert.isTrue(ended)
      yield* TestClock.adjust("1 second")
      assert.isDefined(shutdown.pollUnsafe())
    })
  )
})

describe("a namespace that closes", () => {
  for (const [kind, layer, name] of [
    ["of one name", slow("/one", Effect.void), "/one"],
    ["that is dynamic", rooms(Effect.void), "/room/1"]
  ] as const) {
    it.effect(`does not wait for those who have left another, where it is one ${kind}`, () =>
      Effect.gen(function* () {
        const { context } = yield* server
        yield* open(context, slow("/stuck", Effect.never))
        const close = yield* open(context, layer)
        const stuck = yield* Effect.provideContext(joined("/stuck"), context)
        yield* stuck.close
        yield* stuck.closed
        yield* Effect.provideContext(joined(name), context)
        const closing = yield* Effect.forkChild(close, { startImmediately: true })
        yield* TestClock.adjust(1)
        assert.isDefined(closing.pollUnsafe())
      })
    )
  }

  it.effect("waits for those who have left it before", () =>
    Effect.gen(function* () {
      const { context } = yield* server
      const close = yield* open(context, slow("/one", Effect.sleep("3 seconds")))
      const raw = yield* Effect.provideContext(joined("/one"), context)
      yield* raw.close
      yield* raw.closed
      yield* Effect.yieldNow
      const closing = yield* Effect.forkChild(close, { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      assert.isDefined(closing.pollUnsafe())
    })
  )
})

describe("the time of a shutdown", () => {
  it("starts with the first step, and anew when something opens or the last step is a while ago", () => {
    let now = 0
    const time = new ClosingTime(1_000, () => now)
    assert.strictEqual(time.left, 1_000)
    assert.strictEqual(time.begin(), 1_000)
    now = 600
    time.begin()
    time.finish()
    time.finish()
    assert.strictEqual(time.left, 400)
    now = 1_500
    assert.strictEqual(time.begin(), 1_000)
    assert.strictEqual(time.left, 0)
    time.finish()
    now = 2_600
    assert.strictEqual(time.begin(), 3_600)
    time.finish()
    time.forget()
    assert.strictEqual(time.left, 1_000)
  })
})
