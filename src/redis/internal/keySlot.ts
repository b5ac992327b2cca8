/**
 * The slot of a key in a Redis Cluster: CRC16 of the key, or of what stands between its first
 * braces, modulo 16384.
 */

const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
  return crc
})

const encoder = new TextEncoder()

/** The part of a key that decides the slot: its `{tag}` if that is not empty. */
const hashed = (key: string): string => {
  const open = key.indexOf("{")
  if (open === -1) return key
  const close = key.indexOf("}", open + 1)
  return close === -1 || close === open + 1 ? key : key.slice(open + 1, close)
}

export const keySlot = (key: string): number => {
  let crc = 0
  for (const byte of encoder.encode(hashed(key))) crc = ((crc << 8) & 0xffff) ^ table[((crc >> 8) ^ byte) & 0xff]!
  return crc & 0x3fff
}
