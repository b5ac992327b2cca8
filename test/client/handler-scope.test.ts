/**
 * Handlers of a client's socket that are at work when their scope closes.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Schema, Scope } from "effect"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import { fakeClient } from "../support/fakeClient.ts"

/** A connected socket whose server is the test, and a handler that ends when the test says so. */
const setup = Effect.gen(function* () {
  const { platform, use } = yield* fakeClient()
  const socket = yield* use(SocketIoClient.socket("/"))
  const connection = platform.sockets[0]!
  connection.accept()
  const say = (packet: string) => connection.events.onText(packet)
  say('40{"sid":"id"}')
  const gate = yield* Deferred.make<string>()
  const calls = { begun: 0, interrupted: 0, ended: 0 }
  const handler = Effect.suspend(() => {
    calls.begun++
    return Deferred.await(gate)
  }).pipe(
    Effect.tap(() => Effect.sync(() => void calls.ended++)),
    Effect.onInterrupt(() => Effect.sync(() => void calls.interrupted++))
  )
  const turns = Effect.repeat(Effect.yieldNow, { times: 20 })
  return { calls, gate, handler, say, sent: connection.sent, socket, turns }
})

describe("a handler of a client", () => {
  for (const [what, begin] of [
    ["respond", ({ handler, socket }) => socket.respond("ask", () => handler)],
    ["onAny", ({ handler, socket }) => socket.onAny(() => handler)],
    ["onStatus", ({ handler, socket }) => socket.onStatus(() => handler)]
  ] as ReadonlyArray<
    readonly [string, (test: Effect.Success<typeof setup>) => Effect.Effect<unknown, never, Scope.Scope>]
  >) {
    it.effect(`is interrupted when its scope closes, and the socket goes on (${what})`, () =>
      Effect.gen(function* () {
        const test = yield* setup
        const { calls, gate, say, sent, socket, turns } = test
        const scope = yield* Scope.make()
        yield* Scope.provide(begin(test), scope)
        const happen = () => say(what === "onStatus" ? "41" : '421["ask"]')
        happen()
        yield* turns
        assert.deepStrictEqual(calls, { begun: 1, interrupted: 0, ended: 0 })
        yield* Scope.close(scope, Exit.void)
        yield* turns
        assert.deepStrictEqual(calls, { begun: 1, interrupted: 1, ended: 0 })
        happen()
        yield* Deferred.succeed(gate, "late")
        yield* turns
        assert.deepStrictEqual(calls, { begun: 1, interrupted: 1, ended: 0 })
        assert.isFalse(sent.some((packet) => String(packet).startsWith("431")))
        if (what !== "onStatus") assert.isTrue(socket.connected)
      })
    )
  }

  it.effect("does not answer in the place of another one when it is interrupted, nor as a failure", () =>
    Effect.gen(function* () {
      class Questions extends Namespace.make("/questions", {
        serverToClient: [Event.make("ask", { ack: Schema.String, error: Schema.String })]
      }) {}
      const { platform, use } = yield* fakeClient()
      const socket = yield* use(SocketIoClient.socket(Questions))
      const connection = platform.sockets[0]!
      connection.accept()
      const say = (packet: string) => connection.events.onText(packet)
      say('40/questions,{"sid":"id"}')
      const turns = Effect.repeat(Effect.yieldNow, { times: 20 })
      const scope = yield* Scope.make()
      yield* Scope.provide(
        socket.respond("ask", () => Effect.never),
        scope
      )
      const gate = yield* Deferred.make<string>()
      yield* socket.respond("ask", () => Deferred.await(gate))
      say('42/questions,1["ask"]')
      yield* turns
      yield* Scope.close(scope, Exit.void)
      yield* turns
      const answers = () => connection.sent.filter((packet) => String(packet).startsWith("43"))
      assert.deepStrictEqual(answers(), [])
      yield* Deferred.succeed(gate, "the other one")
      yield* turns
      assert.deepStrictEqual(answers(), ['43/questions,1[{"_tag":"Success","value":"the other one"}]'])
    })
  )

  it.effect("answers as long as its scope is open", () =>
    Effect.gen(function* () {
      const { calls, gate, handler, say, sent, socket, turns } = yield* setup
      const scope = yield* Scope.make()
      yield* Scope.provide(
        socket.respond("ask", () => handler),
        scope
      )
      say('421["ask"]')
      yield* Deferred.succeed(gate, "in time")
      yield* turns
      yield* Scope.close(scope, Exit.void)
      yield* turns
      assert.deepStrictEqual(calls, { begun: 1, interrupted: 0, ended: 1 })
      assert.include(sent, '431["in time"]')
    })
  )
})
