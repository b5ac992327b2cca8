/**
 * Rights in a namespace that declares no events.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Queue, type Scope } from "effect"
import { TestClock } from "effect/testing"

import * as ClientExtras from "../../src/client/ClientExtras.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { Authentication, AuthenticationLive, CurrentUser, token } from "./desk.ts"
import { settle } from "./raw.ts"

const MINUTE = 60_000

class Plain extends Namespace.untyped("/plain").middleware(Authentication) {}

type PlainSocket = ServerSocket<typeof Plain>

const name = Effect.map(CurrentUser, ({ name, rooms }) => `${name} of ${rooms.join("+")}`)

/** A client of the namespace, and its socket. */
const joined = Effect.fnUntraced(function* (
  build: (socket: PlainSocket) => Effect.Effect<unknown, never, CurrentUser | Scope.Scope> = () => Effect.void,
  handlers: Record<string, () => Effect.Effect<unknown, never, CurrentUser>> = {}
) {
  const sockets = yield* Queue.unbounded<PlainSocket>()
  const layer = SocketIoServer.layerNamespace(Plain, (socket) =>
    Effect.gen(function* () {
      yield* build(socket)
      yield* Queue.offer(sockets, socket)
      return { whoami: () => name, ...handlers }
    })
  ).pipe(Layer.provide(AuthenticationLive))
  const context = yield* Layer.build(
    layer.pipe(
      Layer.provideMerge(
        TestSocketIo.layer({ heartbeat: { pingInterval: "10 days" }, client: { extras: [ClientExtras.rights] } })
      )
    )
  )
  const auth = Effect.succeed({ token: token({ name: "ada", rooms: ["a"], in: MINUTE, notice: 10_000 }) })
  const client = yield* Effect.provideContext(SocketIoClient.connect(Plain, { auth }), context)
  return { client, context, socket: yield* Queue.take(sockets) }
})

describe("a namespace without declared events", () => {
  it.effect("takes the event of a refresh for itself, and answers it as any other", () =>
    Effect.gen(function* () {
      const { client } = yield* joined()
      assert.deepStrictEqual(yield* client.emitWithAck("whoami"), ["ada of a"])
      const claims = { token: token({ name: "ada", rooms: ["b"], in: MINUTE }) }
      assert.deepStrictEqual(yield* client.emitWithAck("auth", claims), [
        { _tag: "Success", value: { expiresIn: MINUTE } }
      ])
      assert.deepStrictEqual(yield* client.emitWithAck("whoami"), ["ada of b"])
      assert.deepStrictEqual(yield* client.emitWithAck("auth", { token: token({ name: "nobody" }) }), [
        { _tag: "Failure", error: { _tag: "ConnectRefused", message: "who?" } }
      ])
    })
  )

  it.effect("tells its clients of the end, and those of this library refresh by themselves", () =>
    Effect.gen(function* () {
      const { client, socket } = yield* joined()
      const notices: Array<unknown> = []
      yield* client.onAny((_event, [notice]) => Effect.sync(() => notices.push(notice)))
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust(50_000)
        yield* settle
      }
      assert.isTrue(socket.connected)
      assert.strictEqual(notices.length, 10)
      assert.deepStrictEqual(notices[0], { expiresIn: 10_000 })
    })
  )

  it.effect("that passes on whatever its clients send gives nobody's credentials away", () =>
    Effect.gen(function* () {
      // An application that trusts the names of events, on a server of any kind.
      const { client, context, socket } = yield* joined((socket) =>
        socket.onAny((event, args) => socket.broadcast.emit(event, ...args))
      )
      const thief = yield* Effect.provideContext(
        Effect.gen(function* () {
          const peer = yield* TestSocketIo.rawClient()
          yield* peer.receive
          yield* peer.send(`40/plain,${JSON.stringify({ token: token({ name: "eve" }) })}`)
          yield* peer.receive
          return peer
        }),
        context
      )
      yield* thief.send('42/plain,["hello"]')
      for (const id of ["", "0"]) yield* thief.send(`42/plain,${id}["~fx:auth",{"event":"loot"}]`)
      yield* settle
      assert.deepStrictEqual(yield* thief.received, [])
      assert.isTrue(client.connected && socket.connected)
    })
  )

  it.effect("whose middleware reads the handshake finds the payload of a refresh there", () =>
    Effect.gen(function* () {
      class Raw extends NamespaceMiddleware.Service<Raw>()("test/Raw", {
        refresh: { event: "auth", same: () => true }
      }) {}
      class Bare extends Namespace.untyped("/bare").middleware(Raw) {}
      const seen: Array<unknown> = []
      const context = yield* Layer.build(
        SocketIoServer.layerNamespace(Bare, () => Effect.void).pipe(
          Layer.provide(
            Layer.succeed(Raw, ({ auth, handshake }) => Effect.sync(() => void seen.push([auth, handshake.auth])))
          ),
          Layer.provideMerge(TestSocketIo.layer())
        )
      )
      const client = yield* Effect.provideContext(SocketIoClient.connect(Bare, { auth: { token: "first" } }), context)
      for (const auth of [{ token: "second" }, "text", null]) yield* client.emitWithAck("auth", auth)
      yield* client.emitWithAck("auth")
      assert.deepStrictEqual(seen, [
        [{ token: "first" }, { token: "first" }],
        [{ token: "second" }, { token: "second" }],
        ["text", {}],
        [{}, {}],
        [{}, {}]
      ])
    })
  )

  it.effect("takes no handler of that event: it would never be called", () =>
    Effect.gen(function* () {
      let exit: Exit.Exit<unknown> | undefined
      yield* joined((socket) =>
        Effect.gen(function* () {
          exit = yield* Effect.exit(socket.on("auth", () => Effect.void))
        }).pipe(Effect.asVoid)
      )
      assert.include(String(exit), '"auth"')
      // One in the record is a mistake of the builder, and costs the client its connection.
      const { client } = yield* joined(undefined, { auth: () => Effect.void })
      yield* settle
      assert.isFalse(client.connected)
    })
  )
})
