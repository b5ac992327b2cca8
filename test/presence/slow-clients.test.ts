/**
 * Clients that do not read, where emits wait for them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"

import * as Presence from "../../src/presence/Presence.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { fakeSocket, period } from "./nodes.ts"

class Noted extends Presence.Service<Noted>()("test/Noted", { meta: Schema.Struct({ note: Schema.String }) }) {}

const Main = SocketIoServer.layerNamespace(
  "/",
  Effect.fnUntraced(function* (socket) {
    const noted = yield* Noted
    yield* noted.watch(socket, String(socket.handshake.query.get("room")))
  })
).pipe(
  Layer.provideMerge(Presence.layer(Noted, { namespace: "/", period, maxBytes: 20_000 })),
  Layer.provideMerge(TestSocketIo.layer({ limits: { outboxOverflow: "suspend", maxOutbox: 10_000 } }))
)

/** A client over long-polling that does not poll, and what it gets once it does. */
const silent = Effect.fnUntraced(function* (room: string) {
  const opened = yield* TestSocketIo.request({ query: { room } })
  const { sid } = JSON.parse(String(opened.body).slice(1)) as { readonly sid: string }
  yield* TestSocketIo.request({ query: { room, sid }, method: "POST", body: "40" })
  return Effect.map(TestSocketIo.request({ query: { sid } }), ({ body }) => String(body))
})

describe("a client that does not read, with the outbox policy suspend", () => {
  it.effect("makes its own room wait, where changes become one, and no other room", () =>
    Effect.gen(function* () {
      const noted = yield* Noted
      const poll = yield* silent("red")
      const reader = yield* TestSocketIo.makeClient({ query: { room: "blue" } })
      const blue = yield* reader.connect("/")
      let told = 0
      yield* blue.onAny((event) => Effect.sync(() => void (event === "presence_diff" && told++)))
      const track = (room: string) => noted.track(fakeSocket(`in ${room}`), { room, key: "ada", meta: { note: "" } })
      const [inRed, inBlue] = [yield* track("red"), yield* track("blue")]
      for (let n = 1; n <= 8; n++) {
        yield* inRed.update({ note: `${n}`.padEnd(8_000, ".") })
        yield* inBlue.update({ note: `${n}` })
        yield* TestClock.adjust(2 * period)
      }
      assert.strictEqual(told, 9)
      // No more waits than the outbox may have, and one difference.
      const first = yield* poll
      assert.isBelow(first.length, 30_000)
      yield* TestClock.adjust(2 * period)
      const rest = `${first}${yield* poll}`
      assert.include(rest, `"note":"8.`)
      assert.notInclude(rest, `"note":"6.`)
    }).pipe(Effect.provide(Main))
  )
})
