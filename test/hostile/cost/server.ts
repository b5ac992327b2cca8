/**
 * The server under measurement: the namespaces of README and of its examples, those of the features,
 * and every option at its default. It says what it has used.
 */
import { openSync, writeSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo, Socket } from "node:net"

import { Context, Effect, Layer, Schema, Scope } from "effect"

import * as Event from "../../../src/Event.ts"
import * as Namespace from "../../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../../src/NamespaceMiddleware.ts"
import * as NodeSocketIoServer from "../../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../../src/server/SocketIoServer.ts"
import { answer } from "../../bench/roles.ts"
import { FeaturesLive } from "./features.ts"

class Message extends Schema.Class<Message>("chat/Message")({ room: Schema.String, text: Schema.String }) {}
class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { capacity: Schema.Int }) {}

class Chat extends Namespace.make("/chat", {
  clientToServer: [
    Event.make("join", { payload: { room: Schema.String }, ack: Schema.Int, error: RoomFull }),
    Event.make("leave", { payload: { room: Schema.String }, ack: Schema.Int }),
    Event.make("say", { payload: Message }),
    Event.make("cursor", { args: [Schema.Finite, Schema.Finite] }),
    Event.make("items", { payload: Schema.Array(Schema.Unknown), ack: Schema.Int })
  ],
  serverToClient: [
    Event.make("say", { payload: Message }),
    Event.make("cursor", { args: [Schema.Finite, Schema.Finite] })
  ]
}) {}

class CurrentUser extends Context.Service<CurrentUser, { readonly name: string }>()("app/CurrentUser") {}

class Authentication extends NamespaceMiddleware.Service<Authentication>()("app/Authentication", {
  provides: CurrentUser,
  auth: Schema.Struct({ token: Schema.String })
}) {}

class Private extends Namespace.make("/private", {
  clientToServer: [Event.make("whoami", { ack: Schema.String })]
}).middleware(Authentication) {}

class Document extends Namespace.dynamic("/document/:id", {
  params: { id: Schema.FiniteFromString },
  clientToServer: [Event.make("edit", { payload: Schema.String, ack: Schema.Int })],
  serverToClient: [Event.make("edited", { payload: Schema.String })]
}) {}

const ChatLive = SocketIoServer.layerNamespace(
  Chat,
  Effect.fnUntraced(function* (socket) {
    const chat = yield* SocketIoServer.namespace(Chat)
    return Chat.of({
      join: Effect.fnUntraced(function* ({ room }) {
        const members = (yield* chat.sockets).filter((other) => other.rooms.has(room)).length
        if (members >= 100) return yield* new RoomFull({ capacity: 100 })
        yield* socket.join(room)
        return members + 1
      }),
      leave: ({ room }) => Effect.as(socket.leave(room), 1),
      say: (message) => socket.to(message.room).emit("say", message),
      cursor: (position) => socket.broadcast.volatile.emit("cursor", position),
      items: (items) => Effect.succeed(items.length)
    })
  })
)

const AuthenticationLive = Layer.succeed(Authentication, ({ auth }) =>
  auth.token === "secret"
    ? Effect.succeed({ name: "Ada" })
    : Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "not authorized", data: { code: 401 } }))
)

const PrivateLive = SocketIoServer.layerNamespace(Private, () =>
  Effect.succeed(Private.of({ whoami: () => Effect.map(CurrentUser, ({ name }) => name) }))
).pipe(Layer.provide(AuthenticationLive))

const DocumentsLive = SocketIoServer.layerDynamicNamespace(
  Document,
  Effect.fnUntraced(function* (document) {
    yield* Effect.logDebug(`document ${document.params.id} is open`)
    let edits = 0
    return (socket) =>
      Effect.succeed(Document.of({ edit: (text) => Effect.as(socket.broadcast.emit("edited", text), ++edits) }))
  })
)

/** Without a contract: each event for one way in which a handler may go. */
const PlainLive = SocketIoServer.layerNamespace(
  "/",
  Effect.fnUntraced(function* (socket) {
    yield* socket.on("ack", (value) => Effect.succeed(value))
    yield* socket.on("take", () => Effect.void)
    yield* socket.on("size", (value) => Effect.succeed(Array.isArray(value) ? value.length : 0))
    yield* socket.on("brief", (value) => Effect.as(Effect.sleep("5 millis"), value))
    yield* socket.on("slow", () => Effect.sleep("1 minute"))
    yield* socket.on("die", () => Effect.die(new Error("a bug")))
    yield* socket.on("fail", () => Effect.fail(new Error("a failure")) as Effect.Effect<never>)
  })
)

/** Log lines are formatted and written, as by default, but to nowhere. */
const nowhere = openSync("/dev/null", "w")
process.stdout.write = (chunk: string | Uint8Array) => {
  writeSync(nowhere, chunk as string)
  return true
}

/** The resources that the server has used since its start, and those that it holds. */
export interface Usage {
  /** Time of its processor, user and system, in µs. */
  readonly cpu: number
  /** The bytes that it has read from connections that count. */
  readonly bytes: number
  /** Heap and what is outside of it, in bytes. */
  readonly memory: number
  readonly sessions: number
  readonly connections: number
}

const http = createServer((_request, response) => response.writeHead(404, { "content-length": 0 }).end())
const open = new Set<Socket>()
const uncounted = new WeakSet<Socket>()
let closedBytes = 0
http.on("connection", (socket) => {
  open.add(socket)
  socket.once("close", () => {
    open.delete(socket)
    if (!uncounted.has(socket)) closedBytes += socket.bytesRead
  })
})

let service: SocketIoServer.SocketIoServerShape | undefined

answer({
  listen: async (recovers: boolean) => {
    const server = NodeSocketIoServer.layerAttached(http, {
      allowEIO3: true,
      recovery: recovers,
      cors: { origin: ["https://good.example", "https://better.example"] }
    })
    const layer = Layer.mergeAll(ChatLive, PrivateLive, DocumentsLive, PlainLive, FeaturesLive).pipe(
      Layer.provideMerge(server)
    )
    const context = await Effect.runPromise(Layer.buildWithScope(layer, Scope.makeUnsafe()))
    service = Context.get(context, SocketIoServer.SocketIoServer)
    await new Promise<void>((resolve) => {
      http.listen(0, "127.0.0.1", resolve)
    })
    return (http.address() as AddressInfo).port
  },
  /** The connections that are open are not those of an attacker. */
  exclude: () => {
    for (const socket of open) uncounted.add(socket)
  },
  usage: (collects: boolean): Usage => {
    if (collects) for (let i = 0; i < 2; i++) globalThis.gc!()
    const { system, user } = process.cpuUsage()
    const { external, heapUsed } = process.memoryUsage()
    let bytes = closedBytes
    for (const socket of open) if (!uncounted.has(socket)) bytes += socket.bytesRead
    return {
      cpu: system + user,
      bytes,
      memory: heapUsed + external,
      sessions: Effect.runSync(service!.connectionCount),
      connections: open.size
    }
  }
})
