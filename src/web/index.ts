/**
 * Socket.IO on servers that speak the fetch API: Bun, Deno, and others.
 *
 * @since 0.1.0
 */
export * as BunSocketIoServer from "./BunSocketIoServer.ts"
export * as DenoSocketIoServer from "./DenoSocketIoServer.ts"
export * as WebEngine from "./WebEngine.ts"
export * as WebSocketChannel from "./WebSocketChannel.ts"
