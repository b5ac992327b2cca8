/**
 * One contract with the official packages on the other side: first the official client at this
 * library's server, then this library's client at the official server. Every form of event goes
 * both ways. The program prints each arrival, and ends.
 *
 *     npx node examples/official-client-interop.ts
 */
import { createServer, type Server as HttpServer } from "node:http"
import type { AddressInfo } from "node:net"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schema, Stream } from "effect"
import { Binary, Event, Namespace, type Official } from "effect-socket.io"
import { SocketIoClient } from "effect-socket.io/client"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { SocketIoServer } from "effect-socket.io/server"
import { Server } from "socket.io"
import { io, type Socket } from "socket.io-client"

class DivisionByZero extends Schema.TaggedError<DivisionByZero>()("DivisionByZero", { dividend: Schema.Finite }) {}

class Forms extends Namespace.make("/forms", {
  auth: Schema.Struct({ token: Schema.Literal("secret") }),
  clientToServer: [
    Event.make("nothing"),
    Event.make("one", { payload: { at: Schema.Date } }),
    Event.make("several", { args: [Schema.String, Schema.Finite] }),
    Event.make("bytes", { payload: Binary.Bytes, ack: Binary.Bytes }),
    Event.make("divide", { args: [Schema.Finite, Schema.Finite], ack: Schema.Finite, error: DivisionByZero }),
    Event.make("ask me", { ack: Schema.String })
  ],
  serverToClient: [
    Event.make("news", { payload: Schema.String }),
    Event.make("question", { payload: Schema.String, ack: Schema.String })
  ]
}) {}

const now = new Date(0)

/** An `http.Server` on a free port, until the scope closes. */
const listening = (server: HttpServer) =>
  Effect.acquireRelease(
    Effect.callback<string>((resume) => {
      server.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
      )
    }),
    () => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )

const print =
  (who: string) =>
  (what: string, ...values: ReadonlyArray<unknown>) =>
    Console.log(`${who} ${what}`, ...values)

// ---------------------------------------------------------------- the official client at this library's server

const FormsLive = SocketIoServer.layerNamespace(
  Forms,
  Effect.fnUntraced(function* (socket) {
    const got = print("our server got")
    yield* socket.join("readers")
    const readers = (yield* SocketIoServer.namespace(Forms)).to("readers")
    return Forms.of({
      nothing: () => got("nothing"),
      one: ({ at }) => got("one:", at),
      several: (values) => got("several:", ...values),
      bytes: (bytes) => Effect.as(got("bytes:", bytes), bytes.toReversed()),
      divide: ([dividend, divisor]) =>
        divisor === 0 ? Effect.fail(new DivisionByZero({ dividend })) : Effect.succeed(dividend / divisor),
      "ask me": () =>
        Effect.gen(function* () {
          const answer = yield* Effect.orDie(socket.emitWithAck("question", "who are you?"))
          yield* readers.volatile.emit("news", `${answer} was here`)
          return answer
        })
    })
  })
)

/** The official client's socket, with types from the contract: as values are on the wire. */
type FormsSocket = Socket<Official.ListenEvents<typeof Forms>, Official.EmitEvents<typeof Forms>>

const useOfficialClient = async (url: string): Promise<void> => {
  const socket: FormsSocket = io(`${url}/forms`, { auth: { token: "guess" } })
  try {
    const refusal = await new Promise<Error>((resolve) => socket.once("connect_error", resolve))
    console.log("official client is refused:", refusal.message)
    const auth: Official.Auth<typeof Forms> = { token: "secret" }
    socket.auth = auth
    socket.connect()
    const news = new Promise((resolve) => socket.once("news", resolve))
    socket.on("question", (_question, answer) => answer("the official client"))
    socket.emit("nothing")
    socket.emit("one", { at: now.toISOString() })
    socket.emit("several", "a", 1)
    console.log("official client got bytes:", await socket.emitWithAck("bytes", new Uint8Array([1, 2, 3])))
    console.log("official client got a value:", await socket.emitWithAck("divide", 6, 3))
    console.log("official client got a failure:", await socket.emitWithAck("divide", 6, 0))
    console.log("official client got an answer:", await socket.emitWithAck("ask me"))
    console.log("official client got news:", await news)
  } finally {
    socket.disconnect()
  }
}

const officialAtOurs = Effect.gen(function* () {
  const http = createServer()
  const url = yield* listening(http)
  yield* Layer.build(Layer.provide(FormsLive, NodeSocketIoServer.layerAttached(http)))
  yield* Effect.promise(() => useOfficialClient(url))
}).pipe(Effect.scoped)

// ---------------------------------------------------------------- this library's client at the official server

const got = (...values: ReadonlyArray<unknown>) => console.log("official server got", ...values)

type ServerTypes = Official.ServerTypes<typeof Forms>

const officialServer = (http: HttpServer) => {
  const server = new Server<ServerTypes[0], ServerTypes[1], ServerTypes[2], ServerTypes[3]>(http)
  const forms = server.of("/forms")
  forms.use((socket, next) =>
    next(
      socket.handshake.auth.token === "secret"
        ? undefined
        : Object.assign(new Error("not you"), { data: { code: 401 } })
    )
  )
  forms.on("connection", (socket) => {
    void socket.join("readers")
    socket.on("nothing", () => got("nothing"))
    socket.on("one", (one) => got("one:", one))
    socket.on("several", (...values) => got("several:", ...values))
    socket.on("bytes", (bytes, done) => {
      got("bytes:", bytes)
      done(new Uint8Array(bytes).toReversed())
    })
    socket.on("divide", (dividend, divisor, done) =>
      done(
        divisor === 0
          ? { _tag: "Failure", error: { _tag: "DivisionByZero", dividend } }
          : { _tag: "Success", value: dividend / divisor }
      )
    )
    socket.on("ask me", async (done) => {
      const answer = await socket.emitWithAck("question", "who are you?")
      forms.to("readers").volatile.emit("news", `${answer} was here`)
      done(answer)
    })
  })
  return server
}

const useOurClient = Effect.gen(function* () {
  const says = print("our client")
  const refusal = yield* Effect.flip(SocketIoClient.connect("/forms", { auth: { token: "guess" } })).pipe(Effect.scoped)
  yield* says("is refused:", refusal.message, refusal.reason._tag === "Refused" && refusal.reason.data)
  const forms = yield* SocketIoClient.connect(Forms, { auth: { token: "secret" } })
  const news = yield* forms.subscribe("news")
  yield* forms.respond("question", () => Effect.succeed("the client of this library"))
  yield* forms.emit("nothing")
  yield* forms.emit("one", { at: now })
  yield* forms.emit("several", ["a", 1])
  yield* says("got bytes:", yield* forms.emitWithAck("bytes", new Uint8Array([1, 2, 3])))
  yield* says("got a value:", yield* forms.emitWithAck("divide", [6, 3]))
  yield* forms
    .emitWithAck("divide", [6, 0])
    .pipe(Effect.catchTag("DivisionByZero", ({ dividend }) => says("got a failure: no division by zero of", dividend)))
  yield* says("got an answer:", yield* forms.emitWithAck("ask me"))
  yield* Stream.runForEach(Stream.take(news, 1), (text) => says("got news:", text))
})

const oursAtOfficial = Effect.gen(function* () {
  const http = createServer()
  const url = yield* listening(http)
  yield* Effect.acquireRelease(
    Effect.sync(() => officialServer(http)),
    // This closes the `http.Server`, too.
    (server) => Effect.promise(() => server.close())
  )
  yield* Effect.scoped(Effect.provide(useOurClient, SocketIoClient.layer({ url })))
}).pipe(Effect.scoped)

Effect.andThen(officialAtOurs, oursAtOfficial).pipe(NodeRuntime.runMain)
