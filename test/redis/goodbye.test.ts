/**
 * The end of a server of a cluster: the others are told, and nothing of that counts as lost.
 */
import * as Http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Scope } from "effect"

import { ClusterStatus } from "../../src/adapter/ClusterStatus.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as RedisAdapter from "../../src/redis/RedisAdapter.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisStreamsAdapter from "../../src/redis/RedisStreamsAdapter.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { requires } from "../support/peers.ts"
import { client, wait } from "../support/redisClients.ts"
import { redis, type RunningServers } from "../support/redisServer.ts"

const adapters = [
  ["the classic adapter", RedisAdapter.layer(), "channel", "socket.io-request#/#"],
  ["the sharded adapter", RedisAdapter.layerSharded(), "sharded", "socket.io#/#"],
  ["the adapter over streams", RedisStreamsAdapter.layer(), "channel", "socket.io#/#"]
] as const

/** A server that sends nothing, with what it logs. */
const quietServer = Effect.fnUntraced(function* (
  running: RunningServers,
  adapter: Layer.Layer<ClusterStatus, never, RedisClient.RedisClient>
) {
  const logs: Array<string> = []
  const scope = yield* Scope.fork(yield* Effect.scope)
  const service = yield* client("redis", running)
  yield* SocketIoServer.layerNamespace("/", () => Effect.void).pipe(
    Layer.provideMerge(NodeSocketIoServer.layerAttached(Http.createServer())),
    Layer.provide(adapter),
    Layer.provide(Layer.succeed(RedisClient.RedisClient, service)),
    Layer.provide(Logger.layer([Logger.make(({ message }) => void logs.push([message].flat().join(" ")))])),
    Layer.buildWithScope(scope)
  )
  yield* wait("the subscriptions", () => service.isConnected())
  return { close: Scope.close(scope, Exit.void), logs, service }
})

describe("A server of a cluster", requires("Redis"), () => {
  for (const [name, adapter, kind, channel] of adapters) {
    it.live(`that has sent nothing says goodbye as its first message, through ${name}`, () =>
      Effect.gen(function* () {
        const running = yield* redis()
        const heard: Array<string> = []
        const spy = yield* client("redis", running)
        const subscription = spy.subscribe(kind, channel, {
          onMessage: (_, body) => void heard.push(Buffer.from(body).toString("latin1"))
        })
        yield* wait("the subscription", () => subscription.isConfirmed())
        const { close, logs } = yield* quietServer(running, adapter)
        yield* close
        yield* wait("the goodbye", () => heard.length > 0)
        assert.lengthOf(heard, 1)
        assert.deepStrictEqual(logs, ["cluster: connected"])
      })
    )
  }

  it.live("has nobody to say goodbye to without Redis, and counts no loss", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      const { close, logs, service } = yield* quietServer(running, RedisAdapter.layer())
      yield* Effect.promise(() => running.server.kill())
      yield* wait("the loss of the connection", () => !service.isConnected())
      yield* close
      assert.deepStrictEqual(logs, ["cluster: connected", "cluster: connection lost"])
    })
  )
})
