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
   * The query parameters; of a parameter given more than once the last value. In JSON it is an
   * object.
   */
  readonly query: ReadonlyMap<string, string>
  /** The request's target: path and query. */
  readonly url: string
  /**
   * The address of the peer, as the server sees it: a proxy's address behind a proxy, unless the
   * server was told to trust it (`trustedProxies`).
   */
  readonly address: string
  /** Whether the connection to this server is encrypted. */
  readonly secure: boolean
  /** When the connection was opened, in milliseconds since the epoch. */
  readonly issued: number
  /**
   * The same as text, as `Date` writes it:
   * `Tue Nov 14 2023 22:13:20 GMT+0000 (Coordinated Universal Time)`.
   */
  readonly time: string
  /**
   * Whether the request says that it comes from a page (`Origin`), which browsers do where it is of
   * another origin.
   */
  readonly xdomain: boolean
  /**
   * The auth payload of the CONNECT packet as it came, not validated; an empty object if there was
   * none.
   */
  readonly auth: Readonly<Record<string, unknown>>
}
