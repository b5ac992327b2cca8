/**
 * The server under measurement: the namespaces of README and of its examples, those of the features,
 * and every option at its default. It says what it has used.
 */
import { openSync, writeSync } from "node:fs"

import { Context, Effect, Layer, Schema } from "effect"

import * as Event from "../../../src/Event.ts"
import * as Namespace from "../../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../../src/NamespaceMiddleware.ts"
import * as SocketIoServer from "../../../src/server/SocketIoServer.ts"
import { answer } from "../../bench/roles.ts"
import { FeaturesLive } from "./features.ts"
import { type Host, type HostName, hosts, type Ports } from "./hosts.ts"

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

/** Sessions of clients that are silent end within two seconds. */
const BRIEF = { pingInterval: "500 millis", pingTimeout: "1500 millis" } as const

/** What a server is asked to be. */
export interface ServerPlan {
  readonly host: HostName
  readonly recovers?: boolean | undefined
  readonly expires?: boolean | undefined
}

const collect = (): void => {
  const { Bun, gc } = globalThis as { readonly Bun?: { gc(now: boolean): void }; readonly gc?: () => void }
  if (Bun === undefined) gc?.()
  else Bun.gc(true)
}

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
  /**
   * The bytes that it has read from connections that count; `undefined` where
   * the platform does not say.
   */
  readonly bytes: number | undefined
  /** Heap and what is outside of it, in bytes. */
  readonly memory: number
  readonly sessions: number
  readonly connections: number
}

/** The servers that were asked for. */
let host: Host | undefined

answer({
  listen: async (plan: ServerPlan): Promise<Ports> => {
    const layer = Layer.mergeAll(ChatLive, PrivateLive, DocumentsLive, PlainLive, FeaturesLive)
    host = await hosts[plan.host](layer, {
      allowEIO3: true,
      recovery: plan.recovers === true,
      cors: { origin: ["https://good.example", "https://better.example"] },
      ...(plan.expires === true ? { heartbeat: BRIEF } : {})
    })
    return host.ports
  },
  /** The connections that are open are not those of an attacker. */
  exclude: () => host!.exclude(),
  usage: (collects: boolean): Usage => {
    if (collects) for (let i = 0; i < 2; i++) collect()
    const { system, user } = process.cpuUsage()
    const { external, heapUsed } = process.memoryUsage()
    const { bytes, connections } = host!.traffic()
    return { cpu: system + user, bytes, memory: heapUsed + external, sessions: host!.sessions(), connections }
  }
})
