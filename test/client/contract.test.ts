/**
 * The client with contracts, against our server with the same contract.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Queue, Schema, Stream } from "effect"

import * as Binary from "../../src/Binary.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import { EventRefused, type ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { connect, serve } from "../support/serve.ts"

class User extends Schema.Class<User>("client/User")({ name: Schema.String, since: Schema.Date }) {}
class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { capacity: Schema.Int }) {}

class CurrentName extends Context.Service<CurrentName, string>()("client/CurrentName") {}
class Named extends NamespaceMiddleware.Service<Named>()("client/Named", {
  provides: CurrentName,
  auth: Schema.Struct({ name: Schema.String })
}) {}
const NamedLive = Layer.succeed(Named, ({ auth }) => Effect.succeed(auth.name))

class Club extends Namespace.make("/club", {
  auth: Schema.Struct({ born: Schema.Date }),
  clientToServer: [
    Event.make("greet", { payload: { user: User }, ack: User }),
    Event.make("enter", { payload: Schema.String, ack: Schema.Int, error: RoomFull }),
    Event.make("draw", { args: [Schema.Finite, Binary.Bytes], ack: Binary.Bytes }),
    Event.make("whoami", { ack: Schema.String }),
    Event.make("ping", { ack: Schema.Void })
  ],
  serverToClient: [
    Event.make("news", { payload: User }),
    Event.make("tick"),
    Event.make("confirm", { payload: Schema.String, ack: Schema.Boolean, error: RoomFull })
  ]
}).middleware(Named) {}

const since = new Date(1_700_000_000_000)
const ada = new User({ name: "Ada", since })
const auth = { born: since, name: "Ada" }

/** A club, and a client in it. */
const club = Effect.fnUntraced(function* () {
  const sockets = yield* Queue.unbounded<ServerSocket<typeof Club>>()
  const { url } = yield* serve(
    SocketIoServer.layerNamespace(
      Club,
      Effect.fnUntraced(function* (socket) {
        const name = yield* CurrentName
        yield* Queue.offer(sockets, socket)
        yield* socket.use(({ args }) =>
          args[0] === "forbidden"
            ? Effect.fail(new EventRefused({ message: "not here", data: { code: 403 } }))
            : Effect.void
        )
        return Club.of({
          greet: ({ user }) => Effect.succeed(new User({ name: user.name.toUpperCase(), since: user.since })),
          enter: (room) =>
            room === "full"
              ? Effect.fail(new RoomFull({ capacity: 2 }))
              : room === "broken"
                ? Effect.die(new Error("broken"))
                : Effect.succeed(room.length),
          draw: ([n, bytes]) => Effect.succeed(bytes.map((byte) => byte + n)),
          whoami: () => Effect.succeed(`${name}, ${socket.auth.born.getFullYear()}`),
          ping: () => Effect.void
        })
      })
    ).pipe(Layer.provide(NamedLive))
  )
  const client = yield* SocketIoClient.make({ url })
  const here = Effect.provideService(SocketIoClient.SocketIoClient, client)
  const socket = yield* SocketIoClient.connect(Club, { auth }).pipe(here)
  return { url, here, socket, server: yield* Queue.take(sockets) }
})

describe("a client with a contract", () => {
  it.live("sends and gets what is declared: classes, dates, bytes, several arguments, none", () =>
    Effect.gen(function* () {
      const { socket } = yield* club()
      const greeted = yield* socket.emitWithAck("greet", { user: ada })
      assert.instanceOf(greeted, User)
      assert.deepStrictEqual(greeted, new User({ name: "ADA", since }))
      const drawn = yield* socket.emitWithAck("draw", [1, new Uint8Array([1, 2])])
      assert.deepStrictEqual(Array.from(drawn), [2, 3])
      assert.isUndefined(yield* socket.emitWithAck("ping"))
    })
  )

  it.live("sends the auth payload of the contract and of its middleware, in their encoded form", () =>
    Effect.gen(function* () {
      const { socket } = yield* club()
      assert.strictEqual(yield* socket.emitWithAck("whoami"), "Ada, 2023")
    })
  )

  it.live("fails with what the event declares, and otherwise says what kept the answer from coming", () =>
    Effect.gen(function* () {
      const { socket } = yield* club()
      assert.strictEqual(yield* socket.emitWithAck("enter", "lobby"), 5)
      const full = yield* Effect.flip(socket.emitWithAck("enter", "full"))
      assert.deepStrictEqual(full, new RoomFull({ capacity: 2 }))
      const failure = (room: string) =>
        Effect.map(Effect.flip(socket.emitWithAck("enter", room)), (error) =>
          error._tag === "AckError" ? error.reason : error
        )
      assert.deepStrictEqual(yield* failure("broken"), { _tag: "HandlerFailed" })
      assert.deepStrictEqual(yield* failure("forbidden"), {
        _tag: "EventRefused",
        description: "not here",
        data: { code: 403 }
      })
      // By its own schema, before it is sent.
      assert.deepStrictEqual(yield* failure(7 as unknown as string), {
        _tag: "PayloadRefused",
        description: 'payload of "enter": Expected string'
      })
      // Where nobody waits for an answer it is a defect.
      const refused = yield* Effect.exit(socket.emit("enter", 7 as unknown as string))
      assert.include(String(refused), 'payload of "enter"')
      assert.isTrue(Exit.hasDies(refused))
    })
  )

  it.live("streams decoded payloads, and leaves out those that the schema refuses", () =>
    Effect.gen(function* () {
      const { server, socket } = yield* club()
      const news = yield* socket.subscribe("news")
      const ticks = yield* socket.subscribe("tick")
      yield* server.untyped.emit("news", { name: 7 })
      yield* server.emit("news", ada)
      yield* server.emit("tick")
      const [first] = Array.from(yield* Stream.runCollect(Stream.take(news, 1)))
      assert.deepStrictEqual(first, ada)
      assert.deepStrictEqual(Array.from(yield* Stream.runCollect(Stream.take(ticks, 1))), [undefined])
    })
  )

  it.live("answers what the server asks, with values, declared failures, and refusals", () =>
    Effect.gen(function* () {
      const { server, socket } = yield* club()
      yield* socket.respond("confirm", (what) =>
        what === "full"
          ? Effect.fail(new RoomFull({ capacity: 1 }))
          : what === "broken"
            ? Effect.die("broken")
            : Effect.delay(Effect.succeed(what === "yes"), "1 millis")
      )
      assert.isTrue(yield* server.emitWithAck("confirm", "yes"))
      assert.isFalse(yield* server.emitWithAck("confirm", "no"))
      assert.deepStrictEqual(yield* Effect.flip(server.emitWithAck("confirm", "full")), new RoomFull({ capacity: 1 }))
      const broken = yield* Effect.flip(server.emitWithAck("confirm", "broken"))
      assert.strictEqual(broken._tag === "AckError" && broken.reason._tag, "HandlerFailed")
    })
  )

  it.live("does not answer any more when the scope of its answer has closed", () =>
    Effect.gen(function* () {
      const { server, socket } = yield* club()
      yield* Effect.scoped(
        Effect.andThen(
          socket.respond("confirm", () => Effect.succeed(true)),
          Effect.map(server.emitWithAck("confirm", "x"), (answer) => assert.isTrue(answer))
        )
      )
      const asking = yield* Effect.forkChild(Effect.flip(server.emitWithAck("confirm", "x")), {
        startImmediately: true
      })
      yield* socket.emitWithAck("ping")
      yield* socket.disconnect()
      assert.strictEqual((yield* Fiber.join(asking))._tag, "AckError")
    })
  )

  it.live("connects to dynamic namespaces by their parameters", () =>
    Effect.gen(function* () {
      class Document extends Namespace.dynamic("/document/:id/:part", {
        params: { id: Schema.FiniteFromString },
        clientToServer: [Event.make("where", { ack: Schema.String })]
      }) {}
      const { url } = yield* serve(
        SocketIoServer.layerDynamicNamespace(Document, ({ params }) =>
          Effect.succeed(() =>
            Effect.succeed(Document.of({ where: () => Effect.succeed(`${params.id + 1} ${params.part}`) }))
          )
        )
      )
      const client = yield* SocketIoClient.make({ url })
      const socket = yield* SocketIoClient.connect(Document, { params: { id: 7, part: "intro" } }).pipe(
        Effect.provideService(SocketIoClient.SocketIoClient, client)
      )
      assert.strictEqual(socket.namespace, "/document/7/intro")
      assert.strictEqual(yield* socket.emitWithAck("where"), "8 intro")
      const bad = yield* Effect.exit(
        Effect.scoped(SocketIoClient.connect(Document, { params: { id: 7, part: "a/b" } })).pipe(
          Effect.provideService(SocketIoClient.SocketIoClient, client)
        )
      )
      assert.include(String(bad), "not a name of the pattern")
    })
  )

  it.live("shares its namespace with official clients", () =>
    Effect.gen(function* () {
      const { server, socket, url } = yield* club()
      const official = yield* connect(`${url}/club`, { auth: { born: since.toISOString(), name: "Bob" } })
      const news = yield* socket.subscribe("news")
      yield* server.to([]).emit("news", ada)
      const heard = yield* Effect.promise(
        () =>
          new Promise<any>((resolve) => {
            official.once("news", resolve)
            Effect.runFork(server.broadcast.emit("news", ada))
          })
      )
      assert.deepStrictEqual(heard, { name: "Ada", since: since.toISOString() })
      yield* server.emit("news", new User({ name: "last", since }))
      const [first] = Array.from(yield* Stream.runCollect(Stream.take(news, 1)))
      assert.strictEqual(first!.name, "last")
    })
  )
})
