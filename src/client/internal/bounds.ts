/** Bounds of a client. A module without imports: bundlers put them in their places. */

/**
 * The events that wait for their first reader, and the time after the connection in which they do,
 * in milliseconds.
 */
export const MAX_UNHEARD = 256
export const UNHEARD_FOR = 1_000

/**
 * The namespaces whose former sockets are remembered: a page may go through thousands over one
 * connection.
 */
export const MAX_FORMER = 1_000
