/**
 * Payloads of HTTP long-polling: packets joined by the record separator (Engine.IO protocol 4,
 * "HTTP long-polling").
 *
 * @since 0.1.0
 */
import { make, type ProtocolError } from "./ProtocolError.ts"

/**
 * The separator of two packets.
 *
 * @since 0.1.0
 * @category constants
 */
export const SEPARATOR = "\x1e"

/**
 * Splits a payload and calls back for every packet in turn. Packets are in their text form and
 * never empty. An empty packet, or one beyond `maxPackets`, ends this with an error; the packets
 * before it have been delivered by then.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodePayload = (
  payload: string,
  limits: { readonly maxPackets: number },
  onPacket: (packet: string) => void
): ProtocolError | undefined => {
  let start = 0
  for (let count = 1; ; count++) {
    if (count > limits.maxPackets) return make("too many packets")
    const end = payload.indexOf(SEPARATOR, start)
    const packet = payload.slice(start, end < 0 ? undefined : end)
    if (packet === "") return make("empty packet")
    onPacket(packet)
    if (end < 0) return undefined
    start = end + 1
  }
}

/**
 * Joins packets in their text form.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodePayload = (packets: ReadonlyArray<string>): string => packets.join(SEPARATOR)
