/**
 * The examples of RPC, run as their comments say.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { runExample, startExample } from "../support/examples.ts"
import { faultyProxy } from "../support/FaultyProxy.ts"
import { connect, next } from "../support/serve.ts"

const serving = (name: string) =>
  Effect.acquireRelease(
    Effect.promise(() => runExample(name)),
    (running) => Effect.promise(() => running.stop())
  )

const starting = (name: string, args: ReadonlyArray<string>, SERVER: string) =>
  Effect.acquireRelease(
    Effect.sync(() => startExample(name, args, { SERVER })),
    (running) => Effect.promise(() => running.stop())
  )

describe("rpc.ts", () => {
  it.live("answers word by word, tells the room of the question, and is called by hand", () =>
    Effect.gen(function* () {
      const { url } = yield* serving("rpc.ts")
      const proxy = yield* faultyProxy(url)
      const ada = yield* starting("rpc.ts", ["Ada"], proxy.url)
      yield* Effect.promise(() => ada.printed(/^in the room: 1$/m))
      const grace = yield* starting("rpc.ts", ["Grace"], url)
      yield* Effect.promise(() => grace.printed(/^in the room: 2$/m))
      ada.type("why")
      yield* Effect.promise(() => grace.printed(/^Ada asks: why$/m))
      yield* Effect.promise(() => ada.printed(/you ask/))
      // The answer is on its way, and goes on after the connection was lost.
      proxy.reset()
      yield* Effect.promise(() => ada.printed(/^Ada, you ask "why", and that is a good question\.$/m, 30_000))
      ada.type(" ")
      yield* Effect.promise(() => ada.printed(/^there is no question$/m))

      const official = yield* connect(`${url}/room`, { auth: { name: "Lin" } })
      const answer = next(official, "rpc")
      official.emit("rpc", { _tag: "Request", id: 1, tag: "Enter" })
      const [frame] = yield* answer
      assert.deepStrictEqual(frame, { _tag: "Exit", requestId: 1, exit: { _tag: "Success", value: 3 } })
    }).pipe(Effect.scoped)
  )
})

describe("offline-first.ts", () => {
  it.live("shows an entry that was written without a network at once, and later on the other device", () =>
    Effect.gen(function* () {
      const { url } = yield* serving("offline-first.ts")
      const proxy = yield* faultyProxy(url)
      const phone = yield* starting("offline-first.ts", ["device"], proxy.url)
      yield* Effect.promise(() => phone.printed(/identity: \S+\n/))
      const [, identity] = /identity: (\S+)\n/.exec(phone.output())!
      const laptop = yield* starting("offline-first.ts", ["device", identity!], url)
      yield* Effect.promise(() => laptop.printed(/identity/))
      phone.type("buy milk")
      yield* Effect.promise(() => laptop.printed(/^to do: buy milk$/m))

      phone.type("offline")
      yield* Effect.promise(() => phone.printed(/^off the network$/m))
      phone.type("write a letter")
      yield* Effect.promise(() => phone.printed(/^to do: write a letter$/m))
      laptop.type("call Ada")
      yield* Effect.promise(() => laptop.printed(/^to do: call Ada$/m))
      assert.notInclude(laptop.output(), "write a letter")
      phone.type("online")
      yield* Effect.promise(() => laptop.printed(/^to do: write a letter$/m, 30_000))
      yield* Effect.promise(() => phone.printed(/^to do: call Ada$/m, 30_000))

      // A cut that nobody has asked for.
      proxy.reset()
      phone.type("read a book")
      yield* Effect.promise(() => laptop.printed(/^to do: read a book$/m, 30_000))
    }).pipe(Effect.scoped)
  )
})
