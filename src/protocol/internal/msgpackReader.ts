/**
 * Reads one MessagePack value as notepack.io 2 writes it: the values of JSON, bytes, dates and
 * `undefined`. In messages of servers it also reads what notepack.io 3 writes: dates as timestamps,
 * and halves of surrogate pairs.
 *
 * It is made for bytes from strangers: it reads each byte once, allocates in proportion to the
 * bytes, whatever lengths and keys they claim, and stops at the given depth. The decoder of
 * `@msgpack/msgpack` gives none of these guarantees: 100 kB make it allocate 250 MB. It also
 * confuses an extension of fixed length with one of the same length that states its length: the
 * first is a date, the second is eight bytes.
 */
import { isProtocolError, make, type ProtocolError } from "../ProtocolError.ts"
import { allowIndexes, isIndexLike, put } from "./members.ts"

/**
 * Reads a message that is one map and nothing else. Its members may nest `maxDepth` levels deep.
 * Bytes in it are views of the message.
 */
export const readMap = (message: Uint8Array, maxDepth: number): Record<string, unknown> | ProtocolError => {
  const head = message[0]
  if (head === undefined || !((head >= 0x80 && head < 0x90) || head === 0xde || head === 0xdf)) {
    return make("invalid payload", "not a map in MessagePack")
  }
  const decoded = read(new Reader(message, false), maxDepth + 1, maxDepth)
  return isProtocolError(decoded) ? decoded : (decoded.value as Record<string, unknown>)
}

/** Reads the message of a server: one value and nothing else, of at most this many levels. */
export const readValue = (
  message: Uint8Array,
  maxDepth: number
): { readonly value: unknown; readonly hasBinary: boolean } | ProtocolError =>
  read(new Reader(message, true), maxDepth, maxDepth)

const read = (reader: Reader, levels: number, maxDepth: number) => {
  try {
    const value = reader.value(levels)
    if (reader.left > 0) return make("invalid payload", `${reader.left} bytes after the packet`)
    return { value, hasBinary: reader.hasBinary }
  } catch (cause) {
    if (isProtocolError(cause) && cause.code !== "nesting too deep") return cause
    // This also catches a stack that ends before the limit does.
    return make("nesting too deep", `nested deeper than ${maxDepth} levels`)
  }
}

const truncated = () => make("invalid payload", "the message ends within a value")
export const unknown = (what: string) => make("invalid payload", `${what} that is not understood`)

/** Shorter ASCII texts are read faster character by character. */
const SHORT = 12

// `ignoreBOM` keeps a byte order mark, which is a character like any other.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
/** `@msgpack/msgpack` writes halves of surrogate pairs, which are not UTF-8. */
const lenient = new TextDecoder("utf-8", { ignoreBOM: true })

/** The native function of Node, Bun and Deno, where it exists: it is several times faster. */
interface NativeBuffer {
  isBuffer(bytes: unknown): boolean
}
interface NativeBytes {
  toString(encoding: "utf8", start: number, end: number): string
}
const native = (globalThis as { readonly Buffer?: NativeBuffer }).Buffer

/** Reads the values of a message, one after the other. It throws a `ProtocolError`. */
export class Reader {
  private readonly bytes: Uint8Array
  private readonly view: DataView
  /** Whether the message is one of a server. */
  private readonly isServers: boolean
  /** Whether a value of bytes has been read. */
  hasBinary = false
  private at = 0
  /** The number of values still to come. Each of them takes at least one byte. */
  private due = 1

  constructor(bytes: Uint8Array, isServers: boolean) {
    this.bytes = bytes
    this.isServers = isServers
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** The number of unread bytes. */
  get left(): number {
    return this.bytes.length - this.at
  }

  /** Reads a value of at most this many levels of arrays and maps. */
  value(levels: number): unknown {
    this.due--
    const head = this.bytes[this.take(1)]!
    if (head < 0x80) return head
    if (head < 0x90) return this.map(head & 0x0f, levels)
    if (head < 0xa0) return this.array(head & 0x0f, levels)
    if (head < 0xc0) return this.text(head & 0x1f)
    if (head >= 0xe0) return head - 0x100
    switch (head) {
      case 0xc0:
        return null
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xc4:
        return this.bin(this.uint8())
      case 0xc5:
        return this.bin(this.uint16())
      case 0xc6:
        return this.bin(this.uint32())
      case 0xc7:
        return this.extension(this.uint8())
      case 0xc8:
        return this.extension(this.uint16())
      case 0xc9:
        return this.extension(this.uint32())
      case 0xca:
        return this.view.getFloat32(this.take(4))
      case 0xcb:
        return this.view.getFloat64(this.take(8))
      case 0xcc:
        return this.uint8()
      case 0xcd:
        return this.uint16()
      case 0xce:
        return this.uint32()
      case 0xcf:
        return this.uint32() * 2 ** 32 + this.uint32()
      case 0xd0:
        return this.view.getInt8(this.take(1))
      case 0xd1:
        return this.view.getInt16(this.take(2))
      case 0xd2:
        return this.view.getInt32(this.take(4))
      case 0xd3:
        return this.int64()
      case 0xd4:
        if (this.isTimestamp()) throw unknown("a timestamp")
        this.take(1)
        return undefined
      case 0xd6:
        this.timestamp()
        return this.dateOf(this.uint32() * 1_000)
      case 0xd7:
        return this.isTimestamp() ? this.timestamp64() : this.date()
      case 0xd9:
        return this.text(this.uint8())
      case 0xda:
        return this.text(this.uint16())
      case 0xdb:
        return this.text(this.uint32())
      case 0xdc:
        return this.array(this.uint16(), levels)
      case 0xdd:
        return this.array(this.uint32(), levels)
      case 0xde:
        return this.map(this.uint16(), levels)
      case 0xdf:
        return this.map(this.uint32(), levels)
      default:
        // 0xc1, and extensions of 2, 4 and 16 bytes, which notepack does not write.
        throw unknown(`a value of form 0x${head.toString(16)}`)
    }
  }

  private array(size: number, levels: number): Array<unknown> {
    this.claim(size, levels)
    // The array can have its full length at once: `claim` has checked that the bytes are there.
    // oxlint-disable-next-line unicorn/no-new-array
    const array = new Array<unknown>(size)
    for (let i = 0; i < size; i++) array[i] = this.value(levels - 1)
    return array
  }

  private map(size: number, levels: number): Record<string, unknown> {
    this.claim(2 * size, levels)
    const map: Record<string, unknown> = {}
    let hasIndexes = false
    for (let i = 0; i < size; i++) {
      const key = this.key(levels - 1)
      if (!hasIndexes && isIndexLike(key)) {
        hasIndexes = true
        allowIndexes(map)
      }
      put(map, key, this.value(levels - 1))
    }
    return map
  }

  /** Clients other than the official ones also use numbers as keys. */
  private key(levels: number): string {
    const key = this.value(levels)
    if (typeof key === "string") return key
    if (typeof key === "number") return String(key)
    throw unknown("a key")
  }

  /**
   * Enters an array or a map of this many values. Throws if the rest of the message is too short
   * for all values still to come.
   */
  private claim(values: number, levels: number): void {
    if (levels <= 0) throw make("nesting too deep")
    this.due += values
    if (this.due > this.left) throw truncated()
  }

  private text(length: number): string {
    const start = this.take(length)
    const end = this.at
    if (length > SHORT) return this.utf8(start, end)
    let text = ""
    for (let i = start; i < end; i++) {
      const code = this.bytes[i]!
      if (code > 0x7f) return this.utf8(start, end)
      text += String.fromCharCode(code)
    }
    return text
  }

  private utf8(start: number, end: number): string {
    if (this.isServers && native?.isBuffer(this.bytes)) {
      return (this.bytes as NativeBytes).toString("utf8", start, end)
    }
    const text = this.bytes.subarray(start, end)
    if (this.isServers) return lenient.decode(text)
    try {
      return utf8.decode(text)
    } catch {
      throw make("invalid payload", "a text that is not UTF-8")
    }
  }

  private bin(length: number): Uint8Array {
    this.hasBinary = true
    const start = this.take(length)
    return this.bytes.subarray(start, this.at)
  }

  /** In Node, notepack.io 2 writes `ArrayBuffer`s and views other than `Buffer`s in this form. */
  private extension(length: number): Uint8Array | Date {
    if (!this.isTimestamp()) return this.bin(length)
    if (length !== 12) throw unknown("a timestamp")
    const nanoseconds = this.uint32()
    return this.dateOf(this.int64() * 1_000 + nanoseconds / 1_000_000)
  }

  /** Reads the type of an extension. */
  private isTimestamp(): boolean {
    const type = this.view.getInt8(this.take(1))
    if (type === -1 && this.isServers) return true
    if (type !== 0) throw unknown(`an extension of type ${type}`)
    return false
  }

  private timestamp(): void {
    if (!this.isTimestamp()) throw unknown("an extension of type 0")
  }

  private timestamp64(): Date {
    const high = this.uint32()
    return this.dateOf(((high & 3) * 2 ** 32 + this.uint32()) * 1_000 + (high >>> 2) / 1_000_000)
  }

  private date(): Date {
    return this.dateOf(this.int64())
  }

  private dateOf(time: number): Date {
    const date = new Date(time)
    if (Number.isNaN(date.getTime())) throw unknown("a date")
    return date
  }

  /** Returns the next byte, without moving on. It is no number at the end of the message. */
  peek(): number {
    return this.bytes[this.at]!
  }

  uint8(): number {
    return this.bytes[this.take(1)]!
  }

  uint16(): number {
    return this.view.getUint16(this.take(2))
  }

  uint32(): number {
    return this.view.getUint32(this.take(4))
  }

  /** Reads an integer. An unsafe one becomes the nearest number. */
  private int64(): number {
    return this.view.getInt32(this.take(4)) * 2 ** 32 + this.uint32()
  }

  /** Moves on by this many bytes and returns the place of the first. */
  take(length: number): number {
    const start = this.at
    if (length > this.bytes.length - start) throw truncated()
    this.at = start + length
    return start
  }
}
