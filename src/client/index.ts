/**
 * The Socket.IO client, on any platform.
 *
 * @since 0.1.0
 */
export * as ClientConfig from "./ClientConfig.ts"
export * as ClientDebug from "./ClientDebug.ts"
export * as ClientExtras from "./ClientExtras.ts"
export * as ClientMetrics from "./ClientMetrics.ts"
export * as ClientOptions from "./ClientOptions.ts"
export * as ClientSocket from "./ClientSocket.ts"
export * as ClientTelemetry from "./ClientTelemetry.ts"
export * as Reconnection from "./Reconnection.ts"
export * as RetryingEmitter from "./RetryingEmitter.ts"
export * as SocketIoClient from "./SocketIoClient.ts"
export * as SocketStream from "./SocketStream.ts"
