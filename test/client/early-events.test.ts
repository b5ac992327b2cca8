/**
 * Events that a server emits as soon as it sees a client, for readers that begin at the same moment.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import { fakeClient } from "../support/fakeClient.ts"
import { clientOf, serveOfficial, ways } from "../support/official.ts"

class Greeting extends Namespace.make("/greeting", {
  serverToClient: [
    Event.make("hello", { payload: { name: Schema.String } }),
    Event.make("question", { ack: Schema.String })
  ]
}) {}

describe("the official server emits in its connection handler", () => {
  for (const transport of ways) {
    /** A client of such a server, and what its clients answered. */
    const greeted = Effect.gen(function* () {
      const answered = yield* Deferred.make<unknown>()
      const { url } = yield* serveOfficial((io) =>
        io.of("/greeting").on("connection", (socket) => {
          socket.emit("hello", { name: "Ada" })
          socket.emit("hello", { name: "Bob" })
          socket.emit("question", (answer: unknown) => Deferred.doneUnsafe(answered, Effect.succeed(answer)))
        })
      )
      return { answered, use: yield* clientOf({ url, transports: [transport], reconnection: false }) }
    })

    it.live(`and a stream gets it over ${transport} that is run in a fiber which starts later`, () =>
      Effect.gen(function* () {
        const { use } = yield* greeted
        const done = yield* Deferred.make<ReadonlyArray<unknown>>()
        const socket = yield* use(SocketIoClient.connect("/greeting"))
        yield* Effect.forkScoped(
          Effect.flatMap(Stream.runCollect(Stream.take(socket.stream("hello"), 2)), (seen) =>
            Deferred.succeed(done, seen.flat())
          )
        )
        assert.deepStrictEqual(yield* Deferred.await(done), [{ name: "Ada" }, { name: "Bob" }])
      })
    )

    it.live(`and a contract's stream and handler get it over ${transport}`, () =>
      Effect.gen(function* () {
        const { answered, use } = yield* greeted
        const socket = yield* use(SocketIoClient.connect(Greeting))
        yield* socket.respond("question", () => Effect.succeed("yes"))
        const seen = yield* Stream.runCollect(Stream.take(socket.stream("hello"), 2))
        assert.deepStrictEqual(
          seen.map(({ name }) => name),
          ["Ada", "Bob"]
        )
        assert.strictEqual(yield* Deferred.await(answered), "yes")
      })
    )

    it.live(`and a reader that has waited for another namespace gets it over ${transport}`, () =>
      Effect.gen(function* () {
        const { use } = yield* greeted
        const socket = yield* use(SocketIoClient.connect("/greeting"))
        yield* use(SocketIoClient.connect("/"))
        const [hello] = yield* Stream.runCollect(Stream.take(socket.stream("hello"), 1))
        assert.deepStrictEqual(hello, [{ name: "Ada" }])
      })
    )
  }
})

describe("an event that comes before its first reader", () => {
  /** A connected socket whose server is the test. */
  const connected = Effect.gen(function* () {
    const { platform, use } = yield* fakeClient()
    const socket = yield* use(SocketIoClient.socket("/"))
    platform.sockets[0]!.accept()
    const say = (packet: string) => platform.sockets[0]!.events.onText(packet)
    say('40{"sid":"id"}')
    /** The values of a stream until now. */
    const read = Effect.fnUntraced(function* (event: string) {
      const seen: Array<unknown> = []
      yield* Effect.forkScoped(
        Stream.runForEach(socket.stream(event), (args) => Effect.sync(() => seen.push(...args))),
        { startImmediately: true }
      )
      for (let i = 0; i < 5; i++) yield* Effect.yieldNow
      return seen
    })
    return { read, say, socket, platform }
  })

  it.effect("is given once, to the first one, in its order with what comes after", () =>
    Effect.gen(function* () {
      const { read, say } = yield* connected
      say('42["a",1]')
      say('42["b",2]')
      say('42["a",3]')
      const first = yield* read("a")
      const second = yield* read("a")
      assert.deepStrictEqual([first, second], [[1, 3], []])
      say('42["a",4]')
      for (let i = 0; i < 5; i++) yield* Effect.yieldNow
      assert.deepStrictEqual([first, second], [[1, 3, 4], [4]])
      assert.deepStrictEqual(yield* read("b"), [2])
    })
  )

  it.effect("waits no longer than a second", () =>
    Effect.gen(function* () {
      const { read, say } = yield* connected
      say('42["a",1]')
      say('42["b",1]')
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(yield* read("a"), [1])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* read("b"), [])
      say('42["c",1]')
      assert.deepStrictEqual(yield* read("c"), [])
    })
  )

  it.effect("is one of 256 at the most", () =>
    Effect.gen(function* () {
      const { read, say } = yield* connected
      for (let i = 0; i < 300; i++) say(`42["a",${i}]`)
      const seen = yield* read("a")
      assert.strictEqual(seen.length, 256)
      assert.strictEqual(seen.at(-1), 255)
    })
  )

  it.effect("is forgotten with the connection that it came over", () =>
    Effect.gen(function* () {
      const { read, say, socket } = yield* connected
      say('42["a",1]')
      yield* socket.disconnect()
      assert.deepStrictEqual(yield* read("a"), [])
    })
  )

  it.effect("is seen once by those who see every event, first or later", () =>
    Effect.gen(function* () {
      const { read, say, socket } = yield* connected
      const seen: Array<unknown> = []
      say('42["a",1]')
      yield* socket.onAny((event, args) => Effect.sync(() => seen.push([event, ...args])))
      say('42["a",2]')
      yield* read("a")
      assert.deepStrictEqual(seen, [
        ["a", 1],
        ["a", 2]
      ])
    })
  )
})
