/**
 * Emits events to the clients of a cluster from a process that is no server of it: a worker, a job,
 * a script.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

import { formatName } from "../internal/contractCodec.ts"
import { compiledOf } from "../internal/schemaCompiler.ts"
import * as Namespace from "../Namespace.ts"
import type { EmitterNamespace } from "./EmitterOperator.ts"
import { makeNamespace } from "./internal/emitter.ts"
import * as Wires from "./internal/emitterWires.ts"
import { makeTrimmer } from "./internal/retention.ts"
import { makeSender, type Send } from "./internal/sender.ts"
import { RedisClient } from "./RedisClient.ts"

/**
 * The functions of a {@link RedisEmitter}.
 *
 * @since 0.1.0
 * @category models
 */
export interface RedisEmitterShape {
  /** See {@link namespace}. */
  readonly namespace: {
    (namespace: string): Effect.Effect<EmitterNamespace<Namespace.Untyped>>
    <N extends Namespace.Static>(namespace: N): Effect.Effect<EmitterNamespace<N>>
  }
  /** See {@link dynamicNamespace}. */
  readonly dynamicNamespace: <N extends Namespace.Dynamic>(
    namespace: N,
    params: Namespace.Params<N>
  ) => Effect.Effect<EmitterNamespace<N>>
}

/**
 * Emits to the clients of a cluster over Redis, and acts on its sockets, without being one of its
 * servers: nothing is subscribed to, and no server counts it.
 *
 * **Details**
 *
 * An effect ends when Redis has confirmed the message. It fails with a `RedisError` if it has not:
 * after `timeout` without a connection (`Disconnected`) or without a reply (`Timeout`), when the
 * connection is lost before the reply (`Disconnected`), or when Redis refuses the message
 * (`Refused`). After a loss or a timeout the message may have been sent: to emit it again may
 * deliver it twice. Nothing is queued for later.
 *
 * All emits of one turn of the event loop leave in one pipeline: emit many events with
 * `concurrency`.
 *
 * A payload that its schema refuses is a defect, as on a server.
 *
 * **Gotchas**
 *
 * The layer must be the one for the adapter of the servers: {@link layer} for `RedisAdapter.layer`,
 * {@link layerSharded} for `RedisAdapter.layerSharded`, {@link layerStreams} for
 * `RedisStreamsAdapter.layer`. Redis confirms what no server understands, too.
 *
 * **Example** (A job that tells the members of a room)
 *
 * ```ts
 * const job = Effect.gen(function*() {
 *   const chat = yield* RedisEmitter.namespace(Chat)
 *   yield* chat.to("lobby").emit("message", new ChatMessage({ room: "lobby", text: "the report is ready" }))
 * })
 *
 * const EmitterLive = RedisEmitter.layer().pipe(Layer.provide(RedisLive))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class RedisEmitter extends Context.Service<RedisEmitter, RedisEmitterShape>()(
  "effect-socket.io/redis/RedisEmitter"
) {}

/**
 * Options of every emitter over Redis.
 *
 * @since 0.1.0
 * @category options
 */
export interface RedisEmitterOptions {
  /** The first part of all channels, as the servers have it. Default: `socket.io`. */
  readonly key?: string
  /**
   * For how long a message waits for a connection, and then for its confirmation. Default: 5
   * seconds.
   */
  readonly timeout?: Duration.Input
}

/**
 * Options of an emitter over sharded channels.
 *
 * @since 0.1.0
 * @category options
 */
export interface ShardedEmitterOptions extends RedisEmitterOptions {
  /**
   * The mode of the servers: whether rooms have channels of their own (`dynamic`), or not
   * (`static`). An emitter with `static` reaches servers of every mode, and `dynamic` those of
   * every mode with such channels. Default: `dynamic`.
   */
  readonly subscriptionMode?: "dynamic" | "static"
}

/**
 * Options of an emitter over a stream, as the servers have them.
 *
 * @since 0.1.0
 * @category options
 */
export interface StreamsEmitterOptions extends Omit<RedisEmitterOptions, "key"> {
  /** The name of the stream. Default: `socket.io`. */
  readonly streamName?: string
  /** The number of streams, over which namespaces are spread. Default: 1. */
  readonly streamCount?: number
  /**
   * The number of entries that the stream keeps, about. Default: 10,000. Where the servers have
   * recovery on, the stream keeps what their clients may have missed instead: they tell for how
   * long in the key `{<streamName>}:retention`.
   */
  readonly maxLen?: number
  /** Whether no event has bytes, so that none are looked for. Default: false. */
  readonly onlyPlaintext?: boolean
}

const layerOf = (
  encoders: Wires.Encoders,
  timeout: Duration.Input = Duration.seconds(5),
  prepare: (send: Send) => Effect.Effect<Send> = Effect.succeed
) =>
  Layer.effect(
    RedisEmitter,
    Effect.gen(function* () {
      const send = yield* prepare(makeSender(yield* RedisClient, timeout, yield* Effect.context<never>()))
      const open = (name: string, contract: Namespace.Any | undefined): EmitterNamespace<any> => {
        const compiled = contract === undefined || contract.untyped ? undefined : compiledOf(contract)
        Namespace.checkName(name)
        return makeNamespace({ name, contract: compiled, encode: encoders(name), send })
      }
      const shape: RedisEmitterShape = {
        namespace: (namespace: string | Namespace.Any) =>
          Effect.sync(() =>
            typeof namespace === "string" ? open(namespace, undefined) : open(namespace._tag, namespace)
          ),
        dynamicNamespace: (namespace, params) =>
          Effect.sync(() => open(formatName(compiledOf(namespace), params), namespace))
      }
      return shape
    })
  )

/**
 * Emits to servers with `RedisAdapter.layer`, or official ones with `createAdapter`. The messages
 * are those of the official package `@socket.io/redis-emitter` 5.
 *
 * The layer is there at once, and does not fail while Redis is away.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: RedisEmitterOptions = {}): Layer.Layer<RedisEmitter, never, RedisClient> =>
  layerOf(Wires.classic(options.key ?? "socket.io"), options.timeout)

/**
 * The same as {@link layer}, with configured options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<RedisEmitterOptions>
): Layer.Layer<RedisEmitter, Config.ConfigError, RedisClient> => Layer.unwrap(Effect.map(Config.unwrap(options), layer))

/**
 * Emits to servers with `RedisAdapter.layerSharded`, or official ones with `createShardedAdapter`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSharded = (options: ShardedEmitterOptions = {}): Layer.Layer<RedisEmitter, never, RedisClient> =>
  layerOf(Wires.sharded(options.key ?? "socket.io", options.subscriptionMode ?? "dynamic"), options.timeout)

/**
 * The same as {@link layerSharded}, with configured options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerShardedConfig = (
  options: Config.Wrap<ShardedEmitterOptions>
): Layer.Layer<RedisEmitter, Config.ConfigError, RedisClient> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layerSharded))

/**
 * Emits to servers with `RedisStreamsAdapter.layer`, or official ones with the package
 * `@socket.io/redis-streams-adapter` 0.3. Every message is an entry of the stream: a server that is
 * away reads it later. What no server would read is a defect: more than 16 MiB, or more than 97
 * levels of nesting.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStreams = (options: StreamsEmitterOptions = {}): Layer.Layer<RedisEmitter, never, RedisClient> =>
  layerOf(
    Wires.streams({
      streamName: options.streamName ?? "socket.io",
      streamCount: options.streamCount ?? 1,
      onlyPlaintext: options.onlyPlaintext ?? false
    }),
    options.timeout,
    (send) => Effect.map(makeTrimmer(send, options.maxLen ?? 10_000), (trimmer) => Wires.trimming(send, trimmer))
  )

/**
 * The same as {@link layerStreams}, with configured options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStreamsConfig = (
  options: Config.Wrap<StreamsEmitterOptions>
): Layer.Layer<RedisEmitter, Config.ConfigError, RedisClient> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layerStreams))

/**
 * A namespace, to emit in it: the events of a contract, or any event for a name. It need not be
 * served anywhere.
 *
 * @since 0.1.0
 * @category accessors
 */
export const namespace: {
  /** A namespace, to emit any event in it. A name that is none is a defect. */
  (namespace: string): Effect.Effect<EmitterNamespace<Namespace.Untyped>, never, RedisEmitter>
  /** A namespace, to emit its `serverToClient` and `serverToServer` events. */
  <N extends Namespace.Static>(namespace: N): Effect.Effect<EmitterNamespace<N>, never, RedisEmitter>
} = (namespace: string | Namespace.Any): Effect.Effect<EmitterNamespace<any>, never, RedisEmitter> =>
  // A union of arguments fits neither of the two overloads.
  Effect.flatMap(RedisEmitter, (emitter) => emitter.namespace(namespace as any))

/**
 * The namespace of a dynamic contract that has these parameters. Parameters that make no name of
 * the pattern are a defect.
 *
 * @since 0.1.0
 * @category accessors
 */
export const dynamicNamespace = <N extends Namespace.Dynamic>(
  namespace: N,
  params: Namespace.Params<N>
): Effect.Effect<EmitterNamespace<N>, never, RedisEmitter> =>
  Effect.flatMap(RedisEmitter, (emitter) => emitter.dynamicNamespace(namespace, params))
