/**
 * Events that are sent until they are acknowledged: under a clock that the test moves, and to real servers.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Result, Schedule, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Server } from "socket.io"

import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import * as RetryingEmitter from "../../src/client/RetryingEmitter.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform } from "../../src/engine/ClientPlatform.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { AckError } from "../../src/SocketIoError.ts"
import { type FakeWebSocket, makeFakePlatform } from "../support/fakeClientPlatform.ts"
import { serve } from "../support/serve.ts"

class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {}

class Orders extends Namespace.make("/orders", {
  clientToServer: [
    Event.make("order", { payload: Schema.Number, ack: Schema.String, error: Refused }),
    Event.make("note", { payload: Schema.String })
  ]
}) {}

/** A client whose server is the test. */
const setup = Effect.gen(function* () {
  const platform = makeFakePlatform()
  const client = yield* SocketIoClient.make({ url: "http://test", transports: ["websocket"] }).pipe(
    Effect.provideService(ClientPlatform, platform)
  )
  const scope = yield* Scope.make()
  const socket = yield* SocketIoClient.socket("/").pipe(
    Effect.provideService(SocketIoClient.SocketIoClient, client),
    Scope.provide(scope)
  )
  const last = () => platform.sockets.at(-1)!
  return { platform, scope, socket, last }
})

const admit = Effect.fnUntraced(function* (server: FakeWebSocket) {
  server.accept()
  yield* Effect.yieldNow
  assert.deepStrictEqual(yield* sent(server), ["40"])
  server.events.onText('40{"sid":"id"}')
  yield* Effect.yieldNow
})

/** The packets that the client has sent, after all fibers had a turn. */
const sent = Effect.fnUntraced(function* (server: FakeWebSocket) {
  yield* TestClock.adjust(0)
  return server.take()
})

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(Effect.result(effect), { startImmediately: true })

const reasonOf = (result: Result.Result<unknown, unknown>) =>
  Result.isFailure(result) && result.failure instanceof AckError ? result.failure.reason._tag : result

describe("retries of a client", () => {
  const emitter = (socket: ClientSocket<Namespace.Untyped>, retries: RetryingEmitter.RetryOptions["retries"] = 2) =>
    RetryingEmitter.make(socket, { retries, ackTimeout: "5 seconds" })

  it.effect("send an event again under a new id when its acknowledgement does not come in time, and then give up", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup
      yield* admit(last())
      const retrying = yield* emitter(socket)
      const emitting = yield* fork(retrying.emit("order", 1))
      assert.deepStrictEqual(yield* sent(last()), ['420["order",1]'])
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(yield* sent(last()), [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* sent(last()), ['421["order",1]'])
      // Too late for the first try, which nobody waits for any more.
      last().events.onText("430[]")
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* sent(last()), ['422["order",1]'])
      assert.isUndefined(emitting.pollUnsafe())
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(reasonOf(yield* Fiber.join(emitting)), "Timeout")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* sent(last()), [])
    })
  )

  it.effect("send one event at a time, in the order in which they were started", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup
      yield* admit(last())
      const retrying = yield* emitter(socket)
      const fibers = yield* Effect.forEach([1, 2, 3], (n) => fork(retrying.emitWithAck("order", n)))
      assert.deepStrictEqual(yield* sent(last()), ['420["order",1]'])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* sent(last()), ['421["order",1]'])
      last().events.onText('431["one"]')
      // Somebody who comes just now does not pass those who wait.
      fibers.push(yield* fork(retrying.emitWithAck("order", 4)))
      for (const [id, n] of [
        [2, 2],
        [3, 3],
        [4, 4]
      ]) {
        yield* Effect.yieldNow
        assert.deepStrictEqual(yield* sent(last()), [`42${id}["order",${n}]`])
        last().events.onText(`43${id}[${n}]`)
      }
      const answers = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(answers.map(Result.getOrThrow), [["one"], [2], [3], [4]])
    })
  )

  it.effect("leave alone what is emitted without them", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup
      yield* admit(last())
      const retrying = yield* emitter(socket)
      yield* fork(retrying.emit("order", 1))
      yield* fork(retrying.emit("order", 2))
      yield* socket.emit("news")
      assert.deepStrictEqual(yield* sent(last()), ['420["order",1]', '42["news"]'])
      yield* socket.volatile.emit("cursor")
      assert.deepStrictEqual(yield* sent(last()), ['42["cursor"]'])
    })
  )

  it.effect("wait for the connection without time passing, and go on over the next one", () =>
    Effect.gen(function* () {
      const { last, platform, socket } = yield* setup
      const retrying = yield* emitter(socket, 1)
      const first = yield* fork(retrying.emitWithAck("order", 1))
      const second = yield* fork(retrying.emitWithAck("order", 2))
      yield* TestClock.adjust("10 seconds")
      yield* admit(last())
      assert.deepStrictEqual(yield* sent(last()), ['420["order",1]'])
      last().fail("gone")
      yield* TestClock.adjust("5 seconds")
      assert.lengthOf(platform.sockets, 2)
      yield* admit(last())
      assert.deepStrictEqual(yield* sent(last()), ['421["order",1]'])
      last().events.onText('431["late"]')
      assert.deepStrictEqual(Result.getOrThrow(yield* Fiber.join(first)), ["late"])
      yield* Effect.yieldNow
      assert.deepStrictEqual(yield* sent(last()), ['422["order",2]'])
      // The connection is lost a second time: for the second event it is the first one.
      last().fail("gone")
      yield* TestClock.adjust("5 seconds")
      yield* admit(last())
      assert.deepStrictEqual(yield* sent(last()), ['423["order",2]'])
      last().fail("gone")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(reasonOf(yield* Fiber.join(second)), "Disconnected")
    })
  )

  it.effect("survive a refusal, if the socket connects again", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup
      const retrying = yield* emitter(socket, 0)
      const emitting = yield* fork(retrying.emit("order", 1))
      last().accept()
      last().events.onText('44{"message":"not now"}')
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(emitting.pollUnsafe())
      last().fail("closed")
      yield* Effect.forkChild(socket.reconnect(), { startImmediately: true })
      yield* admit(last())
      assert.deepStrictEqual(yield* sent(last()), ['420["order",1]'])
      last().events.onText("430[]")
      Result.getOrThrow(yield* Fiber.join(emitting))
    })
  )

  it.effect("end with the socket's scope, however many there may be", () =>
    Effect.gen(function* () {
      const { last, scope, socket } = yield* setup
      yield* admit(last())
      const retrying = yield* emitter(socket, Infinity)
      const fibers = yield* Effect.forEach([1, 2], (n) => fork(retrying.emit("order", n)))
      yield* TestClock.adjust("1 hour")
      yield* Scope.close(scope, Exit.void)
      for (const fiber of fibers) assert.strictEqual(reasonOf(yield* Fiber.join(fiber)), "Disconnected")
      assert.strictEqual(reasonOf(yield* Effect.result(retrying.emit("order", 3))), "Disconnected")
    })
  )

  it.effect("are cancelled with the fiber that waits: on its way, or before its turn", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup
      yield* admit(last())
      const retrying = yield* emitter(socket)
      const [first, second, third] = yield* Effect.forEach([1, 2, 3], (n) => fork(retrying.emit("order", n)))
      yield* sent(last())
      yield* Fiber.interrupt(second!)
      assert.deepStrictEqual(yield* sent(last()), [])
      yield* Fiber.interrupt(first!)
      yield* Effect.yieldNow
      assert.deepStrictEqual(yield* sent(last()), ['421["order",3]'])
      last().events.onText("431[]")
      yield* Fiber.join(third!)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* sent(last()), [])
    })
  )

  it.effect("pause as a schedule says, which is run anew for every event", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup
      yield* admit(last())
      const retrying = yield* emitter(socket, Schedule.max([Schedule.exponential("1 second"), Schedule.recurs(2)]))
      for (const n of [1, 2]) {
        const emitting = yield* fork(retrying.emit("order", n))
        for (const pause of [1_000, 2_000]) {
          assert.lengthOf(yield* sent(last()), 1)
          yield* TestClock.adjust(5_000 + pause - 1)
          assert.lengthOf(yield* sent(last()), 0)
          yield* TestClock.adjust(1)
        }
        assert.lengthOf(yield* sent(last()), 1)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(reasonOf(yield* Fiber.join(emitting)), "Timeout")
      }
    })
  )

  it.effect("are refused if they make no sense", () =>
    Effect.gen(function* () {
      const { socket } = yield* setup
      for (const retries of [-1, 0.5, Number.NaN]) {
        const error = yield* Effect.flip(RetryingEmitter.make(socket, { retries, ackTimeout: "5 seconds" }))
        assert.strictEqual(error.option, "retries")
      }
      for (const ackTimeout of [0, Infinity, Number.NaN]) {
        const error = yield* Effect.flip(RetryingEmitter.make(socket, { retries: 1, ackTimeout }))
        assert.strictEqual(error.option, "ackTimeout")
      }
    })
  )
})

describe("retries of a client, to real servers", () => {
  it.live("reach the official server, which answers only the third try of each, in order", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const url = yield* Effect.acquireRelease(
        Effect.callback<{ readonly io: Server; readonly url: string }>((resume) => {
          const http = createServer()
          const io = new Server(http, { serveClient: false })
          io.on("connection", (socket) => {
            socket.on("order", (n: number, done: (answer: string) => void) => {
              seen.push(n)
              // The second order's first try costs the connection.
              const tries = seen.filter((one) => one === n).length
              if (n === 2 && tries === 1) socket.conn.close()
              if (tries === 3) done(`order ${n}`)
            })
          })
          http.listen(0, "127.0.0.1", () =>
            resume(Effect.succeed({ io, url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` }))
          )
        }),
        ({ io }) => Effect.promise(() => io.close())
      ).pipe(Effect.map(({ url }) => url))
      const client = yield* Layer.build(SocketIoClient.layer({ url, reconnection: Schedule.spaced("20 millis") }))
      const answers = yield* Effect.provideContext(
        Effect.gen(function* () {
          const socket = yield* SocketIoClient.connect("/")
          const retrying = yield* RetryingEmitter.make(socket, { retries: 3, ackTimeout: "200 millis" })
          return yield* Effect.forEach([1, 2, 3], (n) => retrying.emitWithAck("order", n), { concurrency: "unbounded" })
        }),
        client
      )
      assert.deepStrictEqual(answers, [["order 1"], ["order 2"], ["order 3"]])
      assert.deepStrictEqual(seen, [1, 1, 1, 2, 2, 2, 3, 3, 3])
    })
  )

  it.live("reach our server with a contract: whatever the event declares, and its failures as they are", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(Orders, () =>
          Effect.succeed(
            Orders.of({
              order: (n) =>
                Effect.suspend(() => {
                  seen.push(n)
                  if (n < 0) return Effect.fail(new Refused({ why: "less than nothing" }))
                  return n === 0 && seen.length === 1 ? Effect.never : Effect.succeed(`order ${n}`)
                }),
              note: (text) => Effect.sync(() => void seen.push(text))
            })
          )
        )
      )
      const client = yield* Layer.build(SocketIoClient.layer({ url }))
      yield* Effect.provideContext(
        Effect.gen(function* () {
          const socket = yield* SocketIoClient.connect(Orders)
          const retrying = yield* RetryingEmitter.make(socket, { retries: 1, ackTimeout: "200 millis" })
          assert.strictEqual(yield* retrying.emitWithAck("order", 0), "order 0")
          yield* retrying.emit("order", 1)
          const refused = yield* Effect.flip(retrying.emitWithAck("order", -1))
          assert.deepStrictEqual(refused, new Refused({ why: "less than nothing" }))
          yield* retrying.emit("note", "done")
        }),
        client
      )
      assert.deepStrictEqual(seen, [0, 0, 1, -1, "done"])
    })
  )
})
