/**
 * How often one client joins namespaces.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Option, Schema } from "effect"
import { TestClock } from "effect/testing"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

const main = SocketIoServer.layerNamespace("/", (socket) => socket.on("sync", () => Effect.succeed("synced")))

/** Joins and leaves a namespace so often in one go, and gives the answers. */
const churn = Effect.fnUntraced(function* (raw: Effect.Success<ReturnType<typeof TestSocketIo.rawClient>>, n: number) {
  const answers: Array<string> = []
  for (let i = 0; i < n; i += 50) {
    for (let k = 0; k < 50; k++) {
      yield* raw.send("40/lobby,")
      yield* raw.send("41/lobby,")
    }
    yield* raw.send('420["sync"]')
    for (;;) {
      const packet = String(yield* raw.receive)
      if (packet === '430["synced"]') break
      if (packet.slice(1).startsWith("0/lobby,") || packet.slice(1).startsWith("4/lobby,")) answers.push(packet)
    }
  }
  return answers
})

const enter = Effect.gen(function* () {
  const raw = yield* TestSocketIo.rawClient()
  yield* raw.send("40")
  return raw
})

const REFUSED = /^44\/lobby,\{"message":"Too many joins","data":\{"retryAfter":\d+\}\}$/

describe("a client that joins and leaves without a pause", () => {
  it.effect("is let in 2,000 times, and then 100 times in a second: others are not refused", () => {
    let built = 0
    const lobby = SocketIoServer.layerNamespace("/lobby", () => Effect.sync(() => void built++))
    return Effect.gen(function* () {
      const hasty = yield* enter
      const answers = yield* churn(hasty, 2_050)
      assert.lengthOf(answers, 2_050)
      // The first time is no return.
      assert.strictEqual(built, 2_001)
      for (const answer of answers.slice(2_001)) assert.match(answer, REFUSED)
      const other = yield* enter
      assert.match((yield* churn(other, 50))[0]!, /^40\/lobby,\{"sid"/)
      built = 0
      yield* TestClock.adjust("1 second")
      yield* churn(hasty, 200)
      assert.strictEqual(built, 100)
    }).pipe(Effect.provide(Layer.mergeAll(main, lobby).pipe(Layer.provideMerge(TestSocketIo.layer()))))
  })

  it.effect("is let in as often as openingRate says, if that is more", () => {
    let built = 0
    const lobby = SocketIoServer.layerNamespace("/lobby", () => Effect.sync(() => void built++))
    return Effect.gen(function* () {
      yield* churn(yield* enter, 3_100)
      assert.strictEqual(built, 3_001)
    }).pipe(
      Effect.provide(
        Layer.mergeAll(main, lobby).pipe(
          Layer.provideMerge(TestSocketIo.layer({ limits: { openingRate: { limit: 20, burst: 3_000 } } }))
        )
      )
    )
  })
})

describe("a client that asks again without a pause while it waits", () => {
  class Doorman extends NamespaceMiddleware.Service<Doorman>()("test/Doorman") {}
  const Private = Namespace.untyped("/private").middleware(Doorman)

  it.effect("has 2,000 decisions, and then 100 in a second: the last of them answers it, once", () => {
    const asked: Array<unknown> = []
    const door = Deferred.makeUnsafe<void>()
    const guarded = SocketIoServer.layerNamespace(Private, (socket) =>
      socket.on("auth", () => Effect.succeed(socket.auth))
    )
    const doorman = Layer.succeed(Doorman, ({ auth }) => {
      asked.push(auth)
      return Deferred.await(door)
    })
    return Effect.gen(function* () {
      const hasty = yield* enter
      let sent = 0
      /** Asks so often, and gives what has come meanwhile. */
      const ask = Effect.fnUntraced(function* (n: number) {
        const answers: Array<string> = []
        for (let i = 0; i < n; i += 50) {
          for (let k = 0; k < 50; k++) yield* hasty.send(`40/private,{"n":${sent++}}`)
          yield* hasty.send('420["sync"]')
          for (let packet = ""; packet !== '430["synced"]';) {
            packet = String(yield* hasty.receive)
            if (packet.includes("/private,")) answers.push(packet)
          }
        }
        return answers
      })
      assert.deepStrictEqual(yield* ask(5_000), [])
      // The first time is no return.
      assert.lengthOf(asked, 2_001)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* ask(200), [])
      assert.lengthOf(asked, 2_101)
      yield* Deferred.succeed(door, undefined)
      yield* hasty.send('42/private,7["auth"]')
      assert.match(String(yield* hasty.receive), /^40\/private,\{"sid"/)
      assert.strictEqual(yield* hasty.receive, `43/private,7[${JSON.stringify(asked.at(-1))}]`)
      const other = yield* enter
      yield* other.send("40/private,")
      let packet = ""
      while (!packet.includes("/private,")) packet = String(yield* other.receive)
      assert.match(packet, /^40\/private,\{"sid"/)
    }).pipe(
      Effect.provide(
        Layer.mergeAll(main, guarded.pipe(Layer.provide(doorman))).pipe(Layer.provideMerge(TestSocketIo.layer()))
      )
    )
  })
})

describe("a socket", () => {
  class Chat extends Namespace.make("/chat", { clientToServer: [Event.make("ready", { ack: Schema.Boolean })] }) {}

  it.effect("is ready when its builder is done", () => {
    let atFirst: Option.Option<boolean> = Option.none()
    const chat = SocketIoServer.layerNamespace(Chat, (socket) =>
      Effect.sync(() => {
        atFirst = Option.some(socket.ready)
        return Chat.of({ ready: () => Effect.sync(() => socket.ready) })
      })
    )
    return Effect.gen(function* () {
      const client = yield* SocketIoClient.connect(Chat)
      assert.isTrue(yield* client.emitWithAck("ready"))
      assert.deepStrictEqual(atFirst, Option.some(false))
    }).pipe(Effect.provide(chat.pipe(Layer.provideMerge(TestSocketIo.layer()))))
  })
})
