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
import type * as Event from "../Event.ts"
import type * as Namespace from "../Namespace.ts"
import { Parser } from "../Parser.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { type ClientOptions, resolve } from "./ClientOptions.ts"
import type { ClientSocket, ConnectError, PlainClientSocket } from "./ClientSocket.ts"
import { Manager } from "./internal/manager.ts"
import { runForkHere, scoped } from "./internal/scoped.ts"
import { SocketRuntime } from "./internal/socket.ts"

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
  const platform = yield* ClientPlatform
  const runtime = {
    platform: platform.forClient?.() ?? platform,
    runFork: yield* runForkHere,
    now: () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6,
    memory: { upgraded: false }
  }
  const manager = new Manager(resolved, runtime, yield* Parser)
  yield* scoped(() => manager.close)
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
 * What may be connected to: a contract, or a namespace's name.
 *
 * @since 0.1.0
 * @category models
 */
export type Target = Namespace.Any | string

/**
 * The socket of a namespace: with its contract, or without one.
 *
 * @since 0.1.0
 * @category utility types
 */
export type SocketOf<T extends Target> = T extends Namespace.Any ? ClientSocket<T> : PlainClientSocket

/**
 * The auth payload that a namespace takes: what its contract declares, and what its middlewares do. Without a contract it is any object.
 *
 * @since 0.1.0
 * @category utility types
 */
export type AuthOf<T extends Target> = T extends Namespace.Any
  ? T["auth"]["Type"] & MiddlewareAuth<Namespace.Middleware<T>>
  : Readonly<Record<string, unknown>>

type MiddlewareAuth<M> = [M] extends [never]
  ? unknown
  : (M extends { readonly auth: Event.AnySchema } ? (_: M["auth"]["Type"]) => void : never) extends (_: infer A) => void
    ? A
    : never

/**
 * What is given with a connection to a namespace.
 *
 * - `auth`: the auth payload: a value, or an effect that is run anew for every connection. It may be left out if `{}` is one.
 * - `params`: the parameters of a dynamic namespace's name; nothing else has any. A name that does not match the contract's pattern
 *   is a defect.
 *
 * @since 0.1.0
 * @category options
 */
export type ConnectOptions<T extends Target, R = never> = AuthOption<AuthOf<T>, R> & ParamsOption<T>

type AuthOption<Auth, R> = {} extends Auth
  ? { readonly auth?: Auth | Effect.Effect<Auth, never, R> }
  : { readonly auth: Auth | Effect.Effect<Auth, never, R> }

type ParamsOption<T extends Target> = T extends Namespace.Dynamic
  ? { readonly params: Namespace.Params<T> }
  : { readonly params?: never }

/**
 * The options of a connection as an argument: left out where none is required.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ConnectArguments<T extends Target, R = never> =
  {} extends ConnectOptions<T, R> ? [options?: ConnectOptions<T, R>] : [options: ConnectOptions<T, R>]

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
export const connect = <const T extends Target, R = never>(
  namespace: T,
  ...options: ConnectArguments<T, R>
): Effect.Effect<SocketOf<T>, ConnectError, SocketIoClient | Scope.Scope | R> =>
  Effect.flatMap(open(namespace, options[0]), (socket) =>
    Effect.map(socket.awaitConnected, () => socket)
  ) as Effect.Effect<any, ConnectError, any>

/**
 * The same as {@link connect} without waiting: the socket is on its way, and what is emitted waits until it is connected.
 *
 * @since 0.1.0
 * @category constructors
 */
export const socket = <const T extends Target, R = never>(
  namespace: T,
  ...options: ConnectArguments<T, R>
): Effect.Effect<SocketOf<T>, never, SocketIoClient | Scope.Scope | R> =>
  open(namespace, options[0]) as Effect.Effect<any, never, any>

/** The options, whatever the namespace. */
interface AnyOptions {
  readonly auth?: unknown
  readonly params?: Readonly<Record<string, unknown>>
}

const open = Effect.fnUntraced(function* (namespace: Target, { auth, params }: AnyOptions = {}) {
  const { manager } = yield* SocketIoClient
  const wire = (namespace as Partial<Namespace.Any>).compiled?.().forClients()
  const name = wire ? wire.name(params) : (namespace as string)
  if (!/^\/[^,]*$/.test(name)) throw new Error(`"${name}" is no namespace`)
  if (manager.sockets.has(name)) throw new Error(`"${name}" is connected`)
  const run = yield* runForkHere
  const given = Effect.isEffect(auth) ? auth : Effect.succeed(auth)
  const payload = Effect.map(given, (value) => (wire && value !== undefined ? wire.encodeAuth(value) : value))
  const socket = new SocketRuntime(manager, name, wire, (use) => run(Effect.map(payload as Effect.Effect<any>, use)))
  yield* scoped(() => {
    socket.want()
    return socket.dispose
  })
  return socket
})
