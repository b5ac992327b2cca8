/** Constants of the client. A module without imports: bundlers put them in their places. */

/** The most packets of one response: a hostile server must not keep the client busy for ever. */
export const MAX_PACKETS = 100_000

/** A message was larger than its receiver takes (RFC 6455, 7.4.1). */
export const TOO_LARGE = 1009

export const PONG = "3"

/**
 * The size of one response, in bytes at most: as much as `ws` takes of one message. Servers send
 * everything that waits, and bound that.
 */
export const MAX_RESPONSE = 100_000_000
