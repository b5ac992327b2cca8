import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Fiber, Layer, Option, Queue, Ref, Schema, Stream } from "effect"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import type { DynamicHandle } from "../../src/server/NamespaceHandle.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { call, connect, next, refusal, serve } from "../support/serve.ts"

class Viewer extends Context.Service<Viewer, { readonly name: string }>()("test/Viewer") {}

class Authentication extends NamespaceMiddleware.Service<Authentication>()("test/Authentication", {
  provides: Viewer
}) {}

const AuthenticationLive = Layer.succeed(Authentication, ({ handshake }) =>
  typeof handshake.auth.name === "string"
    ? Effect.succeed({ name: handshake.auth.name })
    : Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "who are you?" }))
)

const Edit = Event.make("edit", { payload: Schema.String, ack: Schema.Int })
const Edited = Event.make("edited", { payload: Schema.String })

class Document extends Namespace.dynamic("/document/:id/:part", {
  params: { id: Schema.FiniteFromString },
  clientToServer: [Edit, Event.make("whoami", { ack: Schema.String })],
  serverToClient: [Edited]
}).middleware(Authentication) {}

type DocumentHandle = DynamicHandle<typeof Document>

/** Documents that count their edits; what happens to them is told. */
const documents = Effect.fnUntraced(function* (
  options: SocketIoServer.DynamicOptions & {
    readonly opening?: (document: DocumentHandle) => Effect.Effect<unknown>
    readonly closing?: (document: DocumentHandle) => Effect.Effect<unknown>
  } = {}
) {
  const told = yield* Queue.unbounded<string>()
  const { closing = () => Effect.void, opening = () => Effect.void, ...rest } = options
  const layer = SocketIoServer.layerDynamicNamespace(
    Document,
    Effect.fnUntraced(function* (document) {
      yield* opening(document)
      const { id, part } = document.params
      yield* Queue.offer(told, `open ${id + 0} ${part.toUpperCase()}`)
      yield* Effect.addFinalizer(() => Effect.andThen(closing(document), Queue.offer(told, `close ${id} ${part}`)))
      const edits = yield* Ref.make(0)
      return Effect.fnUntraced(function* (socket) {
        const viewer = yield* Viewer
        return Document.of({
          edit: (text) =>
            Effect.andThen(
              socket.broadcast.emit("edited", text),
              Ref.updateAndGet(edits, (n) => n + 1)
            ),
          whoami: () => Effect.succeed(`${viewer.name} in ${socket.params.id + 1}`)
        })
      })
    }),
    rest
  ).pipe(Layer.provide(AuthenticationLive))
  const serving = yield* serve(layer)
  const open = (name: string, who = "Ada") => connect(`${serving.url}/document/${name}`, { auth: { name: who } })
  return { ...serving, told: Queue.take(told), toldNow: Queue.clear(told), open }
})

describe("dynamic namespaces", () => {
  it.live("open with their first client, with typed parameters, and share their state among their sockets", () =>
    Effect.gen(function* () {
      const { open, told, toldNow } = yield* documents()
      const first = yield* open("7/intro")
      assert.strictEqual(yield* told, "open 7 INTRO")
      assert.strictEqual(yield* call(first, "edit", "a"), 1)
      const second = yield* open("7/intro", "Grace")
      const edited = next(first, "edited")
      assert.strictEqual(yield* call(second, "edit", "b"), 2)
      assert.deepStrictEqual(yield* edited, ["b"])
      assert.strictEqual(yield* call(second, "whoami"), "Grace in 8")
      const other = yield* open("8/intro")
      assert.strictEqual(yield* call(other, "edit", "c"), 1)
      assert.deepStrictEqual(yield* toldNow, ["open 8 INTRO"])
    })
  )

  it.live("are refused where the name does not match, or its parameters do not decode", () =>
    Effect.gen(function* () {
      const { url } = yield* documents()
      for (const name of [
        "/document/7",
        "/document/x/intro",
        "/document/07/intro",
        "/document/7.0/intro",
        "/document/7/intro/more",
        "/document//intro",
        `/document/7/${"x".repeat(300)}`
      ]) {
        const error = yield* refusal(url + name, { auth: { name: "Ada" } })
        assert.strictEqual(error.message, "Invalid namespace")
      }
    })
  )

  it.live("are not opened by whoever the middleware refuses", () =>
    Effect.gen(function* () {
      const { server, toldNow, url } = yield* documents()
      assert.strictEqual((yield* refusal(`${url}/document/7/intro`)).message, "who are you?")
      assert.deepStrictEqual(yield* toldNow, [])
      const all = yield* Effect.provideContext(SocketIoServer.dynamicNamespaces(Document), server)
      assert.deepStrictEqual(yield* all.active, [])
    })
  )

  it.live("open once for clients that come at the same time", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { open, told, toldNow } = yield* documents({ opening: () => Deferred.await(gate) })
      const clients = yield* Effect.forkChild(
        Effect.all([open("1/a"), open("1/a"), open("1/a")], { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* Deferred.succeed(gate, undefined)
      const [first] = yield* Fiber.join(clients)
      assert.strictEqual(yield* told, "open 1 A")
      assert.strictEqual(yield* call(first!, "edit", "x"), 1)
      assert.deepStrictEqual(yield* toldNow, [])
    })
  )

  it.live("close when they have been empty for their time, and open anew after their finalizers", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const closing = yield* Deferred.make<void>()
      const { open, told, toldNow } = yield* documents({
        idleTimeToLive: "20 millis",
        closing: () => Effect.andThen(Deferred.succeed(closing, undefined), Deferred.await(gate))
      })
      const first = yield* open("1/a")
      assert.strictEqual(yield* call(first, "edit", "x"), 1)
      first.disconnect()
      yield* Deferred.await(closing)
      const again = yield* Effect.forkChild(open("1/a"), { startImmediately: true })
      // Another one opens meanwhile, which shows that it is the finalizer that is waited for.
      yield* open("2/b")
      assert.deepStrictEqual(yield* toldNow, ["open 1 A", "open 2 B"])
      yield* Deferred.succeed(gate, undefined)
      const second = yield* Fiber.join(again)
      assert.deepStrictEqual([yield* told, yield* told], ["close 1 a", "open 1 A"])
      assert.strictEqual(yield* call(second, "edit", "x"), 1)
    })
  )

  it.live("stay for those who come back within their time", () =>
    Effect.gen(function* () {
      const { open, told, toldNow } = yield* documents({ idleTimeToLive: "1 minute" })
      const first = yield* open("1/a")
      yield* call(first, "edit", "x")
      first.disconnect()
      const second = yield* open("1/a")
      assert.strictEqual(yield* call(second, "edit", "y"), 2)
      assert.strictEqual(yield* told, "open 1 A")
      assert.deepStrictEqual(yield* toldNow, [])
    })
  )

  it.live("ask an effectful predicate, which knows parameters and handshake", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const serving = yield* serve(
        SocketIoServer.layerDynamicNamespace(
          Document,
          () =>
            Effect.succeed(() =>
              Effect.succeed(Document.of({ edit: () => Effect.succeed(0), whoami: () => Effect.succeed("") }))
            ),
          {
            match: ({ handshake, name, params }) =>
              Effect.andThen(
                Effect.yieldNow,
                Effect.sync(() => {
                  asked.push([name, params, handshake.auth.name])
                  return params.id < 10
                })
              )
          }
        ).pipe(Layer.provide(AuthenticationLive))
      )
      yield* connect(`${serving.url}/document/9/a`, { auth: { name: "Ada" } })
      const error = yield* refusal(`${serving.url}/document/10/a`, { auth: { name: "Bob" } })
      assert.strictEqual(error.message, "Invalid namespace")
      assert.deepStrictEqual(asked, [
        ["/document/9/a", { id: 9, part: "a" }, "Ada"],
        ["/document/10/a", { id: 10, part: "a" }, "Bob"]
      ])
    })
  )

  it.live("refuse clients when they cannot be opened, and try again with the next one", () =>
    Effect.gen(function* () {
      let attempts = 0
      const { logs, open, url } = yield* documents({
        opening: () => Effect.suspend(() => (++attempts === 1 ? Effect.die(new Error("no disk")) : Effect.void))
      })
      const error = yield* refusal(`${url}/document/1/a`, { auth: { name: "Ada" } })
      assert.strictEqual(error.message, "Internal error")
      assert.include(logs.join(), "no disk")
      assert.strictEqual(yield* call(yield* open("1/a"), "edit", "x"), 1)
    })
  )

  it.live("come after namespaces of their own, and in the order of their layers", () =>
    Effect.gen(function* () {
      const answer = (value: string) =>
        SocketIoServer.layerDynamicNamespace(value === "first" ? /^\/news-\w+$/ : /^\/news/, () =>
          Effect.succeed((socket) => socket.on("who", () => Effect.succeed(value)))
        )
      const { url } = yield* serve(
        Layer.mergeAll(
          SocketIoServer.layerNamespace("/news-of-today", (socket) => socket.on("who", () => Effect.succeed("own"))),
          answer("second").pipe(Layer.provideMerge(answer("first")))
        )
      )
      const who = (name: string) => Effect.flatMap(connect(url + name), (socket) => call(socket, "who"))
      assert.strictEqual(yield* who("/news-of-today"), "own")
      assert.strictEqual(yield* who("/news-abc"), "first")
      assert.strictEqual(yield* who("/news/abc"), "second")
    })
  )

  it.live("take a predicate without declared events, and survive one that dies", () =>
    Effect.gen(function* () {
      const { logs, url } = yield* serve(
        SocketIoServer.layerDynamicNamespace(
          Namespace.untypedDynamic(/^/),
          (namespace) =>
            Effect.succeed((socket) => socket.on("shout", (text) => namespace.emit("shouted", namespace.name, text))),
          {
            match: ({ handshake, name }) =>
              name === "/broken"
                ? Effect.die(new Error("predicate broken"))
                : Effect.succeed(handshake.auth.open === name)
          }
        )
      )
      const socket = yield* connect(`${url}/a`, { auth: { open: "/a" } })
      const shouted = next(socket, "shouted")
      socket.emit("shout", "hey")
      assert.deepStrictEqual(yield* shouted, ["/a", "hey"])
      assert.strictEqual((yield* refusal(`${url}/b`, { auth: { open: "/a" } })).message, "Invalid namespace")
      assert.strictEqual((yield* refusal(`${url}/broken`)).message, "Invalid namespace")
      assert.include(logs.join(), "predicate broken")
    })
  )

  it.live("can be addressed by their parameters and all at once, and are told when they open", () =>
    Effect.gen(function* () {
      const { open, server } = yield* documents()
      const all = yield* Effect.provideContext(SocketIoServer.dynamicNamespaces(Document), server)
      const opened = yield* Effect.forkChild(Stream.runCollect(Stream.take(all.openings(), 2)), {
        startImmediately: true
      })
      const one = yield* open("1/a")
      const two = yield* open("2/b")
      assert.deepStrictEqual(
        Array.from(yield* Fiber.join(opened), ({ params }) => params),
        [
          { id: 1, part: "a" },
          { id: 2, part: "b" }
        ]
      )
      assert.deepStrictEqual(
        (yield* all.active).map(({ name }) => name),
        ["/document/1/a", "/document/2/b"]
      )
      const both = [next(one, "edited"), next(two, "edited")]
      yield* all.emit("edited", "to all")
      for (const edited of both) assert.deepStrictEqual(yield* edited, ["to all"])
      const edited = next(two, "edited")
      yield* all.get({ id: 3, part: "c" }).emit("edited", "to nobody")
      yield* all.get({ id: 2, part: "b" }).emit("edited", "to two")
      assert.deepStrictEqual(yield* edited, ["to two"])
      assert.strictEqual((yield* all.get({ id: 2, part: "b" }).sockets).length, 1)
      const bad = yield* Effect.exit(Effect.suspend(() => all.get({ id: 2, part: "a/b" }).emit("edited", "x")))
      assert.include(String(bad), "not a name of the pattern")
    })
  )

  it.live("are told when they have closed, and their handles are those of their next lives", () =>
    Effect.gen(function* () {
      const { open, server } = yield* documents({
        idleTimeToLive: 0,
        opening: ({ params }) => (params.id === 0 ? Effect.die("not this one") : Effect.void)
      })
      const all = yield* Effect.provideContext(SocketIoServer.dynamicNamespaces(Document), server)
      const closed = yield* Effect.forkChild(Stream.runCollect(Stream.take(all.closings(), 2)), {
        startImmediately: true
      })
      const opening = yield* Effect.forkChild(Stream.runHead(all.openings()), { startImmediately: true })
      const broken = yield* Effect.flip(Effect.sandbox(open("0/x")))
      assert.include(String(broken), "Internal error")
      const first = yield* open("1/a")
      const handle = Option.getOrThrow(yield* Fiber.join(opening))
      first.disconnect()
      const second = yield* open("2/b")
      second.disconnect()
      assert.deepStrictEqual(
        Array.from(yield* Fiber.join(closed), ({ params }) => params.part),
        ["a", "b"]
      )
      assert.deepStrictEqual(yield* handle.sockets, [])
      const edited = next(yield* open("1/a"), "edited")
      assert.lengthOf(yield* handle.sockets, 1)
      yield* handle.emit("edited", "again")
      assert.deepStrictEqual(yield* edited, ["again"])
    })
  )

  it.live("let clients in that came before their layer, and close with it", () =>
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const memo = yield* Layer.makeMemoMap
      const ended = yield* Queue.unbounded<string>()
      const { server, url } = yield* serve(Layer.empty as Layer.Layer<never, never, SocketIoServer.SocketIoServer>, {
        namespaceGrace: Duration.minutes(1)
      })
      const early = yield* Effect.forkChild(connect(`${url}/late-1`), { startImmediately: true })
      const other = yield* connect(`${url}/late-2`).pipe(Effect.forkChild({ startImmediately: true }))
      void memo
      const layer = SocketIoServer.layerDynamicNamespace(/^\/late-/, (namespace) =>
        Effect.as(
          Effect.addFinalizer(() => Queue.offer(ended, namespace.name)),
          (socket) => socket.on("who", () => Effect.succeed(namespace.name))
        )
      )
      const closing = yield* Deferred.make<void>()
      const served = yield* Effect.forkIn(
        Effect.scoped(
          Effect.andThen(Layer.build(Layer.provide(layer, Layer.succeedContext(server))), Deferred.await(closing))
        ),
        scope,
        { startImmediately: true }
      )
      const socket = yield* Fiber.join(early)
      assert.strictEqual(yield* call(socket, "who"), "/late-1")
      yield* Fiber.join(other)
      const gone = next(socket, "disconnect")
      yield* Deferred.succeed(closing, undefined)
      yield* Fiber.join(served)
      assert.strictEqual((yield* gone)[0], "transport close")
      assert.deepStrictEqual((yield* Queue.clear(ended)).toSorted(), ["/late-1", "/late-2"])
    })
  )
})

describe("a contract of dynamic namespaces", () => {
  it("says what is wrong with its pattern", () => {
    assert.throws(() => Namespace.dynamic("/plain"), 'the pattern "/plain" has no parameter')
    assert.throws(() => Namespace.dynamic("/:a/:a"), 'the pattern "/:a/:a" has the parameter "a" twice')
    assert.throws(() => Namespace.dynamic("/:a", { params: { b: Schema.String } as {} }), 'has no parameter "b"')
    assert.throws(() => Namespace.dynamic("room/:a"), 'starts with "/"')
  })

  // Mistakes are defects of the layer, in both layers alike.
  for (const [mistake, layer, message] of [
    [
      "a contract of one namespace as dynamic ones",
      () =>
        SocketIoServer.layerDynamicNamespace(Namespace.make("/x") as never as RegExp, () =>
          Effect.succeed(() => Effect.void)
        ),
      "use layerNamespace"
    ],
    [
      "a contract of dynamic namespaces as one",
      () => SocketIoServer.layerNamespace(Namespace.dynamic("/x/:y") as never, () => Effect.succeed({} as never)),
      "use layerDynamicNamespace"
    ],
    [
      "a stateful expression",
      () => SocketIoServer.layerDynamicNamespace(/x/g, () => Effect.succeed(() => Effect.void)),
      "stateful regular expressions are not supported"
    ],
    ["a name that is none", () => SocketIoServer.layerNamespace("/a,b", () => Effect.void), "/a,b"]
  ] as const) {
    it.effect(`is not served with a mistake: ${mistake}`, () =>
      Effect.gen(function* () {
        const built = Layer.build(Layer.provide(layer(), SocketIoServer.layer()))
        const exit = yield* Effect.exit(Effect.catchDefect(built, (defect) => Effect.succeed(String(defect))))
        assert.include(String(exit._tag === "Success" ? exit.value : exit.cause), message)
      })
    )
  }
})
