/**
 * Handlers and middleware that misbehave: they harm their own event, and nothing else.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Option, Schema, type Scope } from "effect"
import { TestClock } from "effect/testing"

import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

type Misbehaviour = () => Effect.Effect<any, any>

const misbehaviours: Record<string, Misbehaviour> = {
  fails: () => Effect.fail("no"),
  "fails later": () => Effect.andThen(Effect.yieldNow, Effect.fail("no")),
  dies: () => Effect.die(new Error("no")),
  "dies later": () => Effect.andThen(Effect.yieldNow, Effect.die(new Error("no"))),
  "throws before it has an effect": () => {
    throw new Error("no")
  },
  "throws within": () =>
    Effect.sync(() => {
      throw new Error("no")
    }),
  "rejects a promise": () => Effect.promise(() => Promise.reject(new Error("no"))),
  "returns what is no effect": () => 42 as never,
  "returns twice": () =>
    Effect.callback((resume) => {
      resume(Effect.succeed("once"))
      resume(Effect.succeed("twice"))
    }),
  "returns twice, later": () =>
    Effect.callback((resume) => {
      queueMicrotask(() => {
        resume(Effect.succeed("once"))
        resume(Effect.die("twice"))
      })
    }),
  "interrupts itself": () => Effect.interrupt,
  "never returns": () => Effect.never,
  "never returns, and cannot be interrupted": () => Effect.uninterruptible(Effect.never)
}

const settle = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>, millis = 1_000) {
  const fiber = yield* Effect.forkChild(Effect.exit(effect), { startImmediately: true })
  yield* TestClock.adjust(millis)
  return yield* Fiber.join(fiber)
})

/** The acknowledgements of the socket within a second of its own. */
const answered = (socket: ClientSocket<Namespace.Untyped>, event: string) =>
  Effect.map(settle(Effect.timeoutOption(socket.emitWithAck(event), "1 second"), 1_001), (exit) =>
    Option.flatten(Exit.getSuccess(exit))
  )

const quiet = Layer.succeed(Logger.CurrentLoggers, new Set<Logger.Logger<unknown, any>>())

/** A namespace in which everything goes well but what the test makes of it. */
const serving = (prepare: (socket: ServerSocket<Namespace.Untyped>) => Effect.Effect<unknown, never, Scope.Scope>) =>
  Effect.provide(
    SocketIoServer.layerNamespace(
      "/",
      Effect.fnUntraced(function* (socket) {
        yield* socket.on("fine", () => Effect.succeed("fine"))
        yield* prepare(socket)
      })
    ).pipe(Layer.provideMerge(TestSocketIo.layer({ drainTimeout: 0 })), Layer.provideMerge(quiet))
  )

/** The same socket, another one and one to come go on. */
const goesOn = Effect.fnUntraced(function* (
  socket: ClientSocket<Namespace.Untyped>,
  other: ClientSocket<Namespace.Untyped>
) {
  const late = yield* (yield* TestSocketIo.makeClient()).connect("/")
  for (const one of [socket, other, late]) assert.deepStrictEqual(yield* answered(one, "fine"), Option.some(["fine"]))
  assert.isTrue(socket.connected && other.connected)
})

const pair = Effect.gen(function* () {
  const socket = yield* SocketIoClient.connect("/")
  const other = yield* (yield* TestSocketIo.makeClient()).connect("/")
  return [socket, other] as const
})

for (const [what, misbehave] of Object.entries(misbehaviours)) {
  const returns = what.startsWith("returns twice")

  describe(`what ${what}`, () => {
    it.effect("as a handler harms its own event alone", () =>
      Effect.gen(function* () {
        const [socket, other] = yield* pair
        const answer = yield* answered(socket, "bad")
        assert.deepStrictEqual(answer, returns ? Option.some(["once"]) : Option.none())
        yield* goesOn(socket, other)
      }).pipe(serving((socket) => socket.on("bad", misbehave)))
    )

    it.effect("as one of several handlers leaves the others their event", () =>
      Effect.gen(function* () {
        const [socket, other] = yield* pair
        assert.isTrue(Option.isSome(yield* answered(socket, "bad")))
        yield* goesOn(socket, other)
      }).pipe(
        serving((socket) =>
          Effect.andThen(
            socket.on("bad", misbehave),
            socket.on("bad", () => Effect.andThen(Effect.yieldNow, Effect.succeed("the other")))
          )
        )
      )
    )

    it.effect("among those that see everything harms nothing", () =>
      Effect.gen(function* () {
        const [socket, other] = yield* pair
        yield* goesOn(socket, other)
        yield* socket.disconnect()
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* answered(other, "fine"), Option.some(["fine"]))
      }).pipe(
        serving((socket) =>
          Effect.all([socket.onAny(misbehave), socket.onAnyOutgoing(misbehave), socket.onDisconnecting(misbehave)])
        )
      )
    )

    it.effect("as packet middleware refuses its event, and lets later ones pass", () =>
      Effect.gen(function* () {
        const [socket, other] = yield* pair
        const [bad, later] = yield* Effect.forEach(["bad", "fine"], (event) =>
          socket
            .emitWithAck(event)
            .pipe(Effect.timeoutOption("40 seconds"), Effect.forkChild({ startImmediately: true }))
        )
        // It has half a minute.
        for (let i = 0; i < 41; i++) yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.join(bad!), returns ? Option.some(["well"]) : Option.none())
        assert.deepStrictEqual(yield* Fiber.join(later!), Option.some(["fine"]))
        yield* goesOn(socket, other)
      }).pipe(
        serving((socket) =>
          Effect.andThen(
            socket.on("bad", () => Effect.succeed("well")),
            socket.use(({ event }) => (event === "bad" ? misbehave() : Effect.void))
          )
        )
      )
    )

    it.effect("as a namespace's middleware keeps its own client out, or none", () => {
      class Gate extends NamespaceMiddleware.Service<Gate>()("faults/Gate", {
        auth: Schema.Struct({ bad: Schema.Boolean })
      }) {}
      class Guarded extends Namespace.make("/guarded", {
        clientToServer: [Event.make("fine", { ack: Schema.String })]
      }).middleware(Gate) {}
      const GuardedLive = SocketIoServer.layerNamespace(Guarded, () =>
        Effect.succeed(Guarded.of({ fine: () => Effect.succeed("fine") }))
      ).pipe(
        Layer.provide(
          Layer.succeed(
            Gate,
            Gate.of(({ auth }) => (auth.bad ? misbehave() : Effect.void))
          )
        )
      )
      return Effect.gen(function* () {
        const enter = Effect.fnUntraced(function* (bad: boolean) {
          const client = yield* TestSocketIo.makeClient()
          return yield* client.connect(Guarded, { auth: { bad } })
        })
        const before = yield* enter(false)
        const bad = yield* settle(Effect.timeoutOption(enter(true), "1 second"), 1_001)
        assert.strictEqual(Exit.isSuccess(bad) && Option.isSome(bad.value), returns)
        const after = yield* enter(false)
        for (const socket of [before, after]) assert.strictEqual(yield* socket.emitWithAck("fine"), "fine")
      }).pipe(
        Effect.provide(
          GuardedLive.pipe(Layer.provideMerge(TestSocketIo.layer({ drainTimeout: 0 })), Layer.provideMerge(quiet))
        )
      )
    })

    it.effect("as a client's responder harms its own event alone", () =>
      Effect.gen(function* () {
        const [socket, other] = yield* pair
        yield* socket.respond("bad", misbehave)
        const answer = yield* answered(socket, "ask")
        assert.deepStrictEqual(answer, returns ? Option.some([["once"]]) : Option.none())
        yield* goesOn(socket, other)
      }).pipe(serving((socket) => socket.on("ask", () => socket.emitWithAck("bad"))))
    )
  })
}
