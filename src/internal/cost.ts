/**
 * Estimates the memory of a value that a peer has sent. Its text tells little about it: the three
 * characters `{},` become an object of 64 bytes, and a megabyte of them takes 21.
 *
 * The figures are those of V8 on 64 bits, measured with payloads of 1 MB of each kind. Real
 * payloads take between a third and one and a half times as much: shared parts (hidden classes,
 * repeated keys) are counted in full.
 */

/** The places of a longer array alone are more than anybody may send. */
const MAX_LENGTH = 1 << 24

/** A place in an array, or in an object: a pointer. */
const PLACE = 8

/** An array without its places. */
const ARRAY = 48

/** An empty object. It has capacity for a few members. */
const OBJECT = 56

/**
 * A member, beside its value and the characters of its key. An object with unusual keys needs a
 * hidden class of its own.
 */
const MEMBER = 48

/**
 * Members whose keys are indices are in an array up to the greatest one, as long as that has at
 * most nine places for each place of a hash table, and otherwise in the table. `{"34":0}` has an
 * array of 35 places.
 */
const ELEMENTS = 16
const SPARSE = 9
const TABLE = 48
const TABLE_PLACE = 24
const MIN_TABLE = 4

/** The greatest index. */
const MAX_INDEX = 2 ** 32 - 2

/** A string without its characters. Strings of a single character exist already. */
const STRING = 24

/** A number that is not a small integer. */
const NUMBER = 16

/** Bytes: their object, and the object of their memory. */
const BYTES = 200

/** Any other value, such as a date. */
const OTHER = 64

/** Characters beyond Latin-1 make a string take two bytes per character. */
const WIDE = /[^\0-\xff]/

const ofString = (text: string): number =>
  text.length < 2 ? 0 : STRING + text.length * (text.length > 16 && WIDE.test(text) ? 2 : 1)

/**
 * Returns the bytes of a text's characters, in memory or in UTF-8, whatever is more. `size` is its
 * size in UTF-8: a single wide character makes all others take two bytes in memory.
 */
export const charactersOf = (text: string, size: number): number =>
  size < 2 * text.length && size > text.length && WIDE.test(text) ? 2 * text.length : size

/**
 * Returns the memory of a decoded value in bytes. Bytes in it count with all the memory that they
 * keep: a view of a larger buffer keeps the whole buffer. It recurses as deep as the value, whose
 * depth decoding has bounded.
 */
export const costOf = (value: unknown): number => {
  switch (typeof value) {
    case "string":
      return ofString(value)
    case "number":
      return (value | 0) === value ? 0 : NUMBER
    case "object":
      return value === null ? 0 : ofObject(value)
    default:
      return 0
  }
}

/**
 * The same for a value that a schema has decoded. Instances of classes count as their members do.
 */
export const costOfDecoded = (value: unknown): number => {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return costOf(value)
  if (Array.isArray(value)) {
    let cost = ARRAY + PLACE * value.length
    for (const item of value) cost += costOfDecoded(item)
    return cost
  }
  let cost = OBJECT
  for (const key in value) cost += MEMBER + key.length + costOfDecoded((value as Record<string, unknown>)[key])
  return cost
}

const ofObject = (value: object): number => {
  if (Array.isArray(value)) {
    let cost = ARRAY + PLACE * value.length
    // One that is mostly holes, which no text can say, is long in no time.
    if (value.length > MAX_LENGTH) return cost
    for (let i = 0; i < value.length; i++) cost += costOf(value[i])
    return cost
  }
  if (ArrayBuffer.isView(value)) return BYTES + value.buffer.byteLength
  if (Object.getPrototypeOf(value) !== Object.prototype) return OTHER
  let cost = OBJECT
  let indices = 0
  let last = 0
  for (const key in value) {
    const index = indexOf(key)
    if (index < 0) cost += MEMBER + key.length
    else {
      indices++
      // They come in their order.
      last = index
    }
    cost += costOf((value as Record<string, unknown>)[key])
  }
  return indices === 0 ? cost : cost + ofElements(indices, last)
}

/** The memory of so many members whose keys are indices, of which this is the greatest one. */
const ofElements = (count: number, last: number): number => {
  let capacity = MIN_TABLE
  while (capacity < count * 1.5) capacity *= 2
  return last < SPARSE * capacity ? ELEMENTS + PLACE * (last + 1) : TABLE + TABLE_PLACE * capacity
}

/** The index that a key is, or -1. */
const indexOf = (key: string): number => {
  const { length } = key
  const first = key.charCodeAt(0) - 48
  if (!(first >= 0 && first <= 9) || length > 10 || (first === 0 && length > 1)) return -1
  let index = first
  for (let i = 1; i < length; i++) {
    const digit = key.charCodeAt(i) - 48
    if (!(digit >= 0 && digit <= 9)) return -1
    index = index * 10 + digit
  }
  return index > MAX_INDEX ? -1 : index
}
