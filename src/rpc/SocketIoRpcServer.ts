/**
 * Effect RPC over Socket.IO, for servers: calls and streams over the connection that carries
 * events, over WebSocket and long-polling.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Metric from "effect/Metric"
import * as RpcServer from "effect/rpc/RpcServer"
import type * as Scope from "effect/Scope"

import { integer } from "../engine/OptionReaders.ts"
import type * as Namespace from "../Namespace.ts"
import type * as NamespaceMiddleware from "../NamespaceMiddleware.ts"
import type { ServerSocket } from "../server/ServerSocket.ts"
import * as SocketIoServer from "../server/SocketIoServer.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { EVENT } from "./internal/frames.ts"
import { type PeerOptions, refusals } from "./internal/peer.ts"
import { makeEndpoint } from "./internal/peers.ts"
import { CurrentSlot } from "./internal/slot.ts"
import type { FromNamespace, MiddlewareFrom } from "./SocketIoRpc.ts"

/**
 * Options of a server.
 *
 * @since 0.1.0
 * @category options
 */
export interface ServerOptions {
  /** The event that carries the frames, on both sides. Default: `rpc`. */
  readonly event?: string
  /**
   * The chunks of one stream that may be on their way to a client that has not acknowledged them.
   * More of them make a stream faster over a long way; 1 waits for each chunk. Default: 16.
   */
  readonly window?: number
  /**
   * The requests of one connection whose handlers and finalizers have not ended, streams and
   * notifications included, over all of its sockets that this protocol serves. The next one is not
   * handled: it is answered with a defect. Default: 1,000.
   */
  readonly maxInFlight?: number
  /**
   * The memory of these requests in bytes: their payloads as objects, which may be twenty times
   * their text, and 6,500 bytes for each. The next one is answered with a defect. Default: 8 MiB.
   */
  readonly maxInFlightBytes?: number
  /**
   * With recovery: the memory of the requests of all clients together that have lost their
   * connection, in bytes. The handlers of the client that has been away for the longest time are
   * interrupted for another's, and its calls fail when it is back. Default: 64 MiB.
   */
  readonly maxAwayBytes?: number
}

/**
 * The frames and requests of clients that were refused, by `reason`: `frame` broke a rule of the
 * protocol, `in flight` would have been one too many.
 *
 * @since 0.1.0
 * @category metrics
 */
export const rpcRefusals: Metric.Counter<number> = refusals

/**
 * The way for sockets of any namespace to an RPC server.
 *
 * @since 0.1.0
 * @category models
 */
export interface EndpointShape {
  /**
   * Lets a socket's client call, until the scope closes or the socket disconnects. That interrupts
   * the handlers of its calls; with recovery it does so only when the client cannot come back, or
   * is at another server.
   *
   * Call it in the builder, so that no call comes too early. To attach a socket twice is a defect.
   */
  readonly attach: (socket: ServerSocket<any>) => Effect.Effect<void, never, Scope.Scope>
}

/**
 * The way for sockets of any namespace to an RPC server: {@link layerEndpoint} provides it.
 *
 * @since 0.1.0
 * @category services
 */
export class Endpoint extends Context.Service<Endpoint, EndpointShape>()(
  "effect-socket.io/rpc/SocketIoRpcServer/Endpoint"
) {}

const resolve = Effect.fnUntraced(function* ({
  event = EVENT,
  ...options
}: ServerOptions): Effect.fn.Return<PeerOptions, InvalidOptionError> {
  return {
    event,
    window: yield* integer("window", options.window, 16, 1),
    maxInFlight: yield* integer("maxInFlight", options.maxInFlight, 1_000, 1),
    maxInFlightBytes: yield* integer("maxInFlightBytes", options.maxInFlightBytes, 8_388_608, 1),
    maxAwayBytes: yield* integer("maxAwayBytes", options.maxAwayBytes, 67_108_864, 0)
  }
})

/**
 * The protocol of an RPC server for sockets that namespaces attach: calls beside events, on the
 * same socket. Every client may call that a builder has passed to {@link EndpointShape.attach}.
 *
 * **Details**
 *
 * It serves one `RpcServer`. The frames of RPC are objects in an event, which the packet's own
 * parser encodes, so that bytes (`Binary.Bytes`) leave as attachments. An unread stream delays no
 * other call, and its handler waits when `window` chunks are not acknowledged. Closing the scope
 * stops all of that; the connections belong to the server.
 *
 * Frames that break a rule are not handled. They are counted ({@link rpcRefusals}) and logged at
 * level Debug, and a request among them is answered with a defect.
 *
 * Fails with {@link InvalidOptionError} on an option that makes no sense.
 *
 * **Gotchas**
 *
 * The overflow policies `dropNewest` and `dropOldest` drop answers, too: their calls never end.
 *
 * **Example** (Calls and events in one namespace)
 *
 * ```ts
 * const ChatLive = SocketIoServer.layerNamespace(Chat, Effect.fnUntraced(function*(socket) {
 *   yield* (yield* SocketIoRpcServer.Endpoint).attach(socket)
 *   return Chat.of({ say: (text) => socket.broadcast.emit("said", text) })
 * }))
 *
 * const Main = Layer.merge(ChatLive, RpcServer.layer(Rpcs)).pipe(
 *   Layer.provide(RpcsLive),
 *   Layer.provide(SocketIoRpcServer.layerEndpoint()),
 *   Layer.provide(NodeSocketIoServer.layer({ port: 3000 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerEndpoint = (
  options: ServerOptions = {}
): Layer.Layer<RpcServer.Protocol | Endpoint, InvalidOptionError, SocketIoServer.SocketIoServer> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { attach, protocol } = yield* makeEndpoint(yield* resolve(options))
      return Context.make(RpcServer.Protocol, protocol).pipe(Context.add(Endpoint, { attach }))
    })
  )

/**
 * A namespace that {@link layerProtocol} can serve: its name, or a contract without events, whose
 * middleware admits clients.
 *
 * @since 0.1.0
 * @category models
 */
export type RpcNamespace = string | (Namespace.Static & Namespace.AnyUntyped)

/**
 * The protocol of an RPC server over a namespace of its own, which carries calls and nothing else.
 * See {@link layerEndpoint}.
 *
 * **Example** (A server)
 *
 * ```ts
 * const Main = RpcServer.layer(Rpcs).pipe(
 *   Layer.provide(RpcsLive),
 *   Layer.provide(SocketIoRpcServer.layerProtocol("/rpc")),
 *   Layer.provide(NodeSocketIoServer.layer({ port: 3000 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerProtocol = <const T extends RpcNamespace>(
  namespace: T,
  options: ServerOptions = {}
): Layer.Layer<
  RpcServer.Protocol,
  InvalidOptionError,
  SocketIoServer.SocketIoServer | NamespaceMiddleware.Identifier<Namespace.Middleware<SocketIoServer.ContractOf<T>>>
> =>
  Layer.effect(
    RpcServer.Protocol,
    Effect.gen(function* () {
      const { attach, protocol } = yield* makeEndpoint(yield* resolve(options))
      const server = yield* SocketIoServer.SocketIoServer
      // The middlewares of the contract, which `register` takes from the context.
      type Middlewares = NamespaceMiddleware.Identifier<Namespace.Middleware<SocketIoServer.ContractOf<T>>>
      yield* server.register<Middlewares | Scope.Scope>(namespace, attach)
      return protocol
    })
  )

/**
 * The server's layer of a middleware that `SocketIoRpc.middlewareFrom` has declared.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMiddlewareFrom = <M extends NamespaceMiddleware.AnyService>(
  middleware: MiddlewareFrom<M>
): Layer.Layer<FromNamespace<M>> => {
  const { key, provides } = middleware.from
  // Each handler's effect needs the service, and `applyTo` gives it: the types of a middleware say
  // so of any effect.
  const applyTo = (effect: Effect.Effect<any, any, any>): Effect.Effect<any, any, any> =>
    Effect.contextWith((context: Context.Context<any>) => {
      const slot = Context.getOption(context, CurrentSlot)
      if (slot._tag === "None") return Effect.die(new Error(`"${middleware.key}" needs a call over Socket.IO`))
      if (provides === undefined) return effect
      const service = Context.getOption(slot.value.services, provides)
      if (service._tag === "Some") return Effect.provideService(effect, provides, service.value)
      const { namespace } = slot.value.socket
      return Effect.die(new Error(`the namespace "${namespace}" does not have the middleware "${key}"`))
    })
  return Layer.succeed(middleware, applyTo as never)
}
