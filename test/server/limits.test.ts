/**
 * The bounds of everything that a client can make the server hold.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option, Queue, Schema, type Scope, Stream } from "effect"

import type { Factory } from "../../src/adapter/Adapter.ts"
import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import * as InMemoryAdapter from "../../src/adapter/InMemoryAdapter.ts"
import * as Binary from "../../src/Binary.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import { EventRefused, type ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { memoryInUse } from "../support/memory.ts"
import { eventually } from "../support/official.ts"
import { RawSocket } from "../support/RawClient.ts"
import { connect, refusal, serve } from "../support/serve.ts"

/** A WebSocket that has joined a namespace. */
const enter = Effect.fnUntraced(function* (url: string, namespace = "/") {
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => new RawSocket(url, { EIO: "4", transport: "websocket" })),
    (socket) => Effect.sync(() => socket.terminate())
  )
  yield* Effect.promise(() => socket.opened.then(() => socket.next()))
  socket.send(`40${namespace},`)
  yield* Effect.promise(() => socket.next())
  return socket
})

const main = SocketIoServer.layerNamespace("/", (socket) => socket.on("sync", () => Effect.succeed("synced")))

describe("names of namespaces that are not there", () => {
  const padding = "x".repeat(900_000)
  const packets: Record<string, (i: number) => string> = {
    "however long they are": (i) => `40/${i}${padding},`,
    "however large their packets are": (i) => `40/not-there-and-no-short-name-${i},{"padding":"${padding}"}`
  }
  for (const [how, packet] of Object.entries(packets)) {
    it.live(`cost a connection that asks for many of them no memory, ${how}`, () =>
      Effect.gen(function* () {
        const { url } = yield* serve(main)
        const socket = yield* enter(url)
        const before = memoryInUse()
        for (let i = 0; i < 60; i++) {
          socket.send(packet(i))
          assert.include(String(yield* Effect.promise(() => socket.next())), "Invalid namespace")
        }
        assert.isBelow(memoryInUse() - before, 20_000_000)
      })
    )
  }

  it.live("are waited for while the server starts, but for those that are too long to be any", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(main, { namespaceGrace: "1 hour" })
      const socket = yield* enter(url)
      socket.send("40/awaited,", `40/${"x".repeat(300)},`, '420["sync"]')
      const answers = [yield* Effect.promise(() => socket.next()), yield* Effect.promise(() => socket.next())]
      assert.include(String(answers[0]), "Invalid namespace")
      assert.strictEqual(answers[1], '430["synced"]')
    })
  )
})

describe("the bytes of events that are not done", () => {
  const kilobyte = "x".repeat(1_000)
  /** A pause that does not help is over at once. */
  const options = { limits: { maxPendingBytes: 20_000 }, reading: { pauseTimeout: "1 millis" } } as const

  class Work extends Namespace.make("/", {
    clientToServer: [
      Event.make("work", { payload: Schema.String }),
      Event.make("in-turn", { payload: Schema.String, concurrency: 1 }),
      Event.make("bytes", { payload: Binary.Bytes }),
      Event.make("sync", { ack: Schema.String })
    ]
  }) {}

  type WorkSocket = ServerSocket<typeof Work>

  const work = (
    handle: Effect.Effect<unknown>,
    prepare: (socket: WorkSocket) => Effect.Effect<unknown, never, Scope.Scope> = () => Effect.void
  ) =>
    SocketIoServer.layerNamespace(Work, (socket) =>
      Effect.as(
        prepare(socket),
        Work.of({
          work: () => handle,
          "in-turn": () => handle,
          bytes: () => handle,
          sync: () => Effect.succeed("synced")
        })
      )
    )

  /** Where twenty events of a kilobyte wait, of which what they cost may not. */
  const ends = {
    "for their builder": [work(Effect.void, () => Effect.never), "work"],
    "in their handlers": [work(Effect.never), "work"],
    "for handlers before them": [work(Effect.never), "in-turn"],
    "in middleware": [work(Effect.void, (socket) => socket.use(() => Effect.never)), "work"],
    "in a stream that nobody reads": [work(Effect.void, (socket) => socket.subscribe("work")), "work"]
  } as const

  for (const [where, [layer, event]] of Object.entries(ends)) {
    it.live(`end the connection when they are more than may wait ${where}`, () =>
      Effect.gen(function* () {
        const { server, url } = yield* serve(layer, options)
        const namespace = yield* Effect.provideContext(SocketIoServer.namespace("/"), server)
        const gone = yield* Effect.forkChild(Stream.runHead(namespace.disconnections()), { startImmediately: true })
        const socket = yield* enter(url)
        for (let i = 0; i < 20; i++) socket.send(`42["${event}","${kilobyte}"]`)
        const ended = Option.getOrThrow(yield* Fiber.join(gone))
        assert.strictEqual(ended.reason, "inbound overflow")
      })
    )
  }

  it.live("count attachments, and count no more when they are done, refused or read", () =>
    Effect.gen(function* () {
      const read = yield* Queue.unbounded<string>()
      const layer = work(Effect.yieldNow, (socket) =>
        Effect.andThen(
          socket.use(({ args }) =>
            Effect.andThen(
              Effect.yieldNow,
              args[0] === "refused" ? Effect.fail(new EventRefused({ message: "no" })) : Effect.void
            )
          ),
          Effect.forkScoped(Stream.runForEach(socket.stream("work"), (text) => Queue.offer(read, text)))
        )
      )
      const { url } = yield* serve(layer, options)
      const socket = yield* enter(url)
      for (let round = 0; round < 8; round++) {
        socket.send(`42["work","${kilobyte}"]`, `42["in-turn","${kilobyte}"]`, `42["in-turn","refused","${kilobyte}"]`)
        socket.send('451-["bytes",{"_placeholder":true,"num":0}]', new Uint8Array(1_000), '420["sync"]')
        assert.strictEqual(yield* Effect.promise(() => socket.next()), '430["synced"]')
        yield* Queue.take(read)
      }
    })
  )
})

describe("coming and going", () => {
  const most = 1_000

  /** Comes and goes more often than a connection may; how often it was let in. */
  const churn = Effect.fnUntraced(function* (url: string) {
    const socket = yield* enter(url)
    for (let i = 0; i < most + 50; i++) socket.send("40/busy,", "41/busy,")
    socket.send('420["sync"]')
    let admitted = 0
    for (;;) {
      const packet = String(yield* Effect.promise(() => socket.next()))
      if (packet === '430["synced"]') return { admitted, socket }
      if (packet.startsWith("40")) admitted++
      else assert.strictEqual(packet, '44/busy,{"message":"Too many namespaces"}')
    }
  })

  it.live("is refused while a thousand of a connection's sockets have finalizers at work, and no longer", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const busy = SocketIoServer.layerNamespace("/busy", () => Effect.addFinalizer(() => Deferred.await(gate)))
      const { url } = yield* serve(Layer.merge(main, busy))
      const { admitted, socket } = yield* churn(url)
      assert.strictEqual(admitted, most)
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.yieldNow
      socket.send("40/busy,")
      assert.match(String(yield* Effect.promise(() => socket.next())), /^40\/busy,\{"sid"/)
    })
  )

  it.live("is refused while a thousand are still being asked who they are, and cannot be interrupted", () =>
    Effect.gen(function* () {
      class Slow extends NamespaceMiddleware.Service<Slow>()("test/Slow") {}
      class Busy extends Namespace.make("/busy").middleware(Slow) {}
      const gate = yield* Deferred.make<void>()
      let asked = 0
      const busy = SocketIoServer.layerNamespace(Busy, () => Effect.succeed(Busy.of({}))).pipe(
        Layer.provide(
          Layer.succeed(Slow, () =>
            Effect.uninterruptible(
              Effect.suspend(() => {
                asked++
                return Deferred.await(gate)
              })
            )
          )
        )
      )
      const { url } = yield* serve(Layer.merge(main, busy))
      const { admitted } = yield* churn(url)
      assert.deepStrictEqual([asked, admitted], [most, 0])
      yield* Deferred.succeed(gate, undefined)
    })
  )
})

describe("an adapter", () => {
  it.live("is not made for names that clients ask for in vain", () =>
    Effect.gen(function* () {
      class Doorman extends NamespaceMiddleware.Service<Doorman>()("test/Doorman") {}
      class Guarded extends Namespace.dynamic("/guarded/:id").middleware(Doorman) {}
      const made: Array<string> = []
      const factory: Factory = (host) => {
        made.push(host.namespace)
        return InMemoryAdapter.make(host)
      }
      const doorman = Layer.succeed(Doorman, ({ handshake }) =>
        handshake.auth.welcome === true
          ? Effect.void
          : Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "no" }))
      )
      const guarded = SocketIoServer.layerDynamicNamespace(Guarded, () =>
        Effect.succeed(() => Effect.succeed(Guarded.of({})))
      ).pipe(Layer.provide(doorman))
      const nothing = SocketIoServer.layerDynamicNamespace(/^/, () => Effect.succeed(() => Effect.void), {
        match: () => Effect.succeed(false)
      })
      const { url } = yield* Effect.provide(
        serve(Layer.mergeAll(main, guarded, nothing)),
        Layer.succeed(AdapterFactory, factory)
      )
      assert.strictEqual((yield* refusal(`${url}/nothing`)).message, "Invalid namespace")
      assert.strictEqual((yield* refusal(`${url}/guarded/1`)).message, "no")
      yield* connect(`${url}/guarded/2`, { auth: { welcome: true } })
      assert.deepStrictEqual(made, ["/", "/guarded/2"])
    })
  )
})

describe("an attachment that waits", () => {
  it.live("does not keep what was read together with it", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const layer = SocketIoServer.layerNamespace("/", (socket) =>
        Effect.andThen(
          socket.on("hold", (bytes) => Effect.map(Deferred.await(gate), () => (bytes as Uint8Array).length)),
          socket.on("sync", () => Effect.succeed("synced"))
        )
      )
      const { url } = yield* serve(layer)
      const socket = yield* enter(url)
      const before = memoryInUse()
      const frame = (opcode: number, payload: Uint8Array) => {
        const header =
          payload.length < 126 ? [0x80 | payload.length] : [0xfe, payload.length >> 8, payload.length & 255]
        return Buffer.concat([Buffer.from([0x80 | opcode, ...header, 0, 0, 0, 0]), payload])
      }
      const padding = Array.from({ length: 15 }, () => frame(1, Buffer.from(`431["${"x".repeat(4_000)}"]`)))
      for (let i = 0; i < 300; i++) {
        const event = frame(1, Buffer.from('451-["hold",{"_placeholder":true,"num":0}]'))
        socket.sendRaw(Buffer.concat([...padding, event, frame(2, Buffer.from([i & 255]))]))
        if (i % 20 === 0) {
          socket.send('420["sync"]')
          assert.strictEqual(String(yield* Effect.promise(() => socket.next())), '430["synced"]')
        }
      }
      socket.send('420["sync"]')
      yield* Effect.promise(() => socket.next())
      assert.isBelow(memoryInUse() - before, 5_000_000)
      yield* Deferred.succeed(gate, undefined)
    })
  )
})

describe("attachments of what is sent", () => {
  const bytes = (count: number) => Array.from({ length: count }, (_, i) => Uint8Array.from([i]))

  class Files extends Namespace.make("/files", {
    clientToServer: [
      Event.make("get", {
        payload: Schema.Int,
        ack: Schema.Array(Binary.Bytes),
        error: Schema.String
      })
    ],
    serverToClient: [Event.make("files", { payload: Schema.Array(Binary.Bytes) })]
  }) {}

  it.live("are no more than clients take: the emit dies, and nobody loses the connection", () =>
    Effect.gen(function* () {
      const { logs, server, url } = yield* serve(
        Layer.merge(
          SocketIoServer.layerNamespace(Files, () =>
            Effect.succeed(Files.of({ get: (count) => Effect.succeed(bytes(count)) }))
          ),
          main
        )
      )
      const client = yield* connect(`${url}/files`)
      const got: Array<number> = []
      client.on("files", (files: ReadonlyArray<unknown>) => got.push(files.length))
      const files = yield* Effect.provideContext(SocketIoServer.namespace(Files), server)
      const plain = yield* Effect.provideContext(SocketIoServer.namespace("/files"), server)
      const [socket] = yield* files.sockets
      const exits = yield* Effect.forEach(
        [files.emit("files", bytes(11)), plain.emit("files", bytes(11)), socket!.emit("files", bytes(11))],
        Effect.exit
      )
      for (const exit of exits) assert.include(String(exit), "11 attachments, of which clients take 10")
      const ask = (count: number) => Effect.promise(() => client.timeout(5_000).emitWithAck("get", count))
      assert.deepStrictEqual(yield* ask(11), { _tag: "Failure", error: { _tag: "InternalError" } })
      assert.lengthOf(
        logs.filter((line) => line.includes("event handler failed")),
        1
      )
      yield* files.emit("files", bytes(10))
      assert.lengthOf((yield* ask(10)).value, 10)
      assert.deepStrictEqual([got, client.connected], [[10], true])
    })
  )

  it.live("are all that a packet refers to: a value that looks like one of them is not sent beside bytes", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(main)
      const client = yield* connect(url)
      const got: Array<unknown> = []
      client.on("history", (...args: ReadonlyArray<unknown>) => got.push(args))
      const all = yield* Effect.provideContext(SocketIoServer.namespace("/"), server)
      const [socket] = yield* all.sockets
      // As a client may have sent them, in an event without attachments.
      const literals = [
        { _placeholder: true, num: 99 },
        { _placeholder: true, num: 0 },
        { text: "x", deep: [{ num: 1, _placeholder: true }] }
      ]
      for (const literal of literals) {
        for (const emit of [
          all.emit("history", literal, Uint8Array.of(1)),
          socket!.emit("history", [Uint8Array.of(1), literal]),
          socket!.emitWithAck("history", literal, Uint8Array.of(1))
        ]) {
          assert.include(String(yield* Effect.exit(emit)), "looks like the place of an attachment")
        }
        yield* all.emit("history", literal)
      }
      const harmless = [
        '{"_placeholder":true}',
        { '"_placeholder': true, _placeholder: 1, placeholder: true },
        { _placeholder: "true" }
      ]
      yield* all.emit("history", harmless, Uint8Array.of(1))
      yield* eventually(() => got.length === 4)
      assert.deepStrictEqual(
        got.slice(0, 3),
        literals.map((literal) => [literal])
      )
      assert.deepStrictEqual((got[3] as ReadonlyArray<unknown>)[0], harmless)
      assert.isTrue(client.connected)
    })
  )
})
