/**
 * Contracts of Socket.IO namespaces, shared by server and client.
 *
 * @since 0.1.0
 */
export * as Binary from "./Binary.ts"
export * as DisconnectReason from "./DisconnectReason.ts"
export * as Event from "./Event.ts"
export * as EventAnswer from "./EventAnswer.ts"
export * as Handshake from "./Handshake.ts"
export * as Namespace from "./Namespace.ts"
export * as NamespaceMiddleware from "./NamespaceMiddleware.ts"
export * as Once from "./Once.ts"
export * as Official from "./Official.ts"
export * as Parser from "./Parser.ts"
export * as RateLimit from "./RateLimit.ts"
export * as SocketIoError from "./SocketIoError.ts"
export * as StreamEvent from "./StreamEvent.ts"
export * as StreamOptions from "./StreamOptions.ts"
export * as StreamWire from "./StreamWire.ts"
export * as TraceContext from "./TraceContext.ts"
