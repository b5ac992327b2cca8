/**
 * The transports of a client, against the official server and ours: fall back, upgrade under traffic, payloads, what is remembered.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schedule, Stream } from "effect"

import * as ClientExtras from "../../src/client/ClientExtras.ts"
import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform } from "../../src/engine/ClientPlatform.ts"
import type * as Namespace from "../../src/Namespace.ts"
import * as ReferenceServer from "../support/ReferenceServer.ts"
import * as TestServer from "../support/TestServer.ts"

/** A socket of the default namespace, and the requests that its client makes. */
const clientOf = Effect.fnUntraced(function* (options: ClientOptions) {
  const platform = yield* ClientPlatform
  const requests: Array<string> = []
  const note = (transport: string, url: string) => {
    if (!url.includes("sid=")) requests.push(transport)
  }
  const client = yield* SocketIoClient.make(options).pipe(
    Effect.provideService(ClientPlatform, {
      ...platform,
      request: (request) => {
        note("polling", request.url)
        return platform.request(request)
      },
      openWebSocket: (request, events) => {
        note("websocket", request.url)
        return platform.openWebSocket(request, events)
      }
    })
  )
  const socket = yield* Effect.provideService(SocketIoClient.socket("/"), SocketIoClient.SocketIoClient, client)
  return { socket, requests }
})

const transportOf = (socket: ClientSocket<Namespace.Untyped>) =>
  Effect.map(socket.emitWithAck("transport"), ([name]) => name)

/** Waits for the upgrade, which the server knows of last. */
const upgraded = (socket: ClientSocket<Namespace.Untyped>): Effect.Effect<void, unknown> =>
  Effect.flatMap(transportOf(socket), (name) =>
    name === "websocket" ? Effect.void : Effect.andThen(Effect.sleep("5 millis"), upgraded(socket))
  )

for (const [peer, start] of [
  ["the official server", ReferenceServer.start],
  ["our server", TestServer.start]
] as const) {
  const running = (options: TestServer.TestServerOptions = {}) =>
    Effect.acquireRelease(
      Effect.promise(() => start(options)),
      (server) => Effect.promise(() => server.stop().catch(() => {}))
    )

  describe(`the transports of a client, against ${peer}`, () => {
    for (const [first, second] of [
      ["polling", "websocket"],
      ["websocket", "polling"]
    ] as const) {
      it.live(`go on from ${first} to ${second} where the server has only that`, () =>
        Effect.gen(function* () {
          const { url } = yield* running({ transports: [second] })
          const transports = [first, second]
          const { requests, socket } = yield* clientOf({ url, transports, extras: [ClientExtras.tryAllTransports] })
          assert.strictEqual(yield* transportOf(socket), second)
          assert.deepStrictEqual(requests, transports)
        })
      )

      it.live(`end with ${first} where the server has only ${second}, unless all are to be tried`, () =>
        Effect.gen(function* () {
          const { url } = yield* running({ transports: [second] })
          const { requests, socket } = yield* clientOf({ url, transports: [first, second], reconnection: false })
          const failed = yield* Stream.runHead(Stream.filter(socket.status, (status) => status._tag === "Failed"))
          assert.isFalse(Option.getOrThrow(failed).error.willRetry)
          assert.deepStrictEqual(requests, [first])
        })
      )
    }

    it.live("neither lose, double nor reorder anything while they change", () =>
      Effect.gen(function* () {
        const { url } = yield* running({ maxPayload: 2_000 })
        const { socket } = yield* clientOf({ url })
        const back: Array<unknown> = []
        yield* socket.onAny((event, [n]) => Effect.sync(() => void (event === "message-back" && back.push(n))))
        let sent = 0
        const send = Effect.gen(function* () {
          for (let i = 0; i < 10; i++)
            yield* socket.emit("message", sent++, "ä€😀".repeat(sent % 20), new Uint8Array(i))
          yield* Effect.yieldNow
        })
        const state = { done: false }
        yield* Effect.forkScoped(
          Effect.andThen(
            upgraded(socket),
            Effect.sync(() => {
              state.done = true
            })
          )
        )
        while (!state.done) yield* send
        yield* send
        // The answer comes after everything.
        yield* socket.emitWithAck("message-with-ack")
        assert.deepStrictEqual(
          back,
          Array.from({ length: sent }, (_, i) => i)
        )
      })
    )

    it.live("post no more at once than the server takes, in bytes", () =>
      Effect.gen(function* () {
        const { url } = yield* running({ maxPayload: 1_000 })
        const { socket } = yield* clientOf({ url, transports: ["polling"] })
        const texts = Array.from({ length: 300 }, (_, i) => "ä€😀".repeat(i % 90))
        const answers = yield* Effect.all(
          texts.map((text, i) => socket.emitWithAck("message-with-ack", i % 3 === 0 ? new Uint8Array(i) : text)),
          { concurrency: "unbounded" }
        )
        for (const [i, [answer]] of answers.entries()) {
          if (i % 3 === 0) assert.strictEqual((answer as Uint8Array).byteLength, i)
          else assert.strictEqual(answer, texts[i])
        }
      })
    )

    it.live("begin with the WebSocket again after an upgrade, where that is remembered", () =>
      Effect.gen(function* () {
        const first = yield* Effect.promise(() => start({}))
        const { requests, socket } = yield* clientOf({
          url: first.url,
          extras: [ClientExtras.rememberUpgrade],
          reconnection: Schedule.spaced("20 millis")
        })
        yield* upgraded(socket)
        const lost = Stream.runHead(Stream.filter(socket.status, ({ _tag }) => _tag === "Disconnected"))
        yield* Effect.all([lost, Effect.promise(() => first.stop())], { concurrency: 2 })
        // While nobody is there, that is forgotten.
        const failed = Stream.runHead(Stream.filter(socket.status, ({ _tag }) => _tag === "Failed"))
        yield* failed
        yield* running({ port: first.port })
        yield* upgraded(socket)
        assert.strictEqual(requests[0], "polling")
        assert.strictEqual(requests[1], "websocket")
        assert.deepStrictEqual([...new Set(requests.slice(2))], ["polling"])
      })
    )
  })
}
