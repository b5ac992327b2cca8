/**
 * How deep a text of JSON is nested, without parsing it: to parse half a megabyte of brackets takes
 * a hundred times as long as to find out that they are too many.
 *
 * @since 0.1.0
 */

const QUOTE = 34
const BACKSLASH = 92

/** A text of fewer characters is parsed sooner than it is looked through. */
const LARGE = 64 * 1024

/**
 * A check for `DecoderLimits`: whether a large text is nested more than `levels` deep. What is
 * smaller is left to the decoder.
 *
 * @since 0.1.0
 * @category constructors
 */
export const check =
  (levels: number) =>
  (json: string): boolean =>
    json.length > LARGE && isDeeper(json, levels)

/**
 * Whether arrays and objects are nested more than `levels` deep in a text, if that is JSON. It ends
 * at the first that is too deep.
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

/** Where the quote is that ends a string of JSON, from the one that begins it on. */
const stringEnd = (json: string, start: number): number => {
  for (let end = json.indexOf('"', start + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let escapes = end
    while (json.charCodeAt(escapes - 1) === BACKSLASH) escapes--
    if ((end - escapes) % 2 === 0) return end
  }
  return json.length
}
