/**
 * The auth payloads of CONNECT: how much of them a connection may make the server keep, and what is kept.
 */
import { createRequire } from "node:module"

import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Queue, Schema } from "effect"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import type { ServerSocketBase } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { memoryInUse } from "../support/memory.ts"
import { openClient, RawSocket, transports, WebSocketClient } from "../support/RawClient.ts"
import { connect, refusal, serve } from "../support/serve.ts"

const io2: (url: string, options: object) => { close(): void } = createRequire(import.meta.url)("socket.io-client-v2")

class Guard extends NamespaceMiddleware.Service<Guard>()("test/Guard") {}

/** Says nothing of auth; its middleware looks at what came. */
class Silent extends Namespace.make("/silent").middleware(Guard) {}

class Declared extends Namespace.make("/declared", { auth: Schema.Struct({ token: Schema.String }) }) {}

class Numbered extends Namespace.dynamic("/n/:id", {
  params: { id: Schema.FiniteFromString },
  auth: Schema.Struct({ token: Schema.optionalKey(Schema.String) }),
  clientToServer: [Event.make("sync", { ack: Schema.String })]
}) {}

/** Namespaces of every kind, with their sockets, and what the middleware saw. */
const serving = Effect.fnUntraced(function* (options: Parameters<typeof serve>[1] = {}) {
  const sockets = yield* Queue.unbounded<ServerSocketBase & { readonly auth?: unknown }>()
  const seen: Array<unknown> = []
  const guard = Layer.succeed(Guard, ({ handshake }) => Effect.sync(() => void seen.push(handshake.auth)))
  const { logs, url } = yield* serve(
    Layer.mergeAll(
      SocketIoServer.layerNamespace("/", (socket) => Effect.asVoid(Queue.offer(sockets, socket))),
      SocketIoServer.layerNamespace(Silent, (socket) => Effect.as(Queue.offer(sockets, socket), Silent.of({}))).pipe(
        Layer.provide(guard)
      ),
      SocketIoServer.layerNamespace(Declared, (socket) => Effect.as(Queue.offer(sockets, socket), Declared.of({}))),
      SocketIoServer.layerDynamicNamespace(Numbered, () =>
        Effect.succeed(() => Effect.succeed(Numbered.of({ sync: () => Effect.succeed("synced") })))
      )
    ),
    options
  )
  return { url, logs, seen, socket: Queue.take(sockets) }
})

describe("an auth payload", () => {
  it.live("is kept as the contract has decoded it, and not at all where the contract declares none", () =>
    Effect.gen(function* () {
      const { seen, socket, url } = yield* serving()
      yield* connect(`${url}/declared`, { auth: { token: "t", more: "x" } })
      const declared = yield* socket
      assert.deepStrictEqual([declared.auth, declared.handshake.auth], [{ token: "t" }, { token: "t" }])
      yield* connect(`${url}/silent`, { auth: { token: "t" } })
      const silent = yield* socket
      assert.deepStrictEqual([silent.auth, silent.handshake.auth], [undefined, {}])
      assert.deepStrictEqual(seen, [{ token: "t" }])
      yield* connect(url, { auth: { token: "t" } })
      assert.deepStrictEqual((yield* socket).handshake.auth, { token: "t" })
    })
  )

  it.live("beyond the bound is refused with words, and the connection goes on", () =>
    Effect.gen(function* () {
      const { url } = yield* serving({ limits: { maxAuthBytes: 1_000 } })
      for (const namespace of ["/", "/silent", "/declared", "/n/1"]) {
        const error = yield* refusal(url + namespace, { auth: { token: "x".repeat(1_000) } })
        assert.strictEqual(error.message, "Auth payload too large")
        yield* connect(url + namespace, { auth: { token: "x".repeat(800) } })
      }
      assert.strictEqual(
        (yield* refusal(`${url}/nowhere`, { auth: { a: "x".repeat(9_000) } })).message,
        "Invalid namespace"
      )
    })
  )

  for (const transport of transports) {
    it.live(
      `counts as the objects that it is, over ${transport}, and with those of the connection's other namespaces`,
      () =>
        Effect.gen(function* () {
          const { url } = yield* serving()
          const client = yield* Effect.promise(() => openClient(transport, url))
          const enter = (namespace: string, auth: string) =>
            Effect.promise(async () => {
              await client.send(`40${namespace},${auth}`)
              return String(await client.next())
            })
          // 3 KB of text are 64 KB of objects.
          assert.include(yield* enter("/n/1", `{"a":[${Array(1_000).fill("{}").join()}]}`), "Auth payload too large")
          for (let id = 1; id <= 3; id++) {
            assert.match(yield* enter(`/n/${id}`, `{"token":"${"x".repeat(5_000)}"}`), /^40\/n\/\d,\{"sid"/)
          }
          assert.include(yield* enter("/n/4", `{"token":"${"x".repeat(5_000)}"}`), "Auth payload too large")
          // The rest of it is given back.
          yield* Effect.promise(() => client.send("41/n/1,"))
          assert.match(yield* enter("/n/4", `{"token":"${"x".repeat(5_000)}"}`), /^40\/n\/4,\{"sid"/)
          yield* Effect.promise(() => client.close())
        })
    )
  }

  it.live("that nobody declares takes nothing of the bound for long", () =>
    Effect.gen(function* () {
      const { url } = yield* serving()
      const client = yield* Effect.promise(() => WebSocketClient.open(url))
      for (let i = 0; i < 20; i++) {
        yield* Effect.promise(async () => {
          await client.send(`40/silent,{"token":"${"x".repeat(10_000)}"}`)
          assert.match(String(await client.next()), /^40\/silent,\{"sid"/)
          await client.send("41/silent,")
        })
      }
      yield* Effect.promise(() => client.close())
    })
  )

  it.live("costs no memory when it is refused, however large it is", () =>
    Effect.gen(function* () {
      const { url } = yield* serving()
      const client = yield* Effect.promise(() => WebSocketClient.open(url))
      const auth = `{"a":[${Array(330_000).fill("{}").join()}]}`
      const before = memoryInUse()
      for (let i = 0; i < 10; i++) {
        yield* Effect.promise(async () => {
          await client.send(`40/n/${i},${auth}`)
          assert.include(String(await client.next()), "Auth payload too large")
        })
      }
      assert.isBelow(memoryInUse() - before, 5_000_000)
      yield* Effect.promise(() => client.close())
    })
  )

  it.live("is a query with Engine.IO 3, which is bounded like one", () =>
    Effect.gen(function* () {
      const { socket, url } = yield* serving({ allowEIO3: true })
      const v2 = (path: string) =>
        Effect.acquireRelease(
          Effect.sync(() => io2(url + path, { transports: ["websocket"], forceNew: true })),
          (client) => Effect.sync(() => client.close())
        )
      yield* v2("/declared?token=a%20b")
      // The default namespace comes by itself.
      const ours = [yield* socket, yield* socket].find(({ namespace }) => namespace === "/declared")!
      assert.deepStrictEqual(ours.handshake.auth, { token: "a b" })
      const raw = yield* Effect.acquireRelease(
        Effect.sync(() => new RawSocket(url, { EIO: "3", transport: "websocket" })),
        (raw) => Effect.sync(() => raw.terminate())
      )
      yield* Effect.promise(async () => {
        for (const expected of [/^0/, /^40$/]) assert.match(String(await raw.next()), expected)
        raw.send(`40/declared?token=${"x".repeat(20_000)}`, `40/declared?${"&a".repeat(450_000)}`)
        for (let i = 0; i < 2; i++) {
          assert.strictEqual(String(await raw.next()), '44/declared,{"message":"Auth payload too large"}')
        }
      })
    })
  )
})
