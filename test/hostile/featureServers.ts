/**
 * What the server that is attacked has on request: RPC, streams, presence, messages that are handled
 * once, the Admin UI, recovery, rights that are refreshed, and another server that passes requests on.
 */
import { createServer } from "node:http"
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

/** Polling sessions that are left end in ten seconds instead of 45. */
const HEARTBEAT = { pingInterval: "5 seconds", pingTimeout: "5 seconds" } as const

export const features = Layer.mergeAll(namespaces, FeaturesLive, AccountLive)

/** A server with all of it, and another one that it knows. */
export const routedServers = Effect.gen(function* () {
  const directory = Layer.succeed(NodeDirectory, makeMemory())
  const start = Effect.gen(function* () {
    const http = createServer((_request, response) => response.writeHead(404, { "content-length": 0 }).end())
    const server = NodeSocketIoServer.layerAttached(http, {
      allowEIO3: true,
      recovery: true,
      heartbeat: HEARTBEAT
    }).pipe(Layer.provide(Layer.provide(NodeSessionRouting.layer(), directory)))
    const context = yield* Layer.build(Layer.provideMerge(features, server))
    yield* Effect.promise(() => new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve)))
    return {
      url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
      sessions: Context.get(context, SocketIoServer.SocketIoServer).connectionCount
    }
  })
  return { features: yield* start, owner: yield* start }
})
