/**
 * The types for the official packages agree with the wire: typed sockets of the official client, and a typed
 * official server.
 */
import * as Http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, DateTime, Duration, Effect, HashMap, Layer, Option, Result, Schema } from "effect"
import { Server } from "socket.io"
import { io, type Socket } from "socket.io-client"

import * as Binary from "../../src/Binary.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import type * as Official from "../../src/Official.ts"
import { EventRefused } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { listen, serve } from "../support/serve.ts"

class Full extends Schema.TaggedError<Full>()("Full", { since: Schema.Date }) {}
class Forms extends Schema.Class<Forms>("Forms")({
  at: Schema.Date,
  utc: Schema.DateTimeUtc,
  big: Schema.BigInt,
  some: Schema.Option(Schema.Date),
  none: Schema.Option(Schema.Date),
  result: Schema.Result(Schema.Date, Schema.String),
  map: Schema.HashMap(Schema.String, Schema.Date),
  chunk: Schema.Chunk(Schema.Finite),
  time: Schema.Duration,
  base64: Schema.Uint8Array,
  bytes: Binary.Bytes,
  nothing: Schema.optional(Schema.String),
  text: Schema.FiniteFromString
}) {}
class Authentication extends NamespaceMiddleware.Service<Authentication>()("official-types/Authentication", {
  auth: Schema.Struct({ token: Schema.String })
}) {}

class Chat extends Namespace.make("/chat", {
  auth: Schema.Struct({ since: Schema.Date }),
  clientToServer: [
    Event.make("echo", { payload: Forms, ack: Forms }),
    Event.make("several", { args: [Schema.Date, Binary.Bytes], ack: Schema.Tuple([Schema.Date, Binary.Bytes]) }),
    Event.make("join", { payload: Schema.NonEmptyString, ack: Schema.Int, error: Full }),
    Event.make("count", { payload: Schema.Finite, ack: Schema.Int }),
    Event.make("quiet", { ack: Schema.Void })
  ],
  serverToClient: [Event.make("ask", { payload: Schema.Date, ack: Schema.Date, error: Full })]
}).middleware(Authentication) {}

const date = new Date(1)

const forms = new Forms({
  at: date,
  utc: DateTime.makeUnsafe(1),
  big: 12n,
  some: Option.some(date),
  none: Option.none(),
  result: Result.succeed(date),
  map: HashMap.make(["a", date]),
  chunk: Chunk.make(1, 2),
  time: Duration.seconds(1),
  base64: new Uint8Array([1]),
  bytes: new Uint8Array([1]),
  nothing: undefined,
  text: 5
})

/** The same in the form that the types give it. The compiler checks it. */
const wire: Official.Wire<typeof Forms.Encoded, Official.SentBytes> = {
  at: "1970-01-01T00:00:00.001Z",
  utc: "1970-01-01T00:00:00.001Z",
  big: "12",
  some: { _tag: "Some", value: "1970-01-01T00:00:00.001Z" },
  none: { _tag: "None" },
  result: { _tag: "Success", success: "1970-01-01T00:00:00.001Z" },
  map: [["a", "1970-01-01T00:00:00.001Z"]],
  chunk: [1, 2],
  time: { _tag: "Millis", value: 1_000 },
  base64: "AQ==",
  bytes: Buffer.from([1]),
  nothing: null,
  text: "5"
}

const seen: Array<Forms> = []
const ChatLive = SocketIoServer.layerNamespace(
  Chat,
  Effect.fnUntraced(function* (socket) {
    assert.deepStrictEqual(socket.auth.since, date)
    yield* socket.use(({ event }) =>
      event === "count" ? Effect.fail(new EventRefused({ message: "not now", data: { until: 7 } })) : Effect.void
    )
    return Chat.of({
      echo: (value) => Effect.sync(() => (seen.push(value), value)),
      several: (values) => Effect.succeed(values),
      join: (room) => {
        if (room === "full") return Effect.fail(new Full({ since: date }))
        if (room === "bug") return Effect.die("a bug")
        return socket.emitWithAck("ask", date).pipe(
          Effect.map((at) => at.getTime()),
          Effect.catchTag("Full", (full) => Effect.succeed(-full.since.getTime())),
          Effect.orDie
        )
      },
      count: () => Effect.succeed(1),
      quiet: () => Effect.void
    })
  })
).pipe(Layer.provide(Layer.succeed(Authentication, () => Effect.void)))

type ChatSocket = Socket<Official.ListenEvents<typeof Chat>, Official.EmitEvents<typeof Chat>>

/** The bytes of a `Buffer` are in memory that it shares with others. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const encode = (value: Forms): unknown => plain(Schema.encodeSync(Schema.toCodecJson(Forms))(value))

describe("the types for the official packages", () => {
  it.live("tell what the server of this library sends and takes", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(ChatLive)
      const auth: Official.Auth<typeof Chat> = { token: "a", since: "1970-01-01T00:00:00.001Z" }
      const socket: ChatSocket = yield* Effect.acquireRelease(
        Effect.sync(() => io(`${url}/chat`, { auth, transports: ["websocket"], forceNew: true, ackTimeout: 10_000 })),
        (socket) => Effect.sync(() => socket.disconnect())
      )
      socket.on("ask", (at, answer) =>
        answer(
          socket.id === ""
            ? { _tag: "Failure", error: { _tag: "Full", since: at } }
            : { _tag: "Success", value: at.replace("001Z", "005Z") }
        )
      )
      yield* Effect.promise(async () => {
        assert.deepStrictEqual(plain(await socket.emitWithAck("echo", wire)), plain(wire))
        const [at, bytes] = (await socket.emitWithAck("several", auth.since, new Uint8Array([7]))) as [string, Buffer]
        assert.deepStrictEqual([at, ...bytes], [auth.since, 7])
        assert.deepStrictEqual(await socket.emitWithAck("join", "lobby"), { _tag: "Success", value: 5 })
        assert.deepStrictEqual(await socket.emitWithAck("join", "full"), {
          _tag: "Failure",
          error: { _tag: "Full", since: auth.since }
        })
        assert.deepStrictEqual(await socket.emitWithAck("join", "bug"), {
          _tag: "Failure",
          error: { _tag: "InternalError" }
        })
        const empty = await socket.emitWithAck("join", "")
        assert.isTrue(empty._tag === "Failure" && empty.error._tag === "PayloadRefused" && empty.error.message !== "")
        // Refusals come in the place of bare values, too.
        const refused = await socket.emitWithAck("count", 1)
        assert.isTrue(typeof refused !== "number" && refused.error._tag === "EventRefused")
        assert.strictEqual(await socket.emitWithAck("quiet"), undefined)
      })
      assert.deepStrictEqual(seen[0]!.some, Option.some(date))
      assert.deepStrictEqual(encode(forms), {
        ...(plain(wire) as object),
        bytes: plain(new Uint8Array([1]))
      })
    })
  )

  it.live("let an official server serve the contract to the client of this library", () =>
    Effect.gen(function* () {
      type Types = Official.ServerTypes<typeof Chat>
      const http = Http.createServer()
      const url = yield* listen(http)
      const server = yield* Effect.acquireRelease(
        Effect.sync(() => new Server<Types[0], Types[1], Types[2], Types[3]>(http)),
        (server) => Effect.promise(() => server.close())
      )
      server.of("/chat").on("connection", (socket) => {
        socket.on("echo", (value, answer) => answer(value))
        socket.on("several", (at, bytes, answer) => answer([at, bytes]))
        socket.on("quiet", (answer) => answer())
        socket.on("join", (room, answer) =>
          room === "full"
            ? answer({ _tag: "Failure", error: { _tag: "Full", since: date.toISOString() } })
            : socket.emit("ask", date.toISOString(), (asked) =>
                answer(
                  asked._tag === "Success"
                    ? { _tag: "Success", value: new Date(asked.value).getTime() }
                    : { _tag: "Failure", error: { _tag: "PayloadRefused", message: "no date" } }
                )
              )
        )
      })
      yield* Effect.gen(function* () {
        const chat = yield* SocketIoClient.connect(Chat, { auth: { token: "a", since: date } })
        yield* chat.respond("ask", (at) => Effect.succeed(new Date(at.getTime() + 4)))
        const echoed = yield* chat.emitWithAck("echo", forms)
        assert.deepStrictEqual({ ...(encode(echoed) as object), bytes: 0 }, { ...(encode(forms) as object), bytes: 0 })
        assert.deepStrictEqual([...echoed.bytes], [1])
        assert.deepStrictEqual(echoed.map, forms.map)
        assert.strictEqual(yield* chat.emitWithAck("join", "lobby"), 5)
        assert.deepStrictEqual((yield* Effect.flip(chat.emitWithAck("join", "full")))._tag, "Full")
        assert.strictEqual(yield* chat.emitWithAck("quiet"), undefined)
      }).pipe(Effect.provide(SocketIoClient.layer({ url })), Effect.scoped)
    })
  )
})
