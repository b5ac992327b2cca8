/**
 * The adapter for several processes of one machine: the workers of Node's cluster module.
 *
 * @since 0.1.0
 */
import cluster from "node:cluster"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

import type { Factory } from "../adapter/Adapter.ts"
import { AdapterFactory } from "../adapter/AdapterFactory.ts"
import type { LinkFactory } from "../adapter/ClusterLink.ts"
import { type ClusterMonitor, ClusterStatus, makeMonitor } from "../adapter/ClusterStatus.ts"
import * as DistributedAdapter from "../adapter/DistributedAdapter.ts"
import * as InMemoryAdapter from "../adapter/InMemoryAdapter.ts"
import { integer, millis } from "../engine/OptionReaders.ts"
import { RandomBytes } from "../engine/SessionId.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { Line } from "./internal/line.ts"
import { MAX_BUFFER, type Send } from "./internal/outbox.ts"

/**
 * Options of the adapter for workers of Node's cluster module.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options extends DistributedAdapter.Options {
  /**
   * The bytes of messages that may wait for a primary that is slow. Further messages are dropped
   * and counted. Default: 16 MiB.
   */
  readonly maxBuffer?: number
  /**
   * After so long without another message, a server tells the others that it is there. Default: 5
   * seconds.
   */
  readonly heartbeatInterval?: Duration.Input
  /**
   * A server that was not heard for so long is taken for dead. It has to be longer than the
   * interval of all servers. Default: 10 seconds.
   */
  readonly heartbeatTimeout?: Duration.Input
}

/**
 * The adapter of a worker of Node's cluster module: namespaces reach the sockets of all workers.
 *
 * **Details**
 *
 * The primary has to run `ClusterPrimary.setup`, or `setupPrimary()` of
 * `@socket.io/cluster-adapter`. Workers with the official server may be in the same cluster. With a
 * primary of this library, the messages of one turn of the event loop leave in one system call, and
 * the death of a worker is known to the others at once. With an official primary it is known after
 * `heartbeatTimeout`.
 *
 * The layer also provides {@link ClusterStatus}. It fails with `InvalidOptionError` on an option
 * that makes no sense. When its scope closes, the others learn that this server has left.
 *
 * **Gotchas**
 *
 * - In a process that is not a worker there are no other servers. The layer works then, and writes
 *   a warning.
 * - An official primary has to set `serialization: "advanced"`: otherwise bytes arrive damaged.
 *
 * **Example** (A server on every core)
 *
 * ```ts
 * const Server = ChatLive.pipe(
 *   Layer.provide(NodeSocketIoServer.layer({ port: 3000, transports: ["websocket"] })),
 *   Layer.provide(ClusterAdapter.layer())
 * )
 *
 * NodeRuntime.runMain(ClusterPrimary.run(Layer.launch(Server)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<ClusterStatus, InvalidOptionError> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const monitor = yield* makeMonitor
      return Context.make(ClusterStatus, monitor.status).pipe(
        Context.add(AdapterFactory, yield* makeFactory(monitor, options))
      )
    })
  )

/** Between two looks for servers that are silent. */
const SWEEP_INTERVAL = "1 second"

const makeFactory = Effect.fnUntraced(function* (
  monitor: ClusterMonitor,
  options: Options
): Effect.fn.Return<Factory, InvalidOptionError, Scope.Scope> {
  const clock = yield* Clock.Clock
  const fill = yield* RandomBytes
  const line = new Line(sendToPrimary, monitor, {
    maxBuffer: yield* integer("maxBuffer", options.maxBuffer, MAX_BUFFER, 1),
    heartbeatInterval: yield* millis("heartbeatInterval", options.heartbeatInterval, 5_000, 1),
    heartbeatTimeout: yield* millis("heartbeatTimeout", options.heartbeatTimeout, 10_000, 1),
    now: () => clock.currentTimeMillisUnsafe()
  })
  if (!cluster.isWorker) {
    yield* Effect.logWarning("cluster: this process is not a worker, so there are no other servers")
    monitor.connected(true)
    return InMemoryAdapter.make
  }
  yield* listen(line)
  yield* Effect.forkScoped(
    Effect.repeat(
      Effect.sync(() => line.sweep()),
      Schedule.spaced(SWEEP_INTERVAL)
    )
  )
  const open: LinkFactory = (namespace, receiver) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => line.open(randomId(fill), namespace, receiver)),
        (link) => Effect.sync(() => line.close(link))
      ),
      // Adapters take copies of links, so it has no methods of a class.
      (link) => ({
        uid: link.uid,
        servers: link.servers,
        send: (message) => link.send(message),
        answer: (to, answer) => link.answer(to, answer)
      })
    )
  return (host) => DistributedAdapter.make(host, open, monitor, options)
})

const sendToPrimary: Send = (message, done) => void process.send!(message, undefined, undefined, done)

/** Takes the messages of the primary, until the scope closes. */
const listen = (line: Line): Effect.Effect<void, never, Scope.Scope> => {
  const onMessage = (message: unknown) => line.onMessage(message)
  const onDisconnect = () => line.monitor.connected(false)
  return Effect.acquireRelease(
    Effect.sync(() => {
      line.monitor.connected(process.connected)
      process.on("message", onMessage)
      process.on("disconnect", onDisconnect)
    }),
    () =>
      Effect.sync(() => {
        process.off("message", onMessage)
        process.off("disconnect", onDisconnect)
      })
  )
}

/** 16 hex digits, as official servers have them. */
const randomId = (fill: (bytes: Uint8Array<ArrayBuffer>) => void): string => {
  const bytes = new Uint8Array(8)
  fill(bytes)
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
}
