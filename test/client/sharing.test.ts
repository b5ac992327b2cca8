/**
 * Several users of one namespace over one client: they share a socket.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, ManagedRuntime, Schema, Scope, Stream } from "effect"

import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import { clientOf, eventually, serveOfficial } from "../support/official.ts"

class Chat extends Namespace.make("/chat", {
  clientToServer: [Event.make("whoami", { ack: Schema.String })],
  serverToClient: [Event.make("said", { payload: Schema.String })]
}) {}

class Other extends Namespace.make("/chat", {}) {}

/** An official server of the chat, with who came and went. */
const chatting = Effect.gen(function* () {
  const came: Array<unknown> = []
  const left: Array<string> = []
  const { io, url } = yield* serveOfficial((io) =>
    io.of("/chat").on("connection", (socket) => {
      came.push(socket.handshake.auth)
      socket.on("whoami", (done) => done(socket.id))
      socket.on("disconnect", (reason) => left.push(reason))
    })
  )
  return { came, io, left, url, use: yield* clientOf({ url }) }
})

/** Runs something in a scope of its own; gives the effect that closes that. */
const within = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  return [yield* Scope.provide(effect, scope), Scope.close(scope, Exit.void)] as const
})

describe("two users of one namespace", () => {
  it.live("share a socket, which leaves with the last of them", () =>
    Effect.gen(function* () {
      const { came, io, left, use } = yield* chatting
      const [one, leaveOne] = yield* within(use(SocketIoClient.connect(Chat)))
      const [two, leaveTwo] = yield* within(use(SocketIoClient.connect(Chat)))
      assert.strictEqual(one.id, two.id)
      assert.lengthOf(came, 1)
      const heard = yield* two.subscribe("said")
      yield* leaveOne
      assert.strictEqual(yield* two.emitWithAck("whoami"), two.id)
      io.of("/chat").emit("said", "still here")
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(heard, 1)), ["still here"])
      assert.lengthOf(left, 0)
      yield* leaveTwo
      yield* eventually(() => left.length > 0)
      assert.deepStrictEqual(left, ["client namespace disconnect"])
      const [three] = yield* within(use(SocketIoClient.connect(Chat)))
      assert.isTrue(three.connected)
    })
  )

  it.live("share it without a contract, and with equal auth", () =>
    Effect.gen(function* () {
      const { came, use } = yield* chatting
      const one = yield* use(SocketIoClient.connect("/chat", { auth: { token: "a" } }))
      const two = yield* use(SocketIoClient.connect("/chat", { auth: { token: "a" } }))
      assert.strictEqual(one.id, two.id)
      assert.deepStrictEqual(came, [{ token: "a" }])
    })
  )

  it.live("are told what differs, and what to do", () =>
    Effect.gen(function* () {
      const { use } = yield* chatting
      yield* use(SocketIoClient.connect(Chat))
      const message = (exit: Exit.Exit<unknown, unknown>) => String(Exit.isFailure(exit) && exit.cause)
      for (const other of [use(SocketIoClient.connect(Other)), use(SocketIoClient.connect("/chat"))]) {
        assert.include(
          message(yield* Effect.exit<unknown, unknown, Scope.Scope>(other)),
          '"/chat" has another contract'
        )
      }
      const auth = SocketIoClient.connect(Chat, { auth: { token: "b" } } as {})
      assert.include(message(yield* Effect.exit(use(auth))), "has another auth")
    })
  )

  it.live("leave it when they give up: the next one may come with another auth", () =>
    Effect.gen(function* () {
      const { came, io, use } = yield* chatting
      const asked: Array<unknown> = []
      let isOpen = false
      io.of("/chat").use(({ handshake }, next) => {
        asked.push(handshake.auth)
        if (isOpen) next()
      })
      const impatient = yield* Effect.forkChild(use(SocketIoClient.connect("/chat", { auth: { token: "a" } })))
      yield* eventually(() => asked.length === 1)
      yield* Fiber.interrupt(impatient)
      isOpen = true
      const socket = yield* use(SocketIoClient.connect("/chat", { auth: { token: "b" } }))
      assert.isTrue(socket.connected)
      assert.deepStrictEqual(came, [{ token: "b" }])
    })
  )

  it.live("are each asked for auth while they are there", () =>
    Effect.gen(function* () {
      const { came, io, use } = yield* chatting
      const by = (name: string) => SocketIoClient.connect("/chat", { auth: Effect.sync(() => ({ by: name })) })
      const [, leaveOne] = yield* within(use(by("one")))
      const [two] = yield* within(use(by("two")))
      yield* leaveOne
      const { id } = two
      io.of("/chat").sockets.forEach(({ conn }) => conn.close())
      yield* eventually(() => two.connected && two.id !== id)
      assert.deepStrictEqual(came, [{ by: "one" }, { by: "two" }])
    })
  )

  it.live("leave it together when one of them disconnects; another socket keeps the first one from coming back", () =>
    Effect.gen(function* () {
      const { use } = yield* chatting
      const one = yield* use(SocketIoClient.connect("/chat"))
      const two = yield* use(SocketIoClient.connect("/chat"))
      yield* one.disconnect()
      assert.isFalse(two.connected)
      yield* two.reconnect()
      assert.isTrue(one.connected)
      yield* one.disconnect()
      const [, leave] = yield* within(use(SocketIoClient.connect("/chat")))
      assert.match((yield* Effect.flip(one.reconnect())).message, /it has another socket/)
      yield* leave
      yield* one.reconnect()
      assert.isTrue(two.connected)
    })
  )

  it.live("may be a component that is mounted, unmounted and mounted in one turn, and another one", () =>
    Effect.gen(function* () {
      const { came, left, url } = yield* chatting
      const runtime = ManagedRuntime.make(SocketIoClient.layer({ url, transports: ["websocket"] }))
      yield* Effect.addFinalizer(() => Effect.promise(() => runtime.dispose()))
      yield* Effect.promise(() => runtime.runPromise(Effect.void))
      const sockets: Array<ClientSocket<Namespace.Untyped>> = []
      const component = Effect.gen(function* () {
        sockets.push(yield* SocketIoClient.socket("/chat"))
        return yield* Effect.never
      }).pipe(Effect.scoped)
      const mount = () => runtime.runFork(component)
      const first = mount()
      const unmounted = runtime.runFork(Fiber.interrupt(first))
      mount()
      mount()
      yield* Fiber.join(unmounted)
      yield* eventually(() => sockets.at(-1)!.connected)
      assert.strictEqual(sockets[1]!.id, sockets[2]!.id)
      assert.isTrue(sockets[1]!.connected)
      assert.isAtMost(came.length - left.length, 1)
    })
  )
})

it.effect("a layer with effects for its headers needs what they need", () =>
  Effect.sync(() => {
    class Token extends Context.Service<Token, string>()("sharing/Token") {}
    const layer: Layer.Layer<SocketIoClient.SocketIoClient, unknown, Token> = SocketIoClient.layer({
      url: "http://test",
      headers: Effect.map(Token, (authorization) => ({ authorization }))
    })
    assert.isDefined(layer)
  })
)
