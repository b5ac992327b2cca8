/**
 * Session ids.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/** The character codes of ids, repeated four times: one for each value of a byte. */
const CODES = Uint8Array.from({ length: 256 }, (_, byte) => ALPHABET.charCodeAt(byte & 63))

/**
 * The length of an id. Existing load balancers and cluster adapters expect exactly 20 of
 * `[A-Za-z0-9_-]`.
 */
const LENGTH = 20

/** Random bytes are drawn for this many ids at once: a draw costs far more than its bytes. */
const BATCH = 256

/**
 * The source of random bytes for ids: a function that fills an array. Default: the platform's
 * cryptographically secure source. A replacement must be secure as well, except in simulations,
 * where each run must have the same ids.
 *
 * @since 0.1.0
 * @category services
 */
export const RandomBytes: Context.Reference<(bytes: Uint8Array<ArrayBuffer>) => void> = Context.Reference<
  (bytes: Uint8Array<ArrayBuffer>) => void
>("effect-socket.io/engine/RandomBytes", {
  defaultValue: () => (bytes) => void globalThis.crypto.getRandomValues(bytes)
})

/**
 * Makes a generator of session ids: 20 characters of `[A-Za-z0-9_-]`, 120 bits from the {@link
 * RandomBytes} of the context, so that an id cannot be guessed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeGenerator = (context: Context.Context<never> = Context.empty()): (() => string) => {
  const fill = Context.get(context, RandomBytes)
  const pool = new Uint8Array(LENGTH * BATCH)
  const codes: Array<number> = Array.from({ length: LENGTH }, () => 0)
  let at = pool.length
  return () => {
    if (at === pool.length) {
      fill(pool)
      at = 0
    }
    for (let i = 0; i < LENGTH; i++) codes[i] = CODES[pool[at++]!]!
    // One call makes a flat string. Concatenated characters would be a chain of as many strings.
    return String.fromCharCode(...codes)
  }
}
