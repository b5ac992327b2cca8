/**
 * The examples that have a client of this library, run as their comments say. The one for the chat is among the others.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { runExample, startExample } from "../support/examples.ts"
import { connect, next, refusal } from "../support/serve.ts"

const client = (name: string, args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => startExample(name, args, env)),
    (running) => Effect.promise(() => running.stop())
  )

describe("typed-cursor-stream", () => {
  const name = "typed-cursor-stream.ts"
  const server = Effect.acquireRelease(
    Effect.promise(() => runExample(name)),
    (running) => Effect.promise(() => running.stop())
  )

  it.live("carries positions from terminal to terminal, and to whoever else has the contract's name", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const ada = yield* client(name, ["Ada"], { SERVER: url })
      const grace = yield* client(name, ["Grace"], { SERVER: url })
      yield* Effect.promise(() => ada.printed(/^Grace +─*●─* at \d\.\d\d \d\.\d\d, \d+ moves, \d\.\d\d wide$/m))
      yield* Effect.promise(() => grace.printed(/^Ada +─*●─* at /m))
      assert.notMatch(ada.output(), /^Ada +─/m)
      const watcher = yield* connect(`${url}/board`, { auth: { name: "watcher" } })
      const [{ name: who, to }] = yield* next(watcher, "moved")
      assert.include(["Ada", "Grace"], who)
      assert.isTrue(to.x >= 0 && to.x <= 1 && to.y >= 0 && to.y <= 1)
      assert.strictEqual((yield* refusal(`${url}/board`, { auth: {} })).message, "Invalid auth payload")
    })
  )

  it.live("sends what fits the contract alone, and no more than twenty positions a second", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      // Over polling a client is behind now and then, and does without a position.
      const watcher = yield* connect(`${url}/board`, { auth: { name: "watcher" }, transports: ["websocket"] })
      const stranger = yield* connect(`${url}/board`, { auth: { name: "stranger" } })
      stranger.emit("move", { x: 7, y: 0 })
      stranger.emit("move", { x: 0.25, y: 1 })
      assert.deepStrictEqual(yield* next(watcher, "moved"), [{ name: "stranger", to: { x: 0.25, y: 1 } }])
      stranger.disconnect()
      const ada = yield* client(name, ["Ada"], { SERVER: url })
      yield* Effect.promise(() => ada.printed(/Ada draws/))
      const began = performance.now()
      for (let i = 0; i < 40; i++) yield* next(watcher, "moved")
      // Two seconds; some may have been under way for a while.
      assert.isAtLeast(performance.now() - began, 1_000)
    })
  )
})

describe("official-client-interop", () => {
  it.live("exchanges every form of event with the official packages, in the same way on both sides", () =>
    Effect.gen(function* () {
      const running = startExample("official-client-interop.ts")
      assert.strictEqual(yield* Effect.promise(() => running.ended()), 0)
      const lines = running.output().trimEnd().split("\n")
      assert.deepStrictEqual(lines, [
        "official client is refused: Invalid auth payload",
        "our server got nothing",
        "our server got one: 1970-01-01T00:00:00.000Z",
        "our server got several: a 1",
        "our server got bytes: <Buffer 01 02 03>",
        "official client got bytes: <Buffer 03 02 01>",
        "official client got a value: { _tag: 'Success', value: 2 }",
        "official client got a failure: { _tag: 'Failure', error: { _tag: 'DivisionByZero', dividend: 6 } }",
        "official client got an answer: the official client",
        "official client got news: the official client was here",
        "our client is refused: not you { code: 401 }",
        "official server got nothing",
        "official server got one: { at: '1970-01-01T00:00:00.000Z' }",
        "official server got several: a 1",
        "official server got bytes: <Buffer 01 02 03>",
        "our client got bytes: Uint8Array(3) [ 3, 2, 1 ]",
        "our client got a value: 2",
        "our client got a failure: no division by zero of 6",
        "our client got an answer: the client of this library",
        "our client got news: the client of this library was here"
      ])
    })
  )
})
