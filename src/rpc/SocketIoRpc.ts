/**
 * The parts of RPC over Socket.IO that groups of RPCs name, and that both sides import: the socket
 * of a request, and the authentication of its namespace.
 *
 * It brings neither the server nor the client to a page.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Schema from "effect/Schema"
import * as RpcMiddleware from "effect/rpc/RpcMiddleware"

import type * as Namespace from "../Namespace.ts"
import type * as NamespaceMiddleware from "../NamespaceMiddleware.ts"
import type { ServerSocket } from "../server/ServerSocket.ts"

/**
 * The socket over which a request has come: to join rooms, or to broadcast from it. Handlers get it
 * where their group has the middleware of {@link middlewareFrom}.
 *
 * With recovery, a call may outlive its socket: this one is disconnected then, and the client has a
 * new one with the same `id`.
 *
 * @since 0.1.0
 * @category services
 */
export class CurrentSocket extends Context.Service<CurrentSocket, ServerSocket<Namespace.Untyped>>()(
  "effect-socket.io/rpc/SocketIoRpc/CurrentSocket"
) {}

/**
 * The identifier of the middleware that {@link middlewareFrom} declares.
 *
 * @since 0.1.0
 * @category models
 */
export interface FromNamespace<M extends NamespaceMiddleware.AnyService> {
  readonly [RpcMiddleware.TypeId]: {
    readonly provides: NamespaceMiddleware.Provides<M> | CurrentSocket
    readonly requires: never
    readonly error: Schema.Never
    readonly clientError: never
  }
}

/**
 * The class that {@link middlewareFrom} makes.
 *
 * @since 0.1.0
 * @category models
 */
export interface MiddlewareFrom<M extends NamespaceMiddleware.AnyService> extends RpcMiddleware.ServiceClass<
  FromNamespace<M>,
  string,
  NamespaceMiddleware.Provides<M> | CurrentSocket,
  Schema.Never,
  never,
  never,
  false
> {
  /** The middleware of the namespace. */
  readonly from: M
}

/**
 * Declares a middleware of RPCs that hands on the service that a namespace's middleware has
 * provided for the socket: one authentication for events and for calls. Its handlers get
 * {@link CurrentSocket}, too.
 *
 * The server's layer of it is `SocketIoRpcServer.layerMiddlewareFrom`. A call over another
 * protocol, or over a namespace without that middleware, dies.
 *
 * **Example** (A call that knows its user, and enters a room)
 *
 * ```ts
 * class Auth extends NamespaceMiddleware.Service<Auth>()("app/Auth", { provides: CurrentUser }) {}
 * class FromAuth extends SocketIoRpc.middlewareFrom(Auth) {}
 *
 * class Rpcs extends RpcGroup.make(Rpc.make("Enter", { payload: { room: Schema.String } })).middleware(FromAuth) {}
 *
 * const RpcsLive = Rpcs.toLayer({
 *   Enter: ({ room }) => Effect.flatMap(SocketIoRpc.CurrentSocket, (socket) => socket.join(room))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const middlewareFrom = <M extends NamespaceMiddleware.AnyService>(middleware: M): MiddlewareFrom<M> =>
  Object.assign(
    RpcMiddleware.Service<FromNamespace<M>, { provides: NamespaceMiddleware.Provides<M> | CurrentSocket }>()(
      `effect-socket.io/rpc/from/${middleware.key}`
    ),
    { from: middleware }
    // The options' types are those of a middleware without an error, which a conditional type hides
    // here.
  ) as unknown as MiddlewareFrom<M>
