/**
 * What a value that a peer has sent costs in memory. Its text says little of that: three characters
 * of `{},` are an object of 64 bytes, and a megabyte of them is 21.
 *
 * The figures are those of V8 on 64 bits, measured with payloads of 1 MB of each kind. Real ones
 * cost between a third and one and a half times as much: what is shared (hidden classes, keys that
 * are met again) is counted in full.
 */

/** A place in an array, or in an object: a pointer. */
const PLACE = 8

/** An array without its places. */
const ARRAY = 48

/** An empty object: there is room for a few members in it. */
const OBJECT = 56

/**
 * A member, beside its value and the characters of its key. An object with keys of its own has a
 * hidden class of its own.
 */
const MEMBER = 48

/** The same where the key looks like an index: such members stand in a hash table. */
const INDEXED_MEMBER = 120

/** A string without its characters. One of a single character is there already. */
const STRING = 24

/** A number that is no small integer. */
const NUMBER = 16

/** Bytes: the object that stands for them, and that of their memory. */
const BYTES = 200

/** Anything else, as a date. */
const OTHER = 64

/** Characters beyond Latin-1 make a string of two bytes each. */
const WIDE = /[^\0-\xff]/

const ofString = (text: string): number =>
  text.length < 2 ? 0 : STRING + text.length * (text.length > 16 && WIDE.test(text) ? 2 : 1)

/**
 * The bytes that a decoded value takes. Bytes in it count with all the memory that they keep: a
 * view of a larger buffer keeps the buffer. It goes as deep as the value does, which decoding has
 * bounded.
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

const ofObject = (value: object): number => {
  if (Array.isArray(value)) {
    let cost = ARRAY + PLACE * value.length
    for (let i = 0; i < value.length; i++) cost += costOf(value[i])
    return cost
  }
  if (ArrayBuffer.isView(value)) return BYTES + value.buffer.byteLength
  if (Object.getPrototypeOf(value) !== Object.prototype) return OTHER
  let cost = OBJECT
  for (const key in value) {
    const code = key.charCodeAt(0)
    cost += (code >= 48 && code <= 57 ? INDEXED_MEMBER : MEMBER) + key.length
    cost += costOf((value as Record<string, unknown>)[key])
  }
  return cost
}
