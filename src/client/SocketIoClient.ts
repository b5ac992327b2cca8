/**
 * The Socket.IO client (Socket.IO protocol 5 over Engine.IO protocol 4): one connection for all namespaces of a server, opened
 * when the first one needs it, and opened again after an outage.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

import { ClientPlatform } from "../engine/ClientPlatform.ts"
import type * as Namespace from "../Namespace.ts"
import { Parser } from "../Parser.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { type ClientOptions, resolve } from "./ClientOptions.ts"
import type { ClientSocket, ConnectError, PlainClientSocket } from "./ClientSocket.ts"
import { Manager } from "./internal/manager.ts"
import { type MakeAuth, SocketRuntime } from "./internal/socket.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface SocketIoClientShape {
  /** @internal */
  readonly manager: Manager
}

/**
 * A client of one server.
 *
 * @since 0.1.0
 * @category services
 */
export class SocketIoClient extends Context.Service<SocketIoClient, SocketIoClientShape>()(
  "effect-socket.io/client/SocketIoClient"
) {}

/**
 * Makes a client. It connects when a namespace is connected to. Closing the scope closes the connection, behind what waits to
 * be sent.
 *
 * Fails with {@link InvalidOptionError} on an option that makes no sense.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: ClientOptions
): Effect.fn.Return<SocketIoClientShape, InvalidOptionError, Scope.Scope> {
  const resolved = yield* resolve(options)
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const now = () => Number(clock.currentTimeNanosUnsafe()) / 1e6
  const platform = yield* ClientPlatform
  const manager = new Manager(resolved, platform.forClient?.() ?? platform, yield* Parser, context, now)
  yield* Effect.addFinalizer(() => Effect.sync(() => manager.close()))
  return { manager }
})

/**
 * A client as a layer. See {@link make}.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: ClientOptions): Layer.Layer<SocketIoClient, InvalidOptionError> =>
  Layer.effect(SocketIoClient, make(options))

/**
 * What is given with a connection to a namespace.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConnectOptions<Auth, R> {
  /** The auth payload: a value, or an effect that is run anew for every connection. Default: none. */
  readonly auth?: Auth | Effect.Effect<Auth, never, R>
}

/**
 * Connects to a namespace, until the scope closes.
 *
 * It waits until the socket is connected for the first time, however many attempts that takes. It fails with
 * {@link ConnectError} when the server refuses, or when there are no more attempts. After that the socket connects again by itself;
 * its `status` tells.
 *
 * A namespace that the client is connected to already is a defect, as a connection has one socket per namespace: share the
 * socket, or make another client.
 *
 * @since 0.1.0
 * @category constructors
 */
export const connect: {
  <N extends Namespace.Static, R = never>(
    namespace: N,
    options?: ConnectOptions<N["auth"]["Type"], R>
  ): Effect.Effect<ClientSocket<N>, ConnectError, SocketIoClient | Scope.Scope | R>
  <R = never>(
    namespace: string,
    options?: ConnectOptions<Readonly<Record<string, unknown>>, R>
  ): Effect.Effect<PlainClientSocket, ConnectError, SocketIoClient | Scope.Scope | R>
} = Effect.fnUntraced(function* (namespace: string | Namespace.Any, options: ConnectOptions<any, any> = {}) {
  const socket = yield* open(namespace, options)
  yield* socket.awaitConnected
  return socket as any
}) as any

/**
 * The same as {@link connect} without waiting: the socket is on its way, and what is emitted waits until it is connected.
 *
 * @since 0.1.0
 * @category constructors
 */
export const socket: {
  <N extends Namespace.Static, R = never>(
    namespace: N,
    options?: ConnectOptions<N["auth"]["Type"], R>
  ): Effect.Effect<ClientSocket<N>, never, SocketIoClient | Scope.Scope | R>
  <R = never>(
    namespace: string,
    options?: ConnectOptions<Readonly<Record<string, unknown>>, R>
  ): Effect.Effect<PlainClientSocket, never, SocketIoClient | Scope.Scope | R>
} = ((namespace: string | Namespace.Any, options: ConnectOptions<any, any> = {}) => open(namespace, options)) as any

const open = Effect.fnUntraced(function* (namespace: string | Namespace.Any, options: ConnectOptions<any, any>) {
  const { manager } = yield* SocketIoClient
  const contract = typeof namespace === "string" ? undefined : namespace.compiled()
  const name = typeof namespace === "string" ? namespace : namespace._tag
  if (!name.startsWith("/") || name.includes(",")) {
    return yield* Effect.die(new Error(`a namespace's name starts with "/" and has no comma, unlike "${name}"`))
  }
  if (manager.get(name) !== undefined) {
    return yield* Effect.die(new Error(`the client is connected to "${name}" already`))
  }
  const context = yield* Effect.context<any>()
  const { auth } = options
  const given: Effect.Effect<unknown> = Effect.isEffect(auth)
    ? Effect.provideContext(auth as Effect.Effect<unknown>, context)
    : Effect.succeed(auth)
  const payload = Effect.map(given, (value) => {
    if (contract === undefined || value === undefined) return value
    const encoded = contract.auth.encode(value)
    if (encoded._tag === "Success") return encoded.value
    throw new Error("the auth payload is not of the declared type")
  }) as MakeAuth
  const socket = new SocketRuntime(manager, name, contract, payload)
  yield* Effect.acquireRelease(
    Effect.sync(() => socket.want()),
    () => Effect.sync(() => socket.dispose())
  )
  return socket
})
