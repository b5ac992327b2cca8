/**
 * Effect RPC over Socket.IO.
 *
 * @since 0.1.0
 */
export * as SocketIoRpc from "./SocketIoRpc.ts"
export * as SocketIoRpcClient from "./SocketIoRpcClient.ts"
export * as SocketIoRpcServer from "./SocketIoRpcServer.ts"
