/**
 * What the server that is attacked has on request: RPC, streams, presence, messages that are handled
 * once, the Admin UI, recovery, rights that are refreshed, handlers that wait for one another, limits
 * of connections, and another server that passes requests on.
 */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"

import { Context, Effect, Layer, Schema } from "effect"

import { makeMemory, NodeDirectory } from "../../src/engine/NodeDirectory.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as NodeSessionRouting from "../../src/node/NodeSessionRouting.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { FeaturesLive } from "./cost/features.ts"
import { namespaces } from "./memory.ts"

class CurrentUser extends Context.Service<CurrentUser, { readonly name: string }>()("hostile/CurrentUser") {}

class Authentication extends NamespaceMiddleware.Service<Authentication>()("hostile/Authentication", {
  provides: CurrentUser,
  auth: Schema.Struct({ token: Schema.String }),
  refresh: { event: "auth", same: (before, now) => before.name === now.name }
}) {}

class Account extends Namespace.make("/account", {
  clientToServer: [Event.make("whoami", { ack: Schema.String })]
}).middleware(Authentication) {}

const AccountLive = SocketIoServer.layerNamespace(Account, () =>
  Effect.succeed(Account.of({ whoami: () => Effect.map(CurrentUser, ({ name }) => name) }))
).pipe(
  Layer.provide(
    Layer.succeed(Authentication, ({ auth, expires }) => Effect.as(expires("1 hour"), { name: auth.token.slice(0, 1) }))
  )
)

class Queued extends Namespace.make("/queued", {
  clientToServer: [
    Event.make("one", { payload: Schema.Int, ack: Schema.Int, concurrency: 1 }),
    Event.make("two", { payload: Schema.Int, ack: Schema.Int, concurrency: 2 })
  ]
}) {}

/** A handler that insists that there are no more of it at once; it takes as many milliseconds as it was sent. */
const taking = (most: number) => {
  let running = 0
  return (millis: number) =>
    Effect.suspend(() => {
      if (++running > most) throw new Error(`more than ${most} handlers run at once`)
      return Effect.as(Effect.sleep(Math.min(millis, 5)), millis)
    }).pipe(Effect.ensuring(Effect.sync(() => running--)))
}

const QueuedLive = SocketIoServer.layerNamespace(Queued, () =>
  Effect.succeed(Queued.of({ one: taking(1), two: taking(2) }))
)

/** Polling sessions that are left end in ten seconds instead of 45. */
const HEARTBEAT = { pingInterval: "5 seconds", pingTimeout: "5 seconds" } as const

export const features = Layer.mergeAll(namespaces, FeaturesLive, AccountLive, QueuedLive)

/** How many connections the limited server takes, and how many of one address. */
export const LIMITS = { maxConnections: 40, maxConnectionsPerAddress: 10 } as const

const listening = Effect.fnUntraced(function* <A, E, R>(
  serve: (http: Server) => Layer.Layer<A | SocketIoServer.SocketIoServer, E, R>
) {
  const http = createServer((_request, response) => response.writeHead(404, { "content-length": 0 }).end())
  const context = yield* Layer.build(serve(http))
  yield* Effect.promise(() => new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve)))
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    sessions: Context.get(context, SocketIoServer.SocketIoServer).connectionCount
  }
})

/** A server with all of it, another one that it knows, and one that takes few connections. */
export const featureServers = Effect.gen(function* () {
  const directory = Layer.succeed(NodeDirectory, makeMemory())
  const routed = listening((http) =>
    Layer.provideMerge(
      features,
      NodeSocketIoServer.layerAttached(http, { allowEIO3: true, recovery: true, heartbeat: HEARTBEAT }).pipe(
        Layer.provide(Layer.provide(NodeSessionRouting.layer(), directory))
      )
    )
  )
  const limited = listening((http) =>
    Layer.provideMerge(
      namespaces,
      NodeSocketIoServer.layerAttached(http, { limits: LIMITS, trustedProxies: 1, heartbeat: HEARTBEAT })
    )
  )
  return { features: yield* routed, owner: yield* routed, limited: yield* limited }
})
