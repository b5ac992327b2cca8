/**
 * Socket.IO beside an Effect HttpApi, on one port. Typed endpoints list the connected users, and
 * send messages to them.
 *
 *     npx node examples/with-http-api.ts
 *     curl http://localhost:3000/users
 *     curl -X POST -H 'content-type: application/json' -d '{"text":"hello"}' http://localhost:3000/users/Ada/messages
 *
 * In another terminal, in `npx node`:
 *
 *     const { io } = require("socket.io-client")
 *     const socket = io("http://localhost:3000/inbox", { auth: { name: "Ada" } })
 *     socket.on("message", (message) => console.log(message.text))
 */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Effect, Layer, Schema } from "effect"
import { Event, Namespace } from "effect-socket.io"
import * as NodeSocketIoHttp from "effect-socket.io/node/NodeSocketIoHttp"
import { SocketIoServer } from "effect-socket.io/server"
import { HttpRouter } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

// ---------------------------------------------------------------- the contracts

class Message extends Schema.Class<Message>("Message")({ text: Schema.String, at: Schema.Date }) {}

class Inbox extends Namespace.make("/inbox", {
  auth: Schema.Struct({ name: Schema.String.check(Schema.isMinLength(1)) }),
  serverToClient: [Event.make("message", { payload: Message })]
}) {}

class NotOnline extends Schema.TaggedError<NotOnline>()("NotOnline", { name: Schema.String }, { httpApiStatus: 404 }) {}

class UsersApi extends HttpApiGroup.make("users").add(
  HttpApiEndpoint.get("online", "/users", { success: Schema.Array(Schema.String) }),
  HttpApiEndpoint.post("send", "/users/:name/messages", {
    params: { name: Schema.String },
    payload: Schema.Struct({ text: Schema.String }),
    success: Schema.Struct({ reached: Schema.Int }),
    error: NotOnline
  })
) {}

class Api extends HttpApi.make("inbox-api").add(UsersApi) {}

// ---------------------------------------------------------------- the server

const InboxLive = SocketIoServer.layerNamespace(
  Inbox,
  Effect.fnUntraced(function* (socket) {
    // Each user has a room, with all of the user's devices.
    yield* socket.join(`user:${socket.auth.name}`)
    return Inbox.of({})
  })
)

const UsersLive = HttpApiBuilder.group(
  Api,
  "users",
  Effect.fn(function* (handlers) {
    const inbox = yield* SocketIoServer.namespace(Inbox)
    return handlers.handleAll({
      online: () =>
        Effect.map(inbox.sockets, (sockets) => Array.from(new Set(sockets.map(({ auth }) => auth.name))).toSorted()),
      send: Effect.fnUntraced(function* ({ params: { name }, payload: { text } }) {
        const devices = inbox.to(`user:${name}`)
        // If a server of a cluster does not answer, nobody knows who is online: the request fails with 500.
        const reached = yield* Effect.orDie(devices.size)
        if (reached === 0) return yield* new NotOnline({ name })
        yield* devices.emit("message", new Message({ text, at: new Date(yield* Clock.currentTimeMillis) }))
        return { reached }
      })
    })
  })
)

const Main = Layer.mergeAll(
  InboxLive,
  HttpRouter.serve(HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(Layer.provide(UsersLive)))
).pipe(Layer.provide(NodeSocketIoHttp.layer({ port: Number(process.env.PORT ?? 3000) })))

NodeRuntime.runMain(Layer.launch(Main))
