/**
 * Frames of WebSocket clients (RFC 6455, section 5.2).
 */

export const Opcode = { text: 1, binary: 2, close: 8 } as const

/** A key of zeros would spare the server the work that real clients make it do. */
const MASK = [0x12, 0xa4, 0x5e, 0x73] as const

/** A masked frame. */
export const frame = (opcode: number, data: string | Uint8Array): Buffer => {
  const payload = typeof data === "string" ? Buffer.from(data) : data
  const length = payload.length
  const head = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const bytes = Buffer.alloc(head + 4 + length)
  bytes[0] = 0x80 | opcode
  bytes[1] = 0x80 | (head === 2 ? length : head === 4 ? 126 : 127)
  if (head === 4) bytes.writeUInt16BE(length, 2)
  if (head === 10) bytes.writeUInt32BE(length, 6)
  bytes.set(MASK, head)
  for (let i = 0; i < length; i++) bytes[head + 4 + i] = payload[i]! ^ MASK[i & 3]!
  return bytes
}

export const text = (message: string): Buffer => frame(Opcode.text, message)
