/**
 * Answers of a real server, decoded by a client that is not this library's.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Schema } from "effect"
import * as Event from "../../src/Event.ts"
import * as EventAnswer from "../../src/EventAnswer.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as ServerSocket from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"

import { call, connect, serve } from "../support/serve.ts"

class Full extends Schema.TaggedError<Full>()("Full", { since: Schema.Date }) {}

const Ask = Event.make("ask", { payload: Schema.String, ack: Schema.Date, error: Full })
const Go = Event.make("go", { error: Full })
const Count = Event.make("count", { payload: Schema.Int, ack: Schema.Int })
const Unknown = Event.make("unknown", { ack: Schema.Int, error: Full })

class Desk extends Namespace.make("/", { clientToServer: [Ask, Go, Count] }) {}

const since = new Date(1_000)

const DeskLive = SocketIoServer.layerNamespace(Desk, (socket) =>
  Effect.as(
    socket.use(({ event, args }) =>
      event === "ask" && args[0] === "forbidden"
        ? Effect.fail(new ServerSocket.EventRefused({ message: "not here", data: { code: 403 } }))
        : Effect.void
    ),
    Desk.of({
      ask: (what) =>
        what === "full"
          ? Effect.fail(new Full({ since }))
          : what === "die"
            ? Effect.die("dead")
            : Effect.succeed(since),
      go: () => Effect.void,
      count: (n) => Effect.succeed(n + 1)
    })
  )
)

describe("the answer to an event", () => {
  it.live("is decoded by its schema, each of them", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(DeskLive)
      const socket = yield* connect(url)
      const ask = (what: unknown) =>
        Effect.flatMap(call(socket, "ask", what), Schema.decodeUnknownEffect(EventAnswer.schema(Ask)))
      assert.deepStrictEqual(yield* ask("now"), { _tag: "Success", value: since })
      assert.deepStrictEqual(yield* ask("full"), { _tag: "Failure", error: new Full({ since }) })
      assert.deepStrictEqual(yield* ask("die"), { _tag: "Failure", error: { _tag: "InternalError" } })
      assert.deepStrictEqual(yield* ask("forbidden"), {
        _tag: "Failure",
        error: { _tag: "EventRefused", message: "not here", data: { code: 403 } }
      })
      const refused = yield* ask(7)
      assert.nestedInclude(refused, { _tag: "Failure", "error._tag": "PayloadRefused" })
      const unknown = yield* Effect.flatMap(
        call(socket, "unknown"),
        Schema.decodeUnknownEffect(EventAnswer.schema(Unknown))
      )
      assert.nestedInclude(unknown, { _tag: "Failure", "error._tag": "EventUnhandled" })
      const done = yield* Effect.flatMap(call(socket, "go"), Schema.decodeUnknownEffect(EventAnswer.schema(Go)))
      assert.deepStrictEqual(done as unknown, { _tag: "Success" })
    })
  )

  it.live("is read as this library's client reads it", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(DeskLive)
      const socket = yield* connect(url)
      const decode = <E extends Event.Any>(event: E, ...args: ReadonlyArray<unknown>) =>
        Effect.flatMap(call(socket, event._tag, ...args), (answer) => EventAnswer.decode(event, [answer]))
      assert.deepStrictEqual(yield* decode(Ask, "now"), since)
      assert.strictEqual(yield* decode(Count, 1), 2)
      assert.instanceOf(yield* Effect.flip(decode(Ask, "full")), Full)
      const refused = yield* Effect.flip(decode(Count, "one"))
      assert.nestedInclude(refused, { _tag: "AckError", "reason._tag": "PayloadRefused" })
    })
  )

  it("that is none is refused", () => {
    const exit = Effect.runSyncExit(EventAnswer.decode(Ask, ["nonsense"]))
    assert.nestedInclude(Option.getOrThrow(Exit.findErrorOption(exit)), {
      _tag: "AckError",
      "reason._tag": "InvalidAcknowledgement"
    })
    assert.strictEqual(Schema.decodeUnknownExit(EventAnswer.schema(Ask))("nonsense")._tag, "Failure")
  })
})
