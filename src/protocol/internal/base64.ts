/**
 * The native functions of Node, Bun and Deno, where they exist: they are many times faster than
 * JavaScript.
 */
interface NativeBuffer {
  from(text: string, encoding: "base64"): Uint8Array
  from(memory: ArrayBufferLike, offset: number, length: number): { toString(encoding: "base64"): string }
}
const native = (globalThis as { readonly Buffer?: NativeBuffer }).Buffer

/** The functions of browsers take and give one character per byte. */
const encodeCharacters = (bytes: Uint8Array): string => {
  let characters = ""
  // Every engine allows this many arguments in one call.
  for (let i = 0; i < bytes.length;) characters += String.fromCharCode(...bytes.subarray(i, (i += 8192)))
  return btoa(characters)
}

export const encode: (bytes: Uint8Array) => string =
  native === undefined
    ? encodeCharacters
    : (bytes) => native.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")

/**
 * Decodes base64 as peers write it: with or without padding, in lines (RFC 2045) or with blanks
 * around it, in the alphabet of URLs. Returns `undefined` for invalid base64.
 */
export const decode = (text: string): Uint8Array | undefined => {
  if (native !== undefined) {
    // `from` accepts invalid base64, too. Encoding again is many times faster than checking the
    // text.
    const bytes = native.from(text, "base64")
    if (encode(bytes) === text) return bytes
  }
  let characters
  try {
    // `atob` skips blanks and line breaks.
    characters = atob(text.replace(/-/g, "+").replace(/_/g, "/"))
  } catch {
    return undefined
  }
  const bytes = new Uint8Array(characters.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i)
  return bytes
}
