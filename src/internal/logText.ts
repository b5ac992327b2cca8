import { ownCopy } from "./namespacePattern.ts"

/** The characters of a text that a client has chosen, in a log line. */
const MAX_TEXT = 300

/**
 * What would break a line, or speak to the terminal that shows it, or to whoever reads it: control
 * characters (escape sequences begin with one), separators of lines, marks that turn the direction
 * of writing, and halves of characters.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

const isUnsafe = new RegExp(UNSAFE.source, "u")

/**
 * A text from outside as it may stand in a log line: escaped, and not longer than 300 characters.
 */
export const logText = (text: string): string => {
  const isLong = text.length > MAX_TEXT
  const part = isLong ? text.slice(0, MAX_TEXT) : text
  if (!isLong && !isUnsafe.test(part)) return text
  const escaped = part.replaceAll(UNSAFE, escapeCharacter)
  // A part of a message would keep all of it in memory.
  return isLong || escaped.length > MAX_TEXT ? ownCopy(`${escaped.slice(0, MAX_TEXT - 1)}…`) : escaped
}

const escapeCharacter = (character: string): string => {
  let escaped = ""
  for (let i = 0; i < character.length; i++) {
    escaped += `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`
  }
  return escaped
}
