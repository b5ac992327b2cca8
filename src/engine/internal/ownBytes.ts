/** The hidden bytes that a view may keep alive. */
const LARGE = 16 * 1024

/** The ratio of bytes that a view may keep alive to those that it shows. */
const FACTOR = 4

/**
 * Copies bytes that keep far more memory alive than their own, because they were read together with
 * others. Otherwise one byte of a waiting message would keep the 64 KiB, or the whole request, that
 * it came with.
 */
export const ownBytes = (bytes: Uint8Array): Uint8Array => {
  const kept = bytes.buffer.byteLength
  // The same method of a Node buffer returns a view again.
  return kept < LARGE || bytes.byteLength * FACTOR >= kept ? bytes : Uint8Array.prototype.slice.call(bytes)
}
