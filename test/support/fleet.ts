/**
 * Several servers in memory, under the test's clock, and a balancer that leads each new connection to one of them.
 */
import { Clock, Effect, Exit, Layer, Scheduler, Scope } from "effect"
import { TestClock } from "effect/testing"

import { ClientPlatform } from "../../src/engine/ClientPlatform.ts"
import type { EngineServer } from "../../src/engine/EngineServer.ts"
import { tagOf } from "../../src/engine/SessionId.ts"
import * as ClientExtras from "../../src/client/ClientExtras.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { NamespaceGrace } from "../../src/internal/namespaceGrace.ts"
import type { ServerOptions } from "../../src/server/ServerOptions.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { headOf, platformOf } from "../../src/testing/internal/clientEdge.ts"
import { serve } from "../../src/testing/internal/engineEdge.ts"
import * as Link from "../../src/testing/Link.ts"
import * as Network from "../../src/testing/Network.ts"
import * as Raw from "../../src/testing/RawPeer.ts"
import type { TestClientOptions } from "../../src/testing/TestSocketIo.ts"

export interface FleetServer {
  readonly name: string
  readonly shape: SocketIoServer.SocketIoServerShape
  readonly engine: EngineServer
  /** Closes its layers. */
  readonly close: Effect.Effect<void>
}

/** Servers that are started one by one. Until the test says otherwise, new connections go to the last one. */
export const makeFleet = Effect.fnUntraced(function* (
  namespaces: (name: string) => Layer.Layer<never, never, SocketIoServer.SocketIoServer>,
  options: ServerOptions = {}
) {
  const clock = yield* Clock.Clock
  const dispatcher = (yield* Scheduler.Scheduler).makeDispatcher()
  const medium = Network.makeMedium(
    Link.makeLater((task) => dispatcher.scheduleTask(task, 0)),
    undefined
  )
  let target: FleetServer | undefined
  const servers: Array<FleetServer> = []
  // Closing them takes time, which nobody else lets pass then.
  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      const closing = yield* Effect.forkChild(
        Effect.forEach(servers, ({ close }) => close),
        { startImmediately: true }
      )
      while (closing.pollUnsafe() === undefined) yield* TestClock.adjust("100 millis")
    })
  )

  const start = Effect.fnUntraced(function* (name: string) {
    const scope = yield* Scope.make()
    const shape = yield* SocketIoServer.make({ drainTimeout: 0, ...options }).pipe(
      Effect.provideService(NamespaceGrace, 0),
      Scope.provide(scope)
    )
    const service = Layer.succeed(SocketIoServer.SocketIoServer, shape)
    yield* Layer.buildWithScope(Layer.fresh(Layer.provide(namespaces(name), service)), scope)
    const server: FleetServer = { name, shape, engine: yield* shape.engine, close: Scope.close(scope, Exit.void) }
    server.engine.tagSessions(tagFor(servers.length))
    servers.push(server)
    target = server
    return server
  })

  const tagFor = (index: number) => String(index).padStart(4, "0")

  /** Requests of a session go to its server. */
  const serverOf = (url: string) => {
    const tag = tagOf(new URL(url, "http://localhost").searchParams.get("sid") ?? "")
    return tag === undefined ? target! : servers[Number(tag)]!
  }

  const network = () =>
    Network.make(medium, (end, request) =>
      serve(serverOf(request.url).engine, () => clock.currentTimeMillisUnsafe(), medium.later)(end, request)
    )

  /** A client of this library. */
  const client = (clientOptions: TestClientOptions = {}) =>
    SocketIoClient.make({
      url: "http://localhost",
      transports: ["websocket"],
      extras: ClientExtras.server,
      ...clientOptions
    }).pipe(Effect.provideService(ClientPlatform, platformOf(network(), { address: "127.0.0.1", headers: {} })))

  /** A client that speaks packets. */
  const raw = (query = "") =>
    Raw.connect(
      network(),
      headOf(
        { address: "127.0.0.1", headers: {} },
        { url: `http://localhost/socket.io/?EIO=4&transport=websocket${query}`, upgrade: true }
      )
    )

  return {
    start,
    client,
    raw,
    balance: (server: FleetServer) =>
      Effect.sync(() => {
        target = server
      })
  }
})
