/**
 * How often one client has dynamic namespaces opened.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

class Document extends Namespace.dynamic("/document/:id", {
  params: { id: Schema.FiniteFromString },
  clientToServer: [Event.make("read", { ack: Schema.Int })]
}) {}

const make = (opened: Array<number>) =>
  SocketIoServer.layerDynamicNamespace(Document, ({ params }) =>
    Effect.sync(() => {
      opened.push(params.id)
      return () => Effect.succeed(Document.of({ read: () => Effect.succeed(params.id) }))
    })
  )

it.effect(
  "a client has a burst of namespaces opened, then some per second: it waits, others do not, and nothing is lost",
  () => {
    const opened: Array<number> = []
    return Effect.gen(function* () {
      const [hasty, other] = [yield* TestSocketIo.rawClient(), yield* TestSocketIo.rawClient()]
      for (let id = 1; id <= 20; id++) yield* hasty.send(`40/document/${id},`)
      yield* hasty.send('42/document/20,0["read"]')
      yield* TestClock.adjust("1 millis")
      // The one that is too much is opened, and then the client is not read.
      assert.deepStrictEqual(opened, [1, 2, 3, 4, 5, 6])
      yield* other.send("40/document/100,")
      yield* TestClock.adjust("1 millis")
      assert.include(opened, 100)
      yield* TestClock.adjust("5 seconds")
      assert.isAtLeast(opened.length, 10)
      assert.isAtMost(opened.length, 12)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(
        opened.filter((id) => id !== 100),
        Array.from({ length: 20 }, (_, i) => i + 1)
      )
      const answers: Array<string> = []
      while (answers.at(-1) !== "43/document/20,0[20]") answers.push(String(yield* hasty.receive))
      assert.lengthOf(
        answers.filter((packet) => packet.startsWith("40/document/")),
        20
      )
    }).pipe(
      Effect.provide(
        make(opened).pipe(Layer.provideMerge(TestSocketIo.layer({ limits: { openingRate: { limit: 1, burst: 5 } } })))
      )
    )
  }
)

it.effect("a namespace that is open already is none that is opened", () => {
  const opened: Array<number> = []
  return Effect.gen(function* () {
    const client = yield* TestSocketIo.rawClient()
    for (let i = 0; i < 20; i++) {
      yield* client.send("40/document/1,")
      yield* client.send("41/document/1,")
    }
    yield* client.send("40/document/1,")
    yield* client.send('42/document/1,0["read"]')
    yield* TestClock.adjust("1 millis")
    assert.deepStrictEqual(opened, [1])
    let last = ""
    while (last !== "43/document/1,0[1]") last = String(yield* client.receive)
  }).pipe(
    Effect.provide(
      make(opened).pipe(Layer.provideMerge(TestSocketIo.layer({ limits: { openingRate: { limit: 1, burst: 2 } } })))
    )
  )
})
