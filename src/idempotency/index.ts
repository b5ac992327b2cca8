/**
 * The memory of servers for the messages that they have handled.
 *
 * @since 0.1.0
 */
export * as Idempotency from "./Idempotency.ts"
export * as PersistedIdempotency from "./PersistedIdempotency.ts"
