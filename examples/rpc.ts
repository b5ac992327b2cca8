/**
 * Calls and streams beside events, over one connection: a room in which everybody hears the questions, and a client
 * reads the answer to its own word by word.
 *
 *     npx node examples/rpc.ts            # the server
 *     npx node examples/rpc.ts Ada        # in other terminals: each line that you type is a question
 *
 * Any Socket.IO client can call by hand. In `npx node`:
 *
 *     const { io } = require("socket.io-client")
 *     const socket = io("http://localhost:3000/room", { auth: { name: "Grace" } })
 *     socket.on("rpc", (frame) => console.log(JSON.stringify(frame)))
 *     socket.emit("rpc", { _tag: "Request", id: 1, tag: "Enter" })
 */
import { createInterface } from "node:readline"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Context, Effect, Layer, Schema, Stream } from "effect"
import { Rpc, RpcClient, RpcGroup, RpcServer } from "effect/rpc"
import { Event, Namespace, NamespaceMiddleware } from "effect-socket.io"
import { SocketIoClient } from "effect-socket.io/client"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { SocketIoRpc, SocketIoRpcClient, SocketIoRpcServer } from "effect-socket.io/rpc"
import { SocketIoServer } from "effect-socket.io/server"

// ---------------------------------------------------------------- the contract

class CurrentUser extends Context.Service<CurrentUser, { readonly name: string }>()("room/CurrentUser") {}

class Authentication extends NamespaceMiddleware.Service<Authentication>()("room/Authentication", {
  provides: CurrentUser,
  auth: Schema.Struct({ name: Schema.NonEmptyString })
}) {}

const Asked = Event.make("asked", { payload: { name: Schema.String, question: Schema.String } })

class Room extends Namespace.make("/room", { serverToClient: [Asked] }).middleware(Authentication) {}

/** The namespace has checked the user. The calls take that over. */
class FromAuthentication extends SocketIoRpc.middlewareFrom(Authentication) {}

class NothingAsked extends Schema.TaggedError<NothingAsked>()("NothingAsked", {}) {
  override readonly message = "there is no question"
}

class Rpcs extends RpcGroup.make(
  Rpc.make("Enter", { success: Schema.Int }),
  Rpc.make("Answer", {
    payload: { question: Schema.String },
    success: Schema.String,
    error: NothingAsked,
    stream: true
  })
).middleware(FromAuthentication) {}

// ---------------------------------------------------------------- the server

const RpcsLive = Rpcs.toLayer(
  Effect.gen(function* () {
    const room = yield* SocketIoServer.namespace(Room)
    return {
      Enter: Effect.fnUntraced(function* () {
        const socket = yield* SocketIoRpc.CurrentSocket
        yield* socket.join("everybody")
        return yield* Effect.orDie(room.to("everybody").size)
      }),
      Answer: ({ question }) =>
        Stream.unwrap(
          Effect.gen(function* () {
            if (question.trim() === "") return Stream.fail(new NothingAsked())
            const { name } = yield* CurrentUser
            const socket = yield* SocketIoRpc.CurrentSocket
            yield* room.to("everybody").except(socket.id).emit("asked", { name, question })
            const words = `${name}, you ask "${question}", and that is a good question.`.split(/(?<= )/)
            return Stream.fromIterable(words).pipe(
              Stream.rechunk(1),
              Stream.tap(() => Effect.sleep("30 millis"))
            )
          })
        )
    }
  })
)

const RoomLive = SocketIoServer.layerNamespace(
  Room,
  Effect.fnUntraced(function* (socket) {
    const { attach } = yield* SocketIoRpcServer.Endpoint
    yield* attach(socket)
    return Room.of({})
  })
).pipe(Layer.provide(Layer.succeed(Authentication, ({ auth }) => Effect.succeed({ name: auth.name }))))

const server = Layer.merge(RoomLive, RpcServer.layer(Rpcs)).pipe(
  Layer.provide(RpcsLive),
  Layer.provide(SocketIoRpcServer.layerMiddlewareFrom(FromAuthentication)),
  Layer.provide(SocketIoRpcServer.layerEndpoint()),
  // With recovery, an answer goes on after an outage.
  Layer.provide(NodeSocketIoServer.layer({ port: Number(process.env.PORT ?? 3000), recovery: true })),
  Layer.launch
)

// ---------------------------------------------------------------- a client

const client = (name: string) =>
  Effect.gen(function* () {
    const room = yield* SocketIoClient.connect(Room, { auth: { name } })
    const protocol = yield* SocketIoRpcClient.protocolOf(room)
    const rpcs = yield* RpcClient.make(Rpcs).pipe(Effect.provideService(RpcClient.Protocol, protocol))
    yield* room.stream("asked").pipe(
      Stream.runForEach(({ name, question }) => Console.log(`${name} asks: ${question}`)),
      Effect.forkScoped({ startImmediately: true })
    )
    yield* Console.log(`in the room: ${yield* rpcs.Enter()}`)
    yield* Stream.fromAsyncIterable(createInterface({ input: process.stdin }), (cause) => cause).pipe(
      Stream.runForEach((question) =>
        rpcs.Answer({ question }).pipe(
          Stream.runForEach((word) => Effect.sync(() => process.stdout.write(word))),
          Effect.andThen(Console.log("")),
          Effect.catchTag("NothingAsked", ({ message }) => Console.log(message))
        )
      )
    )
  }).pipe(Effect.scoped, Effect.provide(SocketIoClient.layer({ url: process.env.SERVER ?? "http://localhost:3000" })))

const name = process.argv[2]
const main: Effect.Effect<unknown, unknown> = name === undefined ? server : client(name)

NodeRuntime.runMain(main)
