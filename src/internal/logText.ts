import { ownCopy } from "./namespacePattern.ts"

/** The most characters of a client's text in a log line. */
const MAX_TEXT = 300

/**
 * Characters that would break a line, or affect the terminal or the reader: control characters
 * (escape sequences begin with one), separators of lines, marks that change the direction of
 * writing, and halves of characters.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

const isUnsafe = new RegExp(UNSAFE.source, "u")

/**
 * Makes a foreign text safe for a log line: escaped, and at most 300 characters long.
 */
export const logText = (text: string): string => {
  const isLong = text.length > MAX_TEXT
  const part = isLong ? text.slice(0, MAX_TEXT) : text
  if (!isLong && !isUnsafe.test(part)) return text
  const escaped = part.replaceAll(UNSAFE, escapeCharacter)
  // A slice of a message would keep the whole message in memory.
  return isLong || escaped.length > MAX_TEXT ? ownCopy(`${escaped.slice(0, MAX_TEXT - 1)}…`) : escaped
}

const escapeCharacter = (character: string): string => {
  let escaped = ""
  for (let i = 0; i < character.length; i++) {
    escaped += `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`
  }
  return escaped
}
