/**
 * Engine.IO alone: sessions over long-polling and WebSocket, without namespaces and events.
 *
 * @since 0.1.0
 */
export * as ClientAddress from "./ClientAddress.ts"
export * as ClosingTime from "./ClosingTime.ts"
export * as Cors from "./Cors.ts"
export * as Drain from "./Drain.ts"
export * as EngineMetrics from "./EngineMetrics.ts"
export * as EngineOptions from "./EngineOptions.ts"
export * as EngineRequest from "./EngineRequest.ts"
export * as EngineServer from "./EngineServer.ts"
export * as EngineSession from "./EngineSession.ts"
export * as HandshakeError from "./HandshakeError.ts"
export * as Heartbeat from "./Heartbeat.ts"
export * as HttpHeaders from "./HttpHeaders.ts"
export * as NodeDirectory from "./NodeDirectory.ts"
export * as OutboundMessage from "./OutboundMessage.ts"
export * as Outbox from "./Outbox.ts"
export * as PollingTransport from "./PollingTransport.ts"
export * as Readiness from "./Readiness.ts"
export * as RequestDetails from "./RequestDetails.ts"
export * as Routes from "./Routes.ts"
export * as SessionId from "./SessionId.ts"
export * as TimerWheel from "./TimerWheel.ts"
export * as Transport from "./Transport.ts"
export * as Transports from "./Transports.ts"
export * as WebSocketTransport from "./WebSocketTransport.ts"
