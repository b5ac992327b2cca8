/**
 * Measures how deep a JSON text is nested, without parsing it. Parsing half a megabyte of brackets
 * takes a hundred times as long as finding out that there are too many.
 *
 * @since 0.1.0
 */

const QUOTE = 34
const BACKSLASH = 92

/** Parsing a shorter text (in characters) is faster than scanning it first. */
const LARGE = 64 * 1024

/**
 * Makes a check for `DecoderLimits`: whether a large text is nested more than `levels` deep.
 * Smaller texts are left to the decoder.
 *
 * @since 0.1.0
 * @category constructors
 */
export const check =
  (levels: number) =>
  (json: string): boolean =>
    json.length > LARGE && isDeeper(json, levels)

/**
 * Whether arrays and objects are nested more than `levels` deep in a JSON text. The scan ends at
 * the first one that is too deep.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isDeeper = (json: string, levels: number): boolean => {
  let depth = 0
  for (let i = 0; i < json.length; i++) {
    switch (json.charCodeAt(i)) {
      case QUOTE:
        i = stringEnd(json, i)
        break
      case 91: // [
      case 123: // {
        if (++depth > levels) return true
        break
      case 93: // ]
      case 125: // }
        depth--
    }
  }
  return false
}

/**
 * Returns the index of the quote that ends a JSON string. `start` is the index of the quote that
 * begins it.
 */
const stringEnd = (json: string, start: number): number => {
  for (let end = json.indexOf('"', start + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let escapes = end
    while (json.charCodeAt(escapes - 1) === BACKSLASH) escapes--
    if ((end - escapes) % 2 === 0) return end
  }
  return json.length
}
