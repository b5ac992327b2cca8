/**
 * Clients on their way into a namespace: what they wait for, and for how long.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import { SocketIoServer as Server } from "../../src/server/SocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { memoryInUse } from "../support/memory.ts"
import { RawSocket } from "../support/RawClient.ts"
import { client, grace, next, open, serve } from "../support/serve.ts"

describe("names that may be waited for", () => {
  /** Clients that ask for so many names each, which nobody serves. */
  const take = Effect.fnUntraced(function* (url: string, connections: number, names: number) {
    for (let c = 0; c < connections; c++) {
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => new RawSocket(url, { EIO: "4", transport: "websocket" })),
        (socket) => Effect.sync(() => socket.terminate())
      )
      yield* Effect.promise(() => socket.opened.then(() => socket.next()))
      for (let n = 0; n < names; n++) socket.send(`40/taken-${c}-${n},`)
      // The answer to what is refused at once: the others have been asked for by then.
      socket.send(`40/${"x".repeat(300)},`)
      yield* Effect.promise(() => socket.next())
    }
  })

  it.live("let those that come when all are taken come back, rather than refuse them for good", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(Layer.empty, { namespaceGrace: "1 hour", limits: { maxNamespaces: 101 } })
      yield* take(url, 10, 100)
      const socket = yield* client(`${url}/late`, {
        reconnection: true,
        reconnectionDelay: 20,
        reconnectionDelayMax: 50
      })
      const refused = next(socket, "connect_error").pipe(Effect.map(() => assert.fail("refused for good")))
      const back = next(socket, "connect")
      const lost = new Promise<string>((resolve) => socket.io.once("close", resolve))
      socket.connect()
      assert.strictEqual(yield* Effect.promise(() => lost), "transport close")
      yield* open(
        server,
        SocketIoServer.layerNamespace("/late", () => Effect.void)
      )
      yield* Effect.raceFirst(back, refused)
    })
  )

  it.effect("are free again when those who waited have left", () =>
    Effect.gen(function* () {
      const server = yield* Effect.context<Server>()
      const greedy = yield* TestSocketIo.rawClient()
      for (let n = 0; n < 1_000; n++) yield* greedy.send(`40/taken-${n},`)
      const late = yield* TestSocketIo.rawClient()
      yield* late.send("40/awaited,")
      assert.strictEqual(yield* late.closed, "closed")
      yield* greedy.close
      assert.strictEqual(yield* greedy.closed, "closed")
      const again = yield* TestSocketIo.rawClient()
      yield* again.send("40/awaited,")
      yield* Effect.yieldNow
      yield* open(
        server,
        SocketIoServer.layerNamespace("/awaited", () => Effect.void)
      )
      yield* again.receive
      assert.match(String(yield* again.receive), /^40\/awaited,/)
    }).pipe(Effect.provide(TestSocketIo.layer({ limits: { maxNamespaces: 1_000 } }).pipe(grace("1 hour"))))
  )

  it.effect("are not taken by namespaces that are served, however many these are", () =>
    Effect.gen(function* () {
      const server = yield* Effect.context<Server>()
      for (let n = 0; n < 1_000; n++) {
        yield* open(
          server,
          SocketIoServer.layerNamespace(`/served-${n}`, () => Effect.void)
        )
      }
      const raw = yield* TestSocketIo.rawClient()
      yield* raw.send("40/awaited,")
      yield* Effect.yieldNow
      yield* open(
        server,
        SocketIoServer.layerNamespace("/awaited", () => Effect.void)
      )
      yield* raw.receive
      assert.match(String(yield* raw.receive), /^40\/awaited,/)
    }).pipe(Effect.provide(TestSocketIo.layer().pipe(grace("1 hour"))))
  )
})

describe("names that clients ask for", () => {
  /** Sends packets in portions, each behind the answers to the one before. */
  const ask = Effect.fnUntraced(function* (from: number, to: number, packets: (i: number) => ReadonlyArray<string>) {
    const raw = yield* TestSocketIo.rawClient()
    yield* raw.send("40")
    for (let i = from; i < to; i += 100) {
      for (let n = i; n < i + 100; n++) for (const packet of packets(n)) yield* raw.send(packet)
      yield* raw.send('420["sync"]')
      for (;;) if (String(yield* raw.receive) === '430["synced"]') break
    }
    return raw
  })

  const main = SocketIoServer.layerNamespace("/", (socket) => socket.on("sync", () => Effect.succeed("synced")))

  it.effect("in vain are not kept, however many and long they are", () =>
    Effect.gen(function* () {
      const name = (i: number) => `/${i}${"x".repeat(240)}`
      yield* ask(0, 1_000, (i) => [`40${name(i)},`])
      const before = memoryInUse()
      for (let c = 0; c < 40; c++) {
        const raw = yield* ask(0, 1_000, (i) => [`40${name(i)},`])
        // Packets that were on their way before the refusal are no offence.
        yield* raw.send(`42${name(0)},["e"]`)
        yield* raw.send('420["sync"]')
        assert.strictEqual(yield* raw.receive, '430["synced"]')
      }
      // The names are ten megabytes.
      assert.isBelow(memoryInUse() - before, 5_000_000)
    }).pipe(Effect.provide(Layer.provideMerge(main, TestSocketIo.layer({ drainTimeout: 0 }))))
  )

  it.effect("of dynamic namespaces, one after the other, leave but those that may be empty for a while", () => {
    class Visited extends Namespace.dynamic("/visited/:id") {}
    const visited = SocketIoServer.layerDynamicNamespace(
      Visited,
      () => Effect.succeed(() => Effect.succeed(Visited.of({}))),
      { maxIdle: 100 }
    )
    return Effect.gen(function* () {
      const visit = (i: number) => [`40/visited/${i},`, `41/visited/${i},`]
      yield* ask(0, 8_000, visit)
      const before = memoryInUse()
      yield* ask(8_000, 18_000, visit)
      // A namespace is more than a kilobyte.
      assert.isBelow(memoryInUse() - before, 3_000_000)
    }).pipe(
      Effect.provide(
        Layer.merge(main, visited).pipe(
          Layer.provideMerge(TestSocketIo.layer({ drainTimeout: 0, limits: { openingRate: { limit: 1e6 } } }))
        )
      )
    )
  })
})

describe("a client that is not admitted in time", () => {
  class Doorman extends NamespaceMiddleware.Service<Doorman>()("test/Doorman") {}
  class Guarded extends Namespace.make("/guarded").middleware(Doorman) {}
  class Room extends Namespace.dynamic("/room/:id") {}

  /** Namespaces that never let anybody in, each for a reason of its own; how often that was interrupted. */
  const never = () => {
    const seen = { asked: 0, interrupted: 0, built: 0 }
    const asking = Effect.suspend(() => {
      seen.asked++
      return Effect.onInterrupt(Effect.never, () => Effect.sync(() => void seen.interrupted++))
    })
    const main = SocketIoServer.layerNamespace("/", (socket) => socket.on("sync", () => Effect.succeed("synced")))
    const guarded = SocketIoServer.layerNamespace(Guarded, () =>
      Effect.sync(() => {
        seen.built++
        return Guarded.of({})
      })
    ).pipe(Layer.provide(Layer.succeed(Doorman, () => asking)))
    const build = () => Effect.succeed(Room.of({}))
    const matched = SocketIoServer.layerDynamicNamespace(Room, () => Effect.succeed(build), { match: () => asking })
    const opened = (options: SocketIoServer.DynamicOptions = {}) =>
      SocketIoServer.layerDynamicNamespace(Room, () => Effect.andThen(asking, Effect.succeed(build)), options)
    return { seen, main, guarded, matched, opened }
  }

  type All = ReturnType<typeof never>
  const reasons: ReadonlyArray<[reason: string, name: string, make: (all: All) => All["main"]]> = [
    ["its middleware does not end", "/guarded", ({ guarded }) => guarded],
    ["the match of a dynamic namespace does not end", "/room/1", ({ matched }) => matched],
    ["a dynamic namespace does not open", "/room/1", ({ opened }) => opened({ idleTimeToLive: 0 })],
    [
      "a dynamic namespace does not open that would stay for ever",
      "/room/1",
      ({ opened }) => opened({ idleTimeToLive: Duration.infinity })
    ]
  ]

  for (const [reason, name, make] of reasons) {
    it.effect(`is refused, and stays where it is, as ${reason}`, () => {
      const all = never()
      return Effect.gen(function* () {
        const raw = yield* TestSocketIo.rawClient()
        yield* raw.send("40")
        yield* raw.send(`40${name},`)
        yield* raw.receive
        yield* raw.receive
        yield* TestClock.adjust("59 seconds")
        assert.deepStrictEqual(
          (yield* raw.received).filter((packet) => packet !== "2"),
          []
        )
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(
          (yield* raw.received).filter((packet) => packet !== "2"),
          [`44${name},{"message":"Connect timeout"}`]
        )
        yield* raw.send('420["sync"]')
        assert.strictEqual(yield* raw.receive, '430["synced"]')
        // Its namespace is no longer waited for: one that opens does so until its own time is over.
        yield* TestClock.adjust("61 seconds")
        assert.deepStrictEqual(all.seen, { asked: 1, interrupted: 1, built: 0 })
      }).pipe(
        Effect.provide(
          Layer.merge(all.main, make(all)).pipe(
            Layer.provideMerge(
              TestSocketIo.layer({ limits: { connectTimeout: "1 minute" }, heartbeat: { pingTimeout: "1 hour" } })
            )
          )
        )
      )
    })
  }

  it.effect("loses its connection where it is in no namespace", () => {
    const all = never()
    return Effect.gen(function* () {
      const raw = yield* TestSocketIo.rawClient()
      yield* raw.send("40/guarded,")
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual(yield* raw.closed, "closed")
      const refusals = (yield* raw.received).filter((packet) => String(packet).startsWith("44"))
      assert.deepStrictEqual(refusals, [])
    }).pipe(
      Effect.provide(
        Layer.merge(all.main, all.guarded).pipe(
          Layer.provideMerge(
            TestSocketIo.layer({ limits: { connectTimeout: "1 minute" }, heartbeat: { pingTimeout: "1 hour" } })
          )
        )
      )
    )
  })

  it.effect("may ask again", () => {
    let asked = 0
    const slow = Layer.succeed(Doorman, () => (asked++ === 0 ? Effect.never : Effect.void))
    const guarded = SocketIoServer.layerNamespace(Guarded, () => Effect.succeed(Guarded.of({}))).pipe(
      Layer.provide(slow)
    )
    return Effect.gen(function* () {
      yield* SocketIoClient.connect("/")
      const error = yield* Effect.forkChild(Effect.flip(SocketIoClient.connect(Guarded)), { startImmediately: true })
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual((yield* Fiber.join(error)).message, "Connect timeout")
      yield* SocketIoClient.connect(Guarded)
    }).pipe(
      Effect.provide(
        Layer.merge(never().main, guarded).pipe(
          Layer.provideMerge(TestSocketIo.layer({ limits: { connectTimeout: "1 minute" } }))
        )
      )
    )
  })

  it.effect("is not one that was admitted, whose builder takes its time, or that has left before", () => {
    const all = never()
    const slow = SocketIoServer.layerNamespace(Guarded, () => Effect.never).pipe(
      Layer.provide(Layer.succeed(Doorman, () => Effect.sleep("30 seconds")))
    )
    return Effect.gen(function* () {
      const raw = yield* TestSocketIo.rawClient()
      yield* raw.send("40")
      yield* raw.send("40/guarded,")
      yield* TestClock.adjust("31 seconds")
      yield* raw.received
      yield* TestClock.adjust("10 minutes")
      yield* raw.send("41/guarded,")
      yield* raw.send("40/guarded,")
      yield* Effect.yieldNow
      yield* raw.send("41/guarded,")
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(
        (yield* raw.received).filter((packet) => packet !== "2"),
        []
      )
    }).pipe(
      Effect.provide(
        Layer.merge(all.main, slow).pipe(
          Layer.provideMerge(
            TestSocketIo.layer({ limits: { connectTimeout: "1 minute" }, heartbeat: { pingTimeout: "1 hour" } })
          )
        )
      )
    )
  })
})
