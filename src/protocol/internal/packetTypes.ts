/**
 * The packet types by their digits on the wire, one by one: bundlers write them where they are used, without their names.
 */
export const CONNECT = 0
export const DISCONNECT = 1
export const EVENT = 2
export const ACK = 3
export const CONNECT_ERROR = 4
export const BINARY_EVENT = 5
export const BINARY_ACK = 6
