/**
 * The server's side of the official Admin UI (`@socket.io/admin-ui` 0.5): a namespace that the page
 * connects to, and the page's files.
 *
 * Its protocol is that of the official package (`lib/typed-events.ts` in its repository).
 *
 * @since 0.1.0
 */
import { createHash, timingSafeEqual } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"

import { logText } from "../internal/logText.ts"
import type * as Namespace from "../Namespace.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import type { ServerSocket } from "../server/ServerSocket.ts"
import { layerNamespace, SocketIoServer } from "../server/SocketIoServer.ts"
import { type AdminOptions, type Authenticate, resolve, type ResolvedAdminOptions } from "./AdminOptions.ts"
import { addCommands, COMMAND_FEATURES } from "./internal/commands.ts"
import { contractOf } from "./internal/contract.ts"
import { Guard, Login, makeGuard } from "./internal/guard.ts"
import { makeShow } from "./internal/show.ts"
import { makeUiFiles } from "./internal/uiFiles.ts"

/**
 * Lets in clients with this name and password, which are compared in constant time.
 *
 * **Example** (The password from the environment)
 *
 * ```ts
 * const AdminLive = Layer.unwrap(
 *   Effect.map(Config.Redacted("ADMIN_PASSWORD"), (password) =>
 *     Admin.layer({ auth: Admin.basic({ username: "admin", password }) })
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const basic = (expected: { readonly username: string; readonly password: Redacted.Redacted }): Authenticate => {
  const username = digest(expected.username)
  const password = digest(Redacted.value(expected.password))
  return (given) =>
    Effect.sync(() => {
      const isName = timingSafeEqual(digest(given.username), username)
      const isPassword = timingSafeEqual(digest(Redacted.value(given.password)), password)
      return isName && isPassword
    })
}

/** Digests have one length, whatever the length of the text is. */
const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

/**
 * Serves the Admin UI's namespace, and its page, for the lifetime of the layer.
 *
 * **Details**
 *
 * The page is that of the package `@socket.io/admin-ui`, which the application installs. It is
 * served below `/socket.io-admin`, or comes from elsewhere, such as `https://admin.socket.io`, with
 * the `cors` option for that origin, with credentials.
 *
 * In production mode nothing is attached to connections, and no message takes longer: the numbers
 * come from counters that exist anyway. Nothing happens at all while nobody looks. In development
 * mode sockets, rooms and events are shown, up to `maxSockets` and `maxEvents`: handlers are
 * attached when the first administrator connects, and taken back when the last one has left.
 *
 * With an adapter for a cluster, every server with this layer tells its own numbers, sockets and
 * events, and commands reach the clients of all servers.
 *
 * Administrators can only look, unless `readonly` is `false`. Each command is logged at level Info.
 * Closing the layer's scope closes their connections, as with `SocketIoServer.layerNamespace`.
 * Fails with `InvalidOptionError` on an option that makes no sense.
 *
 * **Gotchas**
 *
 * An administrator in development mode sees the messages of all users, and headers, queries and
 * data of their sockets. Cookies and `Authorization` are hidden. Behind a proxy, set
 * `trustedProxies`, or all tries to log in come from one address.
 *
 * **Example** (Numbers at http://localhost:3000/socket.io-admin/)
 *
 * ```ts
 * const AdminLive = Admin.layer({
 *   auth: Admin.basic({ username: "admin", password: Redacted.make("a long passphrase") })
 * })
 *
 * const Main = Layer.mergeAll(ChatLive, AdminLive).pipe(
 *   Layer.provide(NodeSocketIoServer.layer({ port: 3000 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(
  options: AdminOptions<R>
): Layer.Layer<never, InvalidOptionError, SocketIoServer | R> => Layer.unwrap(prepare(options))

/** Makes the parts of the namespace, and the layer that serves it. */
const prepare = Effect.fnUntraced(function* <R>(
  given: AdminOptions<R>
): Effect.fn.Return<Layer.Layer<never, never, SocketIoServer>, InvalidOptionError, SocketIoServer | R | Scope.Scope> {
  const options = yield* resolve(given)
  if (options.auth === false) {
    yield* Effect.logWarning("admin: every client that reaches the server may look, as auth is false")
  }
  yield* servePage(options)
  const guard = makeGuard(options, yield* Effect.context<R>())
  const build = yield* makeBuilder(options)
  const contract = contractOf(options.namespace)
  return layerNamespace(contract, ({ untyped }) => Effect.as(build(untyped), {})).pipe(
    Layer.provide(Layer.succeed(Guard, guard))
  )
})

/** Serves the files of the page. */
const servePage = Effect.fnUntraced(function* ({ uiPath }: ResolvedAdminOptions<any>) {
  if (uiPath === undefined) return
  const server = yield* SocketIoServer
  const { report, routes } = yield* server.engine
  const remove = [
    // The page names its files by relative paths.
    yield* routes.add("ui.path", uiPath, (exchange) => exchange.respond(308, { location: `${uiPath}/` }, "")),
    yield* routes.add("ui.path", `${uiPath}/`, makeUiFiles(report))
  ]
  yield* Effect.addFinalizer(() => Effect.all(remove, { discard: true }))
})

/** Makes the builder of administrators' sockets. */
const makeBuilder = Effect.fnUntraced(function* (options: ResolvedAdminOptions<any>) {
  const server = yield* SocketIoServer
  const show = yield* makeShow(server, options)
  const supportedFeatures = [
    ...(options.readonly ? [] : COMMAND_FEATURES),
    "AGGREGATED_EVENTS",
    ...(options.isDevelopment ? ["ALL_EVENTS"] : [])
  ]
  return (socket: ServerSocket<Namespace.Untyped>) =>
    Effect.gen(function* () {
      const { session } = yield* Login
      // The page listens once it is connected, which it is by now.
      if (session !== undefined) yield* socket.emit("session", session)
      yield* socket.emit("config", { supportedFeatures })
      if (!options.readonly) yield* addCommands(server, socket)
      yield* show.welcome(socket)
      const annotations = { admin: socket.id, address: logText(socket.handshake.address) }
      yield* Effect.annotateLogs(Effect.logInfo("admin: somebody looks"), annotations)
    })
})
