import type { Packet } from "./transport.ts"

const encoder = new TextEncoder()

/** The bytes of a packet in a polling payload. */
const sizeOf = (packet: string | Uint8Array): number =>
  typeof packet === "string" ? encoder.encode(packet).length : 1 + Math.ceil(packet.byteLength / 3) * 4

/**
 * The number of packets at the head of a queue that leave together: all, or over polling as many as
 * the server accepts at once, which is `maxPayload` bytes; a larger packet goes alone. A packet
 * that is missing, or a Blob that cannot be sent as it is, ends the batch.
 */
export const batchOf = (
  queue: ReadonlyArray<Packet | undefined>,
  maxPayload: number | undefined,
  sendsBlobs: boolean
): number => {
  let count = 0
  let size = 0
  for (const packet of queue) {
    if (!packet) break
    if (packet instanceof Blob) {
      if (!sendsBlobs) break
    } else if (maxPayload !== undefined && queue.length > 1) {
      // A packet that is alone need not be measured.
      size += sizeOf(packet)
      if (count > 0 && size + count > maxPayload) break
    }
    count++
  }
  return count
}
