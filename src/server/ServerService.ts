/**
 * The service of the Socket.IO server.
 *
 * Users meet it as `SocketIoServer.SocketIoServer`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { DrainOptions, DrainReport } from "../engine/Drain.ts"
import type { EngineServer } from "../engine/EngineServer.ts"
import type { NotReady, Readiness } from "../engine/Readiness.ts"
import type * as Namespace from "../Namespace.ts"
import type * as NamespaceMiddleware from "../NamespaceMiddleware.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import type { OverflowError, StreamOptions } from "../StreamOptions.ts"
import type { DynamicLayerOptions } from "./DynamicNamespaceOptions.ts"
import type { DynamicHandles, NamespaceHandle, NewsOverflow } from "./NamespaceHandle.ts"
import type { ServerConnection } from "./ServerConnection.ts"

/**
 * The service of the Socket.IO server: an interface that anybody can implement.
 *
 * **Details**
 *
 * `SocketIoServer.make` gives one that serves clients. Everything in `SocketIoServer` and in the
 * edges of platforms uses these members alone: a value that wraps another one, or a mock, takes its
 * place.
 *
 * **Gotchas**
 *
 * A mock of `namespace` needs a whole handle. If a test only checks what is sent,
 * `SocketIoServer.layer` is shorter: its namespaces are real, and have no clients.
 *
 * **Example** (A mock of the members that a test needs)
 *
 * ```ts
 * const Mock = Layer.mock(SocketIoServer.SocketIoServer)({
 *   connectionCount: Effect.succeed(3),
 *   readiness: Effect.succeed("ready")
 * })
 * ```
 *
 * **Example** (A log of the namespaces that are served)
 *
 * ```ts
 * const Logged = Layer.effect(
 *   SocketIoServer.SocketIoServer,
 *   Effect.map(SocketIoServer.SocketIoServer, (server) => ({
 *     ...server,
 *     register: (namespace, build) =>
 *       Effect.andThen(Effect.logInfo("serving", namespace), server.register(namespace, build))
 *   }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface SocketIoServerShape {
  /** See `SocketIoServer.namespace`. */
  readonly namespace: {
    (namespace: string): Effect.Effect<NamespaceHandle<Namespace.Untyped>>
    <N extends Namespace.Static>(namespace: N): Effect.Effect<NamespaceHandle<N>>
  }
  /** See `SocketIoServer.dynamicNamespaces`. */
  readonly dynamicNamespaces: <N extends Namespace.Dynamic>(namespace: N) => Effect.Effect<DynamicHandles<N>>
  /** See `SocketIoServer.namespaces`. */
  readonly namespaces: Effect.Effect<ReadonlyArray<NamespaceHandle<Namespace.Untyped>>>
  /** See `SocketIoServer.namespaceOpenings`. */
  readonly namespaceOpenings: <O extends NewsOverflow = "fail">(
    options?: StreamOptions<O>
  ) => Stream.Stream<NamespaceHandle<Namespace.Untyped>, OverflowError<O>>
  /**
   * Serves a namespace until the scope closes, with the services of the calling effect:
   * `SocketIoServer.layerNamespace`, with its types, is a layer of this.
   */
  readonly register: <R>(
    namespace: string | Namespace.Static,
    build: (socket: any) => Effect.Effect<any, NamespaceMiddleware.ConnectRefused, R>
  ) => Effect.Effect<void, never, R | Scope.Scope>
  /**
   * Serves dynamic namespaces until the scope closes, with the services of the calling effect:
   * `SocketIoServer.layerDynamicNamespace`, with its types, is a layer of this.
   */
  readonly registerDynamic: <R, R2>(
    namespace: Namespace.Dynamic | RegExp,
    open: (
      namespace: any
    ) => Effect.Effect<
      (socket: any) => Effect.Effect<any, NamespaceMiddleware.ConnectRefused, R>,
      NamespaceMiddleware.ConnectRefused,
      R
    >,
    options?: DynamicLayerOptions<any, R2>
  ) => Effect.Effect<void, never, R | R2 | Scope.Scope>
  /** See `SocketIoServer.connections`. */
  readonly connections: <O extends NewsOverflow = "fail">(
    options?: StreamOptions<O>
  ) => Stream.Stream<ServerConnection, OverflowError<O>>
  /** The number of open connections. */
  readonly connectionCount: Effect.Effect<number>
  /** See `SocketIoServer.drain`. */
  readonly drain: (options?: DrainOptions) => Effect.Effect<DrainReport, InvalidOptionError>
  /** See `SocketIoServer.readiness`. */
  readonly readiness: Effect.Effect<Readiness>
  /** See `SocketIoServer.readinessChanges`. */
  readonly readinessChanges: Stream.Stream<Readiness>
  /** See `SocketIoServer.notReady`. */
  readonly notReady: (reason: NotReady) => Effect.Effect<void, never, Scope.Scope>
  /** The engine below: the edge of a platform brings it requests and WebSockets. */
  readonly engine: Effect.Effect<EngineServer>
}

/**
 * The Socket.IO server.
 *
 * @since 0.1.0
 * @category services
 */
export class SocketIoServer extends Context.Service<SocketIoServer, SocketIoServerShape>()(
  "effect-socket.io/server/SocketIoServer"
) {}
