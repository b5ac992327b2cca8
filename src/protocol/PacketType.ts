/**
 * The packet types of Socket.IO protocol 5 by their digits on the wire ("Packet types"). They are
 * separate constants so that bundlers inline them.
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
 * An event with attachments. Decoders return it as {@link EVENT}.
 *
 * @since 0.1.0
 * @category constants
 */
export const BINARY_EVENT = 5

/**
 * An acknowledgement with attachments. Decoders return it as {@link ACK}.
 *
 * @since 0.1.0
 * @category constants
 */
export const BINARY_ACK = 6
