import type { Duplex } from "node:stream"

import type { OutboundMessage } from "../../engine/OutboundMessage.ts"

/**
 * Bytes of up to this length are copied into one piece with their neighbours. Longer ones are
 * written as they are, after their header. Texts are always copied: a socket would keep them with
 * up to two bytes for a character that it counts as one.
 */
const COPIED = 512

/**
 * The size in bytes of a frame's header, before a payload of this many bytes (RFC 6455, section
 * 5.2; servers do not mask).
 */
const headerSize = (payload: number): number => (payload < 126 ? 2 : payload < 65_536 ? 4 : 10)

const writeHeader = (buffer: Buffer, at: number, opcode: number, payload: number): number => {
  buffer[at] = 0x80 | opcode
  if (payload < 126) {
    buffer[at + 1] = payload
    return at + 2
  }
  if (payload < 65_536) {
    buffer[at + 1] = 126
    buffer.writeUInt16BE(payload, at + 2)
    return at + 4
  }
  buffer[at + 1] = 127
  buffer.writeUInt32BE(Math.floor(payload / 0x1_0000_0000), at + 2)
  buffer.writeUInt32BE(payload >>> 0, at + 6)
  return at + 10
}

/** The size of an item on the wire, in bytes. */
const frameSize = (kind: number, size: number): number => (kind === FRAMED ? size : headerSize(size) + size)

const TEXT = 1
const BINARY = 2
/** Not an opcode: the item is one or more complete frames. */
const FRAMED = 0

/**
 * The frames that one turn of the event loop sends over a WebSocket. Small frames are written in
 * one piece: separate writes for each header and payload would take a third of the time of an echo.
 */
export class FrameBatch {
  /** The waiting bytes, with their headers. */
  bytes = 0
  private readonly items: Array<string | Uint8Array> = []
  private readonly kinds: Array<number> = []
  private readonly sizes: Array<number> = []

  text(text: string): void {
    this.add(text, TEXT, Buffer.byteLength(text))
  }

  binary(bytes: Uint8Array): void {
    this.add(bytes, BINARY, bytes.byteLength)
  }

  framed(frames: Uint8Array): void {
    this.add(frames, FRAMED, frames.byteLength)
  }

  /** Writes everything, and calls back when the socket has taken the last byte. */
  writeTo(socket: Duplex, onWritten?: () => void): void {
    this.write(socket, Buffer.allocUnsafe, undefined, onWritten)
  }

  /**
   * The same for a peer that does not read: calls back for each write, and returns their number.
   * Bytes that wait must not keep the memory that small buffers share.
   */
  writeWaiting(socket: Duplex, onWritten: () => void): number {
    return this.write(socket, Buffer.allocUnsafeSlow, onWritten, onWritten)
  }

  private write(
    socket: Duplex,
    allocate: (size: number) => Buffer,
    onEach: (() => void) | undefined,
    onLast: (() => void) | undefined
  ): number {
    const { items, kinds, sizes } = this
    const count = items.length
    let writes = 0
    let corked = false
    for (let from = 0; from < count;) {
      let to = from
      let size = 0
      for (; to < count && (kinds[to] === TEXT || sizes[to]! <= COPIED); to++) size += frameSize(kinds[to]!, sizes[to]!)
      if (!corked && to < count) {
        corked = true
        socket.cork()
      }
      if (to > from) {
        const piece = allocate(size)
        let at = 0
        for (; from < to; from++) at = copy(piece, at, items[from]!, kinds[from]!, sizes[from]!)
        socket.write(piece, from === count ? onLast : onEach)
        writes++
      }
      if (from < count) {
        const kind = kinds[from]!
        if (kind !== FRAMED) {
          const header = allocate(headerSize(sizes[from]!))
          writeHeader(header, 0, kind, sizes[from]!)
          socket.write(header, onEach)
          writes++
        }
        socket.write(items[from]!, ++from === count ? onLast : onEach)
        writes++
      }
    }
    if (corked) socket.uncork()
    return writes
  }

  clear(): void {
    this.items.length = this.kinds.length = this.sizes.length = this.bytes = 0
  }

  private add(item: string | Uint8Array, kind: number, size: number): void {
    this.items.push(item)
    this.kinds.push(kind)
    this.sizes.push(size)
    this.bytes += frameSize(kind, size)
  }
}

/** Returns a message's frames in one piece, which a peer that does not read may keep. */
export const framesOf = ({ attachments = [], text }: OutboundMessage): Buffer => {
  const textSize = text === undefined ? 0 : Buffer.byteLength(text)
  let size = text === undefined ? 0 : frameSize(TEXT, textSize)
  for (const { byteLength } of attachments) size += frameSize(BINARY, byteLength)
  const frames = Buffer.allocUnsafeSlow(size)
  let at = text === undefined ? 0 : copy(frames, 0, text, TEXT, textSize)
  for (const attachment of attachments) at = copy(frames, at, attachment, BINARY, attachment.byteLength)
  return frames
}

const copy = (piece: Buffer, at: number, item: string | Uint8Array, kind: number, size: number): number => {
  if (kind !== FRAMED) at = writeHeader(piece, at, kind, size)
  if (typeof item === "string") piece.write(item, at, size, "utf8")
  else piece.set(item, at)
  return at + size
}
