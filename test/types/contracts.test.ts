/**
 * Wrong code does not compile, and the error says why in words that a user can act on. Right code is in all other tests.
 */
import { beforeAll, describe, expect, it } from "@effect/vitest"

import { diagnosticsOfAll } from "../support/typecheck.ts"

/** The events of the contracts below. */
const events = {
  Join: `Event.make("join", { payload: { room: Schema.String }, ack: Schema.Array(User), error: RoomFull })`,
  Count: `Event.make("count", { ack: Schema.Int })`,
  Cursor: `Event.make("cursor", { args: [Schema.Finite, Schema.Finite] })`,
  Leave: `Event.make("leave")`,
  Question: `Event.make("question", { payload: Schema.String, ack: Schema.Boolean, error: OtherError })`,
  Image: `Event.make("image", { payload: Binary.Bytes })`,
  Busy: `Event.make("busy", { payload: Schema.Date, ack: Schema.Int, error: RoomFull })`
}

type EventName = keyof typeof events

/** The same contracts with events that were declared before, and with events that are declared where they are listed. */
const preludeOf = (inPlace: boolean) => {
  const list = (...names: ReadonlyArray<EventName>) =>
    `[${names.map((name) => (inPlace ? events[name] : name)).join(", ")}]`
  return `
import { type Config, Context, Effect, Layer, type Option, PubSub, type Result, Schedule, Schema, type Scope, Stream } from "effect"
import { Binary, Event, EventAnswer, Namespace, NamespaceMiddleware, SocketIoError, type StreamOptions } from "effect-socket.io"
import { type ClientOptions, ClientSocket, Reconnection, RetryingEmitter, SocketIoClient } from "effect-socket.io/client"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { type BroadcastOperator, NamespaceHandle, ServerSocket, SocketIoServer } from "effect-socket.io/server"

class User extends Schema.Class<User>("User")({ id: Schema.String, name: Schema.String }) {}
class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { room: Schema.String }) {}
class OtherError extends Schema.TaggedError<OtherError>()("OtherError", {}) {}
class CurrentUser extends Context.Service<CurrentUser, User>()("CurrentUser") {}
class Rooms extends Context.Service<Rooms, { readonly enter: (room: string) => Effect.Effect<void, RoomFull> }>()("Rooms") {}
class Authentication extends NamespaceMiddleware.Service<Authentication>()("Authentication", {
  provides: CurrentUser,
  auth: Schema.Struct({ token: Schema.String })
}) {}
${Object.entries(events)
  .map(([name, code]) => `const ${name} = ${code}`)
  .join("\n")}
class Chat extends Namespace.make("/chat", {
  auth: Schema.Struct({ token: Schema.String }),
  clientToServer: ${list("Join", "Count", "Cursor", "Leave")},
  serverToClient: ${list("Cursor", "Question", "Image", "Leave")}
}).middleware(Authentication) {}
class Hall extends Namespace.make("/hall", {
  clientToServer: ${list("Join", "Cursor", "Leave")},
  serverToServer: ${list("Count", "Cursor", "Busy")},
  data: { user: User, seen: Schema.Date }
}) {}
class Desk extends Namespace.dynamic("/desk/:floor/:name", {
  params: { floor: Schema.FiniteFromString },
  clientToServer: ${list("Join", "Cursor", "Leave")},
  serverToClient: ${list("Cursor", "Leave")},
  serverToServer: ${list("Count", "Cursor", "Busy")},
  data: { user: User, seen: Schema.Date }
}) {}
class Title extends Context.Service<Title, string>()("Title") {}
class Desks extends Namespace.merge(
  Namespace.make("/desks", { clientToServer: ${list("Cursor")}, data: { desk: Schema.Int } }),
  Namespace.make("/lobby", { clientToServer: ${list("Count", "Leave")}, data: { name: Schema.String } }).middleware(Authentication)
)
  .add({ serverToClient: ${list("Question")}, serverToServer: ${list("Busy")} })
  .annotate(Title, "Desks") {}
class Echo extends Namespace.untyped("/echo", { auth: Schema.Struct({ token: Schema.String }) }).middleware(Authentication) {}
class Rooms2 extends Namespace.untypedDynamic("/room/:id", { params: { id: Schema.FiniteFromString } }) {}
const users: ReadonlyArray<User> = []
const good = {
  join: ({ room }: { readonly room: string }) => room === "" ? Effect.fail(new RoomFull({ room })) : Effect.succeed(users),
  count: () => Effect.succeed(1),
  cursor: ([x, y]: readonly [number, number]) => Effect.logDebug(x + y),
  leave: () => Effect.void
}
const inHall = { join: good.join, cursor: good.cursor, leave: good.leave }
type HallSocket = ServerSocket.ServerSocket<typeof Hall>
const atChat = <A, E, R>(use: (chat: NamespaceHandle.NamespaceHandle<typeof Chat>) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(SocketIoServer.namespace(Chat), use)
const atHall = <A, E>(use: (hall: NamespaceHandle.NamespaceHandle<typeof Hall>) => Effect.Effect<A, E, any>) =>
  Effect.flatMap(SocketIoServer.namespace(Hall), use)
type ChatHandlers = Namespace.Handlers<Namespace.ClientToServer<typeof Chat>>
const serve = (build: (socket: ServerSocket.ServerSocket<typeof Chat>) => Effect.Effect<ChatHandlers>) =>
  SocketIoServer.layerNamespace(Chat, build)
type ChatClient = ClientSocket.ClientSocket<typeof Chat>
`
}

/** Snippets that compile, then snippets that must not, with what the first error has to say. */
const compiles: Record<string, string> = {
  "a complete contract with its layer": `
    const ChatLive = SocketIoServer.layerNamespace(Chat, Effect.fnUntraced(function*(socket) {
      const rooms = yield* Rooms
      const user: User = yield* CurrentUser
      yield* Effect.addFinalizer(() => Effect.logDebug(user.name))
      const token: string = socket.auth.token
      return Chat.of({
        ...good,
        join: ({ room }) => rooms.enter(room).pipe(Effect.andThen(socket.join(room)), Effect.as([user])),
        cursor: (xy) => socket.broadcast.volatile.emit("cursor", xy),
        count: Effect.fnUntraced(function*() {
          const answer: boolean = yield* socket.emitWithAck("question", token).pipe(
            Effect.catchTag("OtherError", () => Effect.succeed(false)),
            Effect.orDie
          )
          return answer ? 1 : 0
        })
      })
    }))
    // The middleware's service is subtracted, what handlers and builder need stays.
    const Main: Layer.Layer<never, never, SocketIoServer.SocketIoServer | Authentication | Rooms> = ChatLive`,
  "emitting from anywhere": `
    export const f = Effect.gen(function*() {
      const chat = yield* SocketIoServer.namespace(Chat)
      yield* chat.to("lobby").except(["a", "b"]).emit("cursor", [1, 2])
      yield* chat.emit("leave")
      yield* chat.emit("image", new Uint8Array(3))
      const answers: Stream.Stream<{
        readonly sid: string | undefined
        readonly response: Result.Result<boolean, OtherError | SocketIoError.AckError>
      }, SocketIoError.ServersMissingError> = chat.to("lobby").emitWithAck("question", "?")
      yield* Stream.runDrain(answers)
    })`,
  "questions to this server alone, which do not fail": `
    type Remote = BroadcastOperator.RemoteSocket<typeof Chat>
    export const f = (chat: NamespaceHandle.NamespaceHandle<typeof Chat>, socket: ServerSocket.ServerSocket<typeof Chat>) => {
      const local: BroadcastOperator.LocalOperator<typeof Chat> = chat.all.local
      const anywhere: BroadcastOperator.BroadcastOperator<typeof Chat> = local
      const size: Effect.Effect<number> = local.to("a").in("b").except("c").volatile.compress(false).local.size
      const sockets: Effect.Effect<ReadonlyArray<Remote>> = socket.to("a").local.fetchSockets
      const answers: Stream.Stream<{
        readonly sid: string | undefined
        readonly response: Result.Result<boolean, OtherError | SocketIoError.AckError>
      }> = chat.to("a").local.emitWithAck("question", "?")
      const one: Effect.Effect<void> = local.emit("cursor", [1, 2])
    }`,
  "questions to all servers, with the answers of those that are there": `
    type Remotes = ReadonlyArray<BroadcastOperator.RemoteSocket<typeof Hall>>
    export const e = atHall((hall) => Effect.gen(function*() {
      const missing: number = yield* Effect.map(Effect.flip(hall.to("a").size), (error) => error.missing + error.partial)
      const size: Effect.Effect<number> = hall.all.size.pipe(
        Effect.catchTag("ServersMissingError", ({ partial }) => Effect.succeed(partial)))
      const sockets: Effect.Effect<Remotes> = hall.fetchSockets.pipe(
        Effect.catchTag("ServersMissingError", ({ partial }) => Effect.succeed(partial)))
      const sure: Effect.Effect<number> = Effect.orDie(hall.to("a").except("b").size)
    }))`,
  "a dynamic contract with its layer": `
    export const live: Layer.Layer<never, never, SocketIoServer.SocketIoServer | Rooms> = SocketIoServer.layerDynamicNamespace(
      Desk,
      Effect.fnUntraced(function*(desk) {
        const rooms = yield* Rooms
        const floor: number = desk.params.floor
        const name: string = desk.params.name
        return Effect.fnUntraced(function*(socket) {
          const more: number = socket.params.floor
          return Desk.of({ ...inHall, join: ({ room }) => Effect.as(rooms.enter(room), []) })
        })
      }),
      { match: ({ params }) => Effect.succeed(params.floor > 0) }
    )
    export const all = Effect.gen(function*() {
      const desks = yield* SocketIoServer.dynamicNamespaces(Desk)
      const desk: NamespaceHandle.DynamicHandle<typeof Desk> = desks.get({ floor: 1, name: "a" })
      const floor: number = desk.params.floor
      const sockets: Stream.Stream<ServerSocket.ServerSocket<typeof Desk>> = desk.connections({ overflow: "dropOldest" })
      const one: Option.Option<ServerSocket.ServerSocket<typeof Desk>> = yield* desk.socket("sid")
      const closed: Stream.Stream<NamespaceHandle.DynamicHandle<typeof Desk>> = desks.closings({ overflow: "dropOldest" })
      yield* desks.emit("cursor", [1, 2])
    })`,
  "data, streams and events between servers": `
    export const f = (socket: HallSocket) => Effect.gen(function*() {
      yield* socket.setData({ seen: new Date() })
      const seen: Date | undefined = socket.data.seen
      const moves: Stream.Stream<readonly [number, number]> = socket.stream("cursor")
      const joins: Stream.Stream<{ readonly room: string }> = yield* socket.subscribe("join")
      const left: Stream.Stream<void> = socket.stream("leave")
    })
    export const g = atHall((hall) => Effect.gen(function*() {
      const users: ReadonlyArray<User | undefined> = (yield* hall.to("lobby").fetchSockets).map(({ data }) => data.user)
      yield* hall.serverSideEmit("busy", new Date())
      yield* hall.serverSideEmit("count")
      const answers: Stream.Stream<number, SocketIoError.AckError | SocketIoError.ServersMissingError | RoomFull> = hall.serverSideEmitWithAck("busy", new Date())
      const counts: Stream.Stream<number, SocketIoError.AckError | SocketIoError.ServersMissingError> = hall.serverSideEmitWithAck("count")
      yield* hall.onServerSide("busy", (at) => Effect.as(Rooms, at.getTime()))
      yield* hall.onServerSide("cursor", ([x, y]) => Effect.logDebug(x + y))
    }))
    export const needs: Effect.Effect<void, never, SocketIoServer.SocketIoServer | Rooms> = Effect.scoped(
      Effect.flatMap(SocketIoServer.namespace(Hall), (hall) => hall.onServerSide("count", () => Effect.as(Rooms, 1))))`,
  "sinks, hubs and streams with their policies": `
    declare const numbers: Stream.Stream<readonly [number, number]>
    export const f = Effect.gen(function*() {
      const chat = yield* SocketIoServer.namespace(Chat)
      yield* Stream.run(numbers, chat.to("board").sink("cursor"))
      yield* Stream.run(numbers, chat.sink("cursor"))
      yield* Stream.run(Stream.make(undefined), chat.all.volatile.sink("leave"))
      const questions: PubSub.PubSub<string> = yield* chat.to("board").pubsub("question", { overflow: "dropOldest" })
      yield* PubSub.publish(questions, "?")
      yield* Stream.run(Stream.fromPubSub(questions), chat.sink("question"))
      const broadcasts = yield* Stream.runCollect(chat.broadcasts({ overflow: "dropNewest" }))
      for (const broadcast of broadcasts) {
        const rooms: ReadonlyArray<string> = broadcast.rooms
        if (broadcast.event === "cursor") { const x: number = broadcast.payload[0] }
        else if (broadcast.event === "question") { const text: string = broadcast.payload }
      }
      yield* Stream.runDrain(chat.disconnections()).pipe(
        Effect.catchTag("StreamOverflow", ({ capacity, stream }) => Effect.logError(stream, capacity)))
      return yield* chat.events({ overflow: "dropOldest" }).pipe(Stream.runForEach((each) =>
        each.event === "join" ? each.socket.emit("cursor", [each.payload.room.length, 0]) : Effect.void))
    })
    export const needs: Effect.Effect<void, never, SocketIoServer.SocketIoServer> = Effect.scoped(f)
    export const g = (socket: HallSocket, chatting: ServerSocket.ServerSocket<typeof Chat>) => Effect.gen(function*() {
      yield* Stream.run(numbers, chatting.sink("cursor"))
      yield* Stream.run(numbers, chatting.volatile.compress(false).sink("cursor"))
      const waiting: Stream.Stream<readonly [number, number]> = socket.stream("cursor", { capacity: 10 })
      const failing: Stream.Stream<readonly [number, number], StreamOptions.StreamOverflow> =
        socket.stream("cursor", { overflow: "fail" })
      const dropping: Stream.Stream<void> = yield* socket.subscribe("leave", { overflow: "dropOldest" })
      yield* Stream.runForEach(socket.events(), (each) =>
        each.event === "join" ? Effect.logDebug(each.payload.room) : each.event === "cursor" ? Effect.logDebug(each.payload[0] + 1) : Effect.void)
      yield* Stream.runForEach(socket.untyped.events({ overflow: "dropNewest" }), ({ args, event }) => Effect.logDebug(event, args.length))
    })
    export const h = Effect.gen(function*() {
      const any = yield* SocketIoServer.namespace("/any")
      yield* Stream.run(Stream.make([1, "a"]), any.sink("whatever"))
      const args: PubSub.PubSub<ReadonlyArray<unknown>> = yield* any.pubsub("whatever", { overflow: "dropNewest" })
      yield* Stream.runForEach(any.broadcasts(), ({ args, event, rooms }) => Effect.logDebug(event, args[0], rooms.length))
    })`,
  "handlers of several builders": `
    const joining = Effect.fnUntraced(function*(socket: HallSocket) {
      const rooms = yield* Rooms
      yield* Effect.addFinalizer(() => Effect.logDebug(socket.id))
      return { join: ({ room }: { readonly room: string }) => Effect.as(rooms.enter(room), users), leave: () => Effect.void }
    })
    const moving = (socket: HallSocket) =>
      Effect.succeed({ cursor: (xy: readonly [number, number]) => Effect.logDebug(socket.id, xy) })
    export const live: Layer.Layer<never, never, SocketIoServer.SocketIoServer | Rooms> = SocketIoServer.layerNamespace(Hall, (socket) =>
      Effect.zipWith(joining(socket), moving(socket), (some, others) => Hall.of({ ...some, ...others })))`,
  "the client of a contract": `
    export const f = Effect.gen(function*() {
      const chat = yield* SocketIoClient.connect(Chat, { auth: { token: "a" } })
      const joined: Effect.Effect<ReadonlyArray<User>, SocketIoError.AckError | RoomFull> = chat.emitWithAck("join", { room: "a" })
      const counted: Effect.Effect<number, SocketIoError.AckError> = chat.emitWithAck("count")
      yield* chat.emit("leave")
      yield* chat.emit("cursor", [1, 2])
      const moves: Stream.Stream<readonly [number, number], StreamOptions.StreamOverflow> = chat.stream("cursor")
      yield* chat.respond("question", (text) => text === "" ? Effect.fail(new OtherError()) : Effect.succeed(true))
      const desk = yield* SocketIoClient.connect(Desk, { params: { floor: 1, name: "a" } })
      yield* desk.emit("leave")
      const reliable = yield* RetryingEmitter.make(chat, { retries: 1, ackTimeout: "1 second" })
      yield* reliable.emit("cursor", [1, 2])
    })`,
  "the streams of a client": `
    export const f = Effect.gen(function*() {
      const chat = yield* SocketIoClient.connect(Chat, { auth: { token: "a" } })
      const few: Stream.Stream<string, StreamOptions.StreamOverflow> = chat.stream("question", { capacity: 10 })
      const newest: Stream.Stream<string> = chat.stream("question", { overflow: "dropOldest" })
      const waiting: Stream.Stream<readonly [number, number]> = yield* chat.subscribe("cursor", { overflow: "dropNewest" })
      const status: Stream.Stream<ClientSocket.SocketStatus> = chat.status
      const reason: ClientSocket.ClientDisconnectReason = yield* chat.disconnected
      yield* chat.onAny((event) => event === "" ? Effect.fail(reason) : Effect.void)
      yield* chat.compress(false).volatile.emit("leave")
      yield* chat.reconnect()
      yield* chat.disconnect()
      return yield* Stream.runForEach(chat.events({ overflow: "dropNewest" }), (said) => {
        if (said.event === "cursor") {
          const x: number = said.payload[0]
          return Effect.logDebug(x)
        }
        const event: "question" | "image" | "leave" = said.event
        return said.event === "question" ? Effect.logDebug(said.payload.length) : Effect.logDebug(event)
      })
    })
    export const g = Effect.gen(function*() {
      const socket = yield* SocketIoClient.connect("/")
      const all: Stream.Stream<{ readonly event: string; readonly args: ReadonlyArray<any> }> = socket.events({ overflow: "dropOldest" })
      return all
    })`,
  "a schedule of reconnection": `
    const patient = Reconnection.default.pipe(
      Schedule.while(({ input }) => input.elapsed < 60_000 && input.error.status !== 401 && input.reason !== "forced close" && input.attempt < 9))
    export const one: Layer.Layer<SocketIoClient.SocketIoClient, SocketIoError.InvalidOptionError> =
      SocketIoClient.layer({ url: "http://a", reconnection: patient })
    export const two: Layer.Layer<SocketIoClient.SocketIoClient, SocketIoError.InvalidOptionError, Rooms> =
      SocketIoClient.layer({ url: "http://a", reconnection: Schedule.tap(patient, () => Effect.asVoid(Rooms)) })
    export const three: Layer.Layer<SocketIoClient.SocketIoClient, SocketIoError.InvalidOptionError | Config.ConfigError> =
      SocketIoClient.layerConfig(null as any as Config.Config<ClientOptions.ClientOptions>)`,
  "what a declaration in place leaves out is not any": `
    type IsAny<T> = 0 extends 1 & T ? true : false
    type Contract<N extends Namespace.Any> = [
      IsAny<N["auth"]["Type"]>, IsAny<Event.Ack<Namespace.ClientToServer<N>>>, IsAny<Event.Error<Namespace.ClientToServer<N>>>,
      IsAny<Event.Ack<Namespace.ServerToClient<N>>>, IsAny<Event.Error<Namespace.ServerToClient<N>>>,
      IsAny<Namespace.Data<N>>, IsAny<Namespace.Params<N>>, IsAny<Namespace.ServerToServer<N>>
    ]
    const contract = <N extends Namespace.Any>(_: N): Contract<N> => null as any
    export const one: [false, false, false, false, false, false, false, false] = contract(
      Namespace.make("/a", { clientToServer: [Event.make("a")], serverToClient: [Event.make("b", { payload: Schema.String })] }))
    export const many: [false, false, false, false, false, false, false, false] = contract(
      Namespace.dynamic("/a/:id", { clientToServer: [Event.make("a")], serverToClient: [Event.make("b", { args: [Schema.Int] })] }))
    const middleware = <M extends NamespaceMiddleware.AnyService>(
      _: M
    ): [IsAny<NamespaceMiddleware.Provides<M>>, IsAny<M["auth"]["Type"]>, IsAny<M["error"]["Type"]>] => null as any
    class Admission {}
    export const admission: [false, false, false] = middleware(NamespaceMiddleware.Service<Admission>()("Admission"))
    export const generic = <A extends Event.AnySchema>(ack: A): Event.Event<"a", Schema.Void, A, Schema.Never> =>
      Event.make("a", { ack })`,
  "a contract that was made of others": `
    const handlers = Desks.of({ cursor: good.cursor, count: good.count, leave: good.leave })
    export const live: Layer.Layer<never, never, SocketIoServer.SocketIoServer | Authentication> =
      SocketIoServer.layerNamespace(Desks, (socket) => {
        const desk: number | undefined = socket.data.desk
        const name: string | undefined = socket.data.name
        return Effect.succeed(handlers)
      })
    export const f = Effect.gen(function*() {
      const desks = yield* SocketIoServer.namespace(Desks)
      yield* desks.emit("question", "?")
      const busy: Stream.Stream<number, SocketIoError.AckError | SocketIoError.ServersMissingError | RoomFull> = desks.serverSideEmitWithAck("busy", new Date())
      const client = yield* SocketIoClient.connect(Desks, { auth: { token: "a" } })
      const counted: Effect.Effect<number, SocketIoError.AckError> = client.emitWithAck("count")
      const piped: "/desks" = Desks.pipe((contract) => contract._tag)
      const annotated: typeof Join = Join.annotate(Title, "Join").annotateMerge(Context.make(Title, "Join"))
      const one: unknown = Desks
      if (Namespace.isNamespace(one)) yield* Effect.log(one._tag, one.untyped)
      if (Event.isEvent(one)) yield* Effect.log(one._tag, one.arity)
    })`,
  "documentation, with examples of the right types": `
    const at = new Date(0)
    export const Meet = Event.make("meet", { payload: { at: Schema.Date }, ack: Schema.Int, description: "a date", deprecated: true, examples: [{ at }] })
    export const payload: Event.Payload<typeof Meet> = { at }
    export const answer: Event.Ack<typeof Meet> = 1
    export class Documented extends Namespace.make("/documented", {
      auth: Schema.Struct({ token: Schema.String }),
      description: "a place",
      examples: [{ token: "a" }],
      clientToServer: [Meet, Event.make("move", { args: [Schema.Finite, Schema.Finite], examples: [[1, 2]] })]
    }) {}
    export class Plain extends Namespace.untyped("/plain", { description: "anything", deprecated: true }) {}`,
  "a contract without declared events": `
    const handlers = Echo.of({ anything: (a, b) => Effect.succeed([a, b]), other: () => Effect.fail("logged") })
    type C2S = Namespace.ClientToServer<typeof Echo>
    export const name: Event.Name<C2S> = "any" as string
    export const payload = (args: ReadonlyArray<unknown>): Event.Payload<Event.WithName<C2S, "any">> => args
    export const arguments_: (...args: Event.EmitArguments<C2S>) => void = (...args: ReadonlyArray<unknown>) => {}
    export const f = Effect.gen(function*() {
      const echo = yield* SocketIoClient.connect(Echo, { auth: { token: "a" } })
      yield* echo.emit("anything", 1, "two", new Uint8Array(3))
      yield* echo.emit("nothing")
      const answer: Effect.Effect<ReadonlyArray<unknown>, SocketIoError.AckError> = echo.emitWithAck("anything", 1)
      const stream: Stream.Stream<ReadonlyArray<unknown>, StreamOptions.StreamOverflow> = echo.stream("anything")
      const all: Stream.Stream<{ readonly event: string; readonly args: ReadonlyArray<unknown> }, StreamOptions.StreamOverflow> =
        echo.events()
      yield* echo.respond("question", (a) => Effect.fail(a))
      const reliable: RetryingEmitter.RetryingEmitter<typeof Echo> = yield* RetryingEmitter.make(echo, { retries: 1, ackTimeout: "1 second" })
      const sent: Effect.Effect<void, SocketIoError.AckError> = reliable.emit("anything", 1, 2)
      const named: ClientSocket.ClientSocket<Namespace.Untyped> = yield* SocketIoClient.connect("/echo")
      const room = yield* SocketIoClient.connect(Rooms2, { params: { id: 1 } })
      yield* room.emit("x", 1)
    })
    export const g = (socket: ServerSocket.ServerSocket<typeof Echo>) => Effect.gen(function*() {
      const token: string = socket.auth.token
      yield* socket.emit("anything", 1, "two")
      const answer: ReadonlyArray<unknown> = yield* socket.emitWithAck("anything", 1)
      yield* socket.setData({ anything: 1 })
      const stream: Stream.Stream<ReadonlyArray<unknown>> = socket.stream("anything")
    })
    export const numbered: Namespace.Dynamic & Namespace.AnyUntyped = Namespace.untypedDynamic(/^.room-[0-9]+$/)`,
  "the reasons of what comes to nothing, and answers without our client": `
    export const f = (chat: ChatClient): Effect.Effect<number, SocketIoError.AckError> => chat.emitWithAck("count").pipe(
      Effect.catchReason("AckError", "PayloadRefused", ({ description }) => Effect.succeed(description!.length)),
      Effect.catchReasons("AckError", {
        Disconnected: () => Effect.succeed(0),
        EventRefused: ({ data, description }) => Effect.as(Effect.log(data, description), 1)
      }))
    export const answer = Schema.decodeUnknownSync(EventAnswer.schema(Join))(null)
    if (answer._tag === "Success") users.concat(answer.value)
    else if (answer.error._tag === "RoomFull") console.log(answer.error.room)
    else if (answer.error._tag === "EventRefused") console.log(answer.error.data)
    export const decoded: Effect.Effect<ReadonlyArray<User>, RoomFull | SocketIoError.AckError> = EventAnswer.decode(Join, [])`,
  "the reasons of connections that do not come about, and errors of the library beside those of the contract": `
    const connected: Effect.Effect<ChatClient | string, ClientSocket.ConnectError, SocketIoClient.SocketIoClient | Scope.Scope> =
      SocketIoClient.connect(Chat, { auth: { token: "a" } }).pipe(
        Effect.catchReason("ConnectError", "Refused", ({ data }, { message }) => Effect.as(Effect.log(data), message)),
        Effect.catchReasons("ConnectError", {
          Disconnected: ({ closeCode, reason, status }) =>
            Effect.succeed(reason === "timeout" || status === 401 || closeCode === 1013 ? "later" : "never"),
          AuthFailed: ({ cause }) => Effect.succeed(String(cause))
        }))
    const rest: Effect.Effect<ReadonlyArray<User>, RoomFull> = Effect.flatMap(
      SocketIoClient.connect(Chat, { auth: { token: "a" } }),
      (chat) => chat.emitWithAck("join", { room: "a" })
    ).pipe(
      Effect.catchIf(SocketIoError.isSocketIoError, (error: SocketIoError.AckError | ClientSocket.ConnectError) =>
        Effect.as(Effect.logError(error.message, error._tag), [])),
      Effect.scoped,
      Effect.provide(SocketIoClient.layer({ url: "http://localhost" })),
      Effect.catchTag("InvalidOptionError", Effect.die)
    )
    export const f = (error: unknown) => {
      if (!SocketIoError.isSocketIoError(error)) return
      const one: SocketIoError.SocketIoError = error
      console.log(one._tag, one.message)
    }
    export class StoreError extends SocketIoError.TaggedError("StoreError")<{ readonly reason: { readonly _tag: "Full" } }> {}
    export const stored: Effect.Effect<void> = Effect.fail(new StoreError({ reason: { _tag: "Full" } })).pipe(
      Effect.catchIf(SocketIoError.isSocketIoError, ({ reason }) => Effect.log(reason._tag)))`,
  "an untyped namespace with its layer": `
    const added: Layer.Layer<never, never, SocketIoServer.SocketIoServer | Authentication | Rooms> =
      SocketIoServer.layerNamespace(Echo, Effect.fnUntraced(function*(socket) {
        const user: User = yield* CurrentUser
        yield* Effect.addFinalizer(() => Effect.logDebug(user.name))
        const token: string = socket.auth.token
        yield* socket.on("anything", (a, b) => Effect.flatMap(Rooms, (rooms) => rooms.enter(String(a) + String(b))))
        yield* socket.once("first", (...args) => socket.emit("anything", ...args))
        const data: unknown = socket.data.anything
      }))
    const returned: Layer.Layer<never, never, SocketIoServer.SocketIoServer | Authentication | Rooms> =
      SocketIoServer.layerNamespace(Echo, Effect.fnUntraced(function*(socket) {
        return Echo.of({ anything: (a) => Effect.flatMap(Rooms, (rooms) => rooms.enter(String(a))) })
      }))
    const byName: Layer.Layer<never, never, SocketIoServer.SocketIoServer | Rooms> = SocketIoServer.layerNamespace("/", (socket) =>
      socket.on("anything", (a, b) => Effect.flatMap(Rooms, (rooms) => rooms.enter(String(a) + String(b)))))
    const returnedByName: Layer.Layer<never, never, SocketIoServer.SocketIoServer | Rooms> =
      SocketIoServer.layerNamespace("/", () => Effect.succeed({ anything: () => Effect.asVoid(Rooms) }))
    const dynamic: Layer.Layer<never, never, SocketIoServer.SocketIoServer | Rooms> =
      SocketIoServer.layerDynamicNamespace(Rooms2, Effect.fnUntraced(function*(room) {
        const rooms = yield* Rooms
        const id: number = room.params.id
        return (socket) => socket.on("enter", () => rooms.enter(String(socket.params.id + id)))
      }), { match: ({ params }) => Effect.succeed(params.id > 0) })
    const byExpression: Layer.Layer<never, never, SocketIoServer.SocketIoServer | Rooms> =
      SocketIoServer.layerDynamicNamespace(/^.room-[0-9]+$/, (room) =>
        Effect.succeed((socket) => Effect.succeed({ enter: () => Effect.andThen(Rooms, room.emit("entered", socket.id)) })))
    // A helper of any untyped socket.
    const chatty = (socket: ServerSocket.ServerSocket<Namespace.Untyped>) => socket.on("hello", (name) => socket.emit("hello", name))
    export const forms = (echo: ServerSocket.ServerSocket<typeof Echo>, hall: HallSocket) =>
      Effect.all([chatty(echo), chatty(hall.untyped), chatty(echo.untyped)])
    export const handles = Effect.gen(function*() {
      const echo: NamespaceHandle.NamespaceHandle<typeof Echo> = yield* SocketIoServer.namespace(Echo)
      const named: NamespaceHandle.NamespaceHandle<Namespace.Untyped> = yield* SocketIoServer.namespace("/echo")
      yield* echo.to("a").emit("anything", 1, 2)
      const answers: Stream.Stream<{
        readonly sid: string | undefined
        readonly response: Result.Result<ReadonlyArray<unknown>, SocketIoError.AckError>
      }, SocketIoError.ServersMissingError> = echo.emitWithAck("anything")
      yield* echo.serverSideEmit("load", 1, 2)
      const loads: Stream.Stream<ReadonlyArray<unknown>, SocketIoError.AckError | SocketIoError.ServersMissingError> = echo.serverSideEmitWithAck("load", 1)
      yield* echo.onServerSide("load", (a, b) => Effect.succeed([a, b]))
      const data: unknown = (yield* named.fetchSockets)[0]?.data.anything
      const rooms = yield* SocketIoServer.dynamicNamespaces(Rooms2)
      yield* rooms.get({ id: 1 }).emit("anything")
    })`,
  "handlers that are added, and taken back": `
    export const f = (socket: HallSocket) => Effect.gen(function*() {
      const on: Effect.Effect<void, never, Scope.Scope | Rooms> = socket.on("join", ({ room }) => Effect.flatMap(Rooms, (rooms) => rooms.enter(room)))
      const once: Effect.Effect<void, never, Scope.Scope> = socket.once("cursor", ([x, y]) => Effect.logDebug(x + y))
      const taken: Effect.Effect<void> = Effect.scoped(Effect.andThen(socket.onAny(() => Effect.void), once))
    })`
}

const refused: Record<string, readonly [code: string, expected: RegExp]> = {
  "a handler of an untyped event that takes its arguments for granted": [
    `export const f = (socket: ServerSocket.ServerSocket<typeof Echo>) => socket.on("add", (a: number, b: number) => Effect.succeed(a + b))`,
    /Type 'unknown' is not assignable to type 'number'/
  ],
  "an argument of an untyped event that is not checked": [
    `export const l = SocketIoServer.layerNamespace("/", (socket) => socket.on("length", (text) => Effect.succeed(text.length)))`,
    /'text' is of type 'unknown'/
  ],
  "an untyped answer that is not checked": [
    `export const f = (socket: ServerSocket.ServerSocket<Namespace.Untyped>) =>
      Effect.map(socket.emitWithAck("question"), ([answer]): string => answer)`,
    /Type 'unknown' is not assignable to type 'string'/
  ],
  "data of an untyped socket taken for a type": [
    `export const f = (socket: ServerSocket.ServerSocket<Namespace.Untyped>): string => socket.data.name`,
    /Type 'unknown' is not assignable to type 'string'/
  ],
  "the builder of an untyped namespace that yields something else": [
    `export const l = SocketIoServer.layerNamespace(Echo, () => Effect.succeed(true))`,
    /Type 'boolean' is not assignable to type 'void \| Handlers<Untyped>'/
  ],
  "the middleware of an untyped namespace without its layer": [
    `const l = SocketIoServer.layerNamespace(Echo, () => Effect.void).pipe(
      Layer.provide(NodeSocketIoServer.layer({ port: 0 })), Layer.launch)
    export const m: Effect.Effect<never, any> = l`,
    /Type 'Authentication' is not assignable to type 'never'/
  ],
  "a service that handlers of an untyped namespace need": [
    `const l = SocketIoServer.layerNamespace("/", () => Effect.succeed({ enter: () => Effect.asVoid(Rooms) }))
    export const m: Layer.Layer<never, never, SocketIoServer.SocketIoServer> = l`,
    /Type 'Rooms' is not assignable to type/
  ],
  "a handler of an event that clients do not send": [
    `export const f = (socket: HallSocket) => socket.on("image", () => Effect.void)`,
    /'"image"' is not assignable to parameter of type '"(cursor|join|leave)"/
  ],
  "a wrong payload in a handler that is added": [
    `export const f = (socket: HallSocket) => socket.once("join", ({ rom }) => Effect.void)`,
    /Property 'rom' does not exist on type/
  ],
  "a handler that is added outside of a scope": [
    `export const f = (socket: HallSocket): Effect.Effect<void> => socket.on("leave", () => Effect.void)`,
    /Type 'Scope' is not assignable to type 'never'/
  ],
  "a missing handler": [
    `export const h = Chat.of({ join: good.join, count: good.count, leave: good.leave })`,
    /'cursor' is missing in type/
  ],
  "a handler of an event that only the server sends": [
    `export const h = Chat.of({ ...good, question: () => Effect.succeed(true) })`,
    /NotAClientToServerEvent<"question">/
  ],
  "a wrong acknowledgement": [
    `export const h = Chat.of({ ...good, count: () => Effect.succeed("1") })`,
    /Type 'string' is not assignable to type 'number'/
  ],
  "no acknowledgement where one is declared": [
    `export const h = Chat.of({ ...good, count: () => Effect.void })`,
    /Type 'void' is not assignable to type 'number'/
  ],
  "an undeclared failure": [
    `export const h = Chat.of({ ...good, join: () => Effect.fail(new OtherError({})) })`,
    /OtherError' is not assignable to type 'RoomFull'|'OtherError' is missing the following properties from type 'RoomFull'|Property 'room' is missing in type 'OtherError'/
  ],
  "a failure where none is declared": [
    `export const h = Chat.of({ ...good, leave: () => Effect.fail(new OtherError({})) })`,
    /Type 'OtherError' is not assignable to type 'never'/
  ],
  "a wrong payload in a handler": [
    `export const h = Chat.of({ ...good, join: ({ rom }) => Effect.succeed([]) })`,
    /Property 'rom' does not exist on type/
  ],
  "an event in the wrong direction": [
    `export const e = Effect.flatMap(SocketIoServer.namespace(Chat), (chat) => chat.emit("join", { room: "a" }))`,
    /Argument of type '"join"' is not assignable to parameter of type '"cursor" \| "question" \| "image" \| "leave"'|'"join"' is not assignable to parameter of type '"(cursor|question|image|leave)"/
  ],
  "a wrong payload": [
    `export const e = Effect.flatMap(SocketIoServer.namespace(Chat), (chat) => chat.emit("cursor", [1, "2"]))`,
    /Type 'string' is not assignable to type 'number'/
  ],
  "a missing payload": [
    `export const e = Effect.flatMap(SocketIoServer.namespace(Chat), (chat) => chat.emit("image"))`,
    /Expected 2 arguments, but got 1[^]*Arguments for the rest parameter 'payload' were not provided/
  ],
  "a payload where none is declared": [
    `export const e = Effect.flatMap(SocketIoServer.namespace(Chat), (chat) => chat.emit("leave", 1))`,
    /Expected 1 arguments, but got 2/
  ],
  "waiting for an acknowledgement that is not declared": [
    `export const l = SocketIoServer.layerNamespace(Chat, (socket) => Effect.as(Effect.orDie(socket.emitWithAck("cursor", [1, 2])), good))`,
    /'"cursor"' is not assignable to (parameter of )?type '"question"'/
  ],
  "a service that nobody provides": [
    `const l = SocketIoServer.layerNamespace(Chat, () => Effect.as(Rooms, good))
    export const m: Layer.Layer<never, never, SocketIoServer.SocketIoServer | Authentication> = l`,
    /Type 'Rooms' is not assignable to type/
  ],
  "a middleware without its layer": [
    `const l = SocketIoServer.layerNamespace(Chat, () => Effect.succeed(good)).pipe(
      Layer.provide(NodeSocketIoServer.layer({ port: 0 })), Layer.launch)
    export const m: Effect.Effect<never, any> = l`,
    /Type 'Authentication' is not assignable to type 'never'/
  ],
  "a middleware that provides something else": [
    `export const l = Layer.succeed(Authentication, () => Effect.succeed("nobody"))`,
    /Type 'string' is not assignable to type 'User'/
  ],
  "a name that may be one of several": [
    `export const e = (flag: boolean) => Effect.flatMap(SocketIoServer.namespace(Chat), (chat) => chat.emit(flag ? "cursor" : "image", [1, 2]))`,
    /OneEventAtATime<"cursor" \| "image">|OneEventAtATime<"image" \| "cursor">/
  ],
  "handlers that are missing in what a builder yields": [
    `export const l = SocketIoServer.layerNamespace(Hall, () => Effect.succeed({ leave: inHall.leave }))`,
    /is missing the following properties from type [^]*: (cursor, join|join, cursor)$/m
  ],
  "a number as a room": [
    `export const f = (socket: HallSocket) => socket.join(42)`,
    /'number' is not assignable to parameter of type 'RoomSelection'/
  ],
  "a number among rooms": [
    `export const f = (socket: HallSocket) => socket.to(["a", 42])`,
    /Type 'number' is not assignable to type 'string'/
  ],
  "a size that may lack servers": [
    `export const f = (socket: HallSocket): Effect.Effect<number> => socket.to("a").size`,
    /Type 'ServersMissingError<number>' is not assignable to type 'never'/
  ],
  "an operator for all servers taken for one of this server": [
    `export const f = (socket: HallSocket): BroadcastOperator.LocalOperator<typeof Hall> => socket.to("a").volatile`,
    /ServersMissingError<[^]*is not assignable to type 'never'/
  ],
  "data of another type": [
    `export const f = (socket: HallSocket) => socket.setData({ seen: "now" })`,
    /Type 'string' is not assignable to type 'Date'/
  ],
  "data that are not declared": [
    `export const f = (socket: HallSocket) => socket.setData({ age: 1 })`,
    /'age' does not exist in type 'Partial<OrUndefined<TypesOf<\{ user: typeof User; seen: Date; }>>>'/
  ],
  "data where none are declared": [
    `export const f = (socket: ServerSocket.ServerSocket<typeof Chat>) => socket.setData({ seen: new Date() })`,
    /Type 'Date' is not assignable to type 'never'/
  ],
  "data that may not have been set": [
    `export const f = (socket: HallSocket) => socket.data.seen.getTime()`,
    /'socket\.data\.seen' is possibly 'undefined'/
  ],
  "an assignment to data": [
    `export const f = (socket: HallSocket) => { socket.data.seen = new Date() }`,
    /Cannot assign to 'seen' because it is a read-only property/
  ],
  "fetched data of another type": [
    `export const e = atHall((hall) => Effect.map(hall.fetchSockets, ([socket]): string | undefined => socket?.data.seen))`,
    /Type 'Date' is not assignable to type 'string'/
  ],
  "a wrong payload for a fetched socket": [
    `export const e = Effect.flatMap(SocketIoServer.namespace(Chat), (chat) =>
      Effect.flatMap(chat.fetchSockets, (sockets) => sockets[0]!.emit("cursor", [1])))`,
    /Argument of type '\[number\]' is not assignable to parameter of type 'readonly \[number, number\]'/
  ],
  "a client's event between servers": [
    `export const e = atHall((hall) => hall.serverSideEmit("join", { room: "a" }))`,
    /'"join"' is not assignable to parameter of type '"(busy|count|cursor)"/
  ],
  "an event between servers where none are declared": [
    `export const e = Effect.flatMap(SocketIoServer.namespace(Chat), (chat) => chat.serverSideEmit("count"))`,
    /'"count"' is not assignable to parameter of type 'never'/
  ],
  "a wrong payload between servers": [
    `export const e = atHall((hall) => hall.serverSideEmit("busy", "now"))`,
    /'string' is not assignable to parameter of type 'Date'/
  ],
  "asking other servers for an acknowledgement that is not declared": [
    `export const e = atHall((hall) => Stream.runDrain(hall.serverSideEmitWithAck("cursor", [1, 2])))`,
    /'"cursor"' is not assignable to parameter of type '"(busy|count)"/
  ],
  "a wrong answer to other servers": [
    `export const e = atHall((hall) => hall.onServerSide("count", () => Effect.succeed("1")))`,
    /Type 'string' is not assignable to type 'number'/
  ],
  "a wrong payload in a handler between servers": [
    `export const e = atHall((hall) => hall.onServerSide("busy", (at) => Effect.succeed(at.length)))`,
    /Property 'length' does not exist on type 'Date'/
  ],
  "an answer of other servers taken for another type": [
    `export const f = (hall: NamespaceHandle.NamespaceHandle<typeof Hall>): Stream.Stream<string, any> => hall.serverSideEmitWithAck("count")`,
    /Type 'number' is not assignable to type 'string'/
  ],
  "a string for a parameter that is a number": [
    `export const e = Effect.map(SocketIoServer.dynamicNamespaces(Desk), (desks) => desks.get({ floor: "1", name: "a" }))`,
    /Type 'string' is not assignable to type 'number'/
  ],
  "a missing parameter": [
    `export const e = Effect.map(SocketIoServer.dynamicNamespaces(Desk), (desks) => desks.get({ floor: 1 }))`,
    /Property 'name' is missing in type '\{ floor: number; }'/
  ],
  "a parameter that the pattern has not": [
    `export const e = Effect.map(SocketIoServer.dynamicNamespaces(Desk), (desks) => desks.get({ floor: 1, name: "a", wing: "b" }))`,
    /'wing' does not exist in type '\{ readonly floor: number; readonly name: string; }'/
  ],
  "a parameter taken for another type": [
    `export const f = (socket: ServerSocket.ServerSocket<typeof Desk>): string => socket.params.floor`,
    /Type 'number' is not assignable to type 'string'/
  ],
  "a parameter of a namespace that has none": [
    `export const f = (socket: HallSocket) => socket.params.floor`,
    /Property 'floor' does not exist on type 'never'/
  ],
  "a schema for a parameter that the pattern has not": [
    `export class D extends Namespace.dynamic("/d/:id", { params: { it: Schema.FiniteFromString } }) {}`,
    /'it' does not exist in type '\{ readonly id\?: ParameterSchema; }'/
  ],
  "a schema for a parameter that is not of a string": [
    `export class D extends Namespace.dynamic("/d/:id", { params: { id: Schema.Finite } }) {}`,
    /Type 'number' is not assignable to type 'string'/
  ],
  "parameters of a contract that is not dynamic": [
    `export class D extends Namespace.make("/d", { params: { id: Schema.FiniteFromString } }) {}`,
    /'params' does not exist in type 'Options</
  ],
  "an example that is not a payload": [
    `export const e = Event.make("say", { payload: { text: Schema.String }, examples: [{ text: 1 }] })`,
    /Type 'number' is not assignable to type 'string'/
  ],
  "an example of an event without a payload": [
    `export const e = Event.make("leave", { examples: [1] })`,
    /No overload matches this call|is not assignable to type 'never'/
  ],
  "an example that is not an auth payload": [
    `export const d = Namespace.dynamic("/d/:id", { auth: Schema.Struct({ token: Schema.String }), examples: [{ token: 1 }] })`,
    /Type 'number' is not assignable to type 'string'/
  ],
  "a stream of an event taken for another type": [
    `export const f = (socket: HallSocket): Stream.Stream<string> => socket.stream("cursor")`,
    /Type 'readonly \[number, number\]' is not assignable to type 'string'/
  ],
  "a client's stream that suspends its source": [
    `export const f = (socket: ChatClient) => socket.stream("cursor", { overflow: "suspend" })`,
    /'"suspend"' is not assignable to type/
  ],
  "a client's stream whose overflow is not handled": [
    `export const f = (socket: ChatClient): Stream.Stream<string> => socket.stream("question")`,
    /Type 'StreamOverflow' is not assignable to type 'never'/
  ],
  "an event that is not in the stream of all events": [
    `export const f = (socket: ChatClient) => Stream.filter(socket.events(), ({ event }) => event === "join")`,
    /have no overlap/
  ],
  "a stream into the sink of another type": [
    `export const f = atChat((chat) => Stream.run(Stream.make("x"), chat.to("a").sink("cursor")))`,
    /Type 'string' is not assignable to type 'readonly \[number, number\]'/
  ],
  "a sink of an event that is not sent to clients": [
    `export const f = atChat((chat) => Effect.succeed(chat.sink("join")))`,
    /'"join"' is not assignable to parameter of type '"(cursor|image|leave|question)"/
  ],
  "a sink of one of several events": [
    `export const f = (name: "cursor" | "question") => atChat((chat) => Stream.run(Stream.make("x"), chat.sink(name)))`,
    /OneEventAtATime<"cursor" \| "question">/
  ],
  "a payload of another type for a PubSub": [
    `export const f = atChat((chat) => Effect.flatMap(chat.pubsub("question", { overflow: "dropOldest" }), (questions) => PubSub.publish(questions, 1)))`,
    /'number' is not assignable to parameter of type 'string'/
  ],
  "a PubSub without a policy": [
    `export const f = atChat((chat) => chat.pubsub("question", {}))`,
    /Property 'overflow' is missing in type '{}' but required in type 'PubSubOptions'/
  ],
  "a PubSub that fails": [
    `export const f = atChat((chat) => chat.pubsub("question", { overflow: "fail" }))`,
    /'"fail"' is not assignable to type '"dropNewest" \| "dropOldest"'|'"fail"' is not assignable to type '"dropOldest" \| "dropNewest"'/
  ],
  "a namespace's stream that suspends its source": [
    `export const f = atChat((chat) => Stream.runDrain(chat.broadcasts({ overflow: "suspend" })))`,
    /'"suspend"' is not assignable to type/
  ],
  "a namespace's stream whose overflow is not handled": [
    `export const f: Effect.Effect<void, never, SocketIoServer.SocketIoServer> = atChat((chat) => Stream.runDrain(chat.connections()))`,
    /Type 'StreamOverflow' is not assignable to type 'never'/
  ],
  "a broadcast that the contract does not declare": [
    `export const f = atChat((chat) => Stream.runDrain(Stream.filter(chat.broadcasts(), ({ event }) => event === "join")))`,
    /have no overlap/
  ],
  "the payload of another event of a socket": [
    `export const f = (socket: HallSocket) => Stream.map(socket.events(), (each) => each.event === "join" ? each.payload.name : "")`,
    /Property 'name' does not exist on type '{ readonly room: string; }'/
  ],
  "a schedule of reconnection for another input": [
    `export const l = SocketIoClient.layer({ url: "http://a", reconnection: Schedule.forever.pipe(Schedule.setInputType<number>()) })`,
    /'Outage' is not assignable to type 'number'/
  ],
  "a stream of an event that clients do not send": [
    `export const f = (socket: HallSocket) => socket.stream("image")`,
    /'"image"' is not assignable to parameter of type '"(cursor|join|leave)"/
  ],
  "the layer of one namespace for a dynamic contract": [
    `export const l = SocketIoServer.layerNamespace(Desk, () => Effect.succeed(inHall))`,
    /'typeof Desk' is not assignable to parameter of type 'string \| Static'/
  ],
  "the layer of dynamic namespaces for the contract of one": [
    `export const l = SocketIoServer.layerDynamicNamespace(Hall, () => Effect.succeed(() => Effect.succeed(inHall)))`,
    /'typeof Hall' is not assignable to parameter of type 'Dynamic \| RegExp'/
  ],
  "the handle of one namespace for a dynamic contract": [
    `export const e = SocketIoServer.namespace(Desk)`,
    /'typeof Desk' is not assignable to parameter of type 'Static'/
  ],
  "the handles of dynamic namespaces for the contract of one": [
    `export const e = SocketIoServer.dynamicNamespaces(Hall)`,
    /'typeof Hall' is not assignable to parameter of type 'Dynamic'/
  ],
  "handlers that are missing in what the builder of a dynamic namespace yields": [
    `export const l = SocketIoServer.layerDynamicNamespace(Desk, () => Effect.succeed(() => Effect.succeed({ leave: inHall.leave })))`,
    /is missing the following properties from type [^]*: (cursor, join|join, cursor)$/m
  ],
  "a connection of a test's client without the auth that its contract declares": [
    `import { TestSocketIo } from "effect-socket.io/testing"
export const f = (client: TestSocketIo.TestClient) => client.connect(Chat)`,
    /Expected 2 arguments, but got 1[^]*Arguments for the rest parameter 'options' were not provided/
  ],
  "a client's missing payload": [
    `export const f = (chat: ChatClient) => chat.emit("join")`,
    /Expected 2 arguments, but got 1[^]*Arguments for the rest parameter 'payload' were not provided/
  ],
  "a client's missing payload where it waits for an acknowledgement": [
    `export const f = (chat: ChatClient) => chat.emitWithAck("join")`,
    /Expected 2 arguments, but got 1[^]*Arguments for the rest parameter 'payload' were not provided/
  ],
  "a missing payload of what is sent until it is acknowledged": [
    `export const f = (chat: RetryingEmitter.RetryingEmitter<typeof Chat>) => chat.emit("join")`,
    /Expected 2 arguments, but got 1[^]*Arguments for the rest parameter 'payload' were not provided/
  ],
  "a missing payload between servers": [
    `export const e = atHall((hall) => hall.serverSideEmit("busy"))`,
    /Expected 2 arguments, but got 1[^]*Arguments for the rest parameter 'payload' were not provided/
  ],
  "a client's wrong payload": [
    `export const f = (chat: ChatClient) => chat.emit("join", { room: 1 })`,
    /Type 'number' is not assignable to type 'string'/
  ],
  "a client's event in the wrong direction": [
    `export const f = (chat: ChatClient) => chat.emit("question", "?")`,
    /'"question"' is not assignable to parameter of type '"(join|count|cursor|leave)"/
  ],
  "a client that waits for an acknowledgement that is not declared": [
    `export const f = (chat: ChatClient) => chat.emitWithAck("cursor", [1, 2])`,
    /'"cursor"' is not assignable to parameter of type '"(join|count)"/
  ],
  "an acknowledgement taken for another type by a client": [
    `export const f = (chat: ChatClient): Effect.Effect<string, any> => chat.emitWithAck("count")`,
    /Type 'number' is not assignable to type 'string'/
  ],
  "a declared failure that a client forgets": [
    `export const f = (chat: ChatClient): Effect.Effect<unknown, SocketIoError.AckError> => chat.emitWithAck("join", { room: "a" })`,
    /Type 'RoomFull' is (not assignable to|missing)/
  ],
  "a failure that a client expects though none is declared": [
    `export const f = (chat: ChatClient) => Effect.catchTag(chat.emitWithAck("count"), "RoomFull", () => Effect.succeed(0))`,
    /'"RoomFull"' is not assignable to/
  ],
  "a client's stream of an event taken for another type": [
    `export const f = (chat: ChatClient): Stream.Stream<string> => chat.stream("cursor")`,
    /Type 'readonly \[number, number\]' is not assignable to type 'string'/
  ],
  "a client's wrong acknowledgement": [
    `export const f = (chat: ChatClient) => chat.respond("question", () => Effect.succeed("yes"))`,
    /Type 'string' is not assignable to type 'boolean'/
  ],
  "an undeclared failure of a client": [
    `export const f = (chat: ChatClient) => chat.respond("cursor", () => Effect.fail(new OtherError()))`,
    /Type 'OtherError' is not assignable to type 'never'/
  ],
  "a client without the auth that its contract declares": [
    `export const e = SocketIoClient.connect(Chat)`,
    /Expected 2 arguments, but got 1[^]*Arguments for the rest parameter 'options' were not provided/
  ],
  "a client's socket without the auth that its contract declares": [
    `export const e = SocketIoClient.socket(Chat)`,
    /Expected 2 arguments, but got 1[^]*Arguments for the rest parameter 'options' were not provided/
  ],
  "a client with an auth payload of another type": [
    `export const e = SocketIoClient.connect(Chat, { auth: { token: 1 } })`,
    /Type 'number' is not assignable to type 'string'/
  ],
  "a client without the parameters of a dynamic namespace": [
    `export const e = SocketIoClient.connect(Desk)`,
    /Expected 2 arguments, but got 1[^]*Arguments for the rest parameter 'options' were not provided/
  ],
  "a handler that is missing of what was merged": [
    `export const h = Desks.of({ cursor: good.cursor, leave: good.leave })`,
    /'count' is missing in type/
  ],
  "a handler of a payload that was merged of another type": [
    `export const h = Desks.of({ cursor: (xy: string) => Effect.void, count: good.count, leave: good.leave })`,
    /Type 'readonly \[number, number\]' is not assignable to type 'string'|Type 'readonly \[.*\]' is not assignable to type 'string'/
  ],
  "data of another type that were merged": [
    `export const f = (socket: ServerSocket.ServerSocket<typeof Desks>) => socket.setData({ name: 1 })`,
    /Type 'number' is not assignable to type 'string'/
  ],
  "a contract of dynamic namespaces that is merged": [
    `export const D = Namespace.merge(Hall, Desk)`,
    /'typeof Desk' is not assignable to parameter of type 'Mergeable'/
  ],
  "a contract without declared events that is merged": [
    `export const D = Namespace.merge(Hall, Echo)`,
    /'typeof Echo' is not assignable to parameter of type 'Mergeable'/
  ],
  "events that are added to a contract without declared ones": [
    `export const D = Echo.add({ clientToServer: [Join] })`,
    /Property 'add' does not exist on type 'typeof Echo'/
  ],
  "a string that is added as an event": [
    `export const D = Hall.add({ serverToClient: ["join"] })`,
    /Type 'string' is not assignable to type 'Any'/
  ],
  "an annotation of another type": [
    `export const D = Hall.annotate(Title, 1)`,
    /'number' is not assignable to parameter of type 'string'/
  ],
  "an event's annotation of another type": [
    `export const E = Join.annotate(Title, 1)`,
    /'number' is not assignable to parameter of type 'string'/
  ],
  "an event whose name is taken for any": [
    `export const E: Event.Event<string, Schema.Void, Schema.Int, Schema.Never> = Count`,
    /Type 'string' is not assignable to type '"count"'/
  ],
  "an argument of an undeclared event that is used unchecked": [
    `export const h = Echo.of({ anything: (text) => Effect.succeed(text.length) })`,
    /'text' is of type 'unknown'/
  ],
  "an answer of an undeclared event that is used unchecked": [
    `export const f = (echo: ClientSocket.ClientSocket<typeof Echo>) =>
      Effect.map(echo.emitWithAck("anything"), ([text]): string => text)`,
    /Type 'unknown' is not assignable to type 'string'/
  ],
  "a client of undeclared events without the auth that its contract declares": [
    `export const e = SocketIoClient.connect(Echo)`,
    /Expected 2 arguments, but got 1[^]*Arguments for the rest parameter 'options' were not provided/
  ],
  "a reason that an AckError does not have": [
    `export const f = (chat: ChatClient) =>
      Effect.catchReason(chat.emitWithAck("count"), "AckError", "Gone", () => Effect.succeed(0))`,
    /'"Gone"' is not assignable to parameter of type '"Disconnected"/
  ],
  "a reason that a ConnectError does not have": [
    `export const e = Effect.catchReason(
      SocketIoClient.connect("/"), "ConnectError", "NotThere", () => Effect.succeed(0))`,
    /'"NotThere"' is not assignable to parameter of type '"(Refused|Disconnected|AuthFailed|OldServer|Closed)"/
  ],
  "details of a reason that is not known to be the one": [
    `export const e = Effect.catchTag(SocketIoClient.connect("/"), "ConnectError", ({ reason }) => Effect.log(reason.data))`,
    /Property 'data' does not exist on type 'ConnectErrorReason'/
  ],
  "an error of the application that is taken for one of the library": [
    `export const e = Effect.catchIf(
      Effect.fail(new OtherError({})), SocketIoError.isSocketIoError, (error) => Effect.log(error.message))`,
    /Property 'message' does not exist on type 'never'/
  ],
  "an undeclared failure in a dynamic namespace": [
    `export const h = Desk.of({ ...inHall, leave: () => Effect.fail(new OtherError({})) })`,
    /Type 'OtherError' is not assignable to type 'never'/
  ],
  "an event name that is reserved at run time stays a string": [
    `export const e: Event.Event<"a", any, any, any> = Event.make("b")`,
    /Type '"b"' is not assignable to type '"a"'/
  ]
}

const forms = { "declared before": preludeOf(false), "declared in place": preludeOf(true) }

describe("contracts at compile time", () => {
  let diagnostics: Record<string, ReadonlyArray<string>> = {}

  beforeAll(async () => {
    const sources: Record<string, string> = {}
    for (const [form, prelude] of Object.entries(forms)) {
      for (const [name, code] of Object.entries(compiles)) sources[form + name] = prelude + code + "\nexport {}\n"
      for (const [name, [code]] of Object.entries(refused)) sources[form + name] = prelude + code + "\nexport {}\n"
    }
    diagnostics = await diagnosticsOfAll(sources)
  }, 120_000)

  for (const form of Object.keys(forms)) {
    describe(`with events that are ${form}`, () => {
      for (const name of Object.keys(compiles)) {
        it(`${name} compiles`, () => {
          expect(diagnostics[form + name]).toEqual([])
        })
      }

      for (const [name, [, expected]] of Object.entries(refused)) {
        it(`${name} does not compile, with a readable error`, () => {
          const text = diagnostics[form + name]!.join("\n")
          expect(text).toMatch(expected)
          // One mistake, one error.
          expect(diagnostics[form + name]!.filter((line) => /error TS/.test(line))).toHaveLength(1)
        })
      }
    })
  }
})
