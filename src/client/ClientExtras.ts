/**
 * The extras of clients: what not every application needs, and what a server of this library does
 * for its own clients beyond the protocol. A client has those that it is given, and a page bundles
 * no others.
 *
 * @since 0.1.0
 */
import * as ClientChoices from "../engine/ClientChoices.ts"
import type { Extend } from "./internal/connection.ts"
import { refreshRights, telling, watchContracts } from "./internal/greetings.ts"
import { followMoves } from "./internal/moves.ts"

/**
 * An extra of a client. Opaque: this module has them, and `ClientTelemetry`. Pass them as `extras`
 * of the client's options.
 *
 * **Details**
 *
 * Any server can be connected to with them. Those of {@link server} send a parameter more, `fx`,
 * which servers of another kind ignore.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientExtra {
  /** @internal */
  readonly extend: Extend
}

/**
 * Moves to another server without an outage, when the present one is drained, or ends a connection
 * because its rights have ended.
 *
 * **Details**
 *
 * The client connects to the next server while the present one still serves it. Events that are
 * emitted meanwhile wait for a moment. Then its sockets are `Connected` anew, and not
 * `Disconnected` before that. If the next server cannot be reached, the client tries again every
 * second, for the time that the present one has left, and for a minute at most. Then there is an
 * outage, as there is without this extra: the server closes the connection, and the client connects
 * again on its schedule, as the official client does.
 *
 * **Example** (A client that stays connected while servers are replaced)
 *
 * ```ts
 * const Client = SocketIoClient.layer({ url: "https://example.org", extras: [ClientExtras.moves] })
 * ```
 *
 * @since 0.1.0
 * @category extras
 */
export const moves: ClientExtra = {
  extend: (parts, client) => ({ ...parts, dial: followMoves(parts.dial, client) })
}

/**
 * Keeps the rights of sockets whose `auth` is an effect: when the server says that they end soon,
 * the effect runs again, and its payload is sent. Without this extra the client gets the event
 * `auth:expiring`, and may refresh by itself; at the end the server closes the connection, and the
 * client connects again with a new payload.
 *
 * **Details**
 *
 * The status `Connected` tells in `auth` after how many milliseconds the rights end that the client
 * has come with, if they do. If the effect dies, a warning is logged, and the rights end.
 *
 * @since 0.1.0
 * @category extras
 */
export const rights: ClientExtra = {
  extend: (parts, client) =>
    refreshRights(
      telling(({ auth }) => (typeof auth?.expiresIn === "number" ? { auth: { expiresIn: auth.expiresIn } } : {}))(
        parts,
        client
      ),
      client
    )
}

/**
 * Tells in the status `Connected` why the server has not recovered a socket: its `recovery` has the
 * reason. Recovery itself needs no extra.
 *
 * @since 0.1.0
 * @category extras
 */
export const recovery: ClientExtra = {
  extend: telling(({ recovered }) =>
    typeof recovered?.reason === "string" ? { recovery: { reason: recovered.reason } } : {}
  )
}

/**
 * Logs a warning, once for each socket, if the server has another contract than the client. The
 * argument has the fingerprints of the client's contracts, as `ContractDiff.fingerprint` gives them
 * in a build, by the names of their namespaces. Default: the first one that the server tells, so
 * that the warning means that the server has changed since.
 *
 * @since 0.1.0
 * @category extras
 */
export const contracts = (fingerprints: Readonly<Record<string, string>> = {}): ClientExtra => ({
  extend: watchContracts(new Map(Object.entries(fingerprints)))
})

/**
 * All extras that need a server of this library: {@link moves}, {@link rights}, {@link recovery}
 * and {@link contracts}.
 *
 * **Example** (A client that takes everything that its server offers, and closes with its page)
 *
 * ```ts
 * const Client = SocketIoClient.layer({
 *   url: location.origin,
 *   extras: [...ClientExtras.server, ClientExtras.closeOnPageHide]
 * })
 * ```
 *
 * @since 0.1.0
 * @category extras
 */
export const server: ReadonlyArray<ClientExtra> = [moves, rights, recovery, contracts()]

/**
 * Tries the other transports, in their order, when the first one cannot connect, or not within
 * `connectTimeout`.
 *
 * **Example** (Long-polling where a proxy lets no WebSocket pass)
 *
 * ```ts
 * const Client = SocketIoClient.layer({
 *   url: "https://example.org",
 *   transports: ["websocket", "polling"],
 *   extras: [ClientExtras.tryAllTransports]
 * })
 * ```
 *
 * @since 0.1.0
 * @category extras
 */
export const tryAllTransports: ClientExtra = {
  extend: (parts) => ({ ...parts, make: ClientChoices.tryAllTransports(parts.make) })
}

/**
 * Begins with WebSocket once an upgrade has succeeded, until a connection fails. It has no effect
 * unless `transports` are polling, and then WebSocket.
 *
 * @since 0.1.0
 * @category extras
 */
export const rememberUpgrade: ClientExtra = {
  extend: (parts) => ({ ...parts, make: ClientChoices.rememberUpgrade(parts.make) })
}

/**
 * Closes the connection when the page is left or frozen, and tells the server at once. A page that
 * comes back connects again.
 *
 * @since 0.1.0
 * @category extras
 */
export const closeOnPageHide: ClientExtra = {
  extend: (parts) => ({ ...parts, make: ClientChoices.closeOnPageHide(parts.make) })
}
