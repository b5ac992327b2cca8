/**
 * The engine alone, the Effect way: an effect for each session, streams of sessions and messages,
 * sinks; through a real WebSocket.
 */
import * as Http from "node:http"

import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Queue, Scope, Stream } from "effect"
import { WebSocket } from "ws"

import type { EngineOptions } from "../../src/engine/EngineOptions.ts"
import * as EngineServer from "../../src/engine/EngineServer.ts"
import type { EngineSession } from "../../src/engine/EngineSession.ts"
import * as NodeEngine from "../../src/node/NodeEngine.ts"
import { type Overflow, StreamOverflow } from "../../src/StreamOptions.ts"
import { within } from "../support/RawClient.ts"
import { listen } from "../support/serve.ts"

class Greeting extends Context.Service<Greeting, string>()("test/Greeting") {}

const serve = Effect.fnUntraced(function* (engine: EngineServer.EngineServer) {
  const http = Http.createServer()
  yield* NodeEngine.attach(engine, http)
  return yield* listen(http)
})

/** A client over a WebSocket; the open packet has come. */
const connect = Effect.fnUntraced(function* (url: string) {
  const received = yield* Queue.unbounded<string>()
  const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`)
  socket.on("message", (data, isBinary) =>
    Queue.offerUnsafe(received, isBinary ? `bytes ${String(data)}` : String(data))
  )
  const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()))
  yield* Effect.addFinalizer(() => Effect.sync(() => socket.terminate()))
  const take = patiently("packet", Queue.take(received))
  assert.strictEqual((yield* take)[0], "0")
  return { socket, take, closed: Effect.promise(() => within("end of the connection", closed)) }
})

const patiently = <A, E>(what: string, effect: Effect.Effect<A, E>): Effect.Effect<A> =>
  Effect.promise(() => within(what, Effect.runPromise(effect)))

describe("EngineServer.run", () => {
  /** Runs an effect for each session, in a scope of its own. */
  const run = Effect.fnUntraced(function* <E, R>(
    onSession: (session: EngineSession) => Effect.Effect<unknown, E, R>,
    options: EngineOptions = {}
  ) {
    const engine = yield* EngineServer.run({ drainTimeout: "1 second", ...options }, onSession)
    return yield* connect(yield* serve(engine))
  })

  it.live("echoes with a stream and a sink, text and bytes, also messages that come before they are read", () =>
    Effect.gen(function* () {
      const go = yield* Deferred.make<void>()
      const { socket, take } = yield* run((session) =>
        Effect.andThen(Deferred.await(go), Stream.run(session.messages(), session.sink))
      )
      socket.send("4one")
      socket.send(Buffer.from("two"))
      yield* Deferred.succeed(go, undefined)
      assert.deepStrictEqual([yield* take, yield* take], ["4one", "bytes two"])
      socket.send("4three")
      assert.strictEqual(yield* take, "4three")
    })
  )

  it.live("closes the session when the effect is done, and its scope with it", () =>
    Effect.gen(function* () {
      const released = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<string>()
      const { closed, take } = yield* run((session) =>
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() => Deferred.succeed(released, undefined))
          yield* Effect.forkDetach(
            Effect.flatMap(session.closed, ({ reason }) => Deferred.succeed(ended, reason)),
            { startImmediately: true }
          )
          yield* session.send("bye")
        })
      )
      assert.strictEqual(yield* take, "4bye")
      yield* closed
      yield* patiently("release", Deferred.await(released))
      assert.strictEqual(yield* patiently("reason", Deferred.await(ended)), "forced close")
    })
  )

  it.live("closes the session of an effect that fails with `internal error`", () =>
    Effect.gen(function* () {
      const sessions = yield* Queue.unbounded<EngineSession>()
      const { closed } = yield* run((session) => Effect.andThen(Queue.offer(sessions, session), Effect.fail("no")))
      const session = yield* patiently("session", Queue.take(sessions))
      yield* closed
      assert.strictEqual((yield* session.closed).reason, "internal error")
    })
  )

  it.live("interrupts the effect when the session ends, after the messages that have come", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const over = yield* Deferred.make<void>()
      const { socket } = yield* run((session) =>
        session.messages().pipe(
          Stream.runForEach((message) =>
            Effect.andThen(
              Effect.yieldNow,
              Effect.sync(() => seen.push(message))
            )
          ),
          Effect.andThen(Effect.never),
          Effect.ensuring(Deferred.succeed(over, undefined))
        )
      )
      for (let i = 0; i < 3; i++) socket.send(`4${i}`)
      socket.close()
      yield* patiently("end of the effect", Deferred.await(over))
      assert.deepStrictEqual(seen, ["0", "1", "2"])
    })
  )

  it.live("interrupts the effects when the server's scope closes, and waits for them", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const log: Array<string> = []
      const client = yield* Scope.provide(
        run(() =>
          Effect.onInterrupt(Effect.never, () =>
            Effect.andThen(
              Effect.sleep("20 millis"),
              Effect.sync(() => log.push("interrupted"))
            )
          )
        ),
        scope
      )
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* client.closed
      yield* patiently("end of the server", Fiber.join(closing))
      assert.deepStrictEqual(log, ["interrupted"])
    })
  )

  it.live("gives its services to the effects", () =>
    Effect.gen(function* () {
      const { take } = yield* Effect.provideService(
        run((session) => Effect.flatMap(Greeting, (greeting) => Effect.andThen(session.send(greeting), Effect.never))),
        Greeting,
        "hello"
      )
      assert.strictEqual(yield* take, "4hello")
    })
  )
})

describe("a server without a handler", () => {
  it.live("gives its sessions as a stream, with the messages that came before they were read", () =>
    Effect.gen(function* () {
      const engine = yield* EngineServer.make({ drainTimeout: "1 second" })
      const url = yield* serve(engine)
      const sessions = yield* Queue.unbounded<EngineSession>()
      const reading = yield* Effect.forkChild(
        Stream.runForEach(engine.sessions(), (session) => Queue.offer(sessions, session)),
        { startImmediately: true }
      )
      const { socket } = yield* connect(url)
      const session = yield* patiently("session", Queue.take(sessions))
      socket.send("4a")
      socket.send("4b")
      socket.close()
      yield* session.closed
      assert.deepStrictEqual(yield* Stream.runCollect(session.messages()), ["a", "b"])
      assert.isUndefined(reading.pollUnsafe())
    })
  )

  it.live("does not read a client on and on whose messages nobody reads", () =>
    Effect.gen(function* () {
      const engine = yield* EngineServer.make({ drainTimeout: 0 })
      const url = yield* serve(engine)
      const sessions = yield* Queue.unbounded<EngineSession>()
      yield* Effect.forkChild(
        Stream.runForEach(engine.sessions(), (session) => Queue.offer(sessions, session)),
        { startImmediately: true }
      )
      const { socket } = yield* connect(url)
      const session = yield* patiently("session", Queue.take(sessions))
      for (let i = 0; i < 2_500; i++) socket.send(`4${i}`)
      yield* patiently(
        "pause",
        Effect.eventually(Effect.suspend(() => (session.isReading ? Effect.fail("not yet") : Effect.void)))
      )
      const all = yield* patiently("messages", Stream.runCollect(Stream.take(session.messages(), 2_500)))
      assert.deepStrictEqual(
        all,
        Array.from({ length: 2_500 }, (_, i) => String(i))
      )
    })
  )
})

describe("the messages of a session, with a reader that is slower than its client", () => {
  /**
   * Sends 100 messages to a reader that has taken one, with capacity for ten. Gives those that it
   * gets.
   */
  const read = Effect.fnUntraced(function* <O extends Overflow>(overflow: O) {
    const opened = yield* Deferred.make<EngineSession>()
    const all = yield* Deferred.make<void>()
    let count = 0
    const engine = yield* EngineServer.make({ drainTimeout: 0 }, (session) => {
      Deferred.doneUnsafe(opened, Exit.succeed(session))
      const onMessage = () => {
        if (++count === 101) Deferred.doneUnsafe(all, Exit.void)
      }
      return { onOpen() {}, onMessage, onBinary() {}, onClose() {} }
    })
    const { socket, take } = yield* connect(yield* serve(engine))
    const session = yield* patiently("session", Deferred.await(opened))
    const go = yield* Deferred.make<void>()
    const seen: Array<string> = []
    const reading = yield* Effect.forkChild(
      session.messages({ capacity: 10, overflow }).pipe(
        Stream.runForEach((message) => {
          seen.push(String(message))
          return Effect.andThen(session.send("seen"), seen.length === 1 ? Deferred.await(go) : Effect.void)
        }),
        Effect.exit
      ),
      { startImmediately: true }
    )
    socket.send("4first")
    assert.strictEqual(yield* take, "4seen")
    for (let i = 0; i < 100; i++) socket.send(`4${i}`)
    if (overflow === "suspend") {
      yield* patiently(
        "pause",
        Effect.eventually(Effect.suspend(() => (session.isReading ? Effect.fail("not yet") : Effect.void)))
      )
      assert.isBelow(count, 100)
    } else yield* patiently("last message", Deferred.await(all))
    yield* Deferred.succeed(go, undefined)
    yield* patiently("last message", Deferred.await(all))
    socket.close()
    return { seen, exit: yield* patiently("end of the stream", Fiber.join(reading)) }
  })

  const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String(from + i))

  it.live("fails by default, after those that wait", () =>
    Effect.gen(function* () {
      const { exit, seen } = yield* read("fail")
      assert.deepStrictEqual(seen, ["first", ...numbers(0, 10)])
      assert.deepStrictEqual(exit, Exit.fail(new StreamOverflow({ stream: "messages", capacity: 10 })))
    })
  )

  it.live("drops the newest", () =>
    Effect.gen(function* () {
      const { exit, seen } = yield* read("dropNewest")
      assert.deepStrictEqual(seen, ["first", ...numbers(0, 10)])
      assert.isTrue(Exit.isSuccess(exit))
    })
  )

  it.live("drops the oldest", () =>
    Effect.gen(function* () {
      const { exit, seen } = yield* read("dropOldest")
      assert.deepStrictEqual(seen, ["first", ...numbers(90, 100)])
      assert.isTrue(Exit.isSuccess(exit))
    })
  )

  it.live("stops reading from the client, and loses nothing", () =>
    Effect.gen(function* () {
      const { exit, seen } = yield* read("suspend")
      assert.deepStrictEqual(seen, ["first", ...numbers(0, 100)])
      assert.isTrue(Exit.isSuccess(exit))
    })
  )
})
