/**
 * Returns a short hash of a text, of 53 bits. It says whether two texts are the same, and does not
 * resist people who want it to fail.
 */
export const hashText = (text: string): string => {
  let one = 0x811c9dc5
  let two = 0x41c6ce57
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    one = Math.imul(one ^ code, 0x01000193)
    two = Math.imul(two ^ code, 0x5f356495)
  }
  // Every bit of the text counts for every bit of the hash.
  one = Math.imul(one ^ (one >>> 16), 0x85ebca6b) ^ Math.imul(two ^ (two >>> 13), 0xc2b2ae35)
  two = Math.imul(two ^ (two >>> 16), 0x85ebca6b) ^ Math.imul(one ^ (one >>> 13), 0xc2b2ae35)
  return (2 ** 32 * (two & 0x1fffff) + (one >>> 0)).toString(36).padStart(11, "0")
}
