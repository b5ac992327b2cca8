import * as Effect from "effect/Effect"

const utf8 = new TextEncoder()

/** The SHA-256 of a text, as 64 hexadecimal digits. */
export const digest = (text: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", utf8.encode(text))),
    (hash) => Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("")
  )
