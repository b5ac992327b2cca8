/**
 * How far a session is. In a module of their own, as bundlers write numbers that are imported in place of their names.
 */
export const OPENING = 0
export const OPEN = 1
export const CLOSING = 2
export const CLOSED = 3

/** Why a session ends over a message that is larger than its receiver takes. */
export const PAYLOAD_TOO_LARGE = "payload too large"
