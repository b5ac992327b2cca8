/**
 * Layers of dynamic namespaces that close while clients are on their way in, and namespaces that nobody is in.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Layer, Queue } from "effect"

import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { attempt, client, connect, open, refusal, serve } from "../support/serve.ts"

class Doorman extends NamespaceMiddleware.Service<Doorman>()("test/Doorman") {}

class Room extends Namespace.dynamic("/room/:id").middleware(Doorman) {}

/** Rooms behind a doorman; the names of those that open. */
const rooms = (opened: Array<string>, doorman: Effect.Effect<void, NamespaceMiddleware.ConnectRefused>) =>
  SocketIoServer.layerDynamicNamespace(Room, ({ name }) => {
    opened.push(name)
    return Effect.succeed(() => Effect.succeed(Room.of({})))
  }).pipe(Layer.provide(Layer.succeed(Doorman, () => doorman)))

describe("a layer of dynamic namespaces that closes", () => {
  it.live("admits nobody whose middleware is at work, and opens nothing any more", () =>
    Effect.gen(function* () {
      const opened: Array<string> = []
      const asked = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const { server, url } = yield* serve(Layer.empty)
      const doorman = Effect.andThen(Deferred.succeed(asked, undefined), Deferred.await(gate))
      const close = yield* open(server, rooms(opened, doorman))
      const attempted = attempt(yield* client(`${url}/room/1`))
      yield* Deferred.await(asked)
      yield* close
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* attempted, "lost: transport close")
      assert.deepStrictEqual(opened, [])
    })
  )

  it.live("leaves nothing behind that admits clients, where the application knows the name", () =>
    Effect.gen(function* () {
      const opened: Array<string> = []
      const { server, url } = yield* serve(Layer.empty)
      yield* Effect.provideContext(SocketIoServer.namespace("/room/1"), server)
      let isOpen = false
      const doorman = Effect.suspend(() =>
        isOpen ? Effect.void : Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "not yet" }))
      )
      const close = yield* open(server, rooms(opened, doorman))
      assert.strictEqual((yield* refusal(`${url}/room/1`)).message, "not yet")
      yield* close
      isOpen = true
      // A namespace that stays keeps the server in use.
      yield* open(
        server,
        SocketIoServer.layerNamespace("/", () => Effect.void)
      )
      assert.strictEqual(yield* attempt(yield* client(`${url}/room/1`)), "lost: transport close")
      assert.deepStrictEqual(opened, [])
    })
  )

  for (const when of ["later", "at once"]) {
    it.live(`lets those come back whose namespace is opening, if it closes ${when}`, () =>
      Effect.gen(function* () {
        const opening = yield* Deferred.make<void>()
        const interrupted = yield* Deferred.make<void>()
        const { logs, server, url } = yield* serve(Layer.empty)
        const close = yield* open(
          server,
          SocketIoServer.layerDynamicNamespace(/^\/room/, () =>
            Deferred.succeed(opening, undefined).pipe(
              Effect.andThen(Effect.never),
              Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
            )
          )
        )
        const attempted = attempt(yield* client(`${url}/room/1`))
        // Its waiter goes on while the namespace is still being opened.
        yield* Deferred.await(opening)
        if (when === "later") yield* Effect.sleep("1 millis")
        yield* close
        yield* Deferred.await(interrupted)
        assert.strictEqual(yield* attempted, "lost: transport close")
        assert.deepStrictEqual(logs, [])
      })
    )
  }

  it.live("opens nothing for who waits for the finalizers of what closes", () =>
    Effect.gen(function* () {
      const told = yield* Queue.unbounded<string>()
      const gate = yield* Deferred.make<void>()
      const { server, url } = yield* serve(Layer.empty)
      const close = yield* open(
        server,
        SocketIoServer.layerDynamicNamespace(
          Room,
          () =>
            Effect.as(
              Effect.acquireRelease(Queue.offer(told, "open"), () =>
                Effect.andThen(Queue.offer(told, "closing"), Deferred.await(gate))
              ),
              () => Effect.succeed(Room.of({}))
            ),
          { idleTimeToLive: 0 }
        ).pipe(Layer.provide(Layer.succeed(Doorman, () => Queue.offer(told, "asked"))))
      )
      const first = yield* connect(`${url}/room/1`)
      first.disconnect()
      for (const what of ["asked", "open", "closing"]) assert.strictEqual(yield* Queue.take(told), what)
      const attempted = attempt(yield* client(`${url}/room/1`))
      assert.strictEqual(yield* Queue.take(told), "asked")
      const closed = yield* Effect.forkChild(close, { startImmediately: true })
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* attempted, "lost: transport close")
      yield* Fiber.join(closed)
      assert.deepStrictEqual(yield* Queue.clear(told), [])
    })
  )
})

describe("dynamic namespaces that nobody is in", () => {
  /** Namespaces that say when they open and close; a client that visits one after the other. */
  const visiting = Effect.fnUntraced(function* (options: SocketIoServer.DynamicOptions) {
    const told = yield* Queue.unbounded<string>()
    const { url } = yield* serve(
      SocketIoServer.layerDynamicNamespace(
        /^\/room/,
        ({ name }) =>
          Effect.as(
            Effect.acquireRelease(Queue.offer(told, `open ${name}`), () => Queue.offer(told, `close ${name}`)),
            () => Effect.void
          ),
        options
      )
    )
    const visit = Effect.fnUntraced(function* (name: string) {
      const socket = yield* connect(`${url}/${name}`)
      socket.disconnect()
    })
    return { url, visit, told: (count: number) => Effect.all(Array.from({ length: count }, () => Queue.take(told))) }
  })

  it.live("close early when there are more than may wait, the one that has been empty the longest first", () =>
    Effect.gen(function* () {
      const { told, url, visit } = yield* visiting({ idleTimeToLive: Duration.hours(1), maxIdle: 2 })
      const resident = yield* connect(`${url}/room-0`)
      for (const name of ["room-1", "room-2", "room-1", "room-3"]) yield* visit(name)
      assert.deepStrictEqual(yield* told(5), [
        "open /room-0",
        "open /room-1",
        "open /room-2",
        "open /room-3",
        "close /room-2"
      ])
      assert.isTrue(resident.connected)
      resident.disconnect()
      assert.deepStrictEqual(yield* told(1), ["close /room-1"])
    })
  )

  it.live("all stay where they are to be kept", () =>
    Effect.gen(function* () {
      const { told, visit } = yield* visiting({ idleTimeToLive: Duration.infinity, maxIdle: 0 })
      for (const name of ["room-1", "room-2", "room-1"]) yield* visit(name)
      assert.deepStrictEqual(yield* told(2), ["open /room-1", "open /room-2"])
      yield* visit("room-3")
      assert.deepStrictEqual(yield* told(1), ["open /room-3"])
    })
  )
})
