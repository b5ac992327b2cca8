/**
 * The client of this library at the end of its rights, over real transports: it moves to a new connection.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"

import type { SocketStatus } from "../../src/client/ClientSocket.ts"
import * as ClientExtras from "../../src/client/ClientExtras.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { eventually, ways } from "../support/official.ts"
import { serve } from "../support/serve.ts"
import { Desk, makeDesk, type Token, token } from "./desk.ts"

describe("the client of this library at the end of its rights", () => {
  for (const transport of ways) {
    it.live(`moves to a new connection, and loses nothing (${transport})`, () =>
      Effect.gen(function* () {
        const { layer, next } = yield* makeDesk()
        const { server, url } = yield* serve(layer, { recovery: true })
        const namespace = yield* Effect.provideContext(SocketIoServer.namespace(Desk), server)
        let made = 0
        // Its issuer does not answer in time for a refresh.
        const auth = Effect.suspend((): Effect.Effect<{ readonly token: string }> => {
          made++
          if (made === 2) return Effect.never
          const claims: Token = { name: "ada", rooms: ["a"], ...(made === 1 && { in: 800, notice: 400 }) }
          return Effect.succeed({ token: token(claims) })
        })
        const client = yield* Layer.build(
          SocketIoClient.layer({ url, transports: [transport], extras: ClientExtras.server })
        )
        const socket = yield* Effect.provideContext(SocketIoClient.connect(Desk, { auth }), client)
        const statuses: Array<SocketStatus["_tag"]> = []
        const news: Array<string> = []
        yield* Effect.forkScoped(
          Stream.runForEach(socket.status, ({ _tag }) => Effect.sync(() => void statuses.push(_tag))),
          { startImmediately: true }
        )
        yield* Effect.forkScoped(
          Stream.runForEach(socket.stream("news"), (text) => Effect.sync(() => void news.push(text))),
          { startImmediately: true }
        )
        const first = yield* next
        let sent = 0
        yield* Effect.forkScoped(
          Effect.forever(
            Effect.andThen(
              Effect.suspend(() => namespace.to("a").emit("news", String(sent++))),
              Effect.sleep("5 millis")
            )
          )
        )
        // The next connection takes the session over before this one has ended.
        assert.strictEqual(yield* first.disconnected, "session resumed")
        const second = yield* next
        assert.isTrue(second.recovered)
        const enough = sent + 10
        yield* eventually(() => news.length >= enough)
        assert.deepStrictEqual(
          news,
          news.map((_text, i) => String(i))
        )
        assert.deepStrictEqual(statuses, ["Connected", "Connected"])
        assert.strictEqual(yield* socket.emitWithAck("whoami"), "ada of a")
      })
    )
  }
})
