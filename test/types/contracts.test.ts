/**
 * What must not compile does not, and says why in words that a user can act on. What must compile is the rest of the tests.
 */
import { beforeAll, describe, expect, it } from "@effect/vitest"

import { diagnosticsOfAll } from "../support/typecheck.ts"

const prelude = `
import { Context, Effect, Layer, type Result, Schema, Stream } from "effect"
import { Binary, Event, Namespace, NamespaceMiddleware, type SocketIoError } from "effect-socket.io"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { SocketIoServer } from "effect-socket.io/server"

class User extends Schema.Class<User>("User")({ id: Schema.String, name: Schema.String }) {}
class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { room: Schema.String }) {}
class OtherError extends Schema.TaggedError<OtherError>()("OtherError", {}) {}
class CurrentUser extends Context.Service<CurrentUser, User>()("CurrentUser") {}
class Rooms extends Context.Service<Rooms, { readonly enter: (room: string) => Effect.Effect<void, RoomFull> }>()("Rooms") {}
class Authentication extends NamespaceMiddleware.Service<Authentication>()("Authentication", {
  provides: CurrentUser,
  auth: Schema.Struct({ token: Schema.String })
}) {}
const Join = Event.make("join", { payload: { room: Schema.String }, ack: Schema.Array(User), error: RoomFull })
const Count = Event.make("count", { ack: Schema.Int })
const Cursor = Event.make("cursor", { args: [Schema.Finite, Schema.Finite] })
const Leave = Event.make("leave")
const Question = Event.make("question", { payload: Schema.String, ack: Schema.Boolean, error: OtherError })
const Image = Event.make("image", { payload: Binary.Bytes })
class Chat extends Namespace.make("/chat", {
  auth: Schema.Struct({ token: Schema.String }),
  clientToServer: [Join, Count, Cursor, Leave],
  serverToClient: [Cursor, Question, Image, Leave]
}).middleware(Authentication) {}
const users: ReadonlyArray<User> = []
const good = {
  join: ({ room }: { readonly room: string }) => room === "" ? Effect.fail(new RoomFull({ room })) : Effect.succeed(users),
  count: () => Effect.succeed(1),
  cursor: ([x, y]: readonly [number, number]) => Effect.logDebug(x + y),
  leave: () => Effect.void
}
const serve = (build: Parameters<typeof SocketIoServer.layerNamespace<typeof Chat, Namespace.Handlers<Namespace.ClientToServer<typeof Chat>>>>[1]) =>
  SocketIoServer.layerNamespace(Chat, build)
`

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
        readonly sid: string
        readonly response: Result.Result<boolean, OtherError | SocketIoError.AckError>
      }> = chat.to("lobby").emitWithAck("question", "?")
      yield* Stream.runDrain(answers)
    })`,
  "a plain namespace": `
    export const live: Layer.Layer<never, never, SocketIoServer.SocketIoServer | Rooms> = SocketIoServer.layerNamespace("/", (socket) =>
      socket.on("anything", (a, b) => Effect.flatMap(Rooms, (rooms) => rooms.enter(String(a) + String(b)))))`
}

const refused: Record<string, readonly [code: string, expected: RegExp]> = {
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
    /Expected 2 arguments, but got 1|not assignable to parameter of type '\[payload/
  ],
  "a payload where none is declared": [
    `export const e = Effect.flatMap(SocketIoServer.namespace(Chat), (chat) => chat.emit("leave", 1))`,
    /Expected 1 arguments, but got 2|not assignable to parameter of type '\[\]'/
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
  "an event name that is reserved at run time stays a string": [
    `export const e: Event.Event<"a", any, any, any> = Event.make("b")`,
    /Type '"b"' is not assignable to type '"a"'/
  ]
}

describe("contracts at compile time", () => {
  let diagnostics: Record<string, ReadonlyArray<string>> = {}

  beforeAll(async () => {
    const sources: Record<string, string> = {}
    for (const [name, code] of Object.entries(compiles)) sources[name] = prelude + code + "\nexport {}\n"
    for (const [name, [code]] of Object.entries(refused)) sources[name] = prelude + code + "\nexport {}\n"
    diagnostics = await diagnosticsOfAll(sources)
  }, 60_000)

  for (const name of Object.keys(compiles)) {
    it(`${name} compiles`, () => {
      expect(diagnostics[name]).toEqual([])
    })
  }

  for (const [name, [, expected]] of Object.entries(refused)) {
    it(`${name} does not compile, with a readable error`, () => {
      const text = diagnostics[name]!.join("\n")
      expect(text).toMatch(expected)
      // One mistake, one error.
      expect(diagnostics[name]!.filter((line) => /error TS/.test(line))).toHaveLength(1)
    })
  }
})
