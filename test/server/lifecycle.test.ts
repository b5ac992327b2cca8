import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Queue, References, Schema } from "effect"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { RawSocket } from "../support/RawClient.ts"
import { attempt, call, client, connect, next, open, refusal, serve } from "../support/serve.ts"

class Main extends Namespace.make("/main", {
  clientToServer: [Event.make("work", { payload: Schema.Int, ack: Schema.Int, concurrency: 1 })]
}) {}

const handlers = Main.of({ work: (n) => Effect.succeed(n) })

describe("the life of a namespace's layer", () => {
  class Database extends Context.Service<Database, { readonly isOpen: () => boolean }>()("test/Database") {}

  it.live("ends its sockets, and waits for their finalizers, before what they use is released", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const DatabaseLive = Layer.effect(
        Database,
        Effect.gen(function* () {
          let isOpen = true
          yield* Effect.addFinalizer(() =>
            Effect.sync(() => {
              isOpen = false
              log.push("closed")
            })
          )
          return { isOpen: () => isOpen }
        })
      )
      const live = SocketIoServer.layerNamespace(
        Main,
        Effect.fnUntraced(function* () {
          const database = yield* Database
          yield* Effect.addFinalizer(() =>
            Effect.andThen(
              Effect.sleep("30 millis"),
              Effect.sync(() => log.push(`finalizer, open: ${database.isOpen()}`))
            )
          )
          return handlers
        })
      ).pipe(Layer.provide(DatabaseLive))
      const { server, url } = yield* serve(Layer.empty)
      const close = yield* open(server, live)
      yield* connect(`${url}/main`)
      yield* close
      assert.deepStrictEqual(log, ["finalizer, open: true", "closed"])
    })
  )

  it.live("admits nobody whose middleware is at work when it ends", () =>
    Effect.gen(function* () {
      class Slow extends NamespaceMiddleware.Service<Slow>()("test/Slow") {}
      class Guarded extends Namespace.make("/guarded").middleware(Slow) {}
      const asked = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      let built = 0
      const live = SocketIoServer.layerNamespace(Guarded, () => Effect.sync(() => (built++, Guarded.of({})))).pipe(
        Layer.provide(
          Layer.succeed(Slow, () => Effect.andThen(Deferred.succeed(asked, undefined), Deferred.await(gate)))
        )
      )
      const { server, url } = yield* serve(Layer.empty)
      const close = yield* open(server, live)
      const socket = yield* client(`${url}/guarded`)
      const closed = new Promise<string>((resolve) => socket.io.on("close", resolve))
      socket.connect()
      yield* Deferred.await(asked)
      yield* close
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Effect.promise(() => closed), "transport close")
      assert.strictEqual(built, 0)
    })
  )

  it.live("ends the middleware that is at work before what it uses is released", () =>
    Effect.gen(function* () {
      class Slow extends NamespaceMiddleware.Service<Slow>()("test/Slow") {}
      class Guarded extends Namespace.make("/guarded").middleware(Slow) {}
      const log: Array<string> = []
      const asked = yield* Deferred.make<void>()
      const SlowLive = Layer.effect(
        Slow,
        Effect.as(
          Effect.addFinalizer(() => Effect.sync(() => log.push("released"))),
          () =>
            Deferred.succeed(asked, undefined).pipe(
              Effect.andThen(Effect.never),
              Effect.ensuring(Effect.andThen(Effect.sleep("5 millis"), () => Effect.sync(() => log.push("ended"))))
            )
        )
      )
      const live = SocketIoServer.layerNamespace(Guarded, () => Effect.succeed(Guarded.of({}))).pipe(
        Layer.provide(SlowLive)
      )
      const { server, url } = yield* serve(Layer.empty)
      const close = yield* open(server, live)
      const attempted = attempt(yield* client(`${url}/guarded`))
      yield* Deferred.await(asked)
      // Its waiter goes on while the middleware is at work.
      yield* Effect.yieldNow
      yield* close
      assert.deepStrictEqual(log, ["ended", "released"])
      assert.strictEqual(yield* attempted, "lost: transport close")
    })
  )

  it.live("lets clients come back that come while it is replaced, by whatever serves the namespace then", () =>
    Effect.gen(function* () {
      // A namespace that stays keeps the server in use.
      const { server, url } = yield* serve(SocketIoServer.layerNamespace("/", () => Effect.void))
      const close = yield* open(
        server,
        SocketIoServer.layerNamespace(Main, () => Effect.succeed(handlers))
      )
      yield* close
      const socket = yield* client(`${url}/main`, {
        reconnection: true,
        reconnectionDelay: 20,
        reconnectionDelayMax: 50
      })
      const refused = next(socket, "connect_error").pipe(Effect.map(() => assert.fail("refused for good")))
      const back = next(socket, "connect")
      const lost = new Promise<string>((resolve) => socket.io.once("close", resolve))
      socket.connect()
      assert.strictEqual(yield* Effect.promise(() => lost), "transport close")
      // Without a contract this time: nothing of the old one is left.
      yield* open(
        server,
        SocketIoServer.layerNamespace("/main", (socket) =>
          socket.on("work", (n: unknown) => Effect.succeed(["plain", n]))
        )
      )
      yield* Effect.raceFirst(back, refused)
      assert.deepStrictEqual(yield* call(socket, "work", "anything"), ["plain", "anything"])
    })
  )

  it.live("sees its own services, not those that the server was built with", () =>
    Effect.gen(function* () {
      class Who extends Context.Service<Who, string>()("test/Who") {}
      class Asking extends Namespace.make("/asking", {
        clientToServer: [Event.make("who", { ack: Schema.String })]
      }) {}
      const live = SocketIoServer.layerNamespace(Asking, () =>
        Effect.succeed(Asking.of({ who: () => Effect.map(Who, (who) => who) }))
      ).pipe(Layer.provide(Layer.succeed(Who, "inner")))
      const { url } = yield* serve(live).pipe(Effect.provideService(Who, "outer"))
      const socket = yield* connect(`${url}/asking`)
      assert.strictEqual(yield* call(socket, "who"), "inner")
    })
  )
})

describe("the life of a socket", () => {
  it.live("does not take from its handlers what they use before they have ended", () =>
    Effect.gen(function* () {
      const log = yield* Queue.unbounded<string>()
      const begun = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(
          "/",
          Effect.fnUntraced(function* (socket) {
            yield* Effect.acquireRelease(Queue.offer(log, "acquired"), () => Queue.offer(log, "released"))
            yield* socket.on("work", () =>
              Deferred.succeed(begun, undefined).pipe(
                Effect.andThen(Effect.never),
                Effect.ensuring(Effect.andThen(Deferred.await(gate), Queue.offer(log, "handler's end")))
              )
            )
          })
        )
      )
      const socket = yield* connect(url)
      socket.emit("work")
      yield* Deferred.await(begun)
      const other = yield* connect(url)
      socket.disconnect()
      other.disconnect()
      // The other one's scope is closed in the turn in which it leaves: this one's would be, too.
      assert.deepStrictEqual(
        [yield* Queue.take(log), yield* Queue.take(log), yield* Queue.take(log)],
        ["acquired", "acquired", "released"]
      )
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual([yield* Queue.take(log), yield* Queue.take(log)], ["handler's end", "released"])
    })
  )

  // More than the kernel takes for a connection.
  const beyond = "x".repeat(16_000_000)
  for (const by of ["itself", "overflow"]) {
    it.live(`does not take from a handler what it uses when that disconnects its socket, by ${by}`, () =>
      Effect.gen(function* () {
        const log = yield* Queue.unbounded<string>()
        const { url } = yield* serve(
          SocketIoServer.layerNamespace(
            "/",
            Effect.fnUntraced(function* (socket) {
              yield* Effect.addFinalizer(() => Queue.offer(log, "released"))
              yield* socket.on("leave", () =>
                (by === "itself"
                  ? socket.disconnect()
                  : // The first gets through, as nothing else waits.
                    Effect.andThen(socket.emit("data", beyond), socket.emit("data", beyond))
                ).pipe(
                  Effect.andThen(() => Queue.offer(log, `connected: ${socket.connected}`)),
                  Effect.andThen(Effect.never),
                  Effect.ensuring(Effect.andThen(Effect.yieldNow, Queue.offer(log, "handler's end")))
                )
              )
            })
          ),
          { limits: { maxOutbox: 1_000 } }
        )
        const socket = yield* connect(url, { transports: ["websocket"] })
        socket.emit("leave")
        assert.deepStrictEqual(
          [yield* Queue.take(log), yield* Queue.take(log), yield* Queue.take(log)],
          ["connected: false", "handler's end", "released"]
        )
      })
    )
  }

  it.live("ends the events that wait behind a limit: their handlers do not start", () =>
    Effect.gen(function* () {
      const started: Array<number> = []
      const first = yield* Deferred.make<void>()
      const gone = yield* Queue.unbounded<void>()
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(
          Main,
          Effect.fnUntraced(function* () {
            yield* Effect.addFinalizer(() => Queue.offer(gone, undefined))
            return Main.of({
              work: (n) => {
                started.push(n)
                return Effect.andThen(Deferred.succeed(first, undefined), Effect.never)
              }
            })
          })
        )
      )
      const socket = yield* connect(`${url}/main`, { transports: ["websocket"] })
      for (const n of [1, 2, 3]) socket.emit("work", n)
      yield* Deferred.await(first)
      socket.disconnect()
      yield* Queue.take(gone)
      assert.deepStrictEqual(started, [1])
    })
  )

  it.live("is over when more events wait for its handlers than may", () =>
    Effect.gen(function* () {
      const reasons = yield* Queue.unbounded<string>()
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(
          Main,
          Effect.fnUntraced(function* (socket) {
            yield* Effect.addFinalizer(() =>
              Effect.flatMap(socket.disconnected, (reason) => Queue.offer(reasons, reason))
            )
            return Main.of({ work: () => Effect.never })
          })
        ),
        { limits: { maxPendingEvents: 10 } }
      )
      const socket = yield* connect(`${url}/main`, { transports: ["websocket"] })
      for (let n = 0; n < 11; n++) socket.emit("work", n)
      assert.strictEqual(yield* Queue.take(reasons), "inbound overflow")
    })
  )

  it.live("is over when its builder throws, instead of failing", () =>
    Effect.gen(function* () {
      const { logs, url } = yield* serve(
        SocketIoServer.layerNamespace("/thrown", () => {
          throw new Error("thrown by the builder")
        })
      )
      const gone = yield* Deferred.make<string>()
      yield* connect(`${url}/thrown`, {}, (socket) =>
        socket.on("disconnect", (reason) => Deferred.doneUnsafe(gone, Effect.succeed(reason)))
      )
      assert.strictEqual(yield* Deferred.await(gone), "io server disconnect")
      assert.isTrue(logs.some((line) => /^Error .*thrown by the builder/.test(line)))
    })
  )

  it.live("does not hide what its handler does after it has disconnected itself", () =>
    Effect.gen(function* () {
      const { logs, url } = yield* serve(
        SocketIoServer.layerNamespace(Main, (socket) =>
          Effect.succeed(
            Main.of({
              work: () =>
                socket
                  .disconnect()
                  .pipe(
                    Effect.andThen(Effect.sleep("10 millis")),
                    Effect.andThen(Effect.die(new Error("after the end"))),
                    Effect.uninterruptible
                  )
            })
          )
        )
      )
      const socket = yield* connect(`${url}/main`)
      const gone = next(socket, "disconnect")
      socket.emit("work", 1)
      yield* gone
      yield* Effect.sleep("10 millis").pipe(
        Effect.repeat({ until: () => logs.some((line) => /^Error .*after the end/.test(line)) }),
        Effect.timeout("10 seconds")
      )
    })
  )

  it.live("in one namespace is not ended by events behind a CONNECT to another that is refused", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(SocketIoServer.layerNamespace(Main, () => Effect.succeed(handlers)))
      const socket = new RawSocket(url, { EIO: "4", transport: "websocket" })
      yield* Effect.promise(async () => {
        await socket.next()
        socket.send("40/main,")
        await socket.next()
        socket.send("40/nowhere,", '42/nowhere,["early"]', '42/main,0["work",7]')
        assert.strictEqual(await socket.next(), '44/nowhere,{"message":"Invalid namespace"}')
        assert.strictEqual(await socket.next(), "43/main,0[7]")
        socket.close()
      })
    })
  )
})

describe("a builder that refuses its client", () => {
  const refused = new NamespaceMiddleware.ConnectRefused({ message: "no such user" })

  it.live("disconnects the socket, which was told that it is connected, and closes its scope", () =>
    Effect.gen(function* () {
      const closed = yield* Deferred.make<void>()
      const live = SocketIoServer.layerNamespace(
        Main,
        Effect.fnUntraced(function* (socket) {
          yield* Effect.addFinalizer(() => Deferred.succeed(closed, undefined))
          if (socket.handshake.query.get("user") !== "ada") return yield* refused
          return handlers
        })
      )
      const { logs, url } = yield* serve(live)
      const ends: Array<Effect.Effect<ReadonlyArray<any>>> = []
      yield* connect(`${url}/main`, {}, (socket) => ends.push(next(socket, "disconnect")))
      assert.strictEqual((yield* ends[0]!)[0], "io server disconnect")
      yield* Deferred.await(closed)
      // It is a decision of the application, and no fault.
      assert.deepStrictEqual(
        logs.filter((line) => !line.startsWith("Debug")),
        []
      )
      const ada = yield* connect(`${url}/main`, { query: { user: "ada" } })
      assert.strictEqual(yield* call(ada, "work", 1), 1)
    })
  )

  it.effect("says so in the log of its subsystem", () =>
    Effect.gen(function* () {
      const { logs, url } = yield* serve(SocketIoServer.layerNamespace("/main", () => refused)).pipe(
        Effect.provideService(References.MinimumLogLevel, "Debug")
      )
      yield* connect(`${url}/main`, {}, (socket) => socket.on("disconnect", () => {}))
      assert.include(logs.join("\n"), "socket refused by its builder")
    })
  )

  it.live("is another matter where a dynamic namespace opens: the client is not admitted yet", () =>
    Effect.gen(function* () {
      let exists = false
      const live = SocketIoServer.layerDynamicNamespace(/^\/document-/, () =>
        exists
          ? Effect.succeed((socket) => socket.on("read", () => Effect.succeed("text")))
          : Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "no such document", data: { code: 404 } }))
      )
      const { logs, url } = yield* serve(live)
      const error = yield* refusal(`${url}/document-7`)
      assert.strictEqual(error.message, "no such document")
      assert.deepStrictEqual(error.data, { code: 404 })
      assert.deepStrictEqual(
        logs.filter((line) => !line.startsWith("Debug")),
        []
      )
      exists = true
      assert.strictEqual(yield* call(yield* connect(`${url}/document-7`), "read"), "text")
    })
  )
})
