/**
 * Short texts out of long messages: a server that keeps one must not keep the message.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"

import { HandshakeError } from "../../src/engine/HandshakeError.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { FakeChannel, fakeExchange, fakeRequest } from "../support/fakes.ts"
import { memoryInUse } from "../support/memory.ts"
import { grace } from "../support/serve.ts"

class Doorman extends NamespaceMiddleware.Service<Doorman>()("test/Doorman") {}

/** Never decides. */
const Guarded = Namespace.untyped("/notifications").middleware(Doorman)

class Room extends Namespace.dynamic("/room/:id", { auth: Schema.Struct({ token: Schema.String }) }) {}

const namespaces = Layer.mergeAll(
  SocketIoServer.layerNamespace("/", () => Effect.void),
  SocketIoServer.layerNamespace(Guarded, () => Effect.void).pipe(
    Layer.provide(Layer.succeed(Doorman, () => Effect.never))
  ),
  SocketIoServer.layerDynamicNamespace(Room, () => Effect.succeed(() => Effect.succeed({})))
)

const engine = Effect.flatMap(SocketIoServer.SocketIoServer, (server) => server.engine)

const open = (query: Record<string, string>) =>
  Effect.map(engine, ({ handleUpgrade }) => {
    const channel = new FakeChannel()
    handleUpgrade(fakeRequest({ transport: "websocket", ...query }), (decision) => {
      if (decision instanceof HandshakeError) throw decision
      decision.accept(channel)
    })
    return channel
  })

/** Runs a test on a server of its own. */
const on = <A, E>(test: Effect.Effect<A, E, SocketIoServer.SocketIoServer>) =>
  test.pipe(
    Effect.provide(
      Layer.provideMerge(namespaces, SocketIoServer.layer({ drainTimeout: 0, allowEIO3: true }).pipe(grace(0)))
    )
  )

const COUNT = 60

/** The bytes of one of so many messages that are kept. */
const kept = (run: (i: number) => void) =>
  Effect.sync(() => {
    const before = memoryInUse()
    for (let i = 0; i < COUNT; i++) run(i)
    return (memoryInUse() - before) / COUNT
  })

/** Not a chain of texts, but the one text of a real message. */
const flat = (text: string): string => Buffer.from(text).toString("latin1")

const LENGTH = 200_000

const blanks = " ".repeat(LENGTH)

describe("a text out of a long message does not keep the message", () => {
  it.live("as the namespace of an event that waits for its handlers", () =>
    on(
      Effect.gen(function* () {
        const channel = yield* open({})
        channel.receive("40/notifications,")
        const perMessage = yield* kept((i) => channel.receive(flat(`42/notifications,["e",${i}${blanks}]`)))
        assert.strictEqual(channel.state, "open")
        assert.isBelow(perMessage, 20_000)
      })
    )
  )

  it.live("as the namespace of an event that waits and came with others in a request", () =>
    on(
      Effect.gen(function* () {
        const { handleRequest } = yield* engine
        const handshake = fakeExchange({ transport: "polling" })
        handleRequest(handshake)
        const sid: string = JSON.parse(handshake.responses[0]!.body.slice(1)).sid
        const post = (body: string) => {
          const exchange = fakeExchange({ transport: "polling", sid }, "POST", flat(body))
          handleRequest(exchange)
          assert.strictEqual(exchange.responses[0]?.status, 200)
        }
        post("40/notifications,")
        assert.isBelow(yield* kept((i) => post(`42/notifications,["e",${i}]\u001e6${blanks}`)), 20_000)
      })
    )
  )

  it.live("as the value of a query with which a client of version 2 joins a namespace", () =>
    on(
      Effect.gen(function* () {
        const channel = yield* open({ EIO: "3" })
        const value = "a".repeat(16)
        const perMessage = yield* kept((i) => {
          channel.receive(flat(`40/room/${i}?token=${value},{"x":"${blanks}"}`))
        })
        assert.strictEqual(channel.state, "open")
        assert.strictEqual(channel.sent.filter((packet) => String(packet).startsWith("40/room/")).length, COUNT)
        // A namespace and a socket.
        assert.isBelow(perMessage, 40_000)
      })
    )
  )

  it.live("as one value of such a query beside much that is none", () =>
    on(
      Effect.gen(function* () {
        const channels = yield* Effect.all(Array.from({ length: COUNT }, () => open({ EIO: "3" })))
        const rest = "&".repeat(15_000)
        const perMessage = yield* kept((i) => {
          channels[i]!.receive(flat(`40/room/1?token=${"a".repeat(16)}${rest},`))
        })
        assert.isBelow(perMessage, 10_000)
      })
    )
  )
})
