/**
 * Numbers that mean something to a socket. In a module of their own, as bundlers write those in place of their names.
 */

/** What is listened to beside events: how the socket stands, every event, the end, every event that is sent. */
export const STATUS = 0
export const ANY = 1
export const END = 2
export const OUTGOING = 3

/** How a socket stands: CONNECT was sent over the connection that is open, or will be when the auth payload is made. */
export const IDLE = 0
export const CONNECTING = 1
export const CONNECTED = 2
