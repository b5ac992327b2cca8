/**
 * Where we refuse what the official parser takes, on purpose. Of each rule there is a packet that shows that the two differ indeed.
 */
export interface Stricter {
  readonly why: string
  readonly applies: (text: string) => boolean
  readonly example: string
}

/** The numbers of the placeholders in a value. */
const placeholders = (value: unknown): ReadonlyArray<unknown> => {
  if (typeof value !== "object" || value === null) return []
  const { _placeholder, num } = value as { readonly _placeholder?: unknown; readonly num?: unknown }
  return _placeholder === true ? [num] : Object.values(value).flatMap(placeholders)
}

/** Whether a packet announces attachments of which one has no placeholder, or more than one. */
const isUneven = (text: string): boolean => {
  const head = /^[56](\d+)-(?:\/[^,]*,)?\d*(?=\[)/.exec(text)
  if (head === null) return false
  try {
    const named = placeholders(JSON.parse(text.slice(head[0].length)))
    return named.length !== Number(head[1]) || new Set(named).size !== named.length
  } catch {
    return false
  }
}

export const stricter: ReadonlyArray<Stricter> = [
  { why: "a packet without a type is no packet", applies: (text) => /^(\s|$)/.test(text), example: " {}" },
  {
    why: "an id is made of digits: blanks are not",
    applies: (text) => /^[0-6][^[{"]*\s/.test(text),
    example: '2 ["x"]'
  },
  {
    why: "an id beyond the safe integers would not come back as it was",
    applies: (text) => /\d{16,}/.test(text),
    example: '299999999999999999999["x"]'
  },
  { why: "an id where none belongs", applies: (text) => /^[014](\/[^,]*,)?\d/.test(text), example: "01" },
  {
    why: "an acknowledgement without id answers nothing",
    applies: (text) => /^(3|6\d+-)(\/[^,]*(,|$))?(\[|$)/.test(text),
    example: "3[]"
  },
  {
    why: "an event or acknowledgement without data has no name or arguments",
    applies: (text) => /^[2356](\d+-)?(\/[^,]*(,|$))?\d*$/.test(text),
    example: "2"
  },
  {
    why: "CONNECT_ERROR without data says nothing",
    applies: (text) => /^4(\/[^,]*(,|$))?$/.test(text),
    example: "4"
  },
  {
    why: "a count of attachments is made of digits, without leading zeros",
    applies: (text) => /^[56](0|[^-]*[^\d-])/.test(text),
    example: '51e0-["x",{"_placeholder":true,"num":0}]'
  },
  {
    why: "a placeholder that stands for no attachment would be a value that is missing",
    applies: (text) => /"num":-?\d*\.\d/.test(text),
    example: '51-["x",{"_placeholder":true,"num":0.5}]'
  },
  {
    why: "an attachment has exactly one placeholder: with more, a few bytes stand for many copies of it",
    applies: isUneven,
    example: '51-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]'
  },
  {
    why: "nesting beyond the limit",
    applies: (text) => /(\[|\{"[^"]*":){64}/.test(text),
    example: `2["x",${"[".repeat(70)}${"]".repeat(70)}]`
  }
]
