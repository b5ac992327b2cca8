import { ownCopy } from "../../internal/namespacePattern.ts"

/** The most characters of a name: of an event, a room or a namespace. */
const MAX_NAME = 256

/** The most characters of a text within a value. */
const MAX_TEXT = 300

/** The values of one preview, the characters of its texts together, and its nesting. */
const MAX_VALUES = 200
const MAX_CHARACTERS = 4_000
const MAX_DEPTH = 5

const shorten = (text: string, max: number): string =>
  // A slice of a message would keep the whole message in memory.
  text.length > max ? ownCopy(`${text.slice(0, max - 1)}…`) : text

/** A name that clients may have chosen, cut to 256 characters. */
export const cutName = (name: string): string => shorten(name, MAX_NAME)

/** A text that clients may have sent, cut to 300 characters. */
export const cutText = (text: string): string => shorten(text, MAX_TEXT)

/** The preview of values in work: it takes time and memory for so many values at most. */
class Preview {
  private left = MAX_VALUES
  private characters = MAX_CHARACTERS

  private text(text: string, max: number): string {
    const shown = shorten(text, Math.max(1, Math.min(max, this.characters)))
    this.characters -= shown.length
    return shown
  }

  of(value: unknown, depth: number): unknown {
    this.left--
    if (typeof value === "string") return this.text(value, MAX_TEXT)
    if (typeof value === "bigint") return this.text(String(value), MAX_TEXT)
    if (typeof value !== "object" || value === null) return value
    const bytes = sizeOf(value)
    if (bytes !== undefined) return `(${bytes} bytes)`
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "(invalid date)" : value.toISOString()
    if (depth >= MAX_DEPTH) return "…"
    return Array.isArray(value) ? this.ofList(value, depth + 1) : this.ofObject(value, depth + 1)
  }

  ofList(list: ReadonlyArray<unknown>, depth: number): Array<unknown> {
    const shown: Array<unknown> = []
    for (const item of list) {
      if (this.left <= 0) {
        shown.push(`… ${list.length - shown.length} more`)
        break
      }
      shown.push(this.of(item, depth))
    }
    return shown
  }

  private ofObject(object: object, depth: number): Record<string, unknown> {
    const shown: Record<string, unknown> = {}
    const entries = object instanceof Map || object instanceof Set ? { "(size)": object.size } : object
    for (const key in entries) {
      // The page merges what it gets into objects of its own.
      if (key === "__proto__" || !Object.hasOwn(entries, key)) continue
      if (this.left <= 0) {
        shown["…"] = "more"
        break
      }
      shown[this.text(key, MAX_NAME)] = this.of((entries as Record<string, unknown>)[key], depth)
    }
    return shown
  }
}

const sizeOf = (value: object): number | undefined =>
  value instanceof ArrayBuffer || ArrayBuffer.isView(value) ? value.byteLength : undefined

/**
 * Values for the page: at most 200 in all, each text at most 300 characters long and all of them
 * 4,000, and bytes as their number.
 */
export const cutAll = (values: ReadonlyArray<unknown>): Array<unknown> => new Preview().ofList(values, 0)

/** The same for one value. */
export const cut = (value: unknown): unknown => new Preview().of(value, 0)
