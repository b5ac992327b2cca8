/** Draws the ids of servers: as official ones are, each in its format. */

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

const random = (length: number): Uint8Array => globalThis.crypto.getRandomValues(new Uint8Array(length))

/** Six characters: the classic format. */
export const shortId = (): string => Array.from(random(6), (byte) => ALPHABET[byte & 63]).join("")

/** Sixteen hexadecimal digits: all other formats. */
export const longId = (): string => Array.from(random(8), (byte) => byte.toString(16).padStart(2, "0")).join("")
