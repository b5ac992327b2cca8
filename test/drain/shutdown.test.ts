/**
 * Shutdowns that move clients first, under a clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

import type { DrainOptions } from "../../src/engine/Drain.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { makeFleet } from "../support/fleet.ts"
import { join, makeApplication, settle } from "./application.ts"

describe("a shutdown with onShutdown", () => {
  const fleetOf = Effect.fnUntraced(function* (onShutdown: DrainOptions) {
    const application = makeApplication()
    const fleet = yield* makeFleet(application.namespaces, { onShutdown, drainTimeout: "5 seconds" })
    return { ...application, ...fleet }
  })

  it.effect("moves clients before the namespaces' layers close, which close first", () =>
    Effect.gen(function* () {
      const { client, log, raw, start } = yield* fleetOf({ notice: "2 seconds", over: "4 seconds" })
      const first = yield* start("first")
      const ours = yield* client()
      const socket = yield* Effect.provideService(SocketIoClient.connect("/"), SocketIoClient.SocketIoClient, ours)
      const peer = yield* join(yield* raw())
      const second = yield* start("second")
      const closing = yield* Effect.forkChild(first.close, { startImmediately: true })
      yield* settle
      assert.strictEqual(yield* first.shape.readiness, "draining")
      yield* TestClock.adjust("1900 millis")
      yield* peer.send('421["ask","still there"]')
      assert.strictEqual(yield* peer.receive, '431["first"]')
      yield* TestClock.adjust("4200 millis")
      yield* settle
      assert.strictEqual(yield* peer.closed, "closed")
      assert.deepStrictEqual(yield* socket.emitWithAck("ask", "over there"), ["second"])
      yield* TestClock.adjust("200 millis")
      yield* settle
      assert.isDefined(closing.pollUnsafe())
      assert.sameMembers(log, [
        "first: still there",
        "first: server shutting down",
        "first: server shutting down",
        "second: over there"
      ])
      assert.strictEqual(second.engine.sessionCount, 1)
    })
  )

  it.effect(
    "moves only the clients of a namespace that closes alone, and the server is ready a second after that",
    () =>
      Effect.gen(function* () {
        const { raw, start } = yield* fleetOf({ notice: "1 second", over: "2 seconds" })
        const first = yield* start("first")
        const scope = yield* Scope.make()
        yield* first.shape.register("/other", () => Effect.void).pipe(Scope.provide(scope))
        const stays = yield* join(yield* raw())
        const leaves = yield* raw()
        yield* leaves.receive
        yield* leaves.send("40/other,")
        yield* leaves.receive
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* settle
        assert.strictEqual(yield* first.engine.readiness, "draining")
        // It is one of two, so that it has half of the time.
        yield* TestClock.adjust("1900 millis")
        assert.deepStrictEqual(yield* leaves.received, [])
        yield* TestClock.adjust("150 millis")
        yield* settle
        assert.strictEqual(yield* leaves.closed, "closed")
        yield* TestClock.adjust("100 millis")
        assert.isDefined(closing.pollUnsafe())
        assert.strictEqual(yield* first.engine.readiness, "draining")
        yield* TestClock.adjust("1100 millis")
        assert.strictEqual(yield* first.engine.readiness, "ready")
        yield* stays.send('421["ask","stays"]')
        assert.strictEqual(yield* stays.receive, '431["first"]')
      })
  )

  it.effect("gives notice once, however long the finalizers of one namespace take before the next one closes", () =>
    Effect.gen(function* () {
      const fleet = yield* makeFleet(() => Layer.empty as never, {
        onShutdown: { notice: "5 seconds", over: "1 second" },
        drainTimeout: "10 seconds"
      })
      const first = yield* fleet.start("first")
      const readiness: Array<string> = []
      yield* first.shape.readinessChanges.pipe(
        Stream.runForEach((value) => Effect.sync(() => readiness.push(value))),
        Effect.forkScoped({ startImmediately: true })
      )
      const scopes: Array<Scope.Closeable> = []
      for (const name of ["/slow", "/other"]) {
        const scope = yield* Scope.make()
        scopes.push(scope)
        const finalizer = name === "/slow" ? Effect.sleep("4 seconds") : Effect.void
        yield* first.shape
          .register(name, () => Effect.asVoid(Effect.addFinalizer(() => finalizer)))
          .pipe(Scope.provide(scope))
        const peer = yield* fleet.raw()
        yield* peer.receive
        yield* peer.send(`40${name},`)
        yield* peer.receive
      }
      const closing = yield* Effect.forkChild(
        Effect.gen(function* () {
          for (const scope of scopes) yield* Scope.close(scope, Exit.void)
          // Something else closes between the namespaces and the server.
          yield* Effect.sleep("3 seconds")
          yield* first.close
        }),
        { startImmediately: true }
      )
      let seconds = 0
      while (closing.pollUnsafe() === undefined) {
        yield* TestClock.adjust("500 millis")
        yield* settle
        seconds += 0.5
      }
      assert.isAtMost(seconds, 5 + 1 + 4 + 3 + 1)
      assert.deepStrictEqual(readiness, ["ready", "draining"])
    })
  )

  it.effect("is over at once when a layer serves the namespace again", () =>
    Effect.gen(function* () {
      const { raw, start } = yield* fleetOf({ notice: "1 second", over: "1 second" })
      const first = yield* start("first")
      yield* join(yield* raw())
      const serve = (scope: Scope.Closeable) =>
        first.shape.register("/other", () => Effect.void).pipe(Scope.provide(scope))
      const scope = yield* Scope.make()
      yield* serve(scope)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("1100 millis")
      yield* Fiber.join(closing)
      assert.strictEqual(yield* first.engine.readiness, "draining")
      yield* serve(yield* Scope.make())
      assert.strictEqual(yield* first.engine.readiness, "ready")
    })
  )
})

describe("a shutdown without onShutdown", () => {
  const start = Effect.fnUntraced(function* (finalizer: Effect.Effect<void> = Effect.void) {
    const fleet = yield* makeFleet(() => Layer.empty as never, { drainTimeout: "5 seconds" })
    const server = yield* fleet.start("server")
    const open = Effect.fnUntraced(function* (name: string) {
      const scope = yield* Scope.make()
      const builder = () => Effect.asVoid(Effect.addFinalizer(() => finalizer))
      yield* server.shape.register(name, builder).pipe(Scope.provide(scope))
      return Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
    })
    const peer = Effect.fnUntraced(function* (name: string) {
      const peer = yield* fleet.raw()
      yield* peer.receive
      yield* peer.send(`40${name},`)
      yield* peer.receive
      return peer
    })
    return { ...fleet, ...server, open, peer }
  })

  it.effect("takes no new clients from the moment on at which the last namespace's layer closes", () =>
    Effect.gen(function* () {
      const { engine, open, peer, raw } = yield* start(Effect.sleep("2 seconds"))
      const [chat, news] = [yield* open("/chat"), yield* open("/news")]
      const [first, second] = [yield* peer("/chat"), yield* peer("/news")]
      const closing = yield* chat
      yield* settle
      assert.strictEqual(yield* first.closed, "closed")
      assert.isUndefined(closing.pollUnsafe())
      assert.strictEqual(yield* engine.readiness, "ready")
      yield* peer("/news")
      yield* news
      assert.strictEqual(yield* engine.readiness, "draining")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(raw())))
      yield* settle
      assert.strictEqual(yield* second.closed, "closed")
      yield* open("/news")
      assert.strictEqual(yield* engine.readiness, "ready")
      yield* peer("/news")
    })
  )

  it.effect("closes 500 connections of a namespace in a turn, and does what else there is in between", () =>
    Effect.gen(function* () {
      const { engine, open, peer } = yield* start()
      const chat = yield* open("/chat")
      for (let i = 0; i < 1_100; i++) yield* peer("/chat")
      const closing = yield* chat
      const left: Array<number> = []
      for (; closing.pollUnsafe() === undefined; yield* TestClock.adjust("10 millis")) {
        yield* settle
        left.push(engine.sessionCount)
      }
      assert.deepStrictEqual([...left, engine.sessionCount], [600, 100, 0])
    })
  )
})
