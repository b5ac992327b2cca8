/**
 * Socket.IO in Node.
 *
 * @since 0.1.0
 */
export * as NodeClientPlatform from "./NodeClientPlatform.ts"
export * as NodeConfig from "./NodeConfig.ts"
export * as NodeEngine from "./NodeEngine.ts"
export * as NodeSessionRouting from "./NodeSessionRouting.ts"
export * as NodeSocketIoServer from "./NodeSocketIoServer.ts"
export * as UnixSocketDirectory from "./UnixSocketDirectory.ts"
