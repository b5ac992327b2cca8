interface Native {
  byteLength(text: string): number
  allocUnsafeSlow(size: number): NativeBytes
}

interface NativeBytes extends Uint8Array<ArrayBuffer> {
  write?(text: string, at: number, size?: number, encoding?: "latin1"): number
}

/** The native functions of Node, Bun and Deno, where they exist: they are faster for long texts. */
const native = (globalThis as { readonly Buffer?: Native }).Buffer

/** Calling the native function takes as long as looking at this many characters. */
const LONG = 256

/**
 * Returns the size of a text in UTF-8, in bytes. Half a surrogate pair is written as three bytes.
 */
export const utf8Length = (text: string): number => {
  if (native !== undefined && text.length >= LONG) return native.byteLength(text)
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) continue
    if (unit < 0x800) bytes++
    else if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      // Two units, four bytes.
      bytes += 2
      i++
    } else bytes += 2
  }
  return bytes
}

/** Memory for texts, which may hold anything until they are written. */
export const makeUtf8 = (capacity: number): Uint8Array<ArrayBuffer> =>
  native === undefined ? new Uint8Array(capacity) : native.allocUnsafeSlow(capacity)

const encoder = /* @__PURE__ */ new TextEncoder()

/**
 * Writes a text as UTF-8 to a place in memory that `makeUtf8` has made, which must have three bytes
 * for each of its units. Returns its size in bytes.
 */
export const writeUtf8 = (bytes: Uint8Array<ArrayBuffer> & NativeBytes, text: string, at: number): number =>
  bytes.write === undefined ? encoder.encodeInto(text, bytes.subarray(at)).written : bytes.write(text, at)

/** Whether a text has a byte for each character in UTF-8. */
export const isPlain = (text: string): boolean =>
  (native === undefined ? utf8Length(text) : native.byteLength(text)) === text.length

/** Writes such a text to a place in memory that has that many bytes. */
export const writePlain = (bytes: Uint8Array<ArrayBuffer> & NativeBytes, text: string, at: number): void => {
  if (bytes.write === undefined) encoder.encodeInto(text, bytes.subarray(at))
  else bytes.write(text, at, text.length, "latin1")
}
