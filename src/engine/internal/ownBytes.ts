/** What a view may keep that it does not show, in bytes. */
const LARGE = 16 * 1024

/** What it may keep in proportion to what it shows. */
const FACTOR = 4

/**
 * Bytes that keep little more memory than they are: what was read together with them is not theirs to keep. One byte of a
 * message that waits would otherwise hold the 64 KiB, or the whole request, that it came with.
 */
export const ownBytes = (bytes: Uint8Array): Uint8Array => {
  const kept = bytes.buffer.byteLength
  // The method of buffers in Node gives a view again.
  return kept < LARGE || bytes.byteLength * FACTOR >= kept ? bytes : Uint8Array.prototype.slice.call(bytes)
}
