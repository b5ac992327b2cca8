/**
 * Emitters that are no servers of the cluster.
 */
import { Emitter } from "@socket.io/redis-emitter"
import { Effect, Layer, ManagedRuntime } from "effect"
import { createClient, createCluster } from "redis"

import type * as EmitterOperator from "../../src/redis/EmitterOperator.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisEmitter from "../../src/redis/RedisEmitter.ts"
import type * as RedisError from "../../src/redis/RedisError.ts"
import type { Selection } from "./control.ts"
import type { ExternalEmitter } from "./operations.ts"

/** The official emitter of the classic adapter. */
export const officialEmitter = async (
  url: string
): Promise<ExternalEmitter & { readonly close: () => Promise<void> }> => {
  const client = await createClient({ url }).connect()
  const emitter = new Emitter(client)
  const select = ({ except = [], to = [], volatile }: Selection): any => {
    let target: any = emitter
    if (to.length > 0) target = target.to(to)
    if (except.length > 0) target = target.except(except)
    return volatile ? target.volatile : target
  }
  return {
    emit: (to, event, ...args) => select(to).emit(event, ...args),
    socketsJoin: (to, rooms) => select(to).socketsJoin(rooms),
    socketsLeave: (to, rooms) => select(to).socketsLeave(rooms),
    disconnectSockets: (to, close) => select(to).disconnectSockets(close),
    serverSideEmit: (event, ...args) => emitter.serverSideEmit(event, ...args),
    close: () => client.close()
  }
}

/** An emitter of this library, with the layer that is given. */
export const ownEmitter = (
  url: string,
  layer: Layer.Layer<RedisEmitter.RedisEmitter, never, RedisClient.RedisClient>
): ExternalEmitter & { readonly close: () => Promise<void> } => {
  const urls = url.split(",")
  const client = RedisClient.layer(
    Effect.suspend(() => {
      if (urls.length === 1) return RedisClient.fromNodeRedis(createClient({ url }))
      const cluster = createCluster({ rootNodes: urls.map((url) => ({ url })) })
      return Effect.andThen(
        Effect.addFinalizer(() => Effect.sync(() => cluster.destroy())),
        RedisClient.fromNodeRedisCluster(cluster)
      )
    })
  )
  const runtime = ManagedRuntime.make(Layer.provide(layer, client))
  type Emitted = Effect.Effect<void, RedisError.RedisError>
  const run = (emit: (target: EmitterOperator.EmitterOperator<any>) => Emitted, to: Selection) =>
    runtime.runPromise(
      Effect.flatMap(RedisEmitter.namespace(to.nsp ?? "/"), (namespace) => {
        let target: EmitterOperator.EmitterOperator<any> = namespace
        if (to.to !== undefined) target = target.to(to.to)
        if (to.except !== undefined) target = target.except(to.except)
        return emit(to.volatile ? target.volatile : target)
      })
    )
  return {
    emit: (to, event, ...args) => run((target) => target.emit(event, ...args), to),
    socketsJoin: (to, rooms) => run((target) => target.socketsJoin(rooms), to),
    socketsLeave: (to, rooms) => run((target) => target.socketsLeave(rooms), to),
    disconnectSockets: (to, close) => run((target) => target.disconnectSockets({ close }), to),
    serverSideEmit: (event, ...args) =>
      runtime.runPromise(
        Effect.flatMap(RedisEmitter.namespace("/"), (namespace) => namespace.serverSideEmit(event, ...args))
      ),
    close: () => runtime.dispose()
  }
}
