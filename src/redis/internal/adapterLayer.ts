import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

import type { Factory, Host } from "../../adapter/Adapter.ts"
import { AdapterFactory } from "../../adapter/AdapterFactory.ts"
import type { LinkFactory } from "../../adapter/ClusterLink.ts"
import { ClusterStatus, makeMonitor } from "../../adapter/ClusterStatus.ts"
import * as DistributedAdapter from "../../adapter/DistributedAdapter.ts"
import type { RedisAdapterOptions } from "../RedisAdapterOptions.ts"
import { RedisClient } from "../RedisClient.ts"
import { type Bus, makeBus } from "./bus.ts"

/** The layer of an adapter over Redis, of the links that it has. */
export const adapterLayer = (
  options: RedisAdapterOptions,
  links: (bus: Bus) => Effect.Effect<LinkFactory, never, Scope.Scope>,
  sharesLog = false
): Layer.Layer<ClusterStatus, never, RedisClient> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const monitor = yield* makeMonitor
      const bus = yield* makeBus(yield* RedisClient, monitor, options)
      const open = yield* links(bus)
      const factory: Factory = Object.assign((host: Host) => DistributedAdapter.make(host, open, monitor, options), {
        sharesLog
      })
      return Context.make(ClusterStatus, monitor.status).pipe(Context.add(AdapterFactory, factory))
    })
  )
