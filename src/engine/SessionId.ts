/**
 * Session ids.
 *
 * @since 0.1.0
 */

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/** Characters of an id. Load balancers and cluster adapters in the field expect exactly 20 of `[A-Za-z0-9_-]`. */
const LENGTH = 20

/** Random bytes are drawn for this many ids at once: a draw costs far more than its bytes. */
const BATCH = 256

/**
 * Makes a generator of session ids: 20 characters of `[A-Za-z0-9_-]`, 120 bits from the platform's cryptographically
 * secure source, so that an id cannot be guessed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeGenerator = (): (() => string) => {
  const pool = new Uint8Array(LENGTH * BATCH)
  let at = pool.length
  return () => {
    if (at === pool.length) {
      globalThis.crypto.getRandomValues(pool)
      at = 0
    }
    let id = ""
    for (const end = at + LENGTH; at < end; at++) id += ALPHABET[pool[at]! & 63]
    return id
  }
}
