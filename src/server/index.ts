/**
 * The Socket.IO server, on any platform.
 *
 * @since 0.1.0
 */
export * as BroadcastOperator from "./BroadcastOperator.ts"
export * as Health from "./Health.ts"
export * as Listening from "./Listening.ts"
export * as NamespaceHandle from "./NamespaceHandle.ts"
export * as RateLimiter from "./RateLimiter.ts"
export * as RecoveryOptions from "./RecoveryOptions.ts"
export * as ServerConnection from "./ServerConnection.ts"
export * as ServerMetrics from "./ServerMetrics.ts"
export * as ServerOptions from "./ServerOptions.ts"
export * as ServerSocket from "./ServerSocket.ts"
export * as SocketIoServer from "./SocketIoServer.ts"
export * as TracingOptions from "./TracingOptions.ts"
