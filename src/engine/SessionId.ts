/**
 * Session ids.
 *
 * An id has 20 characters of `[A-Za-z0-9_-]`. Without session routing all of them are random: 120
 * bits. With it, the first four characters are the tag of the server that owns the session, and the
 * other 16 are random: 96 bits.
 *
 * - The tag is no secret. It is random itself (24 bits), says nothing about the server, and is a
 *   new one after each start. An id gives a tag away, and nothing of any other id.
 * - The tag is a prefix of fixed length, so one comparison of texts tells whether an id is foreign.
 * - The random part does not depend on the tag. A common prefix in compressed responses helps an
 *   attacker no more than the text around the id, which is known in any case.
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
 * The length of the tag in front of an id.
 *
 * @since 0.1.0
 * @category constants
 */
export const TAG_LENGTH = 4

const TAG = /^[\w-]{4}$/

/**
 * Whether a text is a tag: four characters of `[A-Za-z0-9_-]`.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isTag = (text: string): boolean => TAG.test(text)

/**
 * Returns the tag of an id. Returns `undefined` for a text that has not the form of an id.
 *
 * @since 0.1.0
 * @category getters
 */
export const tagOf = (sid: string): string | undefined => {
  if (sid.length !== LENGTH) return undefined
  const tag = sid.slice(0, TAG_LENGTH)
  return TAG.test(tag) ? tag : undefined
}

/**
 * Draws a tag: 24 bits from the {@link RandomBytes} of the context. Two servers may draw the same
 * one, so a directory has to accept it (see `NodeDirectory`).
 *
 * @since 0.1.0
 * @category constructors
 */
export const drawTag = (context: Context.Context<never> = Context.empty()): string => {
  const bytes = new Uint8Array(TAG_LENGTH)
  Context.get(context, RandomBytes)(bytes)
  return String.fromCharCode(...bytes.map((byte) => CODES[byte]!))
}

/**
 * Makes a generator of session ids: 20 characters of `[A-Za-z0-9_-]`, 120 bits from the
 * {@link RandomBytes} of the context, so that an id cannot be guessed. With a tag, the first four
 * characters are the tag, and 96 bits are random.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeGenerator = (context: Context.Context<never> = Context.empty(), tag: string = ""): (() => string) => {
  const fill = Context.get(context, RandomBytes)
  const length = LENGTH - tag.length
  const pool = new Uint8Array(length * BATCH)
  const codes: Array<number> = Array.from({ length: LENGTH }, (_, i) => (i < tag.length ? tag.charCodeAt(i) : 0))
  let at = pool.length
  return () => {
    if (at === pool.length) {
      fill(pool)
      at = 0
    }
    for (let i = LENGTH - length; i < LENGTH; i++) codes[i] = CODES[pool[at++]!]!
    // One call makes a flat string. Concatenated characters would be a chain of as many strings.
    return String.fromCharCode(...codes)
  }
}
