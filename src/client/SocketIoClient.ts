/**
 * The Socket.IO client (Socket.IO protocol 5 over Engine.IO protocol 4): one connection for all
 * namespaces of a server, opened when the first one needs it, and opened again after an outage.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
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
import { ClientDebug } from "./ClientDebug.ts"
import { type ClientOptions, resolve } from "./ClientOptions.ts"
import type { ClientSocket, ConnectError } from "./ClientSocket.ts"
import type { MakeAuth, Manager, ManagerRuntime, SocketRuntime } from "./internal/connection.ts"
import { makeManager } from "./internal/manager.ts"
import { contextHere, scoped } from "./internal/scoped.ts"
import { makeSocket } from "./internal/socket.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface SocketIoClientShape {
  /** @internal */
  readonly manager: Manager<SocketRuntime>
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
 * Makes a client. It connects when a namespace is connected to. Closing the scope sends the events
 * that wait, and closes the connection. Fails with {@link InvalidOptionError} on an option that
 * makes no sense.
 *
 * **Details**
 *
 * A client does not log failed attempts by itself, as a browser's console tells of failed requests.
 * `ClientDebug.layer` warns while the server cannot be connected to, and logs every step of the
 * connection at level Debug. `NodeClientPlatform` includes it; a page adds it to its client.
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
  const context = yield* contextHere
  const extras = [...(yield* ClientDebug), ...(options.extras ?? [])]
  const runtime: ManagerRuntime = {
    platform: platform.forClient?.() ?? platform,
    context,
    runFork: Effect.runForkWith(context),
    now: () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6,
    unique: (yield* Random.next).toString(36).slice(2)
  }
  const manager = makeManager<SocketRuntime>(resolved, runtime, yield* Parser, extras)
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
 * The same as {@link layer}, with options that are configured: each a `Config`, or all of them one,
 * as `ClientConfig.options` is. Fails with a `ConfigError`, too.
 *
 * **Example** (Reads the address of the server from the environment)
 *
 * ```ts
 * const Client = SocketIoClient.layerConfig({
 *   url: Config.String("CHAT_URL"),
 *   connectTimeout: Config.Duration("CHAT_TIMEOUT").pipe(Config.withDefault("10 seconds"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <R = never>(
  options: Config.Wrap<ClientOptions<R>>
): Layer.Layer<SocketIoClient, InvalidOptionError | Config.ConfigError, R> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layer<R>(options)))

/**
 * The target of a connection: a contract, or a namespace's name.
 *
 * @since 0.1.0
 * @category models
 */
export type Target = Namespace.Any | string

/**
 * The socket of a namespace: with its contract, or an untyped one.
 *
 * @since 0.1.0
 * @category utility types
 */
export type SocketOf<T extends Target> = T extends Namespace.Any ? ClientSocket<T> : ClientSocket<Namespace.Untyped>

/**
 * The auth payload that a namespace takes: its contract declares one, and each middleware may add
 * to it. Without a contract it is any object.
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
 * The options of a connection to a namespace.
 *
 * - `auth`: the auth payload: a value, or an effect that is run anew for every connection. It may
 *   be left out if `{}` is one.
 * - `params`: the parameters of a dynamic namespace's name; nothing else has one. A name that does
 *   not match the contract's pattern is a defect.
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
 * Connects to a namespace until the scope closes, and waits until the socket is connected for the
 * first time, however many attempts that takes. Fails with {@link ConnectError} when the server
 * refuses, or when there are no more attempts.
 *
 * **Details**
 *
 * After the first time the socket connects again by itself after an outage; its `status` tells.
 * Interruption leaves the namespace.
 *
 * A client has one socket per namespace. Those who connect to the same one, by the same contract
 * and with the same `auth`, share it: `disconnect` leaves it for all of them, and the last of their
 * scopes closes it. Another contract or another `auth` is a defect: make another client for that.
 * If `auth` is an effect, one of the effects that were given is run: that of somebody who still
 * uses the socket.
 *
 * Events that come within a second after the connection, such as those that a server emits when it
 * sees a new client, wait for the first stream or handler of their name, up to 256 of them. A
 * reader that begins right after `connect`, in a new fiber too, misses nothing. A reader that needs
 * longer subscribes to the {@link socket} first, and then awaits its `reconnect`.
 *
 * **Gotchas**
 *
 * The default schedule of reconnection never ends: if nobody ever answers at the `url`, `connect`
 * waits for ever. Limit it, as below, or with a schedule that ends (`Reconnection`).
 *
 * **Example** (Gives up when the server does not answer in time)
 *
 * ```ts
 * const chat = yield* SocketIoClient.connect(Chat).pipe(Effect.timeout("30 seconds"))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const connect = <const T extends Target, R = never>(
  namespace: T,
  ...options: ConnectArguments<T, R>
): Effect.Effect<SocketOf<T>, ConnectError, SocketIoClient | Scope.Scope | R> =>
  Effect.flatMap(open(namespace, options[0]), ([{ ready, socket }, leave]) =>
    Effect.map(
      Effect.onExit(ready, ({ _tag }) => Effect.sync(() => _tag === "Failure" && leave())),
      () => socket
    )
  ) as Effect.Effect<any, ConnectError, any>

/**
 * Connects to a namespace without waiting, until the scope closes. Events that are emitted wait
 * until the socket is connected. See {@link connect}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const socket = <const T extends Target, R = never>(
  namespace: T,
  ...options: ConnectArguments<T, R>
): Effect.Effect<SocketOf<T>, never, SocketIoClient | Scope.Scope | R> =>
  Effect.map(open(namespace, options[0]), ([{ socket }]) => socket) as Effect.Effect<any, never, any>

/** The options of any namespace. */
interface AnyOptions {
  readonly auth?: unknown
  readonly params?: Readonly<Record<string, unknown>>
}

const open = Effect.fnUntraced(function* (of: Target, { auth, params }: AnyOptions = {}) {
  const { manager } = yield* SocketIoClient
  const contract = (of as Partial<Namespace.Any>).forClient?.()
  const namespace = contract ? contract.name(params) : (of as string)
  if (!/^\/[^,]*$/.test(namespace)) throw new Error(`"${namespace}" is no namespace`)
  const run = Effect.runForkWith(yield* contextHere)
  const isMade = Effect.isEffect(auth)
  const given = isMade ? auth : Effect.succeed(auth)
  const payload = Effect.map(given, (value) => (contract ? contract.encodeAuth(value) : value))
  const makeAuth: MakeAuth = (use) => run(Effect.map(payload as Effect.Effect<any>, use))
  const target = { namespace, of, wire: contract?.wire, auth: isMade || auth }
  const existing = manager.members.get(namespace)
  const runtime = existing ?? makeSocket(manager, manager.target(target))
  const other = runtime.target.of !== of ? "contract" : Equal.equals(runtime.target.auth, target.auth) ? "" : "auth"
  if (other) {
    // Another contract or auth needs another client.
    throw new Error(`"${namespace}" has another ${other}`)
  }
  return [runtime, yield* scoped(() => runtime.use(makeAuth))] as const
})
