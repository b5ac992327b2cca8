/**
 * How far a session is. In a module of their own, as bundlers write numbers that are imported in place of their names.
 */
export const OPENING = 0
export const OPEN = 1
export const CLOSING = 2
export const CLOSED = 3
