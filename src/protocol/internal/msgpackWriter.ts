/**
 * Writes one MessagePack value as notepack.io 3 writes it: the values of JSON, bytes and dates.
 *
 * It writes into memory that all messages share. One pass decides on the form of a value and writes
 * it, where `@msgpack/msgpack` needs a copy without the parts that it would misread.
 */

/** Values nested deeper are not written: receivers would refuse them, and a cycle has no end. */
const MAX_DEPTH = 1_000

/** Memory that a message has grown beyond this is not kept. */
const LARGE = 1_048_576

/** Shorter texts are written faster character by character. They have heads of one or two bytes. */
const SHORT = 200

const HIGH = 4_294_967_296

const utf8 = new TextEncoder()

/** A whole number that takes nine bytes, whatever it is. */
export class Uint64 {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }
}

export class Writer {
  private bytes = new Uint8Array(4_096)
  private view = new DataView(this.bytes.buffer)
  private at = 0

  /** Writes a value and returns its bytes, in memory of their own. */
  write<B extends Uint8Array>(value: unknown, allocate: (length: number) => B): B {
    this.at = 0
    this.value(value, 1)
    const written = allocate(this.at)
    written.set(this.bytes.subarray(0, this.at))
    if (this.bytes.length > LARGE) this.grow(4_096)
    return written
  }

  private value(value: unknown, depth: number): void {
    switch (typeof value) {
      case "string":
        return this.text(value)
      case "number":
        return this.number(value)
      case "boolean":
        return this.byte(value ? 0xc3 : 0xc2)
      case "object":
        return value === null ? this.byte(0xc0) : this.object(value, depth)
      case "bigint":
        return this.bigint(value, depth)
      default:
        return this.byte(0xc0)
    }
  }

  private object(value: object, depth: number): void {
    if (depth > MAX_DEPTH) throw new RangeError(`nested deeper than ${MAX_DEPTH} levels, or circular`)
    if (Array.isArray(value)) {
      this.head(value.length, 0x90, 0xdc)
      for (let i = 0; i < value.length; i++) this.value(value[i], depth + 1)
      return
    }
    if (ArrayBuffer.isView(value)) return this.bin(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
    if (value instanceof ArrayBuffer) return this.bin(new Uint8Array(value))
    if (value instanceof Date) return this.date(value.getTime())
    if (value instanceof Uint64) return this.uint64(value.value)
    if (typeof (value as { toJSON?: unknown }).toJSON === "function") {
      return this.value((value as { toJSON: () => unknown }).toJSON(), depth + 1)
    }
    // Encoding is synchronous, and the bytes of a Blob are not.
    if (value instanceof Blob) throw new TypeError("a Blob in MessagePack: read it first")
    this.members(value as Readonly<Record<string, unknown>>, depth)
  }

  /** Writes the members that JSON would write. Their number is known only after the last. */
  private members(members: Readonly<Record<string, unknown>>, depth: number): void {
    const keys = Object.keys(members)
    const start = this.at
    this.head(keys.length, 0x80, 0xde)
    const first = this.at
    let count = 0
    for (let i = 0; i < keys.length; i++) {
      const value = members[keys[i]!]
      if (value === undefined || typeof value === "function" || typeof value === "symbol") continue
      count++
      this.text(keys[i]!)
      this.value(value, depth + 1)
    }
    if (count === keys.length) return
    const end = this.at
    this.at = start
    this.head(count, 0x80, 0xde)
    if (this.at < first) this.bytes.copyWithin(this.at, first, end)
    this.at += end - first
  }

  private bigint(value: bigint, depth: number): void {
    // Some applications give `BigInt` a `toJSON`.
    const { toJSON } = Object(value) as { toJSON?: unknown }
    if (typeof toJSON !== "function") throw new TypeError("a BigInt")
    this.value(toJSON.call(value), depth + 1)
  }

  private text(text: string): void {
    const length = text.length
    if (length < SHORT) {
      this.reserve(length + 2)
      const start = this.at
      if (length < 32) this.bytes[this.at++] = 0xa0 | length
      else {
        this.bytes[this.at++] = 0xd9
        this.bytes[this.at++] = length
      }
      for (let i = 0; i < length; i++) {
        const code = text.charCodeAt(i)
        if (code > 0x7f) {
          this.at = start
          return this.unicode(text)
        }
        this.bytes[this.at++] = code
      }
      return
    }
    this.unicode(text)
  }

  private unicode(text: string): void {
    const length = text.length
    // Most texts have as many bytes as characters. None has more than three times as many.
    let written = this.encode(text, length < 1_024 ? 3 * length : length)
    if (written === undefined) written = this.encode(text, 3 * length)!
    const start = this.at
    const guessed = textHead(length)
    const needed = textHead(written)
    if (guessed !== needed) this.bytes.copyWithin(start + needed, start + guessed, start + guessed + written)
    if (needed === 1) this.bytes[start] = 0xa0 | written
    else {
      this.bytes[start] = needed === 2 ? 0xd9 : needed === 3 ? 0xda : 0xdb
      if (needed === 2) this.bytes[start + 1] = written
      else if (needed === 3) this.view.setUint16(start + 1, written)
      else this.view.setUint32(start + 1, written)
    }
    this.at = start + needed + written
  }

  /**
   * Writes UTF-8 after the place of a head. Returns the number of bytes, or `undefined` if they are
   * too many.
   */
  private encode(text: string, maxLength: number): number | undefined {
    this.reserve(maxLength + 5)
    const { read, written } = utf8.encodeInto(text, this.bytes.subarray(this.at + textHead(text.length)))
    return read === text.length ? written : undefined
  }

  private number(value: number): void {
    if (!Number.isInteger(value)) return this.float(value)
    if (value >= 0) {
      if (value < 0x80) this.byte(value)
      else if (value < 0x100) {
        this.byte(0xcc)
        this.byte(value)
      } else if (value < 0x10000) {
        this.reserve(3)
        this.bytes[this.at] = 0xcd
        this.view.setUint16(this.at + 1, value)
        this.at += 3
      } else if (value < HIGH) {
        this.reserve(5)
        this.bytes[this.at] = 0xce
        this.view.setUint32(this.at + 1, value)
        this.at += 5
      } else if (value < HIGH * HIGH) this.uint64(value)
      else this.float(value)
    } else if (value >= -0x20) this.byte(value + 0x100)
    else if (value >= -0x80) {
      this.byte(0xd0)
      this.byte(value + 0x100)
    } else if (value >= -0x8000) {
      this.reserve(3)
      this.bytes[this.at] = 0xd1
      this.view.setInt16(this.at + 1, value)
      this.at += 3
    } else if (value >= -0x80000000) {
      this.reserve(5)
      this.bytes[this.at] = 0xd2
      this.view.setInt32(this.at + 1, value)
      this.at += 5
    } else if (value >= -HIGH * 0x80000000) this.int64(0xd3, value)
    else this.float(value)
  }

  private float(value: number): void {
    this.reserve(9)
    this.bytes[this.at] = 0xcb
    this.view.setFloat64(this.at + 1, value)
    this.at += 9
  }

  private uint64(value: number): void {
    this.int64(0xcf, value)
  }

  private int64(head: number, value: number): void {
    this.reserve(9)
    this.bytes[this.at] = head
    this.view.setInt32(this.at + 1, Math.floor(value / HIGH))
    this.view.setUint32(this.at + 5, value >>> 0)
    this.at += 9
  }

  private bin(bytes: Uint8Array): void {
    const length = bytes.length
    this.reserve(length + 5)
    const head = length < 0x100 ? 2 : length < 0x10000 ? 3 : 5
    this.bytes[this.at] = head === 2 ? 0xc4 : head === 3 ? 0xc5 : 0xc6
    if (head === 2) this.bytes[this.at + 1] = length
    else if (head === 3) this.view.setUint16(this.at + 1, length)
    else this.view.setUint32(this.at + 1, length)
    this.bytes.set(bytes, this.at + head)
    this.at += head + length
  }

  /** Writes a timestamp, in the shortest of its three forms. JSON has null for an invalid date. */
  private date(time: number): void {
    if (Number.isNaN(time)) return this.byte(0xc0)
    const seconds = Math.floor(time / 1_000)
    const nanoseconds = (time - seconds * 1_000) * 1_000_000
    this.reserve(15)
    if (seconds >= 0 && seconds < 4 * HIGH) {
      this.view.setUint16(this.at, nanoseconds === 0 && seconds < HIGH ? 0xd6ff : 0xd7ff)
      this.at += 2
      if (nanoseconds !== 0 || seconds >= HIGH) {
        this.view.setUint32(this.at, nanoseconds * 4 + Math.floor(seconds / HIGH))
        this.at += 4
      }
      this.view.setUint32(this.at, seconds >>> 0)
      this.at += 4
      return
    }
    this.view.setUint16(this.at, 0xc70c)
    this.bytes[this.at + 2] = 0xff
    this.view.setUint32(this.at + 3, nanoseconds)
    this.view.setInt32(this.at + 7, Math.floor(seconds / HIGH))
    this.view.setUint32(this.at + 11, seconds >>> 0)
    this.at += 15
  }

  /** Writes the head of a list or a map. The heads for 16 and 32 bits follow each other. */
  private head(count: number, short: number, long: number): void {
    if (count < 16) return this.byte(short | count)
    this.reserve(5)
    if (count < 0x10000) {
      this.bytes[this.at] = long
      this.view.setUint16(this.at + 1, count)
      this.at += 3
    } else {
      this.bytes[this.at] = long + 1
      this.view.setUint32(this.at + 1, count)
      this.at += 5
    }
  }

  private byte(byte: number): void {
    this.reserve(1)
    this.bytes[this.at++] = byte
  }

  private reserve(length: number): void {
    if (this.at + length > this.bytes.length) this.grow(Math.max(this.at + length, 2 * this.bytes.length))
  }

  private grow(size: number): void {
    const bytes = new Uint8Array(size)
    bytes.set(this.bytes.subarray(0, Math.min(this.at, size)))
    this.bytes = bytes
    this.view = new DataView(bytes.buffer)
  }
}

/** The number of bytes before a text of this many bytes. */
const textHead = (length: number): number => (length < 32 ? 1 : length < 0x100 ? 2 : length < 0x10000 ? 3 : 5)
