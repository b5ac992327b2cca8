/**
 * The Node requests that open sessions, as hooks, middleware and sockets see them.
 */
import { type IncomingMessage, ServerResponse } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Queue } from "effect"

import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { transports } from "../support/RawClient.ts"
import { connect, refusal, serve } from "../support/serve.ts"

type WithSession = IncomingMessage & { session?: { readonly user: string } }

/** Middleware as in Express: it puts something on the request, and calls back. */
const session = (request: WithSession, response: ServerResponse, next: () => void) => {
  response.setHeader("x-session", "yes")
  setImmediate(() => {
    request.session = { user: request.headers["x-user"] as string }
    next()
  })
}

const options: NodeSocketIoServer.NodeOptions = {
  keepRequests: true,
  handshake: {
    allowRequest: (request) =>
      Effect.callback<void>((resume) => {
        const raw = Option.getOrThrow(NodeSocketIoServer.requestOf(request))
        session(raw, new ServerResponse(raw), () => resume(Effect.void))
      })
  }
}

const userOf = (of: Parameters<typeof NodeSocketIoServer.requestOf>[0]) =>
  Option.map(NodeSocketIoServer.requestOf(of), (request: WithSession) => request.session?.user)

const sockets = Effect.fnUntraced(function* (options: NodeSocketIoServer.NodeOptions) {
  const sockets = yield* Queue.unbounded<ServerSocket<Namespace.Untyped>>()
  const { url } = yield* serve(
    SocketIoServer.layerNamespace("/", (socket) => Effect.asVoid(Queue.offer(sockets, socket))),
    options
  )
  return { url, socket: Queue.take(sockets) }
})

for (const transport of transports) {
  describe(`the request that opens a session over ${transport}`, () => {
    const client = { transports: [transport], extraHeaders: { "x-user": "Ada" } }

    it.live("is the socket's, with what middleware of Express has put on it", () =>
      Effect.gen(function* () {
        const { socket, url } = yield* sockets(options)
        yield* connect(url, client)
        const ours = yield* socket
        assert.deepStrictEqual(userOf(ours), Option.some("Ada"))
        assert.strictEqual(Option.getOrThrow(NodeSocketIoServer.requestOf(ours)).url, ours.handshake.url)
      })
    )

    it.live("is not kept unless that is asked for", () =>
      Effect.gen(function* () {
        const { socket, url } = yield* sockets({ ...options, keepRequests: false })
        yield* connect(url, client)
        assert.deepStrictEqual(userOf(yield* socket), Option.none())
      })
    )

    it.live("is seen by namespace middleware", () =>
      Effect.gen(function* () {
        class Guard extends NamespaceMiddleware.Service<Guard>()("test/requests/Guard") {}
        class Guarded extends Namespace.make("/guarded").middleware(Guard) {}
        const { url } = yield* serve(
          SocketIoServer.layerNamespace(Guarded, () => Effect.succeed(Guarded.of({}))).pipe(
            Layer.provide(
              Layer.succeed(Guard, (request) =>
                Effect.fail(
                  new NamespaceMiddleware.ConnectRefused({ message: `not you, ${Option.getOrThrow(userOf(request))}` })
                )
              )
            )
          ),
          options
        )
        assert.strictEqual((yield* refusal(`${url}/guarded`, client)).message, "not you, Ada")
      })
    )
  })
}

it.effect("there is none in memory", () =>
  Effect.gen(function* () {
    const sockets = yield* Queue.unbounded<ServerSocket<Namespace.Untyped>>()
    const namespace = SocketIoServer.layerNamespace("/", (socket) => Effect.asVoid(Queue.offer(sockets, socket)))
    const context = yield* Layer.build(Layer.provideMerge(namespace, TestSocketIo.layer({ drainTimeout: 0 })))
    const raw = yield* Effect.provideContext(TestSocketIo.rawClient(), context)
    yield* raw.send("40")
    assert.deepStrictEqual(NodeSocketIoServer.requestOf(yield* Queue.take(sockets)), Option.none())
  })
)
