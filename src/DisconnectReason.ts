/**
 * The reasons for which sessions end and sockets disconnect.
 *
 * @since 0.1.0
 */

/**
 * The reasons why Engine.IO sessions end.
 *
 * - `transport close`: the client closed the connection, or lost it.
 * - `transport error`: the transport failed, or the client broke the rules of long-polling (two
 *   requests at once).
 * - `ping timeout`: no pong came within `pingTimeout`.
 * - `parse error`: the client sent something that the protocol does not allow.
 * - `payload too large`: the client sent more than `maxPayload` bytes at once.
 * - `outbox overflow`: the client did not read, and more than `maxOutbox` bytes were waiting.
 * - `inbound overflow`: the client sent more than may wait for its handlers, or, where the platform
 *   cannot stop reading, more at once than others can wait for.
 * - `rate limit exceeded`: the client sent too often, and its limit says that this closes the
 *   connection.
 * - `connect timeout`: the client joined no namespace within `connectTimeout`.
 * - `internal error`: code of the server threw that must not, such as the application's own parser
 *   or adapter. The error is logged.
 * - `forced close`: the server closed it.
 * - `server shutting down`: the server's scope closed, or a drain has moved the connection to
 *   another server.
 * - `session resumed`: the client came back over another connection before the server had noticed
 *   the end of this one.
 * - `auth expired`: the client's rights have ended, as a middleware had said (`expires`). Clients
 *   come back by themselves, with new credentials.
 * - `auth changed`: a client has refreshed its rights with the credentials of somebody else.
 *
 * @since 0.1.0
 * @category models
 */
export type SessionCloseReason =
  | "transport close"
  | "transport error"
  | "ping timeout"
  | "parse error"
  | "payload too large"
  | "outbox overflow"
  | "inbound overflow"
  | "rate limit exceeded"
  | "connect timeout"
  | "internal error"
  | "forced close"
  | "server shutting down"
  | "session resumed"
  | "auth expired"
  | "auth changed"

/**
 * The reasons why sockets disconnect from their namespace: the session ended, or one side left the
 * namespace.
 *
 * @since 0.1.0
 * @category models
 */
export type DisconnectReason = SessionCloseReason | "client namespace disconnect" | "server namespace disconnect"

/**
 * The reasons why a client's session ends.
 *
 * - `transport error`: a request or the WebSocket failed.
 * - `transport close`: the server closed the session, the network was lost, or the page was left or
 *   frozen.
 * - `ping timeout`: the server sent no ping within `pingInterval + pingTimeout`.
 * - `parse error`: the server sent something that the protocol does not allow.
 * - `payload too large`: a message was larger than the server takes (its `maxPayload`), or larger
 *   than this side's platform takes.
 * - `too many packets`, `too many attachments`, `attachments too large`, `nesting too deep`: the
 *   server sent more than a limit of this side allows.
 * - `timeout`: the session did not open in time.
 * - `forced close`: the client closed it.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientCloseReason =
  | "transport error"
  | "transport close"
  | "ping timeout"
  | "parse error"
  | "payload too large"
  | "too many packets"
  | "too many attachments"
  | "attachments too large"
  | "nesting too deep"
  | "timeout"
  | "forced close"
