/**
 * The one of Node, Bun and Deno, where it is: many times faster than what can be written in
 * JavaScript.
 */
interface NativeBuffer {
  from(text: string, encoding: "base64"): Uint8Array
  from(memory: ArrayBufferLike, offset: number, length: number): { toString(encoding: "base64"): string }
}
const native = (globalThis as { readonly Buffer?: NativeBuffer }).Buffer

/** What browsers have takes, and gives, a character per byte. */
const encodeCharacters = (bytes: Uint8Array): string => {
  let characters = ""
  // A call has room for that many arguments in every engine.
  for (let i = 0; i < bytes.length;) characters += String.fromCharCode(...bytes.subarray(i, (i += 8192)))
  return btoa(characters)
}

export const encode: (bytes: Uint8Array) => string =
  native === undefined
    ? encodeCharacters
    : (bytes) => native.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")

/**
 * Decodes base64 as peers write it: padded or not, in lines (RFC 2045) or with blanks around it, in
 * the alphabet of URLs. `undefined` if it is none.
 */
export const decode = (text: string): Uint8Array | undefined => {
  if (native !== undefined) {
    // It takes much that is no base64; to encode again is many times faster than to look.
    const bytes = native.from(text, "base64")
    if (encode(bytes) === text) return bytes
  }
  let characters
  try {
    // It skips blanks and line breaks.
    characters = atob(text.replace(/-/g, "+").replace(/_/g, "/"))
  } catch {
    return undefined
  }
  const bytes = new Uint8Array(characters.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i)
  return bytes
}
