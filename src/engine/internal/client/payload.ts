/** How many packets, from the first one on, fit into one polling payload; one that is larger than that goes alone. */
export const countFitting = (packets: ReadonlyArray<string | Uint8Array>, maxPayload: number): number => {
  // One that is alone need not be measured.
  if (packets.length < 2) return packets.length
  let size = -1
  const excess = packets.findIndex((packet, index) => {
    size += 1 + sizeOf(packet)
    return index > 0 && size > maxPayload
  })
  return excess < 0 ? packets.length : excess
}

const encoder = new TextEncoder()

/** The bytes of a packet in a polling payload. */
const sizeOf = (packet: string | Uint8Array): number =>
  typeof packet === "string" ? encoder.encode(packet).length : 1 + Math.ceil(packet.byteLength / 3) * 4
