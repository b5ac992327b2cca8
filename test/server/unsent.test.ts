/**
 * Payloads that cannot be sent: the application learns so at once, in words, and nothing is sent.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Queue, Schema, Stream } from "effect"
import { Event, Namespace } from "effect-socket.io"
import { RetryingEmitter, SocketIoClient } from "effect-socket.io/client"
import { type ServerSocket, SocketIoServer } from "effect-socket.io/server"
import { TestSocketIo } from "effect-socket.io/testing"

const Checked = Schema.String.check(
  Schema.makeFilter((text: string) => {
    if (text === "throw") throw new Error("a bug in a check")
    return text.length < 6
  })
)

class Shop extends Namespace.make("/shop", {
  clientToServer: [Event.make("order", { payload: Checked, ack: Schema.Int })],
  serverToClient: [Event.make("offer", { payload: Checked, ack: Schema.Int })]
}) {}

type ShopSocket = ServerSocket.ServerSocket<typeof Shop>

const setup = Effect.gen(function* () {
  const sockets = yield* Queue.unbounded<ShopSocket>()
  const heard: Array<string> = []
  const server = yield* Layer.build(
    SocketIoServer.layerNamespace(Shop, (socket) =>
      Queue.offer(sockets, socket).pipe(
        Effect.andThen(socket.onAny((event, args) => Effect.sync(() => void heard.push(`${event} ${String(args)}`)))),
        Effect.as(Shop.of({ order: (text) => Effect.succeed(text.length) }))
      )
    ).pipe(
      Layer.merge(SocketIoServer.layerNamespace("/", (socket) => socket.on("ask", (n) => Effect.succeed(n)))),
      Layer.provideMerge(TestSocketIo.layer())
    )
  )
  return yield* Effect.provideContext(
    Effect.gen(function* () {
      const shop = yield* SocketIoClient.connect(Shop)
      const offered: Array<string> = []
      yield* shop.respond("offer", (text) => Effect.sync(() => offered.push(text)))
      const plain = yield* SocketIoClient.connect("/")
      const handle = yield* SocketIoServer.namespace(Shop)
      const plainHandle = yield* SocketIoServer.namespace("/")
      const [plainSocket] = yield* plainHandle.sockets
      return {
        shop,
        plain,
        handle,
        plainHandle,
        plainSocket: plainSocket!,
        socket: yield* Queue.take(sockets),
        heard,
        offered
      }
    }),
    server
  )
})

const refusal = (event: string) => ({ _tag: "AckError", event, "reason._tag": "PayloadRefused" }) as const

const messageOf = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.exit(effect), (exit) =>
    Exit.isFailure(exit) && Exit.hasDies(exit) ? (Cause.squash(exit.cause) as Error).message : "no defect"
  )

describe("a payload that the sender's own schema refuses", () => {
  it.effect("fails who waits for an acknowledgement, in a client, and is not sent", () =>
    Effect.gen(function* () {
      const { heard, shop } = yield* setup
      const error = yield* Effect.flip(shop.emitWithAck("order", "too long"))
      assert.nestedInclude(error, refusal("order"))
      assert.match(error.message, /\(payload of "order": Expected/)
      const reliable = yield* RetryingEmitter.make(shop, { retries: 3, ackTimeout: "1 second" })
      assert.nestedInclude(yield* Effect.flip(reliable.emitWithAck("order", "too long")), refusal("order"))
      assert.nestedInclude(yield* Effect.flip(reliable.emit("order", "too long")), refusal("order"))
      assert.strictEqual(yield* shop.emitWithAck("order", "short"), 5)
      assert.deepStrictEqual(heard, ["order short"])
    })
  )

  it.effect("fails who waits for an acknowledgement, in a server, and is not sent", () =>
    Effect.gen(function* () {
      const { handle, offered, socket } = yield* setup
      const [remote] = yield* handle.fetchSockets
      for (const one of [socket, socket.volatile, socket.compress(false), remote!]) {
        const error = yield* Effect.flip(one.emitWithAck("offer", "too long"))
        assert.nestedInclude(error, refusal("offer"))
        assert.match(error.message, /\(payload of "offer": Expected/)
      }
      assert.strictEqual(yield* socket.emitWithAck("offer", "short"), 1)
      assert.deepStrictEqual(offered, ["short"])
    })
  )

  it.effect("is a defect where nobody waits", () =>
    Effect.gen(function* () {
      const { handle, shop, socket } = yield* setup
      assert.match(yield* messageOf(shop.emit("order", "too long")), /^payload of "order": Expected/)
      assert.match(yield* messageOf(socket.emit("offer", "too long")), /^payload of "offer": Expected/)
      assert.match(yield* messageOf(handle.emit("offer", "too long")), /^payload of "offer": Expected/)
      assert.match(yield* messageOf(Stream.runDrain(handle.emitWithAck("offer", "too long"))), /^payload of "offer"/)
    })
  )

  it.effect("is a defect where the schema throws, as that is a bug", () =>
    Effect.gen(function* () {
      const { shop, socket } = yield* setup
      assert.match(yield* messageOf(shop.emitWithAck("order", "throw")), /a bug in a check/)
      assert.match(yield* messageOf(socket.emitWithAck("offer", "throw")), /a bug in a check/)
    })
  )
})

describe("a callback among the arguments", () => {
  it.effect("is a defect that says what to use instead, in a server and in a client", () =>
    Effect.gen(function* () {
      const { plain, plainHandle, plainSocket } = yield* setup
      const callback = () => {}
      const [remote] = yield* plainHandle.fetchSockets
      for (const emitted of [
        plain.emit("ask", 1, callback),
        plain.emit("ask", callback, 1),
        plain.volatile.emit("ask", callback),
        plain.emitWithAck("ask", 1, callback),
        plainSocket.emit("ask", 1, callback),
        plainSocket.volatile.emit("ask", callback),
        plainSocket.emitWithAck("ask", 1, callback),
        plainSocket.broadcast.emit("ask", callback),
        plainHandle.emit("ask", callback),
        plainHandle.to("a").emit("ask", callback),
        plainHandle.to([]).emit("ask", callback),
        Stream.runDrain(plainHandle.emitWithAck("ask", callback)),
        plainHandle.serverSideEmit("ask", callback),
        Stream.runDrain(plainHandle.serverSideEmitWithAck("ask", callback)),
        remote!.emit("ask", callback)
      ]) {
        assert.match(yield* messageOf<unknown, unknown>(emitted), /use emitWithAck, not a (callback|function)/)
      }
      assert.deepStrictEqual(yield* plain.emitWithAck("ask", 1), [1])
    })
  )
})
