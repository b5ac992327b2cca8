/**
 * Clients that ask for a namespace once more while they wait for the answer, as official ones do whose application disconnects and
 * connects them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import type { Socket } from "socket.io-client"

import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { settle, world } from "../recovery/raw.ts"
import { connect, next, serve } from "../support/serve.ts"

class Doorman extends NamespaceMiddleware.Service<Doorman>()("test/Doorman") {}
const Guarded = Namespace.untyped("/guarded").middleware(Doorman)

describe("a client that asks again while it waits", () => {
  const ways: Readonly<Record<string, (socket: Socket) => void>> = {
    "connects twice": (socket) => socket.connect(),
    "disconnects and connects": (socket) => socket.disconnect().connect()
  }
  for (const [what, askAgain] of Object.entries(ways)) {
    it.live(`gets one answer, and keeps its connection (an official client ${what})`, () =>
      Effect.gen(function* () {
        const asked: Array<unknown> = []
        const given: Array<unknown> = []
        const first = yield* Deferred.make<void>()
        const decide = (auth: unknown) =>
          Effect.gen(function* () {
            const isFirst = asked.push(auth) === 1
            if (isFirst) yield* Deferred.succeed(first, undefined)
            if (isFirst) yield* Effect.never
          })
        const guarded = SocketIoServer.layerNamespace(Guarded, (socket) =>
          Effect.sync(() => void given.push(socket.auth))
        ).pipe(Layer.provide(Layer.succeed(Doorman, ({ auth }) => decide(auth))))
        const main = SocketIoServer.layerNamespace("/", () => Effect.void)
        const { url } = yield* serve(Layer.merge(guarded, main))
        const other = yield* connect(url)
        let ends = 0
        other.on("disconnect", () => ends++)
        const socket = other.io.socket("/guarded", {})
        let connections = 0
        socket.on("connect", () => connections++)
        socket.auth = { n: 1 }
        socket.connect()
        yield* Deferred.await(first)
        const connected = next(socket, "connect")
        socket.auth = { n: 2 }
        askAgain(socket)
        yield* connected
        // Its builder has run, and nothing else comes.
        yield* Effect.promise(() =>
          socket
            .timeout(5_000)
            .emitWithAck("nobody listens")
            .catch(() => {})
        ).pipe(Effect.raceFirst(Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))))
        assert.deepStrictEqual([connections, ends, other.connected], [1, 0, true])
        assert.deepStrictEqual(asked, [{ n: 1 }, { n: 2 }])
        assert.deepStrictEqual(given, [{ n: 2 }])
      })
    )
  }

  it.effect("gets its session, which waits for it meanwhile", () =>
    Effect.gen(function* () {
      let visits = 0
      const {
        ends: _,
        next,
        open
      } = yield* world({
        // The second visit never ends.
        decide: Effect.suspend(() => (++visits === 2 ? Effect.never : Effect.void))
      })
      const first = yield* open
      const { pid, sid } = yield* first.connect()
      yield* next
      yield* first.network.cut
      const peer = yield* open
      yield* peer.send(`40${JSON.stringify({ pid })}`)
      yield* settle
      assert.strictEqual(visits, 2)
      assert.strictEqual((yield* peer.connect({ pid })).sid, sid)
      assert.isTrue((yield* next).recovered)
    })
  )

  it.effect("holds no more than one decision at a time", () =>
    Effect.gen(function* () {
      let running = 0
      let most = 0
      const decide = Effect.acquireUseRelease(
        Effect.sync(() => {
          most = Math.max(most, ++running)
        }),
        () => Effect.never,
        () => Effect.sync(() => void running--)
      )
      const { open } = yield* world({ decide })
      const peer = yield* open
      for (let i = 0; i < 5_000; i++) yield* peer.send("40")
      yield* settle
      assert.strictEqual(running, 1)
      assert.isAtMost(most, 2)
      yield* peer.close
      yield* settle
      assert.strictEqual(running, 0)
    })
  )
})
