/**
 * The Socket.IO client (Socket.IO protocol 5 over Engine.IO protocol 4): one connection for all namespaces of a server, opened
 * when the first one needs it, and opened again after an outage.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Equal from "effect/Equal"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"

import { ClientPlatform } from "../engine/ClientPlatform.ts"
import type * as Event from "../Event.ts"
import type * as Namespace from "../Namespace.ts"
import { Parser } from "../Parser.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { type ClientOptions, resolve } from "./ClientOptions.ts"
import type { ClientSocket, ConnectError, PlainClientSocket } from "./ClientSocket.ts"
import { makeDiagnostics } from "./internal/diagnostics.ts"
import { Manager } from "./internal/manager.ts"
import { runForkHere, scoped } from "./internal/scoped.ts"
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
 * While the server cannot be connected to, a warning is logged: when the first attempt has failed that another one follows, and then
 * once a minute at the most. `DEBUG='socket.io-client:*'` in the environment, or `localStorage.debug` in pages, switches debug logs on,
 * as does the level Debug: `socket.io-client:engine`, `socket.io-client:manager`, `socket.io-client:socket`.
 *
 * Fails with {@link InvalidOptionError} on an option that makes no sense.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: <R = never>(
  options: ClientOptions<R>
) => Effect.Effect<SocketIoClientShape, InvalidOptionError, Scope.Scope | R> = Effect.fnUntraced(function* (
  options: ClientOptions<any>
): Effect.fn.Return<SocketIoClientShape, InvalidOptionError, any> {
  const resolved = yield* resolve(options)
  const clock = yield* Clock.Clock
  const platform = yield* ClientPlatform
  const runtime = {
    platform: platform.forClient?.() ?? platform,
    runFork: yield* runForkHere,
    now: () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6,
    memory: { upgraded: false },
    unique: clock.currentTimeMillisUnsafe().toString(36) + (yield* Random.next).toString(36).slice(2),
    diagnostics: yield* makeDiagnostics
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
export const layer = <R = never>(options: ClientOptions<R>): Layer.Layer<SocketIoClient, InvalidOptionError, R> =>
  Layer.effect(SocketIoClient, make(options)) as Layer.Layer<SocketIoClient, InvalidOptionError, R>

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
 * A connection has one socket per namespace: those who connect to the same one, by the same contract and with the same `auth`, share
 * it, and it leaves the namespace with the last of their scopes. `disconnect` leaves it for all of them. With another contract, or another
 * `auth`, it is a defect: make another client for that. Of effects that give `auth` one is run, of somebody who is still there.
 *
 * Events that come within a second after the connection, as those that a server emits when it sees a new client, wait for the first
 * stream or handler of their name: up to 256 of them. A reader that begins in the same breath, also in a fiber that is only started then,
 * misses nothing. {@link socket} is there for those who need longer: subscribe to what it gives, then await its `reconnect`.
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
  const contract = (namespace as Partial<Namespace.Any>).forClient?.()
  const name = contract ? contract.name(params) : (namespace as string)
  if (!/^\/[^,]*$/.test(name)) throw new Error(`"${name}" is no namespace`)
  const run = yield* runForkHere
  const isMade = Effect.isEffect(auth)
  const given = isMade ? auth : Effect.succeed(auth)
  const payload = Effect.map(given, (value) => (contract ? contract.encodeAuth(value) : value))
  const makeAuth: MakeAuth = (use) => run(Effect.map(payload as Effect.Effect<any>, use))
  const connected = manager.sockets.get(name)
  const other =
    connected &&
    (connected.target !== namespace ? "contract" : Equal.equals(connected.auth, isMade || auth) ? undefined : "auth")
  if (other) {
    throw new Error(`"${name}" is connected already with another ${other}: use the same, or another client`)
  }
  const socket = connected ?? new SocketRuntime(manager, name, namespace, contract?.wire, isMade || auth)
  yield* scoped(() => socket.use(makeAuth))
  return socket
})
