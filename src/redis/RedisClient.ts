/**
 * Redis as the adapters need it, over the client that an application has: the packages `redis` and
 * `ioredis`, each for one server and for a Redis Cluster.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

import * as Commands from "./internal/commands.ts"
import type { Driver } from "./internal/driver.ts"
import * as ioredisDriver from "./internal/ioredisDriver.ts"
import * as Line from "./internal/line.ts"
import * as nodeRedisDriver from "./internal/nodeRedisDriver.ts"
import * as Routes from "./internal/routes.ts"
import * as Subscriptions from "./internal/subscriptions.ts"
import type { Command, Reply, SubscriptionKind } from "./RedisCommand.ts"
import { RedisError } from "./RedisError.ts"

/**
 * The news of a subscription. Functions are called in the turn in which something comes, and must
 * not throw.
 *
 * @since 0.1.0
 * @category models
 */
export interface SubscriptionHandlers {
  readonly onMessage: (channel: string, message: Uint8Array) => void
  /**
   * Redis has confirmed the subscription: messages come from now on. Called after each outage, too.
   */
  readonly onConfirmed?: () => void
  /** The connection was lost: messages do not come until the next confirmation. */
  readonly onInterrupted?: () => void
}

/**
 * A subscription. It lasts, over all outages, until it is ended or the scope of the client closes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Subscription {
  readonly isConfirmed: () => boolean
  readonly unsubscribe: () => void
}

/**
 * How commands are sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommandOptions {
  /** In a Redis Cluster: the key that decides the server. Without it, any server. */
  readonly key?: string
  /** Whether strings of bytes in replies are `Uint8Array` instead of text. Default: no. */
  readonly bytes?: boolean
  /** After this the commands fail. Default: 5 seconds. */
  readonly timeout?: Duration.Input
}

/**
 * A connection of its own for commands that block.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reader {
  /**
   * Runs one command. The connection is made again if the reply does not come within the timeout.
   */
  readonly command: (command: Command, options?: CommandOptions) => Effect.Effect<Reply, RedisError>
  /** Waits for a connection. */
  readonly whenUp: Effect.Effect<void>
}

/**
 * Settings of a client of ours.
 *
 * @since 0.1.0
 * @category models
 */
export interface RedisClientOptions {
  /** For how long a new connection may take until it is ready. Default: 3 seconds. */
  readonly connectTimeout?: Duration.Input
  /** A server that has said nothing for so long is asked whether it is there. Default: 1 second. */
  readonly pingInterval?: Duration.Input
  /** A server that then says nothing for so long is taken for dead. Default: 3 seconds. */
  readonly pingTimeout?: Duration.Input
  /**
   * The delays between attempts to connect. A connection that has lasted for a second is made again
   * at once; the delays are for attempts that fail and connections that end sooner. Default: 50 ms,
   * doubling up to 1 second, with jitter.
   */
  readonly reconnection?: Schedule.Schedule<unknown>
}

/**
 * Redis, as the adapters use it.
 *
 * **Details**
 *
 * It takes the settings of the client that it is made from, and opens connections of its own: one
 * for commands and one for subscriptions, for each master of a Redis Cluster that it needs. It
 * connects in the background, notices within some seconds that a server hangs, and connects again
 * for as long as its scope is open. An outage neither ends the process nor queues commands.
 *
 * **Example** (With the package `redis`)
 *
 * ```ts
 * const RedisLive = RedisClient.layer(
 *   Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url: "redis://localhost" })))
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class RedisClient extends Context.Service<
  RedisClient,
  {
    /**
     * Sends commands in one pipeline, in their order. Fails with the first error among the replies.
     */
    readonly execute: (
      commands: ReadonlyArray<Command>,
      options?: CommandOptions
    ) => Effect.Effect<ReadonlyArray<Reply>, RedisError>
    /** Sends one command. */
    readonly command: (command: Command, options?: CommandOptions) => Effect.Effect<Reply, RedisError>
    /** Subscribes, at once if there is a connection, and again after each outage. Never throws. */
    readonly subscribe: (kind: SubscriptionKind, name: string, handlers: SubscriptionHandlers) => Subscription
    /**
     * The number of subscribers of a channel; in a Redis Cluster at all masters, or at the one of a
     * sharded channel.
     */
    readonly numSub: (channel: string, isSharded: boolean) => Effect.Effect<number, RedisError>
    /** Opens a connection for commands that block, to the server of a key. */
    readonly reader: (key: string) => Effect.Effect<Reader, never, Scope.Scope>
    /** Whether commands can be sent and all subscriptions are confirmed. */
    readonly isConnected: () => boolean
    /**
     * When that changed last, in milliseconds of the Clock; -Infinity before the first connection.
     */
    readonly changedAt: () => number
    /** Calls back after a change of `isConnected`, and perhaps without one. Gives how to stop. */
    readonly onChange: (listener: () => void) => () => void
    /** Whether it is a Redis Cluster. */
    readonly isCluster: boolean
  }
>()("effect-socket.io/redis/RedisClient") {}

/**
 * A client of the package `redis`, as `createClient` makes it.
 *
 * @since 0.1.0
 * @category models
 */
export interface NodeRedisClient {
  readonly options?: unknown
  readonly withTypeMapping: unknown
  readonly duplicate: (...args: ReadonlyArray<never>) => unknown
  readonly sendCommand: (...args: ReadonlyArray<never>) => unknown
}

/**
 * A client of the package `redis` for a Redis Cluster, as `createCluster` makes it.
 *
 * @since 0.1.0
 * @category models
 */
export interface NodeRedisCluster {
  readonly masters: ReadonlyArray<unknown>
  readonly nodeByAddress: unknown
  readonly nodeClient: (...args: ReadonlyArray<never>) => unknown
}

/**
 * A client of the package `ioredis`.
 *
 * @since 0.1.0
 * @category models
 */
export interface IoredisClient {
  readonly options: object
  readonly callBuffer: (...args: ReadonlyArray<never>) => unknown
  readonly duplicate: (...args: ReadonlyArray<never>) => unknown
}

/**
 * A client of the package `ioredis` for a Redis Cluster.
 *
 * @since 0.1.0
 * @category models
 */
export interface IoredisCluster {
  readonly nodes: (...args: ReadonlyArray<never>) => unknown
  readonly status: string
}

/** The delays between attempts to connect, if no others are given. */
const reconnection = Schedule.min([
  Schedule.exponential(Duration.millis(50)),
  Schedule.spaced(Duration.seconds(1))
]).pipe(Schedule.jittered)

/** Between two lines of log about the same kind of problem, in milliseconds. */
const LOG_INTERVAL = 5_000

/** Errors that say that the command has to go elsewhere. */
const isElsewhere = (error: RedisError): boolean =>
  error.reason._tag === "Refused" && /^(MOVED|ASK|CLUSTERDOWN|READONLY|MASTERDOWN)\b/.test(error.message)

const makeReader = (
  driver: Driver,
  routes: Routes.Routes,
  key: string,
  options: Line.LineOptions,
  onProblem: (cause: unknown) => void
): Effect.Effect<Reader, never, Scope.Scope> =>
  Effect.gen(function* () {
    const up = yield* Latch.make(false)
    const line = yield* Line.make(
      driver,
      () => routes.laneOf(key)?.address,
      { onUp: () => void up.openUnsafe(), onDown: () => void up.closeUnsafe(), onProblem },
      // A command that blocks also blocks the answer to a ping: its own timeout is the heartbeat.
      { ...options, pingInterval: 0 }
    )
    return {
      whenUp: up.await,
      command: (command, commandOptions = {}) =>
        Commands.execute(line, [command], commandOptions).pipe(
          Effect.map(([reply]) => reply!),
          Effect.tapError((error) =>
            Effect.sync(() => {
              if (isElsewhere(error)) routes.refresh()
              if (error.reason._tag === "Timeout" || isElsewhere(error)) line.reset(error)
            })
          )
        )
    }
  })

/** Makes the service over a driver. */
const make = (
  driver: Driver,
  options: RedisClientOptions = {}
): Effect.Effect<RedisClient["Service"], never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const run = Effect.runForkWith(yield* Effect.context<never>())
    let loggedAt = -Infinity
    const onProblem = (cause: unknown) => {
      const isRefused = cause instanceof RedisError && cause.reason._tag === "Refused"
      const now = clock.currentTimeMillisUnsafe()
      if (!isRefused) run(Effect.logDebug("redis: a connection has ended", cause))
      else if (now - loggedAt >= LOG_INTERVAL) {
        loggedAt = now
        run(Effect.logWarning("redis: a command was refused", cause))
      }
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => driver.guard(onProblem)),
      (stop) => Effect.sync(stop)
    )
    const lineOptions: Line.LineOptions = {
      connectTimeout: Duration.toMillis(options.connectTimeout ?? "3 seconds"),
      pingInterval: Duration.toMillis(options.pingInterval ?? "1 second"),
      pingTimeout: Duration.toMillis(options.pingTimeout ?? "3 seconds"),
      reconnection: options.reconnection ?? reconnection
    }
    const routes = yield* Routes.make(driver, lineOptions, onProblem)
    const subscriptions = yield* Subscriptions.make(driver, routes, lineOptions, onProblem)

    const laneFor = (key: string | undefined) => (key === undefined ? routes.commonLane() : routes.laneOf(key))
    const execute = (commands: ReadonlyArray<Command>, commandOptions: CommandOptions = {}) =>
      Effect.suspend(() => Commands.execute(laneFor(commandOptions.key)?.line, commands, commandOptions)).pipe(
        Effect.tapError((error) => (isElsewhere(error) ? Effect.sync(routes.refresh) : Effect.void))
      )
    const service: RedisClient["Service"] = {
      execute,
      command: (command, commandOptions) => Effect.map(execute([command], commandOptions), ([reply]) => reply!),
      subscribe: subscriptions.subscribe,
      numSub: (channel, isSharded) => Commands.numSub(routes, channel, isSharded),
      reader: (key) => makeReader(driver, routes, key, lineOptions, onProblem),
      isConnected() {
        const lanes = routes.lanes()
        return lanes.length > 0 && lanes.every(({ line }) => line.connection !== undefined) && subscriptions.isUp()
      },
      changedAt: () => Math.max(subscriptions.changedAt(), ...routes.lanes().map(({ line }) => line.changedAt)),
      onChange(listener) {
        const stops = [routes.onChange(listener), subscriptions.onChange(listener)]
        return () => {
          for (const stop of stops) stop()
        }
      },
      isCluster: routes.isCluster
    }
    Routes.register(service, routes)
    return service
  })

/**
 * Redis through a client of the package `redis` (version 5 and later).
 *
 * **Details**
 *
 * Its settings are used, and not its connection: it need not be connected. It stays the caller's to
 * close. Its `error` events do not end the process, also after the scope has closed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromNodeRedis = (client: NodeRedisClient, options?: RedisClientOptions) =>
  make(nodeRedisDriver.single(client), options)

/**
 * Redis Cluster through a client of the package `redis`. It is connected if it is not yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromNodeRedisCluster = (cluster: NodeRedisCluster, options?: RedisClientOptions) =>
  make(nodeRedisDriver.cluster(cluster), options)

/**
 * Redis through a client of the package `ioredis` (version 5 and later), also one that finds its
 * server through Sentinel.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromIoredis = (client: IoredisClient, options?: RedisClientOptions) =>
  make(ioredisDriver.single(client), options)

/**
 * Redis Cluster through a client of the package `ioredis`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromIoredisCluster = (cluster: IoredisCluster, options?: RedisClientOptions) =>
  make(ioredisDriver.cluster(cluster), options)

/**
 * Provides Redis, made by one of the constructors of this module.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E, R>(
  client: Effect.Effect<RedisClient["Service"], E, R>
): Layer.Layer<RedisClient, E, Exclude<R, Scope.Scope>> => Layer.effect(RedisClient, client)
