/**
 * The first request of a client, as handlers and middleware see it.
 *
 * @since 0.1.0
 */

/**
 * The details of the request that opened the connection, and of the CONNECT packet that asked for
 * the namespace.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handshake {
  /** The request's headers, names in lower case; several values of one name are joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  /**
   * The query parameters. A repeated parameter has its last value. In JSON this is an object.
   */
  readonly query: ReadonlyMap<string, string>
  /** The request's target: path and query. */
  readonly url: string
  /**
   * The address of the peer, as the server sees it. For a client of a proxy it is the proxy's
   * address, unless the server trusts the proxy (`trustedProxies`).
   */
  readonly address: string
  /** Whether the connection to this server is encrypted. */
  readonly secure: boolean
  /** The time at which the connection was opened, in milliseconds since the epoch. */
  readonly issued: number
  /**
   * The same time as a text, as `Date` writes it:
   * `Tue Nov 14 2023 22:13:20 GMT+0000 (Coordinated Universal Time)`.
   */
  readonly time: string
  /**
   * Whether the request comes from a page (it has an `Origin`). Browsers send it for pages of
   * another origin.
   */
  readonly xdomain: boolean
  /**
   * The raw auth payload of the CONNECT packet, not validated; an empty object if there was none.
   */
  readonly auth: Readonly<Record<string, unknown>>
}
