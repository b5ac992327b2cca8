/**
 * Namespaces whose events are not declared: their contracts admit clients as those of others do, and their handlers can be taken back.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Queue, Schema, Scope } from "effect"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import { ackArguments, EventRefused, type ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { call, connect, next, refusal, serve } from "../support/serve.ts"

class User extends Context.Service<User, string>()("test/User") {}

class Authentication extends NamespaceMiddleware.Service<Authentication>()("test/Authentication", {
  provides: User,
  auth: Schema.Struct({ token: Schema.String })
}) {}

const AuthenticationLive = Layer.succeed(Authentication, ({ auth }) =>
  auth.token === "wrong"
    ? Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "who are you?", data: { code: 401 } }))
    : Effect.succeed(auth.token.toUpperCase())
)

class Echo extends Namespace.untyped("/echo").middleware(Authentication) {}

class Aged extends Namespace.untyped("/aged", { auth: Schema.Struct({ born: Schema.Date }) }) {}

class Rooms extends Namespace.untypedDynamic(/^\/room-\d+$/).middleware(Authentication) {}

class Desks extends Namespace.untypedDynamic("/desk/:id", { params: { id: Schema.FiniteFromString } }) {}

class Hall extends Namespace.make("/hall", {
  clientToServer: [
    Event.make("say", { payload: { text: Schema.String }, ack: Schema.Int }),
    Event.make("sync", { ack: Schema.Boolean })
  ]
}) {}

/** The name of the user by whom the socket was admitted. */
const named = Effect.map(User, (user) => ({ user }))

describe("a namespace without declared events", () => {
  it.live("has middleware that refuses clients, admits them, and provides a service to builder and handlers", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(
        Layer.merge(
          SocketIoServer.layerNamespace(
            Echo,
            Effect.fnUntraced(function* (socket) {
              const built = yield* User
              yield* socket.on("added", () => Effect.map(User, (user) => ackArguments(built, user)))
              return Echo.of({ returned: () => named })
            })
          ),
          SocketIoServer.layerNamespace("/", () => Effect.void)
        ).pipe(Layer.provide(AuthenticationLive))
      )
      const refused = yield* refusal(`${url}/echo`, { auth: { token: "wrong" } })
      assert.deepInclude(refused, { message: "who are you?", data: { code: 401 } })
      assert.strictEqual((yield* refusal(`${url}/echo`)).message, "Invalid auth payload")
      const socket = yield* connect(`${url}/echo`, { auth: { token: "ada" } })
      assert.deepStrictEqual(yield* call(socket, "returned"), { user: "ADA" })
      const both = yield* Effect.callback<ReadonlyArray<unknown>>((resume) => {
        socket.emit("added", (...args: ReadonlyArray<unknown>) => resume(Effect.succeed(args)))
      })
      assert.deepStrictEqual(both, ["ADA", "ADA"])
    })
  )

  it.live("decodes the auth payload that its contract declares, and refuses another", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(Aged, (socket) =>
          Effect.succeed({
            year: () => Effect.sync(() => socket.auth.born.getUTCFullYear()),
            raw: () => Effect.sync(() => Object.keys(socket.handshake.auth))
          })
        )
      )
      assert.strictEqual((yield* refusal(`${url}/aged`, { auth: { born: 7 } })).message, "Invalid auth payload")
      const socket = yield* connect(`${url}/aged`, { auth: { born: "1815-12-10T00:00:00.000Z", token: "secret" } })
      assert.strictEqual(yield* call(socket, "year"), 1815)
      assert.deepStrictEqual(yield* call(socket, "raw"), ["born"])
    })
  )

  it.live("keeps the auth payload as it came where its contract declares none", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(
        SocketIoServer.layerNamespace("/", (socket) =>
          Effect.succeed({ auth: () => Effect.sync(() => [socket.auth, socket.handshake.auth]) })
        )
      )
      const auth = { a: 1, b: ["two"] }
      assert.deepStrictEqual(yield* call(yield* connect(url, { auth }), "auth"), [auth, auth])
    })
  )

  it.live("handles the events of the builder's record alone, whatever names a client makes up", () =>
    Effect.gen(function* () {
      const { logs, url } = yield* serve(
        SocketIoServer.layerNamespace("/", () =>
          Effect.succeed({ add: (a: unknown, b: unknown) => Effect.succeed(Number(a) + Number(b)) })
        )
      )
      const socket = yield* connect(url)
      for (const name of ["constructor", "toString", "__proto__", "hasOwnProperty"]) socket.emit(name, 1, () => {})
      // Large enough not to be read at all if nothing handled it.
      assert.strictEqual(yield* call(socket, "add", 1, 2, "x".repeat(50_000)), 3)
      assert.lengthOf(
        logs.filter((line) => line.includes("event without a handler")),
        4
      )
    })
  )

  it.live("disconnects the socket of a builder with a handler for a reserved name", () =>
    Effect.gen(function* () {
      const { logs, url } = yield* serve(
        SocketIoServer.layerNamespace("/", () => Effect.succeed({ disconnect: () => Effect.void }))
      )
      const left = yield* Deferred.make<string>()
      yield* connect(url, {}, (socket) =>
        socket.once("disconnect", (reason) => Deferred.doneUnsafe(left, Effect.succeed(reason)))
      )
      assert.strictEqual(yield* Deferred.await(left), "io server disconnect")
      assert.include(logs.join(), '"disconnect" is a reserved event name')
    })
  )

  it.live("answers with the first value, of the record and of the handlers that were added", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(
          "/",
          Effect.fnUntraced(function* (socket) {
            yield* socket.on("both", () => Effect.sync(() => seen.push("added")))
            return { both: () => Effect.sync(() => `returned ${seen.push("returned")}`) }
          })
        )
      )
      assert.strictEqual(yield* call(yield* connect(url), "both"), "returned 1")
      assert.deepStrictEqual(seen, ["returned", "added"])
    })
  )
})

describe("dynamic namespaces without declared events", () => {
  it.live("match a regular expression, behind middleware", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(
        SocketIoServer.layerDynamicNamespace(Rooms, (room) =>
          Effect.succeed((socket) =>
            socket.on("enter", () => Effect.flatMap(User, (user) => room.emit("entered", room.name, user, socket.id)))
          )
        ).pipe(Layer.provide(AuthenticationLive))
      )
      assert.strictEqual((yield* refusal(`${url}/room-x`, { auth: { token: "ada" } })).message, "Invalid namespace")
      assert.strictEqual((yield* refusal(`${url}/room-1`, { auth: { token: "wrong" } })).message, "who are you?")
      const socket = yield* connect(`${url}/room-1`, { auth: { token: "ada" } })
      const entered = next(socket, "entered")
      socket.emit("enter")
      assert.deepStrictEqual(yield* entered, ["/room-1", "ADA", socket.id])
      const rooms = yield* Effect.provideContext(SocketIoServer.dynamicNamespaces(Rooms), server)
      assert.deepStrictEqual(
        (yield* rooms.active).map(({ name }) => name),
        ["/room-1"]
      )
      const all = next(socket, "all")
      yield* rooms.emit("all", 1, 2)
      assert.deepStrictEqual(yield* all, [1, 2])
    })
  )

  it.live("have the parameters of their pattern, which a predicate may look at", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(
        SocketIoServer.layerDynamicNamespace(
          Desks,
          () => Effect.succeed((socket) => Effect.succeed({ id: () => Effect.succeed(socket.params.id) })),
          { match: ({ params }) => Effect.succeed(params.id < 10) }
        )
      )
      assert.strictEqual((yield* refusal(`${url}/desk/10`)).message, "Invalid namespace")
      const socket = yield* connect(`${url}/desk/7`)
      assert.strictEqual(yield* call(socket, "id"), 7)
      const desks = yield* Effect.provideContext(SocketIoServer.dynamicNamespaces(Desks), server)
      const told = next(socket, "told")
      yield* desks.get({ id: 7 }).emit("told", "a", "b")
      assert.deepStrictEqual(yield* told, ["a", "b"])
    })
  )
})

describe("one namespace", () => {
  it.live("takes untyped handles beside those of its contract, and typed ones beside an untyped layer", () =>
    Effect.gen(function* () {
      class Said extends Namespace.make("/", { serverToClient: [Event.make("said", { payload: Schema.Date })] }) {}
      const { server, url } = yield* serve(SocketIoServer.layerNamespace(Namespace.untyped("/"), () => Effect.void))
      const socket = yield* connect(url)
      const typed = yield* Effect.provideContext(SocketIoServer.namespace(Said), server)
      const untyped = yield* Effect.provideContext(SocketIoServer.namespace(Namespace.untyped("/")), server)
      assert.strictEqual(untyped, yield* Effect.provideContext(SocketIoServer.namespace("/"), server))
      for (const said of [typed.emit("said", new Date(0)), untyped.emit("said", "1970-01-01T00:00:00.000Z")]) {
        const heard = next(socket, "said")
        yield* said
        assert.deepStrictEqual(yield* heard, ["1970-01-01T00:00:00.000Z"])
      }
    })
  )
})

/** A namespace of a kind, its client, its socket, and the events of which its handlers were told. */
const kinds = [
  ["declares them", "/hall"],
  ["does not", "/plain"]
] as const

for (const [kind, name] of kinds) {
  const setup = Effect.gen(function* () {
    const sockets = yield* Queue.unbounded<ServerSocket<typeof Hall>>()
    const { url } = yield* serve(
      Layer.merge(
        SocketIoServer.layerNamespace(Hall, (socket) =>
          Effect.as(
            Queue.offer(sockets, socket),
            Hall.of({ say: ({ text }) => Effect.succeed(text.length), sync: () => Effect.succeed(true) })
          )
        ),
        SocketIoServer.layerNamespace("/plain", (socket) =>
          Effect.as(Queue.offer(sockets, socket as any), {
            say: (message: any) => Effect.succeed(message.text.length),
            sync: () => Effect.succeed(true)
          })
        )
      )
    )
    const client = yield* connect(url + name)
    return { client, socket: yield* Queue.take(sockets), seen: [] as Array<string> }
  })

  describe(`a handler that is added to a socket, whose contract ${kind}`, () => {
    it.live("is there until its scope closes, beside the builder's own", () =>
      Effect.gen(function* () {
        const { client, seen, socket } = yield* setup
        const scope = yield* Scope.make()
        const listen = Effect.andThen(
          Effect.all([
            socket.on("say", ({ text }) => Effect.sync(() => seen.push(`on ${text}`))),
            socket.onAny((event) => Effect.sync(() => seen.push(`any ${event}`)))
          ]),
          socket.onAnyOutgoing((event) => Effect.sync(() => seen.push(`out ${event}`)))
        )
        yield* Scope.provide(listen, scope)
        assert.strictEqual(yield* call(client, "say", { text: "one" }), 3)
        yield* socket.untyped.emit("tick")
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* call(client, "say", { text: "three" }), 5)
        yield* socket.untyped.emit("tick")
        assert.deepStrictEqual(seen.toSorted(), ["any say", "on one", "out tick"])
      })
    )

    it.live("runs once, if it was added for one event", () =>
      Effect.gen(function* () {
        const { client, seen, socket } = yield* setup
        yield* socket.once("say", ({ text }) => Effect.sync(() => seen.push(text)))
        yield* Effect.scoped(socket.once("say", () => Effect.sync(() => seen.push("taken back"))))
        client.emit("say", { text: "a" })
        client.emit("say", { text: "b" })
        assert.isTrue(yield* call(client, "sync"))
        assert.deepStrictEqual(seen, ["a"])
      })
    )

    it.live("is interrupted when its scope closes, and the builder's own are not", () =>
      Effect.gen(function* () {
        const { client, socket } = yield* setup
        const started = yield* Deferred.make<void>()
        const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
        const scope = yield* Scope.make()
        const working = Effect.onExit(Effect.andThen(Deferred.succeed(started, undefined), Effect.never), (exit) =>
          Deferred.succeed(ended, exit)
        )
        yield* Scope.provide(
          socket.on("say", () => working),
          scope
        )
        client.emit("say", { text: "" })
        yield* Deferred.await(started)
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(Exit.hasInterrupts(yield* Deferred.await(ended)))
        assert.isTrue(yield* call(client, "sync"))
      })
    )

    it.live("leaves nothing in a scope that outlives its socket, nor in the socket's", () =>
      Effect.gen(function* () {
        const { client, socket } = yield* setup
        const scope = yield* Scope.make()
        const add = Effect.all([
          socket.on("say", () => Effect.void),
          socket.use(() => Effect.void),
          socket.onDisconnecting(() => Effect.void)
        ])
        yield* Effect.scoped(add)
        yield* Scope.provide(add, scope)
        assert.strictEqual(finalizersOf(scope), 3)
        client.disconnect()
        yield* socket.disconnected
        yield* Effect.yieldNow
        assert.strictEqual(finalizersOf(scope), 0)
      })
    )

    it.live("may be packet middleware, which refuses events until its scope closes", () =>
      Effect.gen(function* () {
        const { client, seen, socket } = yield* setup
        yield* socket.on("say", ({ text }) => Effect.sync(() => seen.push(text)))
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* socket.use(({ event }) =>
              event === "say" ? Effect.fail(new EventRefused({ message: "not now" })) : Effect.void
            )
            client.emit("say", { text: "refused" })
            assert.isTrue(yield* call(client, "sync"))
          })
        )
        assert.strictEqual(yield* call(client, "say", { text: "passed" }), 6)
        assert.deepStrictEqual(seen, ["passed"])
      })
    )
  })
}

/** The number of finalizers that a scope has. */
const finalizersOf = ({ state }: Scope.Scope): number => (state._tag === "Open" ? (state.finalizers?.size ?? 1) : 0)

describe("the untyped form of a socket with a contract", () => {
  it.live("does not handle the contract's events, and the contract's form no others", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(
          Hall,
          Effect.fnUntraced(function* (socket) {
            yield* socket.untyped.on("legacy", (...args) => Effect.sync(() => void seen.push(...args)))
            const undeclared = yield* Effect.exit(socket.on("legacy" as "say", () => Effect.void))
            assert.include(String(undeclared), '"legacy" is not among the events that clients send to "/hall"')
            const declared = yield* Effect.exit(socket.untyped.once("say", () => Effect.void))
            assert.include(String(declared), '"say" is an event of the contract')
            return Hall.of({ say: () => Effect.succeed(0), sync: () => Effect.succeed(true) })
          })
        )
      )
      const client = yield* connect(`${url}/hall`)
      client.emit("legacy", 1, "two")
      assert.isTrue(yield* call(client, "sync"))
      assert.deepStrictEqual(seen, [1, "two"])
    })
  )
})
