import { OutboundMessage } from "../../engine/OutboundMessage.ts"
import { isProtocolError, type ProtocolError } from "../../protocol/ProtocolError.ts"
import type { EncodedPacket } from "../../protocol/SocketPacket.ts"

/** An encoded packet as an engine message. Throws on what could not be encoded. */
export const outbound = (packet: EncodedPacket | ProtocolError, shared: boolean): OutboundMessage => {
  if (isProtocolError(packet)) throw packet
  return new OutboundMessage(packet.text === undefined ? undefined : "4" + packet.text, packet.attachments, shared)
}
