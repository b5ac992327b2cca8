import { Reader, unknown } from "./msgpackReader.ts"

/** The members of a packet beside its payload, and the payload's first item. */
export interface Head {
  readonly type: unknown
  readonly first: unknown
  readonly nsp: unknown
  readonly id: unknown
}

/**
 * Reads a packet's members, but skips its payload: it reads the first item of a list. It checks
 * only the lengths of skipped values. Returns `undefined` if the payload comes before the type, or
 * if only reading the whole message can tell its error.
 */
export const readHead = (message: Uint8Array): Head | undefined => {
  const reader = new Reader(message, false)
  try {
    return headOf(reader)
  } catch {
    return undefined
  }
}

const headOf = (reader: Reader): Head | undefined => {
  let type: unknown
  let first: unknown
  let nsp: unknown
  let id: unknown
  const head = reader.uint8()
  const size = head === 0xde ? reader.uint16() : head === 0xdf ? reader.uint32() : head - 0x80
  if (head < 0x80 || (head > 0x8f && head < 0xde)) return undefined
  for (let i = 0; i < size; i++) {
    switch (reader.value(0)) {
      case "type":
        type = reader.value(0)
        break
      case "nsp":
        nsp = reader.value(0)
        break
      case "id":
        id = reader.value(0) ?? undefined
        break
      case "data":
        if (type === undefined) return undefined
        first = firstItem(reader)
        break
      default:
        skip(reader, 1)
    }
  }
  return reader.left === 0 ? { type, first, nsp, id } : undefined
}

/** Skips a value. Returns the first item if the value is a list that begins with a text. */
const firstItem = (reader: Reader): unknown => {
  const head = reader.peek()
  let items = head - 0x90
  if (head === 0xdc || head === 0xdd) {
    reader.take(1)
    items = head === 0xdc ? reader.uint16() : reader.uint32()
  } else if (items >= 0 && items < 16) reader.take(1)
  else return skip(reader, 1)
  if (items === 0) return undefined
  const first = reader.peek()
  const isText = (first >= 0xa0 && first < 0xc0) || (first >= 0xd9 && first <= 0xdb)
  if (!isText) return skip(reader, items)
  const text = reader.value(0)
  skip(reader, items - 1)
  return text
}

/** Skips this many values with their content, and allocates nothing. */
const skip = (reader: Reader, values: number): undefined => {
  for (let left = values; left > 0; left--) {
    const head = reader.uint8()
    if (head < 0x80 || head >= 0xe0) continue
    if (head < 0x90) left += 2 * (head & 0x0f)
    else if (head < 0xa0) left += head & 0x0f
    else if (head < 0xc0) reader.take(head & 0x1f)
    else if (head < 0xc4) continue
    else if (head === 0xdc || head === 0xdd) left += head === 0xdc ? reader.uint16() : reader.uint32()
    else if (head === 0xde || head === 0xdf) left += 2 * (head === 0xde ? reader.uint16() : reader.uint32())
    else reader.take(lengthOf(reader, head))
  }
}

/** Returns the length of the rest of a value that holds no other values. */
const lengthOf = (reader: Reader, head: number): number => {
  switch (head) {
    case 0xc4:
    case 0xd9:
      return reader.uint8()
    case 0xc5:
    case 0xda:
      return reader.uint16()
    case 0xc6:
    case 0xdb:
      return reader.uint32()
    case 0xc7:
      return reader.uint8() + 1
    case 0xc8:
      return reader.uint16() + 1
    case 0xc9:
      return reader.uint32() + 1
    case 0xcc:
    case 0xd0:
      return 1
    case 0xcd:
    case 0xd1:
    case 0xd4:
      return 2
    case 0xca:
    case 0xce:
    case 0xd2:
      return 4
    case 0xcb:
    case 0xcf:
    case 0xd3:
      return 8
    case 0xd7:
      return 9
    default:
      throw unknown(`a value of form 0x${head.toString(16)}`)
  }
}
