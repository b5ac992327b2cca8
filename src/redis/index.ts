/**
 * Clusters over Redis.
 *
 * @since 0.1.0
 */
export * as EmitterOperator from "./EmitterOperator.ts"
export * as RedisAdapter from "./RedisAdapter.ts"
export * as RedisAdapterOptions from "./RedisAdapterOptions.ts"
export * as RedisClient from "./RedisClient.ts"
export * as RedisCommand from "./RedisCommand.ts"
export * as RedisEmitter from "./RedisEmitter.ts"
export * as RedisError from "./RedisError.ts"
export * as RedisIdempotency from "./RedisIdempotency.ts"
export * as RedisNodeDirectory from "./RedisNodeDirectory.ts"
export * as RedisStreamLog from "./RedisStreamLog.ts"
export * as RedisStreamsAdapter from "./RedisStreamsAdapter.ts"
