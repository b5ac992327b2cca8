/**
 * Contracts as values: guards, annotations, and new contracts that are made of others.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { compileContract, type Declaration } from "../../src/internal/compileContract.ts"
import { compiledOf } from "../../src/internal/schemaCompiler.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

class Title extends Context.Service<Title, string>()("Title") {}
class Owner extends Context.Service<Owner, string>()("Owner") {}
class Authentication extends NamespaceMiddleware.Service<Authentication>()("Authentication") {}
class Limits extends NamespaceMiddleware.Service<Limits>()("Limits") {}

const Say = Event.make("say", { payload: Schema.String, ack: Schema.Int })
const Typing = Event.make("typing", { payload: Schema.Boolean })
const Load = Event.make("load", { ack: Schema.Finite })

const names = (events: ReadonlyMap<string, Event.Any>) => Array.from(events.keys())

describe("an event", () => {
  it("is told from other values", () => {
    assert.isTrue(Event.isEvent(Say))
    assert.isTrue(Event.isEvent(Say.annotate(Title, "Say")))
    for (const other of [undefined, null, "say", { _tag: "say" }, Namespace.make("/")]) {
      assert.isFalse(Event.isEvent(other))
    }
  })

  it("carries annotations, and stays what it was without them", () => {
    const annotated = Say.annotate(Title, "Say").annotateMerge(Context.make(Owner, "chat"))
    assert.strictEqual(Context.get(annotated.annotations as Context.Context<any>, Title), "Say")
    assert.strictEqual(Context.get(annotated.annotations as Context.Context<any>, Owner), "chat")
    assert.strictEqual(Say.annotations, Context.empty())
    assert.deepInclude(annotated, { _tag: "say", arity: "one", payload: Say.payload, ack: Say.ack, hasAck: true })
    assert.strictEqual(
      Say.pipe((event) => event._tag),
      "say"
    )
  })
})

describe("a namespace", () => {
  it("is told from other values", () => {
    class Chat extends Namespace.make("/chat") {}
    for (const one of [Chat, Chat.add({}), Namespace.dynamic("/:id"), Namespace.untyped("/")]) {
      assert.isTrue(Namespace.isNamespace(one))
    }
    for (const other of [undefined, "/chat", { _tag: "/chat" }, Say, class {}]) {
      assert.isFalse(Namespace.isNamespace(other))
    }
  })

  it("gets more events, and stays what it was without them", () => {
    class Chat extends Namespace.make("/chat", { clientToServer: [Say] }) {}
    class More extends Chat.add({ clientToServer: [Typing], serverToClient: [Typing] }).add({
      serverToServer: [Load]
    }) {}
    assert.deepStrictEqual(names(More.clientToServer), ["say", "typing"])
    assert.deepStrictEqual(names(More.serverToClient), ["typing"])
    assert.deepStrictEqual(names(More.serverToServer), ["load"])
    assert.deepStrictEqual(names(Chat.clientToServer), ["say"])
    assert.throws(() => Chat.add({ clientToServer: [Say] }), 'namespace "/chat" declares the event "say" twice')
  })

  it("takes what another one declares: events, data, middlewares, annotations", () => {
    class Chat extends Namespace.make("/chat", {
      auth: Schema.Struct({ token: Schema.String }),
      clientToServer: [Say],
      data: { name: Schema.String },
      concurrency: 1
    })
      .middleware(Authentication)
      .annotate(Title, "Chat") {}
    class Presence extends Namespace.make("/presence", {
      clientToServer: [Say, Typing],
      serverToClient: [Typing],
      serverToServer: [Load],
      data: { seen: Schema.Date }
    })
      .middleware(Authentication)
      .middleware(Limits)
      .annotate(Owner, "presence") {}
    class Both extends Namespace.merge(Chat, Presence) {}
    assert.deepInclude(Both, { _tag: "/chat", auth: Chat.auth, concurrency: 1 })
    assert.deepStrictEqual(names(Both.clientToServer), ["say", "typing"])
    assert.deepStrictEqual(names(Both.serverToClient), ["typing"])
    assert.deepStrictEqual(names(Both.serverToServer), ["load"])
    assert.deepStrictEqual(Object.keys(Both.data), ["name", "seen"])
    assert.deepStrictEqual(Both.middlewares, [Authentication, Limits])
    const annotations = Both.annotations as Context.Context<any>
    assert.deepStrictEqual([Context.get(annotations, Title), Context.get(annotations, Owner)], ["Chat", "presence"])
  })

  it("is not merged with another one where something would be lost", () => {
    class Chat extends Namespace.make("/chat", { clientToServer: [Say], data: { name: Schema.String } }) {}
    const refused = (other: Namespace.Mergeable, what: string) =>
      assert.throws(() => Namespace.merge(Chat, other), `merge: "/chat" and "/other" differ in "${what}"`)
    refused(Namespace.make("/other", { clientToServer: [Event.make("say")] }), "say")
    refused(Namespace.make("/other", { data: { name: Schema.Int } }), "name")
    refused(Namespace.make("/other", { auth: Schema.Struct({}) }), "auth")
    refused(Namespace.make("/other", { concurrency: 1 }), "concurrency")
  })

  it.effect("that was merged is served, and its clients say all of it", () =>
    Effect.gen(function* () {
      const socket = yield* SocketIoClient.connect(Meeting)
      assert.strictEqual(yield* socket.emitWithAck("say", "hello"), 5)
      assert.strictEqual(yield* socket.emitWithAck("ping"), "pong")
    }).pipe(Effect.provide(Layer.provideMerge(MeetingLive, TestSocketIo.layer())))
  )
})

class Meeting extends Namespace.merge(
  Namespace.make("/meeting", { clientToServer: [Say] }),
  Namespace.make("/health", { clientToServer: [Event.make("ping", { ack: Schema.String })] })
) {}

const MeetingLive = SocketIoServer.layerNamespace(Meeting, () =>
  Effect.succeed(Meeting.of({ say: (text) => Effect.succeed(text.length), ping: () => Effect.succeed("pong") }))
)

describe("a contract without declared events", () => {
  it("is known by its mark, and has no codecs of events", () => {
    class Echo extends Namespace.untyped("/echo", { auth: Schema.Struct({ token: Schema.String }) })
      .middleware(Authentication)
      .annotate(Title, "Echo") {}
    const compiled = Echo.compiled(compileContract)
    assert.deepInclude(compiled, { untyped: true, declaresAuth: true, pattern: undefined })
    assert.strictEqual(compiled.incoming.size + compiled.outgoing.size + compiled.serverToServer.size, 0)
    assert.strictEqual(compiled.auth.decode({ token: 1 })._tag, "Failure")
    assert.deepStrictEqual(
      compiled.middlewares.map(({ service }) => service),
      [Authentication]
    )
    assert.isFalse(Namespace.make("/typed").compiled(compileContract).untyped)
    assert.isUndefined(Echo.forClient().wire)
    assert.strictEqual(Echo.forClient().name(undefined), "/echo")
    assert.throws(() => Echo.forClient().encodeAuth({ token: 1 }), 'auth payload of "/echo"')
  })

  it("has a name that starts with a slash", () => {
    assert.throws(() => Namespace.untyped("echo"), 'starts with "/"')
  })

  it("may be dynamic, by a pattern or by a regular expression", () => {
    class Room extends Namespace.untypedDynamic("/room/:id", { params: { id: Schema.FiniteFromString } }) {}
    class Numbered extends Namespace.untypedDynamic(/^\/room-\d+$/) {}
    assert.deepStrictEqual(Room.compiled(compileContract).pattern!.match("/room/7"), { id: "7" })
    assert.strictEqual(Room.forClient().name({ id: 7 }), "/room/7")
    assert.strictEqual(Numbered._tag, String(/^\/room-\d+$/))
    const { pattern } = Numbered.compiled(compileContract)
    assert.deepStrictEqual(pattern!.match("/room-12"), {})
    assert.isUndefined(pattern!.match("/room-a"))
    assert.isUndefined(pattern!.match(`/room-${"1".repeat(300)}`))
    assert.throws(() => Numbered.forClient().name({}), "no name can be made of")
    assert.throws(() => Namespace.untypedDynamic("/room"), 'the pattern "/room" has no parameter')
    for (const stateful of [/a/g, /a/y]) assert.throws(() => Namespace.untypedDynamic(stateful), "stateful")
  })

  it.effect("connects a client that says anything, with the auth that the contract declares", () =>
    Effect.gen(function* () {
      const socket = yield* SocketIoClient.connect(Namespace.untyped("/echo", { auth: Token }), {
        auth: { token: "a", at: new Date(0) }
      })
      const answer: ReadonlyArray<unknown> = yield* socket.emitWithAck("anything", 1, "two")
      assert.deepStrictEqual(answer, [[1, "two"]])
      assert.deepStrictEqual(yield* socket.emitWithAck("auth"), [{ token: "a", at: "1970-01-01T00:00:00.000Z" }])
    }).pipe(Effect.provide(Layer.provideMerge(EchoLive, TestSocketIo.layer())))
  )
})

const Token = Schema.Struct({ token: Schema.String, at: Schema.Date })

const EchoLive = SocketIoServer.layerNamespace("/echo", (socket) =>
  Effect.andThen(
    socket.on("anything", (...args) => Effect.succeed(args)),
    socket.on("auth", () => Effect.succeed(socket.handshake.auth))
  )
)

describe("a contract's codecs", () => {
  it("are prepared for a server though a client compiled them before, once", () => {
    class Chat extends Namespace.make("/chat", { clientToServer: [Say] }) {}
    const forClient = Chat.compiled(compileContract)
    const prepared: Array<unknown> = []
    const prepare = (declaration: Declaration) => compileContract(declaration, ({ ast }) => void prepared.push(ast))
    const forServer = Chat.compiled(prepare)
    const { length } = prepared
    assert.isAbove(length, 0)
    assert.notStrictEqual(forServer, forClient)
    assert.strictEqual(Chat.compiled(prepare), forServer)
    assert.strictEqual(compiledOf(Chat), compiledOf(class extends Chat {}))
    // A client that comes later has the faster ones, too: it decodes with the same schema.
    assert.include(prepared, Schema.toCodecJson(Say.payload).ast)
    assert.strictEqual(Chat.forClient(), Chat.forClient())
    assert.strictEqual(prepared.length, length)
  })
})
