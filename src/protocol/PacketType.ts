/**
 * The packet types of Socket.IO protocol 5 by their digits on the wire ("Packet types"). They are
 * constants of their own, which bundlers write where they are used.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 * @category constants
 */
export const CONNECT = 0

/**
 * @since 0.1.0
 * @category constants
 */
export const DISCONNECT = 1

/**
 * @since 0.1.0
 * @category constants
 */
export const EVENT = 2

/**
 * @since 0.1.0
 * @category constants
 */
export const ACK = 3

/**
 * @since 0.1.0
 * @category constants
 */
export const CONNECT_ERROR = 4

/**
 * An event with attachments. Decoded packets come as {@link EVENT}.
 *
 * @since 0.1.0
 * @category constants
 */
export const BINARY_EVENT = 5

/**
 * An acknowledgement with attachments. Decoded packets come as {@link ACK}.
 *
 * @since 0.1.0
 * @category constants
 */
export const BINARY_ACK = 6
