/**
 * The memory of the messages that wait for a reader of the engine's own streams.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"

import * as EngineServer from "../../src/engine/EngineServer.ts"
import type { EngineSession } from "../../src/engine/EngineSession.ts"
import { HandshakeError } from "../../src/engine/HandshakeError.ts"
import { type Overflow, StreamOverflow } from "../../src/StreamOptions.ts"
import { FakeChannel, fakeRequest } from "../support/fakes.ts"

const MB = 1_000_000

/** The messages of a megabyte that may wait. */
const MOST = 16

const large = (n: number) => String(n).padEnd(MB, ".")

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

/** A session over a WebSocket, of a server that runs an effect for it. */
const open = Effect.fnUntraced(function* (onSession: (session: EngineSession) => Effect.Effect<unknown>) {
  const engine = yield* EngineServer.run({ drainTimeout: 0 }, onSession)
  const channel = new FakeChannel()
  engine.handleUpgrade(fakeRequest({ transport: "websocket" }), (decision) => {
    if (decision instanceof HandshakeError) throw decision
    decision.accept(channel)
  })
  return channel
})

/** Reads one message, and the others when the gate opens, with a stream of this policy. Gives their numbers, and the end. */
const read = Effect.fnUntraced(function* (overflow: Overflow, count: number) {
  const gate = yield* Deferred.make<void>()
  const done = yield* Deferred.make<Exit.Exit<void, unknown>>()
  const seen: Array<number> = []
  const channel = yield* open((session) =>
    session.messages({ overflow }).pipe(
      Stream.runForEach((message) => {
        seen.push(Number.parseInt(String(message), 10))
        return seen.length === 1 ? Deferred.await(gate) : Effect.void
      }),
      Effect.exit,
      Effect.tap((exit) => Deferred.succeed(done, exit))
    )
  )
  yield* Effect.yieldNow
  channel.receive("4-1")
  while (seen.length === 0) yield* Effect.yieldNow
  for (let i = 0; i < count; i++) channel.receive(`4${large(i)}`)
  const { paused } = channel
  yield* Deferred.succeed(gate, undefined)
  for (let got = -1; got !== seen.length;) {
    got = seen.length
    for (let i = 0; i < 20; i++) yield* Effect.yieldNow
  }
  channel.end()
  return { paused, seen: seen.slice(1), exit: yield* Deferred.await(done) }
})

describe("messages of a megabyte that wait for a slow reader", () => {
  it.effect("are some, and then its stream fails by default", () =>
    Effect.gen(function* () {
      const { exit, seen } = yield* read("fail", 40)
      assert.deepStrictEqual(seen, numbers(0, MOST))
      assert.deepStrictEqual(exit, Exit.fail(new StreamOverflow({ stream: "messages", capacity: 10_000 })))
    })
  )

  it.effect("are the oldest ones with the policy dropNewest", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* read("dropNewest", 40)).seen, numbers(0, MOST))
    })
  )

  it.effect("are the newest ones with the policy dropOldest", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* read("dropOldest", 40)).seen, numbers(40 - MOST, 40))
    })
  )

  it.effect("are some with the policy suspend, and then its client is not read", () =>
    Effect.gen(function* () {
      assert.isFalse((yield* read("suspend", MOST)).paused)
      const { paused, seen } = yield* read("suspend", 40)
      assert.isTrue(paused)
      assert.deepStrictEqual(seen, numbers(0, 40))
    })
  )
})

describe("messages that wait for the first reader", () => {
  it.effect("are some megabytes, and then the client is not read; all of them arrive", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const all = yield* Deferred.make<ReadonlyArray<number>>()
      const channel = yield* open((session) =>
        Deferred.await(gate).pipe(
          Effect.andThen(Stream.runCollect(Stream.take(Stream.orDie(session.messages()), 14))),
          Effect.map((messages) => messages.map((message) => Number.parseInt(String(message), 10))),
          Effect.tap((seen) => Deferred.succeed(all, seen))
        )
      )
      for (let i = 0; i < MOST / 2; i++) channel.receive(`4${large(i)}`)
      assert.isFalse(channel.paused)
      for (let i = MOST / 2; i < 14; i++) channel.receive(`4${large(i)}`)
      assert.isTrue(channel.paused)
      const reading = yield* Effect.forkChild(Deferred.await(all))
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* Fiber.join(reading), numbers(0, 14))
    })
  )
})
