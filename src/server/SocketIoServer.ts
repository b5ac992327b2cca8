/**
 * The Socket.IO server (Socket.IO protocol 5 over Engine.IO protocol 4).
 *
 * A platform's edge provides it as a layer (`NodeSocketIoServer.layer`); namespaces are layers on top of it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"

import { drainTimeout } from "../engine/EngineOptions.ts"
import * as EngineServer from "../engine/EngineServer.ts"
import * as Namespace from "../Namespace.ts"
import type * as NamespaceMiddleware from "../NamespaceMiddleware.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import type { BroadcastOperator, PlainBroadcastOperator, Selecting } from "./BroadcastOperator.ts"
import type { NamespaceRuntime, Registration } from "./internal/namespace.ts"
import { everybody } from "./internal/operator.ts"
import * as ServerRuntime from "./internal/server.ts"
import { resolve, type ServerOptions } from "./ServerOptions.ts"
import type { PlainSocket, ServerSocket } from "./ServerSocket.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface SocketIoServerShape {
  /** The engine below, for platforms' edges. */
  readonly engine: EngineServer.EngineServer
  /** @internal */
  readonly runtime: ServerRuntime.ServerRuntime
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

/**
 * Makes a server without a platform: an edge brings it requests and WebSockets. Applications use the edge's layer.
 *
 * Fails with {@link InvalidOptionError} on an option that makes no sense. Closing the scope closes every connection with
 * reason `server shutting down`, without a DISCONNECT packet, so that clients reconnect; flushes what waits for them; and
 * waits for the finalizers of their sockets, each of the two within `drainTimeout`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: ServerOptions
): Effect.fn.Return<SocketIoServerShape, InvalidOptionError, Scope.Scope> {
  const runtime = yield* ServerRuntime.make(yield* resolve(options))
  const timeout = yield* drainTimeout(options)
  // Before the engine in the scope, hence after its end: the sockets' finalizers have been started by then.
  yield* Effect.addFinalizer(() => runtime.awaitFinalizers(timeout))
  const engine = yield* EngineServer.make(options, (session) => runtime.onSession(session))
  runtime.start(engine.wheel)
  return { engine, runtime }
})

/**
 * What handlers may need without the layer needing it: the socket's scope, and what the middlewares provide.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Provided<N extends Namespace.Any> = Scope.Scope | NamespaceMiddleware.Provides<Namespace.Middleware<N>>

/**
 * Serves a namespace with a contract, for the lifetime of the layer.
 *
 * `build` runs once for every client that is admitted, in the scope of its socket and with the middlewares' services in
 * context, and yields a handler for each of the contract's `clientToServer` events. The client is told that it is connected
 * before; what it sends meanwhile waits for the handlers (up to `maxPendingPackets`). The scope closes when the socket
 * disconnects, which interrupts handlers that are under way. A defect of the builder disconnects the socket.
 *
 * Handlers start in the order in which events arrive, each in a fiber of its own, at most `concurrency` at once. What a
 * handler returns acknowledges the event if the client asks for it. A defect is logged and stays with its event, as does a
 * payload that the event's schema refuses; where the event declares an `error`, the client is told
 * (`{ _tag: "Failure", error: { _tag: "InternalError" } }`, `{ _tag: "PayloadRefused", message }`).
 *
 * Closing the layer's scope closes the connections of the namespace's clients with reason `server shutting down`, and waits
 * for their finalizers, up to `drainTimeout`. The clients reconnect by themselves, until the namespace is served again. Two layers for one namespace of one server are a defect.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNamespace: {
  <N extends Namespace.Any, const H extends Namespace.Handlers<Namespace.ClientToServer<N>>, R = never>(
    namespace: N,
    build: (socket: ServerSocket<N>) => Effect.Effect<H, never, R>
  ): Layer.Layer<
    never,
    never,
    | SocketIoServer
    | NamespaceMiddleware.Identifier<Namespace.Middleware<N>>
    | Exclude<R | Namespace.HandlersServices<H>, Provided<N>>
  >
  /**
   * Serves a namespace without a contract: `build` registers plain handlers with `socket.on`.
   */
  <R = never>(
    namespace: string,
    build: (socket: PlainSocket) => Effect.Effect<void, never, R>
  ): Layer.Layer<never, never, SocketIoServer | Exclude<R, Scope.Scope>>
} = (
  namespace: string | Namespace.Any,
  build: (socket: any) => Effect.Effect<any, never, any>
): Layer.Layer<never, never, any> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { engine, runtime } = yield* SocketIoServer
      const contract = typeof namespace === "string" ? undefined : namespace
      const name = contract === undefined ? (namespace as string) : contract._tag
      Namespace.checkName(name)
      const home = runtime.mention(name)
      if (home.isRegistered) return yield* Effect.die(new Error(`namespace "${name}" is served by two layers`))
      // The layer's own services, and the scheduler that all handlers share.
      const context = Context.add(
        yield* Effect.context<any>(),
        Scheduler.Scheduler,
        Context.get(runtime.context, Scheduler.Scheduler)
      )
      const registration: Registration = { contract, context, build }
      yield* Effect.acquireRelease(
        Effect.sync(() => home.register(registration)),
        () =>
          // The finalizers of its sockets may need what the layer was built with.
          Effect.andThen(
            Effect.sync(() => home.unregister()),
            Effect.suspend(() => runtime.awaitFinalizers(engine.options.drainTimeout))
          )
      )
    })
  )

/**
 * A namespace as the rest of the application sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface NamespaceHandle<Operator, Socket> {
  readonly name: string
  /** The connected sockets of this process. */
  readonly sockets: Effect.Effect<ReadonlyArray<Socket>>
  /** The members of rooms. */
  readonly to: (rooms: string | ReadonlyArray<string>) => Operator
  /** The same as `to`. */
  readonly in: (rooms: string | ReadonlyArray<string>) => Operator
  /** Everybody but the members of rooms. */
  readonly except: (rooms: string | ReadonlyArray<string>) => Operator
  /** Everybody in the namespace. */
  readonly everybody: Operator
}

/**
 * A namespace, to broadcast from anywhere in the application. With a contract: its `serverToClient` events; with a name:
 * any event. A namespace that no layer serves has nobody in it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const namespace: {
  <N extends Namespace.Any>(
    namespace: N
  ): Effect.Effect<
    NamespaceHandle<BroadcastOperator<N>, ServerSocket<N>> & Pick<BroadcastOperator<N>, "emit" | "emitWithAck">,
    never,
    SocketIoServer
  >
  (
    namespace: string
  ): Effect.Effect<
    NamespaceHandle<PlainBroadcastOperator, PlainSocket> & Pick<PlainBroadcastOperator, "emit" | "emitWithAck">,
    never,
    SocketIoServer
  >
} = (namespace: string | Namespace.Any): Effect.Effect<any, never, SocketIoServer> =>
  Effect.map(SocketIoServer, ({ runtime }) => {
    const plain = typeof namespace === "string"
    const home: NamespaceRuntime = runtime.mention(plain ? namespace : namespace._tag)
    if (!plain) home.learn(namespace)
    const all = everybody(plain ? home.plainTarget : home.contractTarget)
    const handle: NamespaceHandle<Selecting<any>, unknown> & Pick<PlainBroadcastOperator, "emit" | "emitWithAck"> = {
      name: home.name,
      sockets: Effect.sync(() => Array.from(home.sockets.values(), (socket) => (plain ? socket.plain : socket))),
      to: (rooms) => all.to(rooms),
      in: (rooms) => all.to(rooms),
      except: (rooms) => all.except(rooms),
      everybody: all,
      emit: (event, ...args) => all.emit(event, ...args),
      emitWithAck: (event, ...args) => all.emitWithAck(event, ...args)
    }
    return handle
  })
