const encoder = new TextEncoder()

/** The bytes of a packet in a polling payload. */
export const sizeOf = (packet: string | Uint8Array): number =>
  typeof packet === "string" ? encoder.encode(packet).length : 1 + Math.ceil(packet.byteLength / 3) * 4
