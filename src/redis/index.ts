/**
 * Clusters over Redis.
 *
 * @since 0.1.0
 */
export * as RedisClient from "./RedisClient.ts"
export type * from "./RedisCommand.ts"
export { RedisError, type RedisErrorReason } from "./RedisError.ts"
