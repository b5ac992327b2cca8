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
 * @since 0.1.0
 * @category services
 */
export const AdapterFactory: Context.Reference<Factory> = Context.Reference<Factory>(
  "effect-socket.io/adapter/AdapterFactory",
  { defaultValue: () => InMemoryAdapter.make }
)
