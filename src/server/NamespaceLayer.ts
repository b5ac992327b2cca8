/**
 * The layers that serve namespaces.
 *
 * Users meet them as those of `SocketIoServer`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

import type * as Event from "../Event.ts"
import type * as Namespace from "../Namespace.ts"
import type * as NamespaceMiddleware from "../NamespaceMiddleware.ts"
import type { DynamicLayerOptions } from "./DynamicNamespaceOptions.ts"
import type { DynamicHandle } from "./NamespaceHandle.ts"
import type { ServerSocket } from "./ServerSocket.ts"
import { SocketIoServer } from "./ServerService.ts"

/**
 * The services that handlers may use and the layer does not require: the socket's scope, and those
 * that the middlewares provide.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Provided<N extends Namespace.Any> = Scope.Scope | NamespaceMiddleware.Provides<Namespace.Middleware<N>>

/**
 * The contract of a layer's namespaces: the one that is given, or an untyped one for a name or a
 * regular expression.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ContractOf<T extends Namespace.Any | string | RegExp> = T extends Namespace.Any
  ? T
  : T extends RegExp
    ? Namespace.Untyped<string, Schema.Unknown, never, {}>
    : Namespace.Untyped

/**
 * The result of a namespace's builder: a record of handlers, one for every event that the contract
 * declares for clients; or nothing, if it declares none, and the builder adds its handlers itself.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Built<N extends Namespace.Any> = N extends Namespace.AnyUntyped
  ? Namespace.Handlers<Event.Untyped> | void
  : Namespace.Handlers<Namespace.ClientToServer<N>>

/**
 * Serves a namespace, for the lifetime of the layer. A name stands for the contract
 * `Namespace.untyped(name)`.
 *
 * **Details**
 *
 * `build` runs once for every client that is admitted, in the scope of its socket and with the
 * middlewares' services in context, and yields a handler for each of the contract's
 * `clientToServer` events. Where no events are declared, it may add its handlers with `socket.on`
 * instead. The client has been told before that it is connected; its events wait for the handlers
 * (up to `maxPendingPackets`). The scope closes when the socket disconnects, after the handlers
 * that are under way have ended, which are interrupted, unless their event has `once`. A defect of
 * the builder disconnects the socket, as does a refusal (`ConnectRefused`) with which it fails.
 *
 * Handlers start in the order in which events arrive, each in a fiber of its own, at most
 * `concurrency` at once. A handler's value acknowledges the event if the client asks for it. A
 * defect is logged and stays with its event, as does a payload that the event's schema refuses, and
 * an event without a handler. A client that asks for an acknowledgement gets one, whether or not
 * the event declares an `error`: `{ _tag: "Failure", error }`, where `error` is
 * `{ _tag: "InternalError" }`, `{ _tag: "PayloadRefused", message }` or
 * `{ _tag: "EventUnhandled", message }`.
 *
 * With an untyped contract there is no such answer, as with the official server: an event that
 * fails or has no handler is logged, and not acknowledged. Clients expect the values of handlers,
 * and use a `timeout`.
 *
 * Closing the layer's scope closes the connections of the namespace's clients with reason
 * `server shutting down`, and waits for their finalizers, up to `drainTimeout`. Layers that close
 * one after another, and the server after them, share that time: it starts with the first, and a
 * tenth of it is kept for the server while other namespaces have clients. A layer that closes
 * alone, to be replaced, takes no time of others. The clients reconnect by themselves, until the
 * namespace is served again.
 *
 * **Gotchas**
 *
 * Two layers for one namespace of one server are a defect. Parts of an application that have
 * handlers of their own give a builder each, and one layer puts them together. Every builder sees
 * the socket, and has its scope.
 *
 * A client whose builder refuses it sees `io server disconnect`, and no message: it was told before
 * that it is connected, as the builder may emit. A debug line says why. Where the client should see
 * the reason, refuse it in middleware. Any other typed failure does not compile: turn it into a
 * refusal, or into a defect, which is logged as an error.
 *
 * **Example** (Two builders of one namespace)
 *
 * ```ts
 * const rooms = Effect.fnUntraced(function*(socket: ServerSocket.ServerSocket<typeof Chat>) {
 *   yield* Effect.addFinalizer(() => Effect.logInfo(`${socket.id} has left`))
 *   return { enter: (room: string) => socket.join(room) }
 * })
 * const messages = (socket: ServerSocket.ServerSocket<typeof Chat>) =>
 *   Effect.succeed({ say: (message: Message) => socket.to(message.room).emit("say", message) })
 *
 * const ChatLive = SocketIoServer.layerNamespace(Chat, (socket) =>
 *   Effect.zipWith(rooms(socket), messages(socket), (some, others) => Chat.of({ ...some, ...others })))
 * ```
 *
 * **Example** (An echo)
 *
 * ```ts
 * const EchoLive = SocketIoServer.layerNamespace("/echo", (socket) =>
 *   socket.on("echo", (...args) => socket.emit("echo", ...args)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNamespace: <T extends Namespace.Static | string, const H extends Built<ContractOf<T>>, R = never>(
  namespace: T,
  build: (socket: ServerSocket<ContractOf<T>>) => Effect.Effect<H, NamespaceMiddleware.ConnectRefused, R>
) => Layer.Layer<
  never,
  never,
  | SocketIoServer
  | NamespaceMiddleware.Identifier<Namespace.Middleware<ContractOf<T>>>
  | Exclude<R | Namespace.HandlersServices<H>, Provided<ContractOf<T>>>
> = (
  namespace: string | Namespace.Any,
  build: (socket: any) => Effect.Effect<any, NamespaceMiddleware.ConnectRefused, any>
): Layer.Layer<never, never, any> =>
  // The declared type relates the namespace to its builder.
  Layer.effectDiscard(Effect.flatMap(SocketIoServer, (server) => server.register(namespace as any, build)))

/**
 * Serves dynamic namespaces, for the lifetime of the layer: those whose names match the pattern of
 * a contract. A regular expression, without flag `g` or `y`, stands for the contract
 * `Namespace.untypedDynamic(expression)`.
 *
 * **Details**
 *
 * A namespace opens when the contract's middleware has admitted its first client: `open` runs once,
 * in a scope of the namespace's own, and yields the builder of its sockets (see
 * {@link layerNamespace}). It closes when it has been empty for `idleTimeToLive`, or earlier if
 * more than `maxIdle` are empty, which closes that scope. A later client opens it anew, after its
 * finalizers are done. Layers of single namespaces ({@link layerNamespace}) come first, then
 * dynamic ones in the order of their layers.
 *
 * If `open` fails with a refusal (`ConnectRefused`), the clients that wait for it are refused with
 * its message and data, which they see as `connect_error`. A defect refuses them with
 * `Internal error`, and is logged. Either way the next client has it opened again.
 *
 * **Gotchas**
 *
 * Clients choose the names. Let `match`, middleware or `open` decide which of them exist, or each
 * name that a client makes up opens a namespace.
 *
 * **Example** (A namespace for each document)
 *
 * ```ts
 * class Document extends Namespace.dynamic("/document/:id", {
 *   clientToServer: [Event.make("edit", { payload: Edit })],
 *   serverToClient: [Event.make("edited", { payload: Edit })]
 * }) {}
 *
 * const DocumentsLive = SocketIoServer.layerDynamicNamespace(
 *   Document,
 *   Effect.fnUntraced(function*(namespace) {
 *     const documents = yield* Documents
 *     const document = yield* documents.open(namespace.params.id).pipe(
 *       Effect.mapError(() => new NamespaceMiddleware.ConnectRefused({ message: "No such document" }))
 *     )
 *     yield* Effect.addFinalizer(() => document.save)
 *     return (socket) =>
 *       Effect.succeed(Document.of({
 *         edit: (edit) => Effect.andThen(document.apply(edit), socket.broadcast.emit("edited", edit))
 *       }))
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDynamicNamespace: <
  T extends Namespace.Dynamic | RegExp,
  const H extends Built<ContractOf<T>>,
  R = never,
  R2 = never,
  R3 = never
>(
  namespace: T,
  open: (
    namespace: DynamicHandle<ContractOf<T>>
  ) => Effect.Effect<
    (socket: ServerSocket<ContractOf<T>>) => Effect.Effect<H, NamespaceMiddleware.ConnectRefused, R2>,
    NamespaceMiddleware.ConnectRefused,
    R
  >,
  options?: DynamicLayerOptions<Namespace.Params<ContractOf<T>>, R3>
) => Layer.Layer<
  never,
  never,
  | SocketIoServer
  | NamespaceMiddleware.Identifier<Namespace.Middleware<ContractOf<T>>>
  | Exclude<R, Scope.Scope>
  | R3
  | Exclude<R2 | Namespace.HandlersServices<H>, Provided<ContractOf<T>>>
> = (
  namespace: Namespace.Any | RegExp,
  open: (
    namespace: any
  ) => Effect.Effect<
    (socket: any) => Effect.Effect<any, NamespaceMiddleware.ConnectRefused, any>,
    NamespaceMiddleware.ConnectRefused,
    any
  >,
  options: DynamicLayerOptions<any, any> = {}
): Layer.Layer<never, never, any> =>
  Layer.effectDiscard(
    // The declared type relates the namespace to its builder.
    Effect.flatMap(SocketIoServer, (server) => server.registerDynamic(namespace as any, open, options))
  )
