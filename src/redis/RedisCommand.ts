/**
 * Commands for Redis and their replies.
 *
 * @since 0.1.0
 */

/**
 * A command: its name, then its arguments.
 *
 * @since 0.1.0
 * @category models
 */
export type Command = ReadonlyArray<string | Uint8Array>

/**
 * The reply to a command. Strings are text, or `Uint8Array` where bytes were asked for.
 *
 * @since 0.1.0
 * @category models
 */
export type Reply = string | number | null | Uint8Array | ReadonlyArray<Reply>

/**
 * The target of a subscription: a channel, a pattern of channels, or a sharded channel (Redis 7).
 *
 * @since 0.1.0
 * @category models
 */
export type SubscriptionKind = "channel" | "pattern" | "sharded"
