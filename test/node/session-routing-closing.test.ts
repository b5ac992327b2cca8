/**
 * Servers without sticky sessions: what becomes of requests that were passed on when a server shuts down.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Scope } from "effect"

import { NodeDirectory, type NodeDirectoryShape } from "../../src/engine/NodeDirectory.ts"
import * as NodeSessionRouting from "../../src/node/NodeSessionRouting.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import { balance } from "../support/balancer.ts"
import { engineUrl, PollingClient, RawSocket, request, within } from "../support/RawClient.ts"
import { upgrade } from "../support/RawUpgrade.ts"
import { directoryOf, foreign, passes, routedNode, threeNodes } from "../support/routed.ts"
import { connect, next } from "../support/serve.ts"

/** A server with a port of its own, and time to close. */
const listening = Effect.fnUntraced(function* (directory: NodeDirectoryShape) {
  const lines: Array<string> = []
  const scope = yield* Scope.fork(yield* Effect.scope)
  yield* NodeSocketIoServer.layer({ port: 0, host: "127.0.0.1", drainTimeout: "20 seconds" }).pipe(
    Layer.provide(NodeSessionRouting.layer()),
    Layer.provide(Layer.succeed(NodeDirectory, directory)),
    Layer.provide(Logger.layer([Logger.make(({ message }) => void lines.push([message].flat().join(" ")))])),
    Layer.buildWithScope(scope)
  )
  return { url: /http:\/\/[\d.:]+/.exec(lines.join("\n"))![0], close: Scope.close(scope, Exit.void) }
})

describe("a server that shuts down", () => {
  it.live("releases the polls of other servers' sessions, whose clients go on elsewhere", () =>
    Effect.gen(function* () {
      const { nodes } = yield* threeNodes({ drainTimeout: "1 second" })
      const { sid } = yield* foreign(nodes)
      const client = new PollingClient(nodes[2]!.url, sid, false)
      yield* Effect.promise(() => client.post("40"))
      const url = (node: number) => engineUrl(nodes[node]!.url, { EIO: "4", transport: "polling", sid })
      yield* Effect.promise(() => request(url(1)))
      const held = request(url(1))
      yield* passes(nodes[1]!, 2)
      const began = performance.now()
      yield* nodes[1]!.close
      assert.isBelow(performance.now() - began, 900)
      assert.strictEqual((yield* Effect.promise(() => held)).body, "6")
      yield* Effect.promise(() => client.post('421["echo",1]'))
      assert.strictEqual((yield* Effect.promise(() => request(url(2)))).body, "431[[1]]")
    })
  )

  it.live("ends its own sessions, also those of clients at other servers", () =>
    Effect.gen(function* () {
      const { nodes } = yield* threeNodes({ drainTimeout: "5 seconds" })
      const { url } = yield* balance([nodes[0]!.url, nodes[1]!.url])
      const sockets = yield* Effect.all([
        connect(url, { transports: ["polling"] }),
        connect(url, { transports: ["polling"] }),
        connect(url, { transports: ["polling"] })
      ])
      const ends = sockets.map((socket) => next(socket, "disconnect"))
      const began = performance.now()
      yield* nodes[0]!.close
      yield* nodes[1]!.close
      for (const end of ends) assert.strictEqual((yield* end)[0], "transport close")
      assert.isBelow(performance.now() - began, 4_000)
    })
  )

  it.live("ends the WebSockets that it has passed on", () =>
    Effect.gen(function* () {
      const { nodes } = yield* threeNodes()
      const { sid } = yield* foreign(nodes)
      const socket = new RawSocket(nodes[1]!.url, { EIO: "4", transport: "websocket", sid })
      yield* Effect.promise(() => socket.opened)
      socket.send("2probe")
      assert.strictEqual(yield* Effect.promise(() => socket.next()), "3probe")
      yield* nodes[1]!.close
      yield* Effect.promise(() => within("end of the WebSocket", socket.closed))
    })
  )

  it.live("does not wait for the WebSockets that it has passed on", () =>
    Effect.gen(function* () {
      const { directory } = directoryOf()
      const owner = yield* routedNode(directory)
      const server = yield* listening(directory)
      const { sid } = yield* foreign([owner, server])
      const socket = new RawSocket(server.url, { EIO: "4", transport: "websocket", sid })
      yield* Effect.promise(() => socket.opened)
      const began = performance.now()
      yield* server.close
      yield* Effect.promise(() => within("end of the WebSocket", socket.closed))
      assert.isBelow(performance.now() - began, 10_000)
    })
  )

  it.live("passes no upgrade on, so that none is cut before its end", () =>
    Effect.gen(function* () {
      const { directory } = directoryOf()
      const [owner, third] = [yield* routedNode(directory), yield* routedNode(directory)]
      const server = yield* routedNode(directory, { drainTimeout: "20 seconds" })
      const { sid, url } = yield* foreign([owner, server])
      // The server waits until a client of its own comes and learns of the end.
      const own = yield* foreign([server, server])
      const closing = yield* Effect.forkChild(server.close, { startImmediately: true })
      const refused = yield* Effect.promise(() => upgrade(server.url, { sid }))
      assert.deepStrictEqual([refused.status, refused.body], [503, "Forbidden"])
      assert.isUndefined(closing.pollUnsafe())
      // The session goes on.
      assert.strictEqual((yield* Effect.promise(() => request(url, { method: "POST", body: "40" }))).body, "ok")
      assert.strictEqual((yield* Effect.promise(() => request(own.url))).body, "1")
      yield* Fiber.join(closing)
      assert.strictEqual((yield* Effect.promise(() => upgrade(third.url, { sid }))).status, 101)
    })
  )
})
