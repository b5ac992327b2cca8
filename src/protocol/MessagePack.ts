/**
 * MessagePack as servers write it to each other: the values of JSON, bytes and dates.
 *
 * It needs no package. For the parser of clients see `MsgpackParser`.
 *
 * @since 0.1.0
 */
import { readValue } from "./internal/msgpackReader.ts"
import { Uint64, Writer } from "./internal/msgpackWriter.ts"
import type { ProtocolError } from "./ProtocolError.ts"

/**
 * A decoded value.
 *
 * @since 0.1.0
 * @category models
 */
export interface Decoded {
  readonly value: unknown
  /** Whether bytes are in it. */
  readonly hasBinary: boolean
}

let writer = new Writer()
let isBusy = false

/**
 * Encodes a value. The bytes are those of notepack.io 3 and of `@msgpack/msgpack` 3 for what both
 * write alike.
 *
 * **Details**
 *
 * - Whole numbers are integers, others have 64 bits. So have whole numbers of 2^64 and more.
 * - Bytes of any kind (`ArrayBuffer`s, and exactly the visible part of views) are `bin`.
 * - Dates are timestamps (extension -1). An invalid date is nil.
 * - Members that are `undefined`, functions or symbols are left out; in a list they are nil.
 * - `toJSON` is honoured. `Map`s and `Set`s are empty maps, as in JSON.
 * - Half a surrogate pair is U+FFFD.
 *
 * It throws on a `BigInt` without `toJSON`, a `Blob`, and more than 1,000 levels. `allocate` gives
 * the memory for the bytes; `Buffer.allocUnsafe` takes it from Node's pool.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = <B extends Uint8Array = Uint8Array<ArrayBuffer>>(
  value: unknown,
  allocate: (length: number) => B = inOwnMemory as (length: number) => never
): B => {
  // `toJSON` and getters may call it again.
  if (isBusy) return new Writer().write(value, allocate)
  isBusy = true
  try {
    return writer.write(value, allocate)
  } catch (cause) {
    writer = new Writer()
    throw cause
  } finally {
    isBusy = false
  }
}

const inOwnMemory = (length: number) => new Uint8Array(length)

/**
 * A whole number from 0 to 2^53 - 1 that is encoded in nine bytes, whatever it is.
 *
 * @since 0.1.0
 * @category encoding
 */
export const uint64 = (value: number): unknown => new Uint64(value)

/**
 * Decodes bytes from strangers. It reads each byte once, allocates in proportion to them, and never
 * throws.
 *
 * **Details**
 *
 * - Bytes are views of the message, which stays in memory as long as one of them does.
 * - Dates are timestamps (extension -1). The legacy forms of extension 0 for dates, bytes and
 *   `undefined` are read, too. All other extensions are refused.
 * - Text that is not UTF-8 has U+FFFD in place of what is wrong.
 * - Keys that are numbers become texts; other keys are refused. `__proto__` is a member like any
 *   other.
 * - Unsafe integers arrive as the nearest number.
 * - More than `maxDepth` levels and bytes after the value are refused.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = (message: Uint8Array, maxDepth: number): Decoded | ProtocolError => readValue(message, maxDepth)
