/**
 * The wire formats: Engine.IO protocols 4 and 3, and Socket.IO protocol 5, as pure functions.
 *
 * @since 0.1.0
 */
export * as EnginePacket from "./EnginePacket.ts"
export * as EnginePacketV3 from "./EnginePacketV3.ts"
export * as EnginePayload from "./EnginePayload.ts"
export * as EnginePayloadV3 from "./EnginePayloadV3.ts"
export * as JsonDepth from "./JsonDepth.ts"
export * as MessagePack from "./MessagePack.ts"
export * as PacketDecoder from "./PacketDecoder.ts"
export * as PacketEncoder from "./PacketEncoder.ts"
export * as PacketParser from "./PacketParser.ts"
export * as PacketPreview from "./PacketPreview.ts"
export * as PacketType from "./PacketType.ts"
export * as ProtocolError from "./ProtocolError.ts"
export * as ProtocolLimits from "./ProtocolLimits.ts"
export * as SocketPacket from "./SocketPacket.ts"
