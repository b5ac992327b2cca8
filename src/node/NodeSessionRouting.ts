/**
 * Servers without sticky sessions: a request that reaches another server than the owner of its
 * session is passed on to the owner.
 *
 * @since 0.1.0
 */
import { randomBytes } from "node:crypto"
import type { AddressInfo } from "node:net"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"

import { type NodeAddress, NodeDirectory, type NodeDirectoryError } from "../engine/NodeDirectory.ts"
import { group, integer, millis, type Names, refuse } from "../engine/OptionReaders.ts"
import { drawTag } from "../engine/SessionId.ts"
import { type InvalidOptionError, TypeId } from "../SocketIoError.ts"
import * as Listener from "./internal/routing/listener.ts"
import { type Failure, SessionRouter } from "./internal/routing/sessionRouter.ts"

/**
 * Requests that this server has passed on to the owners of their sessions, by `kind`: `request`
 * (polling) and `upgrade` (WebSockets). With a balancer that keeps clients on their servers, both
 * stay at 0.
 *
 * @since 0.1.0
 * @category metrics
 */
export const requestsForwarded: Metric.Counter<number> = Metric.counter("socketio_requests_forwarded", {
  description: "Requests that were passed on to the owners of their sessions",
  incremental: true
})

/**
 * Requests of other servers' sessions that their owners did not answer, by `reason`: `unknown` (no
 * server has the tag), `unreachable` (it does not answer), `lost` (the connection ended before the
 * response), `full` (too many requests are passed on already). Clients see that their session is
 * unknown, and open a new one.
 *
 * @since 0.1.0
 * @category metrics
 */
export const requestsForwardFailed: Metric.Counter<number> = Metric.counter("socketio_requests_forward_failed", {
  description: "Requests that could not be passed on to the owners of their sessions",
  incremental: true
})

/**
 * Options of session routing.
 *
 * @since 0.1.0
 * @category options
 */
export interface SessionRoutingOptions {
  /**
   * The address on which other servers reach this one, if the directory is for several machines: of
   * a network that clients cannot reach. It is the address in the directory, too. Directories of
   * one machine prescribe a Unix socket instead. Default: `127.0.0.1`.
   */
  readonly host?: string
  /** The port for other servers; 0 takes a free one. Default: 0. */
  readonly port?: number
  /**
   * The host in the directory, if other servers reach this one by another name than `host`.
   * Default: `host`.
   */
  readonly advertisedHost?: string
  /**
   * The time to find an owner and to connect to it. After it, the session counts as unknown.
   * Default: 1 second. At least 1 ms.
   */
  readonly connectTimeout?: Duration.Input
  /**
   * The interval in which an owner that has a request to answer is asked for a sign of life. After
   * three questions without one it counts as dead. Default: 5 seconds. At least 1 ms.
   */
  readonly checkInterval?: Duration.Input
  /**
   * The number of requests (each held poll is one) and WebSockets that this server passes on at the
   * same time. Default: 100,000. At least 1.
   */
  readonly maxForwarded?: number
}

const OPTIONS: Names<SessionRoutingOptions> = {
  host: true,
  port: true,
  advertisedHost: true,
  connectTimeout: true,
  checkInterval: true,
  maxForwarded: true
}

/**
 * The server cannot take requests of other servers: it cannot listen, or finds no free tag.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionRoutingError extends Schema.TaggedError<SessionRoutingError>()("SessionRoutingError", {
  message: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  get [TypeId](): true {
    return true
  }
}

/**
 * A server's part in session routing: its tag, and its connections with other servers.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionRouting {
  /** The first four characters of the ids of this server's sessions. */
  readonly tag: string
  /**
   * Takes the requests of other servers. Fails if another server has taken this already. @internal
   */
  readonly bind: (owner: Listener.Owner) => Effect.Effect<SessionRouter, InvalidOptionError, Scope.Scope>
}

/**
 * The session routing of a server that is built with it; none by default. Provide {@link layer}.
 *
 * @since 0.1.0
 * @category services
 */
export const NodeSessionRouting: Context.Reference<SessionRouting | undefined> = Context.Reference<
  SessionRouting | undefined
>("effect-socket.io/node/NodeSessionRouting", { defaultValue: () => undefined })

/** Tags are drawn so often: with a million servers, one of 16 is taken. */
const DRAWS = 20

/**
 * Makes the session routing of one server, for the lifetime of the scope: it draws a tag, listens
 * for other servers, and enters itself into the directory.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: SessionRoutingOptions = {}
): Effect.fn.Return<
  SessionRouting,
  InvalidOptionError | NodeDirectoryError | SessionRoutingError,
  NodeDirectory | Scope.Scope
> {
  yield* group("", options, OPTIONS)
  const { advertisedHost, host = "127.0.0.1" } = options
  const port = yield* integer("port", options.port, 0, 0)
  const settings = {
    connectTimeout: yield* millis("connectTimeout", options.connectTimeout, 1_000, 1),
    checkInterval: yield* millis("checkInterval", options.checkInterval, 5_000, 1),
    maxPassed: yield* integer("maxForwarded", options.maxForwarded, 100_000, 1)
  }
  const directory = yield* NodeDirectory
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const run = yield* FiberSet.makeRuntime<never>()
  const secret = randomBytes(32).toString("base64url")

  /** Fails with `undefined` if the tag is taken. */
  const enter = Effect.fnUntraced(function* (tag: string) {
    const path = directory.pathOf?.(tag)
    const target = path === undefined ? { host, port } : { path }
    const listener = yield* Effect.mapError(Listener.listen(target, secret, settings.connectTimeout), (cause) =>
      path !== undefined && (cause as NodeJS.ErrnoException).code === "EADDRINUSE"
        ? undefined
        : new SessionRoutingError({ message: `cannot listen for other servers: ${cause.message}`, cause })
    )
    const address: NodeAddress =
      path === undefined
        ? { host: advertisedHost ?? host, port: (listener.server.address() as AddressInfo).port, secret }
        : { path, secret }
    yield* Effect.catchTag(directory.register(tag, address), "TagTakenError", () => Effect.fail(undefined))
    return listener
  })

  const scope = yield* Effect.scope
  for (let draw = 0; draw < DRAWS; draw++) {
    const tag = drawTag(context)
    const attempt = yield* Scope.fork(scope)
    const entered = yield* Effect.exit(Scope.provide(enter(tag), attempt))
    if (Exit.isSuccess(entered)) {
      const { onFailed, onPassed } = countersOf(context)
      const router = new SessionRouter(tag, directory, settings, { onFailed, onPassed }, run, () =>
        clock.currentTimeMillisUnsafe()
      )
      yield* Effect.addFinalizer(() => Effect.sync(() => router.close()))
      return { tag, bind: (owner) => bind(entered.value, router, owner) }
    }
    yield* Scope.close(attempt, entered)
    const result = yield* Effect.result(entered)
    if (result._tag === "Failure" && result.failure !== undefined) return yield* Effect.fail(result.failure)
  }
  return yield* new SessionRoutingError({ message: `${DRAWS} tags are taken by other servers` })
})

/**
 * The session routing of one server: provide it to the layer of the server.
 *
 * **Details**
 *
 * The ids of the server's sessions begin with a tag that is its own (see `SessionId`). A request or
 * an upgrade with the id of another server's session is passed on to that server, which the
 * `NodeDirectory` finds. Long-polling, upgrades, JSONP and clients of revision 3 then work through
 * a balancer that sends each request to any server. A connection that starts with WebSocket is
 * never passed on.
 *
 * The owner sees the client's address as the first server does (see `trustedProxies`), the headers
 * of the client, and whether its connection is encrypted. They travel beside the request, so no
 * header of a client can be mistaken for them. The owner's limits and CORS headers apply. Hooks
 * that run after the handshake (`responseHeaders`, predicates of origins) see such a request
 * without its Node request.
 *
 * If the owner is unknown, dead or too slow, the client is told that its session is unknown, and
 * opens a new one. See {@link requestsForwardFailed}.
 *
 * Fails with `InvalidOptionError` on an option that makes no sense, with `NodeDirectoryError` if
 * the directory cannot be used, and with {@link SessionRoutingError} if the server cannot listen.
 * When the server shuts down, it first ends its own sessions, also those of clients at other
 * servers. It releases the polls that it has passed on, whose clients come again to other servers,
 * passes no more upgrades on, and then closes the WebSockets that it has passed on. Closing the
 * layer's scope takes the server out of the directory.
 *
 * **Gotchas**
 *
 * A layer is for one server. `handshake.generateId` is refused: ids of the application do not name
 * their server. Connections between servers are not encrypted: let them run on one machine, or in a
 * private network. Callers and owners prove to one another that they know the secret in the
 * directory.
 *
 * **Example** (The processes of one machine)
 *
 * ```ts
 * const Main = ChatLive.pipe(
 *   Layer.provide(NodeSocketIoServer.layer({ port: 3000 })),
 *   Layer.provide(NodeSessionRouting.layer()),
 *   Layer.provide(UnixSocketDirectory.layer("/run/chat"))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: SessionRoutingOptions = {}
): Layer.Layer<never, InvalidOptionError | NodeDirectoryError | SessionRoutingError, NodeDirectory> =>
  Layer.effect(NodeSessionRouting, make(options))

/** Connects a server with its listener, until the scope closes. */
const bind = (
  listener: Listener.Listener,
  router: SessionRouter,
  owner: Listener.Owner
): Effect.Effect<SessionRouter, InvalidOptionError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      if (listener.owner !== undefined) {
        return refuse(
          "routing",
          "this NodeSessionRouting is used by another server: each server needs a layer of its own"
        )
      }
      listener.owner = owner
      return Effect.succeed(router)
    }),
    () =>
      Effect.sync(() => {
        listener.owner = undefined
      })
  )

const countersOf = (context: Context.Context<never>) => {
  const counters = new Map<Metric.Metric<number, unknown>, Map<string, Metric.Metric<number, unknown>>>()
  const count = (metric: Metric.Counter<number>, attribute: string, value: string) => {
    let byValue = counters.get(metric)
    if (byValue === undefined) counters.set(metric, (byValue = new Map()))
    let counter = byValue.get(value)
    if (counter === undefined) byValue.set(value, (counter = Metric.withAttributes(metric, { [attribute]: value })))
    counter.updateUnsafe(1, context)
  }
  return {
    onPassed: (kind: "request" | "upgrade") => count(requestsForwarded, "kind", kind),
    onFailed: (reason: Failure) => count(requestsForwardFailed, "reason", reason)
  }
}
