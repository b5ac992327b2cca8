/**
 * The choice of the adapter: in memory for one process, or another one for a cluster.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

import type { Factory } from "./Adapter.ts"
import * as InMemoryAdapter from "./InMemoryAdapter.ts"

/**
 * The factory that a server uses for all its namespaces. Default: in memory, for one process.
 *
 * **Example** (Another adapter for all namespaces of a server)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { Adapter, AdapterFactory, InMemoryAdapter } from "effect-socket.io/adapter"
 * import { NodeSocketIoServer } from "effect-socket.io/node"
 *
 * const logged: Adapter.Factory = (host) =>
 *   Effect.tap(InMemoryAdapter.make(host), () => Effect.logInfo("a namespace has opened"))
 *
 * const Server = NodeSocketIoServer.layer({ port: 3000 }).pipe(
 *   Layer.provide(Layer.succeed(AdapterFactory.AdapterFactory, logged))
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const AdapterFactory: Context.Reference<Factory> = Context.Reference<Factory>(
  "effect-socket.io/adapter/AdapterFactory",
  { defaultValue: () => InMemoryAdapter.make }
)
