/** The bytes that a view may keep alive without showing them. */
const LARGE = 16 * 1024

/** The bytes that it may keep alive in proportion to those that it shows. */
const FACTOR = 4

/**
 * Copies bytes that keep far more memory alive than their own, as they were read together with
 * others. One byte of a message that waits would otherwise hold the 64 KiB, or the whole request,
 * that it came with.
 */
export const ownBytes = (bytes: Uint8Array): Uint8Array => {
  const kept = bytes.buffer.byteLength
  // The same method of a Node buffer makes a view again.
  return kept < LARGE || bytes.byteLength * FACTOR >= kept ? bytes : Uint8Array.prototype.slice.call(bytes)
}
